"""The last step before a measured program: bind it to its cores and to the life of its parent, then become it.

    python -I -S launch.py PARENT_PID CPUS PROGRAM ...

CPUS is `0,1`, or `-` for no binding. When the parent dies, also by kill -9, the kernel sends SIGTERM here (Linux).
Runs without site packages, so that it costs milliseconds and every thread of the program inherits the binding.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    parent, cpus, *program = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # it died before the line above took hold
            sys.exit(1)
        if cpus != "-":
            os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
