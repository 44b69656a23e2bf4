"""A run as rows: one for each stack x request x middleware x load x cores, over all restarts.

Tables, figures, the report, comparisons and the stack choice all start from these rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from operator import attrgetter

from bench.analyse import queueing, stats, utilisation
from bench.analyse.usable_trials import is_usable, why_unusable
from bench.model.load import ConnectionLoad, Load, Open
from bench.model.run_record import Run
from bench.model.stacks import split_name
from bench.model.trial_record import Reason, ServerEnvironment, Trial, Verdict, values_of

WORST_LAST: tuple[Verdict, ...] = ("ok", "degraded", "aborted", "not-run", "invalid")


@dataclass(frozen=True)
class Row:
    """All restarts of one stack x request x middleware x load x cores; its numbers are medians over measured ones."""

    stack: str
    request: str
    middleware: tuple[str, ...]
    load: Load
    trials: tuple[Trial, ...]

    @property
    def trial(self) -> Trial:
        """The first restart, for what all restarts share."""
        return self.trials[0]

    @property
    def users(self) -> int:
        """N of a closed loop, 0 for an open one."""
        return self.trial.users or 0

    @property
    def is_open(self) -> bool:
        """Return whether this is an open loop: its load is a rate."""
        return isinstance(self.load, Open)

    @property
    def is_connections(self) -> bool:
        """True for a load of connections, which are held or left: there is no throughput."""
        return isinstance(self.load, ConnectionLoad)

    @property
    def load_text(self) -> str:
        """Return the load in words, such as `100 users`."""
        return self.load.text

    @cached_property
    def measured(self) -> tuple[Trial, ...]:
        """The restarts whose numbers may be shown."""
        return tuple(trial for trial in self.trials if trial.is_measured)

    @cached_property
    def verdicts(self) -> Counter[Verdict]:
        """Return how many restarts have each verdict."""
        return Counter(trial.verdict for trial in self.trials)

    @property
    def verdict(self) -> Verdict:
        """The worst of the restarts' verdicts."""
        return max(self.verdicts, key=WORST_LAST.index)

    @property
    def verdict_text(self) -> str:
        """Return the verdict of all restarts, or how many have the worst one: `1/5 invalid`."""
        if len(self.verdicts) == 1:
            return self.verdict
        return f"{self.verdicts[self.verdict]}/{len(self.trials)} {self.verdict}"

    @property
    def is_hollow(self) -> bool:
        """True if there are numbers and some restart was not `ok`; such a row is drawn hollow."""
        return bool(self.measured) and self.verdict != "ok"

    @cached_property
    def reasons(self) -> tuple[tuple[Reason, int], ...]:
        """Return the first reason of each code, with the number of restarts that have it."""
        counts: Counter[str] = Counter()
        first: dict[str, Reason] = {}
        for trial in self.trials:
            counts.update({reason.code for reason in trial.reasons})
            first = {reason.code: reason for reason in reversed(trial.reasons)} | first
        return tuple((first[code], counts[code]) for code in first)

    @property
    def why(self) -> str:
        """Return the reasons as one text, each with its number of restarts if there are several restarts."""
        of_all = f" of {len(self.trials)} restarts)"
        texts = [
            reason.message.rstrip(".") + (f" ({count}{of_all}" if len(self.trials) > 1 else "")
            for reason, count in self.reasons
        ]
        return "; ".join(texts) or ("interrupted" if self.verdict == "aborted" else "no reason recorded")

    def values(self, measure: str) -> list[float]:
        """One number per measured restart; `measure` is a path in Trial, such as `server.threads_max`."""
        return values_of(self.measured, measure)

    def median(self, measure: str) -> float | None:
        """Return the median over measured restarts; None where there are none. `measure` as in `values`."""
        values = self.values(measure)
        return stats.median_of(values) if values else None

    def interval(self, measure: str) -> stats.Interval | None:
        """The interval of the median over restarts; None for fewer than three of them."""
        values = self.values(measure)
        return _median_interval(tuple(values)) if values else None

    def why_not(self, measure: str) -> str:
        """Say why this row cannot be one side of a ratio of this measure; empty if it can."""
        return why_unusable(self.trials, measure)

    def stands(self, measure: str) -> bool:
        """True if this measure is usable in most restarts, as it is in `ok` ones."""
        return 2 * sum(is_usable(trial, measure) for trial in self.trials) > len(self.trials)

    @cached_property
    def throughput_interval(self) -> stats.Interval | None:
        """Return the interval of the median throughput, in requests/s; None for fewer than three restarts."""
        return self.interval("throughput_per_s")

    @property
    def vendor(self) -> str:
        """Return the database that served the row, such as `PostgreSQL 15.18`; empty if there was none."""
        return next((trial.database.vendor for trial in self.trials if trial.database), "")

    @property
    def io_wait_s(self) -> float:
        """Return how long each request has to wait, in seconds."""
        return self.trials[0].io_wait_s

    @property
    def slots(self) -> int | None:
        """Return how many requests the server can work on at once; None where that has no bound."""
        return self.trials[0].slots

    @cached_property
    def utilisation(self) -> dict[str, float]:
        """Return the used share of each resource: the median over the measured restarts that sampled it."""
        shares: dict[str, list[float]] = {}
        for trial in self.measured:
            for name, share in trial.utilisation.items():
                shares.setdefault(name, []).append(share)
        return {name: stats.median_of(values) for name, values in shares.items()}

    @property
    def limiter(self) -> str | None:
        """Return what the row is limited by: the resource that is full by `utilisation`; None if none is.

        Titles, figures, tables and plateaus all say `limited by` of this and of nothing else.
        """
        return utilisation.observed_bottleneck(self.utilisation)

    @property
    def cores_us_per_request(self) -> float | None:
        """Return the CPU time that a request takes of the server's cores: S, and that of a front if there is one."""
        cpu_us = self.median("cpu_us_per_request")
        return None if cpu_us is None else cpu_us + (self.median("front.cpu_us_per_request") or 0.0)

    @property
    def ceiling(self) -> queueing.Bottleneck | None:
        """Return which of the three terms is the limit, with the measured CPU per request, reached or not."""
        cpu_us = self.cores_us_per_request
        if cpu_us is None:
            return None
        return queueing.predicted_bottleneck(
            users=self.users or utilisation.UNBOUNDED,
            io_wait_s=utilisation.waiting_s(self.trials[0], cpu_us / 1e6),
            cpu_s=cpu_us / 1e6,
            threads=self.slots,
            cores=self.cores,
        )

    @property
    def environment(self) -> ServerEnvironment | None:
        """Return what the first of its servers that was asked said of itself."""
        return next((trial.environment for trial in self.trials if trial.environment), None)

    @property
    def given_cores(self) -> int:
        """Return how many cores the server was to have: those that were asked for, or one for each process."""
        return self.trial.server_cores or split_name(self.stack).processes

    @property
    def cores(self) -> int:
        """Return how many cores the server could keep busy: one for each process that has a GIL, else all it had."""
        is_free = any(trial.environment and not trial.environment.gil for trial in self.trials)
        given = max((len(trial.server.cpus) for trial in self.trials if trial.server), default=1)
        return given if is_free else split_name(self.stack).processes


