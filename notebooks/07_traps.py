# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Traps: where sync meets async
#
# **Question.** A line that was right for years now stands in an `async def`, or behind another server. Which of the following mistakes does Django report, and
# which does it let pass?
#
# Each trap is a file in `labs/traps` with two views: `trap`, as people write it, and `instead`. Both were tried behind both doors, on real servers.

# %%
from IPython.display import Markdown, display

from bench.claims import claim_table
from bench.claims.exhibits import a_methods, blocking_calls, traps
from bench.learn import lessons, live_cell
from bench.show.figures import loop_gaps

seen = traps.load()
asked = blocking_calls.load()
versions = a_methods.load()

# %% [markdown]
# ## Predict
#
# - Some calls of this lesson hold up the event loop for 50 ms or more, and all other requests wait. How many of them does Django report?
# - An async view gives five queries of 100 ms each to `asyncio.gather`. After how many milliseconds has it all the results?

# %%
my_prediction_calls = None
my_prediction_ms = None

# %% [markdown]
# ## Run
#
# ```sh
# lab serve traps_asgi@uvicorn          # open the address: a page with all of them
# lab serve traps_wsgi@gthread:8        # the same project behind the other door
# python -m bench.claims.exhibits.traps        # ask all of them again, in half a minute
# ```

# %%
gathered = seen["gather_is_serial"]["asgi"]["trap"].values["took_ms"]
display(Markdown(blocking_calls.compare_prediction(my_prediction_calls, asked)))
display(Markdown(lessons.compare(my_prediction_ms, gathered, "ms")))

# %% [markdown]
# ## See
#
# What goes wrong, and where. A trap that harms behind one door only hits you when you change the server:

# %%
display(Markdown(traps.overview(seen)))

# %% [markdown]
# ### Traps that Django refuses
#
# Django's database layer checks whether an event loop is running in the thread. If so, it raises an error.

# %%
for name in ("sync_orm_in_async_view", "request_user_in_async_view", "lazy_queryset_in_template"):
    display(Markdown(traps.lesson_of(name, seen[name])))

# %% [markdown]
# ### Traps that Django does not notice
#
# No error is raised. Something is slow, or late, or never comes.

# %%
for name in ("asyncio_run_in_sync_view", "blocking_in_async_view", "gather_is_serial"):
    display(Markdown(traps.lesson_of(name, seen[name])))

# %% [markdown]
# ### Traps that come with the server
#
# These are right behind WSGI and wrong behind ASGI, without a change to the view.

# %%
for name in ("conn_max_age_leak", "sync_stream_under_asgi", "context_token_across_hop"):
    display(Markdown(traps.lesson_of(name, seen[name])))

# %% [markdown]
# ### Which calls hold up the loop
#
# These calls of `labs/traps/calls.py` take some time. Each was made on a loop beside a task that ticks every millisecond. Where the ticks stop, all requests stand still.

# %%
loop_gaps.gaps(asked)

# %% [markdown]
# The red ones, as they are written. `slow` stands for a slow web server, mail server, file or lock:

# %%
display(Markdown(blocking_calls.to_markdown(asked, "blocks")))

# %% [markdown]
# ### Where there is nothing to await
#
# The a-methods, counted in the sources of each Django version:

# %%
display(Markdown(a_methods.to_markdown(versions)))

# %% [markdown]
# And these Django refuses on a loop, without an async form of the same name. For some there is another way, such as `aexists` for `bool`. For a transaction there is none:

# %%
without = blocking_calls.load_without_twin().items()
lines = [f"- **{thing}**: " + " ".join(f"`{method}`" for method in methods) for thing, methods in without]
display(Markdown("\n".join(lines)))

