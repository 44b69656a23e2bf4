"""Probes Channels and a coroutine beside the requests: sockets at once, rooms, a trigger by Redis, a consumer alone."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from websockets.asyncio.client import ClientConnection, connect

from bench.base import programs
from bench.base.errors import NotRun
from bench.base.polling import eventually
from bench.claims.probes.project import project
from bench.claims.probes.serving import get, serve
from bench.measure.ports import free_port
from bench.measure.processes import Process, start, work_folder
from bench.measure.readiness import RunningServer
from bench.model.servers import HOST
from bench.model.stacks import parse_stack
from labs.common.redis_news import CHANNEL

SOCKETS, WAIT_MS = 8, 200
LISTENERS = 3
urlpatterns: list[Any] = []  # of the project of `consumer_without_layer`
WITHIN_S, SILENT_FOR_S = 10.0, 0.7
CHANNELS = parse_stack("channels_live@uvicorn").command
KINDS = {"async": "chat", "sync": "chat_sync"}


@asynccontextmanager
async def _socket(server: RunningServer, path: str) -> AsyncIterator[ClientConnection]:
    url = server.url.replace("http://", "ws://") + path
    async with connect(url, origin=server.url, proxy=None, open_timeout=WITHIN_S) as client:  # type: ignore[arg-type]
        yield client


async def _heard(client: ClientConnection, within_s: float = WITHIN_S) -> dict[str, Any]:
    return dict(json.loads(await asyncio.wait_for(client.recv(), within_s)))


def sockets_at_once() -> dict[str, Any]:
    """Ask sockets whose consumers wait before they answer, all at once: answers, and milliseconds until the last."""
    found: dict[str, Any] = {"sockets": SOCKETS, "wait_ms": WAIT_MS}
    with serve(CHANNELS) as server:
        for kind, path in KINDS.items():
            answered, took_ms = asyncio.run(_answered(server, path))
            found |= {f"{kind}_answered": answered, f"{kind}_ms": took_ms}
        return {**found, "processes": len(server.family())}


async def _answered(server: RunningServer, kind: str) -> tuple[int, int]:
    all_there = asyncio.Barrier(SOCKETS + 1)

    async def ask(number: int) -> str:
        async with _socket(server, f"/ws/{kind}/room{number}") as client:
            await _heard(client)  # the welcome
            await all_there.wait()
            await client.send(f"/wait {WAIT_MS}")
            return str((await _heard(client))["text"])

    asking = [asyncio.create_task(ask(number)) for number in range(SOCKETS)]
    await all_there.wait()
    began_s = time.monotonic()
    said = await asyncio.gather(*asking)
    return said.count(f"/wait {WAIT_MS}"), int((time.monotonic() - began_s) * 1000)


def rooms_of_two_processes() -> dict[str, Any]:
    """Say something in a room of one process: is it heard in the same room of another, without Redis and with it?"""
    with _redis() as url:
        return {"heard_without_redis": _heard_elsewhere(""), "heard_with_redis": _heard_elsewhere(url)}


def _heard_elsewhere(redis_url: str) -> bool:
    async def talk(here: RunningServer, there: RunningServer) -> bool:
        async with _socket(here, "/ws/chat/one") as speaker, _socket(there, "/ws/chat/one") as listener:
            await asyncio.gather(_heard(speaker), _heard(listener))
            await speaker.send("hello")
            await _heard(speaker)
            try:
                return (await _heard(listener, SILENT_FOR_S))["text"] == "hello"
            except TimeoutError:
                return False

    with serve(CHANNELS, LAB_REDIS_URL=redis_url) as here, serve(CHANNELS, LAB_REDIS_URL=redis_url) as there:
        return asyncio.run(talk(here, there))


@contextmanager
def _redis() -> Iterator[str]:
    """Start a throw-away Redis; yield its address. Raises NotRun if none is installed."""
    program, port = programs.path_of("redis-server"), free_port()
    with work_folder("redis") as folder:
        files = ("--dir", str(folder), "--save", "", "--appendonly", "no")
        command = [program, "--bind", HOST, "--port", str(port), *files]
        log = folder / "redis.log"
        process = Process(command, start(command, environment={}, cpus=(), log=log), log, [])
        try:
            if not eventually(lambda: _answers(port), WITHIN_S):
                raise NotRun(f"redis-server does not answer: {process.log_tail(1)}")
            yield f"redis://{HOST}:{port}/0"
        finally:
            process.stop(within_s=0)


def _answers(port: int) -> bool:
    with suppress(RedisError), Redis(HOST, port) as client:
        return bool(client.ping())
    return False


def background_coroutine() -> dict[str, Any]:
    """Publish a word in Redis: how many open sockets hear it through the process's one coroutine?"""
    with _redis() as url, serve(CHANNELS, LAB_REDIS_URL=url) as server:
        heard = asyncio.run(_hear_redis(server, url))
        return {"listeners": LISTENERS, "heard": heard, "processes": len(server.family())}


async def _hear_redis(server: RunningServer, url: str) -> int:
    async def listen() -> str:
        async with _socket(server, "/ws/news") as client:
            return str(await asyncio.wait_for(client.recv(), WITHIN_S))

    listening = [asyncio.create_task(listen()) for _ in range(LISTENERS)]
    await asyncio.to_thread(eventually, lambda: get(server, "/process")["news_listeners"] == LISTENERS, WITHIN_S)
    with Redis.from_url(url) as client:
        await asyncio.to_thread(client.publish, CHANNEL, "trigger")
    return (await asyncio.gather(*listening)).count("trigger")


def consumer_without_layer() -> dict[str, Any]:
    """Ask the consumer: does it answer, and in which thread does the ORM run, the loop's or another one?"""
    with project(__name__, CHANNEL_LAYERS={}):
        count, thread = asyncio.run(_talk())
    return {"answered": count == "1", "in_a_thread": thread == "another thread"}


async def _talk() -> list[str]:
    """Return the two texts that the consumer sends to a client that asks once and leaves."""
    from channels.testing import WebsocketCommunicator

    client = WebsocketCommunicator(_consumer(), "/")
    await client.connect(timeout=WITHIN_S)
    await client.send_to("how many?")
    texts = [await client.receive_from(timeout=WITHIN_S) for _ in range(2)]
    await client.disconnect()
    return texts


def _consumer() -> Any:
    from channels.db import database_sync_to_async
    from channels.generic.websocket import AsyncWebsocketConsumer
    from django.contrib.auth.models import User

    loop_s = threading.get_ident()

    def ask() -> tuple[int, int]:
        return User.objects.count(), threading.get_ident()

    class Counting(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            count, thread = await database_sync_to_async(ask)()
            await self.send(str(count))
            await self.send("another thread" if thread != loop_s else "the loop's thread")

    return Counting.as_asgi()
