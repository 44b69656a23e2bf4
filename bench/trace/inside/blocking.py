"""Finds what keeps an event loop from turning: for how long, which call, and the project's line that led there.

A pass of its own: nothing is timed while it runs, and without it nothing of this is loaded. `asyncio.Handle._run` is
wrapped, so that it is known when the loop began its present step. A watchdog thread looks at a step that takes long,
again and again: its stack, its CPU time, and the system call in which it waits. `blocking_places.py` finds the lines.

What counts is CPU time of the loop's thread and the time in which it was seen to wait in a call. What does not: waits
for the GIL (other threads compute), for a core (the machine is busy), garbage collection, and time in which the whole
process was stopped. So a step counts for what its own code does, whatever its neighbours do.
"""

import asyncio
import gc
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import perf_counter_ns, sleep, thread_time_ns
from types import FrameType
from typing import Any

from .blocking_places import Finding, Findings, Frame, Sample
from .patching import patched
from .sink import REQUEST
from .thread_state import ThreadState

LOOKS = 4
"""How often the watchdog looks within the shortest time that counts."""
UNSEEN = 1.5
"""Looks: how much of a wait counts that only one look has seen. Two such parts are less than what counts."""
NS_PER_MS = 1_000_000
START = threading.Thread.start.__code__
"""Waits until the new thread runs, so for the GIL and a core: asgiref starts one for each request."""


class Step:
    """One step of the loop: what it runs for one handle until it can turn again. Times in ns."""

    __slots__ = (
        "began_ns",
        "cpu_ns",
        "ended",
        "gc_ns",
        "handle",
        "is_first",
        "looked_ns",
        "request",
        "samples",
        "wait",
    )

    def __init__(self, handle: Any, gc_ns: int) -> None:
        self.handle, self.gc_ns = handle, gc_ns
        self.samples: list[Sample] = []
        self.wait, self.request, self.is_first = "", "", False
        self.ended: tuple[int, int, int] | None = None
        self.cpu_ns = thread_time_ns()
        self.began_ns = self.looked_ns = perf_counter_ns()


