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
# **Question.** Django's ORM has a method with an `a` before its name for nearly everything. Does it wait for the database as an event loop waits, and what
# becomes of connections and transactions when a view is async?
#
# All runs of this lesson asked a real PostgreSQL on the same machine. It shares a core with the load, the server has one of its own.

# %%
from IPython.display import Markdown, display

from bench import lessons, plots, plots_database, summary, tables, timeline

cost = lessons.run_to_show("orm_cost")
connections, gathering = lessons.reference("connections"), lessons.reference("serial_gather")
payments, outage = lessons.reference("transactions"), lessons.reference("outage")
rows = lessons.Rows(cost)

# %% [markdown]
# ## Predict
#
# An async view creates a row, reads it, changes it and deletes it, each with its a-method. How often does the request cross between the event loop and a thread?
# And how many milliseconds do five queries of 20 ms take that the view hands to `asyncio.gather`?

# %%
my_prediction_hops = None
my_prediction_ms = None

# %% [markdown]
# ## Run
#
# ```sh
# lab doctor                                     # which database there will be: PostgreSQL without any set-up where its programs are
# lab run orm_cost --profile standard            # some minutes; reference is what you see here
# lab run serial_gather
# LAB_DATABASE_URL=postgresql://me:secret@127.0.0.1/mine lab run orm_cost    # your own server
# ```

# %%
hops = rows["pinned_pool+max_age_60@uvicorn", "crud", 8].median("hops.sync_to_async")
side = {(row.stack, row.request.partition("?")[0]): row for row in summary.rows_of(gathering)}
serial_ms = plots_database.P50.of(side["async_asgi@uvicorn", "gathered"])
display(Markdown(lessons.compare(my_prediction_hops, hops, "crossings")))
display(Markdown(lessons.compare(my_prediction_ms, serial_ms, "ms")))

# %% [markdown]
# ## See
#
# The same life of a row, spelt twice:

# %%
display(Markdown(f"```diff\n{lessons.difference_in('crud', 'sync_wsgi', 'async_asgi')}\n```"))

# %% [markdown]
# What a request costs the server, with eight users asking all the time:

# %%
plots.cpu_per_request(cost, "crud", users=8)

# %%
plots.throughput_vs_users(cost, "rows?n=20")

# %%
for finding in summary.findings_of(cost):
    display(Markdown(f"- **{finding.value}**: {finding.claim.says}: {finding.text}"))

# %% [markdown]
# ## Explain
#
# - **An a-method is a sync method in a thread.** `await Note.objects.aget(...)` is `await sync_to_async(Note.objects.get)(...)`, word for word in Django's source. The
#   event loop is free meanwhile, and that is what it is for; the query itself is asked by a thread, and each call is one more hop.
# - **All of a request's calls go to one thread**, its own, in the order they were made. Hence the same connection, and hence `gather` is serial.
# - **What costs most is neither.** Django opens a connection for each request unless it is told otherwise, and to PostgreSQL a connection is a process.
#
# ## gather is serial

# %%
plots_database.sided(gathering)

# %%
for finding in summary.findings_of(gathering):
    display(Markdown(f"- **{finding.value}**: {finding.claim.says}: {finding.text}"))

# %% [markdown]
# Instead: ask once for what five queries would fetch (`pk__in`, `prefetch_related`, a join). Where they are truly different, a thread for each with a connection of
# its own, in sync code as well as in async code, and then a pool, for those connections must be opened.
#
# ## Connections
#
# Two waves of requests, each of which asks the database once and then waits for something else. Grey is what is in flight, the line is what `pg_stat_activity` counts.

# %%
request = connections.plan.requests[0]
plots_database.waves(connections, request, 100)

# %%
plots_database.waves(connections, request, 40)

# %%
for finding in summary.findings_of(connections):
    display(Markdown(f"- **{finding.value}**: {finding.claim.says}: {finding.text}"))

