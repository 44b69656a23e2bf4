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
# users come at once, what limits the throughput: the threads, the event loop, or the CPU that each request takes?
#
# Here are three ways to serve the same answer, each on one core:
#
# | stack | how a request waits |
# |---|---|
# | `sync_wsgi@gthread:T` | in one of T threads |
# | `sync_asgi@uvicorn` | in a thread made for it, with an event loop outside |
# | `async_asgi@uvicorn` | on the event loop |

# %%
from IPython.display import Markdown, display

from bench.analyse import queueing, rows
from bench.claims import claim_table
from bench.learn import lessons, live_cell
from bench.show.figures import throughput
from bench.show.tables import formatting, markdown

run = lessons.run_to_show("io_wait")
request = run.plan.requests[0]
at = lessons.Rows(run)
users = at.crowd(request, 200)

# %% [markdown]
# ## Predict
#
# There are 50 users. Each asks, waits for its answer and asks again at once. The view waits 100 ms. How many requests per second do 400 threads answer, more than
# there are users? And the event loop? Write your numbers into the cell before you go on.

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
# This takes some minutes on your own machine. `LAB_RESULTS=results/local/latest` then shows your numbers here.

# %%
display(Markdown(lessons.describe_run(run)))
few_in_pool, few_on_loop = (at[stack, request, 50] for stack in ("sync_wsgi@gthread:400", "async_asgi@uvicorn"))
for mine, row in ((my_prediction_400_threads, few_in_pool), (my_prediction_event_loop, few_on_loop)):
    compared = lessons.compare(mine, row.median("throughput_per_s"), "requests/s")
    display(Markdown(f"`{row.stack}`, {row.load_text}: {compared}"))

# %% [markdown]
# ## See
#
# Each point is the median over server restarts, the bar is its 95 % interval, and each faint dot is one restart. The grey line is
# what N users would reach if nothing but the wait took time. A hollow point has a reservation, which the report explains.

# %%
throughput.throughput_vs_users(run, request)

# %% [markdown]
# This is the view, first sync and then async. The two labs differ in nothing else for this workload.

# %%
print(lessons.difference_in("wait", "sync_wsgi", "async_asgi"))

# %% [markdown]
# ## Explain
#
# Throughput has three ceilings, and the lowest of them is the limit (Denning and Buzen, 1978):
#
# - **users**: N users who each wait L and need S of CPU ask at most N / (L + S) times per second;
# - **threads**: W threads that each hold a request for L + S finish at most W / (L + S) per second;
# - **CPU**: one core that needs S for each request finishes at most 1 / S per second.
#
# We chose L. S is measured: the server's CPU time in the window, divided by the answers in the window.


# %%
def arithmetic(row):
    """The three ceilings of a row, and what was measured, in requests/s."""
    wait_s, cpu_s = row.io_wait_s, row.median("cpu_us_per_request") / 1e6
    by_users = formatting.whole(row.users / (wait_s + cpu_s))
    by_threads = formatting.whole(row.slots / (wait_s + cpu_s)) if row.slots else "no bound"
    measured = formatting.number(row.median("throughput_per_s"))
    return f"`{row.stack}`", by_users, by_threads, formatting.whole(1 / cpu_s), measured, row.ceiling


here = [row for row in at.values() if (row.request, row.users) == (request, users)]
crowd = [row for row in here if row.median("cpu_us_per_request")]  # in a short window there may be none to count
head = "stack | N/(L+S): | W/(L+S): | 1/S: | measured: | lowest ceiling"
display(Markdown(lessons.table(head, map(arithmetic, crowd))))

# %% [markdown]
# A pool that is too small is limited by its threads, however fast the machine is. With enough threads the limit moves to the
# CPU, and then the CPU per request decides. So we compare the event loop twice: with a pool that is too small for the users, and with
# one that has a thread for each of them.

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# Why does an async view cost more CPU than a thread that sleeps? Lesson 03 counts the threads behind it, and lesson 04 what the request does on them.
#
# A queueing model knows more than the three ceilings: it predicts the whole curve from L, S and W (exact mean value analysis,
# Reiser and Lavenberg, 1980). The table shows the measured throughput divided by the model's, for each number of users.


