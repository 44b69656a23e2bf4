"""What is shown of an examination, in parts that a terminal, Markdown and HTML show alike. Computes only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.analyse.stats import Interval, median_of
from bench.learn.your_project.model import Answer, Arm, Blocked, Checked, Examination, Terms
from bench.show.tables.formatting import AT_LEAST, HOLE, HOLLOW, number, percent, span, whole
from bench.trace.inside.model import Trace, hops_text, threads_text

HEADS = ("way", "requests/s", "interval", "p50 ms", "p99 ms", "threads", "MB", "µs CPU")
REPORT_HEADS = (*HEADS, "CPU", "connections", "users", "verdict", "stack")
SIGNS = {
    HOLLOW: "a number with a reservation, which the report gives",
    AT_LEAST: "a lower bound, because users waited longer than was measured",
}
MOST_LINES = 6
"""Of a part on the one screen; the report has all of them."""
ANSWER, LOAD, PAGES, LEFT = "The answer", "Under load", "Pages", "Not looked at"
WHOLE = (ANSWER, LOAD, LEFT)
"""Parts that are never cut: what the answer is, what it compares, and what it does not know."""
PAGE_HEADS = ("page", "share", "view", "ASGI hops", "WSGI ms", "ASGI ms")
REPORT_PAGE_HEADS = (*PAGE_HEADS, "behind WSGI", "behind ASGI")


@dataclass(frozen=True)
class Part:
    """A heading with lines, or a table: heads, and rows of as many cells."""

    title: str
    lines: Sequence[str] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default=())


def headline(found: Examination) -> str:
    """Return the answer in two words and a sentence."""
    answer = found.answer
    return f"{answer.value}: {answer.because}" if answer else "not examined to its end"


def screen_of(found: Examination) -> list[Part]:
    """Return what fits into one screen: the longer parts are cut, and say so."""
    parts = (part for part in _parts(found, is_short=True) if part.title in ON_SCREEN)
    return [part if part.title in WHOLE else _cut(part) for part in parts]


def report_of(found: Examination) -> list[Part]:
    """Return all parts."""
    return list(_parts(found, is_short=False))


ON_SCREEN = (
    ANSWER,
    LOAD,
    "Other numbers at once",
    "Mend first",
    PAGES,
    "What blocks the event loop",
    LEFT,
)


def _cut(part: Part) -> Part:
    """Cut lines and rows to MOST_LINES each."""
    more = max(0, len(part.lines) - MOST_LINES) + max(0, len(part.rows) - MOST_LINES)
    if not more:
        return part
    lines = [*part.lines[:MOST_LINES], f"… and {more} more, in the report"]
    return Part(part.title, lines, part.heads, part.rows[:MOST_LINES])


def _parts(found: Examination, *, is_short: bool) -> Iterator[Part]:
    """Yield the parts that have something to show. `is_short`: a table with no more than fits into 80 columns."""
    answer, terms = found.answer, found.terms
    every = (
        Part(ANSWER, list(_answer_lines(answer, terms)) if answer and terms and found.arms else []),
        _load_part(found, is_short=is_short),
        Part("Other numbers at once", list(_sweep_lines(found)) if is_short else []),
        Part("Mend first", [_joined(m.what, m.place, m.worth) for m in answer.mends] if answer else []),
        _pages_part(found, is_short=is_short),
        Part("What differs behind ASGI", [f"{one.page.name}: {x}" for one in found.checked for x in one.difference]),
        Part("What was masked", [f"{one.page.name}: {x}" for one in found.checked for x in one.masked]),
        Part("What blocks the event loop", list(_blocking_lines(found, is_short=is_short))),
        Part("What pages write", [f"{w.page}: {w.statement}, {w.times} times ({w.place})" for w in found.writes]),
        Part("What was refused", [f"{r.page}: {r.address}, {r.times} times ({r.place})" for r in found.refusals]),
        Part("What the project has", [_joined(notice.says, notice.place) for notice in found.inventory]),
        Part("Its databases", found.databases),
        Part("What was changed to try it", [f"{c.name}: {c.to}, because {c.why}" for c in found.changes]),
        Part("What is said of the measurements", list(_remarks(found))),
        Part(LEFT, found.not_looked_at),
    )
    return (part for part in every if part.lines or part.rows)


def _joined(*words: str) -> str:
    return " · ".join(filter(None, words))


def _answer_lines(answer: Answer, terms: Terms) -> Iterator[str]:
    today = terms.today
    threads = f", {today.threads} thread{'' if today.threads == 1 else 's'} each" if today.threads else ""
    place = today.place or "supposed, because no file of the project says it"
    processes = f"{today.processes} process{'' if today.processes == 1 else 'es'}"
    yield f"today: {today.server}, {processes}{threads} ({place})"
    if answer.limiter:
        yield f"limited by: {answer.limiter}"
    yield from (f"instead: {text}" for text in answer.instead)
    if answer.turns:
        yield answer.turns
    yield f"users: {terms.users:,}, {terms.because}"
    if answer.sure:
        yield answer.sure


def _load_part(found: Examination, *, is_short: bool) -> Part:
    """Return the table of arms: on the screen those at the users of the answer, in the report all."""
    users = found.terms.users if found.terms else 0
    if is_short:
        rows = [arm_cells(arm) for arm in found.arms if arm.users == users]
        return Part(LOAD, [*_unmeasured_lines(found), *_sign_lines(rows)], HEADS, rows)
    rows = [
        [*arm_cells(arm), percent(arm.cpu_share), whole(arm.connections), f"{arm.users:,}", arm.verdict, arm.stack]
        for arm in found.arms
    ]
    return Part(LOAD, list(_sign_lines(rows)), REPORT_HEADS, rows)


def _unmeasured_lines(found: Examination) -> Iterator[str]:
    """Yield why an arm has no number; of a server's log, what it says itself."""
    for arm in found.arms:
        if not arm.per_s:
            reason = arm.reasons[0] if arm.reasons else arm.verdict
            ours = [line.partition("lab: ")[2] for line in reason.splitlines() if "lab: " in line]
            yield f"{arm.name}: {arm.verdict}, {' '.join((ours or [reason])[0].split())}"


