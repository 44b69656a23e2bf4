"""A decision in words: the options as a table, the sentence that decides, the case for either side, model and run."""

from __future__ import annotations

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

ASKS = {
    "sync_wsgi": "nothing: the project as it is",
    "sync_asgi": "another server, and a bound for the database",
    "async_asgi": "the same, and views and libraries that await",
    "zero_hop": "the same, and a handler that is not Django's",
}
THROUGHPUT = "throughput_per_s"
PRICES_HEAD = "| lab | middleware | CPU of a request, by users | memory at rest | for each in flight |"
NEARLY = 0.1
"""A prediction that is no farther off counts as right."""
HEAD = "| stack | requests/s | answered after | CPU a request | threads | memory | bounded by | it asks for |"
BESIDE_HEAD = "| stack | wait | users | predicted | measured | measured / predicted |\n|---|--:|--:|--:|--:|--:|"


def described(case: Case) -> str:
    """The case in a sentence."""
    waits = f"waits {number(1000 * case.wait_s)} ms" if case.wait_s else "waits for nothing"
    own = f" and computes {number(1000 * case.own_cpu_s)} ms" if case.own_cpu_s else ""
    under = "the seven middlewares of a new project" if case.with_seven else "no middleware"
    return (
        f"{case.users:,} at once; each {waits}{own}, under {under}; "
        f"at most {case.threads:,} threads in a pool; {whole(case.memory_bytes / 1e6)} MB; one core"
    )


def table(options: Sequence[Option]) -> str:
    """One line for each option, as Markdown."""
    return "\n".join([HEAD, "|---|--:|--:|--:|--:|--:|---|---|", *map(_line, options)])


def _line(option: Option) -> str:
    memory = f"{whole(option.memory_bytes / 1e6)} MB" + ("" if option.fits else ", **too much**")
    return (
        f"| `{option.stack}` | {number(option.throughput_per_s)} | {_duration(option.response_s)} "
        f"| {whole(1e6 * option.cpu_s)} µs | {_threads(option)} | {memory} | {option.limiter} | {ASKS[option.lab]} |"
    )


def _duration(time_s: float) -> str:
    return f"{number(time_s)} s" if time_s >= 10 else f"{number(1000 * time_s)} ms"


def _threads(option: Option) -> str:
    return f"{option.threads:,}" if option.threads else "a few"


def headline(options: Sequence[Option]) -> str:
    """The decision and its numbers in one sentence."""
    chosen = choose(options)
    if chosen is None:
        smallest = min((it for it in options if it.lab in STOCK), key=lambda it: it.memory_bytes)
        return f"Nothing fits: the smallest, {smallest.stack}, takes {whole(smallest.memory_bytes / 1e6)} MB"
    others = [option for option in options if option.lab in STOCK and option.lab != chosen.lab]
    told = " and ".join(
        f"{number(it.throughput_per_s)} on {it.stack}{'' if it.fits else ', too large'}" for it in others
    )
    return f"Take {chosen.stack}: {number(chosen.throughput_per_s)} requests/s, against {told}"


def both_cases(case: Case, prices: Sequence[Price]) -> str:
    """What speaks for threads and what for the loop in this case, as two points of Markdown."""
    pool, _, loop, free = options_of(case, prices)
    return f"- **For WSGI:** {_for_threads(case, pool, loop)}\n- **For ASGI:** {_for_loop(case, prices, loop, free)}"


def _for_threads(case: Case, pool: Option, loop: Option) -> str:
    return (
        f"a request takes {pool.cpu_s / loop.cpu_s:.2f} of the CPU it takes with an async view behind stock ASGI; "
        f"nothing is rewritten; {_places(case, pool)}."
    )


def _places(case: Case, pool: Option) -> str:
    threads = f"its pool of {pool.slots:,}"
    waiting = case.users - (pool.slots or 0)
    if waiting <= 0:
        return f"there is a place for everybody in {threads}"
    if pool.limiter == "server CPU":
        return f"{threads} keeps the core busy, and more threads could only queue for it"
    return f"{threads} bounds what reaches your database, and {waiting:,} wait for a place"


