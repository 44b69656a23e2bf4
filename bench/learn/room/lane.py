"""One lane of the room: a stack's server, which dies and comes back, and what is seen of it 15 times a second."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Literal, NamedTuple

import psutil

from bench.base.errors import LabError
from bench.learn.room.places import Places, places_of
from bench.learn.room.rates import Rates
from bench.learn.room.settings import Settings
from bench.learn.room.visitors import LEAST_PATIENCE_S, LEAVE_AFTER_SHARE, Visitors
from bench.measure import process_usage
from bench.measure.processes import has_ended, work_folder
from bench.measure.readiness import RunningServer, serving_stack
from bench.model.environments import DEFAULT, load_environment
from bench.model.stacks import Stack
from bench.model.workloads import parse_request
from labs.watched.sheet import Counts, Sheet

DEAD_FOR_S = 1.5
"""So long a server that ended is shown as dead before it is started again."""
State = Literal["starting", "serving", "dead", "not-run"]


class Serving(NamedTuple):
    """A server that is ready, the sheet on which it notes requests, and what stops it."""

    server: RunningServer
    sheet: Sheet
    running: ExitStack


class Lane:
    """A server of its own with its visitors. `live` keeps it served until it is cancelled."""

    def __init__(self, stack: Stack, cpus: Sequence[int], settings: Callable[[], Settings]) -> None:
        self.stack, self.cpus, self.settings = stack, cpus, settings
        self.visitors = Visitors(lambda: settings().path)
        self.state: State = "starting"
        self.message = ""
        self.serving: Serving | None = None
        self.services: Mapping[str, str] = {}
        self.family: list[psutil.Process] = []
        self.rates = Rates(self.visitors)
        self.seen: Places | None = None
        self.hops: int | None = None
        self._changed = asyncio.Event()
        # The kernel ends a server with the thread that started it, so one thread starts all servers of the lane.
        self._starter = ThreadPoolExecutor(1)

    def restart(self, stack: Stack, services: Mapping[str, str]) -> None:
        """Start the server again, as this stack and with these services."""
        self.stack, self.services, self.hops = stack, services, None
        self._changed.set()

    async def live(self) -> None:
        """Start the server, and start it again whenever it has ended or is to be another, until cancelled."""
        try:
            while True:
                self._changed.clear()
                self.state, self.message = "starting", ""
                await self._serve_once()
        finally:
            await self.visitors.close()
            await self._stop()
            self._starter.shutdown(wait=False)

    async def _serve_once(self) -> None:
        try:
            self.serving = await self._in_starter(self._start)
        except LabError as error:
            self.state, self.message = "not-run", str(error)
            await self._changed.wait()
            return
        self.family = self.serving.server.family()
        self.state = "serving"
        self.rates = Rates(self.visitors)
        self.visitors.admit(self.serving.server.port)
        await self._changed.wait()
        await self._end_service()

    async def _end_service(self) -> None:
        self.visitors.keep_out()
        if self.state == "dead":
            await asyncio.sleep(DEAD_FOR_S)
        else:
            self.state = "starting"
        await self._stop()

    async def _in_starter(self, work: Callable[[], Any]) -> Any:
        """Run in the lane's own thread; to its end also when this is cancelled, so that nothing it starts is lost."""
        running = asyncio.get_running_loop().run_in_executor(self._starter, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if isinstance(late := (await asyncio.gather(running, return_exceptions=True))[0], Serving):
                late.running.close()
            raise

    async def _stop(self) -> None:
        if self.serving:
            ended, self.serving, self.family = self.serving, None, []
            await self._in_starter(ended.running.close)

    def _start(self) -> Serving:
        """Start the server of the stack, watched. Raises LabError where it does not start."""
        middleware = ["startproject"] if self.settings().middleware else []
        with ExitStack() as running:
            path = running.enter_context(work_folder("room")) / "sheet"
            sheet = Sheet.create(path)
            how: dict[str, Any] = {"middleware": middleware, "services": self.services, "cpus": self.cpus}
            server = running.enter_context(serving_stack(self.stack, **how, sheet=path, grace_s=0))
            return Serving(server, sheet, running.pop_all())

    def follow(self, settings: Settings) -> None:
        """Have as many visitors as the settings say, with as much patience."""
        self.visitors.leaves = settings.leaves
        self.visitors.patience_s = max(LEAST_PATIENCE_S, LEAVE_AFTER_SHARE * settings.wait_ms / 1000)
        self.visitors.resize(settings.visitors)

    def sample(self) -> dict[str, Any]:
        """Look at the lane now, as JSON data. Numbers that only a running server has are None without one."""
        visitors = self.visitors
        lab, request = self.stack.lab, parse_request(self.settings().path.removeprefix("/"))
        looks = {
            "stack": self.stack.name,
            "lesson": lab.lesson,
            "colour": lab.colour,
            "slots": request.slots(self.stack),
        }
        looks["environment"] = environment_text(self.stack.environment)
        state = {"state": self.state, "message": self.message, "hops": self.hops}
        answers = "".join(_digit(visitors.answers[place]) for place in range(len(visitors.current)))
        visitors.answers.clear()
        books = {**vars(visitors.books), "in_flight": visitors.books.in_flight, "answers": answers}
        return {**looks, **state, **books, **self._look(), "errors": dict(visitors.errors.most_common(2))}

    def _look(self) -> dict[str, Any]:
        if not self.serving or self.state != "serving":
            return {"places": "o" * len(self.visitors.current), "leavers": [], "guests": []}
        server = self.serving.server
        if server.exit_status is not None:
            self.state, self.message = "dead", f"ended {server.end_text}"
            self.visitors.keep_out()
            self._changed.set()
            return {"places": "o" * len(self.visitors.current), "leavers": [], "guests": []}
        if any(map(has_ended, self.family)):
            self.family = server.family()
        reading = process_usage.read(self.family, server.port)
        self.seen = places_of(self.visitors, self.serving.sheet, reading.accept_queue) or self.seen
        place = {"pid": server.pid, "port": server.port}
        usage = {"threads": reading.threads, "rss_bytes": reading.rss_bytes, "accept_queue": reading.accept_queue}
        return {
            **place,
            **usage,
            **self.rates.of(reading, self.settings(), self.stack),
            **(self.seen or _NOTHING).to_json(),
        }


@functools.cache
def environment_text(name: str) -> str:
    """Say in which environment a server runs: its Python, its Django, and its name if it is not the lab's own."""
    try:
        environment = load_environment(name)
    except LabError:  # the lane says why
        return name
    text = f"{environment.python}, Django {environment.packages.get('django', 'not there')}"
    return text if name == DEFAULT else f"{name}: {text}"


_NOTHING = Places("", Counts(0, 0, 0, 0), [], [])


def _digit(count: int) -> str:
    return "0123456789"[min(count, 9)]
