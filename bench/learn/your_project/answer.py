"""From what was found out to the answer. Computes only.

The rule is that of lesson 09, in `stack_choice`: of the ways to serve that answer nearly as much as the best, take the
one that changes least. Today's server changes nothing, more threads or processes a number, ASGI the server. The lab
says so only where the whole interval of a ratio speaks for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.analyse.gates import MAX_OTHER_CORES
from bench.analyse.stack_choice import NEAR
from bench.analyse.stats import MIN_RESTARTS, Interval, describe_ratio, median_of, ratio_interval
from bench.analyse.utilisation import CLIENT_FULL, FULL
from bench.learn.your_project.mends import mends_of
from bench.learn.your_project.model import Answer, Arm, Checked, Examination, Terms, Value
from bench.show.tables.formatting import percent, whole

ENOUGH = 0.5
"""Of the requests: where less of them could be measured, the answer would be about something else."""
SURE = "Intervals are over {} restarts of a server: about {} in 100 miss the true ratio."
MISSED = {3: 10, 4: 7}
"""Of 100 intervals, by the fewest restarts on a side; as measured, see `stats.ratio_interval`. 4 with more."""
BUSY = "Other programs kept {:.1f} cores busy meanwhile: try again while they rest."
TRY_AGAIN = "A quieter machine gives narrower intervals."
WSGI_ROLES = ("today", "threads", "processes")


@dataclass(frozen=True)
class Sides:
    """The arms that are compared, at one number of users. `wsgi`: all within the terms, what changes least first."""

    terms: Terms
    today: Arm
    asgi: Arm
    wsgi: Sequence[Arm]

    @property
    def best(self) -> Arm:
        """Return the WSGI server that ASGI is held against.

        That is the first which is surely as good as ASGI, by the rule; where none is, the one that answers most.
        """
        against = ((arm, ratio_of(self.asgi, arm)) for arm in self.wsgi)
        as_good = (arm for arm, ratio in against if ratio and ratio.high < 1 / NEAR)
        return next(as_good, max(self.wsgi, key=lambda arm: median_of(arm.per_s)))

    @property
    def ratio(self) -> Interval | None:
        """ASGI over today's server; None where today's is ASGI."""
        return None if self.today is self.asgi else ratio_of(self.asgi, self.today)

    @property
    def against_best(self) -> Interval | None:
        """ASGI over the best WSGI server."""
        return ratio_of(self.asgi, self.best)


def answer_of(found: Examination) -> Answer:
    """Answer, from all that was found out."""
    cause = _why_not_measured(found.checked, found) or found.problem
    if cause:
        return Answer("cannot tell", cause, mends=mends_of(found))
    assert found.terms
    sides = sides_at(found.arms, found.terms, found.terms.users, MIN_RESTARTS)
    if isinstance(sides, str):
        return Answer("cannot tell", sides, mends=mends_of(found))
    value = decide(sides)
    return Answer(
        value,
        " ".join([because(value, sides), *needs_asgi(found)]),
        sides.ratio,
        sides.against_best,
        limiter_of(sides),
        [*instead_of_asgi(sides), *what_if(found, sides)],
        turning_point(found),
        mends_of(found),
        sureness(sides),
    )


def sureness(sides: Sides) -> str:
    """Say how far the intervals are to be trusted."""
    restarts = min(len(sides.asgi.per_s), len(sides.best.per_s))
    said = SURE.format(restarts, MISSED.get(restarts, 4))
    busy = max(sides.asgi.other_cores or 0.0, sides.best.other_cores or 0.0, sides.today.other_cores or 0.0)
    return f"{said} {BUSY.format(busy)}" if busy > MAX_OTHER_CORES else said


def _why_not_measured(checked: Sequence[Checked], found: Examination) -> str:
    """Return why most requests could not be measured, or not as they are; empty where they could."""
    refused = {refusal.page for refusal in found.refusals}
    lost = [one for one in checked if not one.is_measurable or one.page.name in refused]
    share = sum(one.page.weight for one in lost) / (sum(one.page.weight for one in checked) or 1.0)
    if share <= ENOUGH:
        return ""
    pages: dict[str, list[str]] = {}
    for one in lost:
        pages.setdefault(_cause(one, found), []).append(one.page.name)
    causes = [f"{', '.join(names)}: {cause}" for cause, names in pages.items()]
    which = "No page" if len(lost) == len(checked) else f"Less than {percent(1 - ENOUGH)} of the requests"
    return f"{which} could be measured as it is. {'; '.join(causes)}."


def _cause(one: Checked, found: Examination) -> str:
    if one.refused:
        return one.refused.rstrip(".")
    if one.difference:
        return "it is answered differently behind ASGI"
    refusal = next(refusal for refusal in found.refusals if refusal.page == one.page.name)
    return (
        f"its call to {refusal.address} ({refusal.place}) was refused, so its wait is missing; allow it with "
        f"--allow-network"
    )


def sides_at(arms: Sequence[Arm], terms: Terms, users: int, restarts: int) -> Sides | str:
    """Return the arms at so many users; a sentence where they do not have so many restarts, or say nothing."""
    here = [arm for arm in arms if arm.users == users]
    today = next((arm for arm in here if arm.role == "today"), None)
    asgi = today if terms.today.door == "asgi" else next((arm for arm in here if arm.role == "asgi"), None)
    if today is None or asgi is None:
        return "The project was not measured under load."
    poor = next((arm for arm in (today, asgi) if len(arm.per_s) < restarts), None)
    if poor:
        why = poor.reasons[0] if poor.reasons else f"it is {poor.verdict}"
        return f"{poor.name} ({poor.stack}) could not be measured: {why}"
    wsgi = [arm for arm in here if arm.role in WSGI_ROLES and arm is not asgi and len(arm.per_s) >= restarts]
    fitting = sorted((arm for arm in wsgi if fits(arm, terms)), key=lambda arm: WSGI_ROLES.index(arm.role))
    if not fitting or not fits(asgi, terms):
        what = f"{asgi.name} takes {_megabytes(asgi)}" if fitting else "No WSGI server was measured that fits"
        return f"{what}, more than the {terms.memory_bytes or 0:,} bytes of --memory." if fitting else f"{what}."
    sides = Sides(terms, today, asgi, fitting)
    if all((arm.load_share or 0.0) > CLIENT_FULL for arm in (asgi, sides.best)):
        return "The load generator was busier than the server, on both sides: neither is known to be faster."
    return sides


def fits(arm: Arm, terms: Terms) -> bool:
    """Return whether an arm takes no more memory than there is."""
    return terms.memory_bytes is None or arm.rss_bytes is None or arm.rss_bytes <= terms.memory_bytes


def ratio_of(one: Arm, other: Arm) -> Interval | None:
    """Return the ratio of two arms' requests per second with its interval; None with too few restarts."""
    return ratio_interval(one.per_s, other.per_s)


