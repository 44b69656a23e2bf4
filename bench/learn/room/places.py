"""Where each request of a lane is: the sheet knows of the application, the kernel of the accept queue."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from bench.learn.room.visitors import Visit, Visitors
from labs.watched.sheet import GONE, IN_APPLICATION, IN_VIEW, NOT_SEEN, Counts, Sheet

OUTSIDE, QUEUED, ACCEPTED, AROUND, INSIDE, BACK = "oqsaib"
"""Without a request; in the accept queue; accepted, but not in the application; in Django around the view; in the view;
done, with the answer on its way back."""
_LETTERS = {IN_APPLICATION: AROUND, IN_VIEW: INSIDE, GONE: BACK}


class Places(NamedTuple):
    """The place of each visitor, a letter each; the gauge; the requests of clients that left and of guests, which the
    application still works on or which are under way, as (number, letter)."""

    visitors: str
    gauge: Counts
    leavers: list[tuple[int, str]]
    guests: list[tuple[int, str]]

    @property
    def inside(self) -> int:
        """How many dots are in the view."""
        return self.visitors.count(INSIDE) + sum(letter == INSIDE for _, letter in (*self.leavers, *self.guests))

    def to_json(self) -> dict[str, Any]:
        """Plain data; `gauge` is what the lab's own gauge says."""
        return {
            "places": self.visitors,
            "inside": self.inside,
            "gauge": self.gauge._asdict(),
            "leavers": self.leavers,
            "guests": self.guests,
        }


def places_of(visitors: Visitors, sheet: Sheet, accept_queue: int) -> Places | None:
    """Find the place of each request now. None if the server's process stands still in the middle of a change."""
    under_way = [*filter(None, visitors.current), *visitors.guests.values()]
    numbers = [*(visit.number for visit in under_way), *visitors.leavers]
    read = sheet.read(numbers)
    if read is None:
        return None
    counts, noted = read
    on_sheet = dict(zip(numbers, noted, strict=True))
    queued = _last_to_connect((visit for visit in under_way if on_sheet[visit.number] == NOT_SEEN), accept_queue)

    def letter(visit: Visit | None) -> str:
        if visit is None or visit.connected_s is None:
            return OUTSIDE
        return _LETTERS.get(on_sheet[visit.number], QUEUED if visit.number in queued else ACCEPTED)

    at_work = [(number, _LETTERS[on_sheet[number]]) for number in visitors.leavers if on_sheet[number] in (1, 2)]
    for number in [number for number in visitors.leavers if on_sheet[number] == GONE]:
        visitors.leavers.remove(number)
    guests = [(number, letter(visit)) for number, visit in visitors.guests.items()]
    return Places("".join(map(letter, visitors.current)), counts, at_work, guests)


def _last_to_connect(visits: Iterable[Visit], count: int) -> set[int]:
    """The numbers of the last `count` that connected: the kernel hands connections over in their order (accept(2))."""
    connected = sorted((visit.connected_s, visit.number) for visit in visits if visit.connected_s is not None)
    return {number for _, number in connected[len(connected) - min(count, len(connected)) :]}