_median_interval = cache(stats.median_interval)


def cores_text(count: int) -> str:
    """Return `1 core`, `2 cores`."""
    return f"{count} core{'' if count == 1 else 's'}"


def rows_of(run: Run) -> list[Row]:
    """Return the run's rows in the plan's order: request, middleware, load, stack."""
    groups: dict[tuple[str, str, tuple[str, ...], Load, int | None], list[Trial]] = {}
    for trial in sorted(run.trials, key=attrgetter("repeat")):
        key = (trial.stack, trial.request, tuple(trial.middleware), trial.offered_load, trial.server_cores)
        groups.setdefault(key, []).append(trial)
    rows = [Row(*key[:4], tuple(trials)) for key, trials in groups.items()]
    return sorted(rows, key=lambda row: _place(run, row))


def _place(run: Run, row: Row) -> tuple[object, ...]:
    of = row.trial
    rate_per_s = of.rate_per_s if of.capacity_share is None else None  # the same share is another rate for every stack
    load = (of.users or of.connections, -(of.max_connections or 0), of.capacity_share, rate_per_s)
    return (
        *_rank(run.plan.requests, row.request),
        *(len(row.middleware), row.middleware, row.is_open, *(value or 0 for value in load)),
        *_rank(run.plan.stacks, row.stack),
        row.trial.server_cores or 0,
    )


def _rank(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def between_windows_s(run: Run) -> float | None:
    """Return the median time in s that a trial takes beside window and warm-up; None for fewer than two trials.

    That is stop, start, readiness and probe: from the end of one measured window to the beginning of the next,
    less the next trial's warm-up.
    """
    pauses_s = [
        after.window_at_s - after.warmup_s - (before.window_at_s + before.duration_s)
        for before, after in pairwise(run.trials)
        if before.window_at_s is not None and after.window_at_s is not None
    ]
    return stats.median_of(pauses_s) if pauses_s else None


def stacks_without_trials(run: Run) -> list[str]:
    """Return the planned stacks that have no trial in the run, because the run was interrupted."""
    seen = {trial.stack for trial in run.trials}
    return [stack for stack in run.plan.stacks if stack not in seen]
