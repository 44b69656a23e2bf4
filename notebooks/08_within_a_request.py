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
# **Question.** A page asks five services before it can answer, and sync code asks them one after the other. `asyncio.gather` is the reason most often given for going
# async. Would a handful of threads have done as well, and what does either take?
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
# - An async view gathers the five calls. After how many milliseconds has half of its visitors an answer?
# - Eight visitors at once ask the sync view that makes its calls in five threads. How many threads has the server?

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
# Every way on every stack, with users who ask again and again:

# %%
users = min((row.users for row in at.values()), key=lambda users: abs(users - 8))
within_request.within(run, users)

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# The view that asks in a row, and what gathering makes of it:

# %%
print(lessons.difference_in("fan_out", "sync_wsgi", "async_asgi"))

# %% [markdown]
# The same five calls in threads. The sync side needs no event loop for it, only the standard library:

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
# Calls in a row take their sum; calls that overlap take as long as the slowest of them. Whether a loop or threads make them overlap does not matter to that:

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
head = "stack | workload | must wait: | half answered within: | threads: | CPU a request:"
display(Markdown(lessons.table(head, lines)))

# %% [markdown]
# - **Behind ASGI a sync view still asks in a row.** The door changes where a view runs, not what is in it.
# - **What gathering saves is threads**: five for each request in flight, and the memory that goes with them. Eight requests of six threads each, their own and five more, are
#   the number you were asked for, but for the few that a server has anyway.
# - **It does not save CPU.** A request makes five HTTP calls, and those cost more than the view around them: read the last column before you say that gathering is cheap.

# %% [markdown]
# ## What people say
#
# What this lesson and its probes have to say to sentences that are heard about `sync_to_async` and its threads:

# %%
display(Markdown(claim_table.settled_in("08_within_a_request")))

# %% [markdown]
# ## What this cannot tell
#
# - **What your services do when five calls come at once.** This one sleeps. A real one may take turns, or limit you.
# - **What one slow call of five does.** Here all take the same time; in the wild the slowest decides, and needs a time limit.
# - **Which client is best.** Both sides here use httpx; another one may cost less.

# %% [markdown]
# ## Exercise
#
# The sync view is changed from a row of calls to five threads. By which factor does the throughput of 8 users on `sync_wsgi@gthread:16` change? And that of one user?
#
# And one to mend: in `labs/exercises/overlapping_calls.py` two views, a sync one and an async one, ask in a row. `lab check overlapping_calls` counts how many calls are with the service at once.

# %%
my_factors = {8: None, 1: None}

# %% [markdown]
# ## Check

# %%
for count, mine in my_factors.items():
    before, after = (at[wsgi, request, count].median("throughput_per_s") for request in (in_a_row, in_threads))
    print(f"{count} at once: {lessons.check(mine, before and after and after / before, 'times', within=0.2)}")

# %% [markdown]
# ## Live
#
# All three ways on this machine, with eight users: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("fan_out", users=[8], repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **For a few calls in a few requests, threads in a sync view are enough**: as soon answered, no rewriting, any client library. Bound the pool, and give it to the process instead of the request where many come.
# - **The loop is for calls that are many**: a hundred in a request, or five in each of a thousand. Threads would be in the thousands, tasks are not.
# - **A gather is as good as its slowest call.** Time limits first, then concurrency.
# - **Queries do not overlap this way.** Ask for less, join, or take connections of their own, and count them.
