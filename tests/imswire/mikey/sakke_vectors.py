"""SAKKE and ECCSI vectors: RFC 6507, RFC 6508, RFC 6509; a message under each identifier scheme, made by other code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imswire.mikey import sakke
from imswire.mikey.curve import Point

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "sakke.json").read_text())
SET, RFC_6508, RFC_6507, UIDS, OWN = (VECTORS[f"Part {number}"] for number in range(1, 6))


def octets(where: dict[str, Any], name: str) -> bytes:
    """A value whose name begins so."""
    (found,) = [value for key, value in where.items() if key == name or key.startswith(f"{name} ")]
    return bytes.fromhex(found)


def number(where: dict[str, Any], name: str) -> int:
    return int.from_bytes(octets(where, name), "big")


MASTER = sakke.MasterSecret(octets(RFC_6508, "z"))
IDENTIFIER = octets(RFC_6508, "b")


def point(curve, text: str) -> Point:
    return curve.read(bytes.fromhex(text), "vector")
