"""What can be wrong with an address, a frame that is to be built, or a link type."""

from __future__ import annotations

from imswire.errors import WireError


class InetError(WireError):
    """A value that no Internet packet can carry. Captured packets never raise it: they decode to None."""
