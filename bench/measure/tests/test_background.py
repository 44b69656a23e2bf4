"""The coroutine beside the requests: what the servers do with lifespan, and what Redis does to those who listen."""

import asyncio
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from bench.base.errors import NotRun
from bench.base.polling import eventually
from bench.base.tests.attempts import MADE_AGAIN
from bench.measure.ports import free_port
from bench.measure.readiness import RunningServer, serving
from bench.measure.tests.live import LIVE_STACKS, WITHIN_S, enter, get, heard, publish, refused_with, socket
from bench.measure.tests.processes import assert_nothing_is_left, at_rest
from bench.measure.tests.redis_server import RedisServer, needs_redis, redis_that_is_down, running_redis
from bench.model.stacks import parse_stack
from labs.common import background
from labs.common.background import Background
from labs.common.news import NEWS
from labs.common.redis_news import CHANNEL
from labs.tests.ask import run_python

pytestmark = pytest.mark.timeout(60)
REFUSES = "ValueError: Django can only handle ASGI/HTTP connections, not {}."
ASK_DJANGO = """
import asyncio, sys
from labs.async_asgi.asgi import application
asyncio.run(application({"type": sys.argv[1]}, None, None))
"""
FIRST_REQUEST = "background: No lifespan from this server: the coroutine starts with the first request."
LOST, BACK = "background: Redis is lost (", "background: Redis is back."
AWAY = b'{"error": "Nobody has heard this: Redis at LAB_REDIS_URL does not answer. Publish it again."}'


@contextmanager
def serving_live(stack: str, url: str) -> Iterator[RunningServer]:
    """A live lab that is given this Redis."""
    port = free_port()
    with serving(parse_stack(stack).command(port), port, environment={"LAB_REDIS_URL": url}) as server:
        yield server


@contextmanager
def serving_plain_django(*protocols: str) -> Iterator[RunningServer]:
    """Django as `get_asgi_application` makes it, on uvicorn with these options."""
    port = free_port()
    command = ["python", "-m", "uvicorn", "--log-level", "warning", *protocols, "--port", str(port)]
    with serving([*command, "labs.async_asgi.asgi:application"], port, environment={}) as server:
        yield server


def lines(server: RunningServer, start: str) -> list[str]:
    return [line for line in server.log.read_text().splitlines() if line.startswith(start)]


@pytest.mark.parametrize("scope", ["lifespan", "websocket"])
def test_django_itself_raises_for_every_scope_but_http(scope: str) -> None:
    done = run_python("-c", ASK_DJANGO, scope)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, REFUSES.format(scope))


def test_uvicorn_serves_plain_django_without_lifespan_when_it_may_choose() -> None:
    with serving_plain_django("--lifespan", "auto") as server:
        assert get(server, "/hello") == {"message": "hello"}
        assert server.log_tail() == ""


def test_uvicorn_does_not_start_plain_django_when_lifespan_is_asked_for(mark: str) -> None:
    with pytest.raises(NotRun, match="ended with status 3") as refusal, serving_plain_django("--lifespan", "on"):
        pass
    assert REFUSES.format("lifespan") in str(refusal.value)
    assert_nothing_is_left(mark)


def test_a_websocket_to_plain_django_is_a_500_and_a_trace() -> None:
    with serving_plain_django("--lifespan", "off", "--ws", "websockets-sansio") as server:
        assert asyncio.run(refused_with(server, "/ws/news")) == 500
        assert REFUSES.format("websocket") in server.log.read_text()


@pytest.mark.parametrize(
    ("stack", "url"),
    [
        (LIVE_STACKS[0], "redis//:secret@nowhere"),
        (LIVE_STACKS[0], "redis://:secret@127.0.0.1:port/0"),
        (LIVE_STACKS[0], "redis://:secret@127.0.0.1:6379/0?no_such_option=1"),
        (LIVE_STACKS[0], "redis://:secret@part/of-it@127.0.0.1:6379/0"),
        (LIVE_STACKS[1], "redis//:secret@nowhere"),
    ],
)
def test_a_bad_redis_url_is_one_sentence_that_does_not_quote_it(stack: str, url: str, mark: str) -> None:
    with pytest.raises(NotRun, match="ended with status 1") as refusal, serving_live(stack, url):
        pass
    log = str(refusal.value).partition("The end of its log:\n")[2]
    assert log == "LAB_REDIS_URL is no address of a Redis server: write redis://127.0.0.1:6379/0."
    assert_nothing_is_left(mark)


class Lifespan:
    """A server's side of the protocol, for an application whose http scopes are never asked."""

    def __init__(self, application: Background) -> None:
        self.to_application, self.from_application = asyncio.Queue[Any](), asyncio.Queue[Any]()
        scope, receive, send = {"type": "lifespan"}, self.to_application.get, self.from_application.put
        self.task = asyncio.create_task(application(scope, receive, send))

    async def ask(self, what: str) -> None:
        await self.to_application.put({"type": f"lifespan.{what}"})
        answer = await asyncio.wait_for(self.from_application.get(), WITHIN_S)
        assert answer == {"type": f"lifespan.{what}.complete"}


