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
# People answer this with sentences. Here each sentence is asked of real servers, and you say first what you expect. No lesson needs more than half an hour.
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
from bench.show.tables import formatting, markdown

run = lessons.run_to_show("first_look")
request = run.plan.requests[0]
at = lessons.Rows(run)
users = at.crowd(request, 100)

# %% [markdown]
# ## Predict
#
# A view waits 100 ms for something else and computes nothing. 100 users ask it; each waits for the answer and asks again at once. The server is gunicorn with 8
# threads. How many requests per second does it answer? And uvicorn, with the same view made async?
#
# Put your numbers into the cell and go on. A wrong number teaches more than none: it shows which of your pictures to change.

# %%
my_prediction_8_threads = None
my_prediction_event_loop = None

# %% [markdown]
# ## Run
#
# ```sh
# lab run first_look
# ```
#
# measures all of this on your machine in about a minute and a half. Until you have done so, the pictures show the run that comes with the lab;
# `LAB_RESULTS=results/local/latest`, set before you start Jupyter, shows yours instead.

# %%
display(Markdown(lessons.describe_run(run)))
pool, loop = (at[stack, request, users] for stack in ("sync_wsgi@gthread:8", "async_asgi@uvicorn"))
for mine, row in ((my_prediction_8_threads, pool), (my_prediction_event_loop, loop)):
    compared = lessons.compare(mine, row.median("throughput_per_s"), "requests/s")
    display(Markdown(f"`{row.stack}`, {row.load_text}: {compared}"))

# %% [markdown]
# ## See
#
# One point for each **stack** and number of users: the median over server restarts, with its 95 % interval as a bar and every single restart as a faint dot.
# A line that climbs with the grey one serves whoever comes; a flat one has reached its end.

# %%
throughput.throughput_vs_users(run, request)

# %% [markdown]
# ### How to read a result
#
# The right end of the picture, as numbers:

# %%
crowd = [row for row in at.values() if (row.request, row.users) == (request, users)]
lines = [
    (
        f"`{row.stack}`",
        f"{formatting.number(row.median('throughput_per_s'))} ({formatting.span(row.throughput_interval)})",
        formatting.percent(row.median("fraction_of_limit")),
        *(row.ceiling or formatting.HOLE, formatting.whole(row.median("server.threads_max"))),
        *(f"{formatting.whole(row.median('cpu_us_per_request'))} µs", row.verdict_text),
    )
    for row in crowd
]
head = "stack | requests/s (95 % interval): | of limit: | limit set by | threads: | CPU a request: | verdict"
display(Markdown(lessons.table(head, lines)))

# %% [markdown]
# - **stack**: a lab, a server and its budget. `sync_wsgi@gthread:8` is the project with sync views behind gunicorn with 8 threads.
# - **limit**: what no server can exceed, the least of N/(L+S), W/(L+S) and 1/S: N users, a wait of L, W threads, and S of CPU for a request, which is measured.
#   *Of limit* says how near a stack comes, *limit set by* which of the three it is. A little over 100 % is the window's edge: answers count when they come,
#   and some were asked for before it began.
# - **interval**: where the median lies, by what the restarts show. Two stacks whose ratio's interval includes 1 do not differ, as far as this run can tell.
# - **verdict**: `ok`; `degraded`, a number with a reservation, drawn hollow and told in the report; `invalid` and `not-run`, which never show a number.
#   `2/5 degraded` is said of two restarts in five.

# %% [markdown]
# ## Explain
#
# One thread holds one request, and a request holds its thread for as long as it waits. So a pool of W threads that wait L each answers W / L requests a second, whatever the
# machine could do; and N users who wait L for each answer ask for no more than N / L.

# %%
wait_s = pool.io_wait_s
lines = [
    (f"{pool.slots} threads", pool.slots / wait_s, pool),
    (loop.load_text, users / wait_s, loop),
]
for of, most, row in lines:
    measured = formatting.number(row.median("throughput_per_s"))
    told = f"{of} / {wait_s:g} s = **{most:,.0f} requests/s**; `{row.stack}` answered {measured}"
    display(Markdown(f"- {told}"))

# %% [markdown]
# The pool does what the arithmetic says. The loop has no pool to run out of, and yet stays below what its users ask for. Its answers tell where the rest went:

# %%
p50_ms, share = formatting.milliseconds(loop, "p50"), formatting.percent(loop.median("server.cpu_share"))
told = f"Half of the loop's answers took {p50_ms} ms or more, of which the view waits {1000 * wait_s:g}"
display(Markdown(f"{told}; its core was busy {share} of the time."))

# %% [markdown]
# So each request spends time on something that is neither its wait nor a thread that is missing: requests take turns on one core, and each is handed back
# and forth between the loop and a thread. Lessons 02 to 04 take that apart.
#
# What a run was made to find out is written down beforehand as claims, and the run itself says what becomes of them, in three values: *supported*, *refuted*,
# *cannot tell*.

# %%
display(Markdown(lessons.findings(run, "100 users")))

# %% [markdown]
# ### The two doors
#
# What is a door? WSGI is a function: the server calls it in a thread, and has the answer when it returns. The thread is taken for that long.

# %%
print(lessons.source_of("labs/bare/wsgi.py", "application"))

# %% [markdown]
# ASGI is a coroutine: the server awaits it, hears from it in messages, and serves others on the same thread whenever it waits.

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
# Sentences about Django, WSGI and ASGI are kept as a ledger of claims, each with its source and a finding that is computed here. Most lessons settle some of them.
# These are about the two doors and the four cells:

# %%
display(Markdown(claim_table.settled_in("00_start_here")))

# %% [markdown]
# `lab claims` shows all of them, `lab claims F4` one with its evidence and the command that shows it again.

# %% [markdown]
# ## What this cannot tell
#
# - **What your site does.** A wait here is a sleep: no driver, no connection, no answer to parse.
# - **Rates on your machine.** One server process on one core was measured. Shapes and ratios carry over, rates do not.
# - **Which is better.** The small pool is too small for its crowd, on purpose. The next lessons give it what it needs.

# %% [markdown]
# ## Exercise
#
# How many threads would the pool need to answer as many requests per second as this run's event loop did?

# %%
my_threads = None

# %% [markdown]
# ## Check

# %%
answered = loop.median("throughput_per_s")
print(lessons.check(my_threads, answered and answered * wait_s, "threads"))
if my_threads:
    enough = at["sync_wsgi@gthread:100", request, users]
    print(f"{enough.slots} threads answered {formatting.number(enough.median('throughput_per_s'))} requests/s.")

# %% [markdown]
# The lessons that follow have exercises in files as well, as you would meet them in a project: `lab check` lists them, and says of each whether it passes or what it sees.

# %% [markdown]
# ## Live
#
# The crowd of 100 on this machine, each stack once, with a progress bar: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("first_look", users=[100], repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - The first number to know of a site is how many requests are in flight at once: requests per second times the seconds that each takes. Most sites have fewer than they think.
# - A pool with a thread for each of those serves them well. That is the plain case for WSGI, and the default of Django for good reasons.
# - ASGI is worth its price where no pool is large enough, where connections stay open, and where one request has to do several things at once.
