"""`report.html` of a run: one file with everything in it, figures too, that opens offline and prints.

No script, no address outside of the file. What a run says is escaped: it may hold a server's log.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from textwrap import shorten
from typing import Any

from bench import plots, stats, summary
from bench.errors import UsageError
from bench.plateaus import plateaus_of
from bench.record import Run, Trial, write_atomically
from bench.stacks import parse_stack
from bench.summary import Finding, Row
from bench.tables.below import ACCOUNT, account_of, notes_of, plateau_name, refusals_of
from bench.tables.columns import COLUMNS, Column, cells, columns_of
from bench.tables.groups import Group, groups_of
from bench.tables.texts import milliseconds, number

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
    "p99 sent is the uncorrected number, from the actual send of those that were answered.",
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

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --ink: #1f2328; --soft: #59636e; --line: #d9dee3; --paper: #fbfbfa; --card: #fff; --hole: #9a6700;
  --good: #1a7f37; --bad: #b00020; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e3; --soft: #a3abb3; --line: #3a4048; --paper: #16191d;
  --card: #1e2227; --hole: #e3b341; --good: #56d364; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
p, li, dd { max-width: 46rem; }
ul.notes { list-style: none; padding: 0; } ul.notes li { white-space: pre-line; margin-bottom: .4rem; }
.question { font-size: 1.2rem; color: var(--soft); margin: 0 0 .75rem; }
.meta, figcaption, .note { color: var(--soft); font-size: .875rem; }
.answer { font-size: 1.05rem; border-left: 3px solid var(--line); padding-left: 1rem; }
.warning { border: 1px solid var(--hole); border-radius: 6px; padding: .5rem .9rem; color: var(--hole); }
figure { margin: 0 0 1.5rem; break-inside: avoid; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: .5rem; overflow-x: auto; }
.card svg { display: block; width: 100%; min-width: 34rem; height: auto; }
figcaption { margin: .35rem .25rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .7rem .28rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.wrap { white-space: normal; text-align: left; min-width: 13rem; }
tr.group td { font-weight: 600; padding-top: 1rem; text-align: left; }
.hole { color: var(--hole); } .supported { color: var(--good); } .refuted, .invalid { color: var(--bad); }
.supported, .refuted, .cannot-tell { font-weight: 600; }
code, pre { font: .8125rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: .25rem 0 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { body { background: #fff; color: #000; font-size: 11pt; } main { max-width: none; padding: 0; }
  table { font-size: 7.5pt; } .card { border: 0; } .wide, .card { overflow: visible; } tr { break-inside: avoid; } }
</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def write_report(run: Run, folder: Path) -> Path:
    """Write `report.html` into the folder, whole or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    write_atomically(path, to_html(run).encode())
    return path


def to_html(run: Run) -> str:
    """The report as one HTML document; the same run gives the same text."""
    rows, findings = summary.rows_of(run), summary.findings_of(run)
    drawn = plots.figures_for(run)
    parts = [
        _head(run),
        _answer(findings, drawn),
        _findings(findings),
        "<h2>In pictures</h2>" if drawn else "",
        *(_figure(one) for one in drawn),
        _table(rows),
        _plateaus(run),
        _refusals(rows),
        _accounts(rows),
        _notes(run, rows),
        _definitions("How to read it", {column.heading: column.help for column in COLUMNS} | HOW_TO_READ),
        _environment(run),
        _commands(run),
    ]
    return PAGE.substitute(title=escape(f"{run.title} · {run.experiment}"), body="\n".join(filter(None, parts)))


def _head(run: Run) -> str:
    facts = [run.experiment, f"profile {run.profile}", run.started_at, _cpu(run.environment)]
    lines = [
        f"<h1>{escape(run.title)}</h1>",
        f'<p class="question">{escape(run.question)}</p>',
        f'<p class="meta">{escape(" · ".join(fact for fact in facts if fact))}</p>',
    ]
    if run.status != "complete":
        lines.append(f'<p class="warning">{escape(_incomplete(run))}</p>')
    return "\n".join(lines)


def _cpu(environment: Mapping[str, Any]) -> str:
    cpu = environment.get("cpu")
    return str(cpu) if isinstance(cpu, str) else ""