async def until(holds: Callable[[], object]) -> None:
    """`eventually`, for what happens on this loop."""
    async with asyncio.timeout(WITHIN_S):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)


def test_without_redis_lifespan_is_answered_and_no_coroutine_runs() -> None:
    async def live() -> None:
        lifespan = Lifespan(Background(None, ""))
        await lifespan.ask("startup")
        assert asyncio.all_tasks() == {asyncio.current_task(), lifespan.task}
        await lifespan.ask("shutdown")
        await lifespan.task

    asyncio.run(live())


@pytest.mark.live
@needs_redis
def test_startup_is_complete_when_redis_is_heard_and_shutdown_leaves_no_task() -> None:
    async def live(redis: RedisServer) -> None:
        lifespan = Lifespan(Background(None, redis.url))
        await lifespan.ask("startup")
        with NEWS.heard_by_loop() as inbox:
            await asyncio.to_thread(tell_redis, redis, "one")
            assert await inbox.next(WITHIN_S) == "one"
        await lifespan.ask("shutdown")
        await lifespan.task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with running_redis() as redis:
        asyncio.run(live(redis))


def pings(redis: RedisServer) -> int:
    with redis.client() as client:
        return int(client.info("commandstats")["cmdstat_ping"]["calls"])


def tell_redis(redis: RedisServer, text: str) -> None:
    with redis.client() as client:
        assert client.publish(CHANNEL, text) == 1


def test_a_listener_that_fails_of_itself_fails_the_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(listener: object) -> None:
        raise LookupError("not about Redis")

    async def live() -> None:
        lifespan = Lifespan(Background(None, f"redis://127.0.0.1:{free_port()}"))
        await lifespan.to_application.put({"type": "lifespan.startup"})
        await asyncio.wait_for(lifespan.task, WITHIN_S)

    monkeypatch.setattr(background.Listener, "hear", fail)
    with pytest.raises(LookupError, match="not about Redis"):
        asyncio.run(live())


@pytest.mark.live
@needs_redis
def test_a_redis_that_is_frozen_counts_as_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(background, "QUIET_S", 0.2)

    async def said_while_quiet(redis: RedisServer) -> str:
        capsys.readouterr()
        asked = pings(redis)
        await until(lambda: pings(redis) > asked + 1)
        return capsys.readouterr().err

    async def live(redis: RedisServer) -> None:
        lifespan = Lifespan(application := Background(None, redis.url))
        await lifespan.ask("startup")
        listener = application.listener
        assert listener
        for _ in range(MADE_AGAIN):  # a busy machine may keep it from answering
            said = await said_while_quiet(redis)
            if not said:
                break
        assert not said  # it has nothing to say, but answers
        redis.send(signal.SIGSTOP)
        await until(lambda: listener.is_lost)
        redis.send(signal.SIGCONT)
        await until(lambda: not listener.is_lost)
        await lifespan.ask("shutdown")
        await lifespan.task

    with running_redis() as redis:
        asyncio.run(live(redis))
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(" (")[0] for line in said[:2]] == ["background: Redis is lost", BACK]


@pytest.mark.parametrize("stack", LIVE_STACKS)
def test_without_redis_a_process_tells_its_own_feeds_polls_and_sockets(stack: str) -> None:
    with serving_live(stack, "") as server:
        assert publish(server, "nobody there").json() == {"heard": 0}
        asyncio.run(all_hear_what_is_published([server]))
        assert server.log_tail() == ""


async def all_hear_what_is_published(servers: list[RunningServer]) -> None:
    async with Listeners(servers) as listeners:
        answer = await asyncio.to_thread(publish, servers[0], "one")
        assert answer.json() == {"heard": 3}
        await listeners.all_hear("one")


def are_subscribed(redis: RedisServer, processes: int) -> bool:
    with redis.client() as client:
        return bool(client.pubsub_numsub(CHANNEL)[0][1] == processes)


def three_listen(server: RunningServer) -> bool:
    return bool(get(server, "/process")["news_listeners"] == 3)


class Listeners:
    """On each server an open feed, an open poll, and a socket for news."""

    def __init__(self, servers: list[RunningServer]) -> None:
        self.servers, self.open = servers, ExitStack()
        self.tasks = list[asyncio.Task[str]]()
        self.sockets = list[ClientConnection]()

    async def __aenter__(self) -> "Listeners":
        self.http = httpx.AsyncClient(trust_env=False, timeout=30)
        for server in self.servers:
            self.sockets.append(await socket(server, "/ws/news"))
            self.tasks += [asyncio.create_task(self.fed(server)), asyncio.create_task(self.polled(server))]
            assert await asyncio.to_thread(eventually, partial(three_listen, server), WITHIN_S)
        return self

    async def fed(self, server: RunningServer) -> str:
        """The first news in a feed of 20 s."""
        async with self.http.stream("GET", f"{server.url}/feed?n=100&ms=200") as feed:
            found = ""
            async for text in feed.aiter_text():
                found += text
                if news := re.search("event: news\ndata: (.*)\n\n", found):
                    return news[1]
        return "the feed has ended"

    async def polled(self, server: RunningServer) -> str:
        return str((await self.http.get(f"{server.url}/poll?ms=10000")).json()["news"])

    async def all_hear(self, text: str) -> None:
        said = [asyncio.wait_for(each.recv(), WITHIN_S) for each in self.sockets]
        answers = await asyncio.wait_for(asyncio.gather(*said, *self.tasks), WITHIN_S)
        assert answers == [text] * (3 * len(self.servers))

    async def __aexit__(self, *error: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, *(each.close() for each in self.sockets), return_exceptions=True)
        await self.http.aclose()


