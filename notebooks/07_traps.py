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
# **Question.** A line that was right for years stands in an `async def`, or behind another server. Which of the mistakes that follow does Django tell you about, and
# which ones does it let pass?
#
# Each trap is a file in `labs/traps` with two views: `trap`, as people write it, and `instead`. Both were asked behind both doors, on real servers.

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
# - Some calls of this lesson hold up the event loop for 50 ms and more, and everybody else waits. Of how many does Django warn you?
# - Five queries of 100 ms each are given to `asyncio.gather`. After how many milliseconds are all of them there?

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
# What goes wrong where. A trap that harms behind one door only is one for whoever changes the server:

# %%
display(Markdown(traps.overview(seen)))

# %% [markdown]
# ### Those that Django refuses
#
# Its database layer looks whether an event loop is running in the thread, and raises.

# %%
for name in ("sync_orm_in_async_view", "request_user_in_async_view", "lazy_queryset_in_template"):
    display(Markdown(traps.lesson_of(name, seen[name])))

# %% [markdown]
# ### Those that it does not
#
# Nothing is raised; something is slow, or late, or never there.

# %%
for name in ("asyncio_run_in_sync_view", "blocking_in_async_view", "gather_is_serial"):
    display(Markdown(traps.lesson_of(name, seen[name])))

# %% [markdown]
# ### Those that come with the server
#
# Right behind WSGI, wrong behind ASGI, and not a line of the view has changed.

# %%
for name in ("conn_max_age_leak", "sync_stream_under_asgi", "context_token_across_hop"):
    display(Markdown(traps.lesson_of(name, seen[name])))

# %% [markdown]
# ### Which calls hold up the loop
#
# Calls of `labs/traps/calls.py` that take their time, each made on a loop beside a task that ticks every millisecond. Where the ticks stop, everybody stands still.

# %%
loop_gaps.gaps(asked)

# %% [markdown]
# The red ones as they are written; `slow` is a web server, a mail server, a file and a lock that take their time:

# %%
display(Markdown(blocking_calls.to_markdown(asked, "blocks")))

# %% [markdown]
# ### Where there is nothing to await
#
# a-methods, counted in Django's sources version by version:

# %%
display(Markdown(a_methods.to_markdown(versions)))

# %% [markdown]
# And what Django refuses on a loop without an async form of the same name. For some there is another way, such as `aexists` for `bool`; a transaction has none:

# %%
without = blocking_calls.load_without_twin().items()
lines = [f"- **{thing}**: " + " ".join(f"`{method}`" for method in methods) for thing, methods in without]
display(Markdown("\n".join(lines)))

# %% [markdown]
# ## Explain
#
# - **The rule is narrow.** Django refuses what goes through a database connection while a loop runs in the thread. It knows nothing of the network, files,
#   programs, locks and the CPU: a call that asks no database blocks in silence.
# - **A request has one thread for sync code.** All a-methods of the ORM go there, one after the other: n queries of t each take n times t, gathered or not, and who
#   waits on that thread for itself waits for ever.
# - **Behind ASGI that thread is new for each request**, and so is what belongs to threads: connections. Behind WSGI a thread serves one request after another.
# - **A hop runs in a copy of the context.** Values are carried back, tokens are not.
# - **The name says nothing.** An a-method can be awaited; whether it leaves the loop depends on what is inside, and changes from version to version.
#
# Two of the numbers could have been told beforehand: callers who hold up the loop take turns, and so do the queries of one request.

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
# What the traps and the calls have to say to sentences that are heard about mixed code:

# %%
display(Markdown(claim_table.settled_in("07_traps")))

# %% [markdown]
# ## What this cannot tell
#
# - **How likely you are to fall in.** These are exhibits, one mistake each, with nothing around it.
# - **What your libraries do.** The list of calls is a sample. A client that says it is async may look up a name or read certificates on the loop.
# - **How many connections leak.** When the garbage collector comes depends on all that the process does.
# - **How long calls take on your machine.** Whether the loop ticked is the same everywhere; milliseconds are not.

# %% [markdown]
# ## Exercise
#
# Six calls, each made in an async view. Write `True` where Django refuses it with `SynchronousOnlyOperation`, `False` where it does not.
#
# And seven to mend: `labs/exercises/traps.py` has seven of these traps in one file. Five end in an error or in no answer at all, one of them only for visitors who have
# signed in; two make no noise. `lab check traps` says what becomes of each.

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
# When you have answered, the whole list is here to look things up in:

# %%
for outcome in ("caught", "swallowed", "other error", "waits", "short") if None not in my_refused.values() else ():
    says = blocking_calls.SAYS[outcome]
    display(Markdown(f"**{says[0].upper()}{says[1:]}**\n\n{blocking_calls.to_markdown(asked, outcome)}"))

# %% [markdown]
# ## Live
#
# All of them asked again, on this machine, behind both doors: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter.

# %%
mine = live_cell.ask_traps()
if mine:
    display(Markdown(traps.compare_with_kept(mine, seen)))

# %% [markdown]
# ## In practice
#
# - In an async view every line that is not awaited has to be short. What cannot be awaited goes to a thread: `sync_to_async(..., thread_sensitive=False)` where
#   it asks no database, `sync_to_async(...)` where it does.
# - A view that is all ORM is best left sync, behind either door: nothing in it can block anybody else.
# - Test signed in, and behind the door that production has. Django's test client is not it.
# - Before you change the server, look for `asyncio.run`, `StreamingHttpResponse`, `CONN_MAX_AGE` and `reset(`.
