"""The gates: from a trial's own evidence to its verdict and the reasons for it. `checklist.py` says which is which.

Locust's exit status is not asked: it is 0 also when a worker was killed or every connection refused.
"""

from collections.abc import Iterator, Mapping

from bench.analyse.stats import halves_differ, littles_law_error, littles_law_noise
from bench.analyse.utilisation import CLIENT_FULL, ceiling_per_s, least_s
from bench.model.trial_record import ASKED_FOR, Reason, Trial, Verdict
from bench.model.workloads import WORKLOADS

MAX_ERROR_SHARE = 0.001  # above it there is no latency claim (checklist: errors apart)
MAX_LATENESS_US, MAX_LATENESS_SHARE = 2000, 0.05
"""p99 of an open loop's sends, or of the median latency (checklist: dispatch lateness)."""
MAX_LITTLE_ERROR = 0.05  # checklist: Little's law
MAX_OVER_LIMIT = 1.02  # beside the one request of every slot that the window's edge may cut in our favour
MAX_DRIFT = 0.10  # between the halves of the window (checklist: warm-up)
MAX_UNSEEN = 0.50  # of the window, while the lab was held up
MAX_OTHER_CORES = 0.30  # kept busy by programs that are not ours, or kept by the machine's host


class TrialInvalid(Exception):
    """The measurement was broken off; the reason says by what."""

    def __init__(self, code: str, message: str) -> None:
        self.reason = Reason(code, message)
        super().__init__(message)


def judge(
    trial: Trial, *, lost: int, mean_latency_s: float, shortest_s: float | None = None
) -> tuple[Verdict, list[Reason]]:
    """`invalid` where a number would be wrong, `degraded` where it stands with a reservation, else `ok`.

    `lost`: requests missing from the books; `mean_latency_s` and `shortest_s`: of right answers.
    """
    invalid = list(_invalidating(trial, lost, shortest_s)) or list(_unseen(trial))
    if invalid:
        return "invalid", invalid
    degraded = [*_answer_checks(trial, mean_latency_s), *_load_checks(trial), *_machine_checks(trial)]
    return ("degraded" if degraded else "ok"), degraded


def judge_connections(
    trial: Trial, *, shortest_s: float | None, missed_a_phase: bool, driver_shares: Mapping[str, float]
) -> tuple[Verdict, list[Reason]]:
    """As `judge`, for a trial of connections.

    `shortest_s`: the shortest time of a right answer, where it was kept. `missed_a_phase`: a phase began while the lab
    was held up. `driver_shares`: of its core that the driver used in the phases whose delays are measured.
    """
    invalid = list(_invalid_connections(trial, shortest_s)) or list(
        reasons_of(trial, "lab-gap") if missed_a_phase else ()
    )
    if invalid:
        return "invalid", invalid
    degraded = [
        Reason("client-limited", f"The driver used {share:.0%} of its core while {phase}: delays are its own.")
        for phase, share in driver_shares.items()
        if share > CLIENT_FULL
    ]
    degraded += _machine_checks(trial)
    return ("degraded" if degraded else "ok"), degraded


def _invalid_connections(trial: Trial, shortest_s: float | None) -> Iterator[Reason]:
    if trial.held and trial.held.served + trial.held.starved + trial.failed != trial.connections:
        yield Reason("accounting", "Some feeds are missing from the driver's accounting.")
    yield from torn(trial)
    if is_too_early(trial, shortest_s):
        yield too_early(trial, shortest_s or 0.0)


