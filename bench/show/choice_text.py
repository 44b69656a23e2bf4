"""Explains a choice of stack in words: the options, the decision, both sides, and the model beside a run."""

from collections.abc import Sequence

from bench.analyse.rows import Row, rows_of
from bench.analyse.stack_choice import (
    HELD,
    HELD_AT_ONCE,
    MOST_USERS,
    STOCK,
    Case,
    Option,
    Price,
    choose,
    option_of,
    options_of,
    turning_point,
)
from bench.model.run_record import Run
from bench.model.stacks import split_name
from bench.show.choice_steps import steps
from bench.show.tables.formatting import number, percent, whole
from bench.show.tables.markdown import markdown_table

NEEDS = {
    "sync_wsgi": "nothing: the project as it is",
    "sync_asgi": "another server, and a bound for the database",
    "async_asgi": "the same, and views and libraries that await",
    "zero_hop": "the same, and a handler that is not Django's",
}
THROUGHPUT = "throughput_per_s"
NEARLY = 0.1
"""A prediction that is no farther off, as a share of it, counts as right."""
OPTIONS_HEAD = [
    "stack",
    "requests/s:",
    "response time:",
    "CPU per request:",
    "threads:",
    "memory:",
    "lowest limit",
    "needs",
]
PRICES_HEAD = ["lab", "middleware", "CPU per request, by users", "memory at rest:", "memory per request in flight:"]
PREDICTIONS_HEAD = ["stack", "wait:", "users:", "predicted:", "measured:", "measured / predicted:"]


def describe_case(case: Case) -> str:
    """Describe the case in one sentence, without a full stop."""
    waits = f"waits {number(1000 * case.wait_s)} ms" if case.wait_s else "waits for nothing"
    own = f" and computes {number(1000 * case.own_cpu_s)} ms" if case.own_cpu_s else ""
    under = "the seven middlewares of a new project" if case.with_seven else "no middleware"
    return (
        f"{case.users:,} at once; each {waits}{own}, under {under}; "
        f"at most {case.threads:,} threads in a pool; {whole(case.memory_bytes / 1e6)} MB; one core"
    )


def table(options: Sequence[Option]) -> str:
    """Return one line for each option, as a Markdown table."""
    return markdown_table(OPTIONS_HEAD, map(_option_cells, options))


def _option_cells(option: Option) -> list[str]:
    seconds = option.response_s
    return [
        f"`{option.stack}`",
        number(option.throughput_per_s),
        f"{number(seconds)} s" if seconds >= 10 else f"{number(1000 * seconds)} ms",
        f"{whole(1e6 * option.cpu_s)} µs",
        f"{option.threads:,}" if option.threads else "a few",
        f"{whole(option.memory_bytes / 1e6)} MB" + ("" if option.fits else ", **too much**"),
        option.limiter,
        NEEDS[option.lab],
    ]


def headline(options: Sequence[Option]) -> str:
    """Return the decision and its numbers in one sentence, without a full stop."""
    chosen = choose(options)
    stock = [option for option in options if option.lab in STOCK]
    if chosen is None:
        smallest = min(stock, key=lambda it: it.memory_bytes)
        return f"Nothing fits: the smallest, {smallest.stack}, takes {whole(smallest.memory_bytes / 1e6)} MB"
    others = " and ".join(
        f"{number(it.throughput_per_s)} on {it.stack}{'' if it.fits else ', too large'}"
        for it in stock
        if it.lab != chosen.lab
    )
    return f"Take {chosen.stack}: {number(chosen.throughput_per_s)} requests/s, against {others}"


def _both_sides(case: Case, prices: Sequence[Price]) -> str:
    """Return the case for threads and the case for the event loop, as two points of Markdown."""
    pool, _, loop, free = options_of(case, prices)
    turn = turning_point(case, prices)
    where = (
        f"the rule does not take it for any number of requests at once, up to {MOST_USERS:,}"
        if turn is None
        else f"the rule takes it from about {turn:,} requests at once"
    )
    return (
        f"- **For WSGI:** a request takes {pool.cpu_s / loop.cpu_s:.2f} of the CPU that an async view behind stock "
        f"ASGI takes. You rewrite nothing, and {_pool_text(case, pool)}.\n"
        f"- **For ASGI:** there is no pool to size, and none that protects the database; {where}. Of the "
        f"{whole(1e6 * loop.cpu_s)} µs that a request takes, Django without hops saves "
        f"{whole(1e6 * (loop.cpu_s - free.cpu_s))}. Streams, sockets and clients that leave are a reason for ASGI "
        f"whatever the numbers say."
    )


