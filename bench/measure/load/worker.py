"""`lab load-worker`: makes load for a master on another machine, one trial after the other, until Ctrl-C.

A Locust worker serves one trial; so a new one is started as soon as the last has ended, and waits for the next master.
"""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.base.errors import UsageError
from bench.measure import preflight
from bench.measure.load.launcher import worker_command
from bench.measure.load.protocol import DONE, MASTER_GONE, REFUSED, WORKING
from bench.measure.processes import Process, work_folder
from bench.model.servers import OWN_HOST_VARIABLE
from bench.model.trial_plan import MASTER_PORT

LOOK_EVERY_S = 0.05
LEAVE_WITHIN_S = 1.0  # after Ctrl-C: to tell the master, who then knows at once
SHORT_S = 1.0  # a worker that ends sooner will hardly do better at once
PAUSE_S = 2.0
NO_MASTER = "Failed to connect to the Locust master"


@dataclass(frozen=True)
class Post:
    """The master that this machine works for, its cores, and whether the user owns the target."""

    master: str
    port: int = MASTER_PORT
    cpus: Sequence[int] = ()
    owns_target: bool = False


def work(post: Post, console: Console) -> None:
    """Work for one trial after the other. Raises UsageError if the master is not found or asks for a foreign target."""
    try:
        socket.getaddrinfo(post.master, None)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"The master {post.master!r} is not found ({reason}): check --master.") from None
    preflight.raise_descriptor_limit()
    number = 0
    while True:
        began_s = time.monotonic()
        with work_folder("worker") as folder:
            number += work_once(post, folder / "worker.log", f"trial {number + 1}", console)
        if time.monotonic() - began_s < SHORT_S:
            time.sleep(PAUSE_S)


def work_once(post: Post, log: Path, trial: str, console: Console) -> bool:
    """Start a worker and follow it to its end; return whether it did its trial."""
    console.print(
        f"waiting for the master at {post.master}:{post.port} · Ctrl-C ends this", highlight=False, soft_wrap=True
    )
    environment = {OWN_HOST_VARIABLE: "1"} if post.owns_target else {}
    command = worker_command(post.master, post.port)
    process = Process.start(command, environment=environment, cpus=post.cpus, log=log)
    try:
        status = follow(process, trial, console)
    finally:
        process.stop(LEAVE_WITHIN_S)
    lines = process.log_tail().splitlines() or ["it printed nothing"]
    if status == REFUSED:
        raise UsageError(f"{lines[-1]}: say --i-own-this-host if it is yours to load.")
    done = status == 0 and DONE in lines
    ended = "done" if done else how_it_ended(status, lines[-1])
    console.print(f"{trial}: {ended}", highlight=False, markup=False, soft_wrap=True)
    return done


def follow(process: Process, trial: str, console: Console) -> int:
    """Print when it begins to work; return its exit status when it has ended."""
    is_working = False
    while (status := process.exit_status) is None:
        if not is_working and WORKING in process.log_tail().splitlines():
            console.print(f"{trial}: working", highlight=False, soft_wrap=True)
            is_working = True
        time.sleep(LOOK_EVERY_S)
    return status


def how_it_ended(status: int, last_line: str) -> str:
    """Return a phrase for how a trial ended, from the exit status and last line of its worker."""
    if status in (0, MASTER_GONE):
        return "broken off by the master"
    if NO_MASTER in last_line:  # Locust gives up after five minutes
        return "not begun, no master is there yet"
    return f"the worker ended with status {status} ({last_line})"
