# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Async outside, sync inside
#
# **Question.** You put a project with sync views behind an ASGI server and change no view. On which thread do the views run, how many of them run at once, and what does
# it cost? And what happens if a view says `async def` and blocks all the same?
#
# | stack | the view | around it |
# |---|---|---|
# | `sync_wsgi@gthread:T` | sync | a pool of T threads |
# | `sync_asgi@uvicorn` | the same file | an event loop |
# | `async_asgi@uvicorn` | async | an event loop |

# %%
from IPython.display import Markdown, display

from bench.analyse import findings, queueing
from bench.claims import claim_table
from bench.claims.exhibits import traps
from bench.cli import diff
from bench.learn import lessons, live_cell
from bench.learn.room import widget
from bench.show.figures import resources
from bench.show.tables import formatting, markdown
from bench.show.trace_svg import picture
from bench.trace import reference_traces
from bench.trace.inside.model import hops_text

# %%
run = lessons.run_to_show("first_look")
request, at = run.plan.requests[0], lessons.Rows(run)
names = ("sync_asgi@uvicorn", "async_asgi@uvicorn", "sync_wsgi@gthread:100")
inside, outside, pool = (at[name, request, at.crowd(request, 100)] for name in names)

# %% [markdown]
# ## Predict
#
# 100 users ask a sync view that waits 100 ms, behind uvicorn, one process. How many threads does that process have at most?
#
# Ten callers ask at once for an *async* view whose author wrote `time.sleep(0.25)`. After how many milliseconds does the last of them have an answer?

# %%
my_prediction_threads = None
my_prediction_ms = None

# %% [markdown]
# ## Run
#
# ```sh
# lab run first_look             # the crowd
# lab trace sync_asgi@uvicorn hello
# ./scripts/show_stall           # for a room: one blocking line, switched on and off
# ```

# %%
blocked = traps.load()["blocking_in_async_view"]["asgi"]["trap"].values
display(Markdown(lessons.describe_run(run)))
asked = at["sync_asgi@uvicorn", request, 100]
display(Markdown(lessons.compare(my_prediction_threads, asked.median("server.threads_max"), "threads")))
display(Markdown(lessons.compare(my_prediction_ms, blocked["took_ms"], "ms")))

# %% [markdown]
# ## See
#
# Only the door changed, from `wsgi.py` to `asgi.py`. The views, the settings and the URLs are the same files:

# %%
doors = [(diff.LABS / door).read_text() for door in ("sync_wsgi/wsgi.py", "sync_asgi/asgi.py")]
print(lessons.difference(*doors))

# %% [markdown]
# One request through the new door, from top to bottom. It is for a short stream, without any middleware. Left is the event loop, right the thread, and each arrow goes from one to
# the other:

# %%
trace = reference_traces.load_trace("sync_asgi@uvicorn")
picture(trace)

# %%
(view,) = (hop for hop in trace.hops if hop.what == "feed")
display(
    Markdown(f"The view, `{view.what}`, runs on *{trace.lanes[view.to_lane]}*, as all sync code of this request does.")
)

# %% [markdown]
# Both doors serve both kinds of view. How often does the same request cross between loop and thread in each of the four combinations?

# %%
four = {stack: reference_traces.load_trace(stack) for stack in reference_traces.FEEDS if "zero_hop" not in stack}
lines = [(f"`{stack}`", hops_text(seen.hop_counts), ", ".join(seen.lanes)) for stack, seen in four.items()]
display(Markdown(lessons.table("stack | hops | runs on", lines)))

# %% [markdown]
# And with more users: throughput, threads and memory. A pool has the threads that it was given. Behind ASGI there is one for each request in flight. gunicorn's
# memory is that of two processes, one that manages and one that works.

# %%
resources.threads_and_memory(run, request)

# %% [markdown]
# ## Explain
#
# - **Outside is the loop.** It reads the request, runs Django's async handler, and sends everything sync to a thread: the view, each hook of a middleware, a signal, `close`.
# - **Inside is one thread for each request.** The request's first hop makes it, and it is parked until the request ends. So sync views behind ASGI do run side by side, each on its
#   own thread, and nothing bounds their number. An async view has such a thread as well, because Django's own `request_started` needs one.
# - **There are more threads than users.** A request keeps its thread until `close` has run there, and a short-lived extra thread shuts it down. The more users, the more of these: the
#   table in the README has the number for 400.
# - **A hop costs CPU.** For 100 users who wait it comes to this:


# %%
def line(row):
    """One stack: what a request costs, compared with the pool that has a thread for each user."""
    ratio = findings.ratio_of(row, pool, "cpu_us_per_request")
    times = "" if row is pool else f"{ratio.estimate:.1f}" if ratio else "cannot tell"
    cpu = f"{formatting.whole(row.median('cpu_us_per_request'))} µs"
    served = formatting.number(row.median("throughput_per_s")), formatting.whole(row.median("server.threads_max"))
    return f"`{row.stack}`", *served, cpu, times, row.verdict_text


head = f"stack | requests/s: | threads: | CPU per request: | times `{pool.stack}`: | verdict"
display(Markdown(lessons.table(head, map(line, (pool, inside, outside)))))

# %%
display(Markdown(lessons.findings(run, "asgi")))

# %% [markdown]
# ## One blocking line
#
# Django gives a sync view a thread, so it may block. An async view runs on the loop: while it sleeps, the loop serves nobody.

# %%
views = traps.load()["blocking_in_async_view"]["asgi"]
ways = {"trap": "`time.sleep`", "instead": "`await asyncio.sleep`"}
lines = [(says, views[name].sentence) for name, says in ways.items()]
display(Markdown(lessons.table("an async view waits by | behind uvicorn", lines)))

# %% [markdown]
# The same on real servers, recorded: ten visitors of a sync and of an async view, and each dot is a request.

# %%
widget.play_scene("blocking_line")

# %% [markdown]
# The loop is one thread, so the arithmetic is that of one thread: at most 1 / L requests per second. Requests for other pages wait as well.

# %%
wait_s = inside.io_wait_s
told = f"An async view that blocks for {1000 * wait_s:g} ms answers at most **{1 / wait_s:.0f} requests/s** a process"
answered = f"{formatting.number(inside.median('throughput_per_s'))} for {inside.load_text}"
display(
    Markdown(f"{told}. A sync view that blocks for as long answered {answered} on `{inside.stack}`, in the run above.")
)

# %% [markdown]
# ## What people say
#
# Claims about what is async, what is sync, and what the adapter between them does:

# %%
display(Markdown(claim_table.settled_in("03_sync_inside")))

# %% [markdown]
# ## What this cannot tell
#
# - **What your views hold.** A thread for each request is also a database connection for each request whose view asks the database: see lesson 05.
# - **How many threads are too many.** Here they sleep. Threads that compute take turns on one core.
# - **Whether a library blocks.** Its name does not say. Lesson 07 has a list of calls.

# %% [markdown]
# ## Exercise
#
# An async view awaits for 100 ms and then computes, or blocks, for 20 ms. 50 users ask one process for it. How many requests per second can it answer at most?
#
# And one file to correct: the view in `labs/exercises/blocking_view.py` waits inside a client library that blocks, so it serves one caller at a time.
# `lab check blocking_view` says how many are inside at once.

# %%
my_most = None

# %% [markdown]
# ## Check

# %%
limit = queueing.limit_per_s(users=50, io_wait_s=0.1, cpu_s=0.02, threads=None)
print(lessons.check(my_most, limit, "requests/s", within=0.05))

# %% [markdown]
# ## Live
#
# This measures `time.sleep` in both kinds of view, for ten users on your machine, with a progress bar. Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you
# start Jupyter.

# %%
blocking = {"stacks": ["sync_asgi@uvicorn", "async_asgi@uvicorn"], "requests": ["blocking_wait?ms=100"]}
mine = live_cell.measure("first_look", **blocking, users=[10], repeats=1, duration_s=4)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **Sync views behind ASGI are a fair choice**: you change no view, many users are served at once, and the same process can hold sockets and streams. They cost more CPU than behind WSGI.
# - **Behind WSGI the pool is a bound.** It protects the database and the memory. Behind ASGI you have to set a bound yourself.
# - **Leave a view sync unless all of it can await.** An async view with one blocking line is worse than a sync one, for every user of the process.
