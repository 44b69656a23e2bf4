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
# **Question.** Which mistakes does Django tell you about, and which ones does it let pass?
#
# Each trap is a file in `labs/traps` with two views: `trap`, as people write it, and `instead`. Both were asked behind both doors, on real servers.

# %%
from IPython.display import Markdown, display

from bench import a_methods, calls, lessons, plots_traps, traps

seen = traps.load()
asked = calls.load()
versions = a_methods.load()

# %% [markdown]
# ## Predict
#
# Of the calls that this lesson makes on an event loop, some hold it up for at least 50 ms: everybody else waits. For how many of them does Django say a word?
# And five queries of 100 ms each, given to `asyncio.gather`: after how many milliseconds are all there?

# %%
my_prediction_calls = None
my_prediction_ms = None

# %% [markdown]
# ## Run
#
# ```sh
# lab serve traps_asgi@uvicorn          # open the address: a page with all of them
# lab serve traps_wsgi@gthread:8        # the same project behind the other door
# python -m bench.traps                 # ask all of them again
# ```

# %%
gathered = seen["gather_is_serial"]["asgi"]["trap"].values["took_ms"]
display(Markdown(lessons.compare(my_prediction_ms, gathered, "ms")))
display(Markdown(calls.told_beside(my_prediction_calls, asked)))

# %% [markdown]
# ## See
#
# What goes wrong where. A trap that harms behind one door only is a trap for whoever changes the server.

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
# ### Which calls are which
#
# Every call of `labs/traps/calls.py`, made on a loop beside a task that ticks each millisecond. Where the ticks stop, everybody stands still. `slow`
# is a web server, a mail server, a file and a lock that take their time.

# %%
plots_traps.gaps(asked)

# %%
for outcome, says in calls.SAYS.items():
    display(Markdown(f"**{says[0].upper()}{says[1:]}**\n\n{calls.to_markdown(asked, outcome)}"))

# %% [markdown]
# ## Explain
#
# - **The rule is narrow.** Django refuses what goes through a database connection while a loop runs in the thread. It knows nothing of the network, files,
#   programs, locks and the CPU: a call that asks no database blocks in silence.
# - **A request has one thread for sync code.** All a-methods of the ORM go there, one after the other: `gather` over them is serial, and who waits on that thread for
#   itself waits for ever.
# - **Behind ASGI that thread is new for each request**, and so is what belongs to threads: connections. Behind WSGI threads serve one request after the other.
# - **A hop runs in a copy of the context.** Values are carried back, tokens are not.
# - **The name says nothing.** An a-method can be awaited; whether it leaves the loop depends on what is inside, and changes from version to version.

# %% [markdown]
# Which a-methods there are, version by version, counted in Django's sources:

# %%
display(Markdown(a_methods.to_markdown(versions)))

# %% [markdown]
# What each version was the first to have; 4.0 stands for everything before 4.1:

# %%
display(Markdown(a_methods.news_to_markdown(versions)))

# %% [markdown]
# And what Django refuses on a loop without having an async form of the same name. For some there is another way, such as `aexists` for `bool`; a transaction has none:

# %%
without = calls.without_twin().items()
lines = [f"- **{thing}**: " + " ".join(f"`{method}`" for method in methods) for thing, methods in without]
display(Markdown("\n".join(lines)))

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
# A project with these nine views moves from WSGI to ASGI. How many of them worked before the move and do not after it?

# %%
my_number = None

# %% [markdown]
# ## Check

# %%
new = [name for name, doors in seen.items() if doors["asgi"]["trap"].harmed and not doors["wsgi"]["trap"].harmed]
print(f"{len(new)}: {', '.join(new)}; you said {my_number}: {'right' if my_number == len(new) else 'not yet'}")

# %% [markdown]
# ## In practice
#
# - In an async view, every line that is not awaited has to be short. What cannot be awaited goes to a thread: `sync_to_async(..., thread_sensitive=False)` where
#   it asks no database, `sync_to_async(...)` where it does.
# - A view that is all ORM is best left sync, behind either door: nothing in it can block anybody else.
# - Test signed in, and behind the door that production has. Django's test client is not it.
# - Before you change the server, look for `asyncio.run`, `StreamingHttpResponse`, `CONN_MAX_AGE` and `reset(`.
