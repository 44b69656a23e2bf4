"""An experiment: one question, its matrix of trials in `experiments/*.toml`, run in seeded random order.

Every repeat goes once through the whole matrix in an order of its own, each trial on a server of its own, so that
what drifts on the machine meets all stacks alike and repeats are restarts (METHOD, item 7).
"""

import random
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from bench import cpus, environment, record
from bench.errors import UsageError, nearest
from bench.record import Claim, Plan, Run, Trial
from bench.stacks import parse_stack
from bench.trial import TrialPlan, blank, run_trial
from bench.workloads import parse_request

FOLDER = Path(__file__).parent / "experiments"
ProfileName = Literal["quick", "standard", "reference"]
PROFILES: tuple[ProfileName, ...] = ("quick", "standard", "reference")


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long and how often."""

    repeats: int
    warmup_s: float
    duration_s: float


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A full cross of stacks, requests, numbers of users and middleware, for the profiles named."""

    stacks: list[str]
    requests: list[str]
    users: list[int]
    middleware: list[list[str]] = msgspec.field(default_factory=lambda: [[]])
    profiles: list[ProfileName] = msgspec.field(default_factory=lambda: list(PROFILES))


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of `experiments/`."""

    title: str
    question: str
    profiles: dict[ProfileName, Profile]
    matrix: list[Block]
    claims: list[Claim] = []


@dataclass(frozen=True)
class Wishes:
    """What the command line changes: an empty tuple or None leaves the experiment's own."""

    stacks: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    users: tuple[int, ...] = ()
    middleware: tuple[str, ...] | None = None
    repeats: int | None = None
    duration_s: float | None = None
    load_processes: int = 1
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))


def names() -> list[str]:
    """The experiments there are."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Experiment:
    """Read an experiment by name; UsageError with the nearest names where there is none."""
    if name not in names():
        raise UsageError(f"Unknown experiment {name!r}: {nearest(name, names())}")
    return msgspec.toml.decode((FOLDER / f"{name}.toml").read_bytes(), type=Experiment)


def profile_of(experiment: Experiment, name: str) -> Profile:
    """The profile by name; UsageError with the nearest names."""
    for known, profile in experiment.profiles.items():
        if known == name:
            return profile
    raise UsageError(f"Unknown profile {name!r}: {nearest(name, experiment.profiles)}")


def trials_of(experiment: Experiment, profile_name: str, wishes: Wishes) -> list[TrialPlan]:
    """All trials of one repeat, in the order of the file, each once."""
    profile = profile_of(experiment, profile_name)
    blocks = [block for block in experiment.matrix if profile_name in block.profiles]
    crossed = [plan for block in blocks for plan in _cross(_wished(block, wishes), profile, wishes)]
    once = {(plan.stack.name, plan.request.name, plan.users, plan.middleware): plan for plan in crossed}
    answerable = [plan for plan in once.values() if plan.request.is_answered_by(plan.stack)]
    if not answerable:
        raise UsageError("None of these stacks answers that workload: bare callables answer hello and wait only.")
    return answerable


def _wished(block: Block, wishes: Wishes) -> Block:
    return msgspec.structs.replace(
        block,
        stacks=list(wishes.stacks) or block.stacks,
        requests=list(wishes.requests) or block.requests,
        users=list(wishes.users) or block.users,
        middleware=block.middleware if wishes.middleware is None else [list(wishes.middleware)],
    )


def _cross(block: Block, profile: Profile, wishes: Wishes) -> list[TrialPlan]:
    return [
        TrialPlan(
            stack=parse_stack(stack),
            request=parse_request(request),
            users=users,
            repeat=0,
            middleware=tuple(middleware),
            warmup_s=profile.warmup_s,
            duration_s=wishes.duration_s or profile.duration_s,
            load_processes=wishes.load_processes,
        )
        for request in block.requests
        for users in block.users
        for middleware in block.middleware
        for stack in block.stacks
    ]


def in_random_order(trials: Sequence[TrialPlan], repeats: int, seed: int) -> list[TrialPlan]:
    """Every repeat is one pass over all trials, shuffled; the seed gives the same order again."""
    shuffler = random.Random(seed)
    ordered = []
    for repeat in range(repeats):
        one_pass = [replace(trial, repeat=repeat) for trial in trials]
        shuffler.shuffle(one_pass)
        ordered += one_pass
    return ordered


def new_run(name: str, profile_name: str, wishes: Wishes) -> tuple[Run, list[TrialPlan]]:
    """The run before its first trial, and the trials in the order they will be made."""
    experiment = load(name)
    profile = profile_of(experiment, profile_name)
    trials = trials_of(experiment, profile_name, wishes)
    repeats = wishes.repeats or profile.repeats
    ordered = in_random_order(trials, repeats, wishes.seed)
    plan = Plan(
        stacks=_each_once(trial.stack.name for trial in trials),
        requests=_each_once(trial.request.name for trial in trials),
        users=sorted({trial.users for trial in trials}),
        middleware=_each_once(",".join(trial.middleware) for trial in trials),
        repeats=repeats,
        trials=len(ordered),
        warmup_s=profile.warmup_s,
        duration_s=wishes.duration_s or profile.duration_s,
        load_processes=wishes.load_processes,
        seed=wishes.seed,
        claims=experiment.claims,
    )
    run = Run(
        schema=record.SCHEMA,
        experiment=name,
        title=experiment.title,
        question=experiment.question,
        profile=profile_name,
        status="running",
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        took_s=0.0,
        environment=environment.describe(),
        plan=plan,
        trials=[],
    )
    return run, ordered


def _each_once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def perform(
    run: Run,
    ordered: Sequence[TrialPlan],
    folder: Path,
    *,
    before: Callable[[TrialPlan], None] = lambda plan: None,
    after: Callable[[Trial], None] = lambda trial: None,
) -> Run:
    """Make all trials, saving the run after each. Interrupted, it keeps what there is as `aborted`."""
    cpus.stay_with_the_load(cpus.plan(1, run.plan.load_processes))
    began_s = started_s = time.monotonic()
    try:
        for plan in ordered:
            started_s = time.monotonic()
            before(plan)
            run = _with(run, run_trial(plan), began_s, started_s, "running")
            record.save(run, folder)
            after(run.trials[-1])
        run = replace(run, status="complete")
    except KeyboardInterrupt:
        run = replace(run, status="aborted")
        for plan in ordered[len(run.trials) :][:1]:
            run = _with(run, replace(blank(plan), verdict="aborted"), began_s, started_s, "aborted")
    record.save(run, folder)
    return run


def _with(run: Run, trial: Trial, began_s: float, started_s: float, status: Literal["running", "aborted"]) -> Run:
    now_s = time.monotonic()
    timed = replace(trial, started_s=round(started_s - began_s, 3), took_s=round(now_s - started_s, 3))
    return replace(run, trials=[*run.trials, timed], took_s=round(now_s - began_s, 3), status=status)