# %%
def as_predicted(row):
    """Measured throughput divided by the model's, which knows the row's own S."""
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
# Near 1, the model knows all that matters. For the two stacks behind ASGI it promises too much at 50 and at 200 users, and their cores are not busy either.
#
# ### Why a loop stays below its limit while its core is idle
#
# The model lets users come one by one, spread out in time. Do they? The run counted the answers in short slices of time. Here are 50 users:

# %%
every_ms = 1000 * few_on_loop.trial.answered_every_s
lines = [
    (
        *(f"`{row.stack}`", formatting.number(row.median("throughput_per_s"))),
        formatting.percent(row.median("server.cpu_share")),
        *(formatting.whole(count) for count in lessons.fewest_and_most_answers(row) or (None, None)),
    )
    for row in (few_in_pool, few_on_loop)
]
head = f"stack | requests/s: | core busy: | fewest answers in {every_ms:g} ms: | most:"
display(Markdown(lessons.table(head, lines)))

# %% [markdown]
# The pool's answers come evenly. The loop's come in waves: users who are answered together ask again together, and then wait together. Meanwhile the core is idle.
#
# This can be computed. If all users are in step, they wait L together and are then served one after the other: N / (L + N S). If they are spread out, the model is right:

# %%
if few_on_loop.measured:
    known = {"io_wait_s": few_on_loop.io_wait_s, "cpu_s": few_on_loop.median("cpu_us_per_request") / 1e6}
    (spread,) = queueing.thread_pool_curve([few_on_loop.users], threads=None, **known)
    in_step, measured = lessons.users_in_step_per_s(few_on_loop), few_on_loop.median("throughput_per_s")
    line = [f"{value:,.0f}" for value in (in_step, measured, spread.throughput_per_s)]
    display(Markdown(lessons.table("all in step: | measured, requests/s: | spread out:", [line])))

# %% [markdown]
# And it can be tested. `latency_under_load` sends requests to the same loop at random moments, and waits for no answer before the next. There the waves are gone:

# %%
arrivals = [row for row in rows.rows_of(lessons.reference("latency_under_load")) if row.stack == few_on_loop.stack]
half = [row for row in arrivals if row.trial.capacity_share == 0.5]
lines = [
    (
        *(what, formatting.number(row.median("throughput_per_s")), formatting.milliseconds(row, "p50")),
        formatting.percent(row.median("server.cpu_share")),
    )
    for what, row in [(few_on_loop.load_text, few_on_loop), *(("at random", row) for row in half)]
]
display(Markdown(lessons.table("requests come from | requests/s: | p50, ms: | core busy:", lines)))

# %% [markdown]
# The loop answers more requests per second there, and half of them within a shorter time. So the loop is not too slow: its users come together. These runs do not show what brings users
# into step on a loop and not in a pool.
#
# ### Why the CPU per request falls as a server gets busier
#
# In this run one thread takes several times the CPU per request that 400 threads take. Is it the threads? With 8 users, three of the pools have a thread for each of them:

# %%
lines = [
    (
        f"`{row.stack}`",
        formatting.number(row.median("throughput_per_s")),
        formatting.whole(row.median("cpu_us_per_request")),
    )
    for row in at.values()
    if (row.request, row.users) == (request, 8) and (row.slots or 0) >= 8 and row.measured
]
display(Markdown(lessons.table("8 users | requests/s: | CPU per request, µs:", lines)))

# %% [markdown]
# No: more threads do not make a request cheaper. More requests per second do. `latency_under_load` keeps the stack as it is and changes only the rate:

