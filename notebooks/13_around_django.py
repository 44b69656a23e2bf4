# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Around Django: packages, middlewares and tests behind both doors
#
# **Question.** A project is Django and the packages around it. Which of them are async, what do they add to a request behind ASGI, and do your tests see any of it?
#
# [labs/around](../labs/around) has one small page in plain Django, in Django REST framework and in django-ninja, and three middlewares that many projects have: those of WhiteNoise, allauth and the debug
# toolbar. Each is asked through both doors.

# %%
from IPython.display import Markdown, display

from bench.claims import claim_table
from bench.claims.exhibits import around
from bench.learn import lessons, live_cell
from bench.show import trace_svg
from bench.show.tables import markdown
from bench.trace.inside.model import from_json

found = around.load_around()

# %% [markdown]
# The hops of a line are those of one request behind ASGI, from the event loop to a thread:

# %%
by_name = {row["what"]: row for row in found["rows"]}


def hops_of(what):
    """How often a request goes to a thread behind ASGI."""
    return by_name[what]["traces"]["asgi"]["hops"]["sync_to_async"]


# %% [markdown]
# ## Predict
#
# An async operation of django-ninja, without any middleware: how often does its request go to a thread behind ASGI? The same for a view of Django REST framework. And how many hops does allauth's middleware add to an async
# view under the seven middlewares of a new project?

# %%
my_prediction_ninja = None
my_prediction_drf = None
my_prediction_allauth = None

# %% [markdown]
# ## Run
#
# ```sh
# lab env add around --django 5.2 --with djangorestframework --with django-ninja --with whitenoise --with django-allauth --with django-debug-toolbar
# python -m bench.claims.exhibits.around
# ```
#
# Half a minute, when the environment is there.

# %%
added = hops_of("with allauth's middleware") - hops_of("an async view under the seven")
for mine, measured, what in (
    (my_prediction_ninja, hops_of("django-ninja, an async operation"), "times to a thread"),
    (my_prediction_drf, hops_of("Django REST framework"), "times to a thread"),
    (my_prediction_allauth, added, "more hops"),
):
    display(Markdown(lessons.compare(mine, measured, what)))

# %% [markdown]
# ## See
#
# Hops and threads are those of one request behind ASGI. The CPU is that of the same page behind ASGI, compared with WSGI: both doors take turns in one process, round by round.
# No server is in this, which takes CPU of its own behind both doors: so these ratios are higher than those of lesson 09.
# Compare the ratios of sync pages with each other, and those of async pages with each other: behind WSGI an async page gets an event loop of its own for each request, so its baseline is higher.

# %%
versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
display(Markdown(f"{found['python']}, {versions}; {found['rounds']} rounds of {found['requests']} requests."))
display(
    Markdown(
        lessons.table(
            "asked | hops to a thread: | threads: | CPU behind WSGI, µs: | behind ASGI, µs: | compared with WSGI:",
            around.lines(),
        )
    )
)

# %% [markdown]
# ## Explain
#
# A request behind ASGI goes to a thread for four reasons, and each package adds to some of them:
#
# - **Django itself**: twice for every request, at its start and at its end (lesson 04). Nothing that you install changes that.
# - **The view**: once if it is sync. Views of Django REST framework are sync, and so are sync operations of django-ninja. A response that is rendered late goes once more: those of Django REST framework are.
# - **Each hook of a middleware** that is written with `MiddlewareMixin`: `process_request` and `process_response` go to a thread one by one, and `process_view` as well. A middleware that has an async half of its own,
#   as allauth's has, goes nowhere.
# - **A sync-only middleware around async ones**: the request leaves the loop for it and comes back inside of it.
#
# Where it went, in a sentence each:

# %%
for row in found["rows"]:
    display(Markdown(f"{row['what']}: {row['traces']['asgi']['summary']}"))

# %% [markdown]
# And one of them as a picture, with allauth's middleware innermost:

# %%
trace_svg.picture(from_json(found["trace"]))

# %% [markdown]
# ## Tests that behave as production does
#
# Django's `AsyncClient` calls the handler in the loop of the test. All sync views of a test share one thread, so that gathered requests take turns there, and nothing in production does. A test about several
# requests at once needs a server. It takes a few lines:

# %%
print(lessons.source_of("labs/common/as_production.py", "serving"))

# %% [markdown]
# `python -m labs.common.as_production` asks a sync view five times at once, through the client and through a server. What people say about it, and what was measured:

# %%
display(Markdown(claim_table.to_markdown("W3")))

# %% [markdown]
# ## What people say
#
# Claims about these packages:

# %%
display(Markdown(claim_table.settled_in("13_around_django")))

# %% [markdown]
# ## What this cannot tell
#
# - **Other versions.** Packages change; the line above the table says which ones were asked. `lab trace --app mysite.asgi:application /` counts the hops of yours.
# - **What a package does besides.** Serializers, permissions, panels of the toolbar: this page has next to nothing of them, so a ratio of a page that does more is nearer to 1.
# - **A server.** The doors are called in one process. The CPU of reading HTTP comes on top, on both sides.
#
# ## Exercise
#
# A project has the seven middlewares, allauth's, and an async operation of django-ninja. Add up: how often does its request go to a thread? The table has all that you need.

# %%
my_hops = None

# %% [markdown]
# ## Check

# %%
right = hops_of("with allauth's middleware") + hops_of("django-ninja, an async operation") - hops_of("an async view")
print(lessons.check(my_hops, right, "hops", within=0))

# %% [markdown]
# ## Live
#
# What the seven cost on your machine: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.measure("middleware_ladder", repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **A package that is "async" may still hop.** What counts is your project's sum: `lab trace` gives it for each page.
# - **Take the debug toolbar out before you compare.** It answers differently behind each door, and `lab try` leaves it out for that reason.
# - **Serve files elsewhere**, or accept what WhiteNoise costs behind ASGI: the file is read in a thread, and Django collects it whole.
# - **Test what you claim.** A test of several requests at once asks a server. All other tests are quicker and right with Django's client.