class Detector:
    """Watches the event loop of the main thread. `threshold_ms`: the shortest time that counts.

    `on_finding` is called, in the watchdog's thread, with each finding when it has come again.
    """

    def __init__(self, threshold_ms: float, on_finding: Callable[[Finding], None] | None = None) -> None:
        self.threshold_ns = int(threshold_ms * NS_PER_MS)
        self.every_ns = self.threshold_ns // LOOKS
        self.findings, self.on_finding = Findings(self.threshold_ns), on_finding
        self.thread = threading.main_thread()
        self.step: Step | None = None
        self._ended: deque[Step] = deque()
        self._answered: Counter[str] = Counter()
        self._gc_ns = self._gc_began_ns = 0
        self._state = ThreadState(self.thread)
        self._is_open = True
        self._watchdog = threading.Thread(target=self._watch, name="lab-watchdog", daemon=True)

    @property
    def sees_waits(self) -> bool:
        """Whether this machine says in which call a thread waits; else only what computes is found."""
        return self._state.sees_waits

    def request_ended(self, path: str) -> None:
        """A request has ended: what blocks in a later one of this path blocks not only while it loads."""
        self._answered.update({"", _without_query(path)})

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while this lasts, then look at what has not been looked at."""
        gc.callbacks.append(self._note_collection)
        self._watchdog.start()
        try:
            with patched(asyncio.Handle, _run=self._watched_run(asyncio.Handle._run)):
                yield
        finally:
            self._is_open = False
            self._watchdog.join()
            gc.callbacks.remove(self._note_collection)
            self._state.close()

    def _watched_run(self, run: Any) -> Any:
        """`Handle._run` that leaves the present step where the watchdog finds it."""
        main = self.thread.ident

        def _run(handle: Any) -> None:
            if threading.get_ident() != main:
                run(handle)
                return
            before, step = self.step, Step(handle, self._gc_ns)
            self.step = step
            try:
                run(handle)
            finally:
                self.step = before
                if step.samples or perf_counter_ns() - step.began_ns >= self.threshold_ns:
                    step.ended = perf_counter_ns(), thread_time_ns(), self._gc_ns
                    self._ended.append(step)

        return _run

    def _note_collection(self, phase: str, info: Any) -> None:
        """Sum up the CPU time of garbage collections in the loop's thread."""
        if threading.get_ident() != self.thread.ident:
            return
        if phase == "start":
            self._gc_began_ns = thread_time_ns()
        elif self._gc_began_ns:
            self._gc_ns += thread_time_ns() - self._gc_began_ns
            self._gc_began_ns = 0

    def _watch(self) -> None:
        """Look at the present step, and evaluate those that have ended, until the watching ends."""
        while self._is_open:
            sleep(self.every_ns / 1e9)
            step = self.step
            if step is not None and perf_counter_ns() - step.began_ns >= self.every_ns:
                self._look(step)
            self._evaluate()
        self._evaluate()

    def _look(self, step: Step) -> None:
        """Take a sample: nothing in here gives the GIL away."""
        wait, cpu_ns = self._state.waits_in(), self._state.cpu_ns()
        collecting_ns = cpu_ns - self._gc_began_ns if self._gc_began_ns else 0  # finalizers run within a collection
        now = perf_counter_ns(), cpu_ns, self._gc_ns + collecting_ns
        stack = _frames_of(sys._current_frames().get(self.thread.ident or 0))
        if self.step is not step:
            return
        if any(frame.code is START for frame in stack):
            wait = ""
        step.request = step.request or _request_of(step.handle)
        step.is_first = _without_query(step.request) not in self._answered
        self._add(step, now, wait, stack)

    def _add(self, step: Step, now: tuple[int, int, int], wait: str, stack: Sequence[Frame]) -> None:
        """What the step did since the last look; a wait counts whole where both looks saw the same one."""
        at_ns, cpu_ns, gc_ns = now
        worked_ns = max(0, cpu_ns - step.cpu_ns - (gc_ns - step.gc_ns))
        idle_ns = max(0, at_ns - step.looked_ns - (cpu_ns - step.cpu_ns))
        seen_ns = idle_ns if wait and wait == step.wait else min(idle_ns, int(UNSEEN * self.every_ns))
        step.samples.append(Sample(stack, worked_ns, seen_ns if wait else 0))
        step.looked_ns, step.cpu_ns, step.gc_ns, step.wait = at_ns, cpu_ns, gc_ns, wait

    def _evaluate(self) -> None:
        """Find the places of steps that have ended; the time after the last look goes where that one was."""
        while self._ended:
            step = self._ended.popleft()
            assert step.ended
            if step.samples:
                last_wait, step.wait = step.wait, ""
                self._add(step, step.ended, last_wait, step.samples[-1].stack)
            else:
                self._add(step, step.ended, "", [])
            self._find(step)

    def _find(self, step: Step) -> None:
        for finding in self.findings.add(step.samples, step.request, is_first=step.is_first):
            if self.on_finding:
                with suppress(Exception):  # a report that cannot be written ends no watching
                    self.on_finding(finding)

    def found(self) -> list[dict[str, Any]]:
        """Return what was found, the longest first, also in a step that has not ended."""
        if (step := self.step) is not None and step.samples and self._is_open:
            self.step = None
            self._find(step)
        return [
            {**finding.to_json(), "first_time": finding.first_time and self._came_again(finding)}
            for finding in self.findings.longest_first()
        ]

    def _came_again(self, finding: Finding) -> bool:
        """Whether the requests of a finding were sent more than once: else loading cannot be told from the rest."""
        return all(self._answered[_without_query(path)] > 1 for path in finding.requests or ("",))


def _without_query(path: str) -> str:
    return path.partition("?")[0]


def _request_of(handle: Any) -> str:
    """The path of the request that the handle works for; empty where it works for none."""
    context = getattr(handle, "_context", None)
    return getattr(context.get(REQUEST) if context is not None else None, "path", "")


def _frames_of(frame: FrameType | None) -> list[Frame]:
    """The stack of a step, the outermost first; without what is outside of it."""
    stack: list[Frame] = []
    while frame is not None and frame.f_code.co_filename != __file__:
        stack.append(Frame(frame.f_code, frame.f_lineno or 0, frame.f_lasti, frame.f_globals))
        frame = frame.f_back
    return stack[::-1]
