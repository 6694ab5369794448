"""An image's name follows from what is inside it, from all of that and from nothing else."""

from __future__ import annotations

import os
import re
import shutil
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from proviso.contracts.base import InputError
from proviso.manifests import images
from proviso.manifests.images import BASE, CONTROL, ROOT, TRANSFORMER, TRITON, ImageSource

SOURCES = (TRANSFORMER, TRITON, CONTROL)
EVERY = 20  # of the control plane's hundreds of files, so many are looked at less often

each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What the three images are made of, and no more of the repository."""
    for source in SOURCES:
        for name, path in images.content(source).items():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return tmp_path


def name_of(source: ImageSource, root: Path) -> str:
    return images.image_name(source, BASE, root)


def names(root: Path) -> dict[str, str]:
    return {source.name: name_of(source, root) for source in SOURCES}


def copied_by(dockerfile: Path) -> list[str]:
    """What a Dockerfile copies out of its context, as it is written there."""
    text = dockerfile.read_text().replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if re.match(r"\s*(COPY|ADD)\b", line)]
    return [name for line in lines if not line[1].startswith("--from") for name in line[1:-1]]


# --- what a name depends on ------------------------------------------------------------------


def test_a_copy_of_the_files_has_the_checkouts_names(root: Path) -> None:
    assert name_of(TRANSFORMER, root) == images.transformer_image()
    assert name_of(TRITON, root) == images.triton_image()
    assert name_of(CONTROL, root) == images.control_image()
    for name in names(root).values():
        assert re.fullmatch(r"proviso/[a-z]+:[0-9a-f]{12}", name)


@each_source
def test_every_file_counts(source: ImageSource, root: Path) -> None:
    before = name_of(source, root)
    files = list(images.content(source, root).values())
    for path in files[:: 1 if len(files) < 100 else EVERY]:
        whole = path.read_bytes()
        path.write_bytes(whole + b"\n")
        assert name_of(source, root) != before, path
        path.write_bytes(whole)
    assert name_of(source, root) == before


@each_source
def test_a_new_file_and_a_new_name_count(source: ImageSource, root: Path) -> None:
    before = name_of(source, root)
    folder = next(root / name for name in source.copied if (root / name).is_dir())
    new = folder / "new.py"
    new.write_text("")
    added = name_of(source, root)
    new.rename(folder / "other.py")
    assert len({before, added, name_of(source, root)}) == 3


def test_only_the_control_planes_image_changes_with_its_sources(root: Path) -> None:
    before = names(root)
    (root / "proviso" / "__init__.py").write_text("# changed\n")
    after = names(root)
    assert {name for name in after if after[name] != before[name]} == {"control"}


def test_the_launcher_belongs_to_the_predictors_image_alone(root: Path) -> None:
    before = names(root)
    (root / "scripts" / "serve-predictor").write_text("# changed\n")
    after = names(root)
    assert {name for name in after if after[name] != before[name]} == {"triton"}


@each_source
def test_what_no_image_holds_does_not_count(source: ImageSource, root: Path) -> None:
    before = name_of(source, root)
    folder = next(root / name for name in source.copied if (root / name).is_dir())
    for name in ("__pycache__/model.cpython-311.pyc", "left.pyc", ".swp", "a.egg-info/PKG-INFO"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("left behind")
    (root / "README.md").write_text("changed")
    for path in images.content(source, root).values():
        os.utime(path, (0, 0))
        path.chmod(0o600)
    assert name_of(source, root) == before


def test_the_base_image_counts() -> None:
    assert images.transformer_image("python:3.12-slim") != images.transformer_image()
    assert images.triton_image("python:3.12-slim") != images.triton_image()


def test_a_model_image_is_its_release() -> None:
    name = images.model_image("parcel-delay", "r-0123456789abcdef")
    assert name == "proviso/model-parcel-delay:r-0123456789abcdef"


@each_source
def test_a_place_that_is_no_checkout_is_refused(source: ImageSource, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"the {source.name} image's source"):
        name_of(source, tmp_path)


# --- Dockerfiles and lists agree -------------------------------------------------------------


@each_source
def test_what_a_dockerfile_copies_is_what_its_name_covers(source: ImageSource) -> None:
    assert sorted(set(copied_by(ROOT / source.dockerfile))) == sorted(source.copied)


@each_source
def test_dockerfiles_take_the_base_and_drop_root(source: ImageSource) -> None:
    lines = (ROOT / source.dockerfile).read_text().splitlines()
    assert f"ARG BASE={BASE}" in lines
    assert {line for line in lines if line.startswith("FROM")} <= {
        "FROM ${BASE}",
        *(f"FROM ${{BASE}} AS {stage}" for stage in ("packages", "server")),
    }
    assert [line for line in lines if line.startswith("USER")] == ["USER 1000:1000"]


def test_the_model_image_holds_its_context_and_one_program() -> None:
    dockerfile = ROOT / images.MODEL_DOCKERFILE
    final = dockerfile.read_text().partition("FROM scratch")[2].splitlines()
    assert [line for line in final if line] == [
        "COPY --from=tools /bin/busybox /busybox",
        "COPY . /release/",
        "USER 1000:1000",
    ]


@each_source
def test_a_build_by_hand_sees_the_same_files(source: ImageSource) -> None:
    """.dockerignore lets through what the lists name, and keeps out what they leave out."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] != "#"]
    assert lines[0] == "*"
    kept = [line[1:] for line in lines if line.startswith("!")]
    dropped = [line for line in lines[1:] if not line.startswith("!")]
    link = "transformer/feature_runtime/requirements.txt"  # each Dockerfile replaces it
    for name in images.content(source).keys() - {source.dockerfile}:
        assert any(name == one or name.startswith(f"{one}/") for one in kept), name
        parts = [f"**/{part}" for part in name.split("/")]
        hits = [
            rule for rule in dropped if rule == name or any(fnmatchcase(p, rule) for p in parts)
        ]
        assert hits == ([link] if name == link else []), name
