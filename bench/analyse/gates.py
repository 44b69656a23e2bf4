"""Decides a trial's verdict from the trial's own evidence, with reasons. `cli/checklist.py` lists the gates.

A trial that breaks off (TrialInvalid, ContractBroken, NotRun) gets its verdict in `measure/trial.py`, `run_trial`.

Locust's exit status is not used: it is 0 even if a worker was killed or every connection was refused.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from bench.analyse.stats import halves_differ, littles_law_error, littles_law_noise
from bench.analyse.utilisation import CLIENT_FULL, ceiling_per_s, least_s
from bench.model.trial_record import ASKED_FOR, Reason, Trial, Verdict
from bench.model.workloads import WORKLOADS

MAX_ERROR_SHARE = 0.001  # above it there is no latency claim (checklist: errors apart)
MAX_LATENESS_US, MAX_LATENESS_SHARE = 2000, 0.05
"""p99 of an open loop's sends, or of the median latency (checklist: dispatch lateness)."""
MAX_LITTLE_ERROR = 0.05  # checklist: Little's law
MAX_OVER_LIMIT = 1.02  # besides one extra request for each slot, which began before the window
MAX_DRIFT = 0.10  # between the halves of the window (checklist: warm-up)
MAX_UNSEEN = 0.50  # of the window, while the lab was held up
MAX_OTHER_CORES = 0.30  # kept busy by programs that are not ours, or kept by the machine's host


class TrialInvalid(Exception):
    """The measurement was broken off; `reason` says why."""

    def __init__(self, code: str, message: str) -> None:
        self.reason = Reason(code, message)
        super().__init__(message)


def judge(
    trial: Trial, *, lost: int, mean_latency_s: float, shortest_s: float | None = None
) -> tuple[Verdict, list[Reason]]:
    """Return `invalid` if a number would be wrong, `degraded` if it has a reservation, else `ok`, and the reasons.

    `lost`: requests missing from the load's accounting. `mean_latency_s`, `shortest_s`: latencies of right answers.
    """
    invalid = list(_invalidating(trial, lost, shortest_s)) or list(_unseen(trial))
    degraded = chain(_answer_checks(trial, mean_latency_s), _load_checks(trial), _machine_checks(trial))
    return _verdict(invalid, degraded)


def _verdict(invalid: list[Reason], degraded: Iterable[Reason]) -> tuple[Verdict, list[Reason]]:
    """Return the worst verdict that has reasons. `degraded` is not evaluated if there are `invalid` ones."""
    if invalid:
        return "invalid", invalid
    reasons = list(degraded)
    return ("degraded" if reasons else "ok"), reasons


def judge_connections(
    trial: Trial, *, shortest_s: float | None, missed_a_phase: bool, driver_shares: Mapping[str, float]
) -> tuple[Verdict, list[Reason]]:
    """Judge a trial of connections as `judge` does others.

    `shortest_s`: the shortest latency of a right answer, if it was recorded. `missed_a_phase`: a phase began while the
    lab itself did not run. `driver_shares`: the share of its core that the driver used, for each phase with measured
    delays.
    """
    invalid = list(_invalid_connections(trial, shortest_s)) or list(
        reasons_of(trial, "lab-gap") if missed_a_phase else ()
    )
    busy = (
        Reason("client-limited", f"The driver used {100 * share:.0f} % of its core while {phase}: delays are its own.")
        for phase, share in driver_shares.items()
        if share > CLIENT_FULL
    )
    return _verdict(invalid, chain(busy, _machine_checks(trial)))


def _invalid_connections(trial: Trial, shortest_s: float | None) -> Iterator[Reason]:
    if trial.held and trial.held.served + trial.held.starved + trial.failed != trial.connections:
        yield Reason("accounting", "Some feeds are missing from the driver's accounting.")
    if trial.slow and trial.slow.served + trial.slow.starved + trial.slow.failed != trial.connections:
        yield Reason("accounting", "Some slow clients are missing from the driver's accounting.")
    if (found := trial.streams) and found.whole + found.left + found.late + found.failed != trial.connections:
        yield Reason("accounting", "Some streams are missing from the driver's accounting.")
    if trial.slow and not trial.slow.alone.answered_per_s:
        yield Reason("no-answers", "No visitor was answered before the slow clients came.")
    yield from torn(trial)
    yield from too_early(trial, shortest_s)


