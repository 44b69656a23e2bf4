"""The lessons run through, say what their committed notebooks say, and take the reader's own run."""

import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jupytext
import nbformat
import pytest

from bench.base import files
from bench.base.errors import LabError, UsageError
from bench.base.files import ROOT
from bench.claims.exhibits import traps
from bench.learn import build_notebooks, lessons, live_cell
from bench.model import experiment, run_store
from bench.model.run_record import Run
from bench.model.trial_matrix import Overrides
from bench.model.trial_record import Trial
from labs.exercises.project.names import EXERCISES

SOURCES = build_notebooks.sources()
GRAMMAR = (
    *("Question", "Predict", "Run", "See", "Explain", "What people say"),
    *("What this cannot tell", "Exercise", "Check", "Live", "In practice"),
)
PICTURES_WITHIN_S, LIVE_WITHIN_S = 10, 60
ONCE = ("--repeats", "1")
SMALL = {
    "first_look": ("--stack", "sync_wsgi@gthread:8,async_asgi@uvicorn", "--users", "10", "--duration", "0.5"),
    "freeze": ("--duration", "1"),
    "io_wait": ("--stack", "sync_wsgi@gthread:8,async_asgi@uvicorn", "--users", "10", "--duration", "0.5"),
    "middleware_ladder": ("--stack", "async_asgi@uvicorn", "--users", "2", "--duration", "0.5"),
    "orm_cost": (
        *("--stack", "async_asgi+pool_16@uvicorn", "--workload", "rows?n=20"),
        *("--users", "2", "--duration", "0.5"),
    ),
    "held": ("--stack", "sync_wsgi@gthread:8", "--connections", "10"),
    "fan_out": ("--stack", "async_asgi@uvicorn", "--users", "2", "--duration", "0.5"),
}
"""The smallest run of each experiment that a lesson shows: most of what the lesson compares is not in it."""
MEASURED = ("io_wait",)
"""Here and now; for the others a few trials of the reference run stand, which hold the same."""
SHOWN = {source: shown[1] for source in SOURCES if (shown := re.search(r'run_to_show\("(\w+)"', source.read_text()))}
lesson = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


class Executed(NamedTuple):
    """A lesson run from top to bottom in a kernel of its own, `again` with another run to show, and its CPU time."""

    notebook: Any
    again: Any
    cpu_s: float


def executed(source: Path, run: Path | None) -> Executed:
    """Both times in one kernel, because starting it and its imports take longer than a lesson."""
    twice = jupytext.read(source)
    count = len(twice.cells)
    begin = f"%reset -f\nimport os; os.environ[{lessons.RESULTS_VARIABLE!r}] = {str(run)!r}"
    if run:
        twice.cells += [nbformat.v4.new_code_cell(begin), *jupytext.read(source).cells]
    before_s = cpu_of_children_s()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jupytext, "read", lambda path: twice)
        cells = build_notebooks.execute_source(source).cells
    once, again = (nbformat.from_dict({**twice, "cells": part}) for part in (cells[:count], cells[count + 1 :]))
    return Executed(once, again, cpu_of_children_s() - before_s)


def cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def committed(source: Path) -> Any:
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def texts_of(notebook: Any) -> str:
    return "\n".join(text for _, outputs in build_notebooks.text_of(notebook) for text in outputs)


def pictures_of(cell: Any) -> list[str]:
    return [output.data["image/png"] for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]


def test_there_are_lessons() -> None:
    assert SOURCES


@lesson
def test_a_lesson_follows_the_grammar(source: Path) -> None:
    text = source.read_text()
    places = [text.index(part) for part in ("**Question.**", *(f"# ## {part}\n" for part in GRAMMAR[1:]))]
    assert places == sorted(places)


@lesson
def test_code_cells_are_short(source: Path) -> None:
    notebook = committed(source)
    assert [cell.id for cell in notebook.cells if cell.cell_type == "code" and cell.source.count("\n") >= 15] == []


@lesson
def test_a_notebook_has_pictures_and_tells_no_time_path_or_patch_version(source: Path) -> None:
    made = source.with_suffix(".ipynb").read_text()
    assert "image/png" in made
    assert str(files.ROOT) not in made
    assert '"version"' not in made
    assert '"execution"' not in made


