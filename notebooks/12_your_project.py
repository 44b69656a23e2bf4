# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own project: switch, or stay?
#
# **Question.** The other lessons are about labs. What about *your* site? `lab try` applies the tracer, the checks and the rule of lesson 09 to any Django project and changes nothing in it. How do you read
# its answer, and when should you doubt it?
#
# Here are three small projects from [labs/to_try](../labs/to_try). In each of them something decides the answer:
#
# | project | what its pages do | its server today |
# |---|---|---|
# | `should_switch` | ask twenty services at once and wait 250 ms for the slowest | 4 threads |
# | `should_stay` | answer at once, under the seven middlewares, or compute a little | 8 threads |
# | `cannot_tell` | send everybody to a login, or refuse the request | not known |

# %%
from IPython.display import Markdown, display

from bench.analyse.stats import median_of
from bench.claims import claim_table
from bench.learn import lessons, live_cell
from bench.learn.your_project import known
from bench.show.figures.tried import servers_side_by_side
from bench.show.tables import formatting, markdown

switch, stay, unknown = (known.load_tried(name) for name in ("should_switch", "should_stay", "cannot_tell"))


def arm_of(tried, role):
    """One server of a project, with the number of users that the answer is about."""
    return next(arm for arm in tried["arms"] if (arm["role"], arm["users"]) == (role, tried["terms"]["users"]))


# %% [markdown]
# ## Predict
#
# 200 users ask for the page of `should_switch`, each again and again, so 200 requests are in flight. The page waits 250 ms, and its server has 4 threads and one core. How many requests per second does it
# answer today? How many times as many does it answer behind ASGI, on the same core? And `should_stay` with 64 users: how many times as many as today does it answer behind ASGI?

# %%
my_prediction_per_s = None
my_prediction_switch_times = None
my_prediction_stay_times = None

# %% [markdown]
# ## Run
#
# ```sh
# lab try labs/to_try/should_switch / --users 200 --threads 8
# lab try ../mysite / /blog/                          # yours
# ```
#
# Each takes some minutes. `--users` is the number of requests that you have in flight at once, and `--threads` is the largest pool that you would configure. If you do not know the first, `--log access.log` computes it by
# Little's law.

# %%
ratios = [tried["answer"]["ratio"]["estimate"] for tried in (switch, stay)]
today = median_of(arm_of(switch, "today")["per_s"])
for mine, measured, unit in (
    (my_prediction_per_s, today, "requests/s"),
    (my_prediction_switch_times, ratios[0], "times"),
    (my_prediction_stay_times, ratios[1], "times"),
):
    display(Markdown(lessons.compare(mine, measured, unit)))

# %% [markdown]
# ## See
#
# Each answer has a value, its reason, and what limits the server of today:

# %%
for tried in (switch, stay, unknown):
    answer = tried["answer"]
    limiter = f" Today's limit is {answer['limiter']}." if answer["limiter"] else ""
    display(Markdown(f"`{tried['command']}`: **{answer['value']}**. {answer['because']}{limiter}"))

# %% [markdown]
# These servers were measured, with the number of users that the answer is about:

# %%
measured = {
    name: [arm for arm in tried["arms"] if arm["users"] == tried["terms"]["users"] and arm["per_s"]]
    for name, tried in (("should_switch", switch), ("should_stay", stay))
}
servers_side_by_side(measured)

# %%
head = "project | server | requests/s: | a request takes, ms: | threads: | MB: | CPU per request, µs:"
lines = [
    (
        f"`{name}`",
        f"`{arm['stack'].partition('@')[2]}`",
        (f"{formatting.HOLLOW} " if arm["verdict"] != "ok" else "") + formatting.number(median_of(arm["per_s"])),
        formatting.whole(1000 * arm["users"] / median_of(arm["per_s"])),
        formatting.whole(arm["threads"]),
        formatting.whole(arm["rss_bytes"] / 1e6),
        formatting.whole(arm["cpu_us"]),
    )
    for name, arms in measured.items()
    for arm in arms
]
display(Markdown(lessons.table(head, lines)))

