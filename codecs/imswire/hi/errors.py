"""What can be wrong with a handover record."""

from __future__ import annotations

from imswire.errors import WireError


class HiError(WireError):
    """Octets that are no handover record, or values that do not fit into one.

    ``path`` names the member ("pSHeader.communicationIdentifier"), ``offset`` where it stands in the octets
    (None: nowhere, the value was to be built), ``reason`` the rule that is broken.
    """

    def __init__(self, path: str, reason: str, offset: int | None = None) -> None:
        where = path if offset is None else f"{path} at offset {offset}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.reason = reason
        self.offset = offset
