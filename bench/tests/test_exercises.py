"""The exercises: each fails as it stands and says why, each solution passes, and a broken file is one sentence."""

import ast
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from bench import database, exercise_visits, exercises
from bench.cli import main
from bench.database import Database
from bench.errors import ExitCode
from bench.exercise_visits import CALLERS, Seen, Subject
from bench.exercise_ways import CALLS, MOST_CONNECTIONS, TRAPS, VISITORS, WAYS
from bench.record import ROOT
from labs.exercises.project.names import EXERCISES

FOLDERS = ("exercises", "solutions")
ASK_DATABASE = ("bounded_connections", "four_traps")
# What a solution may change beside its imports and its first lines.
MEANT = {
    "blocking_view": {"wait"},
    "middleware_hops": {"Took"},
    "overlapping_calls": {"calls", "calls_async"},
    "bounded_connections": {"DATABASES"},
    "plateau": {"plateau_per_s"},
    "stream": {"numbers"},
    "four_traps": {"products", "shelf", "me", "report"},
}
AWAITED, SLEPT = "await asyncio.sleep(ms / 1000)", "time.sleep(ms / 1000)"
HANG = "__import__('time').sleep(600)"
# Of which file, what in it becomes what, and what is then said.
BROKEN = {
    "a syntax error": ("exercises/blocking_view", SLEPT, "time.sleep(ms / 1000", "SyntaxError in line 21"),
    "a missing module": ("exercises/blocking_view", "import time", "import tiem", "ModuleNotFoundError in line 11"),
    "a hang while it is imported": ("exercises/stream", "urlpatterns", f"{HANG}\nurlpatterns", "still busy"),
    "a hang when it is asked": ("solutions/blocking_view", AWAITED, HANG, "had no answer within"),
    "a wait that is never awaited": ("solutions/blocking_view", AWAITED, "asyncio.sleep(ms)", "has the answer after"),
    "an await that is beside the point": (
        *("solutions/blocking_view", AWAITED, "await asyncio.sleep(0.01); __import__('time').sleep(ms / 1000)"),
        "5 visitors who wait 300 ms",
    ),
    "an error in a view": ("solutions/blocking_view", AWAITED, "await_nobody()", "because of `NameError` in line 17"),
    "a middleware that is gone": ("exercises/middleware_hops", "class Took", "class Gone", 'not define a "Took"'),
    "a middleware that does nothing": (
        *("solutions/middleware_hops", "return self.process_response(request, response)", "return response"),
        "no header X-Took-Ms",
    ),
    "one call instead of five": (
        *("solutions/overlapping_calls", "(ask_upstream, [ms] * n)", "(lambda ms: ms, [ms] * n)"),
        "at most 0 of 0 calls",
    ),
    "a wait that blocks a stream": (
        *("solutions/stream", AWAITED, "__import__('time').sleep(ms / 1000)"),
        "another page is not answered before all are made",
    ),
    "a function that raises": ("solutions/plateau", "return min(inside", "return 1 / 0, min(inside", "ZeroDivision"),
    "a function that ends its process": (
        *("solutions/plateau", "return", "__import__('os')._exit(7)\n    return"),
        "status 7",
    ),
    "a function that gives no number": ("solutions/plateau", "return min(", "min(", "you say None"),
}  # fmt: skip
Found = dict[str, dict[str, Seen]]


def file_of(folder: str, name: str) -> Path:
    return ROOT / "labs" / folder / f"{name}.py"


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """Every check of every file and of every broken one, with little patience for what never ends.

    Three at a time; those that ask the database take turns, because two at once would make two.
    """
    learner = tmp_path_factory.mktemp("learner")
    subjects = {
        f"{folder}/{name}": exercises.subject_of(name, solution=folder == "solutions")
        for folder in FOLDERS
        for name in EXERCISES
    }
    subjects |= {name: changed(*BROKEN[name][:3], learner / f"broken_{place}") for place, name in enumerate(BROKEN)}
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as one, ThreadPoolExecutor(2) as two:
        patch.setenv("PYTHONPATH", str(learner))
        patch.setattr(exercise_visits, "IMPORT_WITHIN_S", 5.0)
        patch.setattr(exercise_visits, "ANSWER_WITHIN_S", 4.0)
        asked = {
            name: (one if subject.name in ASK_DATABASE else two).submit(exercises.seen_of, subject)
            for name, subject in subjects.items()
        }
        return {name: seen.result() for name, seen in asked.items()}


def changed(path: str, old: str, new: str, folder: Path) -> Subject:
    """A learner's own version of a file, in a folder that is a package."""
    text, stem = (ROOT / "labs" / f"{path}.py").read_text(), Path(path).name
    assert old in text
    folder.mkdir()
    (folder / f"{stem}.py").write_text(text.replace(old, new))
    return Subject(stem, f"{folder.name}.{stem}", folder / f"{stem}.py")


