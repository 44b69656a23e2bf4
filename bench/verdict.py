"""The gates: from a trial's own evidence to its verdict and the reasons for it.

Locust's exit status is not asked: it is 0 also when a worker was killed or every connection refused.
"""

from collections.abc import Iterator

from bench.record import Reason, Trial, Verdict
from bench.stats import halves_differ, littles_law_error

MAX_ERROR_SHARE = 0.001  # above it there is no latency claim (METHOD, item 12)
MAX_CLIENT_SHARE = 0.70  # of the load's cores; above it the tail is the client's own (item 10)
MAX_LITTLE_ERROR = 0.05  # item 15
MAX_OVER_LIMIT = 1.02  # beside the one request of every slot that the window's edge may cut in our favour
MAX_DRIFT = 0.10  # between the halves of the window (item 6)
MAX_OTHER_CORES = 0.30  # kept busy by programs that are not ours


class TrialInvalid(Exception):
    """The measurement was broken off; the reason says by what."""

    def __init__(self, code: str, message: str) -> None:
        self.reason = Reason(code, message)
        super().__init__(message)


def judge(
    trial: Trial, *, lost: int, mean_latency_s: float, other_cores: float, restarted: bool
) -> tuple[Verdict, list[Reason]]:
    """`invalid` where a number would be wrong, `degraded` where it stands with a reservation, else `ok`."""
    invalid = list(_invalid(trial, lost, restarted))
    if invalid:
        return "invalid", invalid
    degraded = [*_books(trial, mean_latency_s), *_machine(trial, other_cores)]
    return ("degraded" if degraded else "ok"), degraded


def _invalid(trial: Trial, lost: int, restarted: bool) -> Iterator[Reason]:
    answered = trial.completed + trial.failed
    wrong = trial.errors.get("wrong body", 0)
    if restarted:  # the CPU time of a process that has ended cannot be read any more, so S is unknown
        yield Reason("server-restarted", "A process of the server ended or was started in the window.")
    if lost:
        yield Reason("accounting", f"{lost} requests are missing from the load's books.")
    if wrong:
        yield Reason("wrong-answers", f"{wrong} of {answered} answers had another body than the contract's.")
    if not trial.completed:
        yield Reason("no-answers", f"No request was answered rightly in the window{_classes(trial)}.")
    if _is_above_limit(trial):
        yield Reason("above-limit", f"{trial.fraction_of_limit:.0%} of the physical limit: the measurement is wrong.")


def _is_above_limit(trial: Trial) -> bool:
    if not trial.fraction_of_limit:
        return False
    cut = min(trial.users, trial.slots or trial.users)
    return trial.completed > MAX_OVER_LIMIT * trial.completed / trial.fraction_of_limit + cut


def _books(trial: Trial, mean_latency_s: float) -> Iterator[Reason]:
    answered = trial.completed + trial.failed
    if trial.failed > MAX_ERROR_SHARE * answered:
        yield Reason("errors", f"{trial.failed} of {answered} requests failed{_classes(trial)}: no latency is claimed.")
    little = littles_law_error(trial.throughput_per_s or 0.0, mean_latency_s, trial.users)
    if little > MAX_LITTLE_ERROR and not _is_client_limited(trial):  # a busy client is itself the missing time
        yield Reason(
            "unsteady",
            f"Throughput x latency is {little:.0%} off the number of users: the queue had not settled, "
            f"so latencies are not those of a steady state.",
        )
    first, second = trial.halves_per_s or [0.0, 0.0]
    if halves_differ(first, second, MAX_DRIFT) and abs(first - second) > _noise(trial):
        yield Reason("drift", f"The window's halves differ: {first:.0f} and {second:.0f} requests/s.")


def _is_client_limited(trial: Trial) -> bool:
    return trial.load is not None and trial.load.cpu_share > MAX_CLIENT_SHARE * trial.load.processes


def _noise(trial: Trial) -> float:
    """By how much the halves may differ by chance, per second: three standard deviations of the difference of two
    counts, or one round of all users, who may come in step and fall on either side of the middle.
    """
    half_s = trial.duration_s / 2
    return max(3 * float(trial.completed) ** 0.5, trial.users) / half_s if half_s else 0.0


def _machine(trial: Trial, other_cores: float) -> Iterator[Reason]:
    if trial.load and _is_client_limited(trial):
        yield Reason(
            "client-limited",
            f"The load generator used {trial.load.cpu_share / trial.load.processes:.0%} of its core: "
            f"a faster one might show more.",
        )
    if trial.server and trial.load and not set(trial.server.cpus).isdisjoint(trial.load.cpus):
        yield Reason("shared-cores", "Server and load had to share a core.")
    if other_cores > MAX_OTHER_CORES:
        yield Reason("other-load", f"Other programs kept {other_cores:.1f} cores busy during the window.")


def _classes(trial: Trial) -> str:
    """The error classes with their counts, in brackets."""
    if not trial.errors:
        return ""
    return " (" + ", ".join(f"{count} {name}" for name, count in sorted(trial.errors.items())) + ")"