def _incomplete(run: Run) -> str:
    word = "was interrupted" if run.status == "aborted" else "is not finished"
    return f"This run {word}: {len(run.trials)} of {run.plan.trials} trials are here, after {run.took_s:,.0f} s."


def _answer(findings: Sequence[Finding], drawn: Sequence[plots.Drawn]) -> str:
    """One paragraph: what the run says to its claims, or what its first figure shows where there are none."""
    if not findings:
        text = drawn[0].figure.finding + "." if drawn else "Nothing was measured."
        return f'<p class="answer">{escape(text)}</p>'
    values: tuple[stats.Finding, ...] = ("supported", "refuted", "cannot tell")
    said = {value: [finding for finding in findings if finding.value == value] for value in values}
    counts = f"Of {len(findings)} claims this run supports {len(said['supported'])} and refutes {len(said['refuted'])};"
    sentences = [f"{counts} it cannot tell {len(said['cannot tell'])}."]
    for value in values[:2]:
        if said[value]:
            sentences.append(f"<b>{value.capitalize()}:</b> {'; '.join(map(_claim, said[value]))}.")
    return f'<p class="answer">{" ".join(sentences)}</p>'


def _claim(finding: Finding) -> str:
    return escape(f"{finding.claim.says}: {finding.text}")


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    body = "".join(
        f'<tr><td class="{finding.value.replace(" ", "-")}">{finding.value}</td>'
        f'<td class="wrap">{escape(finding.claim.says)}</td><td class="wrap">{escape(finding.text)}</td>'
        f'<td class="wrap note">{escape(summary.compared_text(finding.claim))}</td></tr>\n'
        for finding in findings
    )
    head = "".join(f'<th class="text">{word}</th>' for word in ("finding", "claim", "ratio", "of what to what"))
    return "<h2>Findings</h2>\n" + _wide_table(head, body)


def _figure(drawn: plots.Drawn) -> str:
    return (
        f'<figure id="{drawn.slug}"><div class="card">{drawn.figure.svg(prefix=drawn.slug + "-")}</div>\n'
        f"<figcaption>{escape(drawn.caption)}</figcaption></figure>"
    )


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return "<h2>All numbers</h2>\n<p>No trial was measured.</p>"
    notes, columns = notes_of(rows), columns_of(rows)
    head = "".join(map(_heading, columns))
    body = "".join(_group(group, columns, notes) for group in groups_of(rows))
    return "<h2>All numbers</h2>\n" + _wide_table(head, body)


def _heading(column: Column) -> str:
    side = ' class="text"' if column is COLUMNS[-1] else ""
    return f'<th scope="col"{side} title="{escape(column.help)}">{escape(column.heading)}</th>'


def _wide_table(head: str, body: str) -> str:
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def _group(group: Group, columns: Sequence[Column], notes: dict[str, int]) -> str:
    heading = f'<tr class="group"><td colspan="{len(columns)}">{escape(group.heading)}</td></tr>\n'
    return heading + "".join(_row(row, columns, notes) for row in group.rows)


def _row(row: Row, columns: Sequence[Column], notes: dict[str, int]) -> str:
    """Numbers with their verdict; where nothing was measured, the verdict and why across all columns."""
    if not row.measured:
        why = f"{row.verdict} [{notes[row.why]}]: {shorten(row.why, 150)}"
        across = f'<td class="wrap hole" colspan="{len(columns) - 1}">{escape(why)}</td>'
        return f"<tr><td>{escape(row.stack)}</td>{across}</tr>\n"
    *texts, verdict = cells(row, columns, notes)
    numbers = "".join(f"<td>{escape(text)}</td>" for text in texts)
    return f'<tr>{numbers}<td class="text{" hole" if row.is_hollow else ""}">{escape(verdict)}</td></tr>\n'


def _plateaus(run: Run) -> str:
    """What holds each plateau down."""
    plateaus = plateaus_of(run)
    lines = [
        (plateau_name(it, plateaus), it.users_text, number(it.throughput_per_s), it.limiter_text) for it in plateaus
    ]
    headings = ("stack", "users", "requests/s", "limited by")
    return _small_table("Where more users bring no more", headings, lines) if lines else ""


def _refusals(rows: Sequence[Row]) -> str:
    """What the labs' logs say of the database."""
    lines = [
        (whose, error, f"{count:,}") for whose, counts in refusals_of(rows) for error, count in counts.most_common()
    ]
    return _small_table("What the database refused", ("where", "error", "times"), lines) if lines else ""


