"""Calls the program `proviso` inside this process, through its own entry point."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from proviso.cli.main import app_main


@dataclass(frozen=True)
class Done:
    """A finished call: exit status, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)


def call(*arguments: str | Path) -> Done:
    """What a shell would see of `proviso <arguments>`; any other exception comes through."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = ["proviso", *map(str, arguments)]
    with patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
        try:
            app_main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
    return Done(code, out.getvalue(), err.getvalue())
