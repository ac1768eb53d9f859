"""What can be wrong with an X2/X3 PDU."""

from __future__ import annotations

from imswire.errors import WireError


class X2X3Error(WireError):
    """Octets that are no X2/X3 PDU, or values that do not fit into one.

    ``path`` names the field ("header.version"), ``offset`` where it stands in the octets (None: nowhere, the
    value was to be built), ``reason`` the rule that is broken.
    """

    def __init__(self, path: str, reason: str, offset: int | None = None) -> None:
        where = path if offset is None else f"{path} at offset {offset}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.reason = reason
        self.offset = offset
