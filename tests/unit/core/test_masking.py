"""No spelling of a URL, right or wrong, gets its password into a text that is shown."""

from __future__ import annotations

import pytest

from feature_runtime.core.masking import masked

LEAKS = [
    "redis://user:S3CRET@host:6379/3",
    "redis://:S3CRET@host",
    "'rediss://user:S3C@RET@host'",
    "redis://user:S3CRET/x@host",
    "rediss//user:S3CRET@host",
    "redis:/user:S3CRET@host",
    "user:S3CRET@host:6379",
    "http://user:S3CRET@endpoint/v1",
    "(unix://user@/tmp/s?db=2&password=S3CRET)",
    "redis://h?PASSWORD=S3CRET&db=1",
    "ERR unknown command 'AUTH', with args beginning with: 'user' 'S3CRET'",
]
KEPT = [
    "redis://[USER@]HOST[:PORT][/DATABASE]",
    "redis://host:6379/3",
    "localhost:5000/image@sha256:0a1b",
    "customer:joe@example.org has no key",
    "owner@example.org",
    "10 @ 5",
]


@pytest.mark.parametrize("text", LEAKS)
def test_credentials_go(text: str) -> None:
    shown = masked(f"found {text}, wanted another")
    assert "S3C" not in shown
    assert "RET" not in shown
    assert "***" in shown


@pytest.mark.parametrize("text", KEPT)
def test_what_holds_none_stays(text: str) -> None:
    assert masked(text) == text