@needs_redis
def test_through_redis_every_process_hears_and_what_is_open_outlives_a_killed_redis(mark: str) -> None:
    with running_redis() as redis, ExitStack() as running:
        servers = [running.enter_context(serving_live(stack, redis.url)) for stack in LIVE_STACKS]
        assert eventually(lambda: are_subscribed(redis, 2), WITHIN_S)
        assert publish(servers[0], "nobody there").json() == {"processes": 2}
        asyncio.run(outlive(redis, servers))
        for server, earlier in zip(servers, ([], [FIRST_REQUEST]), strict=True):
            said = lines(server, "background: ")
            assert [said[:-2], said[-1]] == [earlier, BACK]
            assert said[-2].startswith(LOST)
            assert "Traceback" not in server.log.read_text()
    assert_nothing_is_left(mark, redis.port)


async def outlive(redis: RedisServer, servers: list[RunningServer]) -> None:
    """Everything is opened before Redis is killed, and hears what is published after it is back."""
    rooms = [await enter(server, path) for server in servers for path in ("/ws/chat/a", "/ws/chat_sync/a")]
    await one_says_all_hear(rooms, "before")
    async with Listeners(servers) as listeners:
        await asyncio.to_thread(redis.kill)
        await asyncio.to_thread(all_say, servers, LOST)
        await nobody_is_told(servers, rooms)
        redis.start()  # in this thread: what a thread has started ends with the thread
        await asyncio.to_thread(all_say, servers, BACK)
        assert (await asyncio.to_thread(publish, servers[1], "again")).json() == {"processes": 2}
        await listeners.all_hear("again")
    await rooms_are_joined_again(rooms)
    await asyncio.gather(*(room.close() for room in rooms))


async def one_says_all_hear(rooms: list[ClientConnection], text: str) -> None:
    await rooms[0].send(text)
    assert [(await heard(room))["text"] for room in rooms] == [text] * len(rooms)


def all_say(servers: list[RunningServer], start: str) -> None:
    for server in servers:
        assert eventually(partial(lines, server, start), WITHIN_S), server.log_tail()


async def nobody_is_told(servers: list[RunningServer], rooms: list[ClientConnection]) -> None:
    """While Redis is away whoever says something is told so, new sockets are refused, and those open stay."""
    for server in servers:
        answer = await asyncio.to_thread(publish, server, "lost")
        assert (answer.status_code, answer.content) == (503, AWAY)
        assert await refused_with(server, "/ws/chat/b") == 403
    for room in rooms:
        await room.send("lost")
        assert await heard(room) == {"error": "Nobody has heard this: Redis is away. Say it again later."}


async def rooms_are_joined_again(rooms: list[ClientConnection]) -> None:
    """The channel layer has a connection, and a pause, of its own: all hear a message once each process is back."""
    latest = [""] * len(rooms)

    async def listen(place: int) -> None:
        while latest[place] != "stop":
            latest[place] = str((await heard(rooms[place])).get("text"))

    async with asyncio.timeout(2 * WITHIN_S), asyncio.TaskGroup() as listening:
        for place in range(len(rooms)):
            listening.create_task(listen(place))
        while set(latest) != {"still here"}:
            await rooms[0].send("still here")
            await asyncio.sleep(0.1)
        await rooms[0].send("stop")


@needs_redis
@pytest.mark.parametrize("stack", LIVE_STACKS)
def test_a_server_starts_while_redis_is_down_and_is_found_when_it_comes(stack: str) -> None:
    with redis_that_is_down() as redis, serving_live(stack, redis.url) as server:
        said = at_rest(lambda: lines(server, "background: Redis"))
        assert [line.partition(" (")[0] for line in said] == [LOST.rstrip(" (")]
        assert (publish(server, "lost").status_code, get(server, "/hello")) == (503, {"message": "hello"})
        redis.start()
        assert eventually(lambda: lines(server, BACK), WITHIN_S)
        assert publish(server, "one").json() == {"processes": 1}


@needs_redis
@pytest.mark.parametrize(("stack", "status"), list(zip(LIVE_STACKS, (-signal.SIGTERM, 0), strict=True)))
def test_sigterm_ends_the_coroutine_without_a_word(stack: str, status: int) -> None:
    with running_redis() as redis, serving_live(stack, redis.url) as server:
        before = at_rest(server.log.read_text)
        server.popen.terminate()
        assert server.popen.wait(WITHIN_S) == status
        assert server.log.read_text() == before
