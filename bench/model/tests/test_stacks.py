"""The notation of a stack: what is read is written the same, and what cannot be read is refused in one sentence."""

import pytest

from bench.base.errors import UsageError
from bench.model.environments import DEFAULT
from bench.model.stacks import parse_stack, split_name

NAMES = ("sync_wsgi@gthread:8%py313t", "async_asgi@uvicorn%django-6.1", "sync_wsgi+pool_16@gthread:8x2%a_b")


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_with_an_environment_reads_as_it_is_written(name: str) -> None:
    stack = parse_stack(name)
    bare, _, environment = name.partition("%")
    assert (stack.name, stack.environment, split_name(name).environment) == (name, environment, environment)
    assert split_name(name)._replace(environment=None) == split_name(bare)


def test_the_default_environment_is_left_out_of_the_name() -> None:
    stacks = {parse_stack(text) for text in ("sync_wsgi@gthread:8", f"sync_wsgi@gthread:8%{DEFAULT}")}
    assert [stack.name for stack in stacks] == ["sync_wsgi@gthread:8"]


@pytest.mark.parametrize("environment", ["", "Py313", "a/b", "..", "a%b", "a b", "a" * 33, "-x"])
def test_what_no_environment_can_be_called_is_refused(environment: str) -> None:
    with pytest.raises(UsageError, match="is no name of an environment: write at most 32 small letters") as refusal:
        parse_stack(f"sync_wsgi@gthread:8%{environment}")
    assert "\n" not in str(refusal.value)
