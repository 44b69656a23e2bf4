"""The one list of what makes a number honest: what is asked, where it is a gate, what proves it.

`bench/README.md` is rendered from it, a test checks that every place named exists, and `lab doctor` runs the checks
that need no trial.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.analyse import queueing
from bench.cli.places import PLACES
from bench.measure import cpu_placement, machine
from bench.model import experiment
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request

BENCH = Path(__file__).parents[1]
TIMER_LOOKS, TIMER_STEP_S, TIMER_LATE_US = 200, 0.002, 2000
SHAPES = (
    *(
        "latency_us",
        "latency_from_send_us",
        "server.",
        "issued",
        "completed",
        "failed",
        "dropped",
        "hops.",
        "held.",
        "gone.",
        "waves.",
        "database.",
    ),
    "fraction_of_limit",
)
Seen = tuple[bool, str]
"""Whether it holds here, and what was seen."""


@dataclass(frozen=True)
class Item:
    """One item: `gates` are names in bench, `tests` are files and names of tests in bench; `check` needs no trial.

    Other modules cite an item by its `name`.
    """

    number: int
    name: str
    asks: str
    gates: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    check: Callable[[], Seen] | None = None


def cores_apart() -> Seen:
    """2: server and load on cores of their own."""
    where = cpu_placement.plan(1)
    return not where.shared, f"server on {where.server}, load on {where.load}"


@cache
def _experiments() -> dict[str, experiment.Experiment]:
    return {name: experiment.load_experiment(name) for name in experiment.experiment_names()}


def _lacking(holds: Callable[[experiment.Experiment], bool], good: str) -> Seen:
    """Whether it holds for every experiment, naming those for which it does not."""
    lacking = [name for name, one in _experiments().items() if not holds(one)]
    return not lacking, f"not in {', '.join(lacking)}" if lacking else good


def threads_swept() -> Seen:
    """3: wherever threads are compared with an event loop at N users, some pool has N threads."""
    return _lacking(_has_enough_threads, "every experiment that compares pools with loops has a pool large enough")


def _has_enough_threads(one: experiment.Experiment) -> bool:
    return all(map(_block_has_enough_threads, one.matrix))


def _block_has_enough_threads(block: experiment.Block) -> bool:
    stacks = [parse_stack(name) for name in block.stacks]
    pools = [stack.request_slots or 0 for stack in stacks if stack.lab.interface == "wsgi"]
    compares = (
        bool(pools)
        and len(pools) < len(stacks)
        and any(parse_request(request).workload.name == "wait" for request in block.requests)
    )
    return not compares or max(pools) >= max(block.users, default=0)


def sync_in_asgi_shown() -> Seen:
    """4: wherever async views are compared with sync ones, sync views behind ASGI are an arm of their own."""
    return _lacking(_has_sync_in_asgi, "every experiment that compares labs has the arm sync_asgi")


def _has_sync_in_asgi(one: experiment.Experiment) -> bool:
    labs = {parse_stack(name).lab.name for block in one.matrix for name in block.stacks}
    return not {"sync_wsgi", "async_asgi"} <= labs or "sync_asgi" in labs


def restarts_enough() -> Seen:
    """7: the reference profile restarts every server five times or more."""
    return _lacking(
        lambda one: not one.reference or one.profiles["reference"].repeats >= 5,
        "five restarts or more in every reference profile",
    )


def timers_sharp() -> Seen:
    """9: how late this machine wakes a process that sleeps, beside what the open loop may be late."""
    late_us = sorted(_lateness_us() for _ in range(TIMER_LOOKS))
    p99_us = late_us[int(0.99 * TIMER_LOOKS)]
    return p99_us < TIMER_LATE_US, f"99 of 100 wake-ups come within {p99_us:,.0f} µs"


def _lateness_us() -> float:
    meant_s = time.monotonic() + TIMER_STEP_S
    time.sleep(TIMER_STEP_S)
    return 1e6 * (time.monotonic() - meant_s)


def clock_monotonic() -> Seen:
    """14: durations come from a clock that nobody sets."""
    info = time.get_clock_info("monotonic")
    return info.monotonic and not info.adjustable, f"{info.implementation}, resolution {info.resolution:g} s"


def limit_bounds() -> Seen:
    """15: a queueing model's best case stays below the limit that gates every trial."""
    limit_per_s = queueing.limit_per_s(users=50, io_wait_s=0.1, cpu_s=0.001, threads=8)
    (point,) = queueing.thread_pool_curve([50], io_wait_s=0.1, cpu_s=0.001, threads=8)
    return point.throughput_per_s <= limit_per_s, f"a pool of 8 at 50 users: {point.throughput_per_s / limit_per_s:.0%}"


