"""`scripts/readme`: renders every table and every sentence with a number in the READMEs from `results/reference`.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; NAME is a function of `PARTS`. The test
suite renders them all again and fails if a file says something else.
"""

import hashlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from bench.analyse.findings import findings_of, ratio_of
from bench.analyse.rows import Row, rows_of
from bench.analyse.stack_choice import HELD_AT_ONCE
from bench.analyse.stats import describe_ratio
from bench.base.console import run_program
from bench.base.errors import ExitCode, LabError
from bench.base.files import ROOT, write_atomically
from bench.base.options import Parser
from bench.claims import claim_page, claim_table, ledger
from bench.claims.conformance import kept, tables
from bench.claims.evidence import ReferenceMaterial
from bench.claims.exhibits import detectors as compared
from bench.claims.judging import JudgedClaim
from bench.cli.checklist import BENCH, CHECKLIST, path_of_tests
from bench.cli.faults import FAULTS
from bench.cli.places import PLACES
from bench.learn import build_notebooks
from bench.learn.room import cost
from bench.measure.calibrate import WAIT, WAIT_USERS, load_calibration
from bench.model import run_store
from bench.model.experiment import Experiment, experiment_names, load_experiment
from bench.model.fronts import FRONTS
from bench.model.run_record import Run
from bench.model.servers import SERVERS
from bench.model.stacks import LABS, split_name
from bench.model.workloads import BOUNDS, WORKLOADS
from bench.show import run_page, trace_svg
from bench.show.tables.formatting import AT_LEAST, HOLLOW, milliseconds, percent, requests_per_s, span, whole
from bench.trace import reference_traces

FILES = [
    ROOT / name
    for name in (
        *("README.md", "bench/README.md", "bench/trace/inside/README.md", "labs/CATALOGUE.md", ".github/CHANGELOG.md"),
        *(f"results/reference/{name}.md" for name in ("README", "claims/README", "conformance", "room/README")),
        *("notebooks/README.md", "notebooks/TEACHING.md"),
    )
]
SHOWN_EXPERIMENT, SHOWN_REQUEST, SHOWN_USERS = "io_wait", "wait?ms=100", 400
SHOWN_CLAIMS = ("A1", "N3", "F3", "G6", "B1", "P7")
ANSWER_COLUMNS = ("question", "answer", "what was seen", "who says so")
CLAIM_COLUMNS = ("id", "claim", "finding", "what was measured here")
HOPS = "hops.svg"
CLAIM_PAGES, CLAIM_PAGE = ROOT / claim_page.FOLDER, "[A-Z]*[0-9].md"
PART = re.compile(r"(<!-- generated: (?P<name>\w+) -->\n)(?P<text>.*?)(<!-- end -->)", re.DOTALL)


load_once = cache(run_store.load_run)


def reference(name: str) -> Run:
    """Read the committed run of an experiment."""
    return load_once(run_store.REFERENCE / name)


@cache
def judged() -> tuple[list[JudgedClaim], ReferenceMaterial]:
    """All claims with their findings, and what they were judged by."""
    material = ReferenceMaterial()
    return ledger.judge_all(material), material


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def shown_rows() -> list[Row]:
    """The rows of `first_table`: one request and number of users, all stacks."""
    return [
        row for row in rows_of(reference(SHOWN_EXPERIMENT)) if (row.request, row.users) == (SHOWN_REQUEST, SHOWN_USERS)
    ]


def plain_name(stack: str) -> str:
    """A stack in words, such as `8 threads, WSGI` or `async views, ASGI`."""
    name = split_name(stack)
    lab = LABS[name.lab]
    budget = f"{name.threads} thread{'' if name.threads == 1 else 's'}" if name.threads else f"{lab.views} views"
    return f"{budget}, {lab.interface.upper()}"


