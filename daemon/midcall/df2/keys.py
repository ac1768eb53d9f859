"""Two ways of getting session keys behind one answer (TS 33.107 7A.7.2): Xk get_keys, and RFC 6043 Resolve.

With get_keys the KMS derives and DF2 turns what it says into SRTP keys. With Resolve DF2 asks as an authorised
node of its own and derives itself; where keys are forked the KMS has to release them unforked (RFC 6043
12.1), else the MAC of TRANSFER_RESP tells that they are useless.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from imswire import mikey, srtp
from imswire.mikey import exchange
from imswire.mikey import values as v
from midcall.events import KeyAnswer, KeyQuery, SessionKey, TicketExchange


class NodeIdentity(Struct, frozen=True):
    """Who DF2 is to a KMS that it resolves tickets with."""

    identity: str
    psk_id: bytes
    psk: bytes

    def __repr__(self) -> str:
        return f"NodeIdentity(identity={self.identity!r}, <redacted>)"


def answered(query: int, derived: Iterable[mikey.SessionKeys], failures: tuple[str, ...] = ()) -> KeyAnswer:
    """Session keys as SRTP keys; a policy that SRTP cannot honour is a failure of its session only."""
    keys: list[SessionKey] = []
    reasons = list(failures)
    for each in derived:
        try:
            policy = srtp.Policy.from_sp(each.params)
            master = srtp.MasterKey(each.master_key, each.master_salt, each.spi)
            master.fits(policy)
        except srtp.SrtpError as error:
            reasons.append(f"crypto session {each.cs_id}: {error}")
            continue
        keys.append(SessionKey(each.cs_id, each.generation, each.ssrc, each.roc, each.seq, policy, master, each.proved))
    return KeyAnswer(query, tuple(keys), tuple(reasons))


def refused(query: int, reason: str) -> KeyAnswer:
    """The KMS gave no keys."""
    return KeyAnswer(query, (), (f"KMS: {reason}",))


def resolve_request(query: KeyQuery, node: NodeIdentity, kms: str, *, csb_id: int, now: int, rand: bytes) -> bytes:
    """RESOLVE_INIT_PSK for the ticket of an exchange; MikeyError when it cannot be read. ``now``: wall ns."""
    ticket = _messages(query.exchange).ticket
    named = mikey.PolicyData.read(ticket.policy).kms
    return exchange.resolve_init(
        exchange.SUITE_256 if ticket.policy.prf == mikey.PrfFunc.HMAC_SHA_256 else exchange.SUITE_128,
        node.psk,
        csb_id=csb_id,
        timestamp=v.Timestamp.ntp_utc(now),
        rand=rand,
        responder=exchange.uri(mikey.IdRole.RESPONDER, node.identity),
        kms=exchange.uri(mikey.IdRole.KMS, kms) if named is None else named,
        ticket=ticket,
        psk_id=node.psk_id,
    )


def resolved(query: KeyQuery, node: NodeIdentity, asked: bytes, answer: bytes) -> KeyAnswer:
    """Check RESOLVE_RESP and derive the session keys of the exchange."""
    try:
        released = exchange.open_answer(answer, asked, node.psk)
        messages = _messages(query.exchange)
        # A modifier in the answer means forked for this node: such keys are not those of the call.
        forked = released.modifier is not None
        if messages.flags.i and forked:
            return refused(query.query, "it forked the keys for this node: they are not those of the call")
        material = mikey.Resolved(released.mpki, released.mpkr, released.keys)
        derivation = mikey.Derivation(messages, material, query.parties)
        derived = derivation.run(
            [
                mikey.UpdateMessages(u.init.octets, None if u.response is None else u.response.octets)
                for u in query.exchange.updates
            ]
        )
    except mikey.MikeyError as error:
        return refused(query.query, str(error))
    return answered(query.query, derived, tuple(str(failure) for failure in derivation.failures))


def _messages(seen: TicketExchange) -> mikey.Exchange:
    return mikey.Exchange.read(seen.init.octets, None if seen.response is None else seen.response.octets)
