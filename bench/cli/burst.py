"""`scripts/burst STACK WORKLOAD -n 40`: sends N requests at once through httpx and draws them as a timeline.

A picture, not a measurement: httpx costs the client about a millisecond per request. That is why 100 is the most.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape

from bench.base import files
from bench.base.console import console, print_json, relative_to_here, run_program
from bench.base.errors import ExitCode
from bench.base.options import Parser, whole, words
from bench.measure.load.burst import MAX_REQUESTS, Answer, Burst, burst
from bench.model import run_store
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.show.figures.burst_timeline import burst_timeline, waves_of

BAR_COLUMNS = 60


def show(bursts: Sequence[Burst]) -> None:
    """Print one bar per request from its start to its answer, all stacks on one time axis."""
    out = console()
    total_s = max(answer.end_s for one in bursts for answer in one.answers)
    for one in bursts:
        inside = "" if one.inside_most is None else f", at most {one.inside_most} inside the view"
        failed = sum(not answer.ok for answer in one.answers)
        out.print(
            f"[bold]{one.stack}[/] {escape(one.request)}: {len(one.answers)} at once in "
            f"{waves_of(one.answers)} wave(s){inside}, up to {one.threads_most} threads, {failed} failed"
        )
        for answer in sorted(one.answers, key=lambda answer: (answer.end_s, answer.start_s)):
            out.print(_bar(answer, total_s), highlight=False)
        out.print()


def _bar(answer: Answer, total_s: float) -> str:
    start, end = (round(BAR_COLUMNS * at_s / total_s) for at_s in (answer.start_s, answer.end_s))
    colour = "cyan" if answer.ok else "red"
    bar = " " * start + "█" * max(1, end - start)
    return f"[{colour}]{bar:<{BAR_COLUMNS}}[/] {1000 * answer.end_s:7.0f} ms"


def draw(bursts: Sequence[Burst], path: Path) -> None:
    """Draw the timelines beside each other, as PNG or SVG according to the file's name."""
    picture = burst_timeline({one.stack: one.answers for one in bursts})
    content = picture.png() if path.suffix == ".png" else picture.svg().encode()
    files.require_replaceable(path, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, content)


def main(argv: Sequence[str] | None = None) -> int:
    """Send each burst, draw the picture and print the answers; return INVALID if an answer is wrong."""
    parser = Parser(prog="scripts/burst", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("stacks", metavar="STACK", type=words, help="one, or several with commas")
    parser.add_argument("workload", metavar="WORKLOAD", help="such as wait, or 'wait?ms=200'")
    parser.add_argument("-n", type=whole(1, MAX_REQUESTS), default=40, help="requests at once (default: 40)")
    parser.add_argument("--out", type=Path, default=run_store.LOCAL / "burst.png", help="the picture (.png or .svg)")
    parser.add_argument("--json", action="store_true", help="print the answers as one JSON document")
    arguments = parser.parse_args(argv)
    request = parse_request(arguments.workload)
    bursts = [burst(parse_stack(text), request, arguments.n) for text in arguments.stacks]
    draw(bursts, arguments.out)
    if arguments.json:
        print_json([asdict(one) for one in bursts])
    else:
        show(bursts)
    console(stderr=True).print(
        f"picture: {relative_to_here(arguments.out)}", highlight=False, markup=False, soft_wrap=True
    )
    return ExitCode.FINE if all(answer.ok for one in bursts for answer in one.answers) else ExitCode.INVALID


if __name__ == "__main__":
    sys.exit(run_program(main))