def answer() -> str:
    """What the reference runs say to the lab's question, and the answer in one sentence."""
    at = {row.stack: row for row in shown_rows()}
    loop, wide, narrow = (at[name] for name in ("async_asgi@uvicorn", "sync_wsgi@gthread:400", "sync_wsgi@gthread:8"))
    more, less = (ratio_of(*pair, "throughput_per_s") for pair in ((wide, loop), (loop, narrow)))
    held = {
        row.stack: whole(row.median("held.served"))
        for row in rows_of(reference("held"))
        if row.trial.connections == HELD_AT_ONCE
    }
    return (
        f"With {SHOWN_USERS} users, {SHOWN_USERS} threads behind WSGI answered {describe_ratio(more)} what async views "
        f"behind ASGI answered, and async views answered {describe_ratio(less)} what 8 threads did. "
        f"Of {HELD_AT_ONCE:,} open streams, 64 threads served {held['sync_wsgi@gthread:64']}, and an event loop "
        f"{held['async_asgi@uvicorn']}.\n\n"
        "**In short: ASGI does not make a view that waits faster; it removes the bound that a pool of threads sets on "
        "requests and open connections at a time.**"
    )


def first_table() -> str:
    """Throughput, share of the limit, median latency, threads and CPU of each stack, at one number of users."""
    rows = [
        [
            plain_name(row.stack),
            f"`{row.stack}`",
            f"{requests_per_s(row)} ({span(row.throughput_interval)})",
            percent(row.median("fraction_of_limit")),
            f"{milliseconds(row, 'p50')} ms",
            whole(row.median("server.threads_max")),
            f"{whole(row.median('cpu_us_per_request'))} µs",
        ]
        for row in shown_rows()
    ]
    return table(["what serves", "stack", "requests/s", "of the limit", "p50", "threads", "CPU per request"], rows)


def caption() -> str:
    """How `first_table` was measured, and what its signs mean."""
    run = reference(SHOWN_EXPERIMENT)
    packages, servers = run.environment["packages"], [SERVERS[split_name(row.stack).server] for row in shown_rows()]
    versions = [f"{name} {packages[name]}" for name in dict.fromkeys(it.packages[0] for it in servers)]
    return (
        f"{SHOWN_USERS} users at once, each view waits 100 ms (`{SHOWN_REQUEST}`), server on one core, "
        f"load on another; medians over {run.plan.repeats} server restarts with 95 % intervals. "
        f"Django {packages['django']}, {run.environment['python']}, {', '.join(versions)}; {run.started_at[:10]}. "
        f"{AT_LEAST}: a lower bound, because users waited longer than the measurement lasted. {HOLLOW}: a number with "
        f"a reservation. {' '.join(_reservation(row) for row in shown_rows() if row.is_hollow)} The "
        f"[page of the run](results/reference/{run.experiment}/README.md) has them all."
    )


def _reservation(row: Row) -> str:
    """The first reservation of a row, in the words of its verdict, as far as its colon, and in how many restarts."""
    said, _, restarts = row.why.partition(";")[0].rpartition(" (")
    return f"*{plain_name(row.stack)}*: {said.partition(':')[0].rstrip('.')} ({restarts.rstrip('.')}."


def findings() -> str:
    """The finding of each claim of each experiment, from the reference runs."""
    rows = [
        [f"`{name}`", finding.claim.says, f"**{finding.value}**", finding.text]
        for name in experiment_names(drafts=False)
        for finding in findings_of(reference(name))
    ]
    return table(["experiment", "claim", "finding", "ratio (95 % interval)"], rows)


def runs() -> str:
    """The committed runs and how they were made."""
    rows = [
        [
            f"[`{run.experiment}`]({run.experiment}/README.md)",
            run.question,
            run.started_at[:10],
            f"{sum(trial.is_measured for trial in run.trials)} of {run.plan.trials}",
            str(run.plan.repeats),
            f"{run.plan.warmup_s:g} + {run.plan.duration_s:g} s",
            f"{run.took_s / 60:.0f} min",
            f"Django {run.environment['packages']['django']}, {run.environment['python']}",
        ]
        for run in map(reference, experiment_names(drafts=False))
    ]
    headings = ["run", "question", "made", "trials measured", "restarts", "warm-up + window", "took", "with"]
    return table(headings, rows)


