"""Writes `report.html` of a run: one file with everything in it, figures too, that opens offline and can be printed.

No address outside of the file, and no script unless the folder has a recording of the room. The page is
`report.html.j2`, which escapes what a run says: it may hold a server's log. This module makes the data for it.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.analyse import stats
from bench.analyse.comparability import environments_of
from bench.analyse.findings import compared_text, findings_of
from bench.analyse.plateaus import plateaus_of
from bench.analyse.rows import Row, between_windows_s, rows_of, stacks_without_trials
from bench.base.errors import UsageError
from bench.base.files import write_atomically
from bench.model import room_recording
from bench.model.load import Closed, Paced
from bench.model.run_record import Run
from bench.model.stacks import parse_stack
from bench.model.trial_record import ServerEnvironment, Trial
from bench.show import run_page
from bench.show.figures import catalogue
from bench.show.replay import replay_markup
from bench.show.tables.columns import cells, columns_of
from bench.show.tables.footnotes import ACCOUNT, account_of, notes_of, plateau_name, refusals_of
from bench.show.tables.formatting import AT_LEAST, milliseconds, number
from bench.show.tables.groups import groups_of

EVENTS_SHOWN = 5
FOLDED_FROM = 8
"""Groups of rows from which on a table folds all but the first."""


class Term(NamedTuple):
    """What a word of a report means, and in which runs it is used."""

    text: str
    is_used: Callable[[Run, Sequence[Row]], bool]


def _any(holds: Callable[[Row], bool]) -> Callable[[Run, Sequence[Row]], bool]:
    return lambda run, rows: any(map(holds, rows))


HOW_TO_READ = {
    "limit": Term(
        "The most throughput that is possible here: min(N/(L+S), W/(L+S), 1/S), with N users, L the time a "
        "request waits, S the server CPU time it takes, measured in the same trial, and W the requests that the server "
        "works on at once. With P processes the last term is P/S.",
        _any(lambda row: row.median("limit_per_s") is not None),
    ),
    "interval": Term(
        "The 95 % bootstrap interval of the median over server restarts. With three to five restarts it is "
        "their range. With fewer there is none, and no claim is judged.",
        lambda run, rows: True,
    ),
    "verdict": Term(
        "ok: nothing speaks against the number. degraded: the number has a reservation, is drawn hollow, and "
        "decides no claim that the reservation touches. invalid: the number would be wrong and is not shown. aborted: "
        "interrupted. not-run: this machine did not allow it.",
        lambda run, rows: True,
    ),
    "finding": Term(
        "supported or refuted only where the whole interval of the ratio lies on one side; else cannot tell.",
        lambda run, rows: bool(run.plan.claims),
    ),
    "open loop": Term(
        "Requests leave on a schedule that was fixed beforehand, whatever happens to earlier ones. Latency "
        "counts from the intended send, so it includes the time that a slow server or client made a request wait. The "
        "uncorrected p99 counts from the actual send, and only requests that were answered.",
        _any(lambda row: row.is_open),
    ),
    "≥ (at least)": Term(
        "Some requests were never answered. Their latency is longer than the time they were waited for, "
        "so a percentile that includes them is a lower bound.",
        _any(lambda row: any(AT_LEAST in milliseconds(row, name) for name in ("p50", "p99"))),
    ),
    "client-limited": Term(
        "The load generator missed its schedule or was too busy, so the number may be its own limit. "
        "Such numbers are drawn hollow and left out of titles and findings.",
        _any(lambda row: any(reason.code == "client-limited" for trial in row.trials for reason in trial.reasons)),
    ),
    "plateau": Term(
        "Neighbouring numbers of users, of at least three that were measured, at which throughput is within "
        "10 % of the most. It is limited by what its row with the most users is limited by.",
        lambda run, rows: bool(plateaus_of(run)),
    ),
    "held": Term(
        "A closed loop whose users together send no more than a rate. While they wait they send nothing, and do "
        "not catch up later.",
        _any(lambda row: isinstance(row.load, Paced)),
    ),
    "closed loop": Term(
        "Every user waits for its answer before it sends again. A slow server therefore gets fewer "
        "requests, and its latencies are lower bounds for people who come on their own schedule.",
        _any(lambda row: isinstance(row.load, Closed | Paced)),
    ),
}
"""The words that a report explains where it uses them; the heads of its columns are explained as well."""

ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
"""Of all pages: what is put into one is escaped."""
PAGE = ENVIRONMENT.get_template("report.html.j2")
Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Title, headings and lines."""
TEXTS = ("error", "load", "limited by")
"""The headings of small tables whose cells are words, not numbers."""


