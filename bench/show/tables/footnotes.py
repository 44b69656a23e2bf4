"""What stands below a table: notes on verdicts, plateaus, refusals of the database, the accounting of requests."""

from collections import Counter
from collections.abc import Callable, Sequence

from bench.analyse.plateaus import Plateau, plateaus_of
from bench.analyse.rows import Row
from bench.model.run_record import Run
from bench.model.trial_record import Trial
from bench.show.tables.formatting import number


def notes_of(rows: Sequence[Row]) -> dict[str, int]:
    """Number each different explanation of a verdict other than ok, from 1 in the order of the rows: {text: number}."""
    texts = dict.fromkeys(row.why for row in rows if row.verdict != "ok")
    return {text: place for place, text in enumerate(texts, start=1)}


def plateau_lines(run: Run) -> list[str]:
    """Return each plateau as a sentence, with the resource that limits it."""
    plateaus = plateaus_of(run)
    return [
        f"Plateau: {plateau_name(it, plateaus)}: from {it.users_text} users at {number(it.throughput_per_s)}/s, "
        f"{'limited by ' if it.limiter else ''}{it.limiter_text}"
        for it in plateaus
    ]


def plateau_name(plateau: Plateau, among: Sequence[Plateau]) -> str:
    """Return the stack, with the request where `among` has several, and the middleware."""
    request = plateau.request if len({other.request for other in among}) > 1 else ""
    return ", ".join(filter(None, [plateau.stack, request, "+".join(plateau.middleware)]))


def refusals_of(rows: Sequence[Row]) -> list[tuple[str, Counter[str]]]:
    """Return what the database refused: for each row its name, and how often each error stands in the lab's log."""
    found = []
    for row in rows:
        counts: Counter[str] = Counter()
        for trial in row.trials:
            counts.update(trial.database.errors if trial.database else {})
        if counts:
            found.append((f"{row.stack}, {row.load_text}", counts))
    return found


def refusal_lines(rows: Sequence[Row]) -> list[str]:
    """Return the refusals of each row as a sentence."""
    return [
        f"Refused, {whose}: " + "; ".join(f"{error} ({count:,}×)" for error, count in counts.most_common())
        for whose, counts in refusals_of(rows)
    ]


ACCOUNT: dict[str, Callable[[Trial], int]] = {
    "issued": lambda trial: trial.issued,
    "completed": lambda trial: trial.completed,
    "failed": lambda trial: trial.failed,
    "timed out": lambda trial: trial.timed_out,
    "dropped": lambda trial: trial.dropped,
    "in flight": lambda trial: trial.in_flight,
}


def account_of(row: Row) -> dict[str, int]:
    """Count what became of the requests of the measured restarts; in an open loop the other counts sum to `issued`."""
    return {name: sum(map(count, row.measured)) for name, count in ACCOUNT.items()}
