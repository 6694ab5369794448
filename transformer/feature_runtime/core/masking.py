"""The one place where credentials are taken out of text that is printed, logged or kept."""

from __future__ import annotations

import re

HIDDEN = "***"
_WORD = re.compile(r"\S*@\S*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# A URL with a mistake in it is still one: `rediss//u:p@h`, `u:p@h:6379`.
_ALMOST = re.compile(r"\S*(?:redis|unix|//)\S*:\S*@|[^\s@]*:\S*@[^\s@:]+:[0-9]{1,5}\b")
_OPTION = re.compile(r"(?i)([?&;](?:password|passwd|pass|token|secret|auth)=)[^&;#\s]*")
# A server that does not know AUTH repeats what it was sent.
_ARGUMENTS = re.compile(r"(with args beginning with:).*", re.DOTALL)


def masked(text: str) -> str:
    """The text without user and password of URLs, secret options, and what a server repeats."""
    text = _WORD.sub(lambda found: _without_user(found[0]), text)
    text = _OPTION.sub(rf"\1{HIDDEN}", text)
    return _ARGUMENTS.sub(rf"\1 {HIDDEN}", text)


def _without_user(word: str) -> str:
    """Up to the last @: a password may hold any character, and users forget to encode it."""
    if "[USER@]" in word:  # the form that an error asks for
        return word
    _, _, rest = word.rpartition("@")
    if scheme := _SCHEME.search(word):
        return f"{word[: scheme.end()]}{HIDDEN}@{rest}"
    return f"{HIDDEN}@{rest}" if _ALMOST.match(word) else word
