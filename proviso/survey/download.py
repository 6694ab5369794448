"""Fetches a file that `init --from` names by its address: https or file, bounded."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from proviso.contracts.base import InputError
from proviso.contracts.files import replacing

MAX_BYTES = 2 * 1024**3
_TIMEOUT_S = 30.0
_REDIRECTS = 5


def is_address(place: str) -> bool:
    """Whether a place is an address, not a path."""
    return "://" in place


def file_name(address: str) -> str:
    """The name of the file that an address ends with; empty where it has none."""
    return Path(unquote(urlsplit(address).path)).name


def local_path(address: str) -> Path | None:
    """The path of a file: address on this machine, None for other addresses."""
    parts = urlsplit(address)
    if parts.scheme != "file":
        return None
    return Path(unquote(parts.path))


def download(address: str, path: Path, trust: ssl.SSLContext | None = None) -> int:
    """Writes what an https address answers to `path`; returns its bytes. Raises InputError.

    trust: the certificates that are trusted, the system's by default.
    """
    if urlsplit(address).scheme != "https":
        wanted = "an https: or file: address, or a path"
        raise InputError.of("--from", address, wanted, code="address_not_supported")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            _answer(address, trust or ssl.create_default_context()) as answer,
            replacing(path) as temporary,
            temporary.open("wb") as file,
        ):
            return sum(file.write(part) for part in _bounded(address, answer))
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise InputError.event("download_failed", f"cannot download: {reason}", address) from None


@contextmanager
def _answer(address: str, trust: ssl.SSLContext) -> Iterator[httpx.Response]:
    """The answer after redirections, which may lead to https addresses only."""
    with httpx.Client(verify=trust, timeout=_TIMEOUT_S, follow_redirects=False) as client:
        for _ in range(_REDIRECTS + 1):
            with client.stream("GET", address) as answer:
                if answer.next_request is None:
                    answer.raise_for_status()
                    yield answer
                    return
                address = str(answer.next_request.url)
            if urlsplit(address).scheme != "https":
                message = "redirected to an address that is not https"
                raise InputError.event("download_failed", message, address)
    message = f"more than {_REDIRECTS} redirections"
    raise InputError.event("download_failed", message, address)


def _bounded(address: str, answer: httpx.Response) -> Iterator[bytes]:
    size = 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > MAX_BYTES:
            wanted = f"at most {MAX_BYTES} bytes"
            why = "download it by hand and name the file"
            raise InputError.of(address, "a larger file", wanted, why, code="download_too_large")
        yield part
