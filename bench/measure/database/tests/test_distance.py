"""A database that is further away: the same bytes in the same order, later by what was asked, for many at once."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from bench.base.errors import NotRun
from bench.measure.database.database import serving_database
from bench.measure.database.distance import serve, serving_at_a_distance
from bench.measure.ports import free_port
from bench.measure.tests.processes import assert_nothing_is_left
from bench.model.redaction import VARIABLE
from bench.model.servers import HOST
from bench.model.stacks import parse_stack

DELAY_S, CLIENTS = 0.1, 100
LATER = pytest.mark.timeout(60)


@asynccontextmanager
async def far_echo() -> AsyncIterator[int]:
    """A port behind which a server echoes, DELAY_S away; it ends a connection at a byte 0."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (part := await reader.read(4096)) and b"\0" not in part:
            writer.write(part)
            await writer.drain()
        writer.close()

    near, far = free_port(), free_port()
    async with await asyncio.start_server(echo, HOST, near):
        serving = asyncio.create_task(serve(far, HOST, near, DELAY_S))
        while not serving.done():
            try:
                (await asyncio.open_connection(HOST, far))[1].close()
                break
            except OSError:
                await asyncio.sleep(0.01)
        yield far
        serving.cancel()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


async def sent_and_back(port: int, content: bytes) -> tuple[bytes, float]:
    reader, writer = await asyncio.open_connection(HOST, port)
    began_s = time.monotonic()
    writer.write(content)
    received = await reader.readexactly(len(content))
    took_s = time.monotonic() - began_s
    writer.close()
    return received, took_s


@LATER
def test_bytes_come_back_as_they_were_and_not_before_their_time() -> None:
    async def check() -> None:
        content = os.urandom(1_000_000).replace(b"\0", b"1")
        async with far_echo() as port:
            received, took_s = await sent_and_back(port, content)
        assert received == content
        assert took_s >= DELAY_S

    asyncio.run(check())


@LATER
def test_connections_do_not_wait_for_each_other() -> None:
    async def check() -> None:
        async with far_echo() as port:
            began_s = time.monotonic()
            found = await asyncio.gather(*(sent_and_back(port, b"%d" % client) for client in range(CLIENTS)))
            assert [received for received, _ in found] == [b"%d" % client for client in range(CLIENTS)]
            assert DELAY_S <= time.monotonic() - began_s < CLIENTS * DELAY_S / 2

    asyncio.run(check())


@LATER
def test_an_end_and_a_database_that_is_away_are_passed_on() -> None:
    async def check() -> None:
        async with far_echo() as port:
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"\0")
            assert await reader.read() == b""
            writer.close()
        serving = asyncio.create_task(serve(port := free_port(), HOST, free_port(), 0.0))
        await asyncio.sleep(0.2)
        reader, writer = await asyncio.open_connection(HOST, port)
        assert await reader.read() == b""
        writer.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(check())


@LATER
def test_a_lab_finds_its_database_at_a_distance(mark: str) -> None:
    with serving_database() as database:
        if not database.is_postgres:
            with pytest.raises(NotRun, match="is a file"), serving_at_a_distance(database, 50):
                pass
            return
        with serving_at_a_distance(database, 50) as found, psycopg.connect(found[VARIABLE]) as connection:
            began_s = time.monotonic()
            assert connection.execute("SELECT count(*) FROM shop_product").fetchone() == (100,)
            assert time.monotonic() - began_s >= 0.05
    assert_nothing_is_left(mark)


def test_the_distance_is_a_part_of_the_stack_and_of_its_name() -> None:
    for name in ("async_asgi+db_10ms@uvicorn", "sync_wsgi+max_age_60+db_1ms@gthread:8%py313"):
        stack = parse_stack(name)
        assert stack.name == name
        assert stack.database_ms in (1, 10)
    assert parse_stack("async_asgi+db_10ms+pool_16@uvicorn").name == "async_asgi+pool_16+db_10ms@uvicorn"
    assert parse_stack("async_asgi+pool_16@uvicorn").database_ms == 0