def _invalidating(trial: Trial, lost: int, shortest_s: float | None) -> Iterator[Reason]:
    answered = trial.completed + trial.failed
    wrong = trial.errors.get("wrong body", 0)
    yield from reasons_of(trial, "server-restarted")  # the CPU time of a process that has ended cannot be read any more
    if lost:
        yield Reason("accounting", f"{lost} requests are missing from the load's books.")
    yield from torn(trial)
    if wrong:
        yield Reason("wrong-answers", f"{wrong} of {answered} answers had another body than the contract's.")
    if not trial.throughput_per_s:
        yield Reason("no-answers", f"No request was answered rightly in the window{_classes(trial)}.")
    if is_too_early(trial, shortest_s):
        yield too_early(trial, shortest_s or 0.0)
    elif _is_above_limit(trial):
        yield Reason("above-limit", f"{_share_of_limit(trial):.0%} of the physical limit: {_whose_fault(trial)}.")


def _unseen(trial: Trial) -> Iterator[Reason]:
    """A window that the lab did not look at for most of its time: told where nothing else speaks against it."""
    if sum(event.for_s for event in trial.events if event.code == "lab-gap") > MAX_UNSEEN * trial.duration_s:
        yield from reasons_of(trial, "lab-gap")


def torn(trial: Trial) -> Iterator[Reason]:
    """Payments that were left half done by a workload that promises they never are."""
    if trial.database and trial.database.coins_off and not WORKLOADS[trial.workload].may_tear:
        yield Reason("torn", f"The accounts' sum moved by {trial.database.coins_off}: payments were left half done.")


def reasons_of(trial: Trial, code: str) -> Iterator[Reason]:
    """One reason for all events of a code: the first one's message, and how many followed."""
    found = [event.message for event in trial.events if event.code == code]
    if found:
        yield Reason(code, found[0] + (f" It happened {len(found)} times." if len(found) > 1 else ""))


def is_too_early(trial: Trial, shortest_s: float | None) -> bool:
    """True where a right answer came before the wait that it stands for was over, as no server's can."""
    return shortest_s is not None and shortest_s < least_s(trial.io_wait_s, trial.parameters)


def too_early(trial: Trial, shortest_s: float) -> Reason:
    """Return the reason for a trial whose quickest answer came sooner than its wait allows."""
    return Reason(
        "too-early",
        f"An answer came after {1000 * shortest_s:.1f} ms, and each has to wait {1000 * trial.io_wait_s:g} ms: "
        f"what answers does not do the work.",
    )


def _is_above_limit(trial: Trial) -> bool:
    share = _share_of_limit(trial)
    if not share or not trial.throughput_per_s:
        return False
    answered = trial.throughput_per_s * trial.duration_s
    cut = min(count for count in (trial.users, trial.slots, answered) if count is not None)
    return answered > MAX_OVER_LIMIT * answered / share + cut


def _share_of_limit(trial: Trial) -> float:
    """What was reached of the limit; of the one with S = 0 for a server whose CPU time is not known."""
    if trial.fraction_of_limit is not None:
        return trial.fraction_of_limit
    return (trial.throughput_per_s or 0.0) / ceiling_per_s(trial)


def _whose_fault(trial: Trial) -> str:
    if trial.server:
        return "the measurement is wrong"
    return f"what answers at the target is not {trial.stack}, or does not do the work"


def _answer_checks(trial: Trial, mean_latency_s: float) -> Iterator[Reason]:
    answered = trial.completed + trial.failed
    if _has_errors(trial):
        yield Reason("errors", f"{trial.failed} of {answered} requests failed{_classes(trial)}: no latency is claimed.")
    waiting = trial.timed_out + trial.dropped + trial.in_flight
    if trial.is_open and waiting:
        yield Reason(
            "overload",
            f"{waiting} of {trial.issued} requests were not answered until the end of the drain "
            f"({trial.timed_out} timed out, {trial.dropped} never sent): percentiles say at least.",
        )
    yield from _littles_law(trial, mean_latency_s)
    first, second = trial.halves_per_s or [0.0, 0.0]
    is_steady = not any(event.code in ASKED_FOR for event in trial.events)  # else the experiment asks for unlike halves
    if is_steady and halves_differ(first, second, MAX_DRIFT) and abs(first - second) > _noise(trial):
        yield Reason("drift", f"The window's halves differ: {first:.0f} and {second:.0f} requests/s.")


