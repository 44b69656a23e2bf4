"""What to mend first, and what each is worth, from prices that were measured. Computes only."""

from collections.abc import Callable, Iterator, Sequence

from bench.analyse.stats import describe_ratio, ratio_interval
from bench.learn.your_project.model import Arm, Examination, Mend, Traced
from bench.show.tables.formatting import number, percent, whole
from bench.trace.inside.model import Hop, Trace

MOST = 3
RIGHT = "not in requests per second: it is about being right behind ASGI"
PLAIN_KINDS = {
    "application": "no server can load it",
    **dict.fromkeys(("event loop", "atomic", "connections", "stream"), RIGHT),
}
"""Kinds of notices that are worth mending though no number says how much, and why."""
MOST_GAIN = 100.0
NAMED = 3


def mends_of(found: Examination) -> list[Mend]:
    """Return the first things to mend: those with the largest gain, then those that have no number."""
    every = [*_of_pool(found), *_of_blocking(found), *_of_hops(found), *_of_notices(found)]
    return sorted(every, key=lambda mend: -mend.gain)[:MOST]


def _at(found: Examination, role: str) -> list[Arm]:
    """Return the arms of a role at the users of the answer."""
    users = found.terms.users if found.terms else 0
    return [arm for arm in found.arms if arm.role == role and arm.users == users and arm.per_s]


def _of_pool(found: Examination) -> Iterator[Mend]:
    """Yield the larger pool that answers more than today's server, if one does."""
    for today in _at(found, "today"):
        for arm in _at(found, "threads"):
            ratio = ratio_interval(arm.per_s, today.per_s)
            if ratio and ratio.low > 1 and today.slots:
                place = found.terms.today.place if found.terms else ""
                worth = f"{describe_ratio(ratio)} the requests per second of today, as measured"
                yield Mend(f"give the server {arm.name} instead of {today.slots}", place, worth, ratio.estimate)


def _of_blocking(found: Examination) -> Iterator[Mend]:
    """Yield each call that stops the event loop: its ms, times the share of requests that make it."""
    total = sum(page.weight for page in found.pages) or 1.0
    asgi = _behind_asgi(found)
    per_s = max((max(arm.per_s) for arm in asgi), default=0.0)
    for blocked in found.blocking:
        if blocked.is_loading:
            continue
        share = blocked.page.weight / total
        stands_s = blocked.ms * share / 1000
        busy = min(per_s * stands_s, 1 - 1 / MOST_GAIN)
        in_share = f"{number(blocked.ms)} ms in {percent(share)} of the requests"
        worth = f"{in_share}: {number(1000 * stands_s)} ms of the loop each"
        if asgi:
            worth += f", {percent(busy)} of its time at {number(per_s)} requests/s behind ASGI"
        yield Mend(f"behind ASGI, {blocked.call} stops the event loop", blocked.place, worth, 1 / (1 - busy))


def _behind_asgi(found: Examination) -> list[Arm]:
    is_today = found.terms is not None and found.terms.today.door == "asgi"
    return _at(found, "today" if is_today else "asgi")


def hop_price_us(found: Examination) -> float | None:
    """Return the CPU time of a hop: what ASGI takes more for a request than WSGI, over the hops of a request.

    All that is not hops, such as the other server, is counted with them. None where that is not known or not positive.
    """
    hops = mean_hops(found.traces)
    today = _at(found, "today") if found.terms and found.terms.today.door == "wsgi" else _at(found, "threads")
    wsgi_us = [arm.cpu_us for arm in today if arm.cpu_us]
    asgi_us = [arm.cpu_us for arm in _behind_asgi(found) if arm.cpu_us]
    if not hops or not wsgi_us or not asgi_us or asgi_us[0] <= min(wsgi_us):
        return None
    return (asgi_us[0] - min(wsgi_us)) / hops


def mean_hops(traces: Sequence[Traced], layers: Sequence[str] = ()) -> float:
    """Return the hops of a request behind ASGI, pages by their weights; with `layers` only those of these."""
    return _mean(traces, lambda trace: sum(not layers or hop.cause in layers for hop in trace.hops))


def _mean(traces: Sequence[Traced], count: Callable[[Trace], int]) -> float:
    found = [(one.page.weight, one.trace) for one in traces if one.door == "asgi" and one.trace]
    total = sum(weight for weight, _ in found)
    return sum(weight * count(trace) for weight, trace in found) / total if total else 0.0


def _of_hops(found: Examination) -> Iterator[Mend]:
    """Yield the hops that middlewares cause, at the measured price of a hop."""
    price_us = hop_price_us(found)
    layers = list(dict.fromkeys(hop.middleware for hop in _asgi_hops(found) if hop.middleware))
    if not price_us or not layers:
        return
    hops, all_hops = mean_hops(found.traces, layers), mean_hops(found.traces)
    cpu_us = next(arm.cpu_us for arm in _behind_asgi(found) if arm.cpu_us)
    spared_us = hops * price_us
    names = ", ".join(layer.rpartition(".")[2] for layer in layers[:NAMED]) + (" …" if len(layers) > NAMED else "")
    worth = (
        f"{number(hops)} of {number(all_hops)} hops x {whole(price_us)} µs = {whole(spared_us)} of the "
        f"{whole(cpu_us)} µs of CPU that a request takes behind ASGI"
    )
    gain = min(MOST_GAIN, cpu_us / max(cpu_us - spared_us, cpu_us / MOST_GAIN))
    places = {notice.says.split()[0]: notice.place for notice in found.inventory if notice.kind == "middleware"}
    own = (places[layer] for layer in layers if places.get(layer) and not layer.startswith("django."))
    place = next(own, "")
    what = f"behind ASGI, spare the hops of middlewares: write your own as async, try --what-if folded ({names})"
    yield Mend(what, place, worth, gain)


def _asgi_hops(found: Examination) -> list[Hop]:
    return [hop for one in found.traces if one.door == "asgi" and one.trace for hop in one.trace.hops]


def _of_notices(found: Examination) -> Iterator[Mend]:
    """Yield what bears on being right behind ASGI, which no rate shows: once, with the places at which it stands."""
    places: dict[tuple[str, str], list[str]] = {}
    for notice in found.inventory:
        if notice.kind in PLAIN_KINDS:
            places.setdefault((notice.kind, notice.says), []).append(notice.place)
    for (kind, says), at in places.items():
        more = f" and {len(at) - NAMED} more" if len(at) > NAMED else ""
        yield Mend(says, f"{', '.join(at[:NAMED])}{more}", PLAIN_KINDS[kind])
