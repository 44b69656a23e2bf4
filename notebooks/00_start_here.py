# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Start here: what changes when Django moves to ASGI
#
# **Question.** The same project can be served through WSGI or through ASGI, with sync views or with async ones. What does that change: for
# visitors who wait, for threads and memory, and for the CPU that a request costs?
#
# These questions are usually answered by opinion. Here we measure, and you predict first. No lesson takes more than half an hour.
#
# | views \ door | WSGI | ASGI |
# |---|---|---|
# | **sync** | `sync_wsgi`: a thread per request | `sync_asgi`: async outside, sync inside |
# | **async** | `async_wsgi`: a loop per request | `async_asgi`: one event loop |

# %%
from IPython.display import Markdown, display

from bench.base.files import ROOT
from bench.claims import claim_table
from bench.learn import lessons, live_cell
from bench.show.figures import throughput
from bench.show.figures.database import P50
from bench.show.tables import formatting, markdown

run = lessons.run_to_show("first_look")
request = run.plan.requests[0]
at = lessons.Rows(run)
users = at.crowd(request, 100)

# %% [markdown]
# ## Predict
#
# A view waits 100 ms for something else and computes nothing. 100 users ask it: each waits for its answer and asks again at once. The server is gunicorn with 8
# threads. Within how many milliseconds do half of the answers come? And on uvicorn, with the same view made async?
#
# Put your numbers into the cell and go on. A wrong number teaches more than none: it shows where your mental model is off.

# %%
my_prediction_8_threads_ms = None
my_prediction_event_loop_ms = None

# %% [markdown]
# ## Run
#
# ```sh
# lab run first_look
# ```
#
# This measures all of it on your machine, in about a minute and a half. The pictures show the run that comes with the lab.
# Set `LAB_RESULTS=results/local/latest` before you start Jupyter, and they show your own run.

# %%
display(Markdown(lessons.describe_run(run)))
predicted = {"sync_wsgi@gthread:8": my_prediction_8_threads_ms, "async_asgi@uvicorn": my_prediction_event_loop_ms}
for stack, mine in predicted.items():
    asked = at[stack, request, 100]
    compared = lessons.compare(mine, P50.of(asked), "ms")
    display(Markdown(f"`{stack}`, {asked.load_text}: {compared}"))
pool, loop = (at[stack, request, users] for stack in predicted)

# %% [markdown]
# ## See
#
# Each point is one **stack** with one number of users: the median over server restarts. The bar is its 95 % interval, and each faint dot is one restart.
# A line that climbs with the grey one serves all users without a queue. A flat line has reached its limit.

# %%
throughput.throughput_vs_users(run, request)

# %% [markdown]
# ### How to read a result
#
# These are the numbers at the right end of the picture:

# %%
crowd = [row for row in at.values() if (row.request, row.users) == (request, users)]
lines = [
    (
        f"`{row.stack}`",
        f"{formatting.number(row.median('throughput_per_s'))} ({formatting.span(row.throughput_interval)})",
        formatting.percent(row.median("fraction_of_limit")),
        row.limiter or "nothing was full",
        *(f"{formatting.whole(row.median('cpu_us_per_request'))} µs", row.verdict_text),
    )
    for row in crowd
]
head = "stack | requests/s (95 % interval): | of limit: | limited by | CPU per request: | verdict"
display(Markdown(lessons.table(head, lines)))

# %% [markdown]
# - **stack**: a lab, a server and its budget. `sync_wsgi@gthread:8` is the project with sync views behind gunicorn with 8 threads.
# - **limit**: the throughput that no server can exceed. It is the lowest of N/(L+S), W/(L+S) and 1/S, with N users, a wait of L, W threads and S of CPU per request. S is
#   measured. *Of limit* says how near the stack comes. Slightly over 100 % is an effect of the window's edge: some of the first answers were asked for before it.
# - **limited by**: the resource that sampling found saturated, which means at least 85 % used: the users, the threads, the server's CPU, and so on. Often nothing is full.
# - **interval**: the range in which the median lies, judged by the restarts. Where the interval of a ratio includes 1, this run finds no difference.
# - **verdict**: `ok`, or `degraded`: the number has a reservation, is drawn hollow, and the report gives the reason. `invalid` and `not-run` never show a number.
#   `2/5 degraded`: two of five restarts were degraded.

# %% [markdown]
# ## Explain
#
# A request holds its thread for as long as it waits. So W threads answer at most W / L requests per second, however fast the machine is. And N users who wait L for each answer
# ask for at most N / L. The users who find no free thread queue: of N users, each gets an answer every N / X seconds if the server answers X requests per second.

