"""How programs of the bench speak: a console, one JSON document, errors as a sentence and an exit code."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from bench.errors import ExitCode, LabError
from bench.interrupts import interruptible
from bench.printable import printable

_SIZE = re.compile("[0-9]{1,4}")
FEWEST, MOST = 20, 1000
"""Columns and lines that are taken for those of a terminal."""


def shown(path: Path) -> Path:
    """The path as seen from here, where that is shorter."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


class _Printable(Console):
    """A console that no text can command: what is shown comes from servers and runs too."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def console(*, stderr: bool = False) -> Console:
    """A terminal without emoji codes: `gthread:100:` is a stack and a colon."""
    return _Printable(stderr=stderr, emoji=False, _environ=_with_sane_sizes(os.environ))


def _with_sane_sizes(environment: Mapping[str, str]) -> dict[str, str]:
    """Without a COLUMNS or LINES that is no size of a terminal: rich prints nothing on 0 columns."""

    def is_sane(name: str, text: str) -> bool:
        return name not in ("COLUMNS", "LINES") or (bool(_SIZE.fullmatch(text)) and FEWEST <= int(text) <= MOST)

    return {name: text for name, text in environment.items() if is_sane(name, text)}


def announce(line: str) -> None:
    """What is begun and takes a moment, on stderr."""
    console(stderr=True).print(line, style="dim", highlight=False)


def print_json(data: Any) -> int:
    """One JSON document on stdout."""
    print(printable(msgspec.json.format(msgspec.json.encode(data), indent=2).decode()))
    return ExitCode.FINE


def print_text(text: str) -> None:
    """Lines on stdout, such as Markdown."""
    print(printable(text))


def guarded(does: Callable[[], int]) -> int:
    """Run a program to its exit code: a user's mistake is one sentence, never a traceback."""
    try:
        with interruptible():
            return int(does())
    except LabError as error:
        print(printable(f"lab: {error}"), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter says so at its end
        return ExitCode.FINE
    except OSError as error:
        print(f"lab: {error.strerror or error} ({error.filename or 'no file'}).", file=sys.stderr)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        print("lab: interrupted.", file=sys.stderr)
        return ExitCode.INTERRUPTED
