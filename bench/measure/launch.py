"""The last step before a measured program: bind it to its cores and to the life of its parent, then become it.

    python -I -S launch.py [--as UID:GID] [--end-by SIGNAL] [--adopt yes] PARENT_PID CPUS PROGRAM ...

CPUS is `0,1`, or `-` for no binding. When the parent dies, also by kill -9, the kernel sends SIGNAL here (Linux; 15,
SIGTERM). `--as` is for root and a program that refuses root. With `--adopt` orphans become the program's children.
Runs without site packages, so that it costs milliseconds and every thread of the program inherits the binding.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)


def main() -> None:
    """Read the options, bind this process to its cores and its parent, and become the program. Does not return.

    Exits with 1 if the parent is gone, or with the reason if the program cannot be started."""
    options, (parent, cpus, *program) = apart(sys.argv[1:])
    if "--as" in options:  # before prctl: the kernel forgets the signal of a process that becomes another's
        become(*map(int, options["--as"].split(":")))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(options.get("--end-by", signal.SIGTERM)))
        if "--adopt" in options:
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        if os.getppid() != int(parent):  # it died before the line above took hold
            sys.exit(1)
        if cpus != "-":
            os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


def apart(words: Sequence[str]) -> tuple[dict[str, str], Sequence[str]]:
    """The options in front, each with its value, and the rest."""
    options = {}
    while words[0].startswith("--"):
        name, value, *words = words
        options[name] = value
    return options, words


def become(uid: int, gid: int) -> None:
    """Give root up for good."""
    try:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
    except OSError as error:
        sys.exit(f"root cannot become user {uid} here ({error.strerror})")


if __name__ == "__main__":
    main()
