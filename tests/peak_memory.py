"""Runs `proviso` and says on the last line of stdout how much memory it had at its peak, in MiB."""

from __future__ import annotations

import sys
from pathlib import Path

from proviso.cli.main import app_main


def main() -> None:
    try:
        app_main()
    finally:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        print(int(line.split()[1]) // 1024, file=sys.stdout)


if __name__ == "__main__":
    main()
