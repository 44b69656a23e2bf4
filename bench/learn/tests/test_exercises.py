"""The exercises: each fails as the course gives it and says why; each solution, and any other right way, passes.

"As the course gives it" is as it is in git's HEAD: whoever solves an exercise in a clone of theirs turns no test red.
Who changes one for all sees these tests change with the commit. Without git the files are asked as they are.
"""

import ast
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from bench.base.errors import ExitCode
from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.cli.main import main
from bench.learn.exercises import catalogue, checks, learner_code, visits
from bench.learn.exercises import plateau as plateau_check
from bench.learn.exercises import traps as traps_check
from bench.learn.exercises.checks import CALLS, CHECKS
from bench.learn.exercises.connections import MOST_CONNECTIONS, VISITORS
from bench.learn.exercises.traps import QUERIES, TRAPS
from bench.learn.exercises.visits import CALLERS, CheckResult, Subject
from bench.learn.tests.exercise_attempts import RIGHT, WRONG, Attempt
from bench.measure.database import database as databases
from bench.measure.database.database import Database
from bench.measure.tests.processes import assert_nothing_is_left, end, left_of, running
from labs.exercises.project.names import EXERCISES

pytestmark = pytest.mark.timeout(600)  # the fixture `checked` checks every attempt before the first test that needs one
FOLDERS = ("exercises", "solutions")
# What a solution may change beside its imports and its first lines.
MEANT = {
    "blocking_view": {"wait"},
    "middleware_hops": {"Took"},
    "overlapping_calls": {"calls", "calls_async"},
    "bounded_connections": {"DATABASES"},
    "plateau": {"plateau_per_s"},
    "stream": {"numbers"},
    "traps": set(TRAPS),
}
# What never ends is said in these words. It is waited for only briefly, and all else as long as a busy machine needs.
HANGS = {"still busy": (learner_code, "IMPORT_WITHIN_S", 1.0), "had no": (visits, "ANSWER_WITHIN_S", 4.0)}
PATIENCE_S = 30.0
Found = dict[str, dict[str, CheckResult]]
Made = TypeVar("Made")


@cache
def committed(path: str) -> str | None:
    """A file as it is in git's HEAD; None where there is no git, or no such file in it."""
    try:
        shown = subprocess.run(["git", "-C", ROOT, "show", f"HEAD:{path}"], capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        return None
    return shown.stdout if shown.returncode == 0 and (ROOT / ".git").exists() else None


def text_of(folder: str, name: str) -> str:
    """A solution as it is; an exercise as the course gives it, since what is in its place may be a learner's."""
    path = f"labs/{folder}/{name}.py"
    given = committed(path) if folder == "exercises" else None
    return (ROOT / path).read_text() if given is None else given


def once(made: Callable[[], Made]) -> Callable[[], Made]:
    """What is made at the first call is given to every other, in whichever thread."""
    lock, cached = Lock(), cache(made)

    def given() -> Made:
        with lock:
            return cached()

    return given


class Checks:
    """What the checks of many files see.

    Four at a time, of which one at most makes a database of its own, in which it counts connections.
    """

    def __init__(self, folder: Path, one: Executor, two: Executor) -> None:
        self.folder, self.one, self.two = folder, one, two
        self.seen: dict[str, Future[CheckResult]] = {}

    def begin(self, key: str, name: str, text: str) -> None:
        """In a folder of its own, which is a package."""
        place = self.folder / f"learner_{len(self.seen)}"
        place.mkdir()
        (place / f"{name}.py").write_text(text)
        subject = Subject(name, f"{place.name}.{name}", place / f"{name}.py")
        pool = self.one if name == "bounded_connections" else self.two
        self.seen[key] = pool.submit(catalogue.check_file, subject)

    def begin_attempts(self, attempts: Mapping[str, Attempt]) -> None:
        for key, attempt in attempts.items():
            folder, _, name = attempt.file.partition("/")
            self.begin(key, name, attempt.made_of(text_of(folder, name)))

    def __getitem__(self, key: str) -> CheckResult:
        return self.seen[key].result()


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, database: Database) -> Iterator[Checks]:
    """Every check of every file and of every attempt: first those of what never ends, with little patience.

    All have ended before the first test, so that none runs beside tests that want to be alone. One database serves all
    that fall into traps, and one measured window all that compute a plateau.
    """
    learner = tmp_path_factory.mktemp("learner")
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as one, ThreadPoolExecutor(3) as two:
        patch.setenv("PYTHONPATH", str(learner))
        for module, name in (
            (learner_code, "IMPORT_WITHIN_S"),
            (visits, "ANSWER_WITHIN_S"),
            (checks, "ANSWER_WITHIN_S"),
        ):
            patch.setattr(module, name, PATIENCE_S)
        patch.setattr(traps_check, "database", SimpleNamespace(serving_database=lambda: nullcontext(database)))
        patch.setattr(plateau_check, "measure_window", once(plateau_check.measure_window))
        found, left = Checks(learner, one, two), {**RIGHT, **WRONG}
        for said, (module, name, within_s) in HANGS.items():
            hanging = {key: left.pop(key) for key, attempt in WRONG.items() if said in attempt.said}
            with pytest.MonkeyPatch.context() as briefly:
                briefly.setattr(module, name, within_s)
                found.begin_attempts(hanging)
                wait(found.seen.values())
        for folder in FOLDERS:
            for name in EXERCISES:
                found.begin(f"{folder}/{name}", name, text_of(folder, name))
        found.begin_attempts(left)
        wait(found.seen.values())
        yield found


