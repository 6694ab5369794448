"""The identity of a release: the digests that make its id, and the check that both sides run.

The predictor hashes model and config before Triton starts (scripts/serve-predictor repeats
these few lines with the standard library alone; a test holds them equal) and serves the id as
a config parameter; the transformer hashes its own service section and source, and compares
ids with the predictor on every connect.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feature_runtime.core.coded import CodedError

ID_PARAMETER = "proviso_release_id"
PARTS = ("base_images", "config", "decision", "model", "service", "transformer")
_ID_LINE = f'parameters {{ key: "{ID_PARAMETER}" '


class IdentityError(CodedError):
    """The files do not belong to the release that release.yml names."""


def digest(data: bytes) -> str:
    """`sha256:<hex>` of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(section: Any) -> str:
    """Digest of a section of release.yml: of its canonical JSON, so that layout is free."""
    text = json.dumps(section, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return digest(text.encode())


def release_id(digests: Mapping[str, str]) -> str:
    """`r-<16 hex>` over all parts. Raises IdentityError when a part is missing or unknown."""
    if sorted(digests) != sorted(PARTS):
        said = f"digests: found {sorted(digests)}, wanted {sorted(PARTS)}"
        raise IdentityError(said, code="release_digests_incomplete")
    lines = "".join(f"{name}={digests[name]}\n" for name in sorted(digests))
    return "r-" + hashlib.sha256(lines.encode()).hexdigest()[:16]


def id_line(identifier: str) -> str:
    """The line of config.pbtxt by which the predictor serves its id."""
    return f'{_ID_LINE}value {{ string_value: "{identifier}" }} }}'


def canonical_config(text: str) -> str:
    """config.pbtxt without the line of its id: what the id itself is computed from."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_ID_LINE))


def source_digest() -> str:
    """Digest of this package's source files and its hashed requirements."""
    package = Path(__file__).parents[1]
    files = sorted([*package.rglob("*.py"), package / "requirements.txt"])
    lines = "".join(
        f"{path.relative_to(package).as_posix()}={digest(path.read_bytes())}\n" for path in files
    )
    return digest(lines.encode())


def verify_transformer(release: Mapping[str, Any], source: str) -> str:
    """The id of a parsed release.yml, after checking the parts that the pod itself has.

    source: `source_digest()` of the running code. Raises IdentityError with found and wanted.
    """
    digests: Mapping[str, str] = release["digests"]
    own = {
        "service": digest_of(release["service"]),
        "decision": digest_of(release["service"]["decision"]),
        "transformer": source,
        "base_images": digest_of(release["base_images"]),
    }
    for part, actual in own.items():
        if digests.get(part) != actual:
            said = f"release.yml digests.{part}: found {actual}, wanted {digests.get(part)}"
            raise IdentityError(said, code="release_digest_mismatch")
    if release_id(digests) != release["id"]:
        said = f"release.yml id: found {release['id']}, wanted {release_id(digests)}"
        raise IdentityError(said, code="release_id_mismatch")
    return str(release["id"])