def test_each_exercise_belongs_to_a_lesson_that_names_its_check() -> None:
    named = [name for source in SOURCES for name in re.findall(r"`lab check (\w+)`", source.read_text())]
    assert sorted(named) == sorted(EXERCISES)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small run of an experiment, made here when it is first asked for."""
    folder = tmp_path_factory.mktemp("small")

    @cache
    def made(name: str) -> Path:
        if name not in MEASURED:
            return run_store.save_run(few_trials_of(lessons.reference(name), SMALL.get(name, ())), folder / name).parent
        command = [sys.executable, "-m", "bench", "run", name, *SMALL[name], *ONCE, "--out", str(folder / name)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
        assert (folder / name / "run.json").exists(), done.stderr
        return folder / name

    return made


def few_trials_of(run: Run, asked: tuple[str, ...]) -> Run:
    """The last restart of the stacks that are asked for, under the least load of either loop."""
    options = dict(zip(asked[::2], asked[1::2], strict=True))
    stacks = options["--stack"].split(",") if "--stack" in options else {trial.stack for trial in run.trials}
    least: dict[tuple[Any, ...], Trial] = {}
    for trial in sorted(run.trials, key=lambda trial: (-trial.repeat, trial.users or 0)):
        if trial.stack in stacks:
            least.setdefault((trial.stack, trial.is_open, trial.workload, *trial.middleware), trial)
    assert 0 < len(least) < len(run.trials)
    return replace(run, started_at="2001-01-01T00:00:00+00:00", trials=list(least.values()))


@lesson
@pytest.mark.timeout(180)
def test_a_lesson_runs_through_as_it_is_committed_and_shows_another_run_however_small(
    source: Path, small_run: Callable[[str], Path]
) -> None:
    found = executed(source, small_run(SHOWN[source]) if source in SHOWN else None)
    assert build_notebooks.is_fresh(source, lambda source: found.notebook)
    assert found.cpu_s < PICTURES_WITHIN_S  # to its pictures; of CPU, which other load on the machine hardly touches
    assert_takes_a_minute_at_most(texts_of(found.notebook))
    if source in SHOWN:
        assert_shows_another_run(source, found.again)


def test_a_notebook_that_says_something_else_or_is_not_there_is_stale(tmp_path: Path) -> None:
    source = Path(shutil.copy(SOURCES[0], tmp_path))
    assert not build_notebooks.is_fresh(source, committed)
    shutil.copy(SOURCES[0].with_suffix(".ipynb"), tmp_path)
    assert build_notebooks.is_fresh(source, committed)
    changed = committed(source)
    changed.cells[-1].source += "!"
    assert not build_notebooks.is_fresh(source, lambda source: changed)


def assert_takes_a_minute_at_most(said: str) -> None:
    """The live cell, as it says itself."""
    (takes,) = re.findall(r"on your machine, in about (\d+ s|half a minute)", said)
    assert takes == "half a minute" or int(takes.removesuffix(" s")) <= LIVE_WITHIN_S


def assert_shows_another_run(source: Path, mine: Any) -> None:
    """Not one picture of the run is that of the committed notebook."""
    kept = committed(source)
    (name,) = re.findall(r"(\w+)(?:, \w+)* = .*run_to_show", source.read_text())
    of_run = [pair for pair in zip(mine.cells, kept.cells, strict=True) if re.search(rf"\b{name}\b", pair[0].source)]
    drawn = [(pictures_of(one), pictures_of(other)) for one, other in of_run if pictures_of(other)]
    assert drawn, "no picture of the run"
    assert all(one != other for one, other in drawn)
    assert texts_of(mine) != texts_of(kept)


def test_a_lesson_can_show_the_reader_s_own_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = replace(run_store.load_run(run_store.REFERENCE / "io_wait"), started_at="2001-01-01T00:00:00+00:00")
    run_store.save_run(mine, tmp_path)
    monkeypatch.setenv(lessons.RESULTS_VARIABLE, str(tmp_path))
    assert lessons.run_to_show("io_wait").started_at.startswith("2001")
    assert lessons.describe_run(mine).startswith("Your run of `io_wait`: 2001-01-01")


def test_a_run_of_another_experiment_lets_a_lesson_show_the_newest_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_store, "LOCAL", tmp_path)
    monkeypatch.setenv(lessons.RESULTS_VARIABLE, str(run_store.REFERENCE / "first_look"))
    assert lessons.run_to_show("io_wait") is lessons.reference("io_wait")
    said = lessons.describe_run(lessons.run_to_show("io_wait"))
    assert said.startswith("The reference run of `io_wait`")
    assert said.endswith("There is no run of yours of this experiment: `lab run io_wait --profile standard` makes one.")
    for year in ("2001", "2003", "2002"):
        mine = replace(lessons.reference("io_wait"), started_at=f"{year}-01-01T00:00:00+00:00")
        run_store.save_run(mine, tmp_path / f"io_wait-{year}0101-000000")
    run_store.save_run(lessons.reference("freeze"), tmp_path / "io_wait-of-another-name")
    shown = lessons.run_to_show("io_wait")
    assert lessons.describe_run(shown).startswith("Your run of `io_wait`: 2003-01-01")


def test_before_any_run_of_ones_own_latest_is_the_reference_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_store, "LOCAL", tmp_path)
    for latest in ("latest", "results/local/latest"):
        monkeypatch.setenv(lessons.RESULTS_VARIABLE, latest)
        assert lessons.run_to_show("io_wait") is lessons.reference("io_wait")
    run_store.save_run(replace(lessons.reference("io_wait"), started_at="2001-01-01"), tmp_path / "latest")
    monkeypatch.setenv(lessons.RESULTS_VARIABLE, "latest")
    assert lessons.run_to_show("io_wait").started_at == "2001-01-01"


def test_the_blocking_call_to_predict_is_the_one_that_was_measured() -> None:
    (said_s,) = re.findall(r"whose author wrote `time\.sleep\(([\d.]+)\)`", SOURCES[3].read_text())
    measured = traps.load()["blocking_in_async_view"]["asgi"]["trap"].values
    assert 1000 * float(said_s) == measured["blocked_ms"]


ANSWERS: dict[str, dict[str, str]] = {
    # 8 threads answer 8 / 0.1 s; of 100 users each is answered after 100 of those. Threads: answers a second x 0.1 s.
    "00_start_here": {
        "my_prediction_8_threads_ms": "100 / (8 / 0.1) * 1000",
        "my_threads": "loop.median('throughput_per_s') * 0.1",
    },
    # Waits are even from 0 to the freeze, for rate x freeze of rate x window requests; see the lesson's arithmetic.
    "01_measuring": {
        "my_prediction_open_ms": "1000 * freeze_s * (1 - 0.01 * window_s / freeze_s)",
        "my_freeze_s": "window_s - 100 * users / rate",
    },
    "02_io_wait": {
        "my_prediction_400_threads": "50 / 0.1",
        "my_factors": """{
            stack: min(200 / (0.01 + after), W / (0.01 + after), 1 / after)
            / min(200 / (0.1 + before), W / (0.1 + before), 1 / before)
            for stack, W in (("sync_wsgi@gthread:8", 8), ("sync_wsgi@gthread:400", 400), ("async_asgi@uvicorn", 1e9))
            for before, after in [[round(row.median("cpu_us_per_request")) / 1e6 for row in before_and_after[stack]]]
        }""",
    },
    "03_sync_inside": {"my_prediction_threads": "100", "my_prediction_ms": "10 * 250", "my_most": "1 / 0.02"},
    "04_hops": {"my_prediction_hops": "15", "my_prediction_threads": "2", "my_hops": "2 + 2 + 2 + 3 + 1"},
    "05_orm": {
        "my_prediction_hops": "2 + 4",
        "my_prediction_ms": "5 * 20",
        "my_prediction_first": "40 + 1",
        "my_connections": "50 * 0.8",
    },
    "06_held_connections": {
        "my_prediction_threads": "1000",
        "my_prediction_served": "8",
        "my_answer": "1000 - 2 * 64",
    },
    "07_traps": {"my_prediction_ms": "5 * 100"},
    "08_within_a_request": {
        "my_prediction_ms": "100",
        "my_prediction_threads": "8 * 6",
        "my_factors": "{8: 500 / 100, 1: 500 / 100}",
    },
    "09_choosing": {"my_lab": "'sync_asgi'"},
    # W / L for 128 threads and for four times 8.
    "10_servers": {"my_factor": "(128 / 0.1) / (4 * 8 / 0.1)"},
    "11_without_the_gil": {"my_factor": "2 / 1"},
    "12_your_project": {
        "my_prediction_per_s": "4 / 0.25",
        "my_threads": "median_of(arm_of(switch, 'asgi')['per_s']) * 0.25",
    },
    "13_around_django": {"my_prediction_ninja": "2", "my_prediction_drf": "2 + 1 + 1", "my_hops": "15 + 2 - 2"},
}
"""What a reader can work out from what each lesson says, for each of its questions that arithmetic answers."""
NEAR = 0.25
"""So far from the measured number may a prediction by arithmetic be: it leaves out what a server adds."""
DRAWING = "|".join(path.stem for path in (ROOT / "bench/show/figures").glob("[a-z]*.py"))
DRAWS = re.compile(rf"(display\()?(({DRAWING})\.|picture\()")


def said_to(source: Path, answers: dict[str, str]) -> list[str]:
    """What a lesson says to these answers, here and without its pictures."""
    said: list[str] = []
    names: dict[str, Any] = {"print": lambda *words: said.append(" ".join(map(str, words)))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", lambda shown: said.append(str(getattr(shown, "data", shown))))
        for cell in jupytext.read(source).cells:
            if cell.cell_type == "code" and not DRAWS.match(cell.source):
                exec(compile(answered(cell.source, answers), source.name, "exec"), names)
    return said


def answered(cell: str, answers: dict[str, str]) -> str:
    """The cell with the reader's answers in the place of None, or of a dictionary of them."""
    for name, answer in answers.items():
        cell = re.sub(rf"^{name} = (None|{{[^}}]*}})$", f"{name} = {answer}", cell, flags=re.MULTILINE)
    return cell


