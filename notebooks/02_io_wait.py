# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Waiting on I/O: threads, the loop, and the CPU in between
#
# **Question.** A view waits for something: a database, another service, a disk. It needs next to no CPU of its own. As more
# users come at once, what bounds the throughput: the threads, the event loop, or what a request costs in CPU?
#
# Three ways to serve the same answer, each on one core:
#
# | stack | how a request waits |
# |---|---|
# | `sync_wsgi@gthread:T` | in one of T threads |
# | `sync_asgi@uvicorn` | in a thread made for it, with an event loop outside |
# | `async_asgi@uvicorn` | on the event loop |

# %%
from IPython.display import Markdown, display

from bench.analyse import queueing
from bench.claims import claim_table
from bench.learn import lessons, live_cell
from bench.show.figures import resources, throughput
from bench.show.tables import formatting, markdown

run = lessons.run_to_show("io_wait")
request = run.plan.requests[0]
at = lessons.Rows(run)
users = at.crowd(request, 200)

# %% [markdown]
# ## Predict
#
# 200 users, each asks, waits for its answer and asks again at once. The view waits 100 ms. Commit to a number before you go
# on: how many requests per second will 400 threads serve, more than there are users? And the event loop? Put your numbers in and
# run the cell.

# %%
my_prediction_400_threads = None
my_prediction_event_loop = None

# %% [markdown]
# ## Run
#
# ```sh
# lab run io_wait --profile standard
# ```
#
# takes some minutes on your own machine; `LAB_RESULTS=results/local/latest` then shows your numbers here.

# %%
display(Markdown(lessons.describe_run(run)))
pool, loop = (at[stack, request, users] for stack in ("sync_wsgi@gthread:400", "async_asgi@uvicorn"))
for mine, row in ((my_prediction_400_threads, pool), (my_prediction_event_loop, loop)):
    compared = lessons.compare(mine, row.median("throughput_per_s"), "requests/s")
    display(Markdown(f"`{row.stack}`, {row.load_text}: {compared}"))

# %% [markdown]
# ## See
#
# Each point is the median over server restarts, the bar its 95 % interval, faint dots the single restarts. The grey line is
# what N users could reach if nothing but the wait took time. Hollow points carry a reservation, which the report spells out.

# %%
throughput.throughput_vs_users(run, request)

# %% [markdown]
# The view itself, first sync and then async. This is the whole difference between the two labs for this workload.

# %%
print(lessons.difference_in("wait", "sync_wsgi", "async_asgi"))

# %% [markdown]
# ## Explain
#
# Three things can end the climb, and whichever is lowest wins (Denning and Buzen, 1978):
#
# - **users**: N users who each spend L waiting and S computing cannot ask more often than N / (L + S);
# - **threads**: W threads that each hold one request for L + S cannot finish more than W / (L + S);
# - **the CPU**: one core that needs S for each request cannot finish more than 1 / S.
#
# L we chose. S is measured: the server's CPU time in the window, divided by the answers in it.


# %%
def arithmetic(row):
    """The three ceilings of a row, and what was measured, in requests/s."""
    wait_s, cpu_s = row.io_wait_s, row.median("cpu_us_per_request") / 1e6
    by_users = formatting.whole(row.users / (wait_s + cpu_s))
    by_threads = formatting.whole(row.slots / (wait_s + cpu_s)) if row.slots else "no bound"
    measured = formatting.number(row.median("throughput_per_s"))
    return f"`{row.stack}`", by_users, by_threads, formatting.whole(1 / cpu_s), measured, row.ceiling


crowd = [row for row in at.values() if (row.request, row.users) == (request, users) and row.measured]
head = "stack | N/(L+S): | W/(L+S): | 1/S: | measured: | lowest ceiling"
display(Markdown(lessons.table(head, map(arithmetic, crowd))))

