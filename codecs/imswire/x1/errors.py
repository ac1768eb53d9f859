"""What can be wrong with an X1 message."""

from __future__ import annotations

from imswire.errors import WireError
from imswire.x1.enumerations import ErrorCode


class X1Error(WireError):
    """Octets that are no X1, or values that do not fit into it.

    ``path`` names the member ("taskDetails/xId"), ``reason`` the rule that is broken, ``code`` is what an error
    answer about it carries (TS 103 221-1 6.7). Neither text holds anything that the message said.
    """

    def __init__(self, reason: str, path: str = "", code: ErrorCode = ErrorCode.SCHEMA) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason
        self.code = code

    def within(self, name: str) -> X1Error:
        """The same fault, seen from outside of member ``name``."""
        return X1Error(self.reason, f"{name}/{self.path}" if self.path else name, self.code)
