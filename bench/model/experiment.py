"""The file format of an experiment: its question, its profiles, its matrix of trials, its assertions.

To add an experiment, add its file to `experiments/`, with `reference = false` until its reference run is committed.
"""

import shlex
from pathlib import Path
from typing import Literal

import msgspec

from bench.base.errors import NotRun, UsageError, nearest
from bench.model.bounds import Connections, Some, Users
from bench.model.environments import Recipe, is_environment
from bench.model.run_record import Assertion
from bench.model.stacks import parse_stack

FOLDER = Path(__file__).parent / "experiments"
ProfileName = Literal["quick", "standard", "reference"]
PROFILES: tuple[ProfileName, ...] = ("quick", "standard", "reference")


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a trial takes, and how often it is repeated."""

    repeats: int
    warmup_s: float
    duration_s: float


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A full cross of stacks, requests, loads and middleware, for the profiles named.

    Loads: `users` make closed loops, held back together to each of `held_to_per_s` where given; `rates_per_s` make
    open loops, and so do `capacity_shares`, rates relative to what the stack could do in this run. `connections` are
    held for the profile's duration, or, with `leave_after_s`, given up by all clients but `staying_share`; with
    `max_connections`, as many as the database allows, they come in waves. With `slow_over_s` they are slow clients,
    which take so many seconds for their request or their answer, beside `visitors`. With `leaving_share` they are
    streams that are read part by part, of which that share is left half way. `outage` takes the database away
    and `freeze` pauses the server: start and duration in seconds, counted from the window's start. `count_hops` also
    traces one request of each. `server_cores`: for each server, also those of the load if there are no others; without
    it a server has one for each process. `restarts`: at least so many, where a claim turns on a small difference.
    """

    stacks: list[str]
    requests: list[str]
    users: list[Users] = []
    held_to_per_s: list[float] = []
    rates_per_s: list[float] = []
    capacity_shares: list[float] = []
    connections: list[Connections] = []
    leave_after_s: float | None = None
    staying_share: float = 0.0
    max_connections: int | None = None
    slow_over_s: float | None = None
    visitors: Users = 4
    leaving_share: float | None = None
    outage: tuple[float, float] | None = None
    freeze: tuple[float, float] | None = None
    count_hops: bool = False
    server_cores: Some | None = None
    restarts: int = 1
    middleware: list[list[str]] = msgspec.field(default_factory=lambda: [[]])
    profiles: list[ProfileName] = msgspec.field(default_factory=lambda: list(PROFILES))


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of `experiments/`.

    `reference` is false for a draft, which has no run in results/reference yet. `capacity_users`: N of the closed
    loop that measures a stack's capacity. `environments`: how those are made that its stacks name.
    """

    title: str
    question: str
    profiles: dict[ProfileName, Profile]
    matrix: list[Block]
    reference: bool = True
    capacity_users: int = 200
    environments: dict[str, Recipe] = {}
    claims: list[Assertion] = []

    def require_environment(self, name: str) -> None:
        """Raise NotRun, with the commands that make it, if an environment that this file describes is not there."""
        if name in self.environments and not is_environment(name):
            raise NotRun(f"There is no environment {name!r}: run `{' && '.join(self._commands_for(name))}`.")

    def require_stacks(self, profile: str) -> None:
        """Raise NotRun, with the command that helps, for the first stack of a profile that cannot run here."""
        names = dict.fromkeys(name for block in self.matrix if profile in block.profiles for name in block.stacks)
        for stack in map(parse_stack, names):
            self.require_environment(stack.environment)
            stack.require_installed()

    def _commands_for(self, name: str) -> list[str]:
        """Return the command that makes an environment, after that of the one that it shares where that is absent."""
        recipe = self.environments[name]
        shared = recipe.like in self.environments and not is_environment(recipe.like)
        return [*(self._commands_for(recipe.like) if shared else ()), shlex.join(recipe.words(name))]


def experiment_names(*, drafts: bool = True) -> list[str]:
    """Return the names of all experiments, or only of those that have a reference run."""
    names = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return [name for name in names if drafts or load_experiment(name).reference]


def load_experiment(name: str) -> Experiment:
    """Read an experiment. Raises UsageError with the nearest names if there is none, or with the file's mistake."""
    if name not in experiment_names():
        raise UsageError(f"Unknown experiment {name!r}: {nearest(name, experiment_names())}")
    path = FOLDER / f"{name}.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Experiment)
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} cannot be read as an experiment ({error}): correct it.") from None


def profile_of(experiment: Experiment, name: str) -> Profile:
    """Return a profile by name. Raises UsageError with the nearest names."""
    for known, profile in experiment.profiles.items():
        if known == name:
            return profile
    raise UsageError(f"Unknown profile {name!r}: {nearest(name, experiment.profiles)}")
