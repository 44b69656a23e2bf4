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
# **Question.** A server answers each request in a fraction of a second. Then it freezes for some seconds and
# goes on. What does your load generator report?
#
# There are two ways to ask the same server for the same number of requests per second:
#
# | load | how a request leaves |
# |---|---|
# | **closed loop** (Locust, wrk, most tools) | each of a few users asks, waits for its answer, pauses and asks again |
# | **open loop** | on a schedule fixed beforehand, whatever happens to earlier requests. Visitors who do not know of each other come like this |

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
asked = f"`{opened.stack}` gets **{rate:.0f} requests/s**, on a schedule or from **{users} users** who wait"
display(Markdown(f"Here {asked}, for {window_s:.0f} s. The server stands still for **{freeze_s:.0f} s** of them."))

# %% [markdown]
# ## Predict
#
# The p99 is the latency that one answer in a hundred exceeds. Write down two numbers, in milliseconds: which p99 does the closed loop
# report, and which does the open loop report?

# %%
my_prediction_closed_ms = None
my_prediction_open_ms = None

# %% [markdown]
# ## Run
#
# In each window the lab stops the server with SIGSTOP and lets it go on with SIGCONT:
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
# Time runs from left to right, and the shaded part is the freeze. The open loop is above, the closed loop below. While the server stands still, requests on
# a schedule go on arriving and pile up. Users who wait send nothing.

# %%
if freeze_s:
    display(open_loop.timeline([opened.measured[0], closed.measured[0]]))
else:
    print(f"The server did not stand still in this run: its window of {window_s:g} s was over before.")

# %% [markdown]
# The same windows as distributions: within which time did 50, 90 and 99 of 100 answers come? The open loop is drawn twice: timed from the moment when each request should
# have left, and from the moment when it really left. The two lines are the same as long as the generator keeps its schedule.

# %%
open_loop.both_distributions(run, opened.request)

# %% [markdown]
# ## Explain
#
# In the closed loop each user has one late request, and sends nothing more until the server goes on. The requests that would have met the
# freeze were never sent, so no percentile contains them. This is called **coordinated omission** (Gil Tene): the generator
# takes its pace from the server that it measures.
#
# Simple arithmetic predicts both numbers. Count the late requests, as a share of all. In the open loop their waits are spread evenly between zero and the whole freeze. The
# p99 is the wait that the slowest hundredth of all requests exceeds.


# %%
def arithmetic(row, late):
    """How many of a row's requests were late, as a share, and the p99 that follows."""
    total = row.median("completed")
    share = late / total
    p99_ms = 0.0 if share < 0.01 else 1000 * freeze_s * (1 - 0.01 / share)
    says = f"{p99_ms:,.0f} ms" if p99_ms else "as without a freeze"
    shown = f"{late:,.0f}", f"{total:,.0f}", f"{100 * share:.1f} %", says
    return row.load_text, *shown, f"{row.median('latency_us.p99') / 1000:,.0f} ms"


head = "load | late requests: | answered: | share: | so p99 is about: | measured:"
display(Markdown(lessons.table(head, [arithmetic(closed, closed.users), arithmetic(opened, freeze_s * rate)])))

# %% [markdown]
# The closed loop has one late request per user. The open loop has rate x freeze of them. The run's claims:

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# ## Latency under load
#
# A freeze is the plain case. The same happens, less visibly, on every server near its capacity: a queue grows, and only an
# open loop sees how long it gets. So we measure latency under load in an open loop: first each stack's
# capacity with a closed loop, then requests that arrive at random (Poisson) at a share of that capacity.

# %%
loaded = lessons.reference("latency_under_load")
open_loop.latency_against_load(loaded, loaded.plan.requests[0])

# %%
display(Markdown(lessons.findings(loaded)))

# %% [markdown]
# ## How to know that the generator is not what you measure
#
# Every trial ends with a verdict. For an open loop the first question is whether it kept its own schedule: how late did requests leave? If one in a hundred left more than
# 2 ms late, and more than 5 % of the median latency, the point is **client-limited**: it is drawn hollow, and no finding uses
# it. A claim with fewer than three usable restarts is *cannot tell*.

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
# - **Which loop your visitors are.** People on a page wait for it (closed). People who find your page come whether or not others have their answer (open). Real traffic
#   is a mixture.
# - **Anything about throughput.** Below capacity, an open loop gets as many answers as it asks for. For throughput against concurrency the
#   closed loop is the right tool, and lesson 02 uses it.
# - **Long tails.** With some thousand requests, a p99.9 depends on a few of them.

# %% [markdown]
# ## Exercise
#
# How many seconds must the freeze last until the closed loop's p99 shows it, with the same users, rate and window? Think first:
# a longer freeze changes one of the two numbers in `late requests / answered`. Which one?

# %%
my_freeze_s = None

# %% [markdown]
# ## Check

# %%
print(lessons.check(my_freeze_s, window_s - users * 100 / rate, "s"))

# %% [markdown]
# The way there: a freeze of t seconds leaves rate x (window - t) answers, and one per user is late. Their share passes 1 % when there are fewer than
# 100 x users answers.

# %% [markdown]
# ## Live
#
# This measures the freeze on your machine, once with each loop, with a progress bar. Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("freeze", repeats=1, duration_s=16)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - Ask two things about every latency: from which moment was it timed, and who decided when to send? `lab run first_look --rate 100` measures both ways.
# - If you know of a pause and the tool's p99 is far below it, the tool has left out the requests that met the pause.
# - Use the closed loop for capacity. Include a stack with as many threads as users, or you measure only the pool.
