"""Watches the window of a trial: reads what all processes use, and notes what happens to them, in one loop."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import psutil

from bench.analyse.gates import TrialInvalid
from bench.base.errors import NotRun
from bench.measure import process_usage, socket_counts
from bench.measure.load.launcher import DRAIN_S, RunningLoad
from bench.measure.load.recording import Recording, Stretch, merge
from bench.measure.processes import has_ended
from bench.measure.readiness import RunningServer
from bench.measure.services import Services
from bench.model.trial_plan import Freeze, Outage
from bench.model.trial_record import Event, column_s

LOOK_EVERY_S = 0.02
LOAD_WITHIN_S = 60.0
RECORDED_WITHIN_S = 10.0 + DRAIN_S
CLOCK_STEP_S = 1.0
PREPARE_S = 0.1  # before the window: slow look-ups in it would hold up the load, for we run on its core
HAND_IN_WITHIN_S = 5.0  # after Ctrl-C, or a server's end: what the load has recorded so far
HELD_UP_S = 0.3
"""From this long on, no look of ours is a gap in the lab: it was stopped, or had no core."""


@dataclass(frozen=True)
class WindowEvidence:
    """What was seen in the window.

    `recording` is what the load counted. `server` and `front` have readings through the window; `ours` (all our
    processes), `upstream` and `database` have one at each edge. `connections`: those to the server when the window
    began; `front_connections`: those to its front;
    `open_max`: the most open on the database. `log`: all that the server printed. `held_up`: stretches in which
    the lab did not look; `all_there`: whether all our processes still ran at the last reading.
    """

    recording: Recording
    server: list[process_usage.Reading]
    ours: list[process_usage.Reading]
    upstream: list[process_usage.Reading]
    events: list[Event]
    start_s: float
    connections: int = 0
    front_connections: int = 0
    database: list[process_usage.Reading] = field(default_factory=list)
    front: list[process_usage.Reading] = field(default_factory=list)
    open_max: int | None = None
    log: str = ""
    held_up: list[Stretch] = field(default_factory=list)
    all_there: bool = True

    @property
    def mean_latency_s(self) -> float:
        """Return the mean latency of right answers, in seconds."""
        return float(self.recording.histogram.get_mean_value()) / 1e6

    @property
    def shortest_s(self) -> float | None:
        """The shortest time from a request's departure to its right answer; None without any."""
        from_send = self.recording.histogram_from_send
        steps = self.recording.histogram if from_send is None else from_send
        return next((step.value_iterated_to / 1e6 for step in steps.get_recorded_iterator()), None)


@dataclass
class Disturbance:
    """What the experiment does to a service in the window: it begins `at_s` after the start and lasts `for_s`.

    With `for_s` 0 it does not end. `began_s` is monotonic time.
    """

    at_s: float
    for_s: float
    begin: Callable[[], None]
    end: Callable[[], None]
    code: str
    message: str
    began_s: float | None = None


