"""Compressed bodies: what tritonclient and curl send, and what a hostile client would."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_runtime.serving.codecs.compression import coding_of, inflate
from feature_runtime.serving.errors import ErrorStatus, ServingError

LIMIT = 10_000


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@given(st.binary(max_size=LIMIT))
def test_a_body_comes_out_as_it_went_in(body: bytes) -> None:
    assert inflate(gzip.compress(body), "gzip", LIMIT) == body
    assert inflate(zlib.compress(body), "deflate", LIMIT) == body
    assert inflate(raw_deflate(body), "deflate", LIMIT) == body
    assert inflate(body, "identity", LIMIT) == body


@pytest.mark.parametrize("size", [LIMIT + 1, 100_000_000])
def test_a_body_is_inflated_to_the_limit_only(size: int) -> None:
    for coding, compressed in (
        ("gzip", gzip.compress(bytes(size), 1)),
        ("deflate", zlib.compress(bytes(size), 1)),
    ):
        tracemalloc.start()
        with pytest.raises(ServingError) as refused:
            inflate(compressed, coding, LIMIT)  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (refused.value.status, refused.value.code) == (
            ErrorStatus.TOO_LARGE, "body_too_large",
        )  # fmt: skip
        assert peak < 1_000_000


@given(st.binary(max_size=60))
def test_bytes_that_are_no_stream_are_refused(body: bytes) -> None:
    with pytest.raises(ServingError) as refused:
        inflate(body, "gzip", LIMIT)
    assert refused.value.code == "invalid_compression"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_stream_is_whole_and_alone(coding: str) -> None:
    whole = gzip.compress(b"x" * 100) if coding == "gzip" else zlib.compress(b"x" * 100)
    for wrong in (whole[:-1], whole[: len(whole) // 2], whole + b"x", whole + whole, b""):
        with pytest.raises(ServingError) as refused:
            inflate(wrong, coding, LIMIT)  # type: ignore[arg-type]
        assert refused.value.code == "invalid_compression"


@pytest.mark.parametrize(
    ("headers", "coding"),
    [([], "identity"), (["identity"], "identity"), ([" GZIP "], "gzip"), (["deflate"], "deflate")],
)
def test_known_codings(headers: list[str], coding: str) -> None:
    assert coding_of(headers) == coding


@pytest.mark.parametrize(
    "headers", [["br"], ["zstd"], ["gzip, gzip"], ["gzip", "identity"], ["x" * 9999]]
)
def test_other_codings_are_refused(headers: list[str]) -> None:
    with pytest.raises(ServingError) as refused:
        coding_of(headers)
    assert (refused.value.status.http, refused.value.code) == (415, "content_encoding_unsupported")