def decide(sides: Sides) -> Value:
    """Apply the rule. Who is behind ASGI today would switch back, for as much as others would switch."""
    against = sides.against_best
    if against is None:
        return "cannot tell"
    if sides.terms.today.door == "asgi":
        against = Interval(1 / against.high, 1 / against.estimate, 1 / against.low)
    if against.low > 1 and against.estimate > 1 / NEAR:
        return "switch"
    return "stay" if against.high < 1 / NEAR else "cannot tell"


def because(value: Value, sides: Sides) -> str:
    """Return the answer's numbers in one sentence, and what follows all the same where the lab cannot tell."""
    best, asgi, terms = sides.best, sides.asgi, sides.terms
    at = f"with {terms.users:,} at once"
    against = describe_ratio(sides.against_best)
    if sides.today is asgi:
        return f"{at.capitalize()}, ASGI, as today, against {best.stack}: {against}."
    today = f"ASGI against today's {sides.today.stack}: {describe_ratio(sides.ratio)}"
    if best is sides.today:
        return f"{at.capitalize()}, {today}."
    both = f"{at.capitalize()}, {today}; against {best.stack}: {against}"
    if value == "switch":
        return f"{both}, the best WSGI server within your bounds."
    follows = f"{best.name} cost less than another server, and change less"
    if value == "stay":
        return f"{both}. {follows}."
    pool = ratio_of(best, sides.today)
    over_today = f"{best.stack} against today's: {describe_ratio(pool)}"
    if pool and pool.low > 1:
        return f"{both}. All the same, {over_today}; {follows}."
    return f"{both}. Nor is it known whether {best.name} would help: {over_today}. {TRY_AGAIN}"


def needs_asgi(found: Examination) -> list[str]:
    """Return what of the project cannot do without ASGI, as sentences: no rate of its pages decides about that."""
    return [f"{notice.says}." for notice in found.inventory if notice.kind == "channels"]