@lesson
def test_what_arithmetic_answers_is_right_and_near_what_was_measured(source: Path) -> None:
    answers = ANSWERS[source.stem]
    said = said_to(source, answers)
    factors = [float(factor) for line in said for factor in re.findall(r"Yours is ([\d.]+) times that", line)]
    assert factors == pytest.approx([1.0] * len(factors), rel=NEAR)
    assert len(factors) == sum(name.startswith("my_prediction") for name in answers)
    checks = [line for line in said if re.match(r"(\S+: |\d users?: )?(Right|Not yet|No answer)", line)]
    assert all("Right: " in line for line in checks)
    assert bool(checks) == any(not name.startswith("my_prediction") for name in answers)


def test_the_first_table_of_the_readme_does_not_have_what_lessons_ask_for() -> None:
    table = (ROOT / "README.md").read_text().split("<!-- generated: first_table -->")[1].partition("<!-- end -->")[0]
    shown = set(re.findall(r"[\d,.]*\d", table))
    for stem in ("00_start_here", "02_io_wait", "09_choosing"):
        source = build_notebooks.FOLDER / f"{stem}.py"
        asked = dict.fromkeys(re.findall(r"^(my_prediction\w+) = None$", source.read_text(), re.MULTILINE), "1")
        measured = re.findall(r"measured: ([\d,]+) ", "\n".join(said_to(source, asked)))
        assert len(measured) == len(asked)
        assert not shown & set(measured)


