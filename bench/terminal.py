"""How programs of the bench speak: a console, one JSON document, errors as a sentence and an exit code."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from bench.errors import ExitCode, LabError
from bench.interrupts import interruptible


def shown(path: Path) -> Path:
    """The path as seen from here, where that is shorter."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def console(*, stderr: bool = False) -> Console:
    """A terminal without emoji codes: `gthread:100:` is a stack and a colon."""
    return Console(stderr=stderr, emoji=False)


def announce(line: str) -> None:
    """What is begun and takes a moment, on stderr."""
    console(stderr=True).print(line, style="dim", highlight=False)


def print_json(data: Any) -> int:
    """One JSON document on stdout."""
    print(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    return ExitCode.FINE


def guarded(does: Callable[[], int]) -> int:
    """Run a program to its exit code: a user's mistake is one sentence, never a traceback."""
    try:
        with interruptible():
            return int(does())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
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
