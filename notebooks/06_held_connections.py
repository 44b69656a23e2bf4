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
# **Question.** A feed, a long-poll or a socket is open for minutes and does nothing for most of them. How many of those can one process hold,
# and what does a connection cost that only waits?
#
# Every stack here serves the same `/feed`: server-sent events, one every ten seconds, and between them whatever is published. A driver
# opens N of them, holds them, publishes to all, and closes them again.

# %%
from IPython.display import Markdown, display

from bench import lessons, plots_connections, summary, tables
from bench.hops import kept

run, left = lessons.run_to_show("held"), lessons.reference("gone")
request = run.plan.requests[0]
rows = {(row.stack, row.load.connections): row for row in summary.rows_of(run)}
stock, hop_free = "async_asgi@uvicorn", "zero_hop@uvicorn"

# %% [markdown]
# ## Predict
#
# An async view streams from an async iterator, behind uvicorn, on one event loop. A thousand browsers listen. On how many threads does the
# server process run? And how many of 100 listeners does a WSGI server with 8 threads serve?

# %%
my_prediction_threads = None
my_prediction_served = None

# %% [markdown]
# ## Run
#
# ```sh
# lab run held --profile standard      # some minutes; reference is what you see here
# lab run held --stack zero_hop@uvicorn --connections 5000
# ```

# %%
threads = rows[stock, 1000].median("held.threads_held")
served = rows["sync_wsgi@gthread:8", 100].median("held.served")
display(Markdown(lessons.compare(my_prediction_threads, threads, "threads")))
display(Markdown(lessons.compare(my_prediction_served, served, "listeners served")))

# %% [markdown]
# ## See
#
# The two sides of the lesson are the same generator, spelt twice:

# %%
display(Markdown(f"```diff\n{lessons.difference_in('feed', 'sync_wsgi', 'async_asgi')}\n```"))

# %%
plots_connections.held(run, request)

# %% [markdown]
# ## Explain
#
# - **Under WSGI a connection is a thread.** A pool of T threads serves T feeds; the next one is connected and hears nothing. Nor is there a thread left
#   that could take what is to be published.
# - **Under ASGI it should be a task.** It is: the view's waiting takes none. But Django's handler sends the signal `request_started` to a thread, made for this
#   request and kept until it ends, which a feed does not. So stock Django parks a thread for each, also where all code is async.
# - **A thread that waits is cheap, not free.** What each added to the server's memory:

# %%
for stack, count in ((stock, 1000), (hop_free, 1000), ("sync_wsgi@gthread:1000", 1000)):
    each = tables.number((rows[stack, count].median("held.rss_per_connection_bytes") or 0) / 1000)
    display(Markdown(f"- `{stack}`, {count:,} feeds: {each} kB of resident memory each"))

# %% [markdown]
# - **The wrong pairings buffer.** Django collects a sync iterator as a whole before the first byte leaves under ASGI, and an async one under WSGI. A feed has no
#   end to wait for, so nobody hears anything: the stacks named under the figure. A short feed of four events shows when its first byte left:

# %%
lines = [
    f"| `{stack}` | {trace.first_byte_us / 1000:.0f} ms | {trace.took_us / 1000:.0f} ms |"
    for stack, trace in ((stack, kept.load(stack)) for stack in kept.FEEDS)
]
display(
    Markdown(f"`lab trace STACK '{kept.FEED}'`\n\n| stack | first byte | all |\n|---|--:|--:|\n" + "\n".join(lines))
)

# %% [markdown]
# What the run says to the claims:

# %%
for finding in summary.findings_of(run):
    display(Markdown(f"- **{finding.value}**: {finding.claim.says}: {finding.text}"))

# %% [markdown]
# ## When they leave
#
# Clients do not only stay, they go: a tab is closed while the server still works for it. What is done for nobody, and who waits for that:

# %%
waiting, computing = left.plan.requests
plots_connections.gone(left, waiting)

# %%
plots_connections.gone(left, computing)

# %%
for finding in summary.findings_of(left):
    display(Markdown(f"- **{finding.value}**: {finding.claim.says}: {finding.text}"))

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
# A site has a pool of 64 threads behind WSGI and 1,000 readers who listen. How many of them hear nothing?

# %%
my_answer = None

# %% [markdown]
# ## Check

# %%
starved = round(rows["sync_wsgi@gthread:64", 1000].median("held.starved") or 0)
print(f"{starved} hear nothing; you said {my_answer}: {'right' if my_answer == starved else 'not yet'}")

# %% [markdown]
# ## Live
#
# Up to a thousand feeds on this machine: set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = lessons.measure_live("held", "--profile", "quick", "--repeats", "1")
if mine:
    display(Markdown(tables.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - For open connections ASGI is the right door, and the reason to have one beside a WSGI site: a second process for `/feed` and sockets, not a rewrite.
# - WSGI can hold some: a hundred listeners are a hundred threads, and those are affordable. What it cannot do is hold more than it has threads, or a WebSocket.
# - Under stock Django count threads as you would under WSGI. A bounded pool of them (`labs/pinned_pool`) already holds as many connections as none at all.
# - Match the iterator to the door, and look at the time of the first byte: a feed that buffers looks like one that hangs.
# - Work that a client may walk away from belongs where it can be cancelled, or in a queue; CPU work is never given up, on either side.
