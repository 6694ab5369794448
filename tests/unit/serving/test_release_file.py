"""release.yml is read by libyaml where there is one; it must say what Python's own reader says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from feature_runtime.core.release import ReleaseError, read_release

COMMITTED = sorted(Path(__file__).parents[3].glob("model_repository/*/release.yml"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_both_readers_say_the_same(path: Path) -> None:
    text = path.read_text()
    python, libyaml = (yaml.load(text, loader) for loader in (yaml.SafeLoader, yaml.CSafeLoader))
    assert repr(python) == repr(libyaml)
    assert read_release(path) == python


def test_there_are_releases_to_compare() -> None:
    assert len(COMMITTED) >= 2


@pytest.mark.parametrize(
    "text",
    [
        "id: r-0\nmodel: a\nid: r-1\n",
        "service:\n  limits: {max_batch: 64, max_batch: 1}\n",
        "service:\n  views:\n    - {name: a}\n    - name: b\n      name: c\n",
        'digests: {"model": a, model: b}\n',
    ],
)
def test_a_key_that_is_stated_twice_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "release.yml"
    path.write_text(text)
    with pytest.raises(ReleaseError) as refused:
        read_release(path)
    assert refused.value.fault.code == "release_unreadable"