@pytest.fixture(scope="module")
def found(checked: Checks) -> Found:
    """Of the files that the course gives."""
    return {folder: {name: checked[f"{folder}/{name}"] for name in EXERCISES} for folder in FOLDERS}


def require_checked(seen: CheckResult) -> None:
    if seen.state == "skipped":
        pytest.skip(seen.seen)


def test_manifest_files_and_checks_agree() -> None:
    for folder in FOLDERS:
        files = {path.stem for path in (ROOT / "labs" / folder).glob("*.py")} - {"__init__"}
        assert {name for name in files if folder == "solutions" or committed(f"labs/{folder}/{name}.py")} <= set(
            EXERCISES
        )
        assert all(text_of(folder, name) for name in EXERCISES)
    assert list(CHECKS) == list(EXERCISES)


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_fails_as_it_stands_and_says_what_is_seen_and_what_to_look_at(found: Found, name: str) -> None:
    seen = found["exercises"][name]
    require_checked(seen)
    assert seen.state == "not yet"
    for sentence in (seen.seen, seen.look_at):
        assert sentence.endswith((".", "?"))
        assert "\n" not in sentence
    assert any(digit in seen.seen for digit in "0123456789")


@pytest.mark.parametrize("name", EXERCISES)
def test_a_solution_passes(found: Found, name: str) -> None:
    seen = found["solutions"][name]
    require_checked(seen)
    assert seen.state == "pass", seen


def numbers(found: Found, name: str, key: str) -> tuple[float, float]:
    """Before and after."""
    before, after = (found[folder][name] for folder in FOLDERS)
    require_checked(before)
    return before.numbers[key], after.numbers[key]


def test_what_is_counted_changes_as_the_exercise_asks(found: Found) -> None:
    assert numbers(found, "blocking_view", "inside_most") == (1, CALLERS)
    assert numbers(found, "middleware_hops", "hops_of_middleware") == (2, 0)
    assert numbers(found, "overlapping_calls", "sync_most") == (1, CALLS)
    assert numbers(found, "overlapping_calls", "async_most") == (1, CALLS)
    assert numbers(found, "traps", "cured") == (0, len(TRAPS))


