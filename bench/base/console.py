"""How programs of the bench speak: a console, one JSON document, errors as a sentence and an exit code."""

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
    """A sentence beside the result, on stderr: what is begun and takes a moment, or what is good to know."""
    console(stderr=True).print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def print_json(data: Any) -> int:
    """One JSON document on stdout; in ASCII where that does not take UTF-8, the encoding of JSON."""
    text = printable(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    takes_all = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    print(text if takes_all else re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], text))
    return ExitCode.FINE


def print_text(text: str) -> None:
    """Lines on stdout, such as Markdown."""
    print(printable(text))


PLAIN = {"·": "-", "–": "-", "×": "x", "≥": ">", "○": "o", "█": "#", "µ": "u", "→": ">", "…": "~"}
"""Signs of our tables, and what stands for them where they cannot be encoded: of the same width."""


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


codecs.register_error("plainer", _plainer)


class Outlet:
    """A stream that takes everything: what it cannot encode becomes plainer, what it cannot write is dropped.

    A measurement does not end because nobody reads its progress any more. `error` is what came first.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.is_terminal = stream, stream.isatty()
        self.error: OSError | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plainer")

    def write(self, text: str) -> int:
        """Write the text; an OSError is kept in `error`, and the text counts as written."""
        try:
            return self.stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush; an OSError is kept in `error`."""
        try:
            self.stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Let everything go to nowhere, what is buffered too: else the interpreter tells of it at its end."""
        self.error = self.error or error
        with suppress(OSError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), self.stream.fileno())

    @property
    def loss(self) -> str:
        """Why what somebody waits for was not written; empty where nobody reads it any more, as with `head`."""
        is_unread = self.is_terminal or isinstance(self.error, BrokenPipeError)
        return "" if self.error is None or is_unread else self.error.strerror or str(self.error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def outlet(name: str) -> Iterator[Outlet]:
    """`sys.stdout` or `sys.stderr` as an Outlet; flushed on the way out."""
    before = getattr(sys, name)
    made = Outlet(before or io.StringIO())  # None where it was closed before the start
    setattr(sys, name, made)
    try:
        yield made
    finally:
        made.flush()
        setattr(sys, name, before)


def guarded(does: Callable[[], int]) -> int:
    """Run a program to its exit code: a user's mistake is one sentence, never a traceback.

    It goes on to its end also where its output is not read or cannot be written; the latter fails it.
    """
    with outlet("stderr"), outlet("stdout") as out:
        code = _run(does)
        out.flush()
        if not out.loss:
            return code
        print(
            f"lab: The output could not be written ({out.loss}): make room there, or send it elsewhere.",
            file=sys.stderr,
        )
        return code or ExitCode.FAILED


def _run(does: Callable[[], int]) -> int:
    try:
        with interruptible():
            return int(does())
    except LabError as error:
        print(printable(f"lab: {error}"), file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"lab: {error.strerror or error} ({error.filename or 'no file'}).", file=sys.stderr)
        return ExitCode.FAILED
    except KeyboardInterrupt:
        print("lab: interrupted.", file=sys.stderr)
        return ExitCode.INTERRUPTED
