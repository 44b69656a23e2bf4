"""The project under load: as it is served today, with more threads, with more processes, behind ASGI, and what if.

A closed loop of users asks for the pages by their weights. Every restart of a server gets databases anew; restarts are
interleaved in random order. Three minutes are enough for the whole of `lab try`: so a window is short, and what decides
has three restarts, the fewest that have an interval.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from bench.analyse.stats import MIN_RESTARTS, Interval, median_interval, median_of
from bench.base.errors import LabError, UsageError, nearest
from bench.base.files import ROOT
from bench.learn.your_project.databases import ClusterMaster, Copies
from bench.learn.your_project.model import Arm, Checked, Examination, Interrupted, Present, Role, Terms
from bench.learn.your_project.overlay import Overlay
from bench.learn.your_project.page_trial import PAGES, PageTrial, stack_of
from bench.learn.your_project.present import SUPPOSED, read_present
from bench.learn.your_project.servers import packages_for
from bench.learn.your_project.traffic import Traffic
from bench.measure import cpu_placement, preflight
from bench.measure.trial import run_trial
from bench.model.load import Closed
from bench.model.servers import Budget
from bench.model.trial_plan import TrialPlan
from bench.model.trial_record import Trial, values_of
from bench.trace.inside import bootstrap
from bench.trace.inside.overlay.what_if import NAMES as HANDLERS

SWEEP = (8, 32, 128)
"""Users at once, where nobody says how many there are."""
WARM_UP_S, WINDOW_S = 1.0, 2.0
ANSWER_WITHIN_S = 150.0
"""All of `lab try`, as far as the number of restarts can see to it: three minutes, less what may have to be made up."""
MOST_RESTARTS = 5
"""More restarts tell little more: see `stats.ratio_interval`."""
LONGEST_WINDOW_S = 6.0
WAITS_IN_WINDOW = 4
"""A window has room for so many answers of a page to one user, one after the other, up to LONGEST_WINDOW_S."""
MOST_PROCESSES = 8
MANY = 8
"""From so many times today's threads on, a pool between today's and the largest is measured too, once."""
MOST_MADE_UP = 2
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What the user said about the load. `users` empty: from the traffic, else a sweep. Raises UsageError."""

    users: tuple[int, ...] = ()
    threads: int = 64
    memory_bytes: int | None = None
    what_if: tuple[str, ...] = ()
    traffic: Traffic | None = None

    def __post_init__(self) -> None:
        unknown = next((name for name in self.what_if if name not in HANDLERS), None)
        if unknown:
            raise UsageError(f"--what-if {unknown}: {nearest(unknown, HANDLERS)}")


@dataclass(frozen=True)
class Way:
    """A way to serve the project, before it is measured. `decides`: it has all restarts, else one."""

    role: Role
    name: str
    server: str
    budget: Budget
    what_if: str = ""
    decides: bool = True


@dataclass
class Series:
    """All trials of a project, by way and users."""

    overlay: Overlay
    copies: Copies
    headers: Sequence[tuple[str, str]]
    pages: Sequence[Checked]
    name: str
    threads: int
    say: Say
    packages: str = ""
    trials: dict[tuple[Way, int], list[Trial]] = field(default_factory=dict)

    def measure(self, way: Way, users: int) -> None:
        """Measure once more, unless it could not be measured before. Raises KeyboardInterrupt if that was wanted."""
        before = self.trials.setdefault((way, users), [])
        if any(trial.verdict == "not-run" for trial in before):
            return
        self.say(f"load: {way.name}, {Closed(users).text}, restart {len(before) + 1}")
        with self.copies.anew() as databases:
            changed = {"what_if": way.what_if, "labs": str(ROOT / "labs"), "threads": self.threads}
            overlay = self.overlay.planned(databases=databases, packages=self.packages, is_measured=True, **changed)
            stack = stack_of(self.name, way.server, way.budget, overlay)
            plan = TrialPlan(stack, PAGES, Closed(users), len(before), (), WARM_UP_S, self.window_s)
            strategy = PageTrial(plan, pages=self.pages, headers=self.headers, connections=self.connections)
            trial = run_trial(plan, strategy=strategy)
        before.append(replace(trial, stack=stack.name))
        if trial.verdict == "aborted":
            raise KeyboardInterrupt

    @property
    def connections(self) -> Callable[[], int] | None:
        """Return what counts connections to the copies; None where there are none to count."""
        counted = [master for master in self.copies.masters.values() if isinstance(master, ClusterMaster)]
        return (lambda: sum(master.connections() for master in counted)) if counted else None

    @property
    def window_s(self) -> float:
        """Return how long a window is: several answers of the slowest page."""
        slowest_ms = max(max(page.took_ms.values(), default=0.0) for page in self.pages)
        return min(LONGEST_WINDOW_S, max(WINDOW_S, WAITS_IN_WINDOW * slowest_ms / 1000))

    def measure_all(self, ways: Sequence[Way], users: int, restarts: int, seed: int) -> None:
        """Measure each way so often, in rounds of random order."""
        order = random.Random(seed)
        for _ in range(restarts):
            for way in order.sample(ways, len(ways)):
                self.measure(way, users)

    def make_up(self, ways: Sequence[Way], users: int) -> None:
        """Measure once more what lost a restart, as to a pause of the machine, and lacks it for an interval."""
        for _ in range(MOST_MADE_UP):
            for way in ways:
                if sum(trial.is_measured for trial in self.trials[way, users]) < MIN_RESTARTS:
                    self.measure(way, users)

    def arms(self) -> list[Arm]:
        """Return what was measured, one arm for each way and users, those of the most users first."""
        arms = [arm_of(way, users, trials) for (way, users), trials in self.trials.items() if trials]
        return sorted(arms, key=lambda arm: (-arm.users, get_args(Role).index(arm.role), arm.slots or 0))


