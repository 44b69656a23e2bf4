"""What may differ between labs/sync_wsgi and labs/async_asgi, and the proof that nothing else does."""

import ast
import shutil
from pathlib import Path

import pytest

from labs.common.urls import PAGES
from labs.tests.twins import MISSING, MODULE, ORDER, differences

LABS = Path(__file__).parents[1]
SYNC, ASYNC = LABS / "sync_wsgi", LABS / "async_asgi"

DECLARED = {
    ("views.py", MODULE): "each side imports what its own way of waiting needs",
    ("views.py", "blocking_wait"): "the classic mistake: time.sleep stays in the async view",
    ("views.py", "fan_out"): "one call after the other, or all gathered on the loop",
    ("views.py", "feed"): "a generator that a thread waits in, or one that gives the loop away",
    ("views.py", "tokens"): "the same two kinds of generators, which read from an upstream",
    ("views.py", "tokens_lean"): "and again, with the lean client of each kind of code",
    ("views.py", "poll"): "the same for an inbox",
    ("views.py", "fan_out_threads"): "a pool's map blocks its caller; a loop awaits the pool's threads",
    ("views.py", "gathered"): "one query after the other, or all gathered (and one after the other all the same)",
    ("views.py", "gathered_threads"): "the pool again, for queries",
    ("views.py", "checkout_across_hops"): "atomic as it is, or made async across hops: a bad example",
}


def kinds_of_views(lab: Path) -> dict[str, type[ast.stmt]]:
    statements = ast.parse((lab / "views.py").read_text()).body
    return {node.name: type(node) for node in statements if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_twins_differ_where_it_is_declared_and_nowhere_else() -> None:
    assert differences(SYNC, ASYNC) == set(DECLARED)


def test_each_twin_has_the_same_views_in_order_and_all_of_its_own_kind() -> None:
    names = list(kinds_of_views(SYNC))
    assert names[-len(PAGES) :] == list(PAGES)
    assert list(kinds_of_views(SYNC).items()) == [(name, ast.FunctionDef) for name in names]
    assert list(kinds_of_views(ASYNC).items()) == [(name, ast.AsyncFunctionDef) for name in names]


WAITING = {("views.py", name) for name in ("wait", "wait_and_burn", "hold", "checkout_in_halves")}
MUTATIONS = [
    ("views.py", "burned_ms=ms", "burned_ms=10", {("views.py", "burn")}),
    ("views.py", "await asyncio.sleep(", "time.sleep(", WAITING),
    ("views.py", "await asyncio.sleep(", "asyncio.sleep(", WAITING),
    ("views.py", "def hello(", "def hallo(", {("views.py", name) for name in ("hello", "hallo", ORDER)}),
    ("urls.py", "handler404, ", "", {("urls.py", MODULE)}),
    ("asgi.py", "async_asgi.settings", "bare.settings", {("DOOR.py", MODULE)}),
]


@pytest.mark.parametrize(("file", "old", "new", "found"), MUTATIONS)
def test_an_undeclared_difference_is_found(
    tmp_path: Path, file: str, old: str, new: str, found: set[tuple[str, str]]
) -> None:
    changed = mutated(tmp_path, file, old, new)
    assert differences(SYNC, changed) - set(DECLARED) == found


def test_a_declaration_that_nothing_needs_is_found(tmp_path: Path) -> None:
    cured = mutated(tmp_path, "views.py", "        time.sleep(", "        await asyncio.sleep(")
    assert set(DECLARED) - differences(SYNC, cured) == {("views.py", "blocking_wait")}


def test_a_missing_file_is_found(tmp_path: Path) -> None:
    shorter = Path(shutil.copytree(ASYNC, tmp_path / "lab"))
    (shorter / "urls.py").unlink()
    assert ("urls.py", MISSING) in differences(SYNC, shorter)


def mutated(tmp_path: Path, file: str, old: str, new: str) -> Path:
    lab = Path(shutil.copytree(ASYNC, tmp_path / "lab"))
    before = (lab / file).read_text()
    assert old in before
    (lab / file).write_text(before.replace(old, new))
    return lab
