"""`scripts/readme`: every table and every sentence with a number in the READMEs, rendered from `results/reference`.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; NAME is one of `PARTS`. The test suite
renders them all again and fails where a file says something else.
"""

import argparse
import hashlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from bench.analyse.findings import findings_of
from bench.analyse.rows import Row, lab_of, rows_of
from bench.base import files
from bench.base.console import guarded
from bench.base.errors import ExitCode, LabError
from bench.base.files import ROOT
from bench.base.options import Parser
from bench.claims import claim_table, ledger
from bench.claims.evidence import ReferenceMaterial
from bench.claims.judging import JudgedClaim
from bench.claims.schema import load_claim
from bench.cli.checklist import BENCH, CHECKLIST, test_file
from bench.cli.faults import FAULTS
from bench.cli.places import PLACES
from bench.measure.calibrate import WAIT, WAIT_USERS, load_calibration
from bench.model import experiment, run_store
from bench.model.run_record import Run
from bench.model.servers import SERVERS
from bench.model.stacks import LABS
from bench.model.workloads import BOUNDS, WORKLOADS
from bench.show import run_page
from bench.show.tables.formatting import AT_LEAST, HOLLOW, milliseconds, number, percent, span, whole
from bench.trace import reference_traces

FILES = ("README.md", "bench/README.md", "results/reference/README.md")
SHOWN = {"experiment": "io_wait", "request": "wait?ms=100", "users": 200}
SHOWN_CLAIMS = ("A1", "N3", "D1", "D3", "A2", "F3", "N8", "N9")
PART = re.compile(r"(<!-- generated: (?P<name>\w+) -->\n)(?P<text>.*?)(<!-- end -->)", re.DOTALL)


def reference(name: str) -> Run:
    """The committed run of an experiment."""
    return run_store.load_run(run_store.REFERENCE / name)


def shown_rows() -> list[Row]:
    """The rows of the README's table: one request and number of users, all stacks."""
    rows = rows_of(reference(str(SHOWN["experiment"])))
    return [row for row in rows if row.request == SHOWN["request"] and row.users == SHOWN["users"]]


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def first_table() -> str:
    """Each stack's throughput, share of the limit, median latency, threads and CPU, at one number of users."""
    headings = ["stack", "what it is", "requests/s", "of the limit", "p50", "threads", "CPU per request"]
    return table(headings, [_first_line(row) for row in shown_rows()])


def _first_line(row: Row) -> list[str]:
    hollow = f"{HOLLOW} " if row.is_hollow else ""
    cpu_us = row.median("cpu_us_per_request")
    return [
        f"`{row.stack}`",
        LABS[lab_of(row.stack)].lesson,
        f"{hollow}{number(row.median('throughput_per_s'))} ({span(row.throughput_interval)})",
        percent(row.median("fraction_of_limit")),
        f"{milliseconds(row, 'p50')} ms",
        whole(row.median("server.threads_max")),
        f"{whole(cpu_us)} µs",
    ]


def caption() -> str:
    """What the table above it was made from."""
    run = reference(str(SHOWN["experiment"]))
    machine = run.environment
    return (
        f"{SHOWN['users']} users at once, each view waits 100 ms (`{SHOWN['request']}`), server on one core, "
        f"load on another; medians over {run.plan.repeats} server restarts with 95 % intervals. "
        f"Django {machine['packages']['django']}, {machine['python']}, gunicorn "
        f"{machine['packages']['gunicorn']}, uvicorn {machine['packages']['uvicorn']}; {run.started_at[:10]}. "
        f"{HOLLOW}: some restart carries a reservation, spelt out in the "
        f"[run](results/reference/{run.experiment}/README.md). "
        f"{AT_LEAST}: users wait longer than the measurement took, so that nobody's whole wait was seen."
    )


def findings() -> str:
    """What the reference runs say to the claims of their experiments."""
    rows = []
    for name in experiment.experiment_names():
        for finding in findings_of(reference(name)):
            rows.append([f"`{name}`", finding.claim.says, f"**{finding.value}**", finding.text])
    return table(["experiment", "claim", "finding", "ratio (95 % interval)"], rows)


def runs() -> str:
    """The committed runs and what they were made with."""
    rows = []
    for name in experiment.experiment_names():
        run = reference(name)
        measured = sum(trial.is_measured for trial in run.trials)
        rows.append(
            [
                f"[`{name}`]({name}/README.md)",
                run.started_at[:10],
                f"{run.took_s / 60:.0f} min",
                f"{measured} of {run.plan.trials}",
                str(run.plan.repeats),
                f"{run.plan.warmup_s:g} + {run.plan.duration_s:g} s",
                str(run.plan.seed),
                str(run.environment["python"]),
                str(run.environment["packages"]["django"]),
            ]
        )
    headings = ["run", "made", "took", "trials measured", "restarts", "warm-up + window", "seed", "python", "django"]
    return table(headings, rows)