def test_what_waits_in_line_takes_the_sum_of_its_waits(found: Found) -> None:
    assert numbers(found, "blocking_view", "crowd_ms")[0] >= 5 * 300
    assert min(numbers(found, "overlapping_calls", f"{side}_took_ms")[0] for side in ("sync", "async")) >= 5 * 200
    late_ms, soon_ms = numbers(found, "stream", "first_byte_ms")
    assert late_ms >= 4 * 100
    assert soon_ms < found["solutions"]["stream"].numbers["took_ms"]


def test_the_crowd_takes_more_connections_than_allowed_until_they_are_bounded(found: Found) -> None:
    before, after = numbers(found, "bounded_connections", "connections_most")
    assert MOST_CONNECTIONS < before <= VISITORS
    assert 1 <= after <= MOST_CONNECTIONS


def test_the_points_of_the_plateau_are_bounded_by_users_threads_and_cpu(found: Found) -> None:
    before, after = numbers(found, "plateau", "right")
    assert 0 < before < after == found["solutions"]["plateau"].numbers["trials"]


def units(text: str) -> dict[str, str]:
    """What a file defines, in its order; imports and first lines left out."""
    defined = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            defined[ast.unparse(node.targets[0])] = ast.dump(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined[node.name] = ast.dump(node)
    return defined


@pytest.mark.parametrize("name", EXERCISES)
def test_a_solution_has_the_same_names_and_differs_only_where_meant(name: str) -> None:
    exercise, solution = (units(text_of(folder, name)) for folder in FOLDERS)
    assert list(exercise) == list(solution)
    assert {unit for unit in exercise if exercise[unit] != solution[unit]} == MEANT[name]


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_says_its_task_what_to_run_and_a_hint(name: str) -> None:
    said = ast.get_docstring(ast.parse(text_of("exercises", name))) or ""
    assert said.startswith("Exercise: ")
    assert all(f"\n{part}: " in said for part in ("Task", "Run", "Hint"))
    assert f"lab check {name}" in said
    assert f"`{name}`" in (ROOT / "labs" / "exercises" / "README.md").read_text()


@pytest.mark.parametrize("name", RIGHT)
def test_another_right_way_passes(checked: Checks, name: str) -> None:
    seen = checked[name]
    require_checked(seen)
    assert seen.state == "pass", seen


def test_connections_that_a_right_way_forgets_are_told(checked: Checks) -> None:
    seen = checked["threads that forget their connections, and a signal that closes those of requests"]
    require_checked(seen)
    assert seen.numbers["forgotten"] >= QUERIES
    assert "nobody has closed" in seen.seen
    assert "closes them" in seen.look_at


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_way_does_not_and_is_told_in_clear_sentences(checked: Checks, name: str) -> None:
    seen = checked[name]
    require_checked(seen)
    assert seen.state == "not yet", seen
    assert WRONG[name].said in seen.seen
    assert seen.look_at
    assert "\n" not in seen.seen + seen.look_at
    assert "Traceback" not in seen.seen


def test_what_the_course_gives_is_formatted_linted_and_typed_and_what_learners_make_of_it_is_theirs(
    tmp_path: Path,
) -> None:
    for name in EXERCISES:
        (tmp_path / f"{name}.py").write_text(text_of("exercises", name))
    options = ["--config", str(ROOT / "pyproject.toml")]
    for command in (
        ["ruff", "check", "--extend-per-file-ignores", "*.py:D1", *options],
        ["ruff", "format", "--check", *options],
        ["mypy", "--config-file", options[1]],
    ):
        asked = [sys.executable, "-m", *command, str(tmp_path)]
        done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
    shown = [sys.executable, "-m", "ruff", "check", "--show-files", "labs/exercises"]
    linted = subprocess.run(shown, cwd=ROOT, capture_output=True, text=True, timeout=20).stdout.split()
    assert {Path(file).stem for file in linted}.isdisjoint(EXERCISES)
    assert "settings" in {Path(file).stem for file in linted}


def test_a_check_leaves_nothing_running_whatever_the_file_does(mark: str, tmp_path: Path) -> None:
    (tmp_path / "learner").mkdir()
    file = tmp_path / "learner" / "stream.py"
    file.write_text(f"import subprocess, sys\nsubprocess.Popen(['sleep', '60'])\n{text_of('exercises', 'stream')}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        assert catalogue.check_file(Subject("stream", "learner.stream", file)).state == "not yet"
    assert_nothing_is_left(mark)


def test_an_interrupted_check_leaves_nothing_running_and_says_so_in_a_sentence(mark: str) -> None:
    with running(sys.executable, "-m", "bench", "check", "stream", "--solution") as popen:
        assert eventually(lambda: len(left_of(mark)) > 1, 20)
        status, out, err = end(popen, signal.SIGINT)
    assert (status, out) == (ExitCode.INTERRUPTED, "")
    assert err.endswith("lab: interrupted.\n")
    assert_nothing_is_left(mark)


@pytest.mark.live
def test_what_takes_longer_than_its_bound_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow.py").write_text("import time\n\n\ndef answer():\n    time.sleep(10)\n    return 1\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(learner_code, "IMPORT_WITHIN_S", 0.5)
    with pytest.raises(visits.NotYet, match=r"`answer` was still busy after 0\.5 s"):
        learner_code.call_function(Subject("slow", "slow", tmp_path / "slow.py"), "answer", [{}])


def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    seen = catalogue.check_file(Subject("stream", "learner.stream", tmp_path / "stream.py"))
    assert (seen.state, "There is no file" in seen.seen) == ("not yet", True)


def test_an_unknown_exercise_is_one_sentence_with_the_nearest_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "blocking_veiw"]) == ExitCode.USAGE
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "lab: Unknown exercise 'blocking_veiw': did you mean blocking_view?\n")


