"""Store URLs in redis-py's documented form; the pod and the control plane read them here.

    redis://[USER@]HOST[:PORT][/DATABASE]      also ?db=DATABASE
    rediss://...                               TLS; ?ssl_ca_certs=FILE and its relatives
    unix://[USER@]/PATH[?db=DATABASE]

User, host and path are percent-decoded. What redis-py would ignore is refused here: a path that is
no number, an unknown option, two databases. No message repeats a part that may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

WANTED = "redis://[USER@]HOST[:PORT][/DATABASE], rediss://... or unix://[USER@]/PATH[?db=DATABASE]"

_PORT = 6379
_SCHEMES = ("redis", "rediss", "unix")
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_TLS_VALUES = {
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false"),
}
_DATABASE = re.compile(r"[0-9]{1,9}")


class StoreUrlError(ValueError):
    """A text is not the URL of a store. code: stable. found, wanted, why: as in other errors."""

    def __init__(self, code: str, found: str, wanted: str = WANTED, why: str = "") -> None:
        super().__init__(f"found {found}, wanted {wanted}{f' ({why})' if why else ''}")
        self.code, self.found, self.wanted, self.why = code, found, wanted, why


@dataclass(frozen=True)
class StoreUrl:
    """Where a store is, and as whom it is asked. path: of a Unix socket, else ''."""

    host: str
    port: int
    path: str
    encrypted: bool
    user: str | None
    password: str | None = field(repr=False)
    database: int
    tls: Mapping[str, str]

    @property
    def address(self) -> str:
        """host:port, or the socket's path, and the database unless it is 0: may be printed."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = self.path or f"{host}:{self.port}"
        return f"{place}/{self.database}" if self.database else place

    def arguments(self) -> dict[str, Any]:
        """Arguments of redis-py's connections, sync and async, without user and password.

        RESP2 and no CLIENT SETINFO: every store since Redis 6.2 knows what is sent, and a user
        needs no right for it.
        """
        common: dict[str, Any] = {"db": self.database, "protocol": 2, "driver_info": None}
        if self.path:
            return common | {"path": self.path}
        return common | {"host": self.host, "port": self.port} | _tls_arguments(self.tls)


def parse_store_url(text: str) -> StoreUrl:
    """Parses a URL. Raises StoreUrlError."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its text may repeat a password
        raise StoreUrlError("store_url_invalid", "no URL") from None
    if parts.scheme not in _SCHEMES:
        raise StoreUrlError("store_url_invalid", f"another scheme than {', '.join(_SCHEMES)}")
    if parts.fragment or port == 0:
        found = "a fragment (#...)" if parts.fragment else "port 0"
        raise StoreUrlError("store_url_invalid", found)
    options = _options(parts)
    unix = parts.scheme == "unix"
    if unix == bool(parts.hostname) or (unix and len(parts.path) < len("/s")):
        found = "a host" if unix and parts.hostname else "no path" if unix else "no host"
        raise StoreUrlError("store_url_invalid", found)
    return StoreUrl(
        host=unquote(parts.hostname or ""),
        port=port or _PORT,
        path=unquote(parts.path) if unix else "",
        encrypted=parts.scheme == "rediss",
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=_database(None if unix else parts.path, options.pop("db", None)),
        tls=options,
    )


def _options(parts: SplitResult) -> dict[str, str]:
    """The query's options; refuses unknown ones, and those that contradict the rest."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "password":
            found, wanted = "a password in the query", "a password file"
            raise StoreUrlError("store_password_in_url", found, wanted, "URLs end up in logs")
        if name != "db" and name not in _TLS:
            wanted = f"one of db, {', '.join(_TLS)}"
            raise StoreUrlError("store_url_option_unknown", "an unknown option", wanted)
        if name in options:
            raise StoreUrlError("store_url_contradictory", f"{name} twice", f"one {name}")
        if value not in _TLS_VALUES.get(name, (value,)) or not value:
            wanted = " or ".join(_TLS_VALUES.get(name, ("a value",)))
            raise StoreUrlError("store_url_invalid", f"another value of {name}", wanted)
        options[name] = value
    if parts.scheme != "rediss" and options.keys() & set(_TLS):
        found = f"{min(options.keys() & set(_TLS))} without TLS"
        raise StoreUrlError("store_url_contradictory", found, "rediss://")
    return options


def _database(path: str | None, option: str | None) -> int:
    given = [text for text in (unquote(path or "").strip("/"), option) if text]
    if not all(_DATABASE.fullmatch(text) for text in given):
        raise StoreUrlError("store_url_invalid", "another database", "a number: /3 or ?db=3")
    if len(set(map(int, given))) > 1:
        found, wanted = f"database {given[0]} and ?db={given[1]}", "one database"
        raise StoreUrlError("store_url_contradictory", found, wanted)
    return int(given[0]) if given else 0


def _tls_arguments(options: Mapping[str, str]) -> dict[str, Any]:
    arguments: dict[str, Any] = dict(options)
    if "ssl_check_hostname" in options:
        arguments["ssl_check_hostname"] = options["ssl_check_hostname"] == "true"
    return arguments
