# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The ORM: what async means for the database
#
# **Question.** Nearly every method of Django's ORM has an async twin: `aget`, `acreate`, `adelete`. While one of them waits, the event loop serves others. Does
# async code then wait for a database better than threads do? And what bounds the connections, if nothing bounds the threads?
#
# Everything in this lesson was measured with a real PostgreSQL. It shares a core with the load; the server has a core of its own.

# %%
from math import ceil

from IPython.display import Markdown, display

from bench.claims import claim_table
from bench.learn import lessons, live_cell
from bench.show.figures import database, resources
from bench.show.tables import formatting, markdown

cost = lessons.run_to_show("orm_cost")
connections, gathering = lessons.reference("connections"), lessons.reference("serial_gather")
payments, outage = lessons.reference("transactions"), lessons.reference("outage")
costs, gathers = lessons.Rows(cost), lessons.Rows(gathering)
stock = "async_asgi@uvicorn"

# %% [markdown]
# ## Predict
#
# - An async view creates a row, reads it, changes it and deletes it, each with an a-method. How often does its request go from the event loop to a thread?
# - An async view hands five queries of 20 ms to `asyncio.gather`. One user asks for it. After how many milliseconds does it answer?
# - Sixty requests come quickly one after the other to an async view on uvicorn. Each asks the database once and then waits 1.5 s for something else. The database allows 40
#   connections. Which request is the first to fail?

# %%
my_prediction_hops = None
my_prediction_ms = None
my_prediction_first = None

# %% [markdown]
# ## Run
#
# ```sh
# lab doctor                                # says which database there will be
# lab run orm_cost --profile standard       # some minutes
# lab run serial_gather
# lab run connections
# ```
#
# If PostgreSQL's programs are installed, the lab starts a server for the run. `LAB_DATABASE_URL=postgresql://me:secret@127.0.0.1/mine` makes it use yours.

# %%
display(Markdown(lessons.describe_run(cost)))
hops = {row.stack: row.median("hops.sync_to_async") for row in costs.values() if row.request == "crud"}
gathered_ms = database.P50.of(gathers[stock, "gathered?n=5&ms=20", 1])
(small,) = (row for row in database.wave_rows(connections, 40) if row.stack == stock)
first = small.median("waves.first.first_failed")
asked_async = next((count for stack, count in hops.items() if stack.startswith("async_asgi")), None)
display(Markdown("Hops: " + lessons.compare(my_prediction_hops, asked_async, "hops to a thread")))
display(Markdown("Gathered: " + lessons.compare(my_prediction_ms, gathered_ms, "ms")))
display(Markdown("First to fail: " + lessons.compare(my_prediction_first, first, "(its place in line)")))

# %% [markdown]
# ## See
#
# ### Create, read, update, delete: sync and async
#
# Four lines differ, each by an `await` and an `a`:

# %%
print(lessons.difference_in("crud", "sync_wsgi", "async_asgi"))

# %% [markdown]
# How often such a request goes to a thread:

# %%
table = lessons.table(
    "stack | hops to a thread:", [(f"`{stack}`", formatting.whole(count)) for stack, count in hops.items()]
)
display(Markdown(table if hops else f"`crud` was {lessons.NOT_MEASURED}."))

# %% [markdown]
# What it costs, beside a single query, with a few users who ask all the time. After `+` stands how a stack keeps its database connections: `max_age_60` keeps them open
# (`CONN_MAX_AGE = 60`), `pool_16` takes them from psycopg's pool. The others open one for each request, which is Django's default.

# %%
few = min((row.users for row in costs.values()), key=lambda users: abs(users - 8))
for request in cost.plan.requests:
    display(resources.cpu_per_request(cost, request, users=few))

# %%
display(Markdown(lessons.findings(cost)))

# %% [markdown]
# ### Five queries, gathered
#
# `gathered` hands them to `asyncio.gather`; its sync twin asks them one after the other. `gathered_threads` gives each query a thread and a connection. `slow_rows` asks once for
# all that the five would fetch. A pool opens some connections in advance, even if only one is used.

# %%
database.sided(gathering, ("sync_wsgi@gthread:8", stock, "async_asgi+pool_16@uvicorn"))

# %% [markdown]
# ### Connections through two waves
#
# Sixty requests come, and some seconds later sixty more. Each asks the database once and then waits for something else. Grey shows the requests in flight, the line shows the
# connections that `pg_stat_activity` counts. First on a database that allows 100 connections:

# %%
shown = ("sync_wsgi@gthread:64", "sync_wsgi+max_age_60@gthread:64", stock)
bounded = ("async_asgi+max_age_60@uvicorn", "async_asgi+pool_16@uvicorn", "pinned_pool+max_age_60@uvicorn")
request = connections.plan.requests[0]
database.waves(connections, request, 100, shown + bounded)

# %% [markdown]
# Then on one that allows 40:

# %%
database.waves(connections, request, 40)

# %%
display(Markdown(lessons.findings(connections)))

# %% [markdown]
# The errors in the labs' logs when no connection was left:

# %%
said = {error for trial in connections.trials if trial.database for error in trial.database.errors}
display(Markdown("\n".join(f"- `{error}`" for error in sorted(said))))

