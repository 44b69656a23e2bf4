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
# **Question.** A project with sync views is put behind an ASGI server, and not one view is changed. Which thread do the views run on, how many of them run at once, and what does
# it cost? And what if a view says `async def` and blocks all the same?
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
# 100 users ask a sync view that waits 100 ms, behind uvicorn, one process. How many threads has that process?
#
# Ten callers ask an *async* view whose author wrote `time.sleep(0.25)`. After how many milliseconds does the last of them have an answer?

# %%
my_prediction_threads = None
my_prediction_ms = None

# %% [markdown]
# ## Run
#
# ```sh
# lab run first_look             # the crowd
# lab trace sync_asgi@uvicorn hello --middleware startproject
# ./scripts/show_stall           # for a room: one blocking line, switched on and off
# ```

# %%
blocked = traps.load()["blocking_in_async_view"]["asgi"]["trap"].values
display(Markdown(lessons.describe_run(run)))
display(Markdown(lessons.compare(my_prediction_threads, inside.median("server.threads_max"), "threads")))
display(Markdown(lessons.compare(my_prediction_ms, blocked["took_ms"], "ms")))

# %% [markdown]
# ## See
#
# All that was changed is the door, `wsgi.py` against `asgi.py`; the views, the settings and the URLs are the same files:

# %%
doors = [(diff.LABS / door).read_text() for door in ("sync_wsgi/wsgi.py", "sync_asgi/asgi.py")]
print(lessons.difference(*doors))

# %% [markdown]
# One request through it, from top to bottom, under the seven middlewares of a new project:

# %%
trace = reference_traces.load_trace("sync inside")
picture(trace)

# %%
(view,) = (hop for hop in trace.hops if hop.what == "hello")
place = f"hop {view.number} of {len(trace.hops)}, on *{trace.lanes[view.to_lane]}*"
display(Markdown(f"The view, `{view.what}`, is {place}; all that is sync in this request runs there."))
spent = f"{trace.handed_off_us / 1000:.1f} of {trace.took_us / 1000:.1f} ms"
display(Markdown(f"Getting from thread to thread took {spent}: {hops_text(trace.hop_counts)}."))

# %% [markdown]
# Both doors serve both kinds of view. What a request crosses in each of the four, here for a short stream without any middleware:

# %%
four = {stack: reference_traces.load_trace(stack) for stack in reference_traces.FEEDS if "zero_hop" not in stack}
lines = [(f"`{stack}`", hops_text(seen.hop_counts), ", ".join(seen.lanes)) for stack, seen in four.items()]
display(Markdown(lessons.table("stack | crossings | runs on", lines)))

# %% [markdown]
# With more users: the throughput, the threads and the memory. A pool takes the threads that it was given; behind ASGI there is one for each request in flight. gunicorn's
# memory is that of two processes, the one that manages and the one that works.

# %%
resources.threads_and_memory(run, request)

# %% [markdown]
# ## Explain
#
# - **Outside is the loop.** It reads the request, walks through Django's async handler, and sends whatever is sync to a thread: the view, each hook of a middleware, a signal, `close`.
# - **Inside is one thread for each request**, made by its first hop and parked until it ends. So sync views behind ASGI do run side by side, each on a thread of its own, and nothing bounds
#   how many. An async view has one as well: Django's own `request_started` needs it. An answered request
#   keeps its thread until `close` has run there, and asgiref starts another to end it, so that more are counted than there are users.
# - **A hop costs CPU.** What that comes to for 100 users who wait:


# %%
def line(row):
    """One stack: what a request costs, against the pool that has a thread for everybody."""
    ratio = findings.ratio_of(row, pool, "cpu_us_per_request")
    times = "" if row is pool else f"{ratio.estimate:.1f}" if ratio else "cannot tell"
    cpu = f"{formatting.whole(row.median('cpu_us_per_request'))} µs"
    served = formatting.number(row.median("throughput_per_s")), formatting.whole(row.median("server.threads_max"))
    return f"`{row.stack}`", *served, cpu, times, row.verdict_text


head = f"stack | requests/s: | threads: | CPU a request: | times `{pool.stack}`: | verdict"
display(Markdown(lessons.table(head, map(line, (pool, inside, outside)))))

# %%
display(Markdown(lessons.findings(run, "asgi")))

# %% [markdown]
# ## One blocking line
#
# A sync view says that it blocks, and is given a thread. An async view that blocks says nothing: it runs on the loop, and while it sleeps the loop serves nobody.

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
# The arithmetic is that of one thread, because the loop is one: 1 / L for the view that blocks, and whoever asks for another page meanwhile waits as well.

# %%
wait_s = inside.io_wait_s
told = f"An async view that blocks for {1000 * wait_s:g} ms answers at most **{1 / wait_s:.0f} requests/s** a process"
answered = formatting.number(inside.median("throughput_per_s"))
display(Markdown(f"{told}; a sync view that blocks as long answered {answered} in the run above, on `{inside.stack}`."))

# %% [markdown]
# ## What people say
#
# Who is async here, who is sync, and which way the adapter between them turns:

# %%
display(Markdown(claim_table.settled_in("03_sync_inside")))

# %% [markdown]
# ## What this cannot tell
#
# - **What your views hold.** A thread for each request is a database connection for each request, if the view asks one: the lesson on the ORM.
# - **How many threads are too many.** Here they sleep. Threads that compute take turns at one core.
# - **Whether a library blocks.** Its name does not say; the lesson on traps has a list of calls.

# %% [markdown]
# ## Exercise
#
# An async view awaits for 100 ms and then computes, or blocks, for 20 ms. 50 users ask it, one process. How many requests per second can it answer at most?
#
# And one to mend: `labs/exercises/blocking_view.py` waits as its client library does, and lets nobody else in. `lab check blocking_view` says how many are inside at once.

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
# `time.sleep` in both kinds of view, for ten users on this machine, with a progress bar: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you
# start Jupyter.

# %%
blocking = {"stacks": ["sync_asgi@uvicorn", "async_asgi@uvicorn"], "requests": ["blocking_wait?ms=100"]}
mine = live_cell.measure("first_look", **blocking, users=[10], repeats=1, duration_s=4)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **Sync views behind ASGI are a fair place to be**: they keep what they are, a crowd is served, and one process can hold sockets and streams beside them. They cost more CPU than behind WSGI.
# - **Behind WSGI the pool is a bound**, and a bound is a friend: of the database, of memory, of whoever comes next. Behind ASGI you have to set one yourself.
# - **Leave a view sync unless all of it can await.** An async view with one blocking line is worse than a sync one, for everybody.
