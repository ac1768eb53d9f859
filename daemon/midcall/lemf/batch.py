"""What follows from octets of a link, for the shell to do."""

from __future__ import annotations

from midcall.lemf.calls import Call, Packets
from midcall.lemf.core import Intercept


class Batch:
    """What follows from some octets. ``replies`` may go out when everything so far is stored durably.

    ``more``: the turn is over before the octets are; ``receive(b"")`` goes on.
    """

    __slots__ = ("close", "events", "media", "more", "replies", "stored")

    def __init__(self) -> None:
        self.stored: list[Intercept] = []
        self.media: list[tuple[Call, Packets]] = []
        self.replies: list[tuple[str, bytes]] = []
        self.events: list[str] = []
        self.close = ""
        self.more = False
