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
# **Question.** A feed, a long poll or a socket is open for minutes, and most of the time nothing happens. How many of them can one process hold, what does
# a connection cost that only waits, and what happens to the work for a client who has left?
#
# Every stack here serves the same `/feed`: server-sent events, one every ten seconds, and between them what is published. A driver opens N feeds, holds them,
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
# - An async view streams from an async iterator, behind uvicorn, on one event loop. A thousand browsers listen. How many threads does the server's process have?
# - A WSGI server has 8 threads, and 100 browsers listen. How many of them receive anything?

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
# The two sides of the lesson are the same generator, once sync and once async:

# %%
print(lessons.difference_in("feed", "sync_wsgi", "async_asgi"))

# %% [markdown]
# ### Held
#
# Against the number of open connections: feeds that receive anything, threads, memory, and the time until the last feed has what was published.

# %%
connections.held(run, request)

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# ### The first byte
#
# Some stacks served no feed at all. A short feed of four events, which does end, shows why. When does its first byte leave?

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
# Clients also leave: someone closes a tab while the server still works for it. Here 50 clients left at once. How much work was wasted, and how long does the next client
# wait because of it? First a view that waits for a second:

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
# - **Under WSGI a connection takes a thread.** A pool of T threads serves T feeds. The next client is connected and receives nothing. And no thread is left for the request that
#   publishes something.
# - **Under ASGI a connection is a task**, and its waiting takes no thread. But Django's handler sends the signal `request_started` to a thread. That thread is made for the request and
#   kept until the request ends, and a feed does not end. So stock Django parks a thread for each feed, even if all code is async.
# - **A waiting thread is cheap, but not free.** The last column shows how much memory each served feed added. (Without any feed gunicorn already takes
#   more memory than uvicorn, because it is two processes.)
# - **A mismatched iterator is buffered whole before its first byte leaves:** a sync iterator under ASGI, an async one under WSGI. A feed has no end, so nothing ever leaves.
# - **A client who leaves cancels a coroutine, and nothing else.** A view that awaits is cancelled at its `await`. A thread runs on, and a computation has no `await`.
#
# So N clients should get min(N, T) feeds, or N where nothing bounds the threads:

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
# Where the third and the fourth column differ, the iterator does not match the door.

# %% [markdown]
# ## What people say
#
# Common claims about streams, sockets and long polls, checked here:

# %%
display(Markdown(claim_table.settled_in("06_held_connections")))

# %% [markdown]
# ## What this cannot tell
#
# - **What the kernel keeps.** The memory shown is that of the server's processes, without socket buffers.
# - **What your messages cost.** Here an event is a few bytes and publishing is a loop over listeners. Rendering and serialising come on top.
# - **Anything about many processes.** We measured one process. Several need something that carries messages between them, such as Redis.
# - **How long real connections live.** Proxies and phones cut them, and clients come back, often all at once.

# %% [markdown]
# ## Exercise
#
# A WSGI site has two processes with 64 threads each, and 1,000 readers listen. How many of them receive nothing, at best?
#
# And one file to correct: `labs/exercises/stream.py` streams behind WSGI, but behind ASGI it arrives all at once. `lab check stream` says when its first byte leaves.

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
# This measures a thousand feeds on your machine, with stock Django and without its hops. Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
stacks = ["async_asgi@uvicorn", "zero_hop@uvicorn"]
mine = live_cell.measure("held", stacks=stacks, connections=[1000], repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - For open connections ASGI is the right door. You can put it beside a WSGI site: a second process for `/feed` and sockets, not a rewrite.
# - WSGI can hold some: a hundred listeners are a hundred threads, and you can afford those. It cannot hold more than it has threads, and it cannot hold a WebSocket.
# - With stock Django count threads as you would under WSGI. A bounded set of threads (`labs/pinned_pool`) holds as many connections as a stack without threads.
# - Match the iterator to the door, and look at the time of the first byte: a feed that is buffered looks like one that hangs.
# - If a client may leave during long work, put that work where it can be cancelled, or in a queue. CPU work is never cancelled, on either side.
