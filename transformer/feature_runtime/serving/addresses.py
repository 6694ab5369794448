"""Addresses of the predictor: one, or a DNS name with several that change.

The pod resolves names itself, because it needs one connection an address (docs/adr/0050). An
address is in gRPC's own form from here on: ipv4:1.2.3.4:8001, ipv6:[::1]:8001, unix:///path.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Protocol

_UNIX = "unix:///"
_PORTS = range(1, 65_536)


class AddressError(ValueError):
    """A text is not the address of a predictor."""


class Lookup(Protocol):
    """A name whose addresses change."""

    async def look_up(self) -> frozenset[str]:
        """The present addresses. Raises OSError where the name does not resolve."""
        ...


@dataclass(frozen=True)
class Name:
    """A host name and a port. A headless Service's name has an address for every ready pod."""

    host: str
    port: int

    async def look_up(self) -> frozenset[str]:
        """The addresses behind the name now. Raises OSError where it does not resolve."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return frozenset(_target(str(address[0]), self.port) for *_, address in found)


def parse_predictor(text: str) -> str | Name:
    """One address, or a name to look up. Raises AddressError."""
    if text.startswith(_UNIX) and len(text) > len(_UNIX):
        return text
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) not in _PORTS:
        raise AddressError(f"found {text!r}, wanted host:port or unix:///path")
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return _target(bare, int(port))
    except ValueError:
        return Name(host, int(port))


def _target(address: str, port: int) -> str:
    """gRPC's form of an address. Raises ValueError where it is none."""
    parsed = ipaddress.ip_address(address)
    return f"ipv4:{parsed}:{port}" if parsed.version == 4 else f"ipv6:[{parsed}]:{port}"
