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
# **Question.** Your view is `async def`, your server is uvicorn. How often does a request still go to a thread, and what for?
#
# A **hop** is one crossing between event loop and thread, made by asgiref: `sync_to_async` goes to a thread, `async_to_sync` to a loop.
# Django makes them wherever the next piece of code is of the other kind.

# %%
from IPython.display import Markdown, display

from bench.claims import claim_table
from bench.learn import lessons, live_cell
from bench.show.figures import middleware_ladder, resources
from bench.show.tables import markdown
from bench.show.trace_svg import picture
from bench.trace import reference_traces
from bench.trace.inside.model import hops_text

run = lessons.run_to_show("middleware_ladder")
request = run.plan.requests[0]
trace = reference_traces.load_trace("poster")

# %% [markdown]
# ## Predict
#
# An async view that does nothing, behind uvicorn, under the seven middlewares that `django-admin startproject` writes. How many times does one
# request go to a thread? And on how many threads does it run in all?

# %%
my_prediction_hops = None
my_prediction_threads = None

# %% [markdown]
# ## Run
#
# The tracer asks once and says who went where. It works on your own project as well, without a change to it:
#
# ```sh
# lab trace async_asgi@uvicorn hello --middleware startproject
# lab trace --app mysite.asgi:application /
# ```

# %%
display(Markdown(lessons.compare(my_prediction_hops, trace.hop_counts["sync_to_async"], "hops")))
display(Markdown(lessons.compare(my_prediction_threads, len(trace.lanes), "threads")))

# %% [markdown]
# ## See
#
# One request, from top to bottom. Left the event loop, right of it the thread; each arrow is one hop. The bars say where its time went.

# %%
picture(trace)

# %% [markdown]
# Who caused them, and what could be done about it, as `lab trace` prints it:

# %%
lines = [(f"`{layer.path}`", layer.capable, layer.runs, layer.hops) for layer in trace.middleware]
display(Markdown(lessons.table("middleware | can be | runs | hops:", lines)))
for sentence in trace.advice:
    display(Markdown(f"> {sentence}"))

# %% [markdown]
# ## Explain
#
# - **Two are always there.** Django sends the signal `request_started`, whose own receivers are sync, and closes the response, also sync.
# - **A middleware with hooks pays for each hook.** `MiddlewareMixin` cannot know whether `process_request` does I/O, so it sends it to a thread. The same for
#   `process_response`; `process_view` is sent on its own.
# - **All hops of a request go to one thread**, made for it by the first one and held until the request ends. So every request in flight
#   parks a thread, also with an async view.
#
# So the number could have been told beforehand, from the two and the hooks of each middleware in turn:

# %%
always, hooks = (
    reference_traces.load_trace("alone").hop_counts["sync_to_async"],
    [layer.hops for layer in trace.middleware],
)
summed = f"{' + '.join(map(str, (always, *hooks)))} = **{always + sum(hooks)}**"
display(Markdown(f"{summed}; the tracer counted {trace.hop_counts['sync_to_async']}."))

# %% [markdown]
# The same view arranged in other ways; `startproject` stands for the seven:

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
# One rung after the other, measured under load: what each middleware adds to the hops and to the server's CPU per request. `lab run middleware_ladder` measures its
# ends on your machine, `--profile standard` every rung.

# %%
display(Markdown(lessons.describe_run(run)))
middleware_ladder.ladder(run, request)

# %% [markdown]
# And one more middleware, sync-only, async-only or capable of both, at each place among the seven:

# %%
middleware_ladder.positions(run, request)

# %%
display(Markdown(lessons.findings(run)))

# %% [markdown]
# ## Taking them away
#
# `labs/zero_hop` has a handler that goes to a thread only where something needs one; `labs/pinned_pool` makes Django's hops, but on a bounded set of threads;
# `labs/folded` puts one sync-only middleware next to the view. A crowd that waits 100 ms, with and without the seven:

# %%
without = lessons.reference("without_hops")
resources.cpu_per_request(without, without.plan.requests[0])

# %%
display(Markdown(lessons.findings(without)))

# %% [markdown]
# ## What people say
#
# What a switch is, who makes one, and what it costs:

# %%
display(Markdown(claim_table.settled_in("04_hops")))

# %% [markdown]
# ## What this cannot tell
#
# - **What your middlewares cost.** These do next to nothing; one that asks a database pays for that as well. Trace your own project.
# - **What a hop costs on your machine.** Counts are the same on every machine, times are not.
# - **Anything about other frameworks.** asgiref's hops are what is counted.

# %% [markdown]
# ## Exercise
#
# A service without accounts leaves out the middlewares for sessions, authentication and messages. How many hops does a request to its async view
# make under the four that remain? `lab trace async_asgi@uvicorn hello --middleware security,common,csrfview,xframeoptions` counts them.
#
# And one to mend: the middleware in `labs/exercises/middleware_hops.py` goes to a thread twice in every request and has nothing to do there.
# `lab check middleware_hops` counts.

# %%
my_hops = None

# %% [markdown]
# ## Check

# %%
left_out = (".sessions.", ".auth.", ".messages.")
remaining = [layer.hops for layer in trace.middleware if not any(app in layer.path for app in left_out)]
print(lessons.check(my_hops, always + sum(remaining), "hops", within=0))

# %% [markdown]
# ## Live
#
# The ladder's ends on this machine, with a progress bar: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("middleware_ladder", repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - Count before you change anything: `lab trace --app mysite.asgi:application /your/page`.
# - Behind ASGI the middlewares of a new project make far more hops than the view does, whether it is sync or async. If middlewares are what you have, sync views
#   behind WSGI make no hops, cost least of what Django offers as it comes, and are nothing to be ashamed of.
# - A sync-only middleware does most harm around everything else. Next to the view it spares the hops of all that stand outside of it.
