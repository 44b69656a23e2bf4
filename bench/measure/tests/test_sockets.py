"""WebSockets of a live lab on real servers: rooms, the harm of sync consumers, rude clients, and the page."""

import asyncio
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bench.base.polling import eventually
from bench.measure import preflight
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.tests.live import LIVE_STACKS, WITHIN_S, enter, get, heard, open_there, publish, refused_with, socket
from bench.measure.tests.processes import at_rest
from bench.model.servers import LARGEST_MESSAGE_BYTES
from bench.model.stacks import parse_stack
from labs.channels_live.sockets import robust

pytestmark = pytest.mark.timeout(60)
SOCKETS = 1000
AT_ONCE = 50
LEFT_AFTER_S = 30.0
WAIT_MS = 1000
TRIES = 3
"""Of what has to come while a socket waits: on a busy machine it may come after that."""
MASK = b"\x00\x00\x00\x00"
# The first two bytes of RFC 6455, section 5.2: final bit and opcode, mask bit and length.
RUDE_FRAMES = {
    "not masked": b"\x81\x02hi",
    "an unknown opcode": b"\x83\x80" + MASK,
    "a reserved bit": b"\xf1\x80" + MASK,
    "not UTF-8": b"\x81\x82" + MASK + b"\xff\xfe",
    "a length of 2**62": b"\x81\xff" + struct.pack(">Q", 2**62) + MASK + b"x" * 100,
    "a long ping": b"\x89\xfe" + struct.pack(">H", 200) + MASK + b"x" * 200,
    "no WebSocket at all": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.fixture(scope="module", params=LIVE_STACKS)
def live(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """Each live stack in turn, without Redis, once for all tests; they use rooms of their own."""
    preflight.raise_descriptor_limit()
    with serving_stack(parse_stack(request.param)) as server:
        yield server


async def texts(client: ClientConnection, count: int) -> list[str]:
    return [(await heard(client))["text"] for _ in range(count)]


def test_what_one_says_is_heard_by_all_in_the_room_and_by_nobody_else(live: RunningServer) -> None:
    async def talk() -> None:
        a, b, elsewhere = [await enter(live, f"/ws/{path}") for path in ("chat/one", "chat_sync/one", "chat/other")]
        for client, text in ((a, "from async"), (b, "from sync"), (elsewhere, "elsewhere")):
            await client.send(text)
        assert set(await texts(a, 2)) == set(await texts(b, 2)) == {"from async", "from sync"}
        assert await texts(elsewhere, 1) == ["elsewhere"]
        await asyncio.gather(a.close(), b.close(), elsewhere.close())

    asyncio.run(talk())


async def order_heard(server: RunningServer, waiting: str, talking: str, listening: str) -> list[str]:
    """One socket waits before it speaks, others say hello after it; what a listener in their room hears, in order."""
    async with await enter(server, listening) as listener, await enter(server, waiting) as waiter:
        talkers = [await enter(server, talking) for _ in range(3)]
        await waiter.send(f"/wait {WAIT_MS}")
        await (await waiter.ping())  # after that the server has the message before it
        for talker in talkers:
            await talker.send("hello")
        found = await texts(listener, 4)
        await asyncio.gather(*(talker.close() for talker in talkers))
    return found


WAITED, HELLOS = [f"/wait {WAIT_MS}"], ["hello"] * 3


def test_an_async_consumer_that_waits_holds_up_nobody(live: RunningServer) -> None:
    rooms = ("/ws/chat/wait", "/ws/chat/wait", "/ws/chat/wait")
    assert any(asyncio.run(order_heard(live, *rooms)) == HELLOS + WAITED for _ in range(TRIES))


def test_a_sync_consumer_that_waits_holds_up_every_other_sync_socket(live: RunningServer) -> None:
    rooms = ("/ws/chat_sync/stall", "/ws/chat_sync/stall", "/ws/chat_sync/stall")
    assert asyncio.run(order_heard(live, *rooms)) == WAITED + HELLOS


def test_a_sync_consumer_that_waits_holds_up_the_async_sockets_too(live: RunningServer) -> None:
    """Before each message an async consumer looks after old database connections, on that same one thread."""
    rooms = ("/ws/chat_sync/both", "/ws/chat/both", "/ws/chat/both")
    assert asyncio.run(order_heard(live, *rooms)) == WAITED + HELLOS


def test_http_is_answered_while_a_sync_consumer_waits(live: RunningServer) -> None:
    async def is_answered_first() -> bool:
        async with await enter(live, "/ws/chat_sync/http") as waiter:
            await waiter.send(f"/wait {WAIT_MS}")
            said = asyncio.create_task(waiter.recv())
            assert await asyncio.to_thread(get, live, "/hello") == {"message": "hello"}
            is_first = not said.done()
            assert json.loads(await said)["text"] == f"/wait {WAIT_MS}"
            return is_first

    assert any(asyncio.run(is_answered_first()) for _ in range(TRIES))


@pytest.mark.parametrize(("path", "is_the_loop_s"), [("/ws/chat/thread", True), ("/ws/chat_sync/thread", False)])
def test_all_sockets_are_handled_on_one_thread(live: RunningServer, path: str, is_the_loop_s: bool) -> None:
    async def threads() -> set[int]:
        clients = [await enter(live, path) for _ in range(10)]
        await asyncio.gather(*(client.send("hello") for client in clients))
        found = {(await heard(clients[0]))["thread"] for _ in clients}
        await asyncio.gather(*(client.close() for client in clients))
        return found

    (thread,) = asyncio.run(threads())
    assert (thread == get(live, "/whoami")["thread_id"]) is is_the_loop_s


def test_a_thousand_sockets_closed_without_a_goodbye_leave_nothing_behind(live: RunningServer) -> None:
    asyncio.run(come_and_go(live, 6))  # whatever is made once is there now
    before, log = at_rest(partial(open_there, live)), live.log.read_bytes()
    most = asyncio.run(come_and_go(live, SOCKETS))
    assert min(most["tasks"], most["descriptors"]) >= SOCKETS
    assert most["listeners"] + most["in rooms"] == SOCKETS
    assert eventually(lambda: is_as_before(before, open_there(live)), LEFT_AFTER_S), (before, open_there(live))
    assert live.log.read_text() == log.decode()


def is_as_before(before: dict[str, int], now: dict[str, int]) -> bool:
    return all(now[what] <= count for what, count in before.items())


async def come_and_go(server: RunningServer, count: int) -> dict[str, int]:
    """Open so many sockets of three kinds, look, and reset all while they are told something; gives what was open."""
    paths = ["/ws/news", "/ws/chat/many", "/ws/chat_sync/many"]
    room = asyncio.Semaphore(AT_ONCE)

    async def come(number: int) -> ClientConnection:
        async with room:
            path = paths[number % 3]
            return await (socket(server, path) if path == "/ws/news" else enter(server, path))

    clients = await asyncio.gather(*(come(number) for number in range(count)))
    most = await asyncio.to_thread(at_rest, partial(open_there, server))  # a socket listens to news after it was let in
    await asyncio.gather(clients[1].send("hello"), clients[2].send("hello"))
    for client in clients:
        client.transport.abort()
    await asyncio.gather(*(client.wait_closed() for client in clients))
    return most


async def told_and_closed(server: RunningServer, message: str | bytes) -> tuple[str, int | None]:
    """The sentence that the message is answered with, and the code with which the socket is closed after it."""
    async with await enter(server, "/ws/chat/rude") as client:
        await client.send(message)
        sentence = (await heard(client))["error"]
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(client.recv(), WITHIN_S)
        return sentence, client.close_code


@pytest.mark.parametrize(
    ("message", "sentence", "code"),
    [
        ("x" * 1001, "A message has at most 1000 characters, not 1001.", 4009),
        (b"bytes", "Only text is understood here.", 4003),
    ],
)
def test_a_message_that_is_too_long_or_not_text_is_told_so_and_the_socket_closed(
    live: RunningServer, message: str | bytes, sentence: str, code: int
) -> None:
    with unharmed(live):
        assert asyncio.run(told_and_closed(live, message)) == (sentence, code)


def test_what_a_room_says_after_a_socket_was_refused_is_not_sent_to_it() -> None:
    """It waits in the channel layer until the consumer, which has closed by then, takes it; uvicorn would raise."""
    sent = []

    async def consumer(scope: Any, receive: Any, send: Any) -> None:
        for what in ("send", "close", "send"):
            await send({"type": f"websocket.{what}"})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(robust(consumer)({}, None, send))
    assert sent == ["websocket.send", "websocket.close"]


def test_a_wait_that_is_no_number_is_told_so_and_the_socket_stays(live: RunningServer) -> None:
    async def say() -> None:
        for path in ("/ws/chat/wait", "/ws/chat_sync/wait"):
            async with await enter(live, path) as client:
                await client.send("/wait long")
                assert await heard(client) == {"error": "ms must be a whole number from 0 to 10000, not 'long'."}
                await client.send("x" * 1000)
                assert await texts(client, 1) == ["x" * 1000]

    asyncio.run(say())


@contextmanager
def unharmed(server: RunningServer) -> Iterator[None]:
    """Afterwards the server answers, and has had nothing to say."""
    log = at_rest(server.log.read_text)  # of those before, too
    yield
    assert get(server, "/hello") == {"message": "hello"}
    assert server.log.read_text() == log


async def closed_after(server: RunningServer, frame: bytes, path: str = "/ws/chat/rude") -> None:
    """Send the bytes over an open socket as they are, and wait until the server has closed it; others stay."""
    async with await enter(server, path) as polite:
        rude = await enter(server, path)
        rude.transport.write(frame)
        await asyncio.wait_for(rude.wait_closed(), WITHIN_S)
        await polite.send("still here")
        assert await texts(polite, 1) == ["still here"]


@pytest.mark.parametrize("frame", RUDE_FRAMES)
def test_a_malformed_frame_ends_its_own_socket_and_nothing_else(live: RunningServer, frame: str) -> None:
    asyncio.run(closed_after(live, RUDE_FRAMES[frame]))
    assert get(live, "/hello") == {"message": "hello"}


def test_the_server_itself_refuses_what_is_larger_than_its_limit(live: RunningServer) -> None:
    """The application would have answered with a sentence; nothing comes but the end."""

    async def send() -> list[Any]:
        async with await enter(live, "/ws/chat/large") as client:
            await client.send("x" * (LARGEST_MESSAGE_BYTES + 1))
            return [message async for message in client]

    with unharmed(live), pytest.raises(ConnectionClosed):
        assert asyncio.run(send()) == []


@pytest.mark.parametrize(
    "origin", [None, "http://example.org", "null", "http://127.0.0.1.example.org", "http://127.0.0.1:1"]
)
def test_another_origin_or_none_is_refused(live: RunningServer, origin: str | None) -> None:
    with unharmed(live):
        assert asyncio.run(refused_with(live, "/ws/chat/one", origin=origin)) == 403


@pytest.mark.parametrize("path", ["/", "/ws/chat/", "/ws/chat/a b", "/ws/chat/" + "x" * 51, "/ws/nothing"])
def test_a_socket_to_an_unknown_path_is_refused_without_a_trace(live: RunningServer, path: str) -> None:
    with unharmed(live):
        assert asyncio.run(refused_with(live, path.replace(" ", "%20"))) == 403


def test_news_comes_over_a_socket_in_the_order_published(live: RunningServer) -> None:
    async def listen() -> list[Any]:
        async with socket(live, "/ws/news") as news:
            assert await asyncio.to_thread(eventually, lambda: get(live, "/process")["news_listeners"], WITHIN_S)
            for number in range(20):
                await asyncio.to_thread(publish, live, f"news {number}")
            return [await asyncio.wait_for(news.recv(), WITHIN_S) for _ in range(20)]

    assert asyncio.run(listen()) == [f"news {number}" for number in range(20)]
