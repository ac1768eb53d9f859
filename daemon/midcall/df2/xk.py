"""Questions to a KMS and what its answers mean, in both ways of getting session keys; a core.

Xk get_keys shows the warrant, and the KMS derives (TS 33.107 7A.7.2). RFC 6043 Resolve, for a KMS without Xk, shows
none: the KMS trusts the node, and DF2 derives.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Protocol

from msgspec import Struct

from imswire import mikey, xk
from imswire.mikey import values as v
from midcall.df2 import keys
from midcall.df2.keys import NodeIdentity
from midcall.events import Kept, KeyAnswer, KeyQuery, TicketExchange

Draw = Callable[[int], bytes]
MAX_MIKEY = 1 << 16


class Again(Struct, frozen=True):
    """No answer yet, and the same question may get one a moment later."""

    reason: str


class Question(Struct, frozen=True):
    """What is sent: an HTTP request, good for one attempt."""

    path: str
    kind: str
    octets: bytes
    most: int
    """Octets of an answer that are taken."""

    def __repr__(self) -> str:
        return f"Question(path={self.path!r}, <redacted>)"


class Dialect(Protocol):
    """A way of asking."""

    def question(self, query: KeyQuery, warrant: bytes | None, now: int, draw: Draw) -> Question:
        """One attempt, at wall time ``now`` (ns). MikeyError, XkError: it cannot be asked."""

    def answer(self, query: KeyQuery, question: Question, status: int, octets: bytearray) -> KeyAnswer | Again:
        """What came back."""


class GetKeys:
    """Xk: the signed warrant goes with each question."""

    def question(self, query: KeyQuery, warrant: bytes | None, now: int, draw: Draw) -> Question:
        del now
        seen = query.exchange
        request = xk.Request(
            transaction=draw(8).hex(),
            xid=query.xid,
            identity=query.identity,
            init=_seen(seen.init),
            response=None if seen.response is None else _seen(seen.response),
            updates=tuple(
                xk.Update(init=_seen(each.init), response=None if each.response is None else _seen(each.response))
                for each in seen.updates
            ),
            parties=query.parties,
            warrant=None if warrant is None else warrant.decode("utf-8", "replace"),
        )
        octets = xk.write(request)
        # What the other side would refuse for its form is not sent.
        xk.read_request(octets)
        return Question(xk.PATH, "application/json", octets, xk.MAX_RESPONSE)

    def answer(self, query: KeyQuery, question: Question, status: int, octets: bytearray) -> KeyAnswer | Again:
        try:
            if status != 200:
                return _refused(query, status, xk.read_refusal(octets))
            response = xk.read_keys(octets)
        except xk.XkError as error:
            if status in _PASSING:
                return Again(f"status {status}")
            return keys.refused(query.query, f"status {status} with an answer that cannot be read: {error}")
        if response.transaction != xk.read_request(question.octets).transaction:
            return keys.refused(query.query, "it answers another question")
        return keys.answered(query.query, map(_derived, response.keys), response.failures)


class Resolve:
    """RFC 6043 4.2.3 as an authorised node."""

    def __init__(self, node: NodeIdentity, kms: str) -> None:
        """``kms``: whom tickets belong to that name nobody."""
        self._node = node
        self._kms = kms

    def question(self, query: KeyQuery, warrant: bytes | None, now: int, draw: Draw) -> Question:
        del warrant
        number = int.from_bytes(draw(4), "big")
        octets = keys.resolve_request(
            query, self._node, self._kms, csb_id=number, now=now, rand=draw(len(self._node.psk))
        )
        return Question("/keymanagement?requesttype=ticketresolve", "application/mikey", octets, MAX_MIKEY)

    def answer(self, query: KeyQuery, question: Question, status: int, octets: bytearray) -> KeyAnswer | Again:
        if status == 200:
            return keys.resolved(query, self._node, question.octets, bytes(octets))
        if status in _PASSING:
            return Again(f"status {status}")
        return keys.refused(query.query, f"status {status}{_mikey_error(bytes(octets))}")


_PASSING = frozenset((408, 429, 500, 502, 503, 504))


def _refused(query: KeyQuery, status: int, refusal: xk.Refusal) -> KeyAnswer | Again:
    try:
        passing = xk.Code(refusal.code).passing
    except ValueError:
        passing = status in _PASSING
    rule = f" ({refusal.rule})" if refusal.rule else ""
    text = f"{refusal.code}{rule}: {refusal.reason}" if refusal.reason else refusal.code
    return Again(text) if passing else keys.refused(query.query, text)


def _mikey_error(octets: bytes) -> str:
    """The error number of an Error message; a hint, for nothing vouches for it."""
    try:
        message = mikey.parse(octets)
    except mikey.MikeyError:
        return ""
    error = message.first(v.Err)
    return "" if error is None else f", MIKEY error {error.error_no}"


def _seen(kept: Kept) -> xk.Seen:
    return xk.Seen(octets=kept.octets, at=kept.at.wall)


def _derived(key: xk.Key) -> mikey.SessionKeys:
    return mikey.SessionKeys(
        key.cs_id, key.generation, key.ssrc, key.roc, key.seq, key.key, key.salt, key.mki, key.policy, "KMS", key.proved
    )


def bundle(seen: TicketExchange) -> bytes:
    """One name for (TRANSFER_INIT, TRANSFER_RESP, updates)."""
    messages: list[Kept | None] = [seen.init, seen.response]
    for update in seen.updates:
        messages += [update.init, update.response]
    return _digest([None if each is None else each.octets for each in messages])


def same(query: KeyQuery, warrant: bytes | None) -> bytes:
    """One name for all questions that have one answer."""
    return _digest(
        [bundle(query.exchange), query.xid.encode(), query.identity.encode(), warrant]
        + [party.encode("utf-8", "surrogateescape") for party in query.parties]
    )


def _digest(parts: list[bytes | None]) -> bytes:
    whole = blake2b(digest_size=32)
    for part in parts:
        octets = b"" if part is None else part
        whole.update(bytes((part is not None,)) + len(octets).to_bytes(4, "big") + octets)
    return whole.digest()
