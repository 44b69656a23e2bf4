"""How many callers are inside the work of this process, now and at most so far, and how they left it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class Gauge:
    """Counts for threads and for tasks of an event loop alike. `most` stays until the process ends.

    `ended` counts those who did all of their work, `cut_short` those who were cancelled or failed. `on_change` is
    called under the lock at each change, with True when a caller came in; labs/watched sets it.
    """

    on_change: Callable[["Gauge", bool], None] = staticmethod(lambda gauge, is_inside: None)

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
            self.on_change(self, True)
        try:
            yield
        except BaseException:
            with self._lock:
                self.now -= 1
                self.cut_short += 1
                self.on_change(self, False)
            raise
        with self._lock:
            self.now -= 1
            self.ended += 1
            self.on_change(self, False)


GAUGE = Gauge()
inside = GAUGE.inside
