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
# **Question.** In a usual Python one thread of a process computes at a time, because each thread needs the global interpreter lock, the GIL. A free-threaded Python has no such lock.
# What does that cost on one core, what does it bring on two, and is there still a reason for async?
#
# Both sides of each comparison run on the same free-threaded Python, with the same packages. In the environment `py313t_gil` a variable (`PYTHON_GIL=1`) switches the lock on again.

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
# A view computes for 10 ms. One process with 8 threads serves it on two cores, and 8 users ask for it again and again. How many requests per second does it answer with the GIL, and how many
# without? Put your numbers in and run the cell.

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
# `uv python install 3.13t` installs a free-threaded Python. Without it the trials are `not-run`, with the reason.

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
# Here are views that compute. A server with two cores shares one of them with the load, so its bar is hollow.

# %%
resources.cpu_per_request(run, burn)

# %% [markdown]
# Views that wait, with a thread for each user. Here the load takes a larger part of the shared core, so the servers could answer more:

# %%
resources.cpu_per_request(run, wait)

# %% [markdown]
# Views that ask the database. They wait a little and compute a little:

# %%
resources.cpu_per_request(run, rows)

# %% [markdown]
# ## Explain
#
# A request takes S seconds of CPU, so one core answers at most 1/S requests per second, with the lock or without. C cores answer C/S, if C threads may compute at once.
# With the GIL, C is 1 for each process, on any machine. Removing the lock has a price: Python counts and guards each object in another way, and S may grow.
# On two cores with the GIL, threads also fight for the lock, and that takes CPU as well. Each line of the table compares a stack without the GIL with the same stack with it,
# on as many cores: 1 means no change.


# %%
def freed(at, stack, request, count):
    """Throughput and CPU without the GIL, as multiples of those with it, and how many cores are busy."""
    both = [at[f"{stack}%{name}", request, count] for name in (LOCKED, FREE)]
    ratios = [ratio_of(*reversed(both), name) for name in ("throughput_per_s", "cpu_us_per_request")]
    busy = (formatting.number(row.median("server.cpu_share")) for row in both)
    return f"`{stack}`", f"`{request}`", str(both[0].given_cores), " / ".join(busy), *map(describe_ratio, ratios)


GTHREAD, KEPT = "sync_wsgi@gthread:8", "sync_wsgi+max_age_60@gthread:8"
LOOP, POOLED = "async_asgi@uvicorn", "async_asgi+pool_16@uvicorn"
cells = [(one, GTHREAD, burn, users), (two, GTHREAD, burn, users), (two, LOOP, burn, users)]
cells += [(one, KEPT, rows, users), (two, KEPT, rows, users), (two, POOLED, rows, users)]
cells += [(two, "sync_wsgi@gthread:200", wait, crowd), (two, LOOP, wait, crowd)]
head = "stack | request | cores: | busy, with / without: | requests/s without, over with: | CPU per request without, over with:"
display(Markdown(lessons.table(head, [freed(*cell) for cell in cells])))

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# An event loop is one thread, so without the GIL its views compute about as much as before. Code that runs beside the loop in threads can use the other core, and Django's hops do.
# So the loop, too, answers more where views wait: its views do not gain, but Django around them does, and more than one core is busy.
#
# So the GIL was never the reason for async views. The reason is a wait that needs no thread, and the GIL changes nothing about that. Nor does it change that stock Django takes a thread for each
# request behind ASGI (lesson 06).

# %% [markdown]
# ## What people say
#
# "Without the GIL nobody needs async." Here are threads and the loop side by side, both without the lock and on two cores. Where they ask the database, both keep their connections:
# each thread has its own, and the loop has a pool of 16.


# %%
def beside(request, count, pool, loop):
    """Threads over loop, both without the GIL."""
    left, right = (two[f"{stack}%{FREE}", request, count] for stack in (pool, loop))
    rates = [formatting.requests_per_s(row) for row in (left, right)]
    return f"`{request}`", f"`{pool}`", *rates, describe_ratio(ratio_of(left, right, "throughput_per_s"))


lines = [beside(burn, users, GTHREAD, LOOP), beside(rows, users, KEPT, POOLED)]
lines += [beside(wait, crowd, "sync_wsgi@gthread:200", LOOP)]
display(
    Markdown(lessons.table("request | threads | threads, requests/s: | loop, requests/s: | threads over loop:", lines))
)

# %%
display(Markdown(claim_table.settled_in("11_without_the_gil")))

# %% [markdown]
# ## What this cannot tell
#
# - **Your packages.** Some extension modules do not declare that they work without the GIL. Such a module switches the lock on again for the whole process. Each trial records whether the lock was off.
# - **Races.** The lock hid some of them. Code that changes shared data from several threads needs a lock of its own; no benchmark shows where it is missing.
# - **Newer versions.** This is 3.13, the first version without the lock. Later ones are known to lose less speed without it.
# - **Latencies on two cores.** The load shares a core with the server, so no finding uses them.

# %% [markdown]
# ## Exercise
#
# `sync_wsgi@gthread:8` serves the view that computes for 10 ms, without the GIL. How many times as many requests per second does it answer on two cores as on one? Work out the factor that two cores
# can bring at most, then say what you expect.

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
# Measure with and without the lock on this machine, if it has the environments: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure(
    "free_threading", stacks=[f"{GTHREAD}%{name}" for name in (LOCKED, FREE)], repeats=3, server_cores=2
)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **For views that wait**, the wait itself needs no lock: threads waited at once before, and so did the loop. What changes is the work around the wait, which can use a second core.
# - **For views that compute** one process without the GIL can do what several processes did, in the memory of one. Measure S first, with the lock and without: every request pays the difference.
# - **Check that the lock is off** where it should be: `lab run` prints it for each environment, and `lab env show` names missing packages.
# - **Async stays what it was**: a way to hold many connections. The GIL was no argument for it, so a Python without the GIL is none against it.