def test_a_path_from_the_top_of_the_project_is_found_from_the_folder_of_the_notebooks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(build_notebooks.FOLDER)
    monkeypatch.setenv(lessons.RESULTS_VARIABLE, "results/reference/io_wait")
    assert lessons.run_to_show("io_wait").experiment == "io_wait"


def nowhere(folder: Path) -> Path:
    return folder / "none"


def damaged(folder: Path) -> Path:
    shutil.copytree(run_store.REFERENCE / "io_wait", folder / "damaged")
    kept = folder / "damaged" / "run.json"
    kept.write_bytes(kept.read_bytes()[:1000])
    return kept.parent


@pytest.mark.parametrize(
    ("fault", "says"),
    [(nowhere, "There is no run"), (damaged, "damaged")],
)
def test_a_run_that_cannot_be_shown_is_one_sentence(
    fault: Callable[[Path], Path], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(lessons.RESULTS_VARIABLE, str(fault(tmp_path)))
    with pytest.raises(LabError, match=says) as stopped:
        lessons.run_to_show("io_wait")
    assert "\n" not in str(stopped.value)


def test_a_run_that_cannot_be_shown_is_one_sentence_in_the_notebook(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(lessons.RESULTS_VARIABLE, str(nowhere(tmp_path)))
    with pytest.raises(LabError, match="does not run through") as stopped:
        build_notebooks.execute_source(build_notebooks.FOLDER / "02_io_wait.py")
    cell, shown = str(stopped.value.__cause__).split("------------------\n\n", 1)
    assert "run_to_show" in cell
    assert shown.strip().startswith("lab: ")
    assert "There is no run" in shown
    assert "\n" not in shown.strip()


def test_what_a_run_lacks_is_a_row_that_was_not_measured() -> None:
    run = lessons.reference("first_look")
    at = lessons.Rows(run)
    row = at["async_asgi@uvicorn", "wait?ms=100", 7]
    assert (row.verdict, row.users, row.io_wait_s, row.median("throughput_per_s")) == ("not-run", 7, 0.1, None)
    assert "Not measured in this run" in row.why
    assert at["async_asgi@uvicorn", "wait?ms=100", 100].measured
    assert at.crowd("wait?ms=100", 50) == 10
    assert at.crowd("wait?ms=1", 50) == 50


def test_a_run_without_both_loops_is_told_in_a_sentence() -> None:
    with pytest.raises(UsageError, match="lacks numbers of an open or of a closed loop"):
        lessons.both_loops(lessons.reference("first_look"))


def test_the_difference_of_one_view_is_shown_alone() -> None:
    shown = lessons.difference_in("wait", "sync_wsgi", "async_asgi")
    assert "-         time.sleep(ms / 1000)" in shown
    assert "+         await asyncio.sleep(ms / 1000)" in shown
    assert "fan_out" not in shown


def test_a_prediction_is_set_beside_the_measurement() -> None:
    assert "0.50 times" in lessons.compare(50, 100, "requests/s")
    assert lessons.compare(None, 100, "requests/s").startswith("No prediction yet")
    assert "100" not in lessons.compare(None, 100, "requests/s")
    assert lessons.compare(50, None, "requests/s").startswith("You said 50 requests/s; not measured in this run")
    assert lessons.compare(5, 0.0, "errors") == "You said 5 errors; measured: 0 errors."


def test_an_answer_is_told_only_to_those_who_have_found_it() -> None:
    assert lessons.check(None, 68.0, "threads").startswith("No answer yet")
    assert lessons.check(50, 68.0, "threads") == "Not yet: it is more than 50 threads."
    assert lessons.check(90, 68.0, "threads") == "Not yet: it is less than 90 threads."
    assert lessons.check(66, 68.0, "threads") == "Right: 68 threads."
    assert lessons.check(7, 7, within=0) == "Right: 7."
    assert "not measured" in lessons.check(66, None, "threads")


def test_a_table_sets_to_the_right_what_its_headings_say() -> None:
    table = lessons.table("stack | requests/s:", [("`one`", 1), ("`two`", 2)])
    assert table.splitlines() == ["| stack | requests/s |", "|:--|--:|", "| `one` | 1 |", "| `two` | 2 |"]


def test_findings_are_told_of_all_claims_or_of_those_about_something() -> None:
    run = lessons.reference("first_look")
    everything, some = lessons.findings(run), lessons.findings(run, "plateau")
    assert len(everything.splitlines()) == len(run.plan.claims)
    assert some in everything.splitlines()
    assert "nothing to say" in lessons.findings(replace(run, plan=replace(run.plan, claims=[])))


def test_nothing_is_measured_unless_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(live_cell.LIVE_VARIABLE, raising=False)
    assert live_cell.measure("io_wait") is None
    assert "lab notebooks --live" in capsys.readouterr().out


def test_a_live_run_is_expected_to_take_its_windows_and_as_long_around_them_as_the_reference_run_did() -> None:
    plan = experiment.profile_of(experiment.load_experiment("first_look"), "quick")

    def expected_s(**changes: Any) -> float:
        return live_cell.expected_s("first_look", "quick", Overrides(users=(10,), **changes))

    once = expected_s(repeats=1)
    twice = expected_s(repeats=2)
    longer = expected_s(repeats=1, duration_s=plan.duration_s + 1)
    assert once > 4 * (plan.warmup_s + plan.duration_s)
    assert longer == pytest.approx(once + 4)
    assert twice - once == pytest.approx(once - live_cell.STARTING_S)


@pytest.mark.live
def test_the_live_cell_measures_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(live_cell.LIVE_VARIABLE, "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a Jupyter kernel does
    changes: dict[str, Any] = {"stacks": ["async_asgi@uvicorn"], "users": [2], "repeats": 1, "duration_s": 0.5}
    run = live_cell.measure("io_wait", **changes, folder=tmp_path / "live")
    assert run
    assert {trial.stack for trial in run.trials} == {"async_asgi@uvicorn"}
    first, *_, last = [
        line for line in re.split(r"[\r\n]+", capsys.readouterr().out.strip()) if "█" in line or "░" in line
    ]
    assert first.startswith("░" * live_cell.BAR_COLUMNS)
    assert last.startswith("█" * live_cell.BAR_COLUMNS + " 1/1 async_asgi@uvicorn")


def test_a_live_cell_that_could_not_measure_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(live_cell.LIVE_VARIABLE, "1")
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="Nothing was measured: lab: "):
        live_cell.measure("io_wait", users=[2], folder=tmp_path / "file" / "live")


def test_a_misspelt_option_of_a_live_cell_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="did you mean uvicorn"):
        live_cell.measure("io_wait", stacks=["async_asgi@uvicron"])
