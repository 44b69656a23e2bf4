"""A front in a stack's name: read, written, refused, installed or not."""

from pathlib import Path

import pytest

from bench.base import programs
from bench.base.errors import MissingDependency, UsageError
from bench.model.fronts import FRONTS
from bench.model.stacks import parse_stack, split_name


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("behind", ["sync_wsgi@gthread:8", "async_asgi+max_age_60@uvicorn:x2"])
def test_a_front_stands_before_the_name_of_any_stack(front: str, behind: str) -> None:
    stack, alone = parse_stack(f"{front}/{behind}"), parse_stack(behind)
    assert stack.name == f"{front}/{behind}"
    assert stack.front is FRONTS[front]
    assert alone.front is None
    assert stack.command(8000) == alone.command(8000)
    assert split_name(stack.name)._replace(front=None) == split_name(behind)


def test_a_front_that_is_not_known_is_named_in_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"Unknown front .nginks. in stack .*: did you mean nginx"):
        parse_stack("nginks/sync_wsgi@gthread:8")
    with pytest.raises(UsageError, match="Unknown front ''"):
        parse_stack("/sync_wsgi@gthread:8")
    assert split_name("gone/sync_wsgi@gthread:8").lab == "sync_wsgi"  # as in a run that is older than the lab


def test_a_front_that_is_not_installed_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "SBIN", str(tmp_path))
    with pytest.raises(MissingDependency, match=r"nginx is not installed: \./scripts/system-packages gets it"):
        parse_stack("nginx/sync_wsgi@gthread:8").require_installed()
    parse_stack("sync_wsgi@gthread:8").require_installed()
