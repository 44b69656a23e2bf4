"""The output of every program of the bench: a console, a JSON document, an error as a sentence and an exit code."""

import codecs
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import msgspec
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from bench.base.errors import ExitCode, LabError
from bench.base.printable import printable
from bench.base.signals import interruptible

_SIZE = re.compile("[2-9][0-9]|[1-9][0-9]{2}|1000")
"""20 to 1000: the numbers of columns and of lines that a terminal may have."""


def relative_to_here(path: Path) -> Path:
    """Return the path relative to the working directory if it is inside it, else the path as it is."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


class _Printable(Console):
    """A console that writes control characters out: some of its text comes from servers and runs."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def console(*, stderr: bool = False) -> Console:
    """Make a console without emoji codes: `gthread:100:` is a stack and a colon."""
    return _Printable(stderr=stderr, emoji=False, _environ=_with_sane_sizes(os.environ))


def _with_sane_sizes(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out COLUMNS and LINES unless a terminal can have that size: rich prints nothing on 0 columns."""
    sizes = ("COLUMNS", "LINES")
    return {name: text for name, text in environment.items() if name not in sizes or _SIZE.fullmatch(text)}


def announce(line: str) -> None:
    """Print a sentence on stderr, beside the result: something starts that takes a moment, or is good to know."""
    console(stderr=True).print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def print_json(data: Any) -> int:
    """Print one JSON document on stdout and return the exit code 0; in ASCII if stdout does not take UTF-8."""
    text = printable(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    takes_all = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    print(text if takes_all else re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], text))
    return ExitCode.FINE


def print_text(text: str) -> None:
    """Print text on stdout, such as Markdown."""
    print(printable(text))


PLAIN = {"·": "-", "–": "-", "×": "x", "≥": ">", "○": "o", "█": "#", "µ": "u", "→": ">", "…": "~"}
"""What replaces each sign of our tables where it cannot be encoded: a sign of the same width."""


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


codecs.register_error("plainer", _plainer)


class Outlet:
    """A stream that never raises OSError: plainer signs replace what it cannot encode, the rest is dropped.

    So a measurement goes on when the reader of its progress has gone. `error` is the first OSError.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.is_terminal = stream, stream.isatty()
        self.error: OSError | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plainer")

    def write(self, text: str) -> int:
        """Write the text; an OSError is kept in `error`, and the text counts as written."""
        with self._errors_kept():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush; an OSError is kept in `error`."""
        with self._errors_kept():
            self.stream.flush()

    @contextmanager
    def _errors_kept(self) -> Iterator[None]:
        """After an OSError send all to /dev/null, what is buffered too: else the interpreter reports it at exit."""
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            with suppress(OSError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self.stream.fileno())

    @property
    def loss(self) -> str:
        """Say why the output was not written; empty if its reader stopped reading, as `head` does."""
        is_unread = self.is_terminal or isinstance(self.error, BrokenPipeError)
        return "" if self.error is None or is_unread else self.error.strerror or str(self.error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def outlet(name: str) -> Iterator[Outlet]:
    """Replace `sys.stdout` or `sys.stderr` by an Outlet while this lasts, and flush it at the end."""
    before = getattr(sys, name)
    made = Outlet(before or io.StringIO())  # None where it was closed before the start
    setattr(sys, name, made)
    try:
        yield made
    finally:
        made.flush()
        setattr(sys, name, before)


def run_program(main: Callable[[], int]) -> int:
    """Run a program and return its exit code: a user's mistake is one sentence, never a traceback.

    The program runs to its end even if its output is not read or cannot be written; the latter makes it fail.
    """
    with outlet("stderr"), outlet("stdout") as out:
        code = _exit_code_of(main)
        out.flush()
        if not out.loss:
            return code
        print(
            f"lab: The output could not be written ({out.loss}): make room there, or send it elsewhere.",
            file=sys.stderr,
        )
        return code or ExitCode.FAILED


def _exit_code_of(main: Callable[[], int]) -> int:
    try:
        with interruptible():
            return int(main())
    except LabError as error:
        print(printable(f"lab: {error}"), file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"lab: {error.strerror or error} ({error.filename or 'no file'}).", file=sys.stderr)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        print("lab: interrupted.", file=sys.stderr)
        return ExitCode.INTERRUPTED
