"""Puts a PostgreSQL further away: a proxy on loopback that passes each answer on some milliseconds after it came.

    python -m bench.measure.database.distance PORT HOST PORT MS

listens on the first port. What a client sends goes on at once, so that a question and its answer take MS longer,
however many parts they have; an event loop's timers count whole milliseconds, so that it may be one more.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

from bench.base.errors import NotRun
from bench.base.files import ROOT
from bench.measure.database.database import REMEDY, Database
from bench.measure.ports import free_port
from bench.measure.processes import Process, work_folder
from bench.measure.readiness import listens_within
from bench.model.redaction import VARIABLE
from bench.model.servers import HOST

READY_WITHIN_S = 20.0
PART_BYTES = 65_536
POSTGRES_PORT = 5432


@contextmanager
def serving_at_a_distance(database: Database, ms: int, cpus: Sequence[int] = ()) -> Iterator[dict[str, str]]:
    """Run the proxy on these cores and yield the variable by which a lab finds the database through it.

    Raises NotRun for a database that has no address, and where the proxy does not start.
    """
    where = urlsplit(database.environment[VARIABLE])
    if not where.hostname:
        raise NotRun(f"{database.vendor} is a file, and no way leads to it that could be longer: {REMEDY}.")
    port = free_port()
    words = [str(port), where.hostname, str(where.port or POSTGRES_PORT), str(ms)]
    with work_folder("distance") as work:
        command = [sys.executable, "-m", "bench.measure.database.distance", *words]
        process = Process.start(command, log=work / "distance.log", cpus=cpus, folder=ROOT)
        try:
            if not listens_within(process, port, READY_WITHIN_S):
                raise NotRun(f"The way to the database did not start: {process.log_tail()}")
            login, at, _ = where.netloc.rpartition("@")
            yield {VARIABLE: where._replace(netloc=f"{login}{at}{HOST}:{port}").geturl()}
        finally:
            process.stop(within_s=0)


async def serve(port: int, host: str, upstream_port: int, delay_s: float) -> None:
    """Listen on loopback until cancelled, and pass each connection on; none outlives it."""
    async with asyncio.TaskGroup() as connections:  # it holds them: asyncio itself has only weak references to tasks

        def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.create_task(_connect(reader, writer, host, upstream_port, delay_s))

        async with await asyncio.start_server(connect, HOST, port, backlog=1024) as server:
            await server.serve_forever()


async def _connect(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, upstream_port: int, delay_s: float
) -> None:
    """Pass one connection on until an end of it has gone. Where nothing listens, the client meets an end at once."""
    with closing(writer), suppress(OSError):
        answers, questions = await asyncio.open_connection(host, upstream_port)
        with closing(questions):
            await asyncio.gather(_pass_on(reader, questions, 0.0), _pass_on(answers, writer, delay_s))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Pass bytes on in their order, each part `delay_s` after it came, and then the end."""
    loop = asyncio.get_running_loop()
    while part := await reader.read(PART_BYTES):
        loop.call_later(delay_s, writer.write, part)
    await asyncio.sleep(delay_s)
    if writer.can_write_eof() and not writer.is_closing():
        writer.write_eof()


if __name__ == "__main__":
    own, upstream, theirs, milliseconds = sys.argv[1:]
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(int(own), upstream, int(theirs), int(milliseconds) / 1000))