class WindowRunner:
    """Runs one window: reads server, load and services, and freezes or stops what the experiment asks for."""

    def __init__(
        self,
        server: RunningServer | None,
        load: RunningLoad,
        services: Services,
        freeze: Freeze | None = None,
        outage: Outage | None = None,
    ) -> None:
        self.server, self.load, self.front = server, load, server.front if server else None
        self.upstream, self.database = services.upstream, services.database
        self.disturbances = [*self._freezes(freeze), *self._outages(outage)]
        self.open: list[int] = []
        self.database_is_away = False
        self.ended: process_usage.Reading | None = None
        self.start_s = 0.0
        self.events: list[Event] = []
        self.members: list[psutil.Process] = []
        self.looked_s = time.monotonic()
        self.held_up: list[Stretch] = []
        self.all_there = True

    def through_the_window(self) -> WindowEvidence:
        """Wait for the window, read through it, and gather the recordings. Raises NotRun and TrialInvalid."""
        wall_ahead_s = time.time() - time.monotonic()
        self.members = self.server.family() if self.server else []
        self.start_s, end_s = self._wait_for_window()
        self._sleep_until(self.start_s - PREPARE_S)
        connections, front_connections = (
            socket_counts.established(it.port) if it else 0 for it in (self.server, self.front)
        )
        self._note_early_ends()
        readings = self._readings(end_s)
        self._note_replacements()
        recording = self._wait_for_recording()
        self._note_clock(wall_ahead_s)
        self._note_look()
        return WindowEvidence(
            recording,
            **readings,
            events=self.events,
            start_s=self.start_s,
            connections=connections,
            front_connections=front_connections,
            open_max=max(self.open, default=None),
            log=self.server.log.read_text(errors="replace") if self.server else "",
            held_up=within(self.held_up, self.start_s, end_s),
            all_there=self.all_there,
        )

    def _readings(self, end_s: float) -> dict[str, list[process_usage.Reading]]:
        """Read the server through the window, and services and all our processes at its edges."""
        upstream, front = (it.family() if it else [] for it in (self.upstream, self.front))
        ours = [*self.members, *front, *upstream, *self._load_family(), psutil.Process()]
        seen: dict[str, list[process_usage.Reading]]
        seen = {"server": [], "front": [], "ours": [], "upstream": [], "database": []}
        times_s = sample_times_s(self.start_s, end_s)
        for at_s, next_s in pairwise([*times_s, math.inf]):
            self._sleep_until(at_s)
            if seen["server"] and time.monotonic() >= next_s:
                continue  # we were held up, and the next reading is due already
            self._look_at_members()
            seen["server"].append(process_usage.read(self.members, self.server.port if self.server else None))
            seen["front"] += [process_usage.read(front)] if front else []
            self._look_at_database()
            if at_s in (self.start_s, end_s):
                self.all_there = not any(map(has_ended, ours))
                seen["database"].append(self._database_read())
                seen["ours"].append(process_usage.add_readings(process_usage.read(ours), seen["database"][-1]))
                seen["upstream"].append(process_usage.read(upstream))
        return seen

    def _load_family(self) -> list[psutil.Process]:
        return [member for process in self.load.processes for member in process.family()]

    def _wait_for_window(self) -> Stretch:
        deadline = time.monotonic() + LOAD_WITHIN_S
        while (window := self.load.window()) is None:
            self._look()
            refusal = self.load.refusal()
            if refusal:
                raise NotRun(f"{refusal}: say --i-own-this-host to `lab load-worker` there.")
            if time.monotonic() > deadline:
                raise NotRun(self._not_there())
            time.sleep(LOOK_EVERY_S)
        return window

    def _not_there(self) -> str:
        missing = self.load.missing()
        if missing:
            return f"After {LOAD_WITHIN_S:.0f} s {missing}"
        return f"The load did not have all its users within {LOAD_WITHIN_S:.0f} s."

    def _wait_for_recording(self) -> Recording:
        deadline = time.monotonic() + RECORDED_WITHIN_S
        while not self.load.is_recorded():
            self._look()
            if time.monotonic() > deadline:
                there = f"{len(self.load.parts())} of {self.load.expected}"
                raise TrialInvalid("load-lost", f"{there} load processes handed in a recording.")
            time.sleep(LOOK_EVERY_S)
        return merge(self.load.parts())

    def _sleep_until(self, at_s: float) -> None:
        """Sleep until a monotonic time, and look at the processes on the way."""
        while (left_s := at_s - time.monotonic()) > 0:
            time.sleep(min(left_s, LOOK_EVERY_S))
            self._look()

    def _look(self) -> None:
        """Raise TrialInvalid where a process of ours has ended. Freeze and thaw, stop and start, when it is time."""
        self._note_look()
        for server in filter(None, (self.server, self.front, self.upstream)):
            if server.exit_status is not None:
                raise TrialInvalid("server-died", self._how_it_died(server))
        lost = self.load.lost_process()
        if lost:
            raise TrialInvalid("load-lost", lost[0].upper() + lost[1:])
        if self.start_s:
            self._disturb()

    def _note_look(self) -> None:
        """Note a long time without a look."""
        now_s = time.monotonic()
        if now_s - self.looked_s > HELD_UP_S:
            self.held_up.append((self.looked_s, now_s))
        self.looked_s = now_s

    def _look_at_database(self) -> None:
        """Count the connections open on the database, unless it is stopped."""
        if self.database and not self.database_is_away and (count := self.database.connections()) is not None:
            self.open.append(count)

    def _database_read(self) -> process_usage.Reading:
        """Read its processes, and add what those before an outage had used."""
        reading = process_usage.read_with_ended(self.database.family() if self.database else [])
        return process_usage.add_readings(reading, self.ended) if self.ended else reading

    def _disturb(self) -> None:
        """Begin and end what the experiment asks for, when it is time."""
        for each in list(self.disturbances):
            now_s = time.monotonic()
            if each.began_s is None and now_s - self.start_s >= each.at_s:
                each.began_s = now_s
                each.begin()
            elif each.began_s and each.for_s and now_s - each.began_s >= each.for_s:
                each.end()
                self.disturbances.remove(each)
                self._note(each.code, each.message, time.monotonic() - each.began_s)
            else:
                continue
            self.looked_s = time.monotonic()  # it kept us busy

    def _freezes(self, freeze: Freeze | None) -> Iterator[Disturbance]:
        if freeze:
            pause, resume = (partial(self._signal, number) for number in (signal.SIGSTOP, signal.SIGCONT))
            yield Disturbance(*freeze, pause, resume, "frozen", "The server was frozen, as the experiment asks,")

    def _outages(self, outage: Outage | None) -> Iterator[Disturbance]:
        if outage and self.database:
            message = "The database was stopped, as the experiment asks,"
            yield Disturbance(*outage, self._stop_database, self._start_database, "database-away", message)

    def _stop_database(self) -> None:
        assert self.database
        self.ended, self.database_is_away = self._database_read(), True
        self.database.stop()

    def _start_database(self) -> None:
        assert self.database
        self.database.start()
        self.database_is_away = False

    def _look_at_members(self) -> None:
        """Note processes of the server that have ended. This takes longer than a look, and is done less often."""
        for member in [member for member in self.members if has_ended(member)]:
            self.members.remove(member)
            self._note("server-restarted", f"Process {member.pid} of the server ended", 0.0)

    def _how_it_died(self, server: RunningServer) -> str:
        named = {"upstream service": self.upstream, "front": self.front}
        who = next((who for who, it in named.items() if server is it), "server")
        log = f" The end of its log:\n{server.log_tail()}" if server.log_tail() else ""
        return f"The {who} ended with status {server.exit_status}, {self._how_far()}.{log}"

    def _how_far(self) -> str:
        """End the window, and say how far it came."""
        into_s = time.monotonic() - self.start_s
        if not self.start_s or into_s < 0:
            return "before the window"
        recording = self.load.hand_in(HAND_IN_WITHIN_S)
        answered = "an unknown number of" if recording is None else str(recording.completed)
        return f"{into_s:.1f} s into the window, after {answered} answers in it"

    def _note(self, code: str, message: str, for_s: float) -> None:
        at_s = round(time.monotonic() - self.start_s - for_s, 3)
        self.events.append(Event(code, at_s, round(for_s, 3), f"{message} {at_s:.1f} s into the window."))

    def _note_early_ends(self) -> None:
        """Note processes of the server that ended in the warm-up, and go on with those that run now."""
        for member in [member for member in self.members if has_ended(member)]:
            at_s = min(0.0, round(time.monotonic() - self.start_s, 3))  # the last look may come as the window begins
            message = f"Process {member.pid} of the server ended in the warm-up, before the window."
            self.events.append(Event("restarted-early", at_s, 0.0, message))
        self.members = self.server.family() if self.server else []

    def _note_replacements(self) -> None:
        """Note a process that was started in the window: of the one before it nothing is left to see."""
        if self.server and {p.pid for p in self.server.family()} - {p.pid for p in self.members}:
            self._note("server-restarted", "A process of the server was seen that had been started", 0.0)

    def _note_clock(self, wall_ahead_s: float) -> None:
        step_s = time.time() - time.monotonic() - wall_ahead_s
        if abs(step_s) > CLOCK_STEP_S:
            self._note("clock-stepped", f"The wall clock moved by {step_s:,.0f} s; no number uses it. Seen", 0.0)

    def _signal(self, number: signal.Signals) -> None:
        for member in self.members:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(number)


def within(stretches: Sequence[Stretch], start_s: float, end_s: float) -> list[Stretch]:
    """Cut stretches of monotonic time at the window's edges, and count them from its start."""
    cut = [(max(since_s, start_s) - start_s, min(until_s, end_s) - start_s) for since_s, until_s in stretches]
    return [(since_s, until_s) for since_s, until_s in cut if since_s < until_s]


def sample_times_s(start_s: float, end_s: float) -> list[float]:
    """The times of the readings: the window's edges, and one in each column between them."""
    every_s = column_s(end_s - start_s)
    steps = int((end_s - start_s) / every_s)
    times_s = [start_s + step * every_s for step in range(steps + 1)]
    if end_s - times_s[-1] < every_s / 2:
        times_s.pop()
    return [*times_s, end_s]
