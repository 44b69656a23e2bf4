"""The ways a command of the lab ends without a result: one sentence for the user, one exit code each."""

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees."""

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
        """What Jupyter shows in a notebook, by IPython's protocol: the sentence, as the command line does."""
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
    """The disk did not take what was measured."""


class SecondInterrupt(KeyboardInterrupt):
    """Ctrl-C or SIGTERM once more while the first was being seen to: end at once."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A half sentence that leads from a misspelt word to the names that exist."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known are {', '.join(names)}."
