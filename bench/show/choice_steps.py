"""The next steps after a choice of stack: the server's command, settings, what to measure, what would change it."""

from collections.abc import Sequence

from bench.analyse.stack_choice import (
    MOST_USERS,
    SPARE,
    STOCK,
    Case,
    Option,
    Price,
    admitted_users,
    choose,
    fitting_users,
    options_of,
    ruled_out_by_memory,
    turning_point,
)
from bench.show.tables.formatting import number, whole

GUNICORN_CONNECTIONS = 1000
"""Connections that a gthread worker accepts by default. It must accept more than it has threads."""


def steps(case: Case, prices: Sequence[Price]) -> str:
    """Return what to do next, as points of Markdown. Where nothing fits, say what would have to change."""
    options = options_of(case, prices)
    chosen = choose(options)
    if chosen is None:
        lines = _ways_out(case, prices, options)
    else:
        (price,) = (price for price in prices if price.lab == chosen.lab)
        lines = [
            *(_pool_steps(chosen) if price.is_pool else _loop_steps(case, price, chosen)),
            f"**Measure** the nearest thing that the lab has, on your machine: `{command_to_measure(case, options)}`. "
            f"Then put your own numbers of wait and CPU into the sliders.",
            f"**What would change this:** {_what_would_change(case, prices, options, chosen)}.",
        ]
    return "\n".join(f"- {line}" for line in lines)


def _pool_steps(chosen: Option) -> list[str]:
    threads = chosen.slots or 1
    room = f" --worker-connections {2 * threads}" if threads >= GUNICORN_CONNECTIONS else ""
    return [
        f"**Serve:** `gunicorn --worker-class gthread --threads {threads}{room} mysite.wsgi:application`. With several "
        f"`--workers` set `--worker-connections {threads}`, or one process takes nearly all connections.",
        "**Set** `CONN_MAX_AGE = 60`: each thread keeps a connection, so let the database allow as many as there are "
        "threads in all processes.",
    ]


def _loop_steps(case: Case, price: Price, chosen: Option) -> list[str]:
    views = "async views for what waits" if chosen.lab == "async_asgi" else "the sync views as they are"
    hops = (
        "**Count the hops** of a page with `lab trace --app mysite.asgi:application /`, and look at the middlewares "
        "that ask for them."
    )
    admitted = admitted_users(case, price)
    why = "all that the memory has room for" if admitted < SPARE * case.users else "twice what you have in flight"
    threads = f" Each takes a thread, so up to {admitted:,} threads." if chosen.lab == "sync_asgi" else ""
    return [
        f"**Serve** {views}: `uvicorn --limit-concurrency {admitted} mysite.asgi:application`. "
        f"That is {why}; to more it answers 503.{threads}",
        f"**Set** `CONN_MAX_AGE = 0` and a pool, `OPTIONS = {{'pool': {{'max_size': ...}}}}`, no larger than your "
        f"database allows: without one the {case.users:,} in flight may want a connection each.",
        *([hops] if case.with_seven else []),
    ]


def command_to_measure(case: Case, options: Sequence[Option]) -> str:
    """Return the `lab run` command that comes nearest to the case, for the stacks to choose from."""
    stacks = ",".join(option.stack for option in options if option.lab in STOCK)
    middleware = " --middleware startproject" if case.with_seven else ""
    request = f"wait?ms={round(1000 * case.wait_s)}" if case.wait_s else "hello"
    load = f"--workload '{request}' --users {case.users}{middleware}"
    return f"lab run io_wait --stack {stacks} {load}"


def _what_would_change(case: Case, prices: Sequence[Price], options: Sequence[Option], chosen: Option) -> str:
    memory = [
        f"with {whole(option.memory_bytes / 1e6)} MB `{option.stack}` would answer "
        f"{number(option.throughput_per_s)} requests/s"
        for option in ruled_out_by_memory(options)
    ]
    return "; ".join([*_another_crowd(case, prices, chosen), *memory]) or "fewer at once, or more memory"


def _another_crowd(case: Case, prices: Sequence[Price], chosen: Option) -> list[str]:
    """Say from or below how many users the rule takes the other interface; nothing where memory decides."""
    turn = turning_point(case, prices)
    if turn is None:
        return [f"nothing up to {MOST_USERS:,} at once"]
    if chosen.slots:
        return [f"from about {turn:,} at once on the rule takes ASGI"] if turn > case.users else []
    return [f"below about {turn:,} at once the rule stays with threads behind WSGI"] if turn > 1 else []


def _ways_out(case: Case, prices: Sequence[Price], options: Sequence[Option]) -> list[str]:
    """Say how much more memory, or how many fewer users, the nearest stack would need."""
    smallest = min((it for it in options if it.lab in STOCK), key=lambda it: it.memory_bytes)
    leanest = max((it for it in prices if it.lab in STOCK), key=lambda it: fitting_users(case, it))
    fewer = fitting_users(case, leanest)
    let_in = (
        f"**Or let fewer in:** {fewer:,} at once fit with `{leanest.lab}`."
        if fewer >= 1
        else f"Fewer at once do not help: at rest `{leanest.lab}` takes {whole(leanest.rest_bytes / 1e6)} MB already."
    )
    return [f"**Give the process {whole(smallest.memory_bytes / 1e6)} MB**, which `{smallest.stack}` takes.", let_in]