def environment_told() -> Seen:
    """18: what a run will say about this machine."""
    unknown = [name for name, value in machine.describe_machine().items() if value is None]
    return len(unknown) < 4, f"not readable here: {', '.join(unknown)}" if unknown else "everything readable"


def losses_shown() -> Seen:
    """19: CPU work, tiny views and a blocking call are asked for by some experiment or counted by a test."""
    requests = [request for one in _experiments().values() for block in one.matrix for request in block.requests]
    asked = {parse_request(request).workload.name for request in requests}
    missing = {"hello", "burn"} - asked
    return (
        not missing,
        f"no experiment asks for {', '.join(sorted(missing))}" if missing else "hello and burn are asked",
    )


def claims_relative() -> Seen:
    """21: no claim is about an absolute rate."""
    return _lacking(_claims_no_rate, "all claims are ratios, orderings, shapes, counts or forced latencies")


def _claims_no_rate(one: experiment.Experiment) -> bool:
    alone = (claim for claim in one.claims if claim.right is None and not claim.order)
    return all(claim.measure.startswith(SHAPES) for claim in alone)


def client_headroom() -> Seen:
    """10: the generator's share of its core, above which a trial is client-limited."""
    from bench.measure.calibrate import load_calibration

    peak_per_s = load_calibration().peak_per_s
    return peak_per_s > 0, f"Locust sustained {peak_per_s:,.0f} requests/s where the reference runs were made"


