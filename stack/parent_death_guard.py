"""Becomes another program, which the kernel kills when its parent dies.

Usage: ``parent_death_guard.py PARENT_PID COMMAND...``. Run as a script between ``fork`` and the
program, since code in a forked child of a process with threads (``preexec_fn``) may deadlock.
Standard library only: it runs with ``-I -S``.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Ask the kernel for SIGKILL at the parent's death, then become the program."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