def machine() -> str:
    """The machine of the reference runs and what the load generator can do there, in two sentences."""
    seen = reference(str(SHOWN["experiment"])).environment
    memory_gb = seen["memory_bytes"] / 2**30
    apart = "shared a core" if seen["cores_shared"] else "had a core each"
    return (
        f"Machine: {seen['cores']} cores ({seen['cpu']}), {memory_gb:.0f} GiB, {seen['system']}; "
        f"server and load {apart}. {_calibrated()}"
    )


def _calibrated() -> str:
    found = load_calibration()
    return (
        f"Against the bare ASGI callable Locust sustained {found.peak_per_s:,.0f} requests/s with recording on; with "
        f"{WAIT_USERS} users on `{WAIT}` its rate was {found.throughput_ratio:.3f} times wrk's and its median "
        f"{found.p50_ratio:.3f} times. Asked for {found.open_rate_per_s:,.0f} requests/s the open loop let 99 of 100 "
        f"requests leave within {found.open_lateness_p99_us / 1000:.1f} ms of their time (median of "
        f"{found.repeats} restarts)."
    )


def checklist() -> str:
    """What makes a number honest, and the place of each: gates in bench, tests beside them."""
    rows = []
    for item in CHECKLIST:
        tests = ", ".join(map(_test_link, item.tests))
        rows.append(
            [str(item.number), item.name, item.asks, ", ".join(f"`{gate}`" for gate in item.gates) or "a test", tests]
        )
    return table(["", "name", "what is asked", "gate", "proved by"], rows)


def _test_link(test: str) -> str:
    file, _, name = test.partition("::")
    path = test_file(file)
    return f"[{name}]({path.relative_to(BENCH) if path else file})"


def rooms() -> str:
    """The rooms of bench, lowest first, each with the sentence of its own README."""
    rows = [[f"[{name}]({name})", (BENCH / name / "README.md").read_text().partition("\n")[0]] for name in room_names()]
    return table(["room", "what it is for"], [[link, said.partition(": ")[2]] for link, said in rows])


