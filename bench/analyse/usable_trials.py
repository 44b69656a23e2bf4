"""Which trials are usable for a measure: a reservation about latencies alone leaves the throughput usable."""

from __future__ import annotations

from collections.abc import Sequence

from bench.model.trial_record import Trial, values_of

ONLY_LATENCY_SUFFERS = {"unsteady", "errors", "drift", "overload", "server-busy"}
COUNTED = ("held.", "gone.", "waves.", "slow.", "streams.", "database.")
DELAYS = ("streams.carried", "streams.gap_growth")
"""Measures of delays, though they are no times."""
LEAST = 1e-9
"""Smaller values make no ratio: they count as 0, and 1 divided by them may overflow."""
SATURATED = 0.9
"""Share of its limit from which the server bounds the throughput, even if the client had little headroom left."""


def usable_values(trials: Sequence[Trial], measure: str) -> list[float]:
    """Return the measure of each usable trial; `measure` is a path in Trial, such as `server.threads_max`."""
    return values_of((trial for trial in trials if is_usable(trial, measure)), measure)


def is_usable(trial: Trial, measure: str) -> bool:
    """True if no reason against the trial touches that measure."""
    if trial.verdict == "degraded":
        return not any(_touches(reason.code, trial, measure) for reason in trial.reasons)
    return trial.verdict == "ok"


def is_lower_bound(trial: Trial, measure: str) -> bool:
    """Return True if the trial answered beside the load on a core of its own, so that it could answer more."""
    shared = trial.server_cores and any(reason.code == "shared-cores" for reason in trial.reasons)
    return bool(shared) and measure == "throughput_per_s"


def _touches(code: str, trial: Trial, measure: str) -> bool:
    if code in ONLY_LATENCY_SUFFERS:
        return measure.startswith("latency")
    if measure.startswith("hops."):  # counted in a request of their own
        return False
    if (
        code == "shared-cores" and trial.server_cores
    ):  # as asked: what it answers beside the load, at most what it could
        return measure.startswith("latency")
    if code == "lab-gap":
        return True
    if measure.startswith(COUNTED) or (trial.connections and measure == "failed"):
        return "_us" in measure or measure in DELAYS  # a slow driver makes delays longer, not counts or memory
    if code == "client-limited":  # the server's use per request does not depend on the client
        is_the_server_s = measure.startswith("server.") or measure == "cpu_us_per_request"
        is_bounded_by_server = measure == "throughput_per_s" and (trial.fraction_of_limit or 0.0) >= SATURATED
        return not (is_the_server_s or is_bounded_by_server)
    return True


def why_unusable(trials: Sequence[Trial], measure: str, *, may_be_zero: bool = False) -> str:
    """Say why these trials cannot be one side of a ratio of this measure; empty if they can."""
    values = usable_values(trials, measure)
    if not values:
        codes = dict.fromkeys(reason.code for trial in trials for reason in trial.reasons)
        return f"no usable number ({', '.join(codes) or 'not measured'})"
    return "a value of 0" if min(values) < LEAST and not may_be_zero else ""