def _for_loop(case: Case, prices: Sequence[Price], loop: Option, free: Option) -> str:
    turn = turning_point(case, prices)
    where = (
        f"the rule takes it at no number up to {MOST_USERS:,} at once"
        if turn is None
        else f"the rule takes it from about {turn:,} at once on"
    )
    return (
        f"there is no pool to size, nor one that spares the database; {where}; of the {whole(1e6 * loop.cpu_s)} µs a "
        f"request takes, Django without hops saves {whole(1e6 * (loop.cpu_s - free.cpu_s))}; and streams, sockets and "
        f"clients that leave ask for it whatever the numbers say."
    )


def price_table(prices: Sequence[Price]) -> str:
    """What each lab takes, as Markdown, and below it where a number stands for another."""
    lines = [_price_line(price, with_seven) for price in prices for with_seven in (False, True)]
    return "\n".join([PRICES_HEAD, "|---|---|---|--:|--:|", *lines]) + "\n\n" + " ".join(_stand_ins(prices))


def _price_line(price: Price, with_seven: bool) -> str:
    cpu = ", ".join(f"{whole(1e6 * cpu_s)} µs at {users:,}" for users, cpu_s in sorted(price.cpu_s[with_seven].items()))
    return (
        f"| `{price.lab}` | {'the seven' if with_seven else 'none'} | {cpu} | {whole(price.rest_bytes / 1e6)} MB "
        f"| {whole(price.each_bytes / 1e3)} kB |"
    )


def _stand_ins(prices: Sequence[Price]) -> list[str]:
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
    return [f"Memory is that of {HELD_AT_ONCE:,} open feeds.", *borrowed, *single]


def beside(prices: Sequence[Price], run: Run) -> str:
    """The model's number beside the measured one, for every row of the run that it can be asked for, as Markdown.

    Prices are of other runs: nothing here is fitted to what it is set beside.
    """
    return _beside_table(prices, _askable(prices, run))


def astray(prices: Sequence[Price], run: Run) -> str:
    """In how many rows the model is nearly right, and all the others, as Markdown."""
    rows = _askable(prices, run)
    if not rows:
        return "Nothing of this run was measured that the model could be asked for."
    far = [row for row in rows if abs(_ratio(row, prices) - 1) > NEARLY]
    told = f"Of {len(rows)} measured points {len(rows) - len(far)} lie within {percent(NEARLY)} of the prediction."
    return f"{told} The others:\n\n{_beside_table(prices, far)}" if far else told


def _askable(prices: Sequence[Price], run: Run) -> list[Row]:
    labs = {price.lab for price in prices}
    return [row for row in rows_of(run) if row.values(THROUGHPUT) and row.users and split_name(row.stack).lab in labs]


def _beside_table(prices: Sequence[Price], rows: Sequence[Row]) -> str:
    return "\n".join([BESIDE_HEAD, *(_beside(row, prices) for row in rows)])


def _predicted(row: Row, prices: Sequence[Price]) -> float:
    (price,) = (price for price in prices if price.lab == split_name(row.stack).lab)
    return option_of(case_of(row), price).throughput_per_s


def _ratio(row: Row, prices: Sequence[Price]) -> float:
    """Measured over predicted."""
    return (row.median(THROUGHPUT) or 0.0) / _predicted(row, prices)


def _beside(row: Row, prices: Sequence[Price]) -> str:
    cells = (
        f"`{row.stack}`",
        f"{1000 * row.io_wait_s:g} ms",
        f"{row.users:,}",
        number(_predicted(row, prices)),
        number(row.median(THROUGHPUT)),
        f"{_ratio(row, prices):.2f}",
    )
    return f"| {' | '.join(cells)} |"


def case_of(row: Row) -> Case:
    """The case that a measured row is: views that only wait, memory for all."""
    return Case(
        wait_s=row.io_wait_s,
        users=row.users,
        with_seven=bool(row.middleware),
        threads=row.slots or row.users,
        memory_bytes=1e12,
    )


def told(case: Case, prices: Sequence[Price]) -> str:
    """All of it: the case, the decision, both sides, the table, what to do."""
    options = options_of(case, prices)
    sides = both_cases(case, prices) if choose(options) else ""
    parts = [
        f"{described(case)}.",
        f"**{headline(options)}.**",
        sides,
        table(options),
        "On Monday:",
        steps(case, prices),
    ]
    return "\n\n".join(part for part in parts if part)
