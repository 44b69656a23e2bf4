# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which server, how many processes, how many threads
#
# **Question.** You have views, sync or async. Which server should run them, and how do you spend the memory of a machine: on more processes, or on more threads?
#
# | server | interface | how a request waits |
# |---|---|---|
# | gunicorn `gthread:T` | WSGI | in one of T threads |
# | gunicorn `gevent:T` | WSGI | in one of T greenlets, all in one thread |
# | granian, uWSGI | WSGI | in one of T threads; HTTP is read in Rust or in C |
# | uvicorn, hypercorn, granian, gunicorn's own | ASGI | on an event loop |

# %%
from IPython.display import Markdown, display

from bench.analyse.findings import ratio_of
from bench.analyse.stats import describe_ratio
from bench.claims import claim_table
from bench.learn import lessons, live_cell
from bench.show.figures import memory, resources
from bench.show.figures.series import MEMORY
from bench.show.tables import formatting, markdown

run, ladder = lessons.run_to_show("which_server"), lessons.run_to_show("processes_and_threads")
at, steps = lessons.Rows(run), lessons.Rows(ladder)
hello_users, wait_users = at.crowd("hello", 16), at.crowd("wait?ms=100", 64)
crowd, busy = steps.crowd("wait?ms=100", 128), steps.crowd("burn?ms=10", 32)

# %% [markdown]
# ## Predict
#
# The view does nothing, 16 users ask for it again and again, the server has one core. How many requests per second will gunicorn's threads answer, with a sync view?
# And granian, whose HTTP is written in Rust, with the same view? Put your numbers in and run the cell.

# %%
my_prediction_gthread = None
my_prediction_granian = None

# %% [markdown]
# ## Run
#
# ```sh
# ./scripts/set-up servers                          # granian, hypercorn, uWSGI
# lab run which_server --profile standard
# lab run processes_and_threads --profile standard
# ```
#
# `LAB_RESULTS=results/local/latest` then shows your numbers here.

# %%
display(Markdown(f"{lessons.describe_run(run)}\n\n{lessons.describe_run(ladder)}"))
threads, rust = (at[stack, "hello", hello_users] for stack in ("sync_wsgi@gthread:64", "sync_wsgi@granian:64"))
for mine, row in ((my_prediction_gthread, threads), (my_prediction_granian, rust)):
    compared = lessons.compare(mine, row.median("throughput_per_s"), "requests/s")
    display(Markdown(f"`{row.stack}`, {row.load_text}: {compared}"))

# %% [markdown]
# ## See
#
# A view that does nothing shows what server, interface and Django cost. Bars are medians over server restarts, black lines their 95 % intervals.

# %%
resources.cpu_per_request(run, "hello")

# %% [markdown]
# A view that waits, and what a server takes for it:

# %%
resources.threads_and_memory(run, "wait?ms=100")

# %% [markdown]
# Now one server, with more and more processes and threads. A point further to the right takes more memory; a point further up answers more.

# %%
memory.throughput_over_memory(ladder, "wait?ms=100")

# %%
memory.throughput_over_memory(ladder, "burn?ms=10")

# %% [markdown]
# ## Explain
#
# The CPU of a request has two parts: what the server takes to read and write HTTP, and what Django takes between. Only the first part changes with the server.
# Below, the CPU of a request as a multiple of what it is on gunicorn's threads.


# %%
def beside_threads(row):
    """Throughput, CPU, and the CPU as a multiple of that on gunicorn's threads."""
    ratio = ratio_of(row, threads, "cpu_us_per_request")
    cpu = formatting.whole(row.median("cpu_us_per_request"))
    return f"`{row.stack}`", formatting.number(row.median("throughput_per_s")), cpu, describe_ratio(ratio)


asked = [row for row in at.values() if (row.request, row.users) == ("hello", hello_users) and row.measured]
display(Markdown(lessons.table("stack | requests/s: | CPU, µs: | CPU, beside gthread:", map(beside_threads, asked))))

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# **Processes or threads.** A process has its own interpreter, its own copy of Django and its own lock: it takes memory, and a core if there is one. A thread shares all of that:
# it takes little, and waits as well as a process does. So where views wait, threads are the cheap way; where views compute, only another process finds another core
# (a Python with the GIL lets one thread compute at a time; the next lesson takes the GIL away).
#
# Equal memory is not set but measured: each budget is a point, and you compare points that stand above each other.

# %%
display(Markdown(lessons.findings(ladder)))

# %% [markdown]
# ## What people say
#
# "Use two times the number of cores plus one workers": that counts processes, and says nothing of what the views do. The same stacks, where the views wait and where they compute:

# %%
stacks = [stack for stack in ladder.plan.stacks if "+" not in stack]
lines = [
    (
        f"`{stack}`",
        formatting.whole(MEMORY.of(steps[stack, "wait?ms=100", crowd])),
        formatting.number(steps[stack, "wait?ms=100", crowd].median("throughput_per_s")),
        formatting.number(steps[stack, "burn?ms=10", busy].median("throughput_per_s")),
    )
    for stack in stacks
]
display(Markdown(lessons.table("stack | MB: | waiting, requests/s: | computing, requests/s:", lines)))

# %% [markdown]
# And about the servers themselves:

# %%
display(Markdown(claim_table.settled_in("10_servers")))

# %% [markdown]
# ## What this cannot tell
#
# - **What a server keeps of its promises**: whether it bounds uploads, holds back a writer, or ends cleanly. `lab conformance` asks that.
# - **Slow clients.** Here every client is on the same machine and reads at once.
# - **Mixed traffic.** Waiting and computing views are measured apart, and `crud` does both in one view; a load that asks for several views at once is not in these runs.
# - **Shared memory.** The memory of forked processes is added up, so that what they share counts for each. A server that loads the project before it forks takes less.
# - **More cores.** The servers of the second run have two cores, one of which the load uses as well: what they answer is at most what they could.

# %% [markdown]
# ## Exercise
#
# A machine lets the server have as much memory as the four processes of 8 threads take. The views wait 100 ms. How many times as much does one process with 128 threads answer?
# W threads that each hold a request for L seconds answer W / L at most; the users bound it as well, and so does a core.

# %%
my_factor = None

# %% [markdown]
# ## Check

# %%
one, four = (steps[stack, "wait?ms=100", crowd] for stack in ("sync_wsgi@gthread:128", "sync_wsgi@gthread:8x4"))
rates = [row.median("throughput_per_s") for row in (one, four)]
factor = rates[0] / rates[1] if all(rates) else None
print(lessons.check(my_factor, factor, "times", within=0.25))

# %% [markdown]
# ## Live
#
# Two servers on this machine, with a progress bar: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("which_server", stacks=["sync_wsgi@gthread:64", "async_asgi@uvicorn"], repeats=3, duration_s=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **Choose the interface first, the server second.** Whether a request crosses between loop and threads weighs more than who reads the HTTP.
# - **One process for each core that your views keep busy**, and in each as many threads as requests wait there at once. More processes than cores only take memory.
# - **gevent** serves many who wait with sync code and few threads. Everything that waits must be made cooperative, the database driver too, and one view that computes holds all others up.
# - **A faster server saves its own share only.** If your views take milliseconds of CPU, you will not notice which one it is.
