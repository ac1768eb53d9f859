"""What goes into the KMS and comes out of it: questions, answers, refusals."""

from __future__ import annotations

import enum
from collections.abc import Callable

from msgspec import Struct

from imswire import mikey
from imswire.mikey import exchange
from imswire.mikey import values as v
from imswire.xk import Code
from midcall.events import TicketExchange
from midcall.kms.store import PeerKms

Draw = Callable[[int], bytes]


class KmsRefusal(Exception):
    """The KMS does not answer; the text says why and names no key.

    ``error_no`` is for an Error message to a user, ``code`` for a mediation function.
    """

    def __init__(
        self,
        reason: str,
        error_no: mikey.ErrorNo = mikey.ErrorNo.UNSPECIFIED,
        code: Code = Code.EXCHANGE,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error_no = error_no
        self.code = code


class GetKeys(Struct, frozen=True):
    """get_keys: the identity that matched, and the raw messages of one crypto session bundle.

    ``parties``: URIs that the MACs may cover, for messages that name nobody; they give no right to any key.
    """

    identity: str
    exchange: TicketExchange
    parties: tuple[str, ...] = ()


class SessionKeyAnswer(Struct, frozen=True):
    """get_keys_response: keys of each crypto session, and why a later message gave none."""

    keys: tuple[mikey.SessionKeys, ...]
    failures: tuple[str, ...] = ()


class Asker(enum.Enum):
    """Who may ask a KMS: a user of its own, an authorised node, another KMS for a user of its own."""

    USER = 1
    NODE = 2
    PEER = 3


class Question(Struct, frozen=True):
    """A Ticket Request or Ticket Resolve that proved right and is fresh.

    ``account``: what rates are counted by, the name of the asker's key, however the message has it; ``peer``: the KMS
    that sent it.
    """

    asked: exchange.Asked
    asker: Asker
    who: v.Idr
    account: bytes
    peer: PeerKms | None = None

    @property
    def message(self) -> mikey.MikeyMessage:
        return self.asked.message


class Forwarded(Struct, frozen=True):
    """A Ticket Resolve on its way to the KMS that can open the ticket."""

    peer: PeerKms
    request: bytes
    question: Question


class Relayed(Struct, frozen=True):
    """The answer for the user, and what the other KMS released for the ticket."""

    octets: bytes
    ticket: v.Ticket
    released: exchange.Answered

    def __repr__(self) -> str:
        return "Relayed(<redacted>)"
