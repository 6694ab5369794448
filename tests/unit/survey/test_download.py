"""Files by their address: what is refused, and what a real https server answers."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from proviso.survey import download as module
from proviso.survey.download import download, file_name, is_address, local_path
from tests.problems import refused

CONTENT = b"id,at\n1,2024-01-01T00:00:00Z\n"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path in ("/rows.csv", "/large.csv"):
            self.send_response(200)
            self.send_header("content-length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)
        elif self.path == "/moved.csv":
            self._redirect("/rows.csv")
        elif self.path == "/loop.csv":
            self._redirect("/loop.csv")
        elif self.path == "/plain.csv":
            self._redirect("http://localhost/rows.csv")
        else:
            self.send_error(404)

    def _redirect(self, place: str) -> None:
        self.send_response(302)
        self.send_header("location", place)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    key, cert = folder / "key.pem", folder / "cert.pem"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-keyout", str(key), "-out", str(cert), "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


@pytest.fixture(scope="module")
def server(certificate: tuple[Path, Path]) -> Iterator[str]:
    key, cert = certificate
    with ThreadingHTTPServer(("localhost", 0), Handler) as listening:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"https://localhost:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


@pytest.fixture
def trust(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate[1])


@pytest.mark.parametrize("name", ["rows.csv", "moved.csv"])
def test_a_file_is_written_whole(
    server: str, trust: ssl.SSLContext, tmp_path: Path, name: str
) -> None:
    assert download(f"{server}/{name}", tmp_path / "rows.csv", trust) == len(CONTENT)
    assert (tmp_path / "rows.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["absent.csv", "loop.csv", "plain.csv"])
def test_what_cannot_be_had(server: str, trust: ssl.SSLContext, tmp_path: Path, name: str) -> None:
    with refused("download_failed"):
        download(f"{server}/{name}", tmp_path / "rows.csv", trust)
    assert not list(tmp_path.iterdir())


def test_a_server_without_a_trusted_certificate(server: str, tmp_path: Path) -> None:
    with refused("download_failed"):
        download(f"{server}/rows.csv", tmp_path / "rows.csv")
    assert not list(tmp_path.iterdir())


def test_a_file_beyond_the_limit(
    server: str, trust: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", len(CONTENT) - 1)
    with refused("download_too_large"):
        download(f"{server}/large.csv", tmp_path / "rows.csv", trust)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["http://example.com/x.csv", "ftp://x/y.csv", "s3://b/k.csv"])
def test_other_addresses_are_refused(address: str, tmp_path: Path) -> None:
    assert is_address(address)
    with refused("address_not_supported"):
        download(address, tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


def test_names_and_places() -> None:
    assert file_name("https://example.com/a/My%20rows.csv?x=1") == "My rows.csv"
    assert file_name("https://example.com") == ""
    assert local_path("file:///data/my%20rows.csv") == Path("/data/my rows.csv")
    assert local_path("https://example.com/x.csv") is None
    assert not is_address("data/x.csv")
