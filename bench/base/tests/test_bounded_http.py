"""Servers that never come to an end: every wait and every read of ours has one."""

import asyncio
import gzip
import itertools
import socket
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench.base.bounded_http import MOST_BYTES, Unreadable, ask
from bench.base.errors import NotRun
from bench.measure import connection_trial, monitor
from bench.measure.database import database as databases
from bench.measure.database.database import Database
from bench.measure.load.http_stream import read_all
from bench.measure.processes import Process
from bench.measure.readiness import serving
from bench.measure.tests.processes import assert_nothing_is_left, listening, running
from bench.measure.tests.windows import OPEN, assert_without_numbers, codes_of, planned
from bench.measure.trial import deadline_s, run_trial
from bench.model.load import Leaving

pytestmark = pytest.mark.timeout(60)
SOON_S, LATE_S = 0.5, 10.0
"""What is allowed, and what would be a wait without a bound; between them is room for a busy machine."""
RIGHT = b'{"waited_ms": 20}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE, BUFFERED = 700_000_000, 200_000_000
"""Bytes of an answer without an end, and more than lie between a sender and a reader who has gone."""


def whole(body: bytes, *headers: bytes) -> bytes:
    return HEAD + b"".join(header + b"\r\n" for header in headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def answering(*answers: Callable[[], Iterator[bytes]]) -> tuple[Callable[[socket.socket], None], list[int]]:
    """A server that gives these answers in turn, the last for ever; and how much of each could be sent."""
    sent: list[int] = []
    turns = itertools.chain(answers, itertools.repeat(answers[-1]))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(10_000):
                sent.append(0)
                for part in next(turns)():
                    connection.sendall(part)
                    sent[-1] += len(part)

    return serve, sent


def right() -> Iterator[bytes]:
    time.sleep(0.02)
    yield whole(RIGHT)


def drips_body() -> Iterator[bytes]:
    yield HEAD + b"Content-Length: 1000\r\n\r\n"
    yield from dripping(b"x")


def drips_headers() -> Iterator[bytes]:
    yield HEAD
    yield from dripping(b"X-A: b\r\n")


def says_nothing() -> Iterator[bytes]:
    yield b""
    time.sleep(20)


def dripping(part: bytes) -> Iterator[bytes]:
    for _ in range(200):
        time.sleep(0.1)
        yield part


def long_body() -> Iterator[bytes]:
    time.sleep(0.02)
    yield HEAD + b"Content-Length: %d\r\n\r\n" % WHOLE
    yield from itertools.repeat(b"x" * 100_000, WHOLE // 100_000)


def long_chunks() -> Iterator[bytes]:
    time.sleep(0.02)
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from itertools.repeat(b"186a0\r\n" + b"x" * 100_000 + b"\r\n", WHOLE // 100_000)


def many_headers() -> Iterator[bytes]:
    yield HEAD
    yield from itertools.repeat(b"X-A: " + b"b" * 1000 + b"\r\n", WHOLE // 1000)


def packed() -> Iterator[bytes]:
    """The right answer and very much more of nothing: 50 kB that are 50 MB."""
    time.sleep(0.02)
    yield whole(gzip.compress(RIGHT + bytes(50_000_000)), b"Content-Encoding: gzip")


def no_http() -> Iterator[bytes]:
    yield b"\x00\xffthis is no status line\r\n\r\n"


@pytest.mark.parametrize("answer", [drips_body, drips_headers, says_nothing])
def test_an_answer_has_to_be_whole_in_time(answer: Callable[[], Iterator[bytes]]) -> None:
    serve, _ = answering(answer)
    with listening(serve) as url:
        began_s = time.monotonic()
        with pytest.raises(TimeoutError):
            ask(url, "/", SOON_S)
        assert time.monotonic() - began_s < LATE_S


@pytest.mark.parametrize("answer", [long_body, long_chunks, many_headers, no_http])
def test_of_an_answer_without_an_end_only_the_beginning_is_read(answer: Callable[[], Iterator[bytes]]) -> None:
    serve, sent = answering(answer)
    with listening(serve) as url, pytest.raises(Unreadable):
        ask(url, "/", 30)
    assert sent[0] < BUFFERED


def test_what_is_packed_stays_packed() -> None:
    serve, _ = answering(packed)
    with listening(serve) as url:
        answer = ask(url, "/", 30)
    assert (answer.status, answer.headers["content-encoding"]) == (200, "gzip")
    assert len(answer.body) < MOST_BYTES


@pytest.mark.parametrize("answer", [drips_body, drips_headers, long_body, packed, no_http])
def test_a_target_without_an_end_is_refused_by_the_probe(
    answer: Callable[[], Iterator[bytes]], mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.contract.PROBED_WITHIN_S", SOON_S)
    serve, sent = answering(answer)
    with listening(serve) as url:
        plan = planned(target=url)
        began_s = time.monotonic()
        trial = run_trial(plan)
        assert time.monotonic() - began_s < LATE_S < deadline_s(plan)
    assert_without_numbers(trial, "contract")
    assert max(sent) < BUFFERED
    assert_nothing_is_left(mark)


@pytest.mark.parametrize("load", [{}, OPEN], ids=["closed", "open"])
def test_a_load_reads_no_answer_beyond_a_bound_and_unpacks_none(load: dict[str, Any]) -> None:
    serve, sent = answering(right, long_body, packed, long_chunks)
    with listening(serve) as url:
        trial = run_trial(planned(target=url, duration_s=1.5, **load))
    assert (trial.verdict, codes_of(trial)[0]) == ("invalid", "wrong-answers")
    assert trial.errors.keys() == {"wrong body"}
    assert len(sent) > 4
    assert max(sent) < BUFFERED


def test_a_stranger_that_drips_does_not_hold_a_start(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.readiness.READY_WITHIN_S", SOON_S)
    monkeypatch.setattr("bench.measure.readiness.require_free", lambda port, host: None)
    serve, _ = answering(drips_body)
    began_s = time.monotonic()
    command = ["python", "-c", "import time; time.sleep(60)"]
    with listening(serve) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(NotRun, match="did not answer within"), serving(command, port, environment={}):
            pass
    assert time.monotonic() - began_s < LATE_S
    assert_nothing_is_left(mark)


def test_a_database_that_does_not_answer_is_not_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if database.connections() is None:
        pytest.skip("SQLite is a file, and no server to wait for")
    began_s = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(databases, "ASKED_WITHIN_S", SOON_S)
        with pytest.raises(NotRun, match="The database did not answer: "):
            database._execute("SELECT pg_sleep(30)")
    assert time.monotonic() - began_s < LATE_S
    assert database.payments() >= 0


def test_a_driver_reads_no_more_than_a_right_answer_can_have() -> None:
    async def read(count: int) -> bytes:
        reader = asyncio.StreamReader()
        reader.feed_data(bytes(count))
        reader.feed_eof()
        return await read_all(reader)

    assert len(asyncio.run(read(MOST_BYTES))) == MOST_BYTES
    with pytest.raises(ConnectionError, match="more than"):
        asyncio.run(read(MOST_BYTES + 1))


def test_of_a_log_only_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(50_000_000)
    with log.open("ab") as file:
        file.write(b"\nbut one\nthe last\n")
    with running(sys.executable, "-c", "") as popen:
        process = Process(["python"], popen, log, [])  # type: ignore[arg-type]
        tracemalloc.start()
        try:
            assert process.log_tail(2) == "but one\nthe last"
            assert tracemalloc.get_traced_memory()[1] < 5_000_000
        finally:
            tracemalloc.stop()


def test_a_deadline_counts_all_that_a_trial_starts_and_drives() -> None:
    plain = planned()
    assert deadline_s(planned(target="http://127.0.0.1:1")) < deadline_s(plain)
    assert deadline_s(planned(request="rows")) > deadline_s(plain) + databases.OF_OURS_WITHIN_S
    assert deadline_s(planned(request="wait?ms=9000")) > deadline_s(plain) + 8  # the probe waits for it
    gone = planned(load=Leaving(9, leave_after_s=0.1))
    assert deadline_s(gone) > connection_trial.DRIVEN_WITHIN_S + connection_trial.SETTLE_S
    assert deadline_s(plain) > monitor.LOAD_WITHIN_S + monitor.RECORDED_WITHIN_S
