"""The room: its lanes and services, its settings, and everyone who watches. What a control changes, `change` does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import msgspec

from bench.base.errors import LabError
from bench.learn.room.lane import Lane
from bench.learn.room.settings import MOST_LANES, Settings
from bench.learn.room.slow_motion import trace_lane
from bench.measure import cpu_placement
from bench.measure.database.database import Database, serving_database
from bench.measure.services import serving_upstream

SAMPLED_EVERY_S = 1 / 15
CONNECTIONS_EVERY_S = 0.3
FRAMES_KEPT = 4
"""For a browser that is slow: older ones are dropped, never delayed."""


Record = Callable[[str, bytes], None]


class Stage:
    """Lanes side by side. `listeners` get each frame, and so does `record`, as ("frame", JSON); `kept` is called after
    each change of settings."""

    def __init__(self, settings: Settings, kept: Callable[[Settings], None], record: Record) -> None:
        self.settings, self.kept, self.record = settings, kept, record
        self.lanes: list[Lane] = []
        self.listeners: set[asyncio.Queue[bytes]] = set()
        self.frame = b""
        self.notice = ""
        self._living: dict[Lane, asyncio.Task[None]] = {}
        self._services = ExitStack()
        self._upstream: Mapping[str, str] = {}
        self._database: Database | None = None
        self._connections: int | None = None
        self.traced: list[dict[str, Any]] = []
        self._traces = 0
        self._tracer = ThreadPoolExecutor(1)
        self._is_away = False
        self._changing = asyncio.Lock()
        # The kernel ends a service with the thread that started it.
        self._starter = ThreadPoolExecutor(1)
        self._cpus = cpu_placement.plan(MOST_LANES)

    async def run(self) -> None:
        """Live until cancelled: then every server and service is stopped."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_settings(None))
                tasks.create_task(self._sample_for_ever())
                tasks.create_task(self._count_connections())
        finally:
            for task in self._living.values():
                task.cancel()
            await asyncio.gather(*self._living.values(), return_exceptions=True)
            await asyncio.get_running_loop().run_in_executor(self._starter, self._services.close)

    async def change(self, settings: Settings) -> None:
        """Have these settings from now on. Lanes that need another server restart, one of which is shown as one."""
        async with self._changing:
            before, self.settings = self.settings, settings
            self.kept(settings)
            await self._follow_settings(before)

    async def trace(self) -> None:
        """Trace one request through each lane, one after the other; every browser then plays them."""
        lanes, settings = list(self.lanes), self.settings
        found = [
            await asyncio.get_running_loop().run_in_executor(self._tracer, trace_lane, lane, settings) for lane in lanes
        ]
        for lane, each in zip(lanes, found, strict=True):
            lane.hops = len(each["trace"]["crossings"]) if "trace" in each else None
        self.traced, self._traces = found, self._traces + 1
        self.record("traced", msgspec.json.encode(found))

    async def _follow_settings(self, before: Settings | None) -> None:
        settings = self.settings
        try:
            services = await self._in_starter(self._services_for)
        except LabError as error:
            self.notice = str(error)
            services = {}
        else:
            self.notice = ""
        is_restart = before is not None and before.needs_restart != settings.needs_restart
        for place, stack in enumerate(settings.stacks):
            if place == len(self.lanes):
                self._open_lane(place, services)
            elif is_restart or self.lanes[place].stack != stack:
                self.lanes[place].restart(stack, services)
        for lane in self.lanes[len(settings.stacks) :]:
            self._living.pop(lane).cancel()
        del self.lanes[len(settings.stacks) :]
        for lane in self.lanes:
            lane.follow(settings)

    def _open_lane(self, place: int, services: Mapping[str, str]) -> None:
        cores = self._cpus.server
        lane = Lane(
            self.settings.stacks[place], cores[place % len(cores) :][:1] if cores else [], lambda: self.settings
        )
        lane.services = services
        self.lanes.append(lane)
        self._living[lane] = asyncio.create_task(lane.live())

    async def _in_starter(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._starter, work)

    def _services_for(self) -> Mapping[str, str]:
        """Start what the views wait for, once, and stop or start the database as the settings say."""
        behind, cpus = self.settings.behind, self._cpus.load
        if behind == "upstream" and not self._upstream:
            upstream = self._services.enter_context(serving_upstream(cpus=cpus))
            self._upstream = {"LAB_UPSTREAM_URL": upstream.url}
        if behind == "database" and not self._database:
            self._database = self._services.enter_context(serving_database(cpus=cpus))
        self._send_database_away(self.settings.database_away and behind == "database")
        return {**self._upstream, **(self._database.environment if self._database else {})}

    def _send_database_away(self, is_away: bool) -> None:
        if self._database and is_away != self._is_away:
            (self._database.stop if is_away else self._database.start)()
            self._is_away = is_away

    async def _count_connections(self) -> None:
        """Ask the database how many connections it has, now and then."""
        while True:
            if self._database and not self._is_away and self.settings.behind == "database":
                self._connections = await self._in_starter(self._database.connections)
            else:
                self._connections = None
            await asyncio.sleep(CONNECTIONS_EVERY_S)

    async def _sample_for_ever(self) -> None:
        began_s = time.monotonic()
        while True:
            self.frame = msgspec.json.encode(self._sample(time.monotonic() - began_s))
            if self.lanes:
                self.record("frame", self.frame)
            for queue in self.listeners:
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(self.frame)
            late_s = (time.monotonic() - began_s) % SAMPLED_EVERY_S
            await asyncio.sleep(SAMPLED_EVERY_S - late_s)

    def _sample(self, at_s: float) -> dict[str, Any]:
        return {
            "at_s": round(at_s, 3),
            "settings": settings_json(self.settings),
            "notice": self.notice,
            "slow_motion": self._traces,
            "connections": self._connections,
            "cores": self._shared_text(),
            "lanes": [lane.sample() for lane in self.lanes],
        }

    def _shared_text(self) -> str:
        """Say so where servers share cores."""
        lanes, cores = len(self.lanes), len(self._cpus.server)
        if cores >= lanes:
            return ""
        on = f"{cores} cores" if cores > 1 else "one core"
        return f"{lanes} servers share {on}: rates depend on each other, counts do not."

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["asyncio.Queue[bytes]"]:
        """A queue of frames from now on."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(FRAMES_KEPT)
        self.listeners.add(queue)
        try:
            yield queue
        finally:
            self.listeners.discard(queue)


def settings_json(settings: Settings) -> dict[str, Any]:
    """Return the settings as JSON data, with the path that visitors ask for."""
    return {**vars(settings), "path": settings.path}