def changelog() -> str:
    """The reference runs by the day on which they were made, newest first."""
    made: dict[str, list[str]] = {}
    for run in map(reference, experiment_names(drafts=False)):
        made.setdefault(f"{run.started_at[:10]}, Django {run.environment['packages']['django']}", []).append(
            run.experiment
        )
    return "\n".join(
        f"- {when}: " + ", ".join(f"[`{name}`](../results/reference/{name}/README.md)" for name in names)
        for when, names in sorted(made.items(), reverse=True)
    )


def machine() -> str:
    """The machine of the reference runs, and what the load generator can do there."""
    seen, found = reference(SHOWN_EXPERIMENT).environment, load_calibration()
    return (
        f"Machine: {seen['cores']} cores ({seen['cpu']}), {seen['memory_bytes'] / 2**30:.0f} GiB, {seen['system']}; "
        f"server and load {'shared a core' if seen['cores_shared'] else 'had a core each'}. "
        f"Against the bare ASGI callable Locust sustained {found.peak_per_s:,.0f} requests/s with recording on; with "
        f"{WAIT_USERS} users on `{WAIT}` its rate was {found.throughput_ratio:.3f} times wrk's and its median "
        f"{found.p50_ratio:.3f} times. {_wrk_peak()}"
        f"At a scheduled rate of {found.open_rate_per_s:,.0f} requests/s the open loop sent 99 of 100 requests within "
        f"{found.open_lateness_p99_us / 1000:.1f} ms of their time (median of "
        f"{found.repeats} restarts)."
    )


def _wrk_peak() -> str:
    """What wrk can do there; empty for a calibration that did not measure it."""
    peak = load_calibration().wrk_peak
    if peak is None:
        return ""
    return (
        f"wrk sustained {peak.throughput_per_s:,.0f} requests/s with {percent(peak.cpu_share)} of its core, which is "
        f"{peak.per_busy_core_s:,.0f} for each core that it keeps busy. "
    )


def checklist() -> str:
    """What makes a number honest, with the code and the tests of each item."""
    rows = [
        [
            *(str(item.number), item.name, item.requires),
            ", ".join(f"`{gate}`" for gate in item.gates) or "a test",
            ", ".join(map(_test_link, item.tests)),
        ]
        for item in CHECKLIST
    ]
    return table(["", "name", "requirement", "code", "tests"], rows)


def _test_link(test: str) -> str:
    file, _, name = test.partition("::")
    path = path_of_tests(file)
    return f"[{name}]({path.relative_to(BENCH) if path else file})"


def rooms() -> str:
    """The rooms of bench, lowest first, each with the first line of its own README."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [name for layer in reversed(layers) for name in layer.split(" | ")]
    titles = [(BENCH / name / "README.md").read_text().partition("\n")[0] for name in names]
    rows = [[f"[{name}]({name})", title.partition(": ")[2]] for name, title in zip(names, titles, strict=True)]
    return table(["room", "what it is for"], rows)


def places() -> str:
    """Where to look first."""
    rows = [[question, f"[`{place}`]({place.rpartition('.')[0].replace('.', '/')}.py)"] for question, place in PLACES]
    return table(["question", "place"], rows)


def faults() -> str:
    """What can go wrong, what the user reads then, and the test that makes it go wrong."""
    rows = [[fault.happens, fault.reads, _test_link(fault.test)] for fault in FAULTS]
    return table(["what happens", "what you read", "test"], rows)


def labs() -> str:
    """The labs."""
    rows = [[f"[`{lab.name}`]({lab.folder})", lab.views, lab.interface.upper(), lab.lesson] for lab in LABS.values()]
    return table(["lab", "views", "interface", "lesson"], rows)


def servers() -> str:
    """The servers and fronts, as they stand in a stack's name."""
    rows = [
        [
            f"`{server.name}{':T' if server.takes_threads else ''}`",
            ", ".join(server.interfaces).upper(),
            server.note + (f" (extra `{server.extra}`)" if server.extra else ""),
        ]
        for server in SERVERS.values()
    ]
    rows += [[f"`{front.name}/`", "in front of either", front.note] for front in FRONTS.values()]
    return table(["server", "interface", "what it is"], rows)


