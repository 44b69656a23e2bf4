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

from bench.analyse import rows
from bench.claims.schema import RunEvidence, load_claims
from bench.learn import lessons, live_cell
from bench.show.figures import open_loop
from bench.show.tables import formatting, markdown

run = lessons.run_to_show("freeze")
opened, closed = lessons.both_loops(run)
freeze_s = max((event.for_s for event in opened.measured[0].events if event.code == "frozen"), default=0.0)
window_s, users, rate = run.plan.duration_s, closed.users, opened.trial.rate_per_s
asked = f"**{rate:.0f} requests/s** of `{opened.stack}`, on a schedule or from **{users} users** who wait"
display(Markdown(f"Here: {asked}, for {window_s:.0f} s. The server stands still for **{freeze_s:.0f} s** of it."))

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
# In each window the lab itself sends the server SIGSTOP, and SIGCONT when the freeze is to end:
#
# ```sh
# lab run freeze
# ```
#
# `LAB_RESULTS=results/local/latest` then shows your own numbers here.

# %%
display(Markdown(lessons.describe_run(run)))
for name, mine, row in (("closed", my_prediction_closed_ms, closed), ("open", my_prediction_open_ms, opened)):
    display(Markdown(f"{name} loop: " + lessons.compare(mine, row.median("latency_us.p99") / 1000, "ms")))

# %% [markdown]
# ## See
#
# Time runs from left to right, the shaded stretch is the freeze. Above is what the open loop saw, below it the closed one. While the server stands, requests on
# a schedule go on arriving and pile up before its door; users who wait do not come again.

# %%
if freeze_s:
    display(open_loop.timeline([opened.measured[0], closed.measured[0]]))
else:
    print(f"The server did not stand still in this run: its window of {window_s:g} s was over before.")

# %% [markdown]
# The same windows as distributions: within which latency did 50, 90, 99 of 100 answers come? The open loop is there twice, timed from when each request should
# have left and from when it really left. The two lie on each other as long as the generator keeps its schedule; only one that falls behind needs the first.

# %%
open_loop.both_distributions(run, opened.request)

# %% [markdown]
# ## Explain
#
# All users of the closed loop wait for a frozen server: one late request for each of them, and nobody asks meanwhile. All the requests that would have found the
# server frozen were never sent, so they are in no percentile. This is called **coordinated omission** (Gil Tene): the generator
# takes its pace from the server it measures.
#
# The arithmetic that predicts both numbers: so many requests are late, a share of all; they wait between nothing and the whole freeze, evenly spread; and the p99 is
# what the worst hundredth of all requests exceeds.


# %%
def arithmetic(row, late):
    """How many of a row's requests were late, as a share, and what p99 that leaves."""
    total = row.measured[0].completed
    share = late / total
    p99_ms = 0.0 if share < 0.01 else 1000 * freeze_s * (1 - 0.01 / share)
    says = f"{p99_ms:,.0f} ms" if p99_ms else "as if nothing had happened"
    shown = f"{late:,.0f}", f"{total:,}", f"{100 * share:.1f} %", says
    return row.load_text, *shown, f"{row.median('latency_us.p99') / 1000:,.0f} ms"


head = "load | late requests: | answered: | share: | so p99 is about: | measured:"
display(Markdown(lessons.table(head, [arithmetic(closed, closed.users), arithmetic(opened, freeze_s * rate)])))

# %% [markdown]
# One late request for each user of the closed loop; rate times freeze in the open one. What the run says to its claims:

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# ## Latency under load
#
# A freeze is the plain case. The same thing happens, less visibly, on every server that comes near its capacity: a queue grows, and only a
# loop that does not wait for it sees how long it gets. So latency under load is measured in an open loop here: first each stack's
# capacity in a closed one, then requests that arrive at a share of it, at random (Poisson).

# %%
loaded = lessons.reference("latency_under_load")
open_loop.latency_against_load(loaded, loaded.plan.requests[0])

# %%
display(Markdown(lessons.findings(loaded)))

# %% [markdown]
# ## How to know that the generator is not what you measure
#
# Every trial ends with a verdict. For an open loop the first question is whether it kept its own schedule: how late did requests leave? Where one in a hundred left later than
# 2 ms, and later than 5 % of the median latency, the point is **client-limited**: drawn hollow, and no finding rests on
# it. Where that leaves a claim fewer than three restarts, it says *cannot tell*.

# %%
lines = [
    (
        *(f"`{row.stack}`", row.load_text, f"{row.trial.rate_per_s:,.0f}"),
        f"{row.median('lateness_us.p99') / 1000:.2f} ms",
        *(formatting.percent(row.median("load.busiest_share")), row.verdict_text),
    )
    for row in rows.rows_of(loaded)
    if row.trial.capacity_share in (0.1, 0.9, 1.2) and row.measured
]
head = "stack | load: | requests/s asked: | left late by (p99): | driver's core: | verdict"
display(Markdown(lessons.table(head, lines)))

# %% [markdown]
# ## What people say
#
# This lesson settles no claim of its own, and yet many stand on it: they are as good as the runs behind them. By run:

# %%
resting = {}
for claim in load_claims():
    for piece in claim.evidence:
        if isinstance(piece, RunEvidence):
            resting.setdefault(piece.experiment, {})[claim.id] = None
display(Markdown(lessons.table("run | claims", [(f"`{name}`", ", ".join(ids)) for name, ids in resting.items()])))
count = len({name for ids in resting.values() for name in ids})
told = f"**{count} of {len(load_claims())} claims** of the ledger rest on runs that were measured in this way"
display(Markdown(f"So {told}."))

# %% [markdown]
# Each of these servers was started anew for every repeat, in random order, and each number had to pass its verdict before a finding could rest on it. The other claims
# are settled by counts and probes, which need no load.

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
# How many seconds must the freeze last for the closed loop's p99 to notice it, with the same users, rate and window? Think before you try:
# which of the two numbers in `late requests / answered` does a longer freeze change?

# %%
my_freeze_s = None

# %% [markdown]
# ## Check

# %%
print(lessons.check(my_freeze_s, window_s - users * 100 / rate, "s"))

# %% [markdown]
# The way there: a freeze of t seconds leaves at most rate x (window - t) answers, of which one per user is late. Their share passes 1 % when those answers
# are fewer than 100 x users.

# %% [markdown]
# ## Live
#
# The freeze, once for each loop, on this machine, with a progress bar: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("freeze", repeats=1, duration_s=16)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - Ask of every latency number: from when was it timed, and who decided when to send? `lab run first_look --rate 100` answers with both.
# - A tool that reports a p99 far below a pause you know of has omitted the requests that met it.
# - Keep the closed loop for capacity, and give it one arm with as many threads as users, or it measures the pool.
