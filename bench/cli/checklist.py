"""The one list of what makes a number honest: each requirement, the code that enforces it, the tests that prove it.

`bench/README.md` is rendered from it, a test checks that every place named exists, and `lab doctor` runs the checks
that need no trial.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.analyse import queueing
from bench.measure import cpu_placement, machine
from bench.measure.calibrate import load_calibration
from bench.model.experiment import Block, Experiment, experiment_names, load_experiment
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.show.tables.formatting import percent

BENCH = Path(__file__).parents[1]
TIMER_LOOKS, TIMER_STEP_S, TIMER_LATE_US = 200, 0.002, 2000
RELATIVE_MEASURES = (
    *("latency_us", "latency_from_send_us", "server.", "issued", "completed", "failed", "dropped"),
    *("hops.", "held.", "gone.", "waves.", "database.", "fraction_of_limit", "slow.kept_share", "slow.inside_most"),
    *("streams.carried", "streams.gap_growth", "streams.stopped", "streams.in_vain", "streams.parts_in_vain"),
)
"""Beginnings of measures that are no absolute rate."""
Result = tuple[bool, str]
"""Whether the requirement holds here, and what was seen."""


@dataclass(frozen=True)
class Item:
    """One item: `gates` are names in bench, `tests` are files and names of tests in bench; `check` needs no trial.

    Other modules cite an item by its `name`.
    """

    number: int
    name: str
    requires: str
    gates: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    check: Callable[[], Result] | None = None


def cores_apart() -> Result:
    """2: server and load have cores of their own."""
    where = cpu_placement.plan(1)
    return not where.shared, f"server on {where.server}, load on {where.load}"


@cache
def _experiments() -> dict[str, Experiment]:
    return {name: load_experiment(name) for name in experiment_names()}


def _in_every_experiment(holds: Callable[[Experiment], bool], good: str) -> Result:
    """Whether it holds for every experiment, with the names of those for which it does not."""
    lacking = [name for name, one in _experiments().items() if not holds(one)]
    return not lacking, f"not in {', '.join(lacking)}" if lacking else good


def threads_swept() -> Result:
    """3: wherever threads are compared with an event loop at N users, some pool has N threads."""
    good = "every experiment that compares pools with loops has a pool large enough"
    return _in_every_experiment(lambda one: all(map(_has_enough_threads, one.matrix)), good)


def _has_enough_threads(block: Block) -> bool:
    stacks = [parse_stack(name) for name in block.stacks]
    pools = [stack.request_slots or 0 for stack in stacks if stack.lab.interface == "wsgi"]
    waits = any(parse_request(request).workload.name == "wait" for request in block.requests)
    return not (waits and 0 < len(pools) < len(stacks)) or max(pools) >= max(block.users, default=0)


def sync_in_asgi_shown() -> Result:
    """4: wherever async views are compared with sync ones, sync views behind ASGI are measured as well."""
    return _in_every_experiment(_has_sync_in_asgi, "every experiment that compares labs measures sync_asgi")


def _has_sync_in_asgi(one: Experiment) -> bool:
    labs = {parse_stack(name).lab.name for block in one.matrix for name in block.stacks}
    return not {"sync_wsgi", "async_asgi"} <= labs or "sync_asgi" in labs


def restarts_enough() -> Result:
    """7: the reference profile restarts every server five times or more."""
    good = "five restarts or more in every reference profile"
    return _in_every_experiment(lambda one: not one.reference or one.profiles["reference"].repeats >= 5, good)


def timers_sharp() -> Result:
    """9: measure how late this machine wakes a process that sleeps; the open loop may be late by TIMER_LATE_US."""
    late_us = sorted(_measure_lateness_us() for _ in range(TIMER_LOOKS))
    p99_us = late_us[int(0.99 * TIMER_LOOKS)]
    return p99_us < TIMER_LATE_US, f"99 of 100 wake-ups come within {p99_us:,.0f} µs"


def _measure_lateness_us() -> float:
    meant_s = time.monotonic() + TIMER_STEP_S
    time.sleep(TIMER_STEP_S)
    return 1e6 * (time.monotonic() - meant_s)


def client_headroom() -> Result:
    """10: the load generator has been calibrated."""
    peak_per_s = load_calibration().peak_per_s
    return peak_per_s > 0, f"Locust sustained {peak_per_s:,.0f} requests/s where the reference runs were made"


def clock_monotonic() -> Result:
    """14: durations come from a clock that cannot be set."""
    info = time.get_clock_info("monotonic")
    return info.monotonic and not info.adjustable, f"{info.implementation}, resolution {info.resolution:g} s"


def limit_bounds() -> Result:
    """15: a queueing model's best case stays below the limit that every trial is checked against."""
    limit_per_s = queueing.limit_per_s(users=50, io_wait_s=0.1, cpu_s=0.001, threads=8)
    (point,) = queueing.thread_pool_curve([50], io_wait_s=0.1, cpu_s=0.001, threads=8)
    return (
        point.throughput_per_s <= limit_per_s,
        f"a pool of 8 at 50 users: {percent(point.throughput_per_s / limit_per_s)}",
    )


