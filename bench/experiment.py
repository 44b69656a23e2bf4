"""An experiment: one question, its matrix of trials in `experiments/*.toml`, run in seeded random order.

Every repeat goes once through the whole matrix in an order of its own, each trial on a server of its own, so that
what drifts on the machine meets all stacks alike and repeats are restarts (checklist: restarts).
"""

import random
import secrets
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from bench import cpus, environment, preflight, record, unfinished
from bench.base.errors import NotKept, NotRun, SecondInterrupt, UsageError, nearest
from bench.connections import is_about
from bench.databases.database import source
from bench.load.process import Engine
from bench.record import Claim, Connections, Hops, Plan, Reason, Run, Status, Trial, Users
from bench.stacks import parse_stack
from bench.summary import claims_about
from bench.trial import INTERRUPTED, TrialPlan, blank, run_trial
from bench.watch import Freeze, Outage
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
    """A full cross of stacks, requests, loads and middleware, for the profiles named.

    Loads: `users` make closed loops, held back together to each of `held_to_per_s` where given; `rates_per_s` make
    open loops, and so do `capacity_shares`, rates relative to what the stack could do in this run. `connections` are
    held for the profile's duration, or, with `leave_after_s`, given up by all clients but `staying_share`; with
    `max_connections`, as many as the database allows, they come in waves. `outage` takes the database away and
    `freeze` pauses the server: seconds from the window's start, and for how long. `count_hops` has one request of each
    traced as well.
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
    outage: tuple[float, float] | None = None
    freeze: tuple[float, float] | None = None
    count_hops: bool = False
    middleware: list[list[str]] = msgspec.field(default_factory=lambda: [[]])
    profiles: list[ProfileName] = msgspec.field(default_factory=lambda: list(PROFILES))


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of `experiments/`. `capacity_users`: the closed loop in which a stack's capacity is measured."""

    title: str
    question: str
    profiles: dict[ProfileName, Profile]
    matrix: list[Block]
    capacity_users: int = 200
    claims: list[Claim] = []


@dataclass(frozen=True)
class Wishes:
    """What the command line changes: an empty tuple or None leaves the experiment's own."""

    stacks: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    users: tuple[int, ...] = ()
    connections: tuple[int, ...] = ()
    rates_per_s: tuple[float, ...] = ()
    schedule: str = "poisson"
    middleware: tuple[str, ...] | None = None
    repeats: int | None = None
    duration_s: float | None = None
    engine: Engine = field(default_factory=Engine)
    target: str | None = None
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))


