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
# **Question.** You have views, sync or async. Which server should run them? And should you spend a machine's memory on more processes or on more threads?
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
# The view is sync and does nothing. 16 users ask for it again and again, and the server has one core. How many requests per second do gunicorn's 64 threads answer?
# And how many does granian answer, whose HTTP is written in Rust, with the same view and as many threads? Put your numbers in and run the cell.

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
    limiter = f" Limited by {row.limiter}." if row.limiter and mine is not None else ""
    display(Markdown(f"`{row.stack}`, {row.load_text}: {compared}{limiter}"))

# %% [markdown]
# ## See
#
# A view that does nothing shows the cost of server, interface and Django. Bars are medians over server restarts, and black lines are their 95 % intervals. A hollow bar has a reservation.

# %%
resources.cpu_per_request(run, "hello")

# %% [markdown]
# The next figure shows a view that waits, and the threads and the memory that each server takes for it:

# %%
resources.threads_and_memory(run, "wait?ms=100")

# %% [markdown]
# Now one server, with more and more processes and threads, on two cores. A point further to the right takes more memory; a point further up answers more.
# All these points have a reservation, because the load shares one of the two cores.

# %%
memory.throughput_over_memory(ladder, "wait?ms=100")

# %%
memory.throughput_over_memory(ladder, "burn?ms=10")

# %% [markdown]
# ## Explain
#
# The CPU of a request has two parts. The server reads and writes HTTP, and Django does the rest. Another server changes the first part. Another interface changes the second part too,
# because Django crosses between loop and threads behind ASGI. The bare stacks have no Django: they show the first part alone.
#
# Compare CPU here, not requests per second: the load generator has one core, and the quickest servers answer all that it can send (limited by: client).
# `sync` and uWSGI close each connection, and a new one costs the generator more. ○ marks a number with a reservation.


# %%
def beside_threads(row):
    """Throughput, what limits it, CPU, and the CPU as a multiple of that on gunicorn's threads."""
    beside = "the baseline" if row is threads else describe_ratio(ratio_of(row, threads, "cpu_us_per_request"))
    cpu = formatting.whole(row.median("cpu_us_per_request"))
    return f"`{row.stack}`", formatting.requests_per_s(row), row.limiter or "nothing was full", cpu, beside


asked = [row for row in at.values() if (row.request, row.users) == ("hello", hello_users) and row.measured]
head = "stack | requests/s: | limited by | CPU per request, µs: | CPU, compared with gthread:"
display(Markdown(lessons.table(head, map(beside_threads, asked))))

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# **Processes or threads.** A process has its own interpreter, its own copy of Django and its own lock. It takes memory, and it can use a core of its own. A thread shares all of that:
# it takes little memory, and it waits as well as a process does. So threads are the cheap way where views wait. Where views compute, only another process can use another core,
# because the GIL lets one thread of a process compute at a time. The next lesson takes the GIL away.
#
# Nobody set the memory to be equal: it was measured. To compare at equal memory, look for points that stand above each other.

# %%
display(Markdown(lessons.findings(ladder)))

# %% [markdown]
# ## What people say
#
# "Use 2 × cores + 1 workers." This rule counts processes and does not ask what the views do. Here are the same stacks with views that wait and with views that compute.
# The memory is that of the views that wait:

# %%
stacks = [stack for stack in ladder.plan.stacks if "+" not in stack]
lines = [
    (
        f"`{stack}`",
        formatting.whole(MEMORY.of(steps[stack, "wait?ms=100", crowd])),
        formatting.requests_per_s(steps[stack, "wait?ms=100", crowd]),
        formatting.requests_per_s(steps[stack, "burn?ms=10", busy]),
    )
    for stack in stacks
]
head = f"stack | MB: | waiting, {crowd} users, requests/s: | computing, {busy} users, requests/s:"
display(Markdown(lessons.table(head, lines)))

# %% [markdown]
# And about the servers themselves:

# %%
display(Markdown(claim_table.settled_in("10_servers")))

# %% [markdown]
# ## What this cannot tell
#
# - **How a server behaves at its edges**: whether it bounds uploads, holds back a writer, or ends cleanly. `lab conformance` asks that.
# - **Slow clients.** Here every client is on the same machine and reads at once. `lab run slow_clients` has others.
# - **Mixed traffic.** Views that wait and views that compute are measured apart. `crud` does both in one view. No load in these runs asks for several views at once.
# - **Shared memory.** The memory of all processes is added up, so memory that they share is counted for each of them. A server that loads the project before it forks takes less.
# - **More cores.** The servers of the second run have two cores, and the load uses one of these too. With two cores of their own they could answer more.

# %% [markdown]
# ## Exercise
#
# 128 users ask for a view that waits 100 ms. Four processes with 8 threads each answer them, or one process with 128 threads, which takes less memory.
# How many times as many requests per second does the one process answer? W threads that each hold a request for L seconds answer at most W / L, and N users get at most N / L.

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
# - **Choose the interface first, the server second.** Crossing between loop and threads costs more CPU than reading HTTP in another language saves.
# - **One process for each core that your views keep busy**, and in each of them a thread for each request that waits at once. More processes than cores mostly take memory.
# - **gevent** lets many requests wait in sync code with few threads. Everything that waits must be cooperative, the database driver too, and one view that computes holds up all others.
# - **A faster server saves only its own share.** If your views take milliseconds of CPU, you will not notice which server it is.