# %% [markdown]
# ○ marks a number with a reservation. *A request takes* N / X on average, by Little's law: N users who all wait for their answers, X requests per second. The lab cannot time the requests of the two pools of `should_switch` one by one, because they wait longer than it measured.
#
# And this is where a request goes behind ASGI:

# %%
for name, tried in (("should_switch", switch), ("should_stay", stay)):
    for page in tried["pages"]:
        display(Markdown(f"`{name}`, `{page['page']}`: {page['hops']['asgi']}"))

# %% [markdown]
# ## Explain
#
# Two rules predict both answers:
#
# - **A pool** with W threads that each hold a request for L seconds answers at most W / L. 4 threads and 0.25 s give 16 requests per second on any machine. An event loop has no such bound. It answers up to N / L with
#   N requests in flight, until the CPU is used up.
# - **Where nothing waits**, L is almost 0, and both sides answer 1 / S, where S is the CPU of a request. Behind ASGI each hook of a middleware costs a hop, which adds to S. So the same core answers fewer requests.
#
# The rule of lesson 09 decides: of the servers within a tenth of the best, take the one that changes least. Keeping today's server changes nothing, more threads change a number, and ASGI changes the server. So the answer
# compares ASGI with the *best pool you would configure*, not only with today's. The answer says what other pools bring, compared with today's server:

# %%
for name, tried in (("should_switch", switch), ("should_stay", stay)):
    for line in tried["answer"]["instead"]:
        display(Markdown(f"`{name}`: {line}"))

# %% [markdown]
# Why does it say `cannot tell` for the third project? A redirect to a login is quick behind either door. A benchmark that counts it as an answer measures the redirect, not the page. So `lab try` asks for each page first,
# and does not measure a page that does not plainly succeed:

# %%
for page in unknown["pages"]:
    display(Markdown(f"`{page['page']}`: status {page['status']}; {page['refused']}"))

# %% [markdown]
# ## What people say
#
# Two claims that people make when they ask this question:

# %%
display(Markdown(claim_table.to_markdown("A1", "F3")))

# %% [markdown]
# ## What this cannot tell
#
# The answer ends with a list of what `lab try` did not look at. For `should_switch`:

# %%
display(Markdown("\n".join(f"- {line}" for line in switch["not_looked_at"])))

# %% [markdown]
# ## Exercise
#
# The team of `should_switch` would rather keep WSGI. How many threads does its server need to answer as many requests per second as ASGI did here? Each thread holds a request for the 250 ms of its wait.

# %%
my_threads = None

# %% [markdown]
# ## Check

# %%
needed = median_of(arm_of(switch, "asgi")["per_s"]) * 0.25
print(lessons.check(my_threads, needed, "threads", within=0.15))

# %% [markdown]
# ## Live
#
# The same rules on your machine, with a lab instead of your project: open the course with `lab notebooks --live`, or set `LAB_LIVE=1` before you start Jupyter. `lab try` itself needs a terminal and some
# minutes.

# %%
pair = ["sync_wsgi@gthread:8", "async_asgi@uvicorn"]
mine = live_cell.measure("io_wait", stacks=pair, requests=["wait?ms=100"], users=[50], repeats=1)
if mine:
    display(Markdown(markdown.to_markdown(mine)))

# %% [markdown]
# ## In practice
#
# - **Count first.** `lab try ../mysite --log access.log` takes the pages, their weights and the number of requests in flight from your log. An answer for 500 requests in flight says nothing about a site that has five.
# - **Say what you would configure.** Without a bound on threads, the honest answer is often "more threads". If your database or memory limits them, say so with `--threads` and `--memory`.
# - **Mend before you move.** The answer names the first things to mend, and what each is worth. If you mend a call that blocks the loop, or hooks that hop, `stay` can become `switch`.
# - **Believe `cannot tell`.** It names its cause: a login (`--login`), a throttle (`--without throttles`), a page that answers differently behind each door.
# - **Try the staging copy.** `lab try` copies databases and refuses the network, but it is a load. Do not run it on the machine that serves your users.
