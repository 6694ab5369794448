"""What a project's `functions.py` may contain, judged by its syntax before any of it runs.

A guard against mistakes (a clock, a file, state between calls), not a sandbox: the file is code
that its project trusts.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from typing import NamedTuple

IMPORTS = frozenset(
    {
        *("__future__", "bisect", "collections.abc", "itertools", "math", "numpy"),
        *("numpy.typing", "re", "string", "typing", "unicodedata", "zlib"),
    }
)
"""Modules that may be imported: what they hold depends on arguments alone."""

BUILTINS = frozenset(
    {
        *("abs", "all", "any", "bool", "bytes", "chr", "complex", "dict", "divmod", "enumerate"),
        *("filter", "float", "frozenset", "int", "isinstance", "iter", "len", "list", "map", "max"),
        *("min", "next", "ord", "pow", "range", "reversed", "round", "set", "slice", "sorted"),
        *("str", "sum", "tuple", "zip", "ArithmeticError", "AssertionError", "Exception"),
        *("FloatingPointError", "IndexError", "KeyError", "LookupError", "OverflowError"),
        *("RuntimeError", "StopIteration", "TypeError", "UnicodeError", "ValueError"),
        *("ZeroDivisionError", "NotImplemented", "Ellipsis"),
    }
)
"""Built-in names that a function may use. Not `hash`: that of a text differs between processes."""

_REFUSED = frozenset(
    {
        *("random", "load", "loadtxt", "genfromtxt", "fromfile", "memmap", "save", "savez"),
        *("savez_compressed", "savetxt", "tofile", "dump", "dumps", "DataSource", "ctypeslib"),
        *("ctypes", "f2py", "testing", "test", "lib", "core", "distutils", "seterr", "seterrcall"),
        *("setbufsize", "set_printoptions", "setflags", "show_config", "show_runtime", "info"),
        *("format", "format_map", "get_include", "vectorize"),
    }
)
"""Attributes, mostly NumPy's, that read, write, draw lots or change what other code computes."""

_CLOCK_WORDS = ("now", "today")
_STATEMENTS = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Assign, ast.AnnAssign, ast.Pass,
)  # fmt: skip


class SourceFault(NamedTuple):
    """One thing that the file may not do. line, column: from 1; 0 where it has no place."""

    code: str
    found: str
    wanted: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f" (line {self.line}, column {self.column})" if self.line else ""
        return f"found {self.found}, wanted {self.wanted}{place}"


