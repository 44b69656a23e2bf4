"""The last step before a measured program: bind it to its cores and to the life of its parent, then become it.

    python -I -S launch.py PARENT_PID CPUS ACCOUNT SIGNAL ADOPTS PROGRAM ...

CPUS is `0,1`, ACCOUNT is `UID:GID`, each may be `-` for none: an account is for root and a program that refuses root.
When the thread that started it ends, also by kill -9 of the parent, the kernel sends SIGNAL, a number, here (Linux).
If ADOPTS is 1 and not 0, orphans become the program's children.
Runs without site packages, so that it costs milliseconds and every thread of the program inherits the binding.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)


def main() -> None:
    """Bind this process to its cores and its parent, and become the program. Does not return.

    Exits with 1 if the parent has ended, or with the reason if the program cannot be started."""
    parent, cpus, account, end_by, adopts, *program = sys.argv[1:]
    if account != "-":  # before prctl: the kernel forgets the signal of a process that becomes another's
        become(*map(int, account.split(":")))
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(PR_SET_PDEATHSIG, int(end_by))
        prctl(PR_SET_CHILD_SUBREAPER, int(adopts))
        if os.getppid() != int(parent):  # it died before the lines above took hold
            sys.exit(1)
        if cpus != "-":
            os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


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
