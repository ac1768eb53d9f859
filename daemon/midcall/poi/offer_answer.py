"""Offer and answer in one dialog (RFC 3264, RFC 6337): which message offered, which one answered.

Follows the exchange, not SIP's direction: the offer may stand in a request or in a response to a request
without one, the answer in a response, a PRACK or an ACK. Only whole SIP messages are handled here; nobody
reads the session descriptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from midcall.events import Kept, Side

# Pipelined or glaring requests that one dialog may have open; one is regular, two are glare.
OPEN_OFFERS = 4
# Transactions whose copies (retransmissions, other legs) must still be known as settled.
SETTLED = 8


class Transaction(Struct, frozen=True, gc=False):
    """A request of one dialog, as both legs and all its retransmissions share it."""

    sender: Side
    method: str
    number: int


# The first transactions of most dialogs are the same.
transaction = lru_cache(maxsize=4_096)(Transaction)


@lru_cache(maxsize=1_024)
def _shared(settled: tuple[Transaction, ...]) -> tuple[Transaction, ...]:
    return settled


class Round(Struct, frozen=True, gc=False):
    """One offer with its answer; None while it has none."""

    transaction: Transaction
    offerer: Side
    offer: Kept
    answer: Kept | None


class Negotiation(Struct, gc=False):
    """What is on offer, and what was agreed last.

    ``request`` and ``response`` return the round that the message completed (or, for a provisional answer
    that came again otherwise, changed); None when it did not.
    """

    current: Round | None = None
    _offers: tuple[tuple[Transaction, Kept], ...] = ()
    _reverse: Round | None = None
    _settled: tuple[Transaction, ...] = ()

    @property
    def pending(self) -> Round | None:
        """The latest offer that waits for its answer."""
        waiting = self.waiting
        if waiting is None or isinstance(waiting, Round):
            return waiting
        made, offer = waiting
        return Round(made, made.sender, offer, None)

    @property
    def waiting(self) -> Round | tuple[Transaction, Kept] | None:
        """The same as it is kept: a round that the other side has begun, or a request with its offer."""
        if self._reverse is not None or not self._offers:
            return self._reverse
        for each in reversed(self._offers):
            if self.current is None or self.current.transaction != each[0]:
                return each
        return None

    @property
    def kept(self) -> Iterator[Kept]:
        """Messages that are kept for it."""
        for round_ in (self.current, self._reverse):
            if round_ is not None:
                yield round_.offer
                if round_.answer is not None:
                    yield round_.answer
        for _, offer in self._offers:
            yield offer

    def forget(self) -> None:
        """What was offered and agreed goes; which transactions are settled stays known."""
        self.current = self._reverse = None
        self._offers = ()

    def request(self, made: Transaction, message: Kept) -> Round | None:
        """A request that carries a session description."""
        reverse = self._reverse
        if reverse is not None and _answers(made, reverse):
            self._reverse = None
            return self._agree(Round(reverse.transaction, reverse.offerer, reverse.offer, message))
        if made.method != "ACK" and made not in self._settled:
            self.offer(made, message)
        return None

    def offer(self, made: Transaction, message: Kept) -> None:
        """Note an offer made by a request; the first copy of it counts."""
        if self._offered(made) is None:
            self._offers = (*self._offers, (made, message))[-OPEN_OFFERS:]

    def response(self, made: Transaction, status: int, message: Kept | None) -> Round | None:
        """A response above 100 to a request; ``message`` is None when it has no session description."""
        if status >= 300:
            self._failed(made)
            return None
        offer = self._offered(made)
        final = status >= 200
        if final:
            self._withdraw(made)
        if made in self._settled:
            return None
        if final:
            self._settle(made)
        if message is None:
            return None
        if offer is not None:
            return self._agree(Round(made, made.sender, offer, message))
        if made.method == "INVITE":
            self._reverse = Round(made, made.sender.peer, message, None)
        return None

    def _failed(self, made: Transaction) -> None:
        self._withdraw(made)
        if self._reverse is not None and self._reverse.transaction == made:
            self._reverse = None
        self._settle(made)

    def _agree(self, round_: Round) -> Round:
        former = self.current
        if former is not None and former.transaction != round_.transaction:
            # What another transaction agreed provisionally is history now: its 2xx must not bring it back.
            self._withdraw(former.transaction)
            self._settle(former.transaction)
        self.current = round_
        return round_

    def _offered(self, made: Transaction) -> Kept | None:
        for each, offer in self._offers:
            if each == made:
                return offer
        return None

    def _withdraw(self, made: Transaction) -> None:
        if self._offers:
            self._offers = tuple(each for each in self._offers if each[0] != made)

    def _settle(self, made: Transaction) -> None:
        if made not in self._settled:
            self._settled = _shared((*self._settled, made)[-SETTLED:])


def _answers(made: Transaction, reverse: Round) -> bool:
    """An offer in a response is answered by the ACK of that INVITE, or by a PRACK (RFC 3262 5)."""
    if made.sender == reverse.offerer:
        return False
    if made.method == "ACK":
        return made.number == reverse.transaction.number
    return made.method == "PRACK"
