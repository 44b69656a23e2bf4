"""Makes all trials of a run, in seeded random order, and saves the run after each.

Every repeat goes once through the whole matrix in an order of its own, each trial on a server of its own, so that
what drifts on the machine meets all stacks alike and repeats are restarts (checklist: restarts).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.analyse.findings import claims_about, is_about
from bench.base.errors import NotKept, NotRun, SecondInterrupt
from bench.measure import cpu_placement, machine, orphaned_runs, preflight
from bench.measure.database.database import source
from bench.measure.trial import INTERRUPTED, run_trial
from bench.model import run_record, run_store
from bench.model.experiment import Experiment, Profile, load_experiment, profile_of
from bench.model.run_record import Assertion, Run, RunPlan, Status
from bench.model.trial_matrix import (
    Overrides,
    capacity_trials,
    identity_of,
    in_random_order,
    trials_of,
    with_measured_rate,
)
from bench.model.trial_plan import TrialPlan, planned_trial
from bench.model.trial_record import Hops, Reason, Trial


def new_run(name: str, profile_name: str, overrides: Overrides) -> tuple[Run, list[TrialPlan]]:
    """Return the run as planned, and its trials in the order in which they will be made.

    Raises UsageError for unknown names, and where the overrides do not fit the experiment.
    """
    experiment = load_experiment(name)
    profile = profile_of(experiment, profile_name)
    trials = _about(overrides.about, trials_of(experiment, profile_name, overrides))
    first = capacity_trials(experiment, trials)
    rest = [trial for trial in trials if identity_of(trial) not in set(map(identity_of, first))]
    ordered = [*in_random_order(first, overrides.seed), *in_random_order(rest, overrides.seed)]
    run = Run(
        schema=run_record.SCHEMA,
        experiment=name,
        title=experiment.title,
        question=experiment.question,
        profile=profile_name,
        status="running",
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        took_s=0.0,
        environment=machine.describe_machine(_most_cores(trials)) | _fronts_of(trials) | _database_of(trials),
        plan=_run_plan(experiment, profile, overrides, trials, [*first, *rest], len(ordered)),
        trials=[],
    )
    return run, ordered


def _about(claims: Sequence[Assertion], trials: Sequence[TrialPlan]) -> list[TrialPlan]:
    """Return the trials that one of the claims needs; all if there is no claim."""
    return [plan for plan in trials if not claims or any(is_about(claim, planned_trial(plan)) for claim in claims)]


def _run_plan(
    experiment: Experiment,
    profile: Profile,
    overrides: Overrides,
    trials: Sequence[TrialPlan],
    with_capacities: Sequence[TrialPlan],
    count: int,
) -> RunPlan:
    planned = [planned_trial(trial) for trial in with_capacities]
    return RunPlan(
        stacks=_each_once(trial.stack.name for trial in trials),
        requests=_each_once(trial.request.name for trial in trials),
        loads=_each_once(trial.load_text for trial in planned),
        middleware=_each_once(",".join(trial.middleware) for trial in trials),
        repeats=overrides.repeats or profile.repeats,
        trials=count,
        warmup_s=profile.warmup_s,
        duration_s=overrides.duration_s or profile.duration_s,
        load_processes=overrides.engine.processes,
        seed=overrides.seed,
        schedule=overrides.schedule,
        expect_workers=overrides.engine.expect_workers,
        target=overrides.target,
        engine=overrides.engine.program,
        claims=claims_about(experiment.claims, planned),
        server_cores=_most_cores(trials),
    )


def _most_cores(trials: Iterable[TrialPlan]) -> int | None:
    """Return the most cores that a trial's server is to have; None where each has one for each process."""
    return max((trial.server_cores for trial in trials if trial.server_cores), default=None)


def _fronts_of(trials: Iterable[TrialPlan]) -> dict[str, dict[str, str]]:
    """The versions of what stands in front of servers; nothing where no server has a front."""
    fronts = {front.name: front for plan in trials if (front := plan.stack.front) and not plan.target}
    return {"fronts": machine.front_versions(fronts.values())} if fronts else {}


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
    """Make all trials, and save the run after each. An interrupted run is `aborted` and keeps what was measured.

    `before` and `after` are called around each trial, and `count_hops` gives the hops that are kept with it.

    Raises UsageError where the folder is not ours alone, NotKept where the disk does not take what was measured, and,
    once everything is saved, SecondInterrupt.
    """
    experiment = load_experiment(run.experiment)
    with orphaned_runs.claim(folder):
        cpu_placement.bind_to_load_cores(cpu_placement.plan(1, run.plan.load_processes, run.plan.server_cores))
        preflight.raise_descriptor_limit()
        began_s = started_s = time.monotonic()
        try:
            for number, plan in enumerate(ordered):
                started_s = time.monotonic()
                before(plan)
                with _refusal_as_not_kept(number, len(ordered), folder):
                    requests_path = folder / "requests" / f"{number:04}.csv.gz"
                    trial = run_one(plan, run.trials, experiment, requests_path, count_hops)
                    run = append_trial(run, trial, began_s, started_s)
                    run_store.save_run(run, folder)
                if run.status == "aborted":
                    break
                after(trial)
        except KeyboardInterrupt as interruption:  # between two trials, or the second one
            run = _cut_short(run, ordered, began_s, started_s)
            with _refusal_as_not_kept(len(run.trials) - 1, len(ordered), folder):
                run_store.save_run(run, folder)
            if isinstance(interruption, SecondInterrupt):
                raise
    return run


@contextmanager
def _refusal_as_not_kept(kept: int, planned: int, folder: Path) -> Iterator[None]:
    """Raise NotKept for an OSError: it says how many trials are kept, and what to do."""
    try:
        yield
    except OSError as error:
        shows = f"`lab report {folder}` shows the {kept} before it, " if kept else ""
        raise NotKept(
            f"Trial {kept + 1} of {planned} and those after it could not be kept "
            f"({error.strerror or error}: {error.filename or folder}): {shows}make room there and run again."
        ) from None


def _cut_short(run: Run, ordered: Sequence[TrialPlan], began_s: float, started_s: float) -> Run:
    """The run with an aborted trial at its end, unless it has one or all are made."""
    left = ordered[len(run.trials) :]
    if run.status == "aborted" or not left:
        return run
    return append_trial(
        run, replace(planned_trial(left[0]), verdict="aborted", reasons=[INTERRUPTED]), began_s, started_s
    )


def run_one(
    plan: TrialPlan,
    trials: Sequence[Trial],
    experiment: Experiment,
    requests_path: Path,
    count_hops: Callable[[TrialPlan], Hops | None],
) -> Trial:
    """Run one trial with its hops counted. A trial that cannot begin is `not-run`, with the reason."""
    try:
        experiment.require_environment(plan.stack.environment)
        hops = count_hops(plan)
        plan_now = with_measured_rate(plan, trials, experiment.capacity_users)
        return replace(run_trial(plan_now, requests_path), hops=hops)
    except NotRun as error:
        return replace(planned_trial(plan), reasons=[Reason("not-run", str(error))])


def append_trial(run: Run, trial: Trial, began_s: float, started_s: float) -> Run:
    """Return the run with one more trial, whose times count from the beginning of the run."""
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
