# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Within a request: one after the other, gathered, or in threads
#
# **Question.** A page asks five services before it can answer, and sync code asks them one after the other. Many people go async because of `asyncio.gather`.
# Would a few threads do as well, and what does each way cost?
#
# The two workloads of this lesson make five calls of 100 ms to a slow service:
#
# | workload | sync views | async views |
# |---|---|---|
# | `fan_out` | one after the other | gathered on the loop |
# | `fan_out_threads` | in five threads, for this request | in five threads, awaited |

# %%
from IPython.display import Markdown, display

from bench.claims import claim_table
from bench.claims.exhibits import traps
from bench.learn import lessons, live_cell
from bench.show.figures import within_request
from bench.show.figures.database import P50
from bench.show.tables import formatting, markdown

run = lessons.run_to_show("fan_out")
in_a_row, in_threads = "fan_out?n=5&ms=100", "fan_out_threads?n=5&ms=100"
at = lessons.Rows(run)
wsgi, loop = "sync_wsgi@gthread:16", "async_asgi@uvicorn"

# %% [markdown]
# ## Predict
#
# - An async view gathers the five calls. Eight users ask for it at once, again and again. Within how many milliseconds do half of the answers come?
# - Eight users ask for the sync view that makes its calls in five threads. How many threads does the server have at most?

# %%
my_prediction_ms = None
my_prediction_threads = None

# %% [markdown]
# ## Run
#
# ```sh
# lab run fan_out --profile standard       # starts the slow service as well
# lab diff sync_wsgi async_asgi            # all views of both sides
# ```

# %%
display(Markdown(lessons.describe_run(run)))
gathered, threaded = at[loop, in_a_row, 8], at[wsgi, in_threads, 8]
display(Markdown("Gathered: " + lessons.compare(my_prediction_ms, P50.of(gathered), "ms")))
display(
    Markdown("In threads: " + lessons.compare(my_prediction_threads, threaded.median("server.threads_max"), "threads"))
)

# %% [markdown]
# ## See
#
# Every way on every stack, with users who ask again as soon as they are answered:

# %%
users = min((row.users for row in at.values()), key=lambda users: abs(users - 8))
within_request.within(run, users)

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# The view that makes its calls one after the other, and the view that gathers them:

# %%
print(lessons.difference_in("fan_out", "sync_wsgi", "async_asgi"))

# %% [markdown]
# The same five calls in threads. The sync side needs only the standard library, no event loop:

# %%
print(lessons.difference_in("fan_out_threads", "sync_wsgi", "async_asgi"))

# %% [markdown]
# ### Where gather does not overlap
#
# All a-methods of the ORM go to the one thread that a request has, one after the other. Five queries, gathered, and the same five in threads of their own:

# %%
seen = traps.load()["gather_is_serial"]["asgi"]
display(Markdown(f"- `gather` over the ORM: {seen['trap'].sentence}\n- instead: {seen['instead'].sentence}"))

# %% [markdown]
# ## Explain
#
# Calls in a row take the sum of their times. Calls that overlap take as long as the slowest of them, whether a loop or threads make them overlap:

# %%
lines = [
    (
        f"`{row.stack}`",
        f"`{row.request.partition('?')[0]}`",
        f"{1000 * row.io_wait_s:.0f} ms",
        f"{formatting.number(P50.of(row))} ms",
        formatting.whole(row.median("server.threads_max")),
        f"{formatting.whole(row.median('cpu_us_per_request'))} µs",
    )
    for row in within_request.within_rows(run, users)
]
head = "stack | workload | must wait: | half answered within: | threads: | CPU per request:"
display(Markdown(lessons.table(head, lines)))

# %% [markdown]
# - **Behind ASGI a sync view still makes its calls one after the other.** The door changes where a view runs, not what it does.
# - **Gathering saves threads**: five for each request in flight, and their memory. Eight requests with six threads each, their own and five more, are 48. A server has a few
#   more for itself.
# - **Gathering does not save CPU.** A request makes five HTTP calls, and those cost more than the view around them. See the last column.

# %% [markdown]
# ## What people say
#
# Common claims about `sync_to_async` and its threads, checked here:

# %%
display(Markdown(claim_table.settled_in("08_within_a_request")))

# %% [markdown]
# ## What this cannot tell
#
# - **What your services do when five calls come at once.** This one sleeps. A real one may answer them one by one, or limit you.
# - **What one slow call of five does.** Here all take the same time. In practice the slowest one decides, so give it a time limit.
# - **Which client is best.** Both sides here use httpx; another one may cost less.

# %% [markdown]
# ## Exercise
#
# You change the sync view from calls in a row to calls in five threads. By which factor does the throughput change on `sync_wsgi@gthread:16`, for 8 users and for one user?
#
# And one file to correct: in `labs/exercises/overlapping_calls.py` a sync and an async view make their calls one after the other. `lab check overlapping_calls` counts how many
# calls reach the service at once.

# %%
my_factors = {8: None, 1: None}

# %% [markdown]
# ## Check

# %%
for count, mine in my_factors.items():
    before, after = (at[wsgi, request, count].median("throughput_per_s") for request in (in_a_row, in_threads))
    print(
        f"{count} user{'s' if count > 1 else ''}: {lessons.check(mine, before and after and after / before, 'times', within=0.2)}"
    )

# %% [markdown]
# ## Live
#
# This measures all three ways on your machine, with eight users. Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("fan_out", users=[8], repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **For a few calls in a few requests, threads in a sync view are enough**: the answer comes as soon, you rewrite nothing, and any client library will do. Bound the pool. If many
#   requests come, use one pool for the process.
# - **The loop is for many calls**: a hundred in one request, or five in each of a thousand requests. That would be thousands of threads.
# - **A gather takes as long as its slowest call.** Set time limits first, then add concurrency.
# - **Queries do not overlap this way.** Ask for less, use a join, or give each query its own connection, and count the connections.
