# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Hops: where a request runs
#
# **Question.** Your view is `async def` and your server is uvicorn. How often does a request still go to a thread, and why?
#
# A **hop** is one crossing between event loop and thread, made by asgiref: `sync_to_async` goes to a thread, `async_to_sync` to a loop.
# Django makes a hop wherever the next piece of code is of the other kind.

# %%
from IPython.display import Markdown, display

from bench.analyse import findings, stats
from bench.claims import claim_table
from bench.learn import lessons, live_cell
from bench.show.figures import middleware_ladder, resources
from bench.show.tables import markdown
from bench.show.trace_svg import picture
from bench.trace import reference_traces
from bench.trace.inside.model import hops_text

run = lessons.run_to_show("middleware_ladder")
request = run.plan.requests[0]
trace, stock = reference_traces.load_trace("poster"), "async_asgi@uvicorn"

# %% [markdown]
# ## Predict
#
# An async view does nothing. It is behind uvicorn and under the seven middlewares that `django-admin startproject` writes. How many times does one
# request go to a thread? And on how many threads does it run in all?

# %%
my_prediction_hops = None
my_prediction_threads = None

# %% [markdown]
# ## Run
#
# The tracer sends one request and shows what ran on which thread. It works on your own project as well, without a change to it:
#
# ```sh
# lab trace async_asgi@uvicorn hello --middleware startproject
# lab trace --app mysite.asgi:application /
# ```

# %%
display(Markdown(lessons.compare(my_prediction_hops, trace.hop_counts["sync_to_async"], "hops to a thread")))
display(Markdown(lessons.compare(my_prediction_threads, len(trace.lanes), "threads")))

# %% [markdown]
# ## See
#
# One request, from top to bottom. Left is the event loop, right of it the thread, and each arrow is one hop. The bars show where its time went.

# %%
picture(trace)

# %% [markdown]
# What caused the hops, and what you could do about them, as `lab trace` prints it:

# %%
lines = [(f"`{layer.path}`", layer.capable, layer.runs, layer.hops) for layer in trace.middleware]
display(Markdown(lessons.table("middleware | can be | runs | hops:", lines)))
for sentence in trace.advice:
    display(Markdown(f"> {sentence}"))

# %% [markdown]
# ## Explain
#
# - **Two are always there.** Django sends the signal `request_started`, whose own receivers are sync. It also closes the response, and that is sync as well.
# - **A middleware with hooks costs one hop per hook.** `MiddlewareMixin` cannot know whether `process_request` does I/O, so it sends it to a thread. It does the same with
#   `process_response`, and Django sends `process_view` separately.
# - **All hops of a request go to one thread.** The first hop makes it, and the request holds it until it ends. So every request in flight
#   parks a thread, also with an async view.
#
# So you can predict the number: the two, and the hooks of each middleware in turn:

# %%
always, hooks = (
    reference_traces.load_trace("alone").hop_counts["sync_to_async"],
    [layer.hops for layer in trace.middleware],
)
summed = f"{' + '.join(map(str, (always, *hooks)))} = **{always + sum(hooks)}**"
display(Markdown(f"{summed}; the tracer counted {trace.hop_counts['sync_to_async']}."))

# %% [markdown]
# The same view with other middlewares. `startproject` stands for the seven:

# %%
lines = [
    (f"`{of.stack}`", ", ".join(of.middleware) or "none", hops_text(seen.hop_counts), len(seen.lanes))
    for of, seen in (
        (reference_traces.TRACES[name], reference_traces.load_trace(name)) for name in reference_traces.TRACES
    )
]
display(Markdown(lessons.table("stack | middleware, outermost first | hops | threads:", lines)))

# %% [markdown]
# ## What it costs
#
# Measured under load, one middleware after the other: what each adds to the hops and to the server's CPU per request. `lab run middleware_ladder` measures the
# first and the last row on your machine, and `--profile standard` measures all.

# %%
display(Markdown(lessons.describe_run(run)))
middleware_ladder.ladder(run, request)

