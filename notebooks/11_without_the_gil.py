# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Without the GIL
#
# **Question.** In a usual Python one thread computes at a time, because all of them need the global interpreter lock, the GIL. A free-threaded Python has no such lock.
# What does that cost on one core, what does it bring on two, and is there still a reason for async?
#
# Everything here runs on one program, with the same packages. In the environment `py313t_gil` a variable (`PYTHON_GIL=1`) gives it its lock back.

# %%
from IPython.display import Markdown, display

from bench.analyse.findings import ratio_of
from bench.analyse.stats import describe_ratio
from bench.claims import claim_table
from bench.learn import lessons, live_cell
from bench.show.figures import resources
from bench.show.tables import formatting, markdown

run = lessons.run_to_show("free_threading")
one, two = lessons.Rows(run, cores=1), lessons.Rows(run, cores=2)
burn, rows, wait = "burn?ms=10", "rows?n=20", "wait?ms=100"
LOCKED, FREE = "py313t_gil", "py313t"
users, crowd = two.crowd(burn, 8), two.crowd(wait, 200)

# %% [markdown]
# ## Predict
#
# A view computes for 10 ms. Eight threads in one process serve it, with two cores. How many requests per second do they answer with the GIL, and how many without?
# Put your numbers in and run the cell.

# %%
my_prediction_with_gil = None
my_prediction_without_gil = None

# %% [markdown]
# ## Run
#
# ```sh
# lab env add py313t --python python3.13t --django 5.2 --with uvloop --with httptools --with granian==2.7.9
# lab env add py313t_gil --like py313t --variable PYTHON_GIL=1
# lab run free_threading --profile standard
# ```
#
# `uv python install 3.13t` brings a free-threaded Python. Without it the trials are `not-run`, and say so.

# %%
display(Markdown(lessons.describe_run(run)))
pools = [two[f"sync_wsgi@gthread:8%{name}", burn, users] for name in (LOCKED, FREE)]
for mine, row in zip((my_prediction_with_gil, my_prediction_without_gil), pools, strict=True):
    compared = lessons.compare(mine, row.median("throughput_per_s"), "requests/s")
    said = row.environment.text if row.environment else "not measured"
    display(Markdown(f"`{row.stack}` ({said}): {compared}"))

# %% [markdown]
# ## See
#
# Views that compute. A stack with two cores shares one of them with the load, which takes little of it here; a bar is hollow for that reason.

# %%
resources.cpu_per_request(run, burn)

# %% [markdown]
# Views that wait, with a thread for each user:

# %%
resources.cpu_per_request(run, wait)

# %% [markdown]
# Views that ask the database, which wait a little and compute a little:

# %%
resources.cpu_per_request(run, rows)

# %% [markdown]
# ## Explain
#
# One core does 1/S requests of S seconds of CPU a second, with a lock or without. Two cores do twice as many, if two threads may compute at once: C/S, with C cores.
# With the GIL C is 1 for each process, whatever the machine has. The lock is not free to remove: each object is counted and guarded in another way, and S may grow.
# The table has what a stack does without the GIL as a multiple of what it does with it, on one core or on two.


# %%
def freed(at, stack, request, count):
    """Throughput and CPU without the GIL, as multiples of those with it."""
    with_gil, without = (at[f"{stack}%{name}", request, count] for name in (LOCKED, FREE))
    ratios = [ratio_of(without, with_gil, name) for name in ("throughput_per_s", "cpu_us_per_request")]
    return f"`{stack}`", f"`{request}`", str(without.given_cores), *map(describe_ratio, ratios)


GTHREAD, KEPT = "sync_wsgi@gthread:8", "sync_wsgi+max_age_60@gthread:8"
LOOP, POOLED = "async_asgi@uvicorn", "async_asgi+pool_16@uvicorn"
cells = [(one, GTHREAD, burn, users), (two, GTHREAD, burn, users), (two, LOOP, burn, users)]
cells += [(one, KEPT, rows, users), (two, KEPT, rows, users), (two, POOLED, rows, users)]
cells += [(two, "sync_wsgi@gthread:200", wait, crowd), (two, LOOP, wait, crowd)]
head = "stack | request | cores: | throughput: | CPU a request:"
display(Markdown(lessons.table(head, [freed(*cell) for cell in cells])))

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# An event loop is one thread, and it stays one: without the GIL it computes as much as before. What runs beside it in threads, as Django's hops do, can use the other core.
# So the GIL was never the reason for async views. They let many requests wait without a thread each; that is as true as before, and so is what they cost.

# %% [markdown]
# ## What people say
#
# "Without the GIL threads make async superfluous." The threads and the loop side by side, both without the lock and with two cores:


# %%
def beside(request, count, pool, loop):
    """Threads over loop, both without the GIL."""
    left, right = (two[f"{stack}%{FREE}", request, count] for stack in (pool, loop))
    rates = [formatting.number(row.median("throughput_per_s")) for row in (left, right)]
    return f"`{request}`", *rates, describe_ratio(ratio_of(left, right, "throughput_per_s"))


lines = [beside(burn, users, GTHREAD, LOOP), beside(rows, users, KEPT, POOLED)]
lines += [beside(wait, crowd, "sync_wsgi@gthread:200", LOOP)]
display(Markdown(lessons.table("request | threads, requests/s: | loop, requests/s: | threads over loop:", lines)))

# %%
display(Markdown(claim_table.settled_in("11_without_the_gil")))

# %% [markdown]
# ## What this cannot tell
#
# - **Your packages.** An extension module that does not say it can do without the GIL switches the lock on again, for the whole process. Each trial records whether it was off.
# - **Races.** The lock hid some of them. Code that shares a dictionary between threads needs a lock of its own now; no benchmark shows that.
# - **Newer versions.** This is 3.13, the first one, which is known to be slower without the lock than its successors.
# - **Latencies on two cores.** The load shares a core with the server, so that they are left out of the findings.

# %% [markdown]
# ## Exercise
#
# Before there was a Python without the GIL, a second process was the way to a second core. Four processes, two, or one without the lock: for a view that computes, two cores allow the same. Work out the
# factor that two cores can bring at most over one, and give the factor that `sync_wsgi@gthread:8` has without the GIL, two cores over one.

# %%
my_factor = None

# %% [markdown]
# ## Check

# %%
rates = [at[f"{GTHREAD}%{FREE}", burn, users].median("throughput_per_s") for at in (two, one)]
factor = rates[0] / rates[1] if all(rates) else None
print(lessons.check(my_factor, factor, "times", within=0.15))

# %% [markdown]
# ## Live
#
# With and without the lock on this machine, if the environments are there: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure(
    "free_threading", stacks=[f"{GTHREAD}%{name}" for name in (LOCKED, FREE)], repeats=3, server_cores=2
)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **For views that wait nothing changes.** Threads waited at once before, and so did the loop.
# - **For views that compute** one process without the GIL can do what several processes did, in the memory of one. Measure S first: what the lock's absence costs is paid on every request.
# - **Check that the lock is off** where it should be: `lab run` prints it for each environment, and `lab env show` names the packages that are lacking.
# - **Async stays what it was**: a way to hold many connections. The GIL was no argument for it, and its end is none against it.