def names() -> list[str]:
    """The experiments there are."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Experiment:
    """Read an experiment by name; UsageError with the nearest names where there is none, or with its mistake."""
    if name not in names():
        raise UsageError(f"Unknown experiment {name!r}: {nearest(name, names())}")
    path = FOLDER / f"{name}.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Experiment)
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is not understood ({error}): mend it.") from None


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
    if wishes.engine.is_distributed and any(plan.users is None for plan in crossed):
        raise UsageError(
            "An open loop is made by one process: leave out --load-processes and --expect-workers, or give --users."
        )
    if wishes.connections and not any(plan.connections for plan in crossed):
        raise UsageError("This experiment holds no connections: leave out --connections, or run `held` or `gone`.")
    if any(plan.connections for plan in crossed) and (wishes.users or wishes.rates_per_s or wishes.target):
        raise UsageError(
            "This experiment is about connections: give --connections, and neither users, rates nor target."
        )
    if any(plan.connections and not is_about(plan) for plan in crossed):
        raise UsageError(
            "Held are feeds, such as --workload 'feed?n=100&ms=10000'; left is `wait`, `burn` or a checkout; "
            "`hold` comes in waves."
        )
    answerable = [plan for plan in _once(crossed) if plan.request.is_answered_by(plan.stack)]
    if not answerable:
        raise UsageError(
            "None of these stacks answers that workload: bare callables answer hello and wait only, live_preview and "
            "traps none."
        )
    return answerable


def _once(trials: Iterable[TrialPlan]) -> list[TrialPlan]:
    """Each different trial once."""
    return list({_identity(trial): trial for trial in trials}.values())


def _identity(trial: TrialPlan) -> tuple[object, ...]:
    """What makes a trial the same as another."""
    load = (trial.users, trial.rate_per_s, trial.capacity_share, trial.connections, trial.max_connections)
    befalls = (trial.leave_after_s, trial.staying, trial.freeze, trial.outage)
    return (trial.stack.name, trial.request.name, load, befalls, trial.middleware)


def _wished(block: Block, wishes: Wishes) -> Block:
    """The block with what the command line puts in its place; a wished load replaces every load of the block.

    Users wished beside rates are held back to these, so that both loops are asked for the same.
    """
    changed = msgspec.structs.replace(
        block,
        stacks=list(wishes.stacks) or block.stacks,
        requests=list(wishes.requests) or block.requests,
        middleware=block.middleware if wishes.middleware is None else [list(wishes.middleware)],
    )
    if block.connections:
        return msgspec.structs.replace(changed, connections=list(wishes.connections) or block.connections)
    if not wishes.users and not wishes.rates_per_s:
        return changed
    rates = list(wishes.rates_per_s)
    return msgspec.structs.replace(
        changed, users=list(wishes.users), rates_per_s=rates, capacity_shares=[], held_to_per_s=rates
    )


class LoadOf(NamedTuple):
    """The load of one trial, as the fields of its plan."""

    users: int | None = None
    rate_per_s: float | None = None
    capacity_share: float | None = None
    connections: int | None = None


def _loads(block: Block) -> list[LoadOf]:
    return [
        *(LoadOf(users) for users in block.users if not block.held_to_per_s),
        *(LoadOf(users, held_to) for users in block.users for held_to in block.held_to_per_s),
        *(LoadOf(rate_per_s=rate) for rate in block.rates_per_s),
        *(LoadOf(capacity_share=share) for share in block.capacity_shares),
        *(LoadOf(connections=count) for count in block.connections),
    ]


def _cross(block: Block, profile: Profile, wishes: Wishes) -> list[TrialPlan]:
    return [
        TrialPlan(
            stack=parse_stack(stack),
            request=parse_request(request),
            repeat=0,
            middleware=tuple(middleware),
            warmup_s=profile.warmup_s,
            duration_s=wishes.duration_s or profile.duration_s,
            schedule=wishes.schedule,
            seed=wishes.seed,
            freeze=Freeze(*block.freeze) if block.freeze else None,
            outage=Outage(*block.outage) if block.outage else None,
            engine=wishes.engine,
            target=wishes.target,
            leave_after_s=block.leave_after_s,
            staying=round(block.staying_share * (load.connections or 0)),
            max_connections=block.max_connections,
            count_hops=block.count_hops and wishes.target is None,
            **load._asdict(),
        )
        for request in block.requests
        for load in _loads(block)
        for middleware in block.middleware
        for stack in block.stacks
    ]


def capacity_trials(experiment: Experiment, trials: Sequence[TrialPlan]) -> list[TrialPlan]:
    """The closed loops that must be measured first, because some rate is a share of what they show."""
    relative = [trial for trial in trials if trial.capacity_share is not None]
    return _once(_capacity_trial(trial, experiment.capacity_users) for trial in relative)


def _capacity_trial(trial: TrialPlan, users: int) -> TrialPlan:
    return replace(trial, users=users, capacity_share=None, rate_per_s=None, freeze=None)


def resolved(plan: TrialPlan, trials: Iterable[Trial], capacity_users: int) -> TrialPlan:
    """The plan with its rate, where that is a share of the capacity measured in the trials made so far.

    The capacity is the median throughput over restarts, rounded to three digits with the share. Raises NotRun where
    none was measured.
    """
    if plan.capacity_share is None:
        return plan
    like = blank(_capacity_trial(plan, capacity_users))
    found = [
        trial.throughput_per_s
        for trial in trials
        if trial.throughput_per_s
        and (trial.stack, trial.request, trial.middleware, trial.users, trial.rate_per_s)
        == (like.stack, like.request, like.middleware, like.users, None)
    ]
    if not found:
        raise NotRun(f"The capacity of {plan.stack.name} was not measured, so its rates are not known.")
    rate_per_s = plan.capacity_share * statistics.median(found)
    return replace(plan, rate_per_s=float(f"{rate_per_s:.3g}"))


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
    first = capacity_trials(experiment, trials)
    rest = [trial for trial in trials if _identity(trial) not in set(map(_identity, first))]
    ordered = [*in_random_order(first, repeats, wishes.seed), *in_random_order(rest, repeats, wishes.seed)]
    plan = Plan(
        stacks=_each_once(trial.stack.name for trial in trials),
        requests=_each_once(trial.request.name for trial in trials),
        loads=_each_once(blank(trial).load_text for trial in [*first, *rest]),
        middleware=_each_once(",".join(trial.middleware) for trial in trials),
        repeats=repeats,
        trials=len(ordered),
        warmup_s=profile.warmup_s,
        duration_s=wishes.duration_s or profile.duration_s,
        load_processes=wishes.engine.processes,
        seed=wishes.seed,
        schedule=wishes.schedule,
        expect_workers=wishes.engine.expect_workers,
        target=wishes.target,
        claims=claims_about(experiment.claims, [blank(trial) for trial in [*first, *rest]]),
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
        environment=environment.describe() | _database_of(trials),
        plan=plan,
        trials=[],
    )
    return run, ordered


def _database_of(trials: Iterable[TrialPlan]) -> dict[str, str]:
    """What the database is, where one will be asked. UsageError where LAB_DATABASE_URL is not understood."""
    asked = any(plan.request.workload.needs_database and not plan.target for plan in trials)
    return {"database": source().says} if asked else {}


def _each_once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def perform(
    run: Run,
    ordered: Sequence[TrialPlan],
    folder: Path,
    *,
    before: Callable[[TrialPlan], None] = lambda plan: None,
    after: Callable[[Trial], None] = lambda trial: None,
    count_hops: Callable[[TrialPlan], Hops | None] = lambda plan: None,
) -> Run:
    """Make all trials, saving the run after each. Interrupted, it keeps what there is as `aborted`.

    `before` and `after` each trial somebody is told; `count_hops` gives the hops that are kept with it.

    Raises UsageError where the folder is not ours alone, NotKept where the disk does not take what was measured, and,
    once what there is has been saved, SecondInterrupt.
    """
    with unfinished.claimed(folder):
        cpus.stay_with_the_load(cpus.plan(1, run.plan.load_processes))
        preflight.raise_descriptor_limit()
        return _performed(run, ordered, folder, before, after, count_hops)


def _performed(
    run: Run,
    ordered: Sequence[TrialPlan],
    folder: Path,
    before: Callable[[TrialPlan], None],
    after: Callable[[Trial], None],
    count_hops: Callable[[TrialPlan], Hops | None],
) -> Run:
    began_s = started_s = time.monotonic()
    capacity_users = load(run.experiment).capacity_users
    try:
        for number, plan in enumerate(ordered):
            started_s = time.monotonic()
            before(plan)
            with _kept_or_told(number, len(ordered), folder):
                requests = folder / "requests" / f"{number:04}.csv.gz"
                trial = _one(plan, run.trials, capacity_users, requests, count_hops)
                run = _with(run, trial, began_s, started_s)
                record.save(run, folder)
            if run.status == "aborted":
                break
            after(trial)
    except KeyboardInterrupt as interruption:  # between two trials, or the second one
        run = _cut_short(run, ordered, began_s, started_s)
        with _kept_or_told(len(run.trials) - 1, len(ordered), folder):
            record.save(run, folder)
        if isinstance(interruption, SecondInterrupt):
            raise
    return run


@contextmanager
def _kept_or_told(kept: int, planned: int, folder: Path) -> Iterator[None]:
    """The disk's refusal as a sentence: so many trials are kept, the next one is not."""
    try:
        yield
    except OSError as error:
        shows = f"`lab report {folder}` shows the {kept} before it, " if kept else ""
        raise NotKept(
            f"Trial {kept + 1} of {planned} and those after it could not be kept "
            f"({error.strerror or error}: {error.filename or folder}): {shows}make room there and run again."
        ) from None