# %% [markdown]
# ### Payments whose clients leave
#
# A payment takes a coin from one account and gives it to another. Half of the clients leave between the two steps. `checkout` is one transaction in one sync function.
# `checkout_in_halves` is two updates with an `await` between them. `checkout_across_hops` keeps a transaction open from one a-method to the next.

# %%
database.torn(payments, ("sync_wsgi@gthread:64", stock, "pinned_pool@uvicorn"))

# %%
display(Markdown(lessons.findings(payments)))

# %% [markdown]
# `transaction.atomic` has no async form. One sync function for the whole transaction works today. One hop sends it to the thread:

# %%
print(lessons.difference_in("checkout", "sync_wsgi", "async_asgi"))

# %% [markdown]
# ### When the database goes away
#
# The database is stopped under load and started again a second later. A request that waits for a pool goes on waiting. A request that opens its own
# connection is refused at once:

# %%
database.away(outage)

# %% [markdown]
# ## Explain
#
# - **An a-method is a sync method in a thread.** `await Note.objects.aget(...)` is `await sync_to_async(Note.objects.get)(...)`, word for word in Django's source. The
#   loop is free meanwhile. A thread sends the query, and each call is one more hop.
# - **All calls of a request go to its one thread**, in the order in which they were made. So there is one connection, and `gather` is serial.
# - **A connection belongs to a thread, and behind ASGI a thread belongs to a request.** After its first query a request has a connection until it ends, also while it waits for
#   something else. So the number of connections is the number of requests in flight. Behind WSGI it is the number of threads, and that is bounded.
# - **`CONN_MAX_AGE` then keeps connections that are never used again.** The thread ends with its request, and the next request has another thread. The connection stays open until
#   Python's garbage collector closes it.
# - **A client who leaves cancels the coroutine, not the thread.** Work that is cancelled between two awaits stays half done. A function that has begun in the thread runs to
#   its end.
#
# From these facts you can predict each of the numbers:

# %%
wave, hold_s, slots, allowed = small.trial.connections, small.io_wait_s, 16, 40
at_100 = {row.stack: row for row in database.wave_rows(connections, 100)}
slowest_s = at_100["async_asgi+pool_16@uvicorn"].median("waves.first.slowest_us") / 1e6
lines = [
    ("hops to a thread of four a-methods", "2 + 4", f"{2 + 4}", formatting.whole(asked_async)),
    ("five queries of 20 ms, gathered", "5 x 20 ms", f"{5 * 20} ms", f"{formatting.number(gathered_ms)} ms"),
    (f"connections, {wave} in flight", f"{wave}", f"{wave}", formatting.whole(at_100[stock].median("waves.first.open_max"))),
    (f"the first to fail where {allowed} are allowed", f"{allowed} + 1", f"{allowed + 1}", formatting.whole(first)),
    (f"the slowest of {wave} with a pool of {slots}, at most", f"{wave} / {slots}, rounded up, x {hold_s:g} s",
     f"{ceil(wave / slots) * hold_s:g} s", f"{formatting.number(slowest_s)} s"),
]  # fmt: skip
display(Markdown(lessons.table("what | arithmetic | predicted: | measured:", lines)))

# %% [markdown]
# ## What people say
#
# Common claims about the async ORM, checked here:

# %%
display(Markdown(claim_table.settled_in("05_orm")))

# %% [markdown]
# ## What this cannot tell
#
# - **What your network adds.** The database is on the same machine. `lab run native_async_orm` puts one 1 and 10 ms away: [what it found](../results/reference/native_async_orm/README.md).
# - **What a disk adds.** This PostgreSQL does not wait for a disk when it commits.
# - **How fast PostgreSQL is.** It shares its core with the load. Where it was full, the report says *limited by database*.
# - **What an async driver would change.** psycopg has one, and Django's ORM does not use it. A package does, `django-async-backend`: it is measured in the same run.

# %% [markdown]
# ## Exercise
#
# An async site on uvicorn answers 50 requests per second. Each asks the database once, early, and then waits 0.8 s for another service. How many connections must the
# database allow, if nothing bounds them?
#
# The same question as a file: `labs/exercises/bounded_connections.py` takes as many connections as it has visitors. Bound them. `lab check bounded_connections` says
# what it sees.

# %%
my_connections = None

# %% [markdown]
# ## Check

# %%
print(lessons.check(my_connections, 50 * 0.8, "connections"))

# %% [markdown]
# ## Live
#
# This measures one query behind four stacks on your machine. Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("orm_cost", requests=["rows?n=20"], repeats=2)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - A site that waits for its database gains nothing from async views: a thread sends the query in both cases. How the connections are kept matters more.
# - Under WSGI set `CONN_MAX_AGE`. Under ASGI leave it at 0, and use a pool or bound the threads (`labs/pinned_pool`).
# - A pool of 16 does not mean 16 queries at once. A request keeps its connection until it ends, so requests that only wait make others wait. Ask late, or end the request early.
# - Compare the database's limit with your requests in flight, and let something refuse the rest: a pool's timeout, a proxy, or the server's own limit.
# - One transaction, one sync function, one hop. Between two awaits the client may leave.
# - `gather` is for waits outside of the ORM. For queries, ask once (`pk__in`, `prefetch_related`, a join). If they are truly different, give each a thread and a
#   connection from a pool, in sync and in async code.
