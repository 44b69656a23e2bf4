"""A decision in words: the options as a table, the sentence that decides, the case for either side, model and run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.choosing import (
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
from bench.record import Run
from bench.summary import Row, lab_of, rows_of
from bench.tables import number, whole

ASKS = {
    "sync_wsgi": "nothing: the project as it is",
    "sync_asgi": "another server, and a bound for the database",
    "async_asgi": "the same, and views and libraries that await",
    "zero_hop": "the same, and a handler that is not Django's",
}
HEAD = "| stack | requests/s | answered after | CPU a request | threads | memory | bounded by | it asks for |"
BESIDE_HEAD = "| stack | wait | users | predicted | measured | measured / predicted |\n|---|--:|--:|--:|--:|--:|"


def described(case: Case) -> str:
    """The case in a sentence."""
    own = f" and computes {number(1000 * case.own_cpu_s)} ms" if case.own_cpu_s else ""
    under = "the seven of a new project" if case.with_seven else "no middleware"
    return (
        f"{case.users:,} at once; each waits {number(1000 * case.wait_s)} ms{own}, under {under}; "
        f"at most {case.threads:,} threads in a pool; {whole(case.memory_bytes / 1e6)} MB; one core"
    )


def table(options: Sequence[Option]) -> str:
    """One line for each option, as Markdown."""
    return "\n".join([HEAD, "|---|--:|--:|--:|--:|--:|---|---|", *map(_line, options)])


def _line(option: Option) -> str:
    memory = f"{whole(option.memory_bytes / 1e6)} MB" + ("" if option.fits else ", **too much**")
    return (
        f"| `{option.stack}` | {number(option.throughput_per_s)} | {number(1000 * option.response_s)} ms "
        f"| {whole(1e6 * option.cpu_s)} µs | {_threads(option)} | {memory} | {option.limiter} | {ASKS[option.lab]} |"
    )


def _threads(option: Option) -> str:
    return f"{option.threads:,}" if option.threads else "a few"


def headline(options: Sequence[Option]) -> str:
    """The decision and its numbers in one sentence."""
    chosen = choose(options)
    if chosen is None:
        return "Nothing fits into so little memory: fewer at once, or more processes with memory of their own"
    others = [option for option in options if option.lab in STOCK and option.lab != chosen.lab]
    told = ", ".join(f"{it.stack} {number(it.throughput_per_s)}{'' if it.fits else ' (too large)'}" for it in others)
    return f"Take {chosen.stack}: {number(chosen.throughput_per_s)} requests/s; {told}"


def both_cases(case: Case, prices: Sequence[Price]) -> str:
    """What speaks for threads and what for the loop in this case, as two points of Markdown."""
    pool, _, loop, free = options_of(case, prices)
    return f"- **For WSGI:** {_for_threads(case, pool, loop)}\n- **For ASGI:** {_for_loop(case, prices, loop, free)}"


def _for_threads(case: Case, pool: Option, loop: Option) -> str:
    places = (
        f"its {pool.slots:,} threads have a place for everybody"
        if (pool.slots or 0) >= case.users
        else f"its {pool.slots:,} threads bound what reaches your database, and {case.users - (pool.slots or 0):,} wait"
    )
    return (
        f"a request takes {pool.cpu_s / loop.cpu_s:.2f} of the CPU it takes with an async view behind stock ASGI; "
        f"nothing is rewritten; {places}."
    )


def _for_loop(case: Case, prices: Sequence[Price], loop: Option, free: Option) -> str:
    turn = turning_point(case, prices)
    where = (
        f"at no number up to {MOST_USERS:,} at once does it answer more by a tenth than such a pool"
        if turn is None
        else f"from about {turn:,} at once on it answers more by a tenth than such a pool"
    )
    saved_us = whole(1e6 * (loop.cpu_s - free.cpu_s))
    return (
        f"there is no pool to size, and none that spares the database; {where}; of the {whole(1e6 * loop.cpu_s)} µs a "
        f"request takes, Django without hops saves {saved_us}; and streams, sockets and clients that leave ask for it "
        f"whatever the numbers say."
    )


def beside(prices: Sequence[Price], run: Run) -> str:
    """The model's number beside the measured one, for every row of the run that it can be asked for, as Markdown.

    Prices are of other runs: nothing here is fitted to what it is set beside.
    """
    of_lab = {price.lab: price for price in prices}
    rows = [row for row in rows_of(run) if row.measured and row.users and lab_of(row.stack) in of_lab]
    return "\n".join([BESIDE_HEAD, *(_beside(row, of_lab[lab_of(row.stack)]) for row in rows)])


def _beside(row: Row, price: Price) -> str:
    predicted = option_of(case_of(row), price).throughput_per_s
    measured = row.median("throughput_per_s") or 0.0
    wait = f"{1000 * row.io_wait_s:g} ms"
    cells = (
        f"`{row.stack}`",
        wait,
        f"{row.users:,}",
        number(predicted),
        number(measured),
        f"{measured / predicted:.2f}",
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
    """All of it: the case, the decision, both sides, the table."""
    options = options_of(case, prices)
    return f"{described(case)}.\n\n**{headline(options)}.**\n\n{both_cases(case, prices)}\n\n{table(options)}"