def apply_load(
    so_far: Examination,
    overlay: Overlay,
    copies: Copies,
    headers: Sequence[tuple[str, str]],
    wanted: Wanted,
    say: Say,
    began_s: float | None = None,
) -> Examination:
    """Add the terms and the arms, or why there are none; no arm where no page can be measured. Raises Interrupted.

    `began_s`: when the examination did, in monotonic seconds; now if None.
    """
    ends_s = (time.monotonic() if began_s is None else began_s) + ANSWER_WITHIN_S
    pages = [page for page in so_far.checked if page.is_measurable]
    terms = terms_of(pages, read_present(so_far.project.root), wanted)
    so_far = replace(so_far, terms=terms)
    if not pages:
        return so_far
    preflight.raise_descriptor_limit()
    series = Series(overlay, copies, headers, pages, so_far.project.root.name, terms.threads, say)
    try:
        series.packages = str(packages_for(so_far.project.interpreter, say))
        measure_ways(series, terms, wanted, ends_s)
    except LabError as error:
        return replace(so_far, arms=series.arms(), problem=str(error))
    except KeyboardInterrupt:
        raise Interrupted(replace(so_far, arms=series.arms())) from None
    return replace(so_far, arms=series.arms())


def measure_ways(series: Series, terms: Terms, wanted: Wanted, ends_s: float) -> None:
    """Measure all ways: once each, then what decides at the users of the answer, then the other numbers of users.

    How many restarts there are depends on how long the first ones took and never on what they measured.
    """
    ways = list(ways_of(terms, wanted.what_if))
    deciding = [way for way in ways if way.decides]
    compared = [way for way in deciding if way.role != "what if"]
    others = sorted(set(levels_of(wanted)) - {terms.users})
    with cpu_placement.watching_from_load_cores():
        first_s = time.monotonic()
        series.measure_all(ways, terms.users, 1, seed=0)
        trial_s = (time.monotonic() - first_s) / len(ways)
        more = more_processes(series.arms(), terms)
        left = (ends_s - time.monotonic()) / trial_s - len(compared) * len(others)
        restarts = restarts_for(left, len(deciding), len(more))
        series.measure_all(deciding, terms.users, restarts - 1, seed=1)
        series.measure_all(more, terms.users, restarts, seed=2)
        series.make_up([*deciding, *more], terms.users)
        for users in others:
            series.measure_all(compared, users, 1, seed=users)


def restarts_for(trials: float, deciding: int, more: int) -> int:
    """Return how many restarts a way gets: 3 at least, 5 at most.

    `trials`: that there is time for, `deciding`: ways that have one already, `more`: those that have none.
    """
    return max(MIN_RESTARTS, min(MOST_RESTARTS, int((trials + deciding) / (deciding + more))))


def levels_of(wanted: Wanted) -> Sequence[int]:
    """Return how many users are measured at: those asked for, else none beside the traffic's, else a sweep."""
    return wanted.users or (() if wanted.traffic else SWEEP)


def terms_of(pages: Sequence[Checked], today: Present, wanted: Wanted) -> Terms:
    """Return what the answer is for."""
    cores = len(cpu_placement.plan(today.processes).server) or 1
    users, because = _users_of(pages, wanted)
    is_swept = not wanted.users and not wanted.traffic
    return Terms(users, because, is_swept, wanted.threads, wanted.memory_bytes, today, cores)


def _users_of(pages: Sequence[Checked], wanted: Wanted) -> tuple[int, str]:
    if wanted.users:
        return max(wanted.users), "as --users says"
    if wanted.traffic is None:
        return max(SWEEP), "the most of a sweep, because nobody said how many there are"
    total = sum(page.page.weight for page in pages)
    seen_s = sum(page.page.weight * page.took_ms["wsgi"] / 1000 for page in pages) / total if total else 0.0
    users = wanted.traffic.users(seen_s)
    took_s = wanted.traffic.response_s or seen_s
    whose = "as logged" if wanted.traffic.response_s else "as one request takes here"
    rate = f"{wanted.traffic.rate_per_s:.3g} requests/s in the busiest minute of the log"
    return users, f"{rate} x {took_s:.3g} s each ({whose}), by Little's law"


