"""How many callers are inside the work of this process, now and at most so far, and how they left it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Gauge:
    """Counts for threads and for tasks of an event loop alike. `most` stays until the process ends.

    `ended` counts those who did all of their work, `cut_short` those who were cancelled or failed.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.now = 0
        self.most = 0
        self.ended = 0
        self.cut_short = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Count one caller as inside for as long as the `with` block runs."""
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            yield
        except BaseException:
            with self._lock:
                self.now -= 1
                self.cut_short += 1
            raise
        with self._lock:
            self.now -= 1
            self.ended += 1


GAUGE = Gauge()
inside = GAUGE.inside