def write_report(run: Run, folder: Path) -> Path:
    """Write `report.html` into the folder, whole or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path, recorded = folder / "report.html", folder / room_recording.NAME
    recording = room_recording.read_recording(recorded) if recorded.exists() else None
    write_atomically(path, to_html(run, recording).encode())
    return path


def to_html(run: Run, recording: room_recording.RoomRecording | None = None) -> str:
    """The report as one HTML document, with the recording to play if there is one; the same run gives the same text."""
    rows, findings, drawn = rows_of(run), findings_of(run), catalogue.figures_for(run)
    columns = columns_of(rows)
    lead = run_page.leading(drawn)[:1]
    return PAGE.render(
        run=run,
        started_at=run.started_at.replace("T", " ").replace("+00:00", " UTC"),
        findings=findings,
        said={value: [one for one in findings if one.value == value] for value in get_args(stats.Outcome)},
        compared_text=compared_text,
        first_findings=run_page.first_findings(findings),
        lead=lead,
        figures=[one for one in drawn if one not in lead],
        replay=replay_markup(recording) if recording else None,
        groups=groups_of(rows),
        folded_from=FOLDED_FROM,
        columns=columns,
        notes=notes_of(rows),
        cells=cells,
        shorten=shorten,
        texts=TEXTS,
        small_tables=[_plateaus(run), _refusals(rows), _accounts(rows)],
        remarks=_remarks(run, rows),
        how_to_read={column.heading: column.help for column in columns} | _terms(run, rows),
        environment=_environment(run),
        commands=_commands(run),
    )


def _terms(run: Run, rows: Sequence[Row]) -> dict[str, str]:
    return {name: term.text for name, term in HOW_TO_READ.items() if term.is_used(run, rows)}


def _plateaus(run: Run) -> Table:
    """Return the resource that limits each plateau."""
    plateaus = plateaus_of(run)
    lines = [
        (plateau_name(it, plateaus), it.users_text, number(it.throughput_per_s), it.limiter_text) for it in plateaus
    ]
    return "Where more users bring no more", ("stack", "users", "requests/s", "limited by"), lines


def _refusals(rows: Sequence[Row]) -> Table:
    """Return what the labs' logs say that the database refused."""
    lines = [
        (whose, error, f"{count:,}") for whose, counts in refusals_of(rows) for error, count in counts.most_common()
    ]
    return "What the database refused", ("where", "error", "times"), lines


def _accounts(rows: Sequence[Row]) -> Table:
    """Return the accounting of each open loop: the requests issued are the sum of the rest."""
    issued, first, *others = ACCOUNT
    headings = ("stack", "load", f"{issued} =", first, *(f"+ {name}" for name in others), "sent late, p99 ms")
    lines = [
        (
            row.stack,
            f"{row.request}, {row.load_text}",
            *(f"{count:,}" for count in account_of(row).values()),
            milliseconds(row, "p99", "lateness_us"),
        )
        for row in rows
        if row.is_open and row.measured
    ]
    return "Where the requests of the open loops went", headings, lines