CHECKLIST = (
    Item(
        1,
        "equal work",
        "Equal work: the same bytes from every stack, probed on the live server before timing.",
        ("measure.contract.check_answer",),
        ("test_contract.py::test_every_stack_answers_every_workload",),
    ),
    Item(
        2,
        "equal cores",
        "Equal processes and cores, read from the running process; server and load apart, or the run says so.",
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
        "The thread budget is swept: some WSGI arm has a thread for every request in flight.",
        ("cli.checklist.threads_swept",),
        ("test_checklist.py::test_what_needs_no_trial_holds",),
        threads_swept,
    ),
    Item(
        4,
        "sync inside shown",
        "Sync views behind ASGI are an arm of their own; threads are sampled and stand beside every throughput.",
        ("cli.checklist.sync_in_asgi_shown", "show.tables.columns.COLUMNS"),
        ("test_checklist.py::test_what_needs_no_trial_holds",),
        sync_in_asgi_shown,
    ),
    Item(
        5,
        "readiness",
        "Readiness is asked of our own instance, by a nonce, never slept for.",
        ("measure.readiness._wait_until_ready",),
        ("test_servers.py::test_a_stranger_who_came_between_is_told_by_the_nonce",),
    ),
    Item(
        6,
        "warm-up",
        "The warm-up follows a rule fixed beforehand; the window's halves are compared.",
        ("model.trial_plan.TrialPlan", "analyse.gates._answer_checks"),
        ("test_gates.py::test_a_number_with_a_reservation_is_degraded",),
    ),
    Item(
        7,
        "restarts",
        "Repeats are server restarts, shuffled and interleaved by a stored seed; intervals by bootstrap over them.",
        ("model.trial_matrix.in_random_order", "analyse.stats.ratio_interval"),
        ("test_trial_matrix.py::test_each_repeat_is_one_pass_over_all_trials_in_an_order_of_its_own",),
        restarts_enough,
    ),
    Item(
        8,
        "intended send",
        "Open-loop latency runs from the intended send; the uncorrected distribution stands beside it.",
        ("measure.load.open_loop.schedule", "model.trial_record.Trial"),
        ("test_freeze.py::test_the_open_loop_sees_a_freeze_that_the_closed_loop_hides",),
    ),
    Item(
        9,
        "dispatch lateness",
        "Dispatch lateness p99 is below 2 ms or 5 % of the median latency, else the point is client-limited.",
        ("analyse.gates._is_late",),
        ("test_gates.py::test_a_number_with_a_reservation_is_degraded",),
        timers_sharp,
    ),
    Item(
        10,
        "client headroom",
        "The generator stays below 70 % of its core; it was calibrated against a null server.",
        ("analyse.gates._is_client_busy", "measure.calibrate.calibrate"),
        ("test_closed.py::test_locust_and_wrk_agree_within_3_percent",),
        client_headroom,
    ),
    Item(
        11,
        "accounting",
        "The books balance exactly: scheduled = completed + failed + timed out + dropped + in flight.",
        ("measure.load.recording.Recording", "analyse.gates._invalidating"),
        ("test_closed.py::test_several_load_processes_merge_exactly",),
    ),
    Item(
        12,
        "errors apart",
        "Errors never enter latencies; above 0.1 % of them no latency is claimed.",
        ("analyse.gates._answer_checks", "measure.load.closed.Recorder"),
        ("test_closed.py::test_an_answer_that_is_not_right_is_counted_by_class_and_has_no_latency",),
    ),
    Item(
        13,
        "no survivorship",
        "No survivorship: what is unanswered after the drain is kept with its age, percentiles say at least.",
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
        "Little's law is an audit, a point above its limit a bug; completions count whatever their start.",
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
        "S, the CPU per request, is the server's CPU time divided by its answers, never fitted.",
        ("measure.process_usage.cpu_time_s", "measure.trial_metrics._against_limit"),
        ("test_trial.py::test_a_good_trial_is_below_its_limit_with_a_measured_cpu_time",),
    ),
    Item(
        17,
        "limiter named",
        "The limiter of every plateau is named: threads, server CPU, client, upstream, backlog.",
        ("analyse.utilisation.observed_bottleneck", "analyse.plateaus.plateaus_of"),
        ("test_utilisation.py::test_the_fullest_is_the_limiter",),
    ),
    Item(
        18,
        "environment kept",
        "The run says what it was made on: CPU, kernel, limits, load before, versions, commands, lock, git, seed.",
        ("measure.machine.describe_machine",),
        ("test_checklist.py::test_what_needs_no_trial_holds",),
        environment_told,
    ),
    Item(
        19,
        "losses shown",
        "Where async loses is shown: CPU work, tiny views, a blocking call in an async view.",
        ("cli.checklist.losses_shown",),
        ("test_counts.py::test_a_blocking_call_in_an_async_view_lets_one_inside_and_stalls_every_request",),
        losses_shown,
    ),
    Item(
        20,
        "waste measured",
        "What a client that leaves wastes, and what SIGTERM loses, is measured.",
        (),
        (
            "test_leaving.py::test_a_client_that_leaves_cancels_an_async_view_and_nothing_else",
            "test_leaving.py::test_sigterm_loses_what_takes_longer_than_the_grace",
        ),
    ),
    Item(
        21,
        "relative claims",
        "CI asserts counts, shapes, orderings and ratios with intervals, never absolute rates.",
        ("cli.checklist.claims_relative",),
        ("test_checklist.py::test_what_needs_no_trial_holds",),
        claims_relative,
    ),
)


def unknown_places() -> list[str]:
    """Names in this list and in PLACES that lead nowhere: no such thing in bench, no such test."""
    named = [place for one in CHECKLIST for place in (*one.gates, *one.tests)]
    return [place for place in [*named, *(place for _, place in PLACES)] if not exists(place)]


def test_file(name: str) -> Path | None:
    """Where the file of tests is: its name is the only one in bench. None where there is none."""
    return next(BENCH.rglob(f"tests/{name}"), None)


def exists(place: str) -> bool:
    """Whether there is such a thing in bench, or such a test."""
    if "::" in place:
        file, _, test = place.partition("::")
        path = test_file(file)
        return path is not None and f"def {test}(" in path.read_text()
    module, _, name = place.rpartition(".")
    path = BENCH / f"{module.replace('.', '/')}.py"
    return path.exists() and bool(re.search(rf"^(def|class) {name}\b|^{name}\b", path.read_text(), re.MULTILINE))
