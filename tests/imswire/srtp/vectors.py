"""The SRTP vectors: RFC 3711, 6188, 7714 and those of libsrtp's own driver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "srtp.json").read_text())
RFC_3711 = VECTORS["1. RFC 3711 Appendix B"]
RFC_6188 = VECTORS["2. RFC 6188 section 7 (RFC; SRTCP lines computed)"]
RFC_7714 = VECTORS["3. RFC 7714 sections 16 and 17 (RFC)"]
PACKETS = VECTORS["4. Whole packets including key derivation (libsrtp, all reproduced)"]


def octets(where: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(where[name])