def _pool_text(case: Case, pool: Option) -> str:
    """Say what the bound of the thread pool does in this case."""
    threads = f"its pool of {pool.slots:,}"
    waiting = case.users - (pool.slots or 0)
    if waiting <= 0:
        return f"{threads} has a thread for each request"
    if pool.limiter == "server CPU":
        return f"{threads} keeps the core busy, so more threads would only queue for it"
    return f"{threads} bounds what reaches your database, and {waiting:,} requests wait for a thread"


def price_table(prices: Sequence[Price]) -> str:
    """Return what each lab takes as a Markdown table, and below it which numbers stand in for others."""
    lines = [_price_cells(price, with_seven) for price in prices for with_seven in (False, True)]
    borrowed = [
        f"`{price.lab}` serves no feed: its memory is that of `{HELD[price.lab]}`."
        for price in prices
        if not HELD[price.lab].startswith(f"{price.lab}@")
    ]
    single = [
        f"`{price.lab}` was measured at {next(iter(price.cpu_s[False])):,} users alone, and is taken to cost as "
        f"much at any other number."
        for price in prices
        if len(price.cpu_s[False]) == 1
    ]
    notes = [f"Memory is that of {HELD_AT_ONCE:,} open feeds.", *borrowed, *single]
    return f"{markdown_table(PRICES_HEAD, lines)}\n\n{' '.join(notes)}"


def _price_cells(price: Price, with_seven: bool) -> list[str]:
    cpu = sorted(price.cpu_s[with_seven].items())
    return [
        f"`{price.lab}`",
        "the seven" if with_seven else "none",
        ", ".join(f"{whole(1e6 * cpu_s)} µs at {users:,}" for users, cpu_s in cpu),
        f"{whole(price.rest_bytes / 1e6)} MB",
        f"{whole(price.each_bytes / 1e3)} kB",
    ]


def predictions_table(prices: Sequence[Price], run: Run) -> str:
    """Return the model's number beside the measured one, for each row of the run that the model covers, as Markdown.

    The prices come from other runs: nothing here is fitted to the numbers beside it.
    """
    return markdown_table(PREDICTIONS_HEAD, [_prediction_cells(row, prices) for row in _covered_rows(prices, run)])


def missed_predictions(prices: Sequence[Price], run: Run) -> str:
    """Count the rows in which the model is nearly right, and list all the others, as Markdown."""
    rows = _covered_rows(prices, run)
    if not rows:
        return "Nothing of this run was measured that the model could be asked for."
    far = [row for row in rows if abs((row.median(THROUGHPUT) or 0.0) / _predict(row, prices) - 1) > NEARLY]
    near = f"Of {len(rows)} measured points {len(rows) - len(far)} lie within {percent(NEARLY)} of the prediction."
    lines = [_prediction_cells(row, prices) for row in far]
    return f"{near} The others:\n\n{markdown_table(PREDICTIONS_HEAD, lines)}" if far else near


def _covered_rows(prices: Sequence[Price], run: Run) -> list[Row]:
    """Return the measured rows of closed loops whose lab has a price."""
    labs = {price.lab for price in prices}
    return [row for row in rows_of(run) if row.values(THROUGHPUT) and row.users and split_name(row.stack).lab in labs]


def _predict(row: Row, prices: Sequence[Price]) -> float:
    """Return the requests/s that the model gives for a row: views that only wait, memory for all."""
    (price,) = (price for price in prices if price.lab == split_name(row.stack).lab)
    case = Case(row.io_wait_s, 0.0, row.users, bool(row.middleware), row.slots or row.users, memory_bytes=1e12)
    return option_of(case, price).throughput_per_s


def _prediction_cells(row: Row, prices: Sequence[Price]) -> list[str]:
    predicted, measured = _predict(row, prices), row.median(THROUGHPUT) or 0.0
    numbers = number(predicted), number(measured), f"{measured / predicted:.2f}"
    return [f"`{row.stack}`", f"{1000 * row.io_wait_s:g} ms", f"{row.users:,}", *numbers]


def explain_choice(case: Case, prices: Sequence[Price]) -> str:
    """Explain a choice of stack as Markdown: the case, the decision, both sides, all options, what to do next."""
    options = options_of(case, prices)
    parts = [
        f"{describe_case(case)}.",
        f"**{headline(options)}.**",
        _both_sides(case, prices) if choose(options) else "",
        table(options),
        "On Monday:",
        steps(case, prices),
    ]
    return "\n\n".join(filter(None, parts))
