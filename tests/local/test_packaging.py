"""Both distributions build, and install into clean environments from their locks."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from feature_runtime.core.identity import source_digest
from proviso import __version__

ROOT = Path(__file__).parents[2]
RUNTIME_LOCK = ROOT / "transformer" / "requirements.txt"
CONTROL_LOCK = ROOT / "requirements.txt"
# What a build takes from the checkout: a copy, so that it leaves nothing here, and that nothing
# left here by another build can slip into a wheel.
SOURCES = ("proviso", "transformer", "pyproject.toml", "README.md", "LICENSE")
SUFFIXES = {".py", ".typed", ".csv", ".j2", ".jsonl", ".lua", ".md", ".sql", ".yml", ".yaml"}

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Wheels:
    """The two distributions, built."""

    control: Path
    runtime: Path


@dataclass(frozen=True)
class Environment:
    """A clean virtual environment. It has no pip of its own: Debian's Python lacks ensurepip."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Environment:
        succeeded(sys.executable, "-m", "venv", "--without-pip", folder)
        return cls(folder)

    def run(self, program: str, *arguments: str | Path) -> str:
        """Its output, from a folder that has no sources to import by accident."""
        return succeeded(self.folder / "bin" / program, *arguments, cwd=self.folder)

    def pip(self, *arguments: str | Path) -> str:
        return succeeded(
            *(sys.executable, "-m", "pip", "--python", self.folder / "bin/python"), *arguments
        )

    def install(self, locks: list[Path], wheels: list[Path]) -> None:
        pinned = [word for lock in locks for word in ("-r", lock)]
        self.pip("install", "--quiet", "--require-hashes", *pinned)
        self.pip("install", "--quiet", "--no-deps", *wheels)

    def has(self, module: str) -> bool:
        find = f"import importlib.util as u; print(u.find_spec({module!r}) is not None)"
        return self.run("python", "-c", find).strip() == "True"


def succeeded(*command: str | Path, cwd: Path = ROOT) -> str:
    """Standard output of a command; a failure shows all that it said."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """Each built from its source archive, which so proves complete as well."""
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheels")
    made_here = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
    for source in (*(ROOT / name for name in SOURCES), *ROOT.glob("requirements*.in")):
        if source.is_dir():
            shutil.copytree(source, copy / source.name, symlinks=True, ignore=made_here)
        else:
            shutil.copy(source, copy)
    for folder in (copy, copy / "transformer"):
        succeeded(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, folder)
    [runtime] = out.glob("proviso_feature_runtime-*.whl")
    [control] = out.glob("proviso-*.whl")
    return Wheels(control, runtime)


@pytest.fixture(scope="module")
def control(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What runs `proviso` elsewhere."""
    clean = Environment.made(tmp_path_factory.mktemp("control") / "venv")
    clean.install([RUNTIME_LOCK, CONTROL_LOCK], [wheels.control, wheels.runtime])
    return clean


@pytest.fixture(scope="module")
def pod(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What the transformer's image holds."""
    clean = Environment.made(tmp_path_factory.mktemp("pod") / "venv")
    clean.install([RUNTIME_LOCK], [wheels.runtime])
    return clean


def held(wheel: Path, package: str) -> dict[str, bytes]:
    """A package's files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.startswith(package)}


def lying(folder: Path, package: str) -> dict[str, bytes]:
    """A package's files in the checkout."""
    files = [p for p in (folder / package).rglob("*") if p.suffix in SUFFIXES]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_control_planes_wheel_is_its_package(wheels: Wheels) -> None:
    found = held(wheels.control, "proviso/")
    assert found == lying(ROOT, "proviso")
    assert {
        "proviso/py.typed",
        "proviso/demo/templates/report.html.j2",
        "proviso/contracts/template/feature_store_contract.yml",
    } <= set(found)
    assert held(wheels.control, "feature_runtime/") == {}
    assert held(wheels.control, "tests/") == {}


def test_the_pods_wheel_is_its_package_and_its_lock(wheels: Wheels) -> None:
    found = held(wheels.runtime, "feature_runtime/")
    # In the checkout this is a link; in the wheel it has to be the file.
    assert found.pop("feature_runtime/requirements.txt") == RUNTIME_LOCK.read_bytes()
    assert found == lying(ROOT / "transformer", "feature_runtime")
    assert "feature_runtime/py.typed" in found


def test_the_control_plane_works_where_it_was_installed(
    control: Environment, tmp_path: Path
) -> None:
    control.pip("check")
    assert control.run("proviso", "--version") == f"proviso {__version__}\n"
    control.run("proviso", "init", tmp_path / "mine")
    said = control.run("proviso", "--contracts", tmp_path / "mine", "validate")
    assert said.splitlines()[-1].endswith("checks passed.")


def test_the_pod_works_where_it_was_installed(pod: Environment) -> None:
    pod.pip("check")
    assert "--replay-clock" in pod.run("python", "-m", "feature_runtime", "--help")
    digest = "from feature_runtime.core.identity import source_digest; print(source_digest())"
    assert pod.run("python", "-c", digest).strip() == source_digest()


@pytest.mark.parametrize("absent", ["proviso", "duckdb", "xgboost", "sklearn", "onnxruntime"])
def test_the_pod_has_nothing_of_the_control_plane(pod: Environment, absent: str) -> None:
    assert not pod.has(absent)


def test_the_pods_package_imports_no_library_of_training(wheels: Wheels) -> None:
    sources = held(wheels.runtime, "feature_runtime/")
    roots = {
        module.partition(".")[0]
        for name, text in sources.items()
        if name.endswith(".py")
        for module in imported(ast.parse(text))
    }
    assert "kserve" in roots
    # kserve brings pandas along; the package itself must not come to need it.
    assert roots.isdisjoint({"duckdb", "pandas", "proviso", "pyarrow", "sklearn", "xgboost"})


def imported(tree: ast.Module) -> list[str]:
    """Names of the modules that a module imports, anywhere in it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
    return found