def workloads() -> str:
    """The workloads with the bounds of their parameters."""
    rows = [
        [
            f"`/{workload.name}`",
            workload.does,
            ", ".join(
                f"`{name}` {BOUNDS[name][0]:,} to {BOUNDS[name][1]:,} ({default})"
                for name, default in workload.defaults.items()
            )
            or "none",
        ]
        for workload in WORKLOADS.values()
    ]
    return table(["URL", "a request", "parameters (default)"], rows)


def experiments() -> str:
    """The experiments, their questions, and how many of their claims the reference run supports."""
    rows = [_experiment_line(name, load_experiment(name)) for name in experiment_names()]
    return table(["experiment", "question", "claims supported"], rows)


def _experiment_line(name: str, found: Experiment) -> list[str]:
    if not found.reference:
        return [f"`{name}`", found.question, "draft"]
    findings = findings_of(reference(name))
    supported = sum(finding.value == "supported" for finding in findings)
    return [f"[`{name}`](results/reference/{name}/README.md)", found.question, f"{supported} of {len(findings)}"]


def lessons() -> str:
    """The lessons, each with its title."""
    titles = {path: path.read_text().partition("\n# # ")[2].partition("\n")[0] for path in build_notebooks.sources()}
    return "\n".join(f"- {_lesson_link(path)}: {title}" for path, title in titles.items())


def lessons_not_planned() -> str:
    """The lessons that the plan of half a day leaves out, in a sentence."""
    plan = (build_notebooks.FOLDER / "TEACHING.md").read_text().partition("\n## Half a day\n")[2].partition("<!--")[0]
    left_out = [link for link in map(_lesson_link, build_notebooks.sources()) if link not in plan]
    return (
        f"For those who go on, not in this plan: {', '.join(left_out)}."
        if left_out
        else "Every lesson is in this plan."
    )


def _lesson_link(source: Path) -> str:
    return f"[{source.stem}]({source.stem}.ipynb)"


def claims() -> str:
    """Common claims and what was measured here, from the stored findings."""
    return table(CLAIM_COLUMNS, claim_table.to_rows(judged()[0], pages="."))


def claims_shown() -> str:
    """The claims to begin with."""
    found = {each.entry.id: each for each in judged()[0]}
    shown = [found[number] for number in SHOWN_CLAIMS]
    return table(CLAIM_COLUMNS, claim_table.to_rows(shown, pages=claim_page.FOLDER))


def claims_counted() -> str:
    """How many claims have which finding, in a sentence."""
    found, _ = judged()
    return f"Of {len(found)} claims that people make about Django, WSGI and ASGI: {ledger.counts_text(found)}."


def detectors() -> str:
    """What three detectors say of the calls that block an event loop."""
    return table(compared.headings(), compared.rows())


def room_cost() -> str:
    """What the room costs the servers that it watches, and how fast it draws."""
    return cost.load_cost().text


def conformance() -> str:
    """What each server keeps, from the kept answers: a question a line, a server and interface a column."""
    return table(*tables.overview_cells(kept.load_rows()))


def conformance_details() -> str:
    """A table for each server and interface, with what was seen."""
    return "\n\n".join(
        f"## {title}\n\n{table(ANSWER_COLUMNS, tables.detail_cells(rows))}"
        for title, rows in tables.servers_of(kept.load_rows())
    )


PARTS: dict[str, Callable[[], str]] = {
    part.__name__: part
    for part in (
        *(answer, first_table, caption, changelog, findings, claims_counted, claims_shown, claims),
        *(runs, machine, rooms, places, checklist, faults, labs, servers, workloads, experiments),
        *(lessons, lessons_not_planned, conformance, conformance_details, detectors, room_cost),
    )
}


def rendered(text: str) -> str:
    """The text with all its generated parts rendered again. LabError for the name of a part that does not exist."""

    def fill(match: re.Match[str]) -> str:
        part = PARTS.get(match["name"])
        if part is None:
            raise LabError(f"A README names the generated part {match['name']!r}, which bench/cli/readme.py lacks.")
        return f"{match[1]}{part()}\n{match[4]}"

    return PART.sub(fill, text)


