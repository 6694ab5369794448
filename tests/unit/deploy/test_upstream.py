"""What is not ours comes from a mirror or a download, and is known by its checksum alone."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from proviso.contracts.base import InputError
from proviso.deploy import upstream
from proviso.deploy.upstream import Component, bring, read_pins
from proviso.manifests.images import ROOT

PLATFORM = ROOT / "k8s" / "platform"
TEXT = b"kind: Namespace\n"
OTHER = TEXT + b"\n"


def component(**other: Any) -> Component:
    known: dict[str, Any] = {
        "name": "thing",
        "version": "v1",
        "file": "thing.yaml",
        "sha256": hashlib.sha256(TEXT).hexdigest(),
        "namespace": "thing",
        "modes": ["standard"],
        "images": [],
    }
    return Component.model_validate(known | other)


def mirror(folder: Path, text: bytes = TEXT) -> Path:
    folder.mkdir()
    (folder / "thing.yaml").write_bytes(text)
    return folder


@contextmanager
def website(body: bytes, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/thing.yaml"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_file_of_the_mirror_is_taken_where_its_checksum_fits(tmp_path: Path) -> None:
    bring(component(), tmp_path / "platform", mirror(tmp_path / "mirror"))
    assert (tmp_path / "platform" / "thing" / "upstream.yaml").read_bytes() == TEXT


def test_what_is_in_place_needs_no_mirror(tmp_path: Path) -> None:
    bring(component(), tmp_path, mirror(tmp_path / "mirror"))
    bring(component(), tmp_path, None)


def test_another_file_is_refused_and_not_put_in_place(tmp_path: Path) -> None:
    other = mirror(tmp_path / "mirror", OTHER)
    with pytest.raises(InputError) as refused:
        bring(component(), tmp_path, other)
    [problem] = refused.value.problems
    assert problem.path == str(other / "thing.yaml")
    assert problem.found == f"sha256 {hashlib.sha256(OTHER).hexdigest()}"
    assert hashlib.sha256(TEXT).hexdigest() in problem.wanted
    assert not (tmp_path / "thing" / "upstream.yaml").exists()


def test_what_somebody_changed_in_place_is_replaced(tmp_path: Path) -> None:
    bring(component(), tmp_path, mirror(tmp_path / "mirror"))
    place = tmp_path / "thing" / "upstream.yaml"
    place.write_bytes(b"changed")
    with pytest.raises(InputError):
        bring(component(), tmp_path, None)
    bring(component(), tmp_path, tmp_path / "mirror")
    assert place.read_bytes() == TEXT


def test_a_mirror_without_the_file_says_which_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"thing\.yaml: found no such file, wanted thing v1"):
        bring(component(), tmp_path, tmp_path)


def test_without_a_mirror_a_file_that_nobody_publishes_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="made by `helm template thing`"):
        bring(component(made_by="helm template thing"), tmp_path, None)


def test_a_published_file_is_downloaded_and_checked(tmp_path: Path) -> None:
    with website(TEXT) as url:
        bring(component(url=url), tmp_path, None)
    assert (tmp_path / "thing" / "upstream.yaml").read_bytes() == TEXT
    with website(b"other") as url, pytest.raises(InputError, match="found sha256"):
        bring(component(url=url), tmp_path / "again", None)


def test_a_download_that_fails_or_never_ends_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with website(b"", 404) as url, pytest.raises(InputError, match="404"):
        bring(component(url=url), tmp_path, None)
    monkeypatch.setattr(upstream, "_MOST", 4)
    with website(TEXT) as url, pytest.raises(InputError, match="larger than 4 bytes"):
        bring(component(url=url), tmp_path, None)


@pytest.mark.parametrize("broken", ["version: 2\ncomponents: []\n", "- a\n", "a: [\n", None])
def test_pins_that_cannot_be_read_name_their_file(tmp_path: Path, broken: str | None) -> None:
    if broken is not None:
        (tmp_path / "platform.yml").write_text(broken)
    with pytest.raises(InputError, match=r"platform\.yml"):
        read_pins(tmp_path)


@pytest.mark.parametrize(
    "other",
    [{"sha256": "0" * 63}, {"file": "../thing.yaml"}, {"name": "../up"}, {"modes": ["serverless"]}],
    ids=str,
)
def test_a_pin_of_another_form_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(other))):
        component(**other)


def test_every_pin_of_ours_has_a_kustomization_an_origin_and_tags() -> None:
    for pin in read_pins(PLATFORM).components:
        for folder in (pin.name, *pin.variants.values()):
            assert (PLATFORM / folder / "kustomization.yaml").is_file(), folder
        assert pin.url or pin.made_by
        assert all(":" in image for image in pin.images)
        assert "latest" not in {image.rpartition(":")[2] for image in pin.images}