@pytest.mark.parametrize(("words", "code", "state"), [([], 1, "not yet"), (["--solution"], 0, "pass")])
def test_one_check_is_told_on_stdout_and_by_the_exit_code(
    words: list[str], code: int, state: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "check_file", lambda subject: CheckResult(state, "1 of 2.", "Look."))
    assert main(["check", "plateau", *words]) == code
    seen = capsys.readouterr()
    assert seen.out == f"{state}  labs/{FOLDERS[bool(words)]}/plateau.py\n1 of 2.\nLook.\n"
    assert seen.err == "checking plateau\n"


@pytest.mark.parametrize("asked", [["plateau"], []])
def test_as_json_it_is_one_document(
    asked: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "check_file", lambda subject: CheckResult("pass", "All is well.", numbers={"n": 1}))
    assert main(["check", *asked, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["exercises"]
    assert [row["name"] for row in listed] == (asked or list(EXERCISES))
    assert {key: listed[0][key] for key in ("state", "seen", "numbers")} == {
        "state": "pass", "seen": "All is well.", "numbers": {"n": 1},
    }  # fmt: skip


def test_without_a_name_all_are_listed_with_their_state(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"plateau": CheckResult("not yet", "1 of 2.", "Look."), "stream": CheckResult("skipped", "No server.")}
    monkeypatch.setattr(catalogue, "check_file", lambda subject: states.get(subject.name, CheckResult("pass", "Fine.")))
    assert main(["check"]) == ExitCode.FAILED
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line.startswith(EXERCISES)}
    assert list(rows) == list(EXERCISES)
    assert "not yet" in rows["plateau"]
    assert "skipped" in rows["stream"]
    assert "pass" in rows["traps"]


@pytest.mark.live
def test_where_there_is_only_sqlite_connections_are_not_counted_and_the_command_that_helps_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sqlite = Database(databases.SQLITE, "sqlite", f"sqlite:///{tmp_path}/file")
    monkeypatch.setattr(databases, "serving_database", lambda: nullcontext(sqlite))
    assert main(["check", "bounded_connections"]) == ExitCode.NOT_RUN
    seen = capsys.readouterr().out
    assert seen.startswith("skipped  labs/exercises/bounded_connections.py\n")
    assert "no connections to count" in seen
    assert "system-packages" in seen
