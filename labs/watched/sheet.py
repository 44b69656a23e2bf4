"""A file in shared memory in which a server notes where each numbered request is, for a reader in another process.

Five counters first: how often the gauge changed (twice for each change, so that it is odd in the middle of one), then
the gauge's own `now`, `most`, `ended` and `cut_short`. Then a row for each of the last ROWS requests: its number and
its place. All are unsigned 32-bit integers.
"""

import mmap
import time
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from labs.common.gauge import Gauge

GONE, IN_APPLICATION, IN_VIEW, NOT_SEEN = range(4)
"""Where a request is: no longer in the application, in Django around the view, in the view's work, or not noted yet."""
ROWS = 8192
CHANGES, NOW, MOST, ENDED, CUT_SHORT, FIRST_ROW = range(6)
WORD_BYTES, PLACE_BITS = 4, 2
READ_WITHIN_S = 0.02
REQUEST: ContextVar[int] = ContextVar("room_request", default=0)
"""The number of the request that runs here; 0 for one without a number. asgiref takes it along into threads."""


class Counts(NamedTuple):
    """The gauge of the server's process, as in `/whoami`."""

    now: int
    most: int
    ended: int
    cut_short: int


class Sheet:
    """The file, mapped into this process. `create` makes it, and every process that opens it sees the same."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.words = memoryview(mmap.mmap(file.fileno(), 0)).cast("I")

    @classmethod
    def create(cls, path: Path) -> "Sheet":
        """Make the file, all zero."""
        path.write_bytes(bytes(WORD_BYTES * (FIRST_ROW + ROWS)))
        return cls(path)

    def note(self, number: int, place: int) -> None:
        """Note where a request is; nothing for one without a number."""
        if number:
            self.words[FIRST_ROW + number % ROWS] = number << PLACE_BITS | place

    def note_gauge(self, gauge: Gauge, is_inside: bool) -> None:
        """Note the gauge's counts, and the place of the request that changed them. The gauge's lock is held."""
        words = self.words
        words[CHANGES] += 1
        self.note(REQUEST.get(), IN_VIEW if is_inside else IN_APPLICATION)
        words[NOW], words[MOST], words[ENDED], words[CUT_SHORT] = gauge.now, gauge.most, gauge.ended, gauge.cut_short
        words[CHANGES] += 1

    def place_of(self, number: int) -> int:
        """Return where the request is now."""
        word = self.words[FIRST_ROW + number % ROWS]
        return word & (1 << PLACE_BITS) - 1 if word >> PLACE_BITS == number else NOT_SEEN

    def read(self, numbers: list[int]) -> tuple[Counts, list[int]] | None:
        """Return the counts and the place of each request, all of one moment.

        None if the gauge was in the middle of a change all the time, as in a process that was stopped there.
        """
        deadline_s = time.monotonic() + READ_WITHIN_S
        while True:
            before = self.words[CHANGES]
            counts, places = Counts(*self.words[NOW:FIRST_ROW]), [self.place_of(number) for number in numbers]
            if not before % 2 and self.words[CHANGES] == before:
                return counts, places
            if time.monotonic() > deadline_s:
                return None
            time.sleep(0)
