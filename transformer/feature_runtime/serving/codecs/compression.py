"""Compressed request bodies: gzip and deflate, inflated to no more than a plain body may have."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Literal

from feature_runtime.serving.errors import (
    ErrorStatus,
    ServingError,
    bad_input,
    shown,
    too_large,
)

Coding = Literal["identity", "gzip", "deflate"]

ACCEPTED = "gzip, deflate"
_CODINGS: Mapping[str, Coding] = {
    "": "identity",
    "identity": "identity",
    "gzip": "gzip",
    "x-gzip": "gzip",
    "deflate": "deflate",
}
_GZIP, _ZLIB, _RAW = 31, 15, -15
_ZLIB_METHOD = 8


def coding_of(headers: Sequence[str]) -> Coding:
    """The content coding of a body, from its Content-Encoding headers; refuses any other."""
    given = ",".join(headers).strip().lower()
    if given not in _CODINGS:
        raise ServingError(
            ErrorStatus.UNSUPPORTED,
            "bad_input",
            "content_encoding_unsupported",
            "content-encoding",
            found=shown(given),
            wanted=f"one of {ACCEPTED}, or none",
        )
    return _CODINGS[given]


def inflate(body: bytes, coding: Coding, limit: int) -> bytes:
    """The plain body. Stops at `limit` bytes, so that a small body cannot take much memory."""
    if coding == "identity":
        return body
    inflater = zlib.decompressobj(_window(body, coding))
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise _damaged(coding) from None
    if len(plain) > limit:
        raise too_large(
            "body_too_large", "body", f"more than {limit} inflated bytes", f"at most {limit}"
        )
    if not inflater.eof or inflater.unused_data:
        raise _damaged(coding)
    return plain


def _window(body: bytes, coding: Coding) -> int:
    """zlib's number for the format: deflate has zlib's header (RFC 9110), or by mistake none."""
    if coding == "gzip":
        return _GZIP
    head = body[:2]
    is_zlib = len(head) == 2 and head[0] & 15 == _ZLIB_METHOD and int.from_bytes(head) % 31 == 0
    return _ZLIB if is_zlib else _RAW


def _damaged(coding: Coding) -> ServingError:
    return bad_input(
        "invalid_compression", "body", f"bytes that are not one whole {coding} stream", coding
    )