def source_faults(source: str) -> list[SourceFault]:
    """Every fault of the text of a `functions.py`, in the order of its lines."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line, column = getattr(error, "lineno", 0) or 0, getattr(error, "offset", 0) or 0
        found = str(getattr(error, "msg", None) or error)
        return [SourceFault("functions_not_python", found, "Python", line, column)]
    faults = [*_statements(tree), *_nodes(tree)]
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.line, fault.column))


def function_parameters(source: str) -> dict[str, list[str] | None]:
    """The functions of a text without faults: parameters by name; None where some are not plain."""
    functions = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    return {node.name: _plain_parameters(node.args) for node in functions}


def _plain_parameters(args: ast.arguments) -> list[str] | None:
    if args.vararg or args.kwarg or args.kwonlyargs:
        return None
    return [arg.arg for arg in (*args.posonlyargs, *args.args)]


def _statements(tree: ast.Module) -> Iterator[SourceFault]:
    """A module is imports, functions and constants."""
    for node in tree.body:
        words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not words and not isinstance(node, _STATEMENTS):
            wanted = "imports, functions and constants at the top level"
            yield _fault("functions_statement_refused", node, _kind(node), wanted)


def _nodes(tree: ast.Module) -> Iterator[SourceFault]:
    bound = set(_bound(tree))
    top = {id(node) for node in tree.body}
    dated = "datetime64" in ast.dump(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from _import(node, id(node) in top)
            case ast.FunctionDef() | ast.Lambda():
                yield from _function(node)
            case ast.Attribute():
                yield from _attribute(node)
            case ast.Name(id=name, ctx=ast.Load()) if name not in bound:
                yield from _name(node, name)
            case ast.Global() | ast.Nonlocal():
                wanted = "values that a function gets and returns"
                yield _fault("functions_state_refused", node, _kind(node), wanted)
            case ast.ExceptHandler(type=None):
                wanted = "except Exception: the request's deadline ends a call by an exception"
                yield _fault("functions_statement_refused", node, "a bare except", wanted)
            case (
                ast.ClassDef()
                | ast.AsyncFunctionDef()
                | ast.Await()
                | ast.AsyncFor()
                | ast.AsyncWith()
            ):
                found, wanted = _kind(node), "plain functions"
                yield _fault("functions_statement_refused", node, found, wanted)
            case ast.Constant(value=str(text)) if dated and text.strip().lower() in _CLOCK_WORDS:
                wanted = "an input, such as scoring_ts"
                yield _fault("functions_clock_refused", node, f"{text!r} of the clock", wanted)


def _import(node: ast.Import | ast.ImportFrom, at_top: bool) -> Iterator[SourceFault]:
    wanted = f"one of {', '.join(sorted(IMPORTS))}"
    if not at_top:
        where = "imports at the top of the file"
        yield _fault("functions_import_refused", node, "an import within a function", where)
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    else:
        modules = ["." * node.level + (node.module or "")]
        for alias in node.names:
            if alias.name == "*" or alias.name.startswith("_") or alias.name in _REFUSED:
                found = f"{alias.name} of {modules[0]}"
                yield _fault("functions_import_refused", node, found, "names without side effects")
    for module in modules:
        if module not in IMPORTS:
            yield _fault("functions_import_refused", node, f"import of {module}", wanted)


def _function(node: ast.FunctionDef | ast.Lambda) -> Iterator[SourceFault]:
    for decorator in getattr(node, "decorator_list", []):
        wanted = "a function without one"
        yield _fault("functions_statement_refused", decorator, "a decorator", wanted)
    for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d)):
        if not _constant(default):
            wanted = "a constant: a default is made once and shared by all calls"
            yield _fault("functions_state_refused", default, "a default that is made", wanted)


def _attribute(node: ast.Attribute) -> Iterator[SourceFault]:
    if not isinstance(node.ctx, ast.Load):
        found, wanted = f"a change of .{node.attr}", "values that a function gets and returns"
        yield _fault("functions_state_refused", node, found, wanted)
    if node.attr.startswith("_") or node.attr in _REFUSED:
        wanted = "public attributes without side effects"
        yield _fault("functions_name_refused", node, f".{node.attr}", wanted)


def _name(node: ast.expr, name: str) -> Iterator[SourceFault]:
    if name.startswith("__") or (hasattr(builtins, name) and name not in BUILTINS):
        wanted = "a function of its inputs alone"
        yield _fault("functions_name_refused", node, f"{name}", wanted)
    elif not hasattr(builtins, name):
        yield _fault("functions_name_refused", node, f"{name}, defined nowhere", "a known name")


def _bound(tree: ast.Module) -> Iterator[str]:
    """Names that the text itself gives a meaning to."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.ExceptHandler(name=str(name)):
                yield name
            case ast.alias(name=name, asname=other):
                yield other or name.partition(".")[0]
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def _constant(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _constant(node.operand)
    if isinstance(node, ast.Tuple):
        return all(map(_constant, node.elts))
    return isinstance(node, ast.Constant)


def _kind(node: ast.AST) -> str:
    names = {"ClassDef": "a class", "Expr": "an expression", "With": "a with statement"}
    return names.get(type(node).__name__, f"`{type(node).__name__.lower()}`")


def _fault(code: str, node: ast.AST, found: str, wanted: str) -> SourceFault:
    line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", -1) + 1
    return SourceFault(code, found, wanted, line, column)
