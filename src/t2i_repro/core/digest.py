"""Content digests of artefacts and files, and seeds derived from names."""

import hashlib
import json
from pathlib import Path
from typing import Any

DIGEST_LENGTH = 10  # hex characters shown in folder names; 40 bits, collisions are refused by the planner


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text. Raises ValueError on NaN or infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Short SHA-256 of a JSON value: the end of an artefact's folder name."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:DIGEST_LENGTH]


def file_sha256(path: Path) -> str:
    """SHA-256 (64 hex characters) of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def derive_seed(*parts: object) -> int:
    """A 63-bit seed that is a function of the parts alone.

    With one random stream per purpose (``derive_seed(seed, "noise", 17)``) every draw is a function of where it is
    used: a resumed or sharded job needs no saved random state.
    """
    text = canonical_json([str(part) for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