def room_names() -> list[str]:
    """The layers of the import contract in pyproject.toml, lowest first."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    return [name for layer in reversed(layers) for name in layer.split(" | ")]


def places() -> str:
    """Where to look first."""
    rows = [[question, f"[`{place}`]({place.rpartition('.')[0].replace('.', '/')}.py)"] for question, place in PLACES]
    return table(["question", "place"], rows)


def faults() -> str:
    """What goes wrong, what the user reads, and the test that makes it go wrong."""
    rows = [[fault.happens, fault.reads, _test_link(fault.test)] for fault in FAULTS]
    return table(["what happens", "what you read", "proved by"], rows)


def labs() -> str:
    """The map of labs."""
    rows = [
        [f"[`{lab.name}`]({_folder(lab.folder)})", lab.views, lab.interface.upper(), lab.lesson]
        for lab in LABS.values()
    ]
    return table(["lab", "views", "interface", "lesson"], rows)


def _folder(name: str) -> str:
    return f"labs/{name}"


def servers() -> str:
    """The servers of the notation."""
    rows = [
        [f"`{server.name}{':T' if server.takes_threads else ''}`", server.interface.upper(), server.note]
        for server in SERVERS.values()
    ]
    return table(["server", "interface", "what it is"], rows)


def workloads() -> str:
    """The workloads with the bounds of their parameters."""
    rows = []
    for workload in WORKLOADS.values():
        bounds = [
            f"`{name}` {BOUNDS[name][0]:,} to {BOUNDS[name][1]:,} ({default})"
            for name, default in workload.defaults.items()
        ]
        rows.append([f"`/{workload.name}`", workload.does, ", ".join(bounds) or "none"])
    return table(["URL", "a request", "parameters (default)"], rows)


def experiments() -> str:
    """The experiments, what they ask, and how many of their claims the reference run supports."""
    rows = []
    for name in experiment.experiment_names():
        findings = findings_of(reference(name))
        supported = sum(finding.value == "supported" for finding in findings)
        link = f"[`{name}`](results/reference/{name}/README.md)"
        rows.append([link, experiment.load_experiment(name).question, f"{supported} of {len(findings)}"])
    return table(["experiment", "question", "claims supported"], rows)


def claims() -> str:
    """What people say and what happens here, by what is kept."""
    return table(
        ["id", "claim", "finding", "what happens here"], claim_table.to_rows(ledger.judge_all(ReferenceMaterial()))
    )


def claims_shown() -> str:
    """Some claims that people begin with."""
    return table(["id", "claim", "finding", "what happens here"], claim_table.to_rows(_judged(SHOWN_CLAIMS)))


def _judged(names: Sequence[str]) -> list[JudgedClaim]:
    return ledger.judge_all(ReferenceMaterial(), [load_claim(name) for name in names])


def claims_counted() -> str:
    """How many claims came to what, in a sentence."""
    found = ledger.judge_all(ReferenceMaterial())
    return f"Of {len(found)} claims that people make about Django, WSGI and ASGI: {ledger.counts_text(found)}."


PARTS: dict[str, Callable[[], str]] = {
    part.__name__: part
    for part in (
        *(first_table, caption, findings, claims_counted, claims_shown, claims),
        *(runs, machine, rooms, places, checklist, faults, labs, servers, workloads, experiments),
    )
}


def rendered(text: str) -> str:
    """The text with all its generated parts made anew."""

    def fill(match: re.Match[str]) -> str:
        part = PARTS.get(match["name"])
        if part is None:
            raise LabError(f"A README asks for the generated part {match['name']!r}, which bench/cli/readme.py lacks.")
        return f"{match[1]}{part()}\n{match[4]}"

    return PART.sub(fill, text)


class Picture(NamedTuple):
    """An SVG in `results/reference`: of what it is drawn, as a digest, and how."""

    source: Callable[[], str]
    drawn: Callable[[], str]


def _throughput() -> str:
    from bench.show.figures.throughput import throughput_vs_users

    return throughput_vs_users(reference(str(SHOWN["experiment"])), str(SHOWN["request"])).svg()


def _poster() -> str:
    from bench.show.trace_svg import picture

    return picture(reference_traces.load_trace("poster")).svg()


def _held() -> str:
    from bench.show.figures.connections import held

    run = reference("held")
    return held(run, run.plan.requests[0]).svg()


def _waves() -> str:
    from bench.show.figures.database import waves

    run = reference("connections")
    return waves(run, run.plan.requests[0], 100).svg()


PICTURES = {
    "throughput.svg": Picture(lambda: reference(str(SHOWN["experiment"])).sha256, _throughput),
    "held.svg": Picture(lambda: reference("held").sha256, _held),
    "waves.svg": Picture(lambda: reference("connections").sha256, _waves),
    "hops.svg": Picture(lambda: hashlib.sha256(reference_traces.FILE.read_bytes()).hexdigest(), _poster),
}


def _signed(picture: Picture) -> str:
    return f"{_mark(picture.source())}\n{picture.drawn()}"


def _mark(source: str) -> str:
    return f"<!-- drawn from {source} -->"


def is_fresh(name: str) -> bool:
    """True where the picture was drawn from what is there now."""
    path = run_store.REFERENCE / name
    return path.exists() and _mark(PICTURES[name].source()) in path.read_text()[:200]


def is_page_fresh(name: str) -> bool:
    """True where the page of a run and its figures are those of the run that is there now."""
    run, folder = reference(name), run_store.REFERENCE / name
    figures = run_page.figures_of(run)
    files = {f"{one.slug}.svg" for one in figures}
    drawn = {path.name: _mark(run.sha256) in path.read_text()[:200] for path in folder.glob("*.svg")}
    page = folder / "README.md"
    return (
        files == drawn.keys()
        and all(drawn.values())
        and page.exists()
        and page.read_text() == run_page.to_readme(run, figures)
    )


def write_page(name: str) -> None:
    """Write the page of a run with its figures."""
    run, folder = reference(name), run_store.REFERENCE / name
    figures = run_page.figures_of(run)
    for path in folder.glob("*.svg"):
        path.unlink()
    for one in figures:
        svg = f"{_mark(run.sha256)}\n{one.figure.svg(prefix=one.slug + '-')}"
        files.write_atomically(folder / f"{one.slug}.svg", svg.encode())
    files.write_atomically(folder / "README.md", run_page.to_readme(run, figures).encode())


def stale() -> list[str]:
    """The files that do not say what the results say."""
    files = [name for name in FILES if rendered((ROOT / name).read_text()) != (ROOT / name).read_text()]
    pictures = [f"results/reference/{name}" for name in PICTURES if not is_fresh(name)]
    return [
        *files,
        *pictures,
        *(f"results/reference/{name}" for name in experiment.experiment_names() if not is_page_fresh(name)),
    ]


def render_all() -> None:
    """Write the pictures, the pages of the runs, and all generated parts."""
    for name in experiment.experiment_names():
        write_page(name)
    for name, picture in PICTURES.items():
        files.write_atomically(run_store.REFERENCE / name, _signed(picture).encode())
    for path in (ROOT / name for name in FILES):
        files.write_atomically(path, rendered(path.read_text()).encode())


def main(argv: Sequence[str] | None = None) -> int:
    """Render everything, or with `--check` only look. Raises LabError if something is stale."""
    parser: argparse.ArgumentParser = Parser(prog="scripts/readme", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where something is stale")
    if not parser.parse_args(argv).check:
        render_all()
    old = stale()
    if old:
        raise LabError(f"Stale: {', '.join(old)}; run ./scripts/readme.")
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(guarded(main))