def _sign_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield what each sign means that the rows have."""
    yield from (
        f"{sign}: {meaning}" for sign, meaning in SIGNS.items() if any(sign in cell for row in rows for cell in row)
    )


def arm_cells(arm: Arm) -> list[str]:
    """Return the cells of an arm, as HEADS has them; ○ and ≥ mean what they mean in all tables."""
    rate, bounds = _rate(arm.per_s, arm.throughput_per_s)
    p50, p99 = (
        (AT_LEAST if name in arm.at_least else "") + number(value)
        for name, value in (("p50", arm.p50_ms), ("p99", arm.p99_ms))
    )
    megabytes = whole(arm.rss_bytes / 1e6) if arm.rss_bytes else HOLE
    return [
        *(arm.name, rate if arm.verdict in ("ok", "not-run") else f"{HOLLOW} {rate}", bounds),
        *(p50, p99, whole(arm.threads), megabytes, whole(arm.cpu_us)),
    ]


def _sweep_lines(found: Examination) -> Iterator[str]:
    """Yield requests per second at the other numbers of users, one line for each."""
    others = sorted({arm.users for arm in found.arms} - {found.terms.users if found.terms else 0})
    for users in others:
        here = (f"{arm.name} {_rate(arm.per_s, None)[0]}" for arm in found.arms if arm.users == users)
        yield f"{users:,} at once: {', '.join(here)} requests/s"


def _rate(per_s: Sequence[float], interval: Interval | None) -> tuple[str, str]:
    if interval:
        return number(interval.estimate), span(interval)
    return (number(median_of(per_s)) if per_s else HOLE), HOLE


def _pages_part(found: Examination, *, is_short: bool) -> Part:
    """Return what became of each page: a row where it is measurable, else a line that says why it is not."""
    heads = PAGE_HEADS if is_short else REPORT_PAGE_HEADS
    measurable = [one for one in found.checked if one.is_measurable]
    lines = [_refusal_line(one) for one in found.checked if not one.is_measurable]
    untraced = [
        f"{one.page.name}: not traced behind {one.door.upper()}, {one.problem}" for one in found.traces if one.problem
    ]
    return Part(PAGES, [*lines, *untraced], heads, [page_cells(one, found)[: len(heads)] for one in measurable])


def _refusal_line(one: Checked) -> str:
    why = one.refused or f"it differs behind ASGI: {' '.join(one.difference)[:100]}"
    return f"{one.page.name} ({percent(one.page.weight)}): not measured, {why}"


def page_cells(one: Checked, found: Examination) -> list[str]:
    """Return the cells of a page, as REPORT_PAGE_HEADS has them: the same behind both doors, and where it ran."""
    wsgi, asgi = (_trace_of(found, one, door) for door in ("wsgi", "asgi"))
    view = "async" if one.view and one.view.is_async else "sync"
    return [
        *(one.page.name, f"{percent(one.page.weight)}", view, whole(len(asgi.hops) if asgi else None)),
        *(number(trace.took_us / 1000 if trace else None) for trace in (wsgi, asgi)),
        *(f"{hops_text(trace.hop_counts)}, {threads_text(trace.threads)}" if trace else HOLE for trace in (wsgi, asgi)),
    ]


def _trace_of(found: Examination, one: Checked, door: str) -> Trace | None:
    return next((it.trace for it in found.traces if it.page == one.page and it.door == door), None)


def _blocking_lines(found: Examination, *, is_short: bool) -> Iterator[str]:
    """Yield a line for each call, with all pages it stops. Shortly: of those in first requests only their number."""
    calls: dict[tuple[str, str, bool], list[Blocked]] = {}
    for one in found.blocking:
        calls.setdefault((one.place, one.call, one.is_loading), []).append(one)
    loading = sum(is_loading for _, _, is_loading in calls)
    for (place, call, is_loading), blocked in calls.items():
        if not (is_short and is_loading):
            when = ", while it loads for the first time" if is_loading else ""
            pages = ", ".join(dict.fromkeys(one.page.name for one in blocked))
            ways = f" · {' or '.join(blocked[0].mends)}" if blocked[0].mends else ""
            ms = number(max(one.ms for one in blocked))
            yield f"{place}: {call} · it stops the loop for {ms} ms in {pages}{when}{ways}"
    if is_short and loading:
        yield (
            f"nothing after the first request; {loading} while it loads, in the report"
            if loading == len(calls)
            else (f"and {loading} while it loads for the first time, in the report")
        )


def _remarks(found: Examination) -> Iterator[str]:
    for arm in found.arms:
        yield from (f"{arm.name}, {arm.users:,} users: {reason}" for reason in arm.reasons)
