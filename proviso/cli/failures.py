"""How a command reports an error: a line each on stderr, or with `--json` one object there.

stdout stays for results. The object is the last line of stderr, behind lines of progress.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from typer.exceptions import TyperException

from feature_runtime.core.masking import masked
from proviso.contracts.base import Problem

_CODES = {
    errno.ENOENT: "file_not_found",
    errno.EACCES: "permission_denied",
    errno.EPERM: "permission_denied",
    errno.EROFS: "permission_denied",
    errno.EISDIR: "not_a_file",
    errno.ENOTDIR: "not_a_directory",
    errno.EEXIST: "file_exists",
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EFBIG: "disk_full",
}


def print_problems(problems: Sequence[Problem], as_json: bool) -> None:
    """Every problem, on stderr, without credentials: a value that is repeated may be a URL."""
    if as_json:
        print(json.dumps({"errors": [_as_dict(one) for one in problems]}), file=sys.stderr)
        return
    for problem in problems:
        print(masked(problem.printed), file=sys.stderr)


def _as_dict(problem: Problem) -> dict[str, Any]:
    names = ("code", "path", "line", "column", "found", "wanted", "why", "message")
    values = {name: getattr(problem, name) for name in names}
    return {name: masked(v) if isinstance(v, str) else v for name, v in values.items()}


def usage_problem(error: TyperException) -> Problem:
    """A command line that the program does not understand."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "proviso"
    why = f"see {path} --help"
    return Problem(path, code="usage", message=error.format_message(), why=why)


def file_problem(error: OSError) -> Problem:
    """A file or directory that cannot be read or written. Raises what names neither."""
    code = _CODES.get(error.errno or 0, "file_unusable")
    if error.filename is None and error.errno == errno.ENOENT:  # of tempfile, which tries to write
        message, why = "no temporary directory can be written to", "free space, or set TMPDIR"
        return Problem("TMPDIR", code="no_temporary_directory", message=message, why=why)
    if error.filename is None and code != "disk_full":
        raise error
    message = os.strerror(error.errno).lower() if error.errno else str(error)
    return Problem(str(error.filename or "disk"), code=code, message=message)
