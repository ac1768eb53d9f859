"""Messages gone through by their lengths alone, without a value made: a tenth of what reading them takes.

What is skimmed is read by :mod:`imswire.mikey.message` as well; whatever else comes is left to it.
"""

from __future__ import annotations

from functools import lru_cache

from imswire.mikey import layouts
from imswire.mikey.message import MAX_MESSAGE
from imswire.mikey.numbers import EncrAlg, MapType, PayloadType
from imswire.mikey.payloads import MAX_PAYLOADS, MAX_SP_PARAMS
from imswire.mikey.reading import Stride, strides

_KEMAC, _SP, _TICKET, _TP = map(int, (PayloadType.KEMAC, PayloadType.SP, PayloadType.TICKET, PayloadType.TP))
_NULL, _VERSION = int(EncrAlg.NULL), 1
_SRTP_ID, _EMPTY, _GENERIC_ID = int(MapType.SRTP_ID), int(MapType.EMPTY), int(MapType.GENERIC_ID)
_SRTP_SESSION = layouts.SRTP_SESSION.sizeof()
# Behind the octet that names the next payload.
_STRIDES: dict[int, tuple[Stride, ...]] = {
    number: found for number, layout in layouts.PAYLOADS.items() if (found := strides(layout)) is not None
}
# Those that begin with a role may stand once a role, these as often as anybody likes.
_WITH_ROLE = frozenset(map(int, (PayloadType.TR, PayloadType.IDR, PayloadType.RANDR)))
_REPEATED = frozenset(map(int, (PayloadType.SP, PayloadType.GENERAL_EXTENSION, PayloadType.ID)))
# Ticket Data (RFC 6043 A.1): once each.
_IN_TICKET = tuple(map(int, (PayloadType.T, PayloadType.RAND, PayloadType.KEMAC, PayloadType.V)))
_V = int(PayloadType.V)
# Of a policy, which a TICKET payload begins with: octets in front of its TP Data (RFC 6043 6.10).
_POLICY_FIXED = _STRIDES[_TICKET][0][0]
# What has something in it that is read.
_HOLDING = frozenset({_KEMAC, _SP, _TICKET, _TP})

_Skimmed = list[tuple[int, int]]
"""Number and offset of each payload."""


class _Unsure(Exception):
    """Octets that have to be read."""


def opaque(octets: bytes) -> bool:
    """Whether a message is readable beyond doubt, and nothing in it or in its tickets has keys in clear.

    False says nothing: the message has to be read.
    """
    if len(octets) > MAX_MESSAGE:
        return False
    try:
        first, at = _header(octets)
        chain = _chain(octets, first, at)
        for number, place in chain:
            if number in _HOLDING and not _payload_opaque(octets, number, place):
                return False
        return _once(octets, chain)
    except (_Unsure, IndexError):
        return False


def _header(octets: bytes) -> tuple[int, int]:
    """The number of the first payload, and where it begins."""
    kind, at = octets[9], 10
    if octets[0] != _VERSION:
        raise _Unsure
    if kind == _GENERIC_ID:
        for _ in range(octets[8]):
            at += 3 + (octets[at + 2] & 0x7F)
            at += 2 + (octets[at] << 8 | octets[at + 1])
            at += 1 + octets[at]
    elif kind == _SRTP_ID:
        at += octets[8] * _SRTP_SESSION
    elif kind != _EMPTY:
        raise _Unsure
    return octets[2], at


def _chain(octets: bytes, number: int, at: int) -> _Skimmed:
    """Payloads exactly to the end of the octets."""
    found: _Skimmed = []
    while number:
        steps = _STRIDES.get(number)
        if steps is None or len(found) == MAX_PAYLOADS:
            raise _Unsure
        found.append((number, at))
        number = octets[at]
        at += 1
        for fixed, length, table in steps:
            at += fixed
            if length == 2:
                at += 2 + (octets[at] << 8 | octets[at + 1])
            elif length:
                at += 1 + octets[at]
            elif table:
                at += table[octets[at - 1]]
    if at != len(octets):
        raise _Unsure
    return found


def _once(octets: bytes, chain: _Skimmed) -> bool:
    """Whether nothing that may stand once stands twice."""
    single = [
        number << 8 | octets[at + 1] if number in _WITH_ROLE else number << 8
        for number, at in chain
        if number not in _REPEATED
    ]
    return len(set(single)) == len(single)


def _payload_opaque(octets: bytes, number: int, at: int) -> bool:
    if number == _KEMAC:
        return octets[at + 1] != _NULL or octets[at + 2 : at + 4] == b"\0\0"
    if number == _SP:
        return _has_params(octets[at + 5 : at + 5 + (octets[at + 3] << 8 | octets[at + 4])])
    if number == _TICKET:
        return _ticket_opaque(octets, at)
    return number != _TP or _chain_opaque(_long(octets, at + 1 + _POLICY_FIXED)[0])


@lru_cache(maxsize=256)
def _has_params(octets: bytes) -> bool:
    """Parameters of a policy (RFC 3830 6.10), to the end. Those of a network are few, and no secret."""
    at = count = 0
    while at < len(octets):
        at += 2 + octets[at + 1]
        count += 1
    return at == len(octets) and count <= MAX_SP_PARAMS


def _ticket_opaque(octets: bytes, at: int) -> bool:
    """TP Data, Ticket Data and Initiator Data of a TICKET payload, which stand in the order of RFC 6043 6.10."""
    policy, begin = _long(octets, at + 1 + _POLICY_FIXED)
    data, end = _long(octets, begin)
    by_initiator, _ = _long(octets, end)
    chain = _chain(data, data[0], 3 + (data[1] << 8 | data[2]))
    numbers = [number for number, _ in chain]
    if any(numbers.count(each) != 1 for each in _IN_TICKET) or numbers[-1] != _V:
        return False
    return _all_opaque(data, chain) and _chain_opaque(policy) and _chain_opaque(by_initiator)


def _chain_opaque(octets: bytes) -> bool:
    """The same of payloads behind an octet that names the first."""
    return not octets or _all_opaque(octets, _chain(octets, octets[0], 1))


def _all_opaque(octets: bytes, chain: _Skimmed) -> bool:
    """Policies and tickets in a ticket are left to be read, as nobody has them there."""
    for number, at in chain:
        if number in _HOLDING and not (number == _KEMAC and _payload_opaque(octets, number, at)):
            return False
    return True


def _long(octets: bytes, at: int) -> tuple[bytes, int]:
    """A field of a payload behind its length of two octets, and where it ends."""
    end = at + 2 + (octets[at] << 8 | octets[at + 1])
    return octets[at + 2 : end], end