# %% [markdown]
# A pool that is too small is bounded by its threads, whatever the machine could do. With enough threads the bound moves to the
# CPU, and there the price of a request decides. So the event loop is compared twice: with a pool that is too small for the crowd, and with
# one that has a thread for everybody.

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# Why does an async view cost more CPU than a thread that sleeps? Look at the threads. Django's ASGI handler sends its
# `request_started` signal and closes the response through a thread of the request's own, also where the view is async: every request has one made,
# parks it while it waits, and has it ended. The lesson on hops takes this apart. (Of memory: gunicorn is two processes, one that manages and one that
# works, and both are counted; uvicorn is one.)

# %%
resources.threads_and_memory(run, request)

# %% [markdown]
# A queueing model knows more than the three ceilings: it predicts the whole curve from L, S and W (exact mean value analysis,
# Reiser and Lavenberg, 1980). Below, what was measured as a multiple of what the model says, for each number of users.


# %%
def as_predicted(row):
    """Measured throughput over the model's, which knows the row's own S."""
    measured, cpu_us = row.median("throughput_per_s"), row.median("cpu_us_per_request")
    if not (measured and cpu_us):
        return formatting.HOLE
    known = {"io_wait_s": row.io_wait_s, "cpu_s": cpu_us / 1e6, "threads": row.slots}
    (point,) = queueing.thread_pool_curve([row.users], **known)
    return f"{measured / point.throughput_per_s:.2f}"


levels = sorted({row.users for row in at.values() if row.request == request})
lines = [(f"`{stack}`", *(as_predicted(at[stack, request, n]) for n in levels)) for stack in run.plan.stacks]
display(Markdown(lessons.table(f"stack | {' | '.join(f'{n} users:' for n in levels)}", lines)))

# %% [markdown]
# Near 1 the model knows all that matters. It knows one wait, one CPU and one pool; it does not know that a request behind ASGI crosses between loop and thread several
# times, and stands in line each time.

# %% [markdown]
# ## What people say
#
# Who serves more, and how many at once: the sentences on that leave out how many threads the other side has, and whether there is anything to wait for.

# %%
display(Markdown(claim_table.settled_in("02_io_wait")))

# %% [markdown]
# ## What this cannot tell
#
# - **Latency for visitors.** The load is a closed loop: a slow server is asked less often. Here latencies say how long these
#   users waited, not what traffic that comes on its own schedule would meet.
# - **Your service.** The wait is a sleep. A real one is a socket, with a driver that takes CPU and a pool that has an end.
# - **More cores.** Each server is one process on one core; what several do is not in this run.

# %% [markdown]
# ## Exercise
#
# The wait is ten times shorter. Which stack gains most, and which does not gain at all? Write down, for 200 users, by which
# factor each stack's throughput changes from 100 ms to 10 ms, then run the check. The three ceilings are all you need.
#
# The ceilings as a function are the exercise `labs/exercises/plateau.py`: `lab check plateau` sets what you return beside the reference run's numbers.

# %%
my_factors = {"sync_wsgi@gthread:8": None, "sync_wsgi@gthread:400": None, "async_asgi@uvicorn": None}

# %% [markdown]
# ## Check

# %%
shorter = "wait?ms=10"
for stack, mine in my_factors.items():
    before, after = (at[stack, name, users].median("throughput_per_s") for name in (request, shorter))
    factor = after / before if before and after else None
    print(f"{stack}: {lessons.check(mine, factor, 'times', within=0.25)}")

# %% [markdown]
# And the picture that goes with it:

# %%
if shorter in run.plan.requests:
    display(throughput.throughput_vs_users(run, shorter))

# %% [markdown]
# ## Live
#
# The same question, small and on this machine, with a progress bar: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("io_wait", users=[100], repeats=3, duration_s=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **Count your concurrency first**: requests per second times seconds of wait. If the threads you can afford are more than that,
#   threads serve it, and sync Django stays the cheaper choice in CPU.
# - **The event loop wins** where the crowd is larger than any pool you would dare to configure, and where connections are
#   held rather than answered.
# - **Moving sync views behind ASGI** gives them a thread each without a bound: the crowd is served, each request costs more, and
#   nothing limits how many reach your database at once.