# %% [markdown]
# ## Explain
#
# - **The rule is narrow.** Django refuses only database access while a loop runs in the thread. It does not check the network, files,
#   programs, locks and the CPU: a call that asks no database blocks without a warning.
# - **A request has one thread for sync code.** All a-methods of the ORM go there, one after the other. So n queries of t each take n times t, gathered or not. Code on that thread that
#   waits for the same thread waits for ever.
# - **Behind ASGI that thread is new for each request**, and so are the connections that belong to it. Behind WSGI a thread serves one request after another.
# - **A hop runs in a copy of the context.** Values are carried back, tokens are not.
# - **The name does not tell.** You can await an a-method. Whether it leaves the loop free depends on its code, and changes from version to version.
#
# You can predict two of the numbers: callers who block the loop take turns, and so do the queries of one request.

# %%
held_up, queried = (seen[name]["asgi"]["trap"].values for name in ("blocking_in_async_view", "gather_is_serial"))
turns = [
    ("callers of a view that blocks", held_up["callers"], held_up["blocked_ms"], held_up["took_ms"]),
    ("queries, gathered", queried["queries"], queried["query_ms"], queried["took_ms"]),
]
lines = [(what, f"{n} x {ms} ms", f"{n * ms:,} ms", f"{took_ms:,} ms") for what, n, ms, took_ms in turns]
display(Markdown(lessons.table("what takes turns | arithmetic | predicted: | measured:", lines)))

# %% [markdown]
# ## What people say
#
# Common claims about mixed code, checked here:

# %%
display(Markdown(claim_table.settled_in("07_traps")))

# %% [markdown]
# ## What this cannot tell
#
# - **How likely you are to meet a trap.** Each exhibit is one mistake with nothing around it.
# - **What your libraries do.** The list of calls is a sample. A client that calls itself async may look up a name or read certificates on the loop.
# - **How many connections leak.** When the garbage collector runs depends on everything else in the process.
# - **How long calls take on your machine.** Whether the loop ticked is the same everywhere; milliseconds are not.

# %% [markdown]
# ## Exercise
#
# Here are six calls, each made in an async view. Write `True` where Django refuses the call with `SynchronousOnlyOperation`, and `False` where it does not.
#
# And seven mistakes to correct: `labs/exercises/traps.py` has seven of these traps in one file. Five end in an error or in no answer, one of them only for visitors who have
# signed in. Two go unnoticed. `lab check traps` says what happens to each.

# %%
my_refused = {
    "queryset_lazy": None,  # Product.objects.filter(pk__gt=1).order_by("name")
    "page_of_paginator": None,  # Paginator(Product.objects.order_by("pk"), 10).page(1)
    "user_of_nobody": None,  # request.user.is_authenticated, without a session cookie
    "has_perm": None,  # User(pk=1, is_active=True).has_perm("shop.add_note")
    "model_full_clean": None,  # Product(pk=1, name="again").full_clean()
    "function_with_atomic": None,  # await sync_to_async(a_function_with_a_transaction)()
}

# %% [markdown]
# ## Check

# %%
caught = {call.name: call.caught for call in asked}
for name, mine in my_refused.items():
    print(f"{name}: {'no answer yet' if mine is None else 'right' if mine == caught[name] else 'not yet'}")

# %% [markdown]
# When you have answered, the whole list appears here:

# %%
for outcome in ("caught", "swallowed", "other error", "waits", "short") if None not in my_refused.values() else ():
    says = blocking_calls.SAYS[outcome]
    display(Markdown(f"**{says[0].upper()}{says[1:]}**\n\n{blocking_calls.to_markdown(asked, outcome)}"))

# %% [markdown]
# ## Live
#
# This tries all of them again on your machine, behind both doors. Open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.ask_traps()
if mine:
    display(Markdown(traps.compare_with_kept(mine, seen)))

# %% [markdown]
# ## In practice
#
# - In an async view every line without `await` must be short. Send what cannot be awaited to a thread: `sync_to_async(..., thread_sensitive=False)` if
#   it asks no database, `sync_to_async(...)` if it does.
# - Leave a view sync if it only uses the ORM, behind either door. It cannot block other requests.
# - Test as a signed-in user, and behind the same door as in production. Django's test client is not that door.
# - Before you change the server, look for `asyncio.run`, `StreamingHttpResponse`, `CONN_MAX_AGE` and `reset(`.