def ways_of(terms: Terms, what_if: Sequence[str]) -> Iterator[Way]:
    """Yield the ways that are known before anything is measured."""
    today = terms.today
    behind_asgi = Way("asgi", "ASGI as it is", "uvicorn", Budget(None, today.processes))
    yield Way("today", "today", today.server, Budget(today.threads, today.processes))
    if today.door == "asgi":
        yield Way("threads", f"{SUPPOSED.threads} threads", "gthread", Budget(SUPPOSED.threads, today.processes))
    else:
        yield behind_asgi
    yield from _pools(terms)
    for name in what_if:
        yield Way("what if", f"ASGI with {name}", "uvicorn", Budget(None, today.processes), what_if=name)


def _pools(terms: Terms) -> Iterator[Way]:
    """Yield larger pools of threads: as large as is configured and of use, and one on the way if that is far."""
    today = terms.today
    has = (today.threads or 1) if today.door == "wsgi" else SUPPOSED.threads or 1
    most = min(terms.threads, -(-terms.users // today.processes))
    between = round((has * most) ** 0.5) if most >= MANY * has else None
    for threads in filter(None, (between, most)):
        if threads > has:
            budget = Budget(threads, today.processes)
            yield Way("threads", f"{threads} threads", "gthread", budget, decides=threads == most)


def more_processes(arms: Sequence[Arm], terms: Terms) -> list[Way]:
    """Return a way with more processes in the same memory: what the user has, else what the largest arm took."""
    today = next(arm for arm in arms if arm.role == "today")
    known = [arm.rss_bytes for arm in arms if arm.rss_bytes]
    if terms.today.door == "asgi" or not today.rss_bytes or not known:
        return []
    room = terms.memory_bytes or max(known)
    each = today.rss_bytes / (terms.today.processes + 1)  # gunicorn has one more, which serves nobody
    processes = min(int(room / each) - 1, MOST_PROCESSES)
    if processes <= terms.today.processes:
        return []
    budget = Budget(terms.today.threads, processes)
    return [Way("processes", f"{processes} processes", terms.today.server, budget)]


def arm_of(way: Way, users: int, trials: Sequence[Trial]) -> Arm:
    """Summarise the restarts of one way."""
    measured = [trial for trial in trials if trial.is_measured]
    per_s = values_of(measured, "throughput_per_s")
    worst_first = sorted(trials, key=lambda trial: trial.is_measured)
    reasons = dict.fromkeys(plainly(reason.message) for trial in worst_first for reason in trial.reasons)
    verdicts = [trial.verdict for trial in worst_first if trial.verdict != "ok"]
    return Arm(
        way.role,
        way.name,
        trials[0].stack,
        users,
        per_s,
        arm_interval(per_s),
        p50_ms=_median(measured, "latency_us.p50", 1e-3),
        p99_ms=_median(measured, "latency_us.p99", 1e-3),
        at_least=sorted({name for trial in measured for name in trial.lower_bounds}),
        threads=_whole(measured, "server.threads_max"),
        rss_bytes=_whole(measured, "server.rss_bytes_max"),
        connections=_whole(measured, "database.connections_max"),
        cpu_us=_median(measured, "cpu_us_per_request"),
        cpu_share=_cpu_share(measured),
        load_share=_median(measured, "load.busiest_share"),
        slots=trials[0].slots,
        other_cores=_median(measured, "machine.other_cores"),
        verdict=("degraded" if measured and verdicts else next(iter(verdicts), "ok")),
        reasons=list(reasons),
    )


def arm_interval(per_s: Sequence[float]) -> Interval | None:
    """Return the interval of the median over restarts; None for fewer than three of them."""
    return median_interval(per_s) if per_s else None


def plainly(message: str) -> str:
    """Return a sentence without the program by which our code gets into the project's interpreter."""
    return message.replace(bootstrap.BEGIN, "…").replace(str(Path(bootstrap.__file__).parent), "…")


def _median(trials: Sequence[Trial], measure: str, scale: float = 1.0) -> float | None:
    values = values_of(trials, measure)
    return scale * median_of(values) if values else None


def _whole(trials: Sequence[Trial], measure: str) -> int | None:
    value = _median(trials, measure)
    return None if value is None else round(value)


def _cpu_share(trials: Sequence[Trial]) -> float | None:
    """Return the share of the cores that the server could keep busy."""
    shares = [trial.server.cpu_share / trial.server.processes for trial in trials if trial.server]
    return median_of(shares) if shares else None