def environment_told() -> Result:
    """18: a run can describe this machine."""
    unknown = [name for name, value in machine.describe_machine().items() if value is None]
    return len(unknown) < 4, f"not readable here: {', '.join(unknown)}" if unknown else "everything readable"


def losses_shown() -> Result:
    """19: some experiment requests CPU work and tiny views."""
    requests = [request for one in _experiments().values() for block in one.matrix for request in block.requests]
    missing = ", ".join(sorted({"hello", "burn"} - {parse_request(request).workload.name for request in requests}))
    return not missing, f"no experiment requests {missing}" if missing else "hello and burn are requested"


def claims_relative() -> Result:
    """21: no claim is about an absolute rate."""
    return _in_every_experiment(_claims_no_rate, "all claims are ratios, orderings, shapes, counts or forced latencies")


def _claims_no_rate(one: Experiment) -> bool:
    alone = (claim for claim in one.claims if claim.right is None and not claim.order)
    return all(claim.measure.startswith(RELATIVE_MEASURES) for claim in alone)


CHECKLIST = (
    Item(
        1,
        "equal work",
        "Every stack answers with the same bytes; the running server is checked before timing.",
        ("measure.contract.check_answer",),
        ("test_contract.py::test_every_stack_answers_every_workload",),
    ),
    Item(
        2,
        "equal cores",
        "Every stack has the same number of processes and cores, read from the running process. Server and load "
        "have separate cores, or the run says that they do not.",
        ("measure.cpu_placement.plan", "analyse.gates._machine_checks"),
        (
            "test_contract.py::test_as_many_processes_answer_as_the_budget_says",
            "test_contract.py::test_every_thread_of_the_server_is_bound_to_its_cores",
        ),
        cores_apart,
    ),
    Item(
        3,
        "threads swept",
        "Thread budgets vary: some WSGI stack has a thread for every request in flight.",
        ("cli.checklist.threads_swept",),
        ("test_checklist.py::test_what_needs_no_trial_holds",),
        threads_swept,
    ),
    Item(
        4,
        "sync inside shown",
        "Sync views behind ASGI are measured separately. Threads are sampled and shown beside every throughput.",
        ("cli.checklist.sync_in_asgi_shown", "show.tables.columns.COLUMNS"),
        ("test_checklist.py::test_what_needs_no_trial_holds",),
        sync_in_asgi_shown,
    ),
    Item(
        5,
        "readiness",
        "A server counts as ready when it answers with this trial's nonce; we never just sleep.",
        ("measure.readiness._wait_until_ready",),
        ("test_servers.py::test_a_stranger_who_came_between_is_told_by_the_nonce",),
    ),
    Item(
        6,
        "warm-up",
        "The warm-up follows a fixed rule, and the two halves of the window are compared.",
        ("model.trial_plan.TrialPlan", "analyse.gates._answer_checks"),
        ("test_gates.py::test_a_number_with_a_reservation_is_degraded",),
    ),
    Item(
        7,
        "restarts",
        "Repeats are server restarts, shuffled and interleaved by a stored seed. Intervals come from a bootstrap "
        "over restarts.",
        ("model.trial_matrix.in_random_order", "analyse.stats.ratio_interval"),
        ("test_trial_matrix.py::test_each_repeat_is_one_pass_over_all_trials_in_an_order_of_its_own",),
        restarts_enough,
    ),
    Item(
        8,
        "intended send",
        "Open-loop latency counts from the time at which a request should be sent. The uncorrected one is stored too.",
        ("measure.load.open_loop.schedule", "model.trial_record.Trial"),
        ("test_freeze.py::test_the_open_loop_sees_a_freeze_that_the_closed_loop_hides",),
    ),
    Item(
        9,
        "dispatch lateness",
        "The p99 of dispatch lateness is below 2 ms or 5 % of the median latency; otherwise the point is client-"
        "limited.",
        ("analyse.gates._is_late",),
        ("test_gates.py::test_a_number_with_a_reservation_is_degraded",),
        timers_sharp,
    ),
    Item(
        10,
        "client headroom",
        "The load generator uses less than 70 % of its core. It was calibrated against a null server.",
        ("analyse.gates._is_client_busy", "measure.calibrate.calibrate"),
        ("test_closed.py::test_locust_and_wrk_agree_within_3_percent",),
        client_headroom,
    ),
    Item(
        11,
        "accounting",
        "Every request is accounted for: scheduled = completed + failed + timed out + dropped + in flight.",
        ("measure.load.recording.Recording", "analyse.gates._invalidating"),
        ("test_closed.py::test_several_load_processes_merge_exactly",),
    ),
    Item(
        12,
        "errors apart",
        "Errors are left out of latencies. With more than 0.1 % errors no latency is claimed.",
        ("analyse.gates._answer_checks", "measure.load.closed.Recorder", "measure.load.wrk.recording_of"),
        ("test_closed.py::test_an_answer_that_is_not_right_is_counted_by_class_and_has_no_latency",),
    ),
    Item(
        13,
        "no survivorship",
        "Requests that are unanswered after the drain are kept with their age, and percentiles become lower bounds.",
        ("measure.trial_metrics.at_least",),
        ("test_trial_metrics.py::test_what_was_not_answered_makes_percentiles_lower_bounds",),
    ),
    Item(
        14,
        "monotonic clocks",
        "Durations and rates come from monotonic clocks.",
        ("measure.monitor.WindowRunner",),
        ("test_faults_of_lab.py::test_a_wall_clock_that_steps_by_an_hour_changes_no_number",),
        clock_monotonic,
    ),
    Item(
        15,
        "Little's law",
        "Little's law is checked, and a point above its limit is a bug. Completions in the window count, whenever"
        " they started.",
        ("analyse.gates._is_above_limit", "analyse.gates._littles_law"),
        (
            "test_closed.py::test_the_recorder_counts_completions_inside_its_window_whatever_their_start",
            "test_gates.py::test_the_window_may_cut_one_request_of_every_slot_in_our_favour",
        ),
        limit_bounds,
    ),
    Item(
        16,
        "measured S",
        "S, the CPU time per request, is the server's CPU time divided by its answers. It is never fitted.",
        ("measure.process_usage.cpu_time_s", "measure.trial_metrics._against_limit"),
        ("test_trial.py::test_a_good_trial_is_below_its_limit_with_a_measured_cpu_time",),
    ),
    Item(
        17,
        "limiter named",
        "Every plateau names its limiter: threads, server CPU, client, upstream or accept queue.",
        ("analyse.utilisation.observed_bottleneck", "analyse.plateaus.plateaus_of"),
        ("test_utilisation.py::test_the_fullest_is_the_limiter",),
    ),
    Item(
        18,
        "environment kept",
        "A run records its machine: CPU, kernel, limits, load before, versions, commands, lock, git, seed. "
        "Each trial records what its running server says of itself: interpreter, GIL, versions.",
        ("measure.machine.describe_machine", "measure.contract.ask_environment"),
        (
            "test_checklist.py::test_what_needs_no_trial_holds",
            "test_environments.py::test_a_server_runs_in_its_environment_and_says_so",
        ),
        environment_told,
    ),
    Item(
        19,
        "losses shown",
        "The lab shows where async loses: CPU work, tiny views, a blocking call in an async view.",
        ("cli.checklist.losses_shown",),
        ("test_counts.py::test_a_blocking_call_in_an_async_view_lets_one_inside_and_stalls_every_request",),
        losses_shown,
    ),
    Item(
        20,
        "waste measured",
        "The lab measures the work wasted on clients that disconnect, and the requests lost at SIGTERM.",
        (),
        (
            "test_leaving.py::test_a_client_that_leaves_cancels_an_async_view_and_nothing_else",
            "test_leaving.py::test_sigterm_loses_what_takes_longer_than_the_grace",
        ),
    ),
    Item(
        21,
        "relative claims",
        "CI asserts counts, shapes, orderings, and ratios with intervals. It never asserts absolute rates.",
        ("cli.checklist.claims_relative",),
        ("test_checklist.py::test_what_needs_no_trial_holds",),
        claims_relative,
    ),
)


def path_of_tests(name: str) -> Path | None:
    """The path of a file of tests, whose name is the only one in bench; None if there is none."""
    return next(BENCH.rglob(f"tests/{name}"), None)
