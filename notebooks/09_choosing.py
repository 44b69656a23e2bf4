# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Choosing: from five numbers to a stack
#
# **Question.** Five things you know of your site, or can count: how long a request waits (L), what it computes (S), which middlewares it passes, how many requests are in flight
# at once (N), and how much memory a process may take. A sixth you decide: the largest pool of threads you would configure. Which stack should serve the site, and what is there to
# do on Monday?
#
# A rule has to be short enough to argue with. This one is:
#
# 1. Predict what each stack answers, from L, S, N and its threads. A pool gets no more of them than twice what keeps the core busy.
# 2. Leave out what does not fit into the memory.
# 3. Of those that come within a tenth of the best, take the one that asks least of you: sync behind WSGI, then sync behind ASGI, then async.

# %%
from dataclasses import replace

from IPython.display import Markdown, display

from bench.analyse import stack_choice
from bench.claims import claim_table
from bench.learn import lessons, live_cell, sliders
from bench.show import choice_text
from bench.show.figures import choice

run = lessons.run_to_show("io_wait")
crowd, ladder, held = (lessons.reference(name) for name in ("without_hops", "middleware_ladder", "held"))
prices = stack_choice.prices_of(ladder, crowd, held)
at = lessons.Rows(run)
start = stack_choice.Case()

# %% [markdown]
# ## Predict
#
# 400 users at once, a view that waits 100 ms, no middleware, one core. A sync view on 400 threads behind WSGI, or an async view behind ASGI: how many requests per second does each answer?

# %%
my_prediction_threads = None
my_prediction_loop = None

# %% [markdown]
# ## Run
#
# The first command measures the points of the pictures. What a stack takes, which the lines are made from, is measured by the others:
#
# ```sh
# lab run io_wait --profile standard
# lab run middleware_ladder --profile standard    # CPU of a request, by middleware
# lab run without_hops --profile standard         # the same in a crowd
# lab run held --profile standard                 # memory and threads for each request in flight
# ```

# %%
display(Markdown(lessons.describe_run(run)))
for mine, stack in ((my_prediction_threads, "sync_wsgi@gthread:400"), (my_prediction_loop, "async_asgi@uvicorn")):
    measured = at[stack, "wait?ms=100", 400].median("throughput_per_s")
    display(Markdown(f"`{stack}`: " + lessons.compare(mine, measured, "requests/s")))

# %% [markdown]
# ## See
#
# Move a slider, and decision, reasons and what to do are made again. Where you see no sliders, run this cell: what is kept in the file stands still. In a front end
# other than Jupyter's own, set `LAB_SLIDERS=1`.


# %%
def decide(case):
    """One case: its picture, its decision, what speaks for either side, what to do."""
    display(choice.curves(case, prices, [run, crowd]))
    display(Markdown(choice_text.explain_choice(case, prices)))


sliders.explore(decide, start)

# %% [markdown]
# ### Under the seven
#
# The same crowd under the seven middlewares that `startproject` writes into a new project's settings:

# %%
decide(replace(start, with_seven=True))

# %% [markdown]
# ### A case for ASGI
#
# 2,000 at once who wait five seconds each for another service, where nobody would configure more than 64 threads:

# %%
decide(replace(start, wait_s=5.0, users=2000, threads=64))

# %% [markdown]
# ## Explain
#
# The prices: what Django itself takes of the CPU for a request, few at once and in a crowd, and what one more request in flight takes of memory.

# %%
display(Markdown(choice_text.price_table(prices)))

# %% [markdown]
# From these the lines follow by mean value analysis: users circulate between a wait of L and one CPU that needs S for each, and a pool lets only so many circulate at once. How good is
# that? The model's number beside the measured one; the two come from different runs:

# %%
display(Markdown(choice_text.missed_predictions(prices, run)))

# %% [markdown]
# Where the ratio is near 1, the five numbers told what would be measured. Where it is not, the model leaves something out, and mostly it is this: the CPU a request takes is no constant. It
# depends on how many threads take turns, and on how evenly the requests come.

# %% [markdown]
# ## What people say
#
# What the runs and probes have to say to sentences that are heard when a stack is to be chosen:

# %%
display(Markdown(claim_table.settled_in("09_choosing")))

# %% [markdown]
# ## What this cannot tell
#
# - **What your code costs here.** The prices are this machine's. Ratios between stacks travel; microseconds do not: measure your own with the four commands above.
# - **Latency of visitors who do not wait for each other.** The model's users ask again when they are answered. What the last tenth of a capacity costs visitors who do not, the lesson on measuring shows.
# - **A request's own memory.** What your views allocate comes on top, on every side alike.
# - **Crowds beyond what was measured.** Between measured numbers of users CPU is read off a line, and beyond them it is taken to stay as it was: for thousands of threads that is too kind.
# - **Your database.** The rule counts what a process can answer, not what reaches the database while it does: lesson 05 does.

# %% [markdown]
# ## Exercise
#
# Reports: each waits 3 s for another service and computes 20 ms of its own, under the seven middlewares. 300 are in flight at once. You would configure no more than 100 threads; the process may take 512 MB. Which of
# `sync_wsgi`, `sync_asgi` and `async_asgi` would the rule take? Work it out with the limits N/(L+S), W/(L+S) and 1/S first.

# %%
my_lab = None
reports = stack_choice.Case(wait_s=3.0, own_cpu_s=0.02, users=300, with_seven=True, threads=100)

# %% [markdown]
# ## Check

# %%
chosen = stack_choice.choose(stack_choice.options_of(reports, prices))
if my_lab is None:
    print("No answer yet: put the name of a lab into the cell above and run both again.")
elif my_lab != chosen.lab:
    print("Not yet. What does a pool of 100 answer, and what the CPU?")
else:
    print(f"Right: {chosen.stack}, {chosen.throughput_per_s:.0f} requests/s, bounded by {chosen.limiter}.")
    decide(reports)

# %% [markdown]
# ## Live
#
# Does the model hold on this machine, with this machine's load on it? Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
stacks = ["sync_wsgi@gthread:8", "sync_wsgi@gthread:400", "async_asgi@uvicorn"]
mine = live_cell.measure("io_wait", stacks=stacks, users=[200], repeats=1)
if mine:
    display(Markdown(choice_text.predictions_table(prices, mine)))

# %% [markdown]
# ## In practice
#
# - **Count N first**: requests per second times seconds each takes, at your worst hour, divided by processes. If a pool of that size is one that your database and your memory can bear, sync behind WSGI
#   is the answer, and the cheapest in CPU.
# - **If N is too large for a pool**, or connections stay open, ASGI is the answer. Move the sync views as they are, then make those async that wait long and can await all they do.
# - **If it is the database that your pool is cut to**, the loop does not free you from it: behind ASGI each request in flight may ask for a connection, and nothing counts them but you. The lesson on the ORM has what helps.
# - **Under the middlewares of a new project** each hook is a hop. Before you rewrite a view, look at what stands around it: `lab trace --app mysite.asgi:application /`.
# - **Both at once is a good answer**: WSGI for pages, an ASGI process beside it for `/feed` and sockets, from the same code.
