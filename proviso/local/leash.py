"""Run a command that dies when the process that started it dies, however that ends.

Started as a script by `processes`: leash.py PARENT_PID COMMAND [ARGUMENT ...]. A program in
between and not preexec_fn, because code between fork and exec in a process with threads may
deadlock. Standard library alone, and quick to start.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Ask the kernel for SIGKILL at the parent's death, then become the command."""
    parent, *command = arguments
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit("leash: prctl: " + os.strerror(ctypes.get_errno()))
    # The parent may have died before the line above: then no signal will ever come.
    if os.getppid() != int(parent):
        sys.exit("leash: the parent is gone")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"leash: {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
