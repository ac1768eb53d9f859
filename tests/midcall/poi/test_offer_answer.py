"""Offer and answer wherever they stand (RFC 3264, RFC 6337 table 1)."""

from __future__ import annotations

import pytest

from midcall.events import Instant, Kept, Side
from midcall.poi.offer_answer import OPEN_OFFERS, SETTLED, Negotiation, Transaction

INVITE = Transaction(Side.CALLER, "INVITE", 1)
UPDATE = Transaction(Side.CALLER, "UPDATE", 2)
PRACK = Transaction(Side.CALLER, "PRACK", 2)
ACK = Transaction(Side.CALLER, "ACK", 1)


def body(name: str) -> Kept:
    return Kept(name.encode(), Instant(0, 0), 1)


OFFER, ANSWER, OTHER = body("offer"), body("answer"), body("other")


def agreed(negotiation: Negotiation) -> tuple[Side, Kept, Kept | None] | None:
    current = negotiation.current
    return None if current is None else (current.offerer, current.offer, current.answer)


def test_invite_and_200():
    n = Negotiation()
    assert n.request(INVITE, OFFER) is None and n.pending.offer == OFFER
    n.response(INVITE, 200, ANSWER)
    assert agreed(n) == (Side.CALLER, OFFER, ANSWER) and n.pending is None


def test_a_provisional_answer_is_replaced_by_the_final_one():
    n = Negotiation()
    n.request(INVITE, OFFER)
    n.response(INVITE, 183, ANSWER)
    assert agreed(n) == (Side.CALLER, OFFER, ANSWER)
    n.response(INVITE, 200, OTHER)
    assert agreed(n) == (Side.CALLER, OFFER, OTHER)


def test_copies_of_a_transaction_change_nothing():
    n = Negotiation()
    n.request(INVITE, OFFER)
    n.request(INVITE, OTHER)
    n.response(INVITE, 200, ANSWER)
    n.response(INVITE, 200, OTHER)
    n.request(INVITE, OTHER)
    assert agreed(n) == (Side.CALLER, OFFER, ANSWER) and n.pending is None


@pytest.mark.parametrize(("status", "closing"), [(200, ACK), (183, PRACK)])
def test_offer_in_a_response_is_answered_by_ack_or_prack(status, closing):
    n = Negotiation()
    n.response(INVITE, status, OFFER)
    assert n.pending.offerer is Side.CALLEE
    n.request(closing, ANSWER)
    assert agreed(n) == (Side.CALLEE, OFFER, ANSWER)


def test_what_does_not_answer_an_offer_in_a_response():
    n = Negotiation()
    n.response(INVITE, 200, OFFER)
    assert n.request(Transaction(Side.CALLER, "ACK", 9), ANSWER) is None
    assert n.request(Transaction(Side.CALLEE, "PRACK", 1), ANSWER) is None
    assert n.current is None


def test_a_refused_offer_leaves_the_session():
    n = Negotiation()
    n.request(INVITE, OFFER)
    n.response(INVITE, 200, ANSWER)
    n.request(UPDATE, OTHER)
    assert n.pending.offer == OTHER
    n.response(UPDATE, 488, None)
    assert agreed(n) == (Side.CALLER, OFFER, ANSWER) and n.pending is None
    n.response(Transaction(Side.CALLER, "INVITE", 3), 200, OTHER)
    n.response(Transaction(Side.CALLER, "INVITE", 3), 500, None)
    assert n.pending is None


def test_an_update_in_the_early_dialog_is_not_undone_by_the_200():
    n = Negotiation()
    n.request(INVITE, OFFER)
    n.response(INVITE, 183, ANSWER)
    n.request(UPDATE, OTHER)
    n.response(UPDATE, 200, body("new"))
    n.response(INVITE, 200, ANSWER)
    assert agreed(n) == (Side.CALLER, OTHER, body("new"))


def test_a_2xx_without_description_ends_the_offer():
    n = Negotiation()
    n.request(INVITE, OFFER)
    assert n.response(INVITE, 200, None) is None and n.pending is None
    assert n.response(UPDATE, 200, ANSWER) is None and n.current is None


def test_bounds():
    n = Negotiation()
    for number in range(50):
        n.request(Transaction(Side.CALLER, "UPDATE", number), OFFER)
        n.response(Transaction(Side.CALLEE, "UPDATE", number), 500, None)
    assert len(n._offers) == OPEN_OFFERS and len(n._settled) == SETTLED
