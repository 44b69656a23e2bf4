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
# **Question.** You know five numbers of your site, or can count them: how long a request waits (L), how long it computes (S), which middlewares it passes, how many requests are in
# flight at once (N), and how much memory a process may take. And you decide one more: the largest pool of threads you would configure. Which stack should serve the site, and what
# do you do on Monday?
#
# Here is a rule that is short enough to argue with:
#
# 1. Predict the throughput of each stack from L, S, N and its threads. A pool gets at most twice the threads that keep the core busy.
# 2. Leave out the stacks that do not fit into the memory.
# 3. Of those within a tenth of the best, take the one with the least work for you: sync behind WSGI, then sync behind ASGI, then async.

# %%
from dataclasses import replace

from IPython.display import Markdown, display

from bench.analyse import stack_choice
from bench.claims import claim_table
from bench.learn import lessons, live_cell, sliders
from bench.show import choice_text
from bench.show.figures import choice, middleware_ladder

run = lessons.run_to_show("io_wait")
crowd, ladder, held = (lessons.reference(name) for name in ("without_hops", "middleware_ladder", "held"))
prices = stack_choice.prices_of(ladder, crowd, held)
start = stack_choice.Case()

# %% [markdown]
# ## Predict
#
# There are 400 users at once, a view that waits 100 ms, the seven middlewares of a new project, and one core. Within how many milliseconds do half of the answers
# of a sync view come, on 400 threads behind WSGI, and of an async view behind ASGI?

# %%
my_prediction_threads_ms = None
my_prediction_loop_ms = None

# %% [markdown]
# ## Run
#
# The first command measures the points in the pictures. The others measure what a request costs on each stack. The lines are computed from that:
#
# ```sh
# lab run io_wait --profile standard
# lab run middleware_ladder --profile standard    # CPU of a request, by middleware
# lab run without_hops --profile standard         # the same in a crowd
# lab run held --profile standard                 # memory and threads for each request in flight
# ```

# %%
display(Markdown(lessons.describe_run(crowd)))
for mine, stack in ((my_prediction_threads_ms, "sync_wsgi@gthread:400"), (my_prediction_loop_ms, "async_asgi@uvicorn")):
    pair = middleware_ladder.without_and_with_seven(crowd, stack)
    measured = pair and pair[1].median("latency_us.p50") / 1000
    display(Markdown(f"`{stack}`: " + lessons.compare(mine, measured, "ms")))

# %% [markdown]
# ## See
#
# Move a slider, and the decision, its reasons and the next steps change. If you see no sliders, run this cell: the file keeps only one picture. In a front end
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
# The same users under the seven middlewares that `startproject` writes into the settings of a new project:

# %%
decide(replace(start, with_seven=True))

# %% [markdown]
# ### A case for ASGI
#
# Here 2,000 requests are in flight at once. Each waits five seconds for another service, and you would configure at most 64 threads:

# %%
decide(replace(start, wait_s=5.0, users=2000, threads=64))

# %% [markdown]
# ## Explain
#
# The prices: the CPU that Django itself takes for a request, with few and with many users, and the memory that one more request in flight takes.

# %%
display(Markdown(choice_text.price_table(prices)))

# %% [markdown]
# The lines are computed from these prices by mean value analysis: each user waits L, then needs S of one CPU, then asks again, and a pool admits only as many as it has threads. How
# good is the model? Here are its numbers beside the measured ones, which come from another run:

# %%
display(Markdown(choice_text.missed_predictions(prices, run)))

# %% [markdown]
# Where the ratio is near 1, the five numbers were enough. Where it is not, the model leaves something out. The CPU per request is not a constant: it falls on a busy server
# (lesson 02) and rises among many threads (lesson 04). And users on a loop may come in waves (lesson 02).

# %% [markdown]
# ## What people say
#
# Common claims about choosing a stack, checked here:

# %%
display(Markdown(claim_table.settled_in("09_choosing")))

# %% [markdown]
# ## What this cannot tell
#
# - **What your code costs here.** The prices are those of this machine. Ratios between stacks carry over, microseconds do not. Measure your own with the four commands above.
# - **Latency of visitors who come on their own schedule.** The model's users ask again when they are answered. Lesson 01 shows what other visitors meet near full capacity.
# - **Your views' memory.** What they allocate comes on top, on every stack alike.
# - **More users than we measured.** Between two measured numbers of users the CPU is interpolated. Beyond them it is taken as constant, which is too low for thousands of threads.
# - **Your database.** The rule counts what a process can answer, not what reaches the database meanwhile. Lesson 05 does.

# %% [markdown]
# ## Exercise
#
# A site makes reports. Each waits 3 s for another service and computes for 20 ms, under the seven middlewares, and 300 are in flight at once. You would configure at most 100
# threads, and the process may take 512 MB. Which of `sync_wsgi`, `sync_asgi` and `async_asgi` does the rule take? First compute the limits N/(L+S), W/(L+S) and 1/S. S is the 20 ms and
# Django's own CPU for a request, which is in the table of prices.

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
    print("Not yet. How many requests per second do 100 threads allow, and how many does the CPU?")
else:
    print(f"Right: {chosen.stack}, {chosen.throughput_per_s:.0f} requests/s; its lowest limit is {chosen.limiter}.")
    decide(reports)

# %% [markdown]
# ## Live
#
# Does the model hold on your machine? This measures it. Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
stacks = ["sync_wsgi@gthread:8", "sync_wsgi@gthread:400", "async_asgi@uvicorn"]
mine = live_cell.measure("io_wait", stacks=stacks, users=[200], repeats=1)
if mine:
    display(Markdown(choice_text.predictions_table(prices, mine)))

# %% [markdown]
# ## In practice
#
# - **Count N first**: requests per second times the seconds that each takes, at your busiest hour, divided by the number of processes. If your database and your memory can bear a pool of
#   that size, take sync behind WSGI. It also takes the least CPU.
# - **If N is too large for a pool**, or connections stay open, take ASGI. Move the sync views as they are. Then make those views async that wait long and can await everything.
# - **If the database limits your pool**, ASGI does not remove that limit: each request in flight may ask for a connection, and nothing bounds them. Lesson 05 shows what helps.
# - **Under the middlewares of a new project** each hook is a hop. Before you rewrite a view, look at what is around it: `lab trace --app mysite.asgi:application /`.
# - **Both together are a good choice**: WSGI for pages, and an ASGI process beside it for `/feed` and sockets, from the same code.
