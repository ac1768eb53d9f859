"""The MIKEY base ticket (RFC 6043 Appendix A): made by the KMS or the Initiator, opened by who has the TPK.

``Ticket Data = THDR, T, RAND, KEMAC, [IDRpsk], V``
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import construct as c
from msgspec import Struct

from imswire.mikey import prf
from imswire.mikey import values as v
from imswire.mikey.errors import MikeyError
from imswire.mikey.message import identity
from imswire.mikey.numbers import MAC_OCTETS, ErrorNo, IdRole, IdType, KeyType, MacAlg, PayloadType
from imswire.mikey.payloads import Placed, read_chain, write_chain, write_payload
from imswire.mikey.protect import TICKET_CSB_ID, Protection
from imswire.mikey.reading import Unread, reader

P = TypeVar("P")

BASE_TICKET = 1
GPP_TICKET = 2

_LENGTH_OCTETS = 2  # before the Initiator Data
_THDR = c.Struct("next" / c.Byte, "data" / c.Prefixed(c.Int16ub, c.GreedyBytes))
_read_thdr = reader(_THDR)


class TicketData(NamedTuple):
    """The parts of Ticket Data."""

    thdr: bytes
    timestamp: v.Timestamp
    rand: bytes
    kemac: v.Kemac
    tpk_id: bytes | None
    verification: v.V


class TicketKeys(Struct, frozen=True):
    """What a ticket holds: MPKi and MPKr (RFC 6043 A.1), and its session keys; shows none of them."""

    mpki: bytes
    mpkr: bytes
    keys: tuple[v.KeyData, ...]
    tpk_id: bytes | None = None

    def __repr__(self) -> str:
        return f"TicketKeys(keys={len(self.keys)}, <redacted>)"


def read_data(octets: bytes) -> TicketData:
    """Take Ticket Data apart; MikeyError when it is not that of a base ticket."""
    try:
        thdr, end = _read_thdr(octets, 0)
    except Unread:
        raise _bad("the ticket header does not fit") from None
    chain = read_chain(octets, thdr["next"], end, within="Ticket Data")
    timestamp = _only(chain, v.Timestamp)
    rand = _only(chain, v.Rand)
    kemac = _only(chain, v.Kemac)
    verification = chain[-1].value if chain else None
    if not isinstance(verification, v.V) or timestamp is None or rand is None or kemac is None:
        raise _bad("Ticket Data lacks T, RAND, KEMAC, or V as its last payload")
    psk = identity(tuple(p.value for p in chain if isinstance(p.value, v.Idr)), IdRole.PSK)
    return TicketData(thdr["data"], timestamp, rand.rand, kemac, None if psk is None else psk.data, verification)


def tpk_id(ticket: v.Ticket) -> bytes | None:
    """The identifier of the TPK that a ticket names (IDRpsk of its data)."""
    return read_data(ticket.ticket_data).tpk_id


def open_ticket(
    ticket: v.Ticket, tpk: bytes, data: TicketData | None = None, octets: bytes | None = None
) -> TicketKeys:
    """Open a ticket with its protection key; MikeyError when its MAC is wrong or it has no MPK.

    ``data``: what ``read_data`` gave of it, when that has been done already. ``octets``: the payload as it stood in
    its message, from the octet that names the next one; without them it is written anew for its MAC. Types 1 and 2
    are opened alike when they have this form: only the KMS can tell.
    """
    if ticket.policy.ticket_type not in (BASE_TICKET, GPP_TICKET):
        raise _bad(f"ticket type {ticket.policy.ticket_type} is not known")
    if ticket.policy.ticket_type == BASE_TICKET and (ticket.policy.subtype, ticket.policy.version) != (1, 1):
        raise _bad(f"base ticket of subtype {ticket.policy.subtype}, version {ticket.policy.version} is not known")
    data = read_data(ticket.ticket_data) if data is None else data
    protection = _protection(tpk, ticket.policy.prf, data.rand)
    if not protection.proves(data.verification, _covered(ticket, data, octets)):
        raise MikeyError("TICKET", "its MAC is wrong", error_no=ErrorNo.AUTH_FAILURE)
    keys = protection.open(data.kemac, data.timestamp)
    mpk = next((key.key for key in keys if key.key_type == KeyType.MPK), None)
    if mpk is None:
        raise _bad("there is no MPK in it")
    mpki, mpkr = split_mpk(mpk, ticket.policy.prf, data.rand)
    rest = tuple(key for key in keys if key.key_type != KeyType.MPK)
    return TicketKeys(mpki, mpkr, rest, data.tpk_id)


def seal_ticket(
    policy: v.TicketPolicy,
    tpk: bytes,
    keys: tuple[v.KeyData, ...],
    *,
    timestamp: v.Timestamp,
    rand: bytes,
    encr_alg: int,
    auth_alg: int,
    tpk_id: bytes | None = None,
    thdr: bytes = b"",
) -> v.Ticket:
    """Make a ticket: ``keys`` begin with the MPK; (``timestamp``, ``rand``) must be unique for the TPK."""
    protection = _protection(tpk, policy.prf, rand)
    payloads: list[v.Payload] = [timestamp, v.Rand(rand), protection.seal(keys, encr_alg, timestamp)]
    if tpk_id is not None:
        payloads.append(v.Idr(IdRole.PSK, IdType.BYTE_STRING, tpk_id))
    head = _THDR.build({"next": PayloadType.T, "data": thdr})
    empty = bytes(MAC_OCTETS[MacAlg(auth_alg)])
    unsigned = head + write_chain([*payloads, v.V(auth_alg, empty)])
    draft = v.Ticket(policy, unsigned)
    mac = protection.mac(auth_alg, _covered(draft, read_data(unsigned)))
    return v.Ticket(policy, unsigned[: len(unsigned) - len(mac)] + mac)


def split_mpk(mpk: bytes, func: int, rand: bytes) -> tuple[bytes, bytes]:
    """MPKi and MPKr of an MPK, phase 6."""
    return (
        prf.prf(func, mpk, prf.mpk_label(prf.MPKI, rand), len(mpk)),
        prf.prf(func, mpk, prf.mpk_label(prf.MPKR, rand), len(mpk)),
    )


def _protection(tpk: bytes, func: int, rand: bytes) -> Protection:
    return Protection(tpk, func, TICKET_CSB_ID, 5, ticket_rand=rand)


def _covered(ticket: v.Ticket, data: TicketData, octets: bytes | None = None) -> bytes:
    """Ticket Type to the Auth alg of the inner V: the payload without next octet, MAC and Initiator Data."""
    if octets is None:
        octets = write_payload(ticket, PayloadType.LAST)
    behind = _LENGTH_OCTETS + len(ticket.initiator_data)
    return octets[1 : len(octets) - behind - len(data.verification.mac)]


def _only(chain: tuple[Placed, ...], cls: type[P]) -> P | None:
    found = [each.value for each in chain if isinstance(each.value, cls)]
    if len(found) > 1:
        raise _bad(f"more than one {cls.__name__} in Ticket Data")
    return found[0] if found else None


def _bad(reason: str) -> MikeyError:
    return MikeyError("TICKET", reason, error_no=ErrorNo.INVALID_TICKET)