def _invalidating(trial: Trial, lost: int, shortest_s: float | None) -> Iterator[Reason]:
    answered = trial.completed + trial.failed
    wrong = trial.errors.get("wrong body", 0)
    yield from reasons_of(trial, "server-restarted")  # the CPU time of a process that has ended cannot be read any more
    if lost:
        yield Reason("accounting", f"{lost} requests are missing from the load's accounting.")
    yield from torn(trial)
    if wrong:
        yield Reason("wrong-answers", f"{wrong} of {answered} answers had another body than the contract's.")
    if not trial.throughput_per_s:
        yield Reason("no-answers", f"No request was answered rightly in the window{_error_counts(trial)}.")
    if early := list(too_early(trial, shortest_s)):
        yield from early
    elif _is_above_limit(trial):
        target = f"what answers at the target is not {trial.stack}, or does not do the work"
        cause = "the measurement is wrong" if trial.server else target
        yield Reason("above-limit", f"{100 * _share_of_limit(trial):.0f} % of the physical limit: {cause}.")


def _unseen(trial: Trial) -> Iterator[Reason]:
    """Yield a reason if the lab itself did not run for most of the window."""
    if sum(event.for_s for event in trial.events if event.code == "lab-gap") > MAX_UNSEEN * trial.duration_s:
        yield from reasons_of(trial, "lab-gap")


def torn(trial: Trial) -> Iterator[Reason]:
    """Yield a reason if payments were left half done by a workload that promises never to do so."""
    if trial.database and trial.database.coins_off and not WORKLOADS[trial.workload].may_tear:
        yield Reason("torn", f"The accounts' sum moved by {trial.database.coins_off}: payments were left half done.")


def reasons_of(trial: Trial, code: str) -> Iterator[Reason]:
    """Yield one reason for all events of a code: the first one's message, and how often it happened."""
    found = [event.message for event in trial.events if event.code == code]
    if found:
        yield Reason(code, found[0] + (f" It happened {len(found)} times." if len(found) > 1 else ""))


def too_early(trial: Trial, shortest_s: float | None) -> Iterator[Reason]:
    """Yield a reason if the quickest right answer came before its wait was over, which no server can do."""
    if shortest_s is not None and shortest_s < least_s(trial.io_wait_s, trial.parameters):
        yield Reason(
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
    """Return throughput / limit; if the server's CPU time is not known, the limit is that with S = 0."""
    if trial.fraction_of_limit is not None:
        return trial.fraction_of_limit
    return (trial.throughput_per_s or 0.0) / ceiling_per_s(trial)


def _answer_checks(trial: Trial, mean_latency_s: float) -> Iterator[Reason]:
    answered = trial.completed + trial.failed
    if _has_errors(trial):
        yield Reason(
            "errors", f"{trial.failed} of {answered} requests failed{_error_counts(trial)}: no latency is claimed."
        )
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
        yield Reason("drift", f"The window's halves differ: {first:,.0f} and {second:,.0f} requests/s.")


def _littles_law(trial: Trial, mean_latency_s: float) -> Iterator[Reason]:
    """Audit a closed loop without pauses: all users always wait, and throughput x latency is their number."""
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
            f"The queue had not settled: throughput x latency is {100 * error:.0f} % off the number of users, "
            f"so latencies are not those of a steady state.",
        )


def _has_errors(trial: Trial) -> bool:
    return trial.failed > MAX_ERROR_SHARE * (trial.completed + trial.failed)


def _noise(trial: Trial) -> float:
    """By how much the halves may differ by chance, in requests/s.

    Three standard deviations of the difference of two counts, or one round of all users: if users come in step, a
    whole round falls on one side of the middle.
    """
    half_s = trial.duration_s / 2
    return max(3 * float(sum(trial.answered)) ** 0.5, trial.users or 0) / half_s if half_s else 0.0


def _is_client_busy(trial: Trial) -> bool:
    return trial.load is not None and trial.load.busiest_share > CLIENT_FULL


def _is_late(trial: Trial) -> bool:
    """True if an open loop did not keep its schedule."""
    if trial.lateness_us is None:
        return False
    median_us = trial.latency_us.p50 if trial.latency_us else 0
    return trial.lateness_us.p99 > max(MAX_LATENESS_US, MAX_LATENESS_SHARE * median_us)


def _load_checks(trial: Trial) -> Iterator[Reason]:
    """Yield what the load generator itself did to the numbers."""
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
            f"The load generator used {100 * trial.load.busiest_share:.0f} % of its core: a faster one might show "
            f"more. Spread the load with --load-processes or on other machines.",
        )


def _machine_checks(trial: Trial) -> Iterator[Reason]:
    for code in ("lab-gap", "restarted-early", "server-gap", "server-busy"):
        yield from reasons_of(trial, code)
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


def _error_counts(trial: Trial) -> str:
    """Return the error classes with their counts in brackets, empty if there are none."""
    counts = ", ".join(f"{count} {name}" for name, count in sorted(trial.errors.items()))
    return f" ({counts})" if counts else ""