def _mark(source: str) -> str:
    """The first line of a picture, by which we know what it was drawn from without drawing it again."""
    return f"<!-- drawn from {source} -->\n"


def _source_of_hops() -> str:
    return hashlib.sha256(reference_traces.FILE.read_bytes()).hexdigest()


def is_hops_fresh() -> bool:
    """True if the picture of the hops was drawn from the present traces."""
    path = run_store.REFERENCE / HOPS
    return path.exists() and path.read_text().startswith(_mark(_source_of_hops()))


def write_hops() -> None:
    """Draw the picture of the hops."""
    svg = _mark(_source_of_hops()) + trace_svg.picture(reference_traces.load_trace("poster")).svg()
    write_atomically(run_store.REFERENCE / HOPS, svg.encode())


def is_page_fresh(name: str) -> bool:
    """True if the page of a run and its figures belong to the present run."""
    run, folder = reference(name), run_store.REFERENCE / name
    figures, page = run_page.figures_of(run), folder / "README.md"
    fresh = {path.stem: path.read_text().startswith(_mark(run.sha256)) for path in folder.glob("*.svg")}
    is_same = page.exists() and page.read_text() == run_page.to_readme(run, figures)
    return is_same and fresh == {one.slug: True for one in figures}


def write_page(name: str) -> None:
    """Write the page of a run with its figures."""
    run, folder = reference(name), run_store.REFERENCE / name
    figures = run_page.figures_of(run)
    for path in folder.glob("*.svg"):
        path.unlink()
    for one in figures:
        svg = _mark(run.sha256) + one.figure.svg()
        write_atomically(folder / f"{one.slug}.svg", svg.encode())
    write_atomically(folder / "README.md", run_page.to_readme(run, figures).encode())


def claim_pages() -> dict[Path, str]:
    """The page of each claim, by its path."""
    found, material = judged()
    return {CLAIM_PAGES / f"{each.entry.id}.md": claim_page.to_page(each, material) for each in found}


def write_claim_pages() -> None:
    """Write the page of each claim; remove those of claims that are no more."""
    CLAIM_PAGES.mkdir(exist_ok=True)
    pages = claim_pages()
    for path in set(CLAIM_PAGES.glob(CLAIM_PAGE)) - pages.keys():
        path.unlink()
    for path, text in pages.items():
        write_atomically(path, text.encode())


def stale_claim_pages() -> list[str]:
    """The pages of claims that do not say what was measured, are not there, or whose claim is no more."""
    pages, there = claim_pages(), set(CLAIM_PAGES.glob(CLAIM_PAGE))
    old = [path for path, text in pages.items() if path not in there or path.read_text() != text]
    return [f"{claim_page.FOLDER}/{path.name}" for path in (*old, *sorted(there - pages.keys()))]


def stale() -> list[str]:
    """The files that do not say what the results say."""
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in FILES}
    return [
        *(name for name, text in texts.items() if rendered(text) != text),
        *([] if is_hops_fresh() else [f"results/reference/{HOPS}"]),
        *(f"results/reference/{name}" for name in experiment_names(drafts=False) if not is_page_fresh(name)),
        *stale_claim_pages(),
    ]


def render_all() -> None:
    """Write the pages of the runs and of the claims, the picture of the hops, and all generated parts."""
    write_claim_pages()
    for name in experiment_names(drafts=False):
        write_page(name)
    write_hops()
    for path in FILES:
        write_atomically(path, rendered(path.read_text()).encode())


def main(argv: Sequence[str] | None = None) -> int:
    """Render everything, or with `--check` only compare. LabError if something is stale."""
    parser = Parser(prog="scripts/readme", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is stale")
    if not parser.parse_args(argv).check:
        render_all()
    if old := stale():
        raise LabError(f"Stale: {', '.join(old)}; run ./scripts/readme.")
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(run_program(main))
