"""Live labs get WebSockets and a lifespan from their server; what daphne is and lacks beside uvicorn."""

import asyncio
import signal
import socket
import sys
import time

import pytest

from bench.base.errors import NotRun, UsageError
from bench.measure.ports import free_port
from bench.measure.readiness import RunningServer, serving, serving_stack
from bench.measure.tests.live import LIVE_STACKS, WITHIN_S, Elsewhere, enter, get, heard
from bench.measure.tests.processes import assert_nothing_is_left, end, outcomes_of_sigterm, running
from bench.model import servers
from bench.model.servers import BACKLOG, HOST, KEEP_ALIVE_S, LARGEST_MESSAGE_BYTES
from bench.model.stacks import LIVE, STACKS, parse_stack
from labs.common import hypercorn_settings

pytestmark = pytest.mark.timeout(60)
CLIENTS = 4


def pair(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def test_a_live_lab_is_given_websockets_and_lifespan_and_no_other_is() -> None:
    on_uvicorn = [stack for stack in STACKS if stack.server.name == "uvicorn"]
    assert {stack.lab.needs for stack in on_uvicorn} == {LIVE, ()}
    for stack in on_uvicorn:
        command = stack.command(8000)
        protocols = (pair(command, "--ws"), pair(command, "--lifespan"))
        assert protocols == (("websockets-sansio", "on") if stack.lab.needs else ("none", "off"))
        assert pair(command, "--timeout-keep-alive") == str(KEEP_ALIVE_S)


def test_daphne_listens_with_the_backlog_of_the_others() -> None:
    command = parse_stack("channels_live@daphne").command(8000)
    assert pair(command, "--endpoint") == f"tcp:port=8000:interface={HOST}:backlog={BACKLOG}"


@pytest.mark.parametrize(
    ("stack", "sentence"),
    [
        ("channels_live@gunicorn_asgi", "channels_live has WebSockets, gunicorn_asgi serves none here: choose one of"),
        ("channels_live@daphne:x2", "daphne has one process in stack 'channels_live@daphne:x2': leave x2 out."),
        ("channels_live@gthread:8", "gthread speaks WSGI but channels_live is ASGI: choose one of"),
        ("sync_wsgi@daphne", "daphne speaks ASGI but sync_wsgi is WSGI: choose one of"),
    ],
)
def test_a_stack_that_cannot_be_is_refused_with_what_can(stack: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_stack(stack)
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize("server", ["daphne", "hypercorn"])
def test_a_server_that_cannot_reload_a_view_says_so(server: str) -> None:
    with pytest.raises(UsageError, match="leave --reload out"):
        parse_stack(f"channels_live@{server}").command(8000, reload=True)


def test_daphne_serves_plain_labs_too() -> None:
    with serving_stack(parse_stack("async_asgi@daphne")) as server:
        assert get(server, "/hello") == {"message": "hello"}
        assert server.log_tail() == ""


def test_daphne_that_does_not_boot_is_told_with_the_end_of_its_log(mark: str) -> None:
    port = free_port()
    command = [*parse_stack("async_asgi@daphne").command(port)[:-1], "labs.no_such_lab.asgi:application"]
    with (
        pytest.raises(NotRun, match=r"(?s)ended with status 1\..*labs\.no_such_lab"),
        serving(command, port, environment={}),
    ):
        pass
    assert_nothing_is_left(mark, port)


@pytest.mark.parametrize(
    ("stack", "waits_ms", "outcome", "status"),
    [(LIVE_STACKS[0], (400, 1500, 4000), "200", -15), (LIVE_STACKS[1], (8000,), "lost", 0)],
)
def test_sigterm_lets_uvicorn_answer_what_is_short_and_daphne_lose_it(
    stack: str, waits_ms: tuple[int, ...], outcome: str, status: int, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "GRACEFUL_STOP_S", 10)
    with serving_stack(parse_stack(stack)) as server:
        assert outcomes_of_sigterm(server, CLIENTS, *waits_ms) == {outcome: CLIENTS}
        assert server.popen.wait(WITHIN_S) == status
        assert "Traceback" not in server.log.read_text()
    assert_nothing_is_left(mark, server.port)


@pytest.mark.parametrize("stack", [*LIVE_STACKS, "channels_live@granian"])
def test_open_sockets_do_not_hold_up_the_end_of_a_server(stack: str, mark: str) -> None:
    async def stay() -> int | None:
        sockets = [await enter(server, path) for path in ("/ws/chat/a", "/ws/chat_sync/a")]
        server.popen.terminate()
        for open_socket in sockets:
            await asyncio.wait_for(open_socket.wait_closed(), WITHIN_S)
        return await asyncio.to_thread(server.popen.wait, WITHIN_S)

    with serving_stack(parse_stack(stack)) as server:
        assert asyncio.run(stay()) in (0, -signal.SIGTERM)
        assert "Traceback" not in server.log.read_text()
    assert_nothing_is_left(mark, server.port)


async def talk(server: Elsewhere) -> None:
    async with await enter(server, "/ws/chat/one") as client:
        await client.send("hello")
        assert (await heard(client))["text"] == "hello"


@pytest.mark.parametrize("stack", [*LIVE_STACKS, "channels_live@granian"])
def test_lab_serve_serves_a_room_until_ctrl_c(stack: str, mark: str) -> None:
    port = free_port()
    with running(sys.executable, "-m", "bench", "serve", stack, "--port", str(port)) as popen:
        assert popen.stderr
        assert any("ready" in line for line in popen.stderr)
        asyncio.run(talk(Elsewhere(f"http://{HOST}:{port}")))
        status, _, err = end(popen, signal.SIGINT)
    assert (status, err) == (130, "lab: interrupted.\n")
    assert_nothing_is_left(mark, port)


@pytest.mark.parametrize(
    ("stack", "wait_s", "answers_at_once"), [("channels_live@uvicorn", 8, True), ("channels_live@granian", 1.5, False)]
)
def test_granian_answers_a_ping_only_when_the_application_receives(
    stack: str, wait_s: float, answers_at_once: bool
) -> None:
    async def pong_after_s() -> float:
        async with await enter(server, "/ws/chat/ping") as client:
            began_s = time.monotonic()
            await client.send(f"/wait {1000 * wait_s:.0f}")
            await (await client.ping())
            return time.monotonic() - began_s

    with serving_stack(parse_stack(stack), grace_s=0) as server:
        assert (asyncio.run(pong_after_s()) < wait_s) is answers_at_once


def test_hypercorn_serves_a_room_and_ends_with_it_open(mark: str) -> None:
    """What it prints then is not looked at: asyncio of Python 3.11 writes a traceback for each task that it cancels."""

    async def stay(server: RunningServer) -> int:
        await talk(Elsewhere(server.url))
        client = await enter(server, "/ws/chat/a")
        server.popen.terminate()
        await asyncio.wait_for(client.wait_closed(), WITHIN_S)
        return await asyncio.to_thread(server.popen.wait, WITHIN_S)

    with serving_stack(parse_stack("channels_live@hypercorn")) as server:
        assert asyncio.run(stay(server)) == 0
    assert_nothing_is_left(mark, server.port)


def test_hypercorn_is_told_what_it_has_no_option_for() -> None:
    assert hypercorn_settings.websocket_max_message_size == LARGEST_MESSAGE_BYTES
    with (
        serving_stack(parse_stack("bare_asgi@hypercorn"), grace_s=0) as server,
        socket.create_connection((HOST, server.port), WITHIN_S) as connection,
        connection.makefile("rb") as answers,
    ):
        for _ in range(1001):  # its default closes a connection after 1,000
            connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while answers.readline() not in (b"\r\n", b""):
                pass
            assert answers.read(len(b'{"message": "hello"}')) == b'{"message": "hello"}'
