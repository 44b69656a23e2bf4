# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Measuring: who notices when a server stands still?
#
# **Question.** A server answers requests in a fraction of a second each. Then it freezes for some seconds, and
# goes on. What does your load generator say about it?
#
# Two ways to ask the same server for the same number of requests per second:
#
# | load | how a request leaves |
# |---|---|
# | **closed loop** (Locust, wrk, most tools) | each of a few users asks, waits for its answer, pauses, asks again |
# | **open loop** | on a schedule fixed beforehand, whatever became of the requests before it, as visitors do who do not know of each other |

# %%
from IPython.display import Markdown, display

from bench import lessons, plots_open, record, summary, tables

run = lessons.run_to_show("freeze")
rows = summary.rows_of(run)
(opened,) = (row for row in rows if row.is_open)
(closed,) = (row for row in rows if not row.is_open)
freeze_s = max(event.for_s for event in opened.trials[0].events if event.code == "frozen")
window_s, users, rate = run.plan.duration_s, closed.users, opened.load.rate_per_s
asked = f"**{rate:.0f} requests/s** of `{opened.stack}`, on a schedule or from **{users} users** who wait"
display(
    Markdown(f"Here: {asked}, in a window of {window_s:.0f} s. The server stands still for **{freeze_s:.0f} s** of it.")
)

# %% [markdown]
# ## Predict
#
# The p99 is the latency that one request in a hundred exceeds. Commit to two numbers, in milliseconds: what p99 will the closed loop
# report, and what the open loop?

# %%
my_prediction_closed_ms = None
my_prediction_open_ms = None

# %% [markdown]
# ## Run
#
# Several restarts of the server for each loop, in random order. In each window the lab itself sends the server SIGSTOP, and
# SIGCONT when the freeze is to end:
#
# ```sh
# lab run freeze --profile standard
# ```
#
# `LAB_RESULTS=results/local/latest` then shows your own numbers here.

# %%
for name, mine, row in (("closed", my_prediction_closed_ms, closed), ("open", my_prediction_open_ms, opened)):
    display(Markdown(f"{name} loop: " + lessons.compare(mine, row.median("latency_us.p99") / 1000, "ms")))

# %% [markdown]
# ## See
#
# Time runs from left to right, the shaded stretch is the freeze. Above what the open loop saw, below the closed one.

# %%
plots_open.timeline([opened.trials[0], closed.trials[0]])

# %% [markdown]
# The same windows as distributions. The open loop is there twice: timed from when each request should have left, and from when it really
# left. The two lie on each other as long as the generator keeps its schedule; only a generator that falls behind needs the first.

# %%
plots_open.both_distributions(run, opened.request)

# %% [markdown]
# ## Explain
#
# All users of the closed loop wait for a frozen server: so many requests are late, one per user, and nobody asks while they wait. All the requests that would have found the
# server frozen were never sent, so they are in no percentile. This is called **coordinated omission** (Gil Tene): the generator
# takes its pace from the server it measures.
#
# The arithmetic that predicts both numbers:


# %%
def arithmetic(row, late):
    """How many of a row's requests were late, as a share, and what p99 that leaves."""
    total = row.trials[0].completed
    share = late / total
    p99_ms = 0.0 if share < 0.01 else 1000 * freeze_s * (1 - 0.01 / share)
    says = f"{p99_ms:,.0f} ms" if p99_ms else "as if nothing had happened"
    measured_ms = row.median("latency_us.p99") / 1000
    return f"| {row.load_text} | {late:,.0f} | {total:,} | {share:.1%} | {says} | {measured_ms:,.0f} ms |"


late_open = freeze_s * rate
head = "| load | late requests | answered | share | so p99 is about | measured |\n|---|--:|--:|--:|--:|--:|\n"
display(Markdown(head + arithmetic(closed, closed.users) + "\n" + arithmetic(opened, late_open)))

# %% [markdown]
# `late requests` is one per user in the closed loop, and rate times freeze in the open one. They wait between nothing and the whole
# freeze, evenly spread; one in a hundred of all requests is the worst few of them.
#
# What the run says to its claims:

# %%
for finding in summary.findings_of(run):
    display(Markdown(f"- **{finding.value}**: {finding.claim.says}: {finding.text}"))

# %% [markdown]
# ## Latency under load
#
# A freeze is the plain case. The same thing happens, less visibly, on every server that comes near its capacity: a queue grows, and only a
# loop that does not wait for it sees how long it gets. So all latency claims in this lab come from the open loop. First each stack's
# capacity is measured in a closed loop, then requests arrive at a share of it, at random (Poisson).

# %%
loaded = record.load(record.REFERENCE / "latency_under_load")
plots_open.latency_against_load(loaded, loaded.plan.requests[0])

# %%
for finding in summary.findings_of(loaded):
    display(Markdown(f"- **{finding.value}**: {finding.claim.says}: {finding.text}"))

# %% [markdown]
# ## How to know that the generator is not what you measure
#
# Every trial ends with a verdict. For an open loop the first question is whether it kept its own schedule: how late did requests leave? Beyond 2 ms or
# 5 % of the median latency at p99 the point is **client-limited**: drawn hollow, and no finding rests on it.

# %%
head = "| stack | load | requests/s asked | left late by (p99) | driver's core | verdict |\n|---|--:|--:|--:|--:|---|\n"
lines = [
    f"| `{row.stack}` | {row.load_text} | {row.load.rate_per_s:,.0f} | {row.median('lateness_us.p99') / 1000:.2f} ms "
    f"| {tables.percent(row.median('load.busiest_share'))} | {row.verdict_text} |"
    for row in summary.rows_of(loaded)
    if row.is_open and row.measured
]
display(Markdown(head + "\n".join(lines)))

# %% [markdown]
# ## What this cannot tell
#
# - **Which loop your visitors are.** People on a page wait for it (closed); people who find your page do not wait for each other (open). Real traffic
#   is a mixture, and the open loop is its worse half.
# - **Anything about throughput.** An open loop below capacity answers what it is asked. For throughput against concurrency the
#   closed loop is the right tool, and the lesson on waiting uses it.
# - **Long tails.** With some thousand requests, a p99.9 rests on a handful of them.

# %% [markdown]
# ## Exercise
#
# How long must the freeze last for the closed loop's p99 to notice it, with the same users, rate and window? Think before you try:
# which of the two numbers in `late requests / answered` does a longer freeze change?

# %%
my_freeze_s = None

# %% [markdown]
# ## Check
#
# A freeze of t seconds leaves at most rate x (window - t) answers, of which one per user is late. The share passes 1 % when those answers
# are fewer than 100 x users.

# %%
needed_s = window_s - users * 100 / rate
right = my_freeze_s is not None and abs(my_freeze_s - needed_s) < 1
print(f"about {needed_s:.0f} s of {window_s:.0f} s; you said {my_freeze_s}: {'right' if right else 'not yet'}")

# %% [markdown]
# ## Live
#
# The freeze, once for each loop, on this machine, with a progress bar: set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = lessons.measure_live("freeze", "--profile", "quick", "--repeats", "1")
if mine:
    display(Markdown(tables.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - Ask of every latency number: from when was it timed, and who decided when to send? `lab run first_look --rate 100` answers with both.
# - A tool that reports a p99 far below a pause you know of has omitted the requests that met it.
# - Keep the closed loop for capacity, and give it one arm with as many threads as users, or it measures the pool.
