"""A real Redis on a free loopback port, with a folder of its own, that tests kill, freeze and start again."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from bench.base.polling import eventually
from bench.measure.ports import free_port
from bench.measure.processes import start, work_folder
from bench.model.servers import HOST

REDIS = shutil.which("redis-server") or ""
needs_redis = pytest.mark.skipif(not REDIS, reason="needs Redis: ./scripts/system-packages gets it")


class RedisServer:
    """One that keeps its port over all its lives."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.url = f"redis://{HOST}:{port}/0"
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        files = ("--dir", str(self.folder), "--save", "", "--appendonly", "no")
        command = [REDIS, "--bind", HOST, "--port", str(self.port), *files]
        self.popen = start(command, environment={}, cpus=(), log=self.folder / "redis.log")
        assert eventually(self.answers, within_s=10), (self.folder / "redis.log").read_text()

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def answers(self) -> bool:
        with suppress(RedisError), self.client() as client:
            return bool(client.ping())
        return False

    def send(self, how: signal.Signals) -> None:
        assert self.popen
        self.popen.send_signal(how)

    def kill(self) -> None:
        if self.popen:
            self.popen.kill()
            self.popen.wait()


@contextmanager
def redis_that_is_down() -> Iterator[RedisServer]:
    """One that has not been started yet; killed on the way out."""
    with work_folder("redis") as folder:
        redis = RedisServer(folder, free_port())
        try:
            yield redis
        finally:
            redis.kill()


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    with redis_that_is_down() as redis:
        redis.start()
        yield redis
