"""What can be wrong with a policy or a packet."""

from __future__ import annotations

import enum

from imswire.errors import WireError


class SrtpError(WireError):
    """A policy that cannot be honoured, a key that does not fit it, or octets that are no RTP."""


class Refusal(enum.Enum):
    """Why a packet was not opened. Its state is as if the packet had never come."""

    AUTH_FAILED = "authentication failed"
    REPLAYED = "replayed"
    TOO_OLD = "older than the replay window"
    MALFORMED = "malformed"
