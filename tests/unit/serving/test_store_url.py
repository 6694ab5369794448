"""Store URLs in redis-py's documented form; what redis-py would guess is refused."""

from __future__ import annotations

from typing import Any

import pytest
from redis.connection import parse_url

from feature_runtime.serving.store_url import StoreUrlError, parse_store_url

GOOD = [
    "redis://host",
    "redis://host/",
    "redis://host/3",
    "redis://host/%33",
    "redis://host:7000/3?db=3",
    "redis://host?db=5",
    "redis://user@host:1/0",
    "redis://us%40er:p%2Fw%3A@host/2",
    "redis://:pw@host",
    "redis://[::1]:6380/1",
    "rediss://host:6380/4?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
    "unix:///run/store.sock",
    "unix://us%40er@/run/st%20re.sock?db=9",
]
BAD = {
    "redis:host": "store_url_invalid",
    "": "store_url_invalid",
    "host:6379": "store_url_invalid",
    "http://host": "store_url_invalid",
    "redis://": "store_url_invalid",
    "redis://host:0": "store_url_invalid",
    "redis://host:99999": "store_url_invalid",
    "redis://user:pa/ss@host": "store_url_invalid",
    "redis://host/three": "store_url_invalid",
    "redis://host/-1": "store_url_invalid",
    "redis://host/1/2": "store_url_invalid",
    "redis://host?db=": "store_url_invalid",
    "redis://host?db=x": "store_url_invalid",
    "redis://host#3": "store_url_invalid",
    "unix://": "store_url_invalid",
    "unix://host/path": "store_url_invalid",
    "redis://host/3?db=5": "store_url_contradictory",
    "redis://host?db=1&db=2": "store_url_contradictory",
    "redis://host?ssl_ca_certs=/ca.pem": "store_url_contradictory",
    "rediss://host?ssl_check_hostname=maybe": "store_url_invalid",
    "redis://host?socket_timeout=5": "store_url_option_unknown",
    "redis://host?decode_responses=true": "store_url_option_unknown",
    "unix:///run/s?password=S3CRET": "store_password_in_url",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_url_means_what_it_means_to_redis_py(text: str) -> None:
    found = parse_store_url(text)
    meant: dict[str, Any] = parse_url(text)  # type: ignore[no-untyped-call]
    arguments = found.arguments()
    assert (found.user, found.password) == (meant.get("username"), meant.get("password"))
    for name in ("host", "path", "ssl_ca_certs", "ssl_check_hostname"):
        assert arguments.get(name) == meant.get(name), name
    assert arguments["db"] == meant.get("db", 0)
    assert found.path or arguments["port"] == meant.get("port", 6379)


@pytest.mark.parametrize("text", BAD)
def test_what_redis_py_would_guess_is_refused(text: str) -> None:
    with pytest.raises(StoreUrlError) as raised:
        parse_store_url(text)
    assert raised.value.code == BAD[text]


@pytest.mark.parametrize(
    "text", ["redis://u:S3CRET@h/x", "x://u:S3CRET@h", "redis://u:S3C RET@h:y"]
)
def test_no_error_repeats_a_password(text: str) -> None:
    with pytest.raises(StoreUrlError) as raised:
        parse_store_url(text)
    assert "S3C" not in str(raised.value)


def test_an_address_has_the_database_and_no_credentials() -> None:
    url = parse_store_url("redis://user:S3CRET@host:1/3")
    assert url.address == "host:1/3"
    assert "S3CRET" not in repr(url)
    assert parse_store_url("redis://[::1]").address == "[::1]:6379"
    assert parse_store_url("unix:///run/s").address == "/run/s"