# %% [markdown]
# - **Under ASGI every request in flight has a connection once it has asked**, also while it waits for something else: the thread it was given keeps it until the end.
#   An event loop lets in whoever comes, so the database's limit is reached by requests, not by threads.
# - **`CONN_MAX_AGE` keeps what nobody finds again.** A connection belongs to a thread, the thread ends with its request, and the next request has another. What was
#   kept stays open until Python's garbage collector comes by.
# - **What bounds them**: a pool (psycopg's, which Django takes since 5.1), or a bounded set of threads (`labs/pinned_pool`). A pool of 16 is no pool for 16 queries at
#   once, though: a request has its connection for as long as it lives, so those that only wait make others wait.
#
# What the labs' logs said when no connection was left:

# %%
said = {error for trial in connections.trials if trial.database for error in trial.database.errors}
display(Markdown("\n".join(f"- `{error}`" for error in sorted(said))))

# %% [markdown]
# ## Transactions
#
# A payment takes a coin from one account and gives it to another. Half of the clients leave between the two rows.

# %%
plots_database.torn(payments)

# %%
for finding in summary.findings_of(payments):
    display(Markdown(f"- **{finding.value}**: {finding.claim.says}: {finding.text}"))

# %% [markdown]
# `transaction.atomic` has no async form. What works today is to write the whole transaction as a sync function and to send it to the thread in one hop. Once there, it
# runs to its end: a client who leaves cancels the view, not the thread.

# %%
display(Markdown(f"```diff\n{lessons.difference_in('checkout', 'sync_wsgi', 'async_asgi')}\n```"))

# %% [markdown]
# ## When the database goes away

# %%
plots_database.away(outage)

# %%
timeline.timeline(timeline.outages(outage)[:1])

# %%
for finding in summary.findings_of(outage):
    display(Markdown(f"- **{finding.value}**: {finding.claim.says}: {finding.text}"))

# %% [markdown]
# ## What this cannot tell
#
# - **What your network adds.** The database is on the same machine: over a network each query waits longer, and waiting is what threads and loops are both good at.
# - **What a disk adds.** The throw-away PostgreSQL does not wait for one when it commits.
# - **How fast PostgreSQL is.** It shares its core with the load; where it is the limit, the table says so.
# - **Anything about async drivers.** psycopg has one, and Django's ORM does not use it.

# %% [markdown]
# ## Exercise
#
# An async site on uvicorn, one process, asks a database that allows 40 connections. Sixty requests come one after the other, each asks once and then waits for 1.5 s.
# The how manieth is the first to fail? And how many of a second sixty fail, two seconds after all have been answered, if `CONN_MAX_AGE` is 60?

# %%
my_answer_first, my_answer_second = None, None

# %% [markdown]
# ## Check

# %%
seen = {(row.stack, row.load.max_connections): row for row in summary.rows_of(connections)}
first = round(seen["async_asgi@uvicorn", 40].median("waves.first.first_failed") or 0)
second = round(seen["async_asgi+max_age_60@uvicorn", 40].median("waves.second.failed") or 0)
print(
    f"The {first}th fails first; you said {my_answer_first}. Of the second wave {second} fail; you said {my_answer_second}."
)

# %% [markdown]
# ## Live
#
# One query behind four stacks on this machine: set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = lessons.measure_live("orm_cost", "--profile", "quick", "--workload", "rows?n=20")
if mine:
    display(Markdown(tables.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - A site that waits for its database gains nothing by async views: threads ask, here as there. What it gains or loses is decided by how connections are kept.
# - Under WSGI set `CONN_MAX_AGE`; under ASGI leave it at 0 and take a pool, or bound the threads.
# - Set the database's limit against requests in flight, not against threads, and let something refuse what is beyond: a pool's timeout, a proxy, the server's limit.
# - One transaction, one sync function, one hop. Between two awaits the client may leave.
# - `gather` is for what waits outside of the ORM: other services, not queries.