def _remarks(run: Run, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return the notes on verdicts and the events, each with its rows, and the stacks that were never measured."""
    noted = [(f"[{place}] {text}.", _where(text, rows)) for text, place in notes_of(rows).items()]
    events = [
        (f"{_name(row)} at {row.load_text}:", _events_text(row)) for row in rows if any(t.events for t in row.trials)
    ]
    return noted + events + [(f"{stack}: planned, not measured.", "") for stack in stacks_without_trials(run)]


def _where(text: str, rows: Sequence[Row]) -> str:
    """Name the rows that a note is about."""
    loads: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict != "ok" and row.why == text:
            loads.setdefault(_name(row), []).append(row.load_text)
    return "; ".join(f"{name} at {', '.join(texts)}" for name, texts in loads.items())


def _name(row: Row) -> str:
    return f"{row.stack}, {row.request}"


def _events_text(row: Row) -> str:
    """Return the events of a row's windows, each text with the restarts that it is true of."""
    restarts: dict[str, list[str]] = {}
    for trial in row.trials:
        if trial.events:
            restarts.setdefault(_messages(trial), []).append(str(trial.repeat + 1))
    return " ".join(
        f"restart{'s' * (len(numbers) > 1)} {', '.join(numbers)}: {text}" for text, numbers in restarts.items()
    )


def _messages(trial: Trial) -> str:
    """Join the messages of the first events, and count the others."""
    shown = " ".join(event.message for event in trial.events[:EVENTS_SHOWN])
    more = len(trial.events) - EVENTS_SHOWN
    return f"{shown} And {more} more." if more > 0 else shown


def _environment(run: Run) -> dict[str, str]:
    plan, pause_s = run.plan, between_windows_s(run)
    made = {
        "seed": str(plan.seed),
        "restarts": f"{plan.repeats}, in random order",
        "window": f"{plan.duration_s:g} s after {plan.warmup_s:g} s of warm-up",
        "closed loops by": ", ".join(sorted(_engines(run))) or plan.engine,
        "load processes": f"{plan.load_processes} on this machine, {plan.expect_workers} on others",
        "server": f"elsewhere, at {plan.target}" if plan.target else "started anew for each trial",
        "took": f"{run.took_s:,.0f} s",
        "between two windows": "not known"
        if pause_s is None
        else f"{pause_s:.2f} s at the median, warm-up not counted",
        "cores shared by server and load": _text(run.environment.get("cores_shared")),
    }
    said = {f"environment {name}": _runtime_text(it) for name, it in environments_of(run).items()}
    return made | said | dict(_flat(run.environment))


def _runtime_text(said: ServerEnvironment) -> str:
    """Return what the servers of an environment said of themselves."""
    lists = (", ".join(f"{name} {text}" for name, text in of.items()) for of in (said.variables, said.versions))
    return "; ".join(filter(None, [said.text, *lists]))


def _engines(run: Run) -> set[str]:
    """Return the load generators of closed loops, with their versions; none in runs that did not keep them."""
    return {trial.load.engine for trial in run.trials if trial.load and trial.load.engine and not trial.is_open}


def _flat(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield nested data as (name, text); a flat map, such as versions, as one text."""
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
    """Return the commands that repeat the run, and start its servers and its load."""
    again = f"lab run {run.experiment} --profile {run.profile} --seed {run.plan.seed}"
    servers = [(stack, _server_command(run, stack)) for stack in run.plan.stacks]
    heads = {
        "load": "The load, in the first trial",
        "front": "In front",
        "front configuration": "with the configuration",
    }
    return [
        ("The run again:", again),
        *servers,
        *((head, text) for part, head in heads.items() for text in _first(run, part)),
    ]


def _first(run: Run, part: str) -> list[str]:
    """Return the command of a part in the first trial that has it; a configuration as its lines."""
    join = "\n".join if part.endswith("configuration") else shlex.join
    return [join(trial.commands[part]) for trial in run.trials if part in trial.commands][:1]


def _server_command(run: Run, stack: str) -> str:
    """Return the recorded command, else the one the stack has now; for an unknown stack the error instead."""
    for trial in run.trials:
        if trial.stack == stack and "server" in trial.commands:
            return shlex.join(trial.commands["server"])
    try:
        return shlex.join(parse_stack(stack).command(8000))
    except UsageError as error:
        return str(error)
