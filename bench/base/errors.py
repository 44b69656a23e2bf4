"""How a command of the lab ends without a result: an error is one sentence for the user and one exit code."""

import difflib
from collections.abc import Iterable, Mapping
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    NOT_RUN = 3
    INVALID = 4
    INTERRUPTED = 130


class LabError(Exception):
    """One sentence that says what, where and what to do next."""

    exit_code = ExitCode.FAILED

    def _render_traceback_(self) -> list[str]:
        """Show the sentence in a notebook as the command line does; IPython calls this."""
        return [f"lab: {self}"]


class UsageError(LabError):
    """The user's words name something that does not exist or is out of bounds."""

    exit_code = ExitCode.USAGE


class NotRun(LabError):
    """The environment does not allow it: port taken, server does not boot."""

    exit_code = ExitCode.NOT_RUN


class MissingDependency(NotRun):
    """A package that this stack needs is not installed."""


class DamagedRun(LabError):
    """A run.json that cannot be trusted: truncated, edited, or newer than this program."""

    exit_code = ExitCode.USAGE


class NotKept(LabError):
    """The disk did not take the measurements."""


class SecondInterrupt(KeyboardInterrupt):
    """A second Ctrl-C or SIGTERM came while the program was stopping: end at once."""


def refuse_first(refusals: Mapping[str, object]) -> None:
    """Raise UsageError with the first sentence whose condition holds, if any does."""
    for sentence, holds in refusals.items():
        if holds:
            raise UsageError(sentence)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that leads from a misspelt word to the names that exist."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known are {', '.join(names)}."