def limiter_of(sides: Sides) -> str:
    """Say what limits today's server: what is used to the full, in words.

    With fewer threads than requests all threads are busy, whatever they do; whether more of them help was measured.
    How long a request waits is not known, so a row's share of its threads is not, and a busy client comes before them.
    """
    arm, cpu = sides.today, f"the CPU is used {percent(sides.today.cpu_share or 0.0)}"
    larger = [other for other in sides.wsgi if other.role == "threads" and (other.slots or 0) > (arm.slots or 0)]
    helped = [ratio for other in larger if (ratio := ratio_of(other, arm)) and ratio.low > 1]
    if (arm.cpu_share or 0.0) >= FULL:
        cores = f"{sides.terms.cores} core{'' if sides.terms.cores == 1 else 's'}"
        return f"the server's CPU: {percent(arm.cpu_share)} of {cores}, {whole(arm.cpu_us or 0)} µs a request"
    if (arm.load_share or 0.0) > CLIENT_FULL:
        return f"the load generator, which used {percent(arm.load_share)} of its core"
    if arm.slots and arm.slots < arm.users and (helped or not larger):
        threads = f"{arm.slots} thread{'' if arm.slots == 1 else 's'}"
        return f"its {threads}: {arm.users - arm.slots:,} of {arm.users:,} requests wait for one, and {cpu}"
    if larger:
        return f"unknown; with {larger[-1].name} it answers no more for sure, and {cpu}"
    return f"what requests wait for: there is a thread for each, and {cpu}"


def instead_of_asgi(sides: Sides) -> list[str]:
    """Say what more threads and more processes would give, against today's server."""
    if sides.today is sides.asgi:
        return []
    said = [
        f"{arm.name}: {describe_ratio(ratio_of(arm, sides.today))}, {_megabytes(arm)}"
        for arm in sides.wsgi
        if arm is not sides.today
    ]
    roles = {arm.role for arm in sides.wsgi}
    if "threads" not in roles and (sides.today.slots or 0) >= sides.terms.users:
        said.append(f"more threads than {sides.today.slots} have nothing to do with {sides.terms.users:,} at once")
    if "processes" not in roles:
        said.append(f"more processes: none fits into {_room(sides)}")
    return said


def what_if(found: Examination, sides: Sides) -> Iterator[str]:
    """Yield what each of the lab's handlers would give behind ASGI, over ASGI as it is and over today's server."""
    for arm in (arm for arm in found.arms if arm.role == "what if" and arm.users == sides.terms.users and arm.per_s):
        today = "" if sides.today is sides.asgi else f"; against today's {describe_ratio(ratio_of(arm, sides.today))}"
        yield f"{arm.name}: against ASGI as it is {describe_ratio(ratio_of(arm, sides.asgi))}{today}"


def _room(sides: Sides) -> str:
    """Say which memory more processes would have had to fit into."""
    if sides.terms.memory_bytes:
        return f"the {whole(sides.terms.memory_bytes / 1e6)} MB of --memory"
    largest = max(arm.rss_bytes or 0 for arm in (*sides.wsgi, sides.asgi))
    return f"{whole(largest / 1e6)} MB, the most that was used here; name more with --memory"


def _megabytes(arm: Arm) -> str:
    return f"{whole((arm.rss_bytes or 0) / 1e6)} MB"


def turning_point(found: Examination) -> str:
    """Say from how many at once on ASGI answers more, by the rule; empty where one number was measured."""
    assert found.terms
    better: dict[int, bool] = {}
    for users in sorted({arm.users for arm in found.arms}):
        sides = sides_at(found.arms, found.terms, users, 1)
        if isinstance(sides, Sides):
            most = max(median_of(arm.per_s) for arm in sides.wsgi)
            better[users] = median_of(sides.asgi.per_s) > most / NEAR
    if len(better) < 2:
        return ""
    levels = list(better)
    from_on = next((users for place, users in enumerate(levels) if all(list(better.values())[place:])), None)
    if from_on is None:
        return f"ASGI answers more at none of the numbers that were measured, up to {levels[-1]:,} at once"
    if from_on == levels[0]:
        return f"ASGI answers more at all numbers that were measured, from {from_on:,} at once on"
    before = levels[levels.index(from_on) - 1]
    return f"It turns between {before:,} and {from_on:,} at once: from there on ASGI answers more"


def not_looked_at(found: Examination) -> list[str]:
    """Return what the answer does not know."""
    pages = [one.page.name for one in found.checked if not one.is_measurable]
    cores = found.terms.cores if found.terms else 0
    swept = found.terms is not None and found.terms.is_swept
    return [
        *([f"pages that could not be measured: {', '.join(pages)}"] if pages else []),
        *(["how many requests you have in flight: name them with --users, or a log with --log"] if swept else []),
        *([f"servers with more than {cores} core{'' if cores == 1 else 's'}"] if found.arms else []),
        "other pages and methods, uploads, WebSockets, streams that last",
        "compression, TLS, and what stands before the server: a proxy, a CDN, a network",
        "databases and services as far away as yours are",
        "what comes with time: caches that fill, memory that grows, clients that are slow or leave",
    ]
