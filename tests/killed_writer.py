"""Runs `proviso` and kills it with SIGKILL before the n-th change of a name under a directory.

`python killed_writer.py N DIRECTORY ARGUMENTS...`: renaming and removing are all that a writer
does to names, so between two of them nothing else of its files can be seen.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from typing import Any

from proviso.cli.main import app_main


def main() -> None:
    last, directory = int(sys.argv[1]), sys.argv[2]
    numbers = count(1)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        named = event in {"os.rename", "os.remove"} and str(arguments[0]).startswith(directory)
        if named and next(numbers) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    sys.argv = ["proviso", *sys.argv[3:]]
    app_main()


if __name__ == "__main__":
    main()
