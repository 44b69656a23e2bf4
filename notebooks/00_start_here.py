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

from bench import lessons, plots, summary, tables
from bench.record import ROOT

run = lessons.run_to_show("first_look")
request = run.plan.requests[0]
at = lessons.Rows(run)

# %% [markdown]
# ## Predict
#
# A view waits 100 ms for something else and computes nothing. 100 users ask it, each waits for the answer and asks again at once. The server is gunicorn with 8
# threads. How many requests per second does it answer? And uvicorn, with the same view made async?
#
# Put your numbers into the cell and go on. A wrong number teaches more than none: it shows which of your pictures to change.

# %%
my_prediction_8_threads = None
my_prediction_event_loop = None

# %% [markdown]
# ## Run
#
# What follows was measured by this command, with the server started anew for each repeat, in random order:
#
# ```sh
# lab run first_look --profile reference
# ```
#
# Without `--profile` it takes about a minute and a half on your machine; `LAB_RESULTS=results/local/latest` then shows your numbers here.

# %%
pool, loop = (at[stack, request, 100] for stack in ("sync_wsgi@gthread:8", "async_asgi@uvicorn"))
for mine, row in ((my_prediction_8_threads, pool), (my_prediction_event_loop, loop)):
    measured = row.median("throughput_per_s")
    display(Markdown(f"`{row.stack}`: " + lessons.compare(mine, measured, "requests/s")))

# %% [markdown]
# ## See
#
# One point for each **stack** and number of users: the median over server restarts, with the 95 % interval as a bar and every single restart as a faint dot.

# %%
plots.throughput_vs_users(run, request)

# %% [markdown]
# ## How to read a result
#
# The same run as a table, as `lab report first_look` prints it.

# %%
crowd = [at[stack, request, 100] for stack in run.plan.stacks]
head = "| stack | requests/s (95 % interval) | of limit | limit set by | threads | CPU a request | verdict |\n"
lines = [
    f"| `{row.stack}` | {tables.number(row.median('throughput_per_s'))} ({tables.span(row.throughput_interval)}) "
    f"| {tables.percent(row.median('fraction_of_limit'))} | {row.ceiling} "
    f"| {tables.whole(row.median('server.threads_max'))} "
    f"| {tables.whole(row.median('cpu_us_per_request'))} µs | {row.verdict_text} |"
    for row in crowd
]
display(Markdown(head + "|---|--:|--:|---|--:|--:|---|\n" + "\n".join(lines)))

# %% [markdown]
# - **stack**: a lab, a server and its budget. `sync_wsgi@gthread:8` is the project with sync views behind gunicorn with 8 threads.
# - **limit**: what no server can exceed, the least of N/(L+S), W/(L+S) and 1/S: N users, a wait of L, W threads, and S of CPU for a request, which is measured.
#   *Of limit* says how near a stack comes, *limit set by* which of the three it is.
# - **interval**: where the median lies, by what the restarts show. Two stacks whose ratio's interval includes 1 do not differ, as far as this run can tell.
# - **verdict**: `ok`; `degraded`, a number with a reservation, drawn hollow and told in the report; `invalid` and `not-run`, which never show a number.

# %% [markdown]
# ## Explain
#
# One thread holds one request, and a request holds its thread for as long as it waits. So a pool of W threads that wait L each answers W / L requests a second, whatever the
# machine could do; and N users who wait L for each answer ask for no more than N / L.

# %%
wait_s, users = pool.io_wait_s, pool.users
by_threads, by_users = pool.slots / wait_s, users / wait_s
display(
    Markdown(
        f"{pool.slots} threads / {wait_s:g} s = **{by_threads:,.0f} requests/s**; measured: {tables.number(pool.median('throughput_per_s'))}."
    )
)
display(
    Markdown(
        f"{users} users / {wait_s:g} s = **{by_users:,.0f} requests/s**; the event loop: {tables.number(loop.median('throughput_per_s'))}."
    )
)

# %% [markdown]
# The loop has no pool to run out of, and yet stays below what its users ask for: what stops it is the CPU that a request takes. Claims about a run are judged
# by the run, in three values:

# %%
for finding in summary.findings_of(run)[:4]:
    display(Markdown(f"- **{finding.value}**: {finding.claim.says}: {finding.text}"))

# %% [markdown]
# ## Where each lesson leads

# %%
course = (ROOT / "notebooks" / "README.md").read_text().splitlines()
display(Markdown("\n".join(line for line in course if line.startswith("- ["))))

# %% [markdown]
# In a hurry: 02, 04 and 09. To decide about streams and sockets: 06. Before you change a server in production: 05 and 07.
#
# What people say of all this is kept as a ledger of claims, each with a finding computed here: `lab claims`. This lesson's run speaks to **A1** (ASGI handles more requests per
# unit of time) and **N14** (an event loop handles more at once than a thread pool): `lab claims N14`.

# %% [markdown]
# ## What this cannot tell
#
# - **What your site does.** A wait here is a sleep: no driver, no connection, no answer to parse.
# - **Rates on your machine.** One server process on one core was measured. Shapes and ratios carry over, rates do not.
# - **Which is better.** The pool above is too small for its crowd, on purpose. The next lessons give it what it needs.

# %% [markdown]
# ## Exercise
#
# How many threads would the pool need to answer as many requests per second as this run's event loop did?

# %%
my_threads = None

# %% [markdown]
# ## Check

# %%
needed = loop.median("throughput_per_s") * wait_s
right = my_threads is not None and abs(my_threads / needed - 1) < 0.1
print(f"about {needed:.0f} threads; you said {my_threads}: {'right' if right else 'not yet'}")
enough = at["sync_wsgi@gthread:100", request, 100]
print(f"and {enough.slots} of them answered {tables.number(enough.median('throughput_per_s'))} requests/s")

# %% [markdown]
# ## Live
#
# The same on this machine, in half a minute, with a progress bar: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = lessons.measure_live("first_look", "--profile", "quick", "--users", "100", "--repeats", "1")
if mine:
    display(Markdown(tables.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - The first number to know of a site is how many requests are in flight at once: requests per second times seconds each takes. Most sites have fewer than they think.
# - A pool with a thread for each of those serves them well. That is the plain case for WSGI, and the default of Django for good reasons.
# - ASGI is worth its price where no pool is large enough, where connections stay open, and where one request has to do several things at once.
