"""What the controls of the room say: one record, checked as it comes from a browser."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from bench.base.errors import LabError, UsageError
from bench.model.stacks import STACKS, Stack, parse_stack

Behind = Literal["timer", "upstream", "database", "stream"]
"""What a view waits for: a timer, the upstream service, a query, or the next event of a stream."""
BOUNDS = {"visitors": (0, 1000), "wait_ms": (0, 10_000), "cpu_ms": (0, 1000), "threads": (1, 1000)}
MOST_LANES, LONGEST_PREDICTION = 4, 200
DEFAULT_LANES = ("sync_wsgi@gthread:8", "sync_asgi@uvicorn", "async_asgi@uvicorn")


@dataclass(frozen=True)
class Settings:
    """The controls. `predictions` has what the room typed, by scene. `fixed_lanes`: scenes do not change the lanes.

    `cpu_ms` is spent by each view after its wait, which the blocking view and streams leave out. With `leaves` every
    other visitor hangs up after a quarter of the wait.
    """

    lanes: tuple[str, ...] = DEFAULT_LANES
    fixed_lanes: bool = False
    visitors: int = 10
    wait_ms: int = 100
    cpu_ms: int = 0
    threads: int = 8
    middleware: bool = False
    blocking: bool = False
    leaves: bool = False
    behind: Behind = "timer"
    database_away: bool = False
    scene: str = ""
    predictions: Mapping[str, str] = field(default_factory=dict)

    @property
    def stacks(self) -> tuple[Stack, ...]:
        """The stacks of the lanes, with the thread budget where a server takes one."""
        return tuple(_with_threads(name, self.threads) for name in self.lanes)

    @property
    def path(self) -> str:
        """What every visitor asks for."""
        if self.behind == "stream":
            return f"/feed?n=100&ms={max(100, self.wait_ms)}"
        if self.behind == "upstream":
            return f"/fan_out?n=1&ms={self.wait_ms}"
        if self.behind == "database":
            return f"/slow_rows?ms={self.wait_ms}"
        if self.blocking:
            return f"/blocking_wait?ms={self.wait_ms}"
        return f"/wait_and_burn?ms={self.wait_ms}&cpu={self.cpu_ms}" if self.cpu_ms else f"/wait?ms={self.wait_ms}"

    @property
    def needs_restart(self) -> tuple[object, ...]:
        """What a server is started with: when it changes, the server starts again."""
        return self.threads, self.middleware, self.blocking, self.behind

    def changed(self, changes: object) -> "Settings":
        """Return the settings with these changes, as JSON data. Raises UsageError for anything that is not right."""
        if not isinstance(changes, dict):
            raise UsageError("A change is an object of settings.")
        checked = {name: _checked(name, value) for name, value in changes.items()}
        return replace(self, **checked | ({"lanes": self.lanes} if self.fixed_lanes else {}))

    def predicted(self, scene: str, text: str) -> "Settings":
        """Return the settings with what the room expects of a scene."""
        return replace(self, predictions={**self.predictions, scene: text[:LONGEST_PREDICTION]})


def _with_threads(name: str, threads: int) -> Stack:
    stack = parse_stack(name)
    if stack.lab.interface not in stack.server.takes_threads:
        return stack
    return replace(stack, budget=replace(stack.budget, threads=threads))


def require_lanes(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of stacks that can be lanes. Raises UsageError for others, and for more than MOST_LANES."""
    stacks = [parse_stack(name) for name in names]
    if not 1 <= len(stacks) <= MOST_LANES:
        raise UsageError(f"The room has 1 to {MOST_LANES} lanes, not {len(stacks)}.")
    for stack in stacks:
        is_simple = stack.budget.processes == 1 and not stack.front
        if not (is_simple and stack.lab.is_django and stack.lab.has_workloads):
            raise UsageError(
                f"{stack.name} cannot be a lane: choose a Django lab with workloads, one process, no front."
            )
    return tuple(stack.name for stack in stacks)


def possible_lanes() -> list[str]:
    """Return the stacks that can be lanes, one of each lab and server: a lane has its own thread budget."""
    able: dict[tuple[str, str], str] = {}
    for stack in STACKS:
        with suppress(UsageError):
            able.setdefault((stack.lab.name, stack.server.name), *require_lanes([stack.name]))
    return list(able.values())


_KINDS = {each.name: each.type for each in fields(Settings)}


def _checked(name: str, value: Any) -> Any:
    if name in BOUNDS:
        low, high = BOUNDS[name]
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise UsageError(f"{name} must be a whole number from {low} to {high}.")
    if _KINDS.get(name) is bool and isinstance(value, bool):
        return value
    if name == "behind" and value in get_args(Behind):
        return value
    if name == "scene" and isinstance(value, str):
        return value[:LONGEST_PREDICTION]
    if name == "lanes" and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return require_lanes(value)
    raise UsageError(f"{str(name)[:40]} is no setting of the room, or {str(value)[:40]!r} is no value of it.")


def read_settings(data: Any) -> Settings:
    """Read what was kept of a room before its process ended; the defaults where that cannot be read."""
    try:
        predictions = {str(scene): str(text) for scene, text in data.pop("predictions").items()}
        return replace(Settings().changed(data), predictions=predictions)
    except (LabError, AttributeError, KeyError, TypeError):
        return Settings()
