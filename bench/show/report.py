"""`report.html` of a run: one file with everything in it, figures too, that opens offline and prints.

No script, no address outside of the file. The page is `report.html.j2`, which escapes what a run says: it may hold a
server's log. Here is the data for it.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.analyse import stats
from bench.analyse.findings import compared_text, findings_of
from bench.analyse.plateaus import plateaus_of
from bench.analyse.rows import Row, between_windows_s, rows_of, stacks_without_trials
from bench.base.errors import UsageError
from bench.base.files import write_atomically
from bench.model.run_record import Run
from bench.model.stacks import parse_stack
from bench.model.trial_record import Trial
from bench.show.figures import catalogue
from bench.show.tables.columns import COLUMNS, cells, columns_of
from bench.show.tables.footnotes import ACCOUNT, account_of, notes_of, plateau_name, refusals_of
from bench.show.tables.formatting import milliseconds, number
from bench.show.tables.groups import groups_of

EVENTS_SHOWN = 5
HOW_TO_READ = {
    "limit": "The throughput that no server can exceed here: min(N/(L+S), W/(L+S), 1/S), with N users, L the time "
    "a request waits, S the server CPU time it takes as measured in the same trial, and W the requests that the "
    "server lets in at once. With P processes the last term is P/S.",
    "interval": "The 95 % bootstrap interval of the median over server restarts. With three to five restarts it is "
    "their range. With fewer there is none, and no claim is judged.",
    "verdict": "ok: nothing speaks against the number. degraded: it stands with a reservation, is drawn hollow, "
    "and decides no claim that the reservation touches. invalid: the number would be wrong and is not shown. "
    "aborted: interrupted. not-run: this machine did not allow it.",
    "finding": "supported or refuted only where the whole interval of the ratio lies on one side; else cannot tell.",
    "open loop": "Requests leave on a schedule that was fixed beforehand, whatever becomes of those before them, and "
    "latency counts from the intended send: so it holds the time in which a slow server or client kept them waiting. "
    "Uncorrected p99 counts the actual send of those that were answered.",
    "≥ (at least)": "Some requests were never answered: they would have taken longer than they were waited for, so "
    "a percentile that they reach down to is a lower bound.",
    "client-limited": "The load generator did not keep its schedule, or was too busy to ask for more: the number may "
    "be its own. Drawn hollow and left out of titles and findings.",
    "plateau": "Neighbouring numbers of users, three or more being measured, at which throughput is within 10 % of "
    "the most. Limited by what most of its trials had used to the full.",
    "held": "A closed loop whose users together ask for no more than a rate. While they wait they do not ask, and "
    "what they did not ask for is not made up for.",
    "closed loop": "Every user waits for its answer before asking again. A slow server is therefore asked less, and "
    "latencies read as lower bounds for people who do not wait for each other.",
}

PAGE = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
).get_template("report.html.j2")
Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Title, headings and lines."""


def write_report(run: Run, folder: Path) -> Path:
    """Write `report.html` into the folder, whole or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    write_atomically(path, to_html(run).encode())
    return path


def to_html(run: Run) -> str:
    """The report as one HTML document; the same run gives the same text."""
    rows, findings = rows_of(run), findings_of(run)
    return PAGE.render(
        run=run,
        findings=findings,
        said={value: [one for one in findings if one.value == value] for value in get_args(stats.Outcome)},
        compared_text=compared_text,
        figures=catalogue.figures_for(run),
        groups=groups_of(rows),
        columns=columns_of(rows),
        notes=notes_of(rows),
        cells=cells,
        shorten=shorten,
        small_tables=[_plateaus(run), _refusals(rows), _accounts(rows)],
        remarks=_remarks(run, rows),
        how_to_read={column.heading: column.help for column in COLUMNS} | HOW_TO_READ,
        environment=_environment(run),
        commands=_commands(run),
    )


def _plateaus(run: Run) -> Table:
    """What holds each plateau down."""
    plateaus = plateaus_of(run)
    lines = [
        (plateau_name(it, plateaus), it.users_text, number(it.throughput_per_s), it.limiter_text) for it in plateaus
    ]
    return "Where more users bring no more", ("stack", "users", "requests/s", "limited by"), lines


def _refusals(rows: Sequence[Row]) -> Table:
    """What the labs' logs say of the database."""
    lines = [
        (whose, error, f"{count:,}") for whose, counts in refusals_of(rows) for error, count in counts.most_common()
    ]
    return "What the database refused", ("where", "error", "times"), lines


