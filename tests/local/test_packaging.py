"""Both distributions build as wheels and install into clean environments from their locks."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from feature_runtime.identity import source_digest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Wheels:
    """The two distributions, built."""

    proviso: Path
    runtime: Path


@dataclass(frozen=True)
class Environment:
    """A clean virtual environment."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Environment:
        venv.create(folder, with_pip=True)
        return cls(folder)

    def run(self, program: str, *arguments: str | Path) -> str:
        """Its standard output; a failure shows what the program said."""
        command = [str(self.folder / "bin" / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, locks: list[str], *wheels: Path) -> None:
        options = [word for lock in locks for word in ("-r", str(ROOT / lock))]
        self.run("pip", "install", "--quiet", "--require-hashes", *options)
        self.run("pip", "install", "--quiet", "--no-deps", *wheels)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    out = tmp_path_factory.mktemp("wheels")
    for source in (ROOT, ROOT / "transformer"):
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
        subprocess.run([*command, "--outdir", str(out), str(source)], check=True)
    [runtime] = out.glob("proviso_feature_runtime-*.whl")
    [proviso] = list(out.glob("proviso-*.whl"))
    return Wheels(proviso, runtime)


def contents(wheel: Path) -> dict[str, zipfile.ZipInfo]:
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: info for info in archive.infolist()}


def test_the_wheels_hold_what_they_need(wheels: Wheels) -> None:
    proviso, runtime = contents(wheels.proviso), contents(wheels.runtime)
    assert "proviso/local/templates/report.html.j2" in proviso
    assert "proviso/contracts/template/feature_store_contract.yml" in proviso
    assert "proviso/py.typed" in proviso
    assert not any(name.startswith(("tests/", "feature_runtime/")) for name in proviso)
    assert runtime["feature_runtime/requirements.txt"].file_size > 1_000
    assert "feature_runtime/py.typed" in runtime


def test_the_control_plane_installs_and_works(wheels: Wheels, tmp_path: Path) -> None:
    clean = Environment.make(tmp_path / "clean")
    locks = ["transformer/requirements.txt", "requirements.txt"]
    clean.install(locks, wheels.proviso, wheels.runtime)
    assert clean.run("proviso", "--version").startswith("proviso ")
    clean.run("proviso", "init", tmp_path / "mine")
    said = clean.run("proviso", "--contracts", tmp_path / "mine", "validate")
    assert said.splitlines()[-1].endswith("checks passed.")


def test_the_pod_installs_alone_and_is_the_same_source(wheels: Wheels, tmp_path: Path) -> None:
    clean = Environment.make(tmp_path / "pod")
    clean.install(["transformer/requirements.txt"], wheels.runtime)
    assert "--replay-clock" in clean.run("python", "-m", "feature_runtime", "--help")
    digest = "from feature_runtime.identity import source_digest; print(source_digest())"
    assert clean.run("python", "-c", digest).strip() == source_digest()
