# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Connections that stay open
#
# **Question.** A feed, a long-poll or a socket is open for minutes, and for most of them nothing happens. How many of those can one process hold, what does
# a connection cost that only waits, and what becomes of the work for a client who has gone?
#
# Every stack here serves the same `/feed`: server-sent events, one every ten seconds, and between them whatever is published. A driver opens N of them, holds them,
# publishes to all, and closes them again.

# %%
from IPython.display import Markdown, display

from bench.claims import claim_table
from bench.learn import lessons, live_cell
from bench.show.figures import connections
from bench.show.tables import formatting, markdown
from bench.trace import reference_traces

run, left = lessons.run_to_show("held"), lessons.reference("gone")
request = run.plan.requests[0]
at = lessons.Rows(run)
stock = "async_asgi@uvicorn"

# %% [markdown]
# ## Predict
#
# - An async view streams from an async iterator, behind uvicorn, on one event loop. A thousand browsers listen. On how many threads does the server's process run?
# - A WSGI server has 8 threads, and 100 browsers listen. How many of them hear anything?

# %%
my_prediction_threads = None
my_prediction_served = None

# %% [markdown]
# ## Run
#
# ```sh
# lab run held --profile standard                                # some minutes
# lab run held --stack zero_hop@uvicorn --connections 5000       # one stack, as many as you like
# lab run gone                                                   # clients who leave
# ```

# %%
display(Markdown(lessons.describe_run(run)))
threads = at[stock, request, 1000].median("held.threads_held")
served = at["sync_wsgi@gthread:8", request, 100].median("held.served")
display(Markdown("Event loop: " + lessons.compare(my_prediction_threads, threads, "threads")))
display(Markdown("Eight threads: " + lessons.compare(my_prediction_served, served, "listeners")))

# %% [markdown]
# ## See
#
# The two sides of the lesson are the same generator, spelt twice:

# %%
print(lessons.difference_in("feed", "sync_wsgi", "async_asgi"))

# %% [markdown]
# ### Held
#
# All of it against the number of open connections: feeds that hear anything, threads, memory, and how soon the last one has what was published.

# %%
connections.held(run, request)

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# ### The first byte
#
# Some stacks served none. A short feed of four events, which does come to its end, shows why: when does its first byte leave?

# %%
traces = {stack: reference_traces.load_trace(stack) for stack in reference_traces.FEEDS}
lines = [
    (f"`{stack}`", f"{trace.first_byte_us / 1000:.0f} ms", f"{trace.took_us / 1000:.0f} ms")
    for stack, trace in traces.items()
]
display(
    Markdown(
        f"`lab trace STACK '{reference_traces.FEED}'`\n\n" + lessons.table("stack | first byte: | all of it:", lines)
    )
)

# %% [markdown]
# ### When they leave
#
# Clients do not only stay, they go: a tab is closed while the server still works for it. Here 50 left at once. What was done for nobody, and how long does the next client
# wait for that? First a view that waits a second:

# %%
waiting, computing = left.plan.requests
connections.gone(left, waiting)

# %% [markdown]
# Then one that computes:

# %%
connections.gone(left, computing)

# %%
display(Markdown(lessons.findings(left)))

# %% [markdown]
# ## Explain
#
# - **Under WSGI a connection is a thread.** A pool of T threads serves T feeds; the next one is connected and hears nothing. Nor is a thread left that could take what is
#   to be published.
# - **Under ASGI it is a task**, and the view's waiting takes no thread. But Django's handler sends the signal `request_started` to a thread, made for this request and kept until it ends,
#   which a feed does not. So stock Django parks a thread for each, also where all code is async.
# - **A thread that waits is cheap, not free.** The last column is what each feed that is served added to the server's memory. (Before the first one gunicorn has
#   more of it than uvicorn: two processes, the one that manages and the one that works.)
# - **The wrong pairings collect.** Django takes a sync iterator to its end before the first byte leaves under ASGI, and an async one under WSGI. A feed has no end.
# - **Leaving cancels a coroutine, and nothing else.** A view that awaits is told at its `await`; a thread is told nothing, and a computation has no `await` to be told at.
#
# So served should be min(N, T), and N where nothing bounds it:

# %%
lines = [
    (
        f"`{row.stack}`",
        f"{row.trial.connections:,}",
        f"{min(row.trial.connections, row.slots or row.trial.connections):,}",
        formatting.whole(row.median("held.served")),
        formatting.whole(row.median("held.threads_held")),
        formatting.number(connections.PER_FEED.of(row)),
    )
    for row in at.values()
    if row.measured and row.trial.connections
]
display(Markdown(lessons.table("stack | N: | min(N, T): | served: | threads: | kB each:", lines)))

# %% [markdown]
# Where the third and the fourth column differ, the iterator is of the wrong kind.

# %% [markdown]
# ## What people say
#
# What this lesson and its probes have to say to sentences that are heard about streams, sockets and long polls:

# %%
display(Markdown(claim_table.settled_in("06_held_connections")))

# %% [markdown]
# ## What this cannot tell
#
# - **What the kernel keeps.** Memory is that of the server's process; socket buffers are not in it.
# - **What your messages cost.** Here an event is a few bytes and publishing is a loop over listeners; rendering and serialising come on top.
# - **Anything about many processes.** One process was asked. Several need something between them that carries what is published, such as Redis.
# - **How long connections live in the wild.** Proxies and phones cut them; clients come back, often all at once.

# %% [markdown]
# ## Exercise
#
# A site has two processes with a pool of 64 threads each behind WSGI, and 1,000 readers listen. How many of them hear nothing, at best?
#
# And one to mend: `labs/exercises/stream.py` streams behind WSGI and comes all at once behind ASGI. `lab check stream` says when its first byte leaves.

# %%
my_answer = None

# %% [markdown]
# ## Check

# %%
served = at["sync_wsgi@gthread:64", request, 1000].median("held.served")
print(lessons.check(my_answer, None if served is None else 1000 - 2 * served, "readers", within=0))

# %% [markdown]
# ## Live
#
# A thousand feeds on this machine, with stock Django and without its hops: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
stacks = ["async_asgi@uvicorn", "zero_hop@uvicorn"]
mine = live_cell.measure("held", stacks=stacks, connections=[1000], repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - For open connections ASGI is the right door, and a reason to have one beside a WSGI site: a second process for `/feed` and sockets, not a rewrite.
# - WSGI can hold some: a hundred listeners are a hundred threads, and those are affordable. What it cannot do is hold more than it has threads, or a WebSocket.
# - Under stock Django count threads as you would under WSGI. A bounded set of them (`labs/pinned_pool`) holds as many connections as none at all.
# - Match the iterator to the door, and look at the time of the first byte: a feed that collects looks like one that hangs.
# - Work that a client may walk away from belongs where it can be cancelled, or in a queue. CPU work is never given up, on either side.