def _accounts(rows: Sequence[Row]) -> Table:
    """Where the requests of each open loop went: what was issued is the sum of the rest."""
    issued, first, *others = ACCOUNT
    headings = ("stack", "load", f"{issued} =", first, *(f"+ {name}" for name in others), "sent late, p99 ms")
    lines = [_account(row) for row in rows if row.is_open and row.measured]
    return "Where the requests of the open loops went", headings, lines


def _account(row: Row) -> Sequence[str]:
    counts = [f"{count:,}" for count in account_of(row).values()]
    return (row.stack, f"{row.request}, {row.load_text}", *counts, milliseconds(row, "p99", "lateness_us"))


def _remarks(run: Run, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Everything that is not plainly ok, with the rows it befell; and what was planned and never made."""
    noted = [(f"[{place}] {text}.", _where(text, rows)) for text, place in notes_of(rows).items()]
    befell = [
        (f"{_name(row)} at {row.load_text}:", _events_text(row)) for row in rows if any(t.events for t in row.trials)
    ]
    return noted + befell + [(f"{stack}: planned, not measured.", "") for stack in stacks_without_trials(run)]


def _where(text: str, rows: Sequence[Row]) -> str:
    """The rows that a note is about."""
    loads: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict != "ok" and row.why == text:
            loads.setdefault(_name(row), []).append(row.load_text)
    return "; ".join(f"{name} at {', '.join(texts)}" for name, texts in loads.items())


def _name(row: Row) -> str:
    return f"{row.stack}, {row.request}"


def _events_text(row: Row) -> str:
    """The events of a row's windows, restart by restart."""
    return " ".join(f"restart {trial.repeat + 1}: {_messages(trial)}" for trial in row.trials if trial.events)


def _messages(trial: Trial) -> str:
    """What the events say, of many the first ones."""
    shown = " ".join(event.message for event in trial.events[:EVENTS_SHOWN])
    more = len(trial.events) - EVENTS_SHOWN
    return f"{shown} And {more} more." if more > 0 else shown


def _environment(run: Run) -> dict[str, str]:
    plan = run.plan
    made = {
        "seed": str(plan.seed),
        "restarts": f"{plan.repeats}, in random order",
        "window": f"{plan.duration_s:g} s after {plan.warmup_s:g} s of warm-up",
        "load processes": f"{plan.load_processes} on this machine, {plan.expect_workers} on others",
        "server": f"elsewhere, at {plan.target}" if plan.target else "started anew for each trial",
        "took": f"{run.took_s:,.0f} s",
        "between two windows": _between(run),
        "cores shared by server and load": _text(run.environment.get("cores_shared")),
    }
    return made | dict(_flat(run.environment))


def _between(run: Run) -> str:
    pause_s = between_windows_s(run)
    return "not known" if pause_s is None else f"{pause_s:.2f} s at the median, warm-up not counted"


def _flat(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Nested data as lines: flat maps, such as versions, in one line each."""
    for key, value in values.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping):
            yield name, ", ".join(f"{inner} {_text(held)}" for inner, held in value.items())
        elif key.endswith("_bytes") and isinstance(value, int):
            yield name.removesuffix(" bytes"), f"{value / 1e9:.1f} GB"
        elif key != "cores_shared":
            yield name, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return "not known" if value is None else str(value)


def _commands(run: Run) -> list[tuple[str, str]]:
    """What to type for the run, its servers and its load."""
    again = f"lab run {run.experiment} --profile {run.profile} --seed {run.plan.seed}"
    servers = [(stack, _server_command(run, stack)) for stack in run.plan.stacks]
    load = [trial.commands["load"] for trial in run.trials if "load" in trial.commands][:1]
    return [("The run again:", again), *servers, *(("The load, in the first trial", shlex.join(one)) for one in load)]


def _server_command(run: Run, stack: str) -> str:
    """As recorded, else as the stack would be started; a stack that is no longer known has none."""
    for trial in run.trials:
        if trial.stack == stack and "server" in trial.commands:
            return shlex.join(trial.commands["server"])
    try:
        return shlex.join(parse_stack(stack).command(8000))
    except UsageError as error:
        return str(error)