def _cut_short(run: Run, ordered: Sequence[TrialPlan], began_s: float, started_s: float) -> Run:
    """The run with the trial that was not to be, unless it has one."""
    left = ordered[len(run.trials) :]
    if run.status == "aborted" or not left:
        return run
    return _with(run, replace(blank(left[0]), verdict="aborted", reasons=[INTERRUPTED]), began_s, started_s)


def _one(
    plan: TrialPlan,
    trials: Sequence[Trial],
    capacity_users: int,
    keep: Path,
    count_hops: Callable[[TrialPlan], Hops | None],
) -> Trial:
    try:
        hops = count_hops(plan)
        return replace(run_trial(resolved(plan, trials, capacity_users), keep), hops=hops)
    except NotRun as error:
        return replace(blank(plan), reasons=[Reason("not-run", str(error))])


def _with(run: Run, trial: Trial, began_s: float, started_s: float) -> Run:
    """The run with one more trial, its times counted from the run's beginning."""
    now_s = time.monotonic()
    timed = replace(
        trial,
        started_s=round(started_s - began_s, 3),
        took_s=round(now_s - started_s, 3),
        window_at_s=None if trial.window_at_s is None else round(trial.window_at_s - began_s, 3),
    )
    trials = [*run.trials, timed]
    status: Status = "complete" if len(trials) == run.plan.trials else "running"
    if trial.verdict == "aborted":
        status = "aborted"
    return replace(run, trials=trials, status=status, took_s=round(now_s - began_s, 3))
