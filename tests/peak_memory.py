"""Runs `proviso` and prints its peak memory in MiB on the last line of stdout."""

from __future__ import annotations

import sys

from proviso.bench.peak import peak_memory
from proviso.cli.main import app_main


def main() -> None:
    try:
        app_main()
    finally:
        print(peak_memory() // 2**20, file=sys.stdout)


if __name__ == "__main__":
    main()