# %%
lines = [
    (
        *(f"`{row.stack}`", formatting.number(row.median("throughput_per_s"))),
        *(formatting.percent(row.median("server.cpu_share")), formatting.whole(row.median("cpu_us_per_request"))),
    )
    for row in sorted(rows.rows_of(lessons.reference("latency_under_load")), key=lambda row: row.stack)
    if row.stack in ("sync_wsgi@gthread:200", "async_asgi@uvicorn") and row.trial.capacity_share in (0.1, 0.5, 0.9)
]
display(Markdown(lessons.table("stack | requests/s: | core busy: | CPU per request, µs:", lines)))

# %% [markdown]
# S is the CPU time of the whole server divided by its answers. So S also contains work that is done per second and not per request, and work that is done each time the server
# wakes up from an idle moment. On a busy server more requests share both. These runs do not tell how large the two parts are. For the arithmetic it means: take S from a busy
# server.

# %% [markdown]
# ## What people say
#
# Claims about who serves more, and how many at once. Most leave out how many threads the other side has, and whether there is anything to wait for.

# %%
display(Markdown(claim_table.settled_in("02_io_wait")))

# %% [markdown]
# ## What this cannot tell
#
# - **Latency for visitors.** The load is a closed loop: a slow server gets fewer requests. The latencies say how long these
#   users waited. Visitors who come on their own schedule may wait longer.
# - **Your service.** The wait is a sleep. A real one is a socket, with a driver that takes CPU and a connection pool that can run out.
# - **More cores.** Each server is one process on one core. This run does not show what several do.

# %% [markdown]
# ## Exercise
#
# The wait becomes ten times shorter, with 200 users. Which stack gains most, and which gains nothing? Compute for each stack by which factor its **limit**, the lowest
# of the three ceilings, changes from 100 ms to 10 ms. S is not the same for both waits, so here it is for each:
#
# The ceilings as a function are the exercise `labs/exercises/plateau.py`. `lab check plateau` compares what you return with the numbers of the reference run.

# %%
shorter = "wait?ms=10"
before_and_after = {
    stack: (at[stack, request, 200], at[stack, shorter, 200])
    for stack in ("sync_wsgi@gthread:8", "sync_wsgi@gthread:400", "async_asgi@uvicorn")
}
lines = [
    (f"`{stack}`", *(formatting.whole(row.median("cpu_us_per_request")) for row in pair))
    for stack, pair in before_and_after.items()
]
display(Markdown(lessons.table("stack | S at 100 ms, µs: | S at 10 ms, µs:", lines)))

# %%
my_factors = {"sync_wsgi@gthread:8": None, "sync_wsgi@gthread:400": None, "async_asgi@uvicorn": None}

# %% [markdown]
# ## Check

# %%
for stack, mine in my_factors.items():
    before, after = before_and_after[stack]
    factor = lessons.factor_of(before, after, "limit_per_s")
    print(f"{stack}: {lessons.check(mine, factor, 'times the limit', within=0.05)}")
    if mine is not None and (measured := lessons.factor_of(before, after, "throughput_per_s")):
        print(
            f"  Measured: {measured:.2f} times the requests/s; limited by {before.limiter or 'nothing'}, then by {after.limiter or 'nothing'}."
        )

# %% [markdown]
# The picture that goes with it:

# %%
if shorter in run.plan.requests:
    display(throughput.throughput_vs_users(run, shorter))

# %% [markdown]
# ## Live
#
# This measures on your machine, with a progress bar: throughput with few and with many users, and how the CPU per request falls. Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("io_wait", users=[8, 100], repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **Count your concurrency first**: requests per second times seconds of wait. If you can afford more threads than that,
#   threads serve it, and sync Django takes less CPU.
# - **The event loop wins** where there are more users at once than any pool you would configure, and where connections stay open.
# - **Sync views behind ASGI** get a thread each, without a bound. All users are served, each request costs more CPU, and
#   nothing limits how many reach your database at once.
# - **Do not compute capacity from the CPU of a quiet server.** Per request, a busy one takes less.