def _accounts(rows: Sequence[Row]) -> str:
    """Where the requests of each open loop went: what was issued is the sum of the rest."""
    lines = [_account(row) for row in rows if row.is_open and row.measured]
    issued, first, *others = ACCOUNT
    headings = ("stack", "load", f"{issued} =", first, *(f"+ {name}" for name in others), "sent late, p99 ms")
    return _small_table("Where the requests of the open loops went", headings, lines) if lines else ""


def _account(row: Row) -> Sequence[str]:
    counts = [f"{count:,}" for count in account_of(row).values()]
    return (row.stack, f"{row.request}, {row.load_text}", *counts, milliseconds(row, "p99", "lateness_us"))


def _small_table(title: str, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>\n" for line in lines)
    return f"<h2>{escape(title)}</h2>\n" + _wide_table(head, body)


def _notes(run: Run, rows: Sequence[Row]) -> str:
    """Everything that is not plainly ok, with the rows it befell; and what was planned and never made."""
    items = [_note(place, text, rows) for text, place in notes_of(rows).items()]
    items += [_befell(row) for row in rows if any(trial.events for trial in row.trials)]
    items += [f"<li>{escape(stack)}: planned, not measured.</li>" for stack in summary.stacks_without_trials(run)]
    return f'<h2>What is not plainly ok</h2>\n<ul class="notes">{"".join(items)}</ul>' if items else ""


def _note(place: int, text: str, rows: Sequence[Row]) -> str:
    where: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict != "ok" and row.why == text:
            where.setdefault(f"{row.stack}, {row.request}", []).append(row.load_text)
    shown = "; ".join(f"{what} at {', '.join(loads)}" for what, loads in where.items())
    return f'<li>[{place}] {escape(text)}. <span class="note">{escape(shown)}</span></li>\n'


def _befell(row: Row) -> str:
    """The events of a row's windows, restart by restart."""
    texts = [f"restart {trial.repeat + 1}: {_events_text(trial)}" for trial in row.trials if trial.events]
    where = f"{row.stack}, {row.request} at {row.load_text}"
    return f'<li>{escape(where)}: <span class="note">{escape(" ".join(texts))}</span></li>\n'


def _events_text(trial: Trial) -> str:
    """The messages, of many the first ones."""
    shown = " ".join(event.message for event in trial.events[:EVENTS_SHOWN])
    more = len(trial.events) - EVENTS_SHOWN
    return f"{shown} And {more} more." if more > 0 else shown


def _definitions(heading: str, items: Mapping[str, str]) -> str:
    pairs = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>\n" for term, text in items.items())
    return f"<h2>{escape(heading)}</h2>\n<dl>{pairs}</dl>"


def _environment(run: Run) -> str:
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
    return _definitions("The machine and the run", made | dict(_flat(run.environment)))


def _between(run: Run) -> str:
    pause_s = summary.between_windows_s(run)
    return "not known" if pause_s is None else f"{pause_s:.2f} s at the median, warm-up not counted"


def _flat(values: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, str]]:
    """Nested data as lines: flat maps, such as versions, in one line each."""
    for key, value in values.items():
        name = f"{path}{key}".replace("_", " ")
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


def _commands(run: Run) -> str:
    again = f"lab run {run.experiment} --profile {run.profile} --seed {run.plan.seed}"
    blocks = [f"<p>The run again:</p><pre>{escape(again)}</pre>"]
    blocks += [_command(stack, _server_command(run, stack)) for stack in run.plan.stacks]
    load = next((trial.commands["load"] for trial in run.trials if "load" in trial.commands), None)
    blocks += [_command("The load, in the first trial", shlex.join(load))] if load else []
    return "<h2>Commands</h2>\n" + "\n".join(blocks)


def _command(name: str, command: str) -> str:
    return f"<p>{escape(name)}</p><pre>{escape(command)}</pre>"


def _server_command(run: Run, stack: str) -> str:
    """As recorded, else as the stack would be started; a stack that is no longer known has none."""
    for trial in run.trials:
        if trial.stack == stack and "server" in trial.commands:
            return shlex.join(trial.commands["server"])
    try:
        return shlex.join(parse_stack(stack).command(8000))
    except UsageError as error:
        return str(error)