def _littles_law(trial: Trial, mean_latency_s: float) -> Iterator[Reason]:
    """Two audits of a closed loop without pauses: all users wait all the time, and as many come as go."""
    if not trial.users or trial.rate_per_s or _has_errors(trial) or _is_client_busy(trial):
        return  # a failed request has no latency to count, and a busy client is itself the missing time
    waiting = trial.users if trial.in_flight_mean is None else trial.in_flight_mean
    if abs(waiting - trial.users) > MAX_LITTLE_ERROR * trial.users:
        yield Reason(
            "client-limited",
            f"Of {trial.users} users {waiting:.1f} were waiting for an answer on average: "
            f"the load generator was busy with the others. Spread the load with --load-processes.",
        )
        return
    error = littles_law_error(trial.throughput_per_s or 0.0, mean_latency_s, trial.users)
    if error > MAX_LITTLE_ERROR + littles_law_noise(mean_latency_s, trial.users, trial.duration_s):
        yield Reason(
            "unsteady",
            f"Throughput x latency is {error:.0%} off the number of users: the queue had not settled, "
            f"so latencies are not those of a steady state.",
        )


def _has_errors(trial: Trial) -> bool:
    return trial.failed > MAX_ERROR_SHARE * (trial.completed + trial.failed)


def _noise(trial: Trial) -> float:
    """By how much the halves may differ by chance, per second: three standard deviations of the difference of two
    counts, or one round of all users, who may come in step and fall on either side of the middle.
    """
    half_s = trial.duration_s / 2
    return max(3 * float(sum(trial.answered)) ** 0.5, trial.users or 0) / half_s if half_s else 0.0


def _is_client_busy(trial: Trial) -> bool:
    return trial.load is not None and trial.load.busiest_share > CLIENT_FULL


def _is_late(trial: Trial) -> bool:
    """True where an open loop did not keep its schedule."""
    if trial.lateness_us is None:
        return False
    median_us = trial.latency_us.p50 if trial.latency_us else 0
    return trial.lateness_us.p99 > max(MAX_LATENESS_US, MAX_LATENESS_SHARE * median_us)


def _load_checks(trial: Trial) -> Iterator[Reason]:
    """What the load generator itself did to the numbers."""
    yield from reasons_of(trial, "client-gap")
    if trial.lateness_us and _is_late(trial):
        yield Reason(
            "client-limited",
            f"The load generator did not keep its schedule: 1 of 100 requests left {trial.lateness_us.p99 / 1000:.1f} "
            f"ms late or more. Ask for a lower rate, or give it a core of its own.",
        )
    elif trial.load and _is_client_busy(trial):
        yield Reason(
            "client-limited",
            f"The load generator used {trial.load.busiest_share:.0%} of its core: a faster one might show more. "
            f"Spread the load with --load-processes or on other machines.",
        )


def _machine_checks(trial: Trial) -> Iterator[Reason]:
    yield from reasons_of(trial, "lab-gap")
    yield from reasons_of(trial, "restarted-early")
    yield from reasons_of(trial, "server-gap")
    yield from reasons_of(trial, "server-busy")
    if trial.server is None:
        yield Reason("not-restarted", "The server was not started by this run, so repeats are no restarts.")
    if trial.server and trial.load and not set(trial.server.cpus).isdisjoint(trial.load.cpus):
        yield Reason("shared-cores", "Server and load had to share a core.")
    if trial.machine and trial.machine.other_cores + trial.machine.stolen_cores > MAX_OTHER_CORES:
        yield Reason(
            "other-load",
            f"Other programs kept {trial.machine.other_cores:.1f} cores busy during the window, "
            f"and the machine's host kept {trial.machine.stolen_cores:.1f}.",
        )


def _classes(trial: Trial) -> str:
    """The error classes with their counts, in brackets."""
    if not trial.errors:
        return ""
    return " (" + ", ".join(f"{count} {name}" for name, count in sorted(trial.errors.items())) + ")"