# %% [markdown]
# And what one more middleware does at each place among the seven. It is sync-only, async-only, or can be both:

# %%
middleware_ladder.positions(run, request)

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# ### Why a hop costs more when there are many threads
#
# The ladder was measured with few users. `without_hops` measured the same middlewares with many users who wait. The hops are the same, but their price is not. Subtract the CPU
# without middlewares from the CPU with the seven, and what the view itself costs is gone:

# %%
without = lessons.reference("without_hops")
pairs = [
    middleware_ladder.without_and_with_seven(of, stack)
    for of, stack in ((run, stock), (without, stock), (without, "pinned_pool@uvicorn"))
]
added = trace.hop_counts["sync_to_async"] - reference_traces.load_trace("alone").hop_counts["sync_to_async"]
lines = [middleware_ladder.price_cells(pair, added) for pair in pairs if pair]
head = f"stack | load | threads: | CPU without, µs: | with the seven, µs: | per hop of the {added} added, µs:"
display(Markdown(lessons.table(head, lines)))

# %% [markdown]
# `pinned_pool` makes the same hops for the same users, but on few threads:

# %%
(_, many), (_, few) = (middleware_ladder.without_and_with_seven(without, of) for of in (stock, "pinned_pool@uvicorn"))
ratio = findings.ratio_of(few, many, "cpu_us_per_request")
told = f"With the seven, `{few.stack}` takes {stats.describe_ratio(ratio)} the CPU of `{many.stack}`" if ratio else ""
display(Markdown(told or "These runs do not tell whether the number of threads matters."))

# %% [markdown]
# So the number of threads is one reason: hundreds of threads make each hop dearer. It is not the only one, because on few threads a hop still costs more with many users than with
# few. These runs do not show what makes up the rest.

# %% [markdown]
# ## Taking them away
#
# `labs/zero_hop` has a handler that goes to a thread only where something needs one. `labs/pinned_pool` makes Django's hops, but on a bounded set of threads.
# `labs/folded` puts one sync-only middleware next to the view. Here many users wait 100 ms, with and without the seven:

# %%
resources.cpu_per_request(without, without.plan.requests[0])

# %%
display(Markdown(lessons.findings(without)))

# %% [markdown]
# ## What people say
#
# Claims about what a switch is, what causes one, and what it costs. The time of a hop there is that of an undisturbed request; the table above has what a hop takes in a crowd:

# %%
display(Markdown(claim_table.settled_in("04_hops")))

# %% [markdown]
# ## What this cannot tell
#
# - **What your middlewares cost.** These do next to nothing. A middleware that asks a database pays for that as well. Trace your own project.
# - **What a hop costs on your machine.** Counts are the same on every machine, times are not.
# - **Anything about other frameworks.** We count asgiref's hops.

# %% [markdown]
# ## Exercise
#
# A service without accounts leaves out the middlewares for sessions, authentication and messages. How often does a request to its async view
# go to a thread under the four that remain? `lab trace async_asgi@uvicorn hello --middleware security,common,csrfview,xframeoptions` counts them.
#
# And one file to correct: the middleware in `labs/exercises/middleware_hops.py` goes to a thread twice in every request, although it has nothing to do there.
# `lab check middleware_hops` counts its hops.

# %%
my_hops = None

# %% [markdown]
# ## Check

# %%
left_out = (".sessions.", ".auth.", ".messages.")
remaining = [layer.hops for layer in trace.middleware if not any(app in layer.path for app in left_out)]
print(lessons.check(my_hops, always + sum(remaining), "hops to a thread", within=0))

# %% [markdown]
# ## Live
#
# This measures the first and the last row of the ladder on your machine, with a progress bar. Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("middleware_ladder", repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - Count before you change anything: `lab trace --app mysite.asgi:application /your/page`.
# - Behind ASGI the middlewares of a new project make far more hops than the view, whether it is sync or async. Sync views
#   behind WSGI make no hops, and of what Django offers they take the least CPU.
# - A sync-only middleware costs most when it is outermost. Innermost, it removes the hops of every middleware outside it.
