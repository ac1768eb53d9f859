"""Offer and answer in one dialog (RFC 3264, RFC 6337): which message offered, which one answered.

Follows the exchange, not SIP's direction: the offer may stand in a request or in a response to a request
without one, the answer in a response, a PRACK or an ACK. Only whole SIP messages are handled here; nobody
reads the session descriptions.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from midcall.events import Kept, Side

# Pipelined or glaring requests that one dialog may have open; one is regular, two are glare.
OPEN_OFFERS = 4
# Transactions whose copies (retransmissions, other legs) must still be known as settled.
SETTLED = 8


class Transaction(NamedTuple):
    """A request of one dialog, as both legs and all its retransmissions share it."""

    sender: Side
    method: str
    number: int


class Round(Struct, frozen=True, gc=False):
    """One offer with its answer; None while it has none."""

    transaction: Transaction
    offerer: Side
    offer: Kept
    answer: Kept | None


class Negotiation:
    """What is on offer, and what was agreed last.

    ``request`` and ``response`` return the round that the message completed (or, for a provisional answer
    that came again otherwise, changed); None when it did not.
    """

    __slots__ = ("_offers", "_reverse", "_settled", "current")

    def __init__(self) -> None:
        self.current: Round | None = None
        self._offers: dict[Transaction, Kept] = {}
        self._reverse: Round | None = None
        self._settled: dict[Transaction, None] = {}

    @property
    def pending(self) -> Round | None:
        """The latest offer that waits for its answer."""
        if self._reverse is not None:
            return self._reverse
        for transaction, offer in reversed(self._offers.items()):
            if self.current is None or self.current.transaction != transaction:
                return Round(transaction, transaction.sender, offer, None)
        return None

    def forget(self) -> None:
        """What was offered and agreed goes; which transactions are settled stays known."""
        self.current = self._reverse = None
        self._offers.clear()

    def request(self, transaction: Transaction, message: Kept) -> Round | None:
        """A request that carries a session description."""
        reverse = self._reverse
        if reverse is not None and _answers(transaction, reverse):
            self._reverse = None
            return self._agree(Round(reverse.transaction, reverse.offerer, reverse.offer, message))
        if transaction.method != "ACK" and transaction not in self._settled:
            self.offer(transaction, message)
        return None

    def offer(self, transaction: Transaction, message: Kept) -> None:
        """Note an offer made by a request; the first copy of it counts."""
        if transaction in self._offers:
            return
        if len(self._offers) >= OPEN_OFFERS:
            self._offers.pop(next(iter(self._offers)))
        self._offers[transaction] = message

    def response(self, transaction: Transaction, status: int, message: Kept | None) -> Round | None:
        """A response above 100 to ``transaction``; ``message`` is None when it has no session description."""
        if status >= 300:
            self._failed(transaction)
            return None
        offer = self._offers.get(transaction)
        final = status >= 200
        if final:
            self._offers.pop(transaction, None)
        if transaction in self._settled:
            return None
        if final:
            self._settle(transaction)
        if message is None:
            return None
        if offer is not None:
            return self._agree(Round(transaction, transaction.sender, offer, message))
        if transaction.method == "INVITE":
            self._reverse = Round(transaction, transaction.sender.peer, message, None)
        return None

    def _failed(self, transaction: Transaction) -> None:
        self._offers.pop(transaction, None)
        if self._reverse is not None and self._reverse.transaction == transaction:
            self._reverse = None
        self._settle(transaction)

    def _agree(self, round_: Round) -> Round:
        former = self.current
        if former is not None and former.transaction != round_.transaction:
            # What another transaction agreed provisionally is history now: its 2xx must not bring it back.
            self._offers.pop(former.transaction, None)
            self._settle(former.transaction)
        self.current = round_
        return round_

    def _settle(self, transaction: Transaction) -> None:
        if len(self._settled) >= SETTLED:
            self._settled.pop(next(iter(self._settled)))
        self._settled[transaction] = None


def _answers(transaction: Transaction, reverse: Round) -> bool:
    """An offer in a response is answered by the ACK of that INVITE, or by a PRACK (RFC 3262 5)."""
    if transaction.sender == reverse.offerer:
        return False
    if transaction.method == "ACK":
        return transaction.number == reverse.transaction.number
    return transaction.method == "PRACK"