# %%
wait_s = pool.io_wait_s
lines = [
    (f"{pool.slots} threads", pool.slots / wait_s, pool),
    (loop.load_text, users / wait_s, loop),
]
for of, most, row in lines:
    measured = formatting.number(row.median("throughput_per_s"))
    told = f"{of} / {wait_s:g} s = **{most:,.0f} requests/s**; `{row.stack}` answered {measured}"
    takes = f"{users} users / {most:,.0f} per s = **{1000 * users / most:,.0f} ms**, measured {formatting.number(P50.of(row))} ms"
    display(Markdown(f"- {told}. {takes}"))

# %% [markdown]
# The pool does what the arithmetic says. The loop has no pool that can run out, and yet it stays below what its users ask for. Is its core too slow?

# %%
p50_ms, share = formatting.milliseconds(loop, "p50"), formatting.percent(loop.median("server.cpu_share"))
told = f"Half of the loop's answers took {p50_ms} ms or more; the view waits {1000 * wait_s:g} ms of that"
display(Markdown(f"{told}. Its core was busy only {share} of the time."))

# %% [markdown]
# No: its core also has time in which it does nothing. The run counted the answers in short slices of time, and they show why:

# %%
every_ms = 1000 * loop.trial.answered_every_s
enough = at["sync_wsgi@gthread:100", request, users]
counted = [(row, lessons.fewest_and_most_answers(row)) for row in (enough, loop)]
lines = [(f"`{row.stack}`", f"{counts[0]:,.0f}", f"{counts[1]:,.0f}") for row, counts in counted if counts]
display(Markdown(lessons.table(f"stack | fewest answers in {every_ms:g} ms: | most:", lines)))

# %% [markdown]
# With a thread for everybody the answers come evenly. On the loop they come in waves. Users who are answered together ask again together and then wait together, and while
# they all wait the core is idle. Lesson 02 tests this explanation with users who do not come together.
#
# Each experiment states its claims before it is run. The run then decides each claim: *supported*, *refuted* or *cannot tell*.

# %%
display(Markdown(lessons.findings(run, "100 users")))

# %% [markdown]
# ### The two doors
#
# A *door* is the interface between server and project. WSGI is a function: the server calls it in a thread and has the answer when it returns. The thread is taken for that long.

# %%
print(lessons.source_of("labs/bare/wsgi.py", "application"))

# %% [markdown]
# ASGI is a coroutine: the server awaits it and exchanges messages with it. While it waits, the server serves others on the same thread.

# %%
print(lessons.source_of("labs/bare/asgi.py", "respond"))

# %% [markdown]
# ## Where each lesson leads

# %%
course = (ROOT / "notebooks" / "README.md").read_text().splitlines()
display(Markdown("\n".join(line for line in course if line.startswith("- ["))))

# %% [markdown]
# In a hurry: 02, 04 and 09. To decide about streams and sockets: 06. Before you change a server in production: 05 and 07.

# %% [markdown]
# ## What people say
#
# The lab keeps a list of common claims about Django, WSGI and ASGI. Each has its source and a finding that is computed here. Most lessons settle some of them.
# These are about the two doors and the four combinations:

# %%
display(Markdown(claim_table.settled_in("00_start_here")))

# %% [markdown]
# `lab claims` shows all of them. `lab claims F4` shows one, with its evidence and the command that repeats it.

# %% [markdown]
# ## What this cannot tell
#
# - **What your site does.** A wait here is a sleep: no driver, no connection, no answer to parse.
# - **Rates on your machine.** We measured one server process on one core. Shapes and ratios carry over to other machines, rates do not.
# - **Which is better.** The small pool is too small for its users, on purpose. The next lessons give it what it needs.

# %% [markdown]
# ## Exercise
#
# How many threads would the pool need to answer as many requests per second as this run's event loop did? The table above has what you need.

# %%
my_threads = None

# %% [markdown]
# ## Check

# %%
answered = loop.median("throughput_per_s")
print(lessons.check(my_threads, answered and answered * wait_s, "threads"))
if my_threads:
    print(f"{enough.slots} threads answered {formatting.number(enough.median('throughput_per_s'))} requests/s.")

# %% [markdown]
# The next lessons also have exercises in files, as you would meet them in a project. `lab check` lists them and says of each whether it passes, or what it saw.

# %% [markdown]
# ## Live
#
# This measures 100 users on your machine, each stack once, with a progress bar. Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("first_look", users=[100], repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - First find out how many requests your site has in flight at once: requests per second times the seconds that each takes.
# - A pool with a thread for each of them serves them well. That is the plain case for WSGI.
# - ASGI is worth its price where no pool is large enough, where connections stay open, and where one request has to do several things at once.
