"""`scripts/burst STACK WORKLOAD -n 40`: N requests at once through httpx, drawn as a timeline.

A picture, not a measurement: httpx costs the client about a millisecond a request, which is why it stops at 100.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape

from bench import cpus, meter, record
from bench.arguments import Parser, whole, words
from bench.bounded import ask
from bench.errors import ExitCode
from bench.interrupts import run
from bench.needs import serving_needs
from bench.plots import burst_timeline, waves_of
from bench.probe import probe
from bench.servers import Server, serving_stack
from bench.stacks import Stack, parse_stack
from bench.terminal import console, guarded, print_json, shown
from bench.workloads import Request, parse_request

MAX_REQUESTS = 100
LOOK_EVERY_S = 0.02
ANSWERED_WITHIN_S = 60.0
BAR_COLUMNS = 60


@dataclass(frozen=True)
class Answer:
    """One request of a burst: seconds from the burst's start to its own start and to its answer."""

    start_s: float
    end_s: float
    ok: bool


@dataclass(frozen=True)
class Burst:
    """What N requests at once met in one stack. `inside_most` is None where the stack has no whoami."""

    stack: str
    request: str
    answers: list[Answer]
    inside_most: int | None
    threads_most: int


async def ask_at_once(url: str, request: Request, n: int) -> list[Answer]:
    """N requests leave together; each answer is compared with the contract's body."""
    limits = httpx.Limits(max_connections=n)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=ANSWERED_WITHIN_S, trust_env=False) as client:
        await warm_up(client)
        began_s = time.monotonic()

        async def ask() -> Answer:
            start_s = time.monotonic() - began_s
            try:
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    answer = await client.get(request.path)
                ok = answer.status_code == 200 and request.body in (None, answer.content)
            except (httpx.HTTPError, TimeoutError):
                ok = False
            return Answer(start_s, time.monotonic() - began_s, ok)

        return await asyncio.gather(*(ask() for _ in range(n)))


async def warm_up(client: httpx.AsyncClient) -> None:
    """A client's first request pays for its imports, which would look like the server's delay.

    The connection is closed again, so that all requests of the burst have to open one.
    """
    with suppress(httpx.HTTPError):  # a server that is gone shows in the burst's answers
        await client.get("/ready", headers={"Connection": "close"})


async def count_threads(server: Server, most: list[int]) -> None:
    """Look at the server's threads until cancelled; the most ever seen is appended."""
    family = server.family()
    while True:
        most.append(meter.read(family).threads)
        await asyncio.sleep(LOOK_EVERY_S)


async def watch(server: Server, request: Request, n: int) -> tuple[list[Answer], int]:
    """The answers of a burst, and the most threads that the server had meanwhile."""
    threads: list[int] = []
    counting = asyncio.create_task(count_threads(server, threads))
    answers = await ask_at_once(server.url, request, n)
    counting.cancel()
    return answers, max(threads)


def burst(stack: Stack, request: Request, n: int) -> Burst:
    """Start the stack, ask N times at once, stop it. NotRun and ContractBroken as in a trial."""
    where = cpus.plan(stack.budget.processes)
    with ExitStack() as running:
        needs = running.enter_context(serving_needs(request, cpus=where.load))
        server = running.enter_context(serving_stack(stack, services=needs.environment, cpus=where.server))
        probe(server.url, request, stack)
        answers, threads_most = run(watch(server, request, n))
        return Burst(stack.name, request.name, answers, _inside_most(server, stack), threads_most)


def _inside_most(server: Server, stack: Stack) -> int | None:
    if not stack.lab.is_django or stack.budget.processes > 1:  # each process counts for itself
        return None
    return int(ask(server.url, "/whoami", ANSWERED_WITHIN_S).json()["inside_most"])


def show(bursts: Sequence[Burst], console: Console) -> None:
    """One bar per request from its start to its answer, all stacks on one time axis."""
    total_s = max(answer.end_s for one in bursts for answer in one.answers)
    for one in bursts:
        inside = "" if one.inside_most is None else f", at most {one.inside_most} inside the view"
        failed = sum(not answer.ok for answer in one.answers)
        console.print(
            f"[bold]{one.stack}[/] {escape(one.request)}: {len(one.answers)} at once in "
            f"{waves_of(one.answers)} wave(s){inside}, up to {one.threads_most} threads, {failed} failed"
        )
        for answer in sorted(one.answers, key=lambda answer: (answer.end_s, answer.start_s)):
            console.print(_bar(answer, total_s), highlight=False)
        console.print()


def _bar(answer: Answer, total_s: float) -> str:
    start, end = (round(BAR_COLUMNS * at_s / total_s) for at_s in (answer.start_s, answer.end_s))
    colour = "cyan" if answer.ok else "red"
    bar = " " * start + "█" * max(1, end - start)
    return f"[{colour}]{bar:<{BAR_COLUMNS}}[/] {1000 * answer.end_s:7.0f} ms"


def draw(bursts: Sequence[Burst], path: Path) -> None:
    """The timelines beside each other, as PNG or SVG by the file's name."""
    picture = burst_timeline({one.stack: one.answers for one in bursts})
    content = picture.png() if path.suffix == ".png" else picture.svg().encode()
    record.require_replaceable(path, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    record.write_atomically(path, content)


def build_parser() -> Parser:
    parser = Parser(prog="scripts/burst", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("stacks", metavar="STACK", type=words, help="one, or several with commas")
    parser.add_argument("workload", metavar="WORKLOAD", help="such as wait, or 'wait?ms=200'")
    parser.add_argument("-n", type=whole(1, MAX_REQUESTS), default=40, help="requests at once (40)")
    parser.add_argument("--out", type=Path, default=record.LOCAL / "burst.png", help="the picture (.png, .svg)")
    parser.add_argument("--json", action="store_true", help="the answers as one JSON document on stdout")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    request = parse_request(arguments.workload)
    bursts = [burst(parse_stack(text), request, arguments.n) for text in arguments.stacks]
    draw(bursts, arguments.out)
    if arguments.json:
        print_json([asdict(one) for one in bursts])
    else:
        show(bursts, console())
    console(stderr=True).print(f"picture: {shown(arguments.out)}", highlight=False, markup=False, soft_wrap=True)
    all_right = all(answer.ok for one in bursts for answer in one.answers)
    return ExitCode.FINE if all_right else ExitCode.INVALID


if __name__ == "__main__":
    sys.exit(guarded(main))
