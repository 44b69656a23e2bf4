"""How many callers are inside the work of this process, now and at most so far."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Gauge:
    """Counts for threads and for tasks of an event loop alike; `most` stays until the process ends."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.now = 0
        self.most = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            yield
        finally:
            with self._lock:
                self.now -= 1


GAUGE = Gauge()
inside = GAUGE.inside