@pytest.fixture(scope="module")
def found(checked: dict[str, Seen]) -> Found:
    """Of the files as they are."""
    return {folder: {name: checked[f"{folder}/{name}"] for name in EXERCISES} for folder in FOLDERS}


def require_checked(seen: Seen) -> None:
    if seen.state == "skipped":
        pytest.skip(seen.seen)


def test_manifest_files_and_checks_agree() -> None:
    for folder in FOLDERS:
        files = {path.stem for path in (ROOT / "labs" / folder).glob("*.py")} - {"__init__"}
        assert files == set(EXERCISES)
    assert list(WAYS) == list(EXERCISES)


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
    assert numbers(found, "four_traps", "answering") == (0, len(TRAPS))


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


def units(path: Path) -> dict[str, str]:
    """What a file defines, in its order; imports and first lines left out."""
    defined = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign):
            defined[ast.unparse(node.targets[0])] = ast.dump(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined[node.name] = ast.dump(node)
    return defined


@pytest.mark.parametrize("name", EXERCISES)
def test_a_solution_has_the_same_names_and_differs_only_where_meant(name: str) -> None:
    exercise, solution = (units(file_of(folder, name)) for folder in FOLDERS)
    assert list(exercise) == list(solution)
    assert {unit for unit in exercise if exercise[unit] != solution[unit]} == MEANT[name]


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_says_its_task_what_to_run_and_a_hint(name: str) -> None:
    said = ast.get_docstring(ast.parse(file_of("exercises", name).read_text())) or ""
    assert said.startswith("Exercise: ")
    assert all(f"\n{part}: " in said for part in ("Task", "Run", "Hint"))
    assert f"lab check {name}" in said
    assert f"`{name}`" in (ROOT / "labs" / "exercises" / "README.md").read_text()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_clear_sentence(checked: dict[str, Seen], name: str) -> None:
    seen = checked[name]
    assert seen.state == "not yet"
    assert BROKEN[name][3] in seen.seen
    assert "\n" not in seen.seen + seen.look_at
    assert "Traceback" not in seen.seen


def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    seen = exercises.seen_of(Subject("stream", "learner.stream", tmp_path / "stream.py"))
    assert (seen.state, "There is no file" in seen.seen) == ("not yet", True)


def test_an_unknown_exercise_is_one_sentence_with_the_nearest_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "blocking_veiw"]) == ExitCode.USAGE
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "lab: Unknown exercise 'blocking_veiw': did you mean blocking_view?\n")


@pytest.mark.parametrize(("words", "code", "state"), [([], 1, "not yet"), (["--solution"], 0, "pass")])
def test_one_check_is_told_on_stdout_and_by_the_exit_code(
    words: list[str], code: int, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "plateau", *words]) == code
    seen = capsys.readouterr()
    assert seen.out.startswith(f"{state}  labs/{FOLDERS[bool(words)]}/plateau.py\n")
    assert "points of the run io_wait" in seen.out
    assert seen.err == "checking plateau\n"


@pytest.mark.parametrize("asked", [["plateau"], []])
def test_as_json_it_is_one_document(
    asked: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exercises, "seen_of", lambda subject: Seen("pass", "All is well.", numbers={"n": 1}))
    assert main(["check", *asked, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["exercises"]
    assert [row["name"] for row in listed] == (asked or list(EXERCISES))
    assert {key: listed[0][key] for key in ("state", "seen", "numbers")} == {
        "state": "pass", "seen": "All is well.", "numbers": {"n": 1},
    }  # fmt: skip


def test_without_a_name_all_are_listed_with_their_state(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"plateau": Seen("not yet", "1 of 2.", "Look."), "stream": Seen("skipped", "No server.")}
    monkeypatch.setattr(exercises, "seen_of", lambda subject: states.get(subject.name, Seen("pass", "Fine.")))
    assert main(["check"]) == ExitCode.FAILED
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line.startswith(EXERCISES)}
    assert list(rows) == list(EXERCISES)
    assert "not yet" in rows["plateau"]
    assert "skipped" in rows["stream"]
    assert "pass" in rows["four_traps"]


def test_where_there_is_only_sqlite_connections_are_not_counted_and_the_command_that_helps_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite = Database(database.SQLITE, "sqlite", "sqlite:///file")
    monkeypatch.setattr(database, "serving_database", lambda: nullcontext(sqlite))
    assert main(["check", "bounded_connections"]) == ExitCode.NOT_RUN
    seen = capsys.readouterr().out
    assert seen.startswith("skipped  labs/exercises/bounded_connections.py\n")
    assert "no connections to count" in seen
    assert "system-packages" in seen
