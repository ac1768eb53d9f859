"""What :mod:`imswire.x2x3.exchange` carries, as values. The messages may hold keys (SDES): no representation shows
them.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

CALLER: Final = 0
CALLEE: Final = 1


class Moment(Struct, frozen=True, gc=False):
    """Nanoseconds: wall time since 1970, and a monotonic count of the sender's host."""

    wall: int
    mono: int


class Dialog(Struct, frozen=True, gc=False):
    """Call-ID and both tags (RFC 3261 12)."""

    call_id: str
    caller_tag: str
    callee_tag: str

    def __repr__(self) -> str:
        return "Dialog(<redacted>)"


class Kept(Struct, frozen=True, gc=False):
    """A message as it was seen, when, and in which frame (0: live)."""

    octets: bytes
    at: Moment
    frame: int = 0

    def __repr__(self) -> str:
        return f"Kept(<{len(self.octets)} octets>, {self.at!r}, frame={self.frame})"


class Update(Struct, frozen=True, gc=False):
    """A CSB update (RFC 6043 6.1), started by CALLER or CALLEE."""

    by: int
    init: Kept
    response: Kept | None = None


class Exchange(Struct, frozen=True, gc=False):
    """The raw MIKEY messages of one live crypto session bundle: TRANSFER_INIT, TRANSFER_RESP, updates.

    ``media`` is the index of the m-line that carried them, None for the session level; ``initiator`` is CALLER or
    CALLEE.
    """

    media: int | None
    initiator: int
    init: Kept
    response: Kept | None = None
    updates: tuple[Update, ...] = ()


class Session(Struct, frozen=True, gc=False):
    """An intercepted dialog: parties to it, latest offer and answer, and the exchanges that key its media.

    ``identity`` is the one that matched; ``offerer`` and ``target`` are CALLER or CALLEE, ``target`` None where
    it is not known; ``pending`` says that more is to come.
    """

    identity: str
    dialog: Dialog
    at: Moment
    invited_at: Moment
    offerer: int
    target: int | None = None
    offer: Kept | None = None
    answer: Kept | None = None
    exchanges: tuple[Exchange, ...] = ()
    pending: bool = False

    def __repr__(self) -> str:
        return f"Session(at={self.at!r}, exchanges={self.exchanges!r}, pending={self.pending})"


class Released(Struct, frozen=True, gc=False):
    """The dialog ended, or the task did."""

    dialog: Dialog
    at: Moment
    reason: str


class Fault(Struct, frozen=True, gc=False):
    """Something in the dialog could not be read or honoured."""

    dialog: Dialog
    at: Moment
    frame: int
    reason: str


class Context(Struct, frozen=True, gc=False):
    """What the own DF2 is told beside an event: its dialog, the target's side, monotonic time, frame, and whether the
    copies of the messages in it were authenticated.
    """

    dialog: Dialog | None = None
    target: int | None = None
    mono: int = 0
    frame: int = 0
    authenticated: bool = True


Message = Session | Released | Fault
