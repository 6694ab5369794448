"""Tries to start the pod with several command lines, one after the other, in one process.

`python start_attempts.py`: reads a JSON list of argument lists, writes [[exit status, stderr]].
It is a process of its own because kserve and tritonclient register the same protobuf symbols.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from feature_runtime.__main__ import main


def attempt(arguments: list[str]) -> tuple[int, str]:
    sys.argv = ["feature_runtime", *arguments]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        return main(), said.getvalue()


if __name__ == "__main__":
    print(json.dumps([attempt(arguments) for arguments in json.load(sys.stdin)]))
