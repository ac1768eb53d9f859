"""Every field of a message with its offset: for people who look at octets, not for deriving keys.

The layouts are those of :mod:`imswire.mikey.layouts`; they are walked field by field here, so that each tells
where it stands. Fields that hold keys are given without their content.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from msgspec import Struct

from imswire.mikey import layouts
from imswire.mikey import numbers as n
from imswire.mikey import values as v
from imswire.mikey.errors import MikeyError
from imswire.mikey.message import MikeyMessage, parse
from imswire.mikey.numbers import PayloadType
from imswire.mikey.payloads import Placed, read_chain

_HEADER_END = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Field(Struct, frozen=True, gc=False):
    """A field: its name, the offset of its first octet in the message, how many octets, its value, its meaning.

    ``value`` is a number, or octets; None for octets that are keys. Bit fields of one octet share an offset.
    """

    name: str
    offset: int
    octets: int
    value: int | bytes | None
    meaning: str = ""


class Group(Struct, frozen=True):
    """The header, a payload, or a part with a chain of its own, with its fields and the groups inside it."""

    name: str
    offset: int
    octets: int
    fields: tuple[Field, ...]
    inside: tuple[Group, ...] = ()


_NUMBERS: dict[str, type[IntEnum]] = {
    "data_type": n.DataType,
    "prf": n.PrfFunc,
    "map_type": n.MapType,
    "encr_alg": n.EncrAlg,
    "mac_alg": n.MacAlg,
    "auth_alg": n.MacAlg,
    "hash_func": n.HashFunc,
    "key_type": n.KeyType,
    "kv": n.KvType,
    "ts_type": n.TsType,
    "id_type": n.IdType,
    "cert_type": n.CertType,
    "sign_type": n.SignType,
    "error_no": n.ErrorNo,
    "extension": n.ExtensionType,
    "protocol": n.ProtType,
    "next": n.PayloadType,
}
_ROLES: dict[int, type[IntEnum]] = {
    PayloadType.TR: n.TsRole,
    PayloadType.IDR: n.IdRole,
    PayloadType.RANDR: n.RandRole,
}
_KEYS = ("key", "salt")
_HOLD_KEYS = (PayloadType.KEY_DATA, PayloadType.SK)


def fields(octets: bytes) -> tuple[Group, ...]:
    """All of a message; MikeyError when it is none."""
    message = parse(octets)
    return (_header(message), *(_payload(placed, 0) for placed in message.payloads))


# The header


def _header(message: MikeyMessage) -> Group:
    octets = message.octets
    bits = octets[3]
    count = len(message.header.sessions)
    plain = (
        _number("version", 0, octets[0]),
        _number("data_type", 1, octets[1]),
        _number("next", 2, octets[2]),
        Field("expects_response", 3, 1, bits >> 7, "V"),
        _number("prf", 3, bits & 0x7F),
        Field("csb_id", 4, 4, message.header.csb_id),
        Field("crypto_sessions", 8, 1, count),
        _number("map_type", 9, octets[9]),
    )
    offset = _HEADER_END
    inside = []
    for number, session in enumerate(message.header.sessions, 1):
        group = _session(number, session, offset)
        inside.append(group)
        offset += group.octets
    return Group("HDR", 0, offset, plain, tuple(inside))


def _session(number: int, session: v.CryptoSession, offset: int) -> Group:
    if isinstance(session, v.SrtpSession):
        named: tuple[tuple[str, int, int | bytes], ...] = (
            ("policy", 1, session.policy),
            ("ssrc", 4, session.ssrc),
            ("roc", 4, session.roc),
        )
        return _placed(f"crypto session {number}", offset, named)
    data = session.session_data
    named = (
        ("cs_id", 1, session.cs_id),
        ("protocol", 1, session.protocol),
        ("bits", 1, session.has_roc << 7 | len(session.policies)),
        *(("policy", 1, policy) for policy in session.policies),
        ("session_data_length", 2, len(data)),
        *_session_data(session),
        ("spi_length", 1, len(session.spi)),
        ("spi", len(session.spi), session.spi),
    )
    return _placed(f"crypto session {session.cs_id}", offset, named)


def _session_data(session: v.GenericSession) -> Iterator[tuple[str, int, int | bytes]]:
    """SSRC, and with S = 1 counter and sequence number; other lengths as they are."""
    data = session.session_data
    if len(data) not in (4, 10):
        yield "session_data", len(data), data
        return
    yield "ssrc", 4, int.from_bytes(data[:4], "big")
    if len(data) == 10:
        yield "roc", 4, int.from_bytes(data[4:8], "big")
        yield "seq", 2, int.from_bytes(data[8:], "big")


def _placed(name: str, offset: int, named: tuple[tuple[str, int, int | bytes], ...]) -> Group:
    found, at = [], offset
    for each, octets, value in named:
        if each == "bits" and isinstance(value, int):  # S and #P of a GENERIC-ID block
            found.append(Field("has_roc", at, octets, value >> 7, "S: ROC and SEQ are present" if value >> 7 else ""))
            found.append(Field("policies", at, octets, value & 0x7F))
        else:
            found.append(Field(each, at, octets, value, _meaning(each, value)))
        at += octets
    return Group(name, offset, at - offset, tuple(found))


# Payloads


def _payload(placed: Placed, base: int) -> Group:
    """``base`` is where the chain begins in the message: one inside a payload counts from its own start."""
    number, at = placed.payload_type, base + placed.offset
    layout = layouts.PAYLOADS[number]
    found = list(_walk(layout, placed.octets, at, number))
    if isinstance(placed.value, v.Kemac) and placed.value.encr_alg == n.EncrAlg.NULL:
        # Not encrypted: what stands there may be keys.
        found = [_hidden(each) if each.name == "encr_data" else each for each in found]
    return Group(PayloadType(number).name, at, len(placed.octets), tuple(found), _inside(placed, at))


def _walk(layout: Any, octets: bytes, base: int, number: int) -> Iterator[Field]:
    start = 0 if number == PayloadType.SIGN else 1
    if start:
        yield _number("next", base, octets[0])
    stream = io.BytesIO(octets)
    stream.seek(start)
    known: dict[str, Any] = {}
    for part in layout.subcons:
        begin = stream.tell()
        value = known[part.name] = part.parse_stream(stream, **known)
        if part.name == "value" and number in (PayloadType.T, PayloadType.TR):
            yield Field("value", base + begin, len(value), value, _time(known))
        else:
            yield from _field(part.name, base + begin, stream.tell() - begin, value, number)


def _time(known: dict[str, Any]) -> str:
    """What a timestamp says: a time, or with TRr how long (RFC 6043 6.4)."""
    seconds = int.from_bytes(known["value"][:4], "big")
    if known.get("role") == n.TsRole.REKEY:
        return f"{seconds} s"
    told = v.Timestamp(known["ts_type"], known["value"]).unix_ns
    return "" if told is None else f"{_EPOCH + timedelta(microseconds=told // 1000):%Y-%m-%d %H:%M:%S} UTC"


def _field(name: str, offset: int, octets: int, value: Any, number: int) -> Iterator[Field]:
    if name == "kv_data":
        yield from _validity(offset, value)
    elif name == "params" and number == PayloadType.SP:
        yield Field("params_length", offset, 2, octets - 2)
        yield from _sp_params(offset + 2, value)
    elif isinstance(value, dict):  # bit fields
        for each, bits in value.items():
            if each != "_io":
                yield _number(each, offset, int(bits), octets)
    elif isinstance(value, bytes):
        yield from _octets(name, offset, octets, value, number)
    elif value is not None:
        kind = _ROLES.get(number) if name == "role" else None
        yield _number(name, offset, int(value), octets, kind)


def _octets(name: str, offset: int, octets: int, value: bytes, number: int) -> Iterator[Field]:
    """Octets with the length field before them, where they have one."""
    ahead = octets - len(value)
    if ahead:
        yield Field(f"{name}_length", offset, ahead, len(value))
    field = Field(name, offset + ahead, len(value), value, _text(value))
    yield _hidden(field) if number in _HOLD_KEYS and name in _KEYS else field


def _hidden(field: Field) -> Field:
    return Field(field.name, field.offset, field.octets, None, "not shown")


def _validity(offset: int, value: Any) -> Iterator[Field]:
    for name, octets in value.items():
        if isinstance(octets, bytes):
            yield from _octets(name, offset, len(octets) + 1, octets, 0)
            offset += len(octets) + 1


def _sp_params(offset: int, octets: bytes) -> Iterator[Field]:
    at = 0
    while at < len(octets):
        number, length = octets[at], octets[at + 1]
        value = octets[at + 2 : at + 2 + length]
        yield Field(f"param {number}", offset + at, 2 + length, value, _name(n.SpParam, number))
        at += 2 + length


# Chains inside payloads


def _inside(placed: Placed, base: int) -> tuple[Group, ...]:
    value = placed.value
    if isinstance(value, v.TicketPolicy):
        return _chain("TP Data", value.tp_data, base + 10)
    if isinstance(value, v.Ticket):
        end = base + 10 + len(value.policy.tp_data)
        return (
            *_chain("TP Data", value.policy.tp_data, base + 10),
            *_ticket_data(value.ticket_data, end + 2),
            *_chain("Initiator Data", value.initiator_data, end + 2 + len(value.ticket_data) + 2),
        )
    if isinstance(value, v.Kemac) and value.encr_alg == n.EncrAlg.NULL and value.encr_data:
        return _tried("keys", value.encr_data, base + 4, PayloadType.KEY_DATA, 0)
    return ()


def _chain(name: str, octets: bytes, base: int) -> tuple[Group, ...]:
    """A part that begins with the number of its first payload."""
    if not octets:
        return ()
    first = _number("first payload", base, octets[0], kind=n.PayloadType)
    if name == "Initiator Data" and octets[:2] == bytes((PayloadType.V, PayloadType.LAST)):
        # A copy of V that says to be the last one is meant as the first of two (RFC 6043 5.1.5).
        (group,) = _tried(name, octets[:1] + bytes((PayloadType.V,)) + octets[2:], base, PayloadType.V, 1)
        inside = tuple(_with_next(each, octets[1]) if each.offset == base + 1 else each for each in group.inside)
    else:
        (group,) = _tried(name, octets, base, octets[0], 1)
        inside = group.inside
    return (Group(name, base, len(octets), (first, *group.fields), inside),)


def _with_next(group: Group, number: int) -> Group:
    """The payload with the number that it came with."""
    rest = group.fields[1:]
    return Group(group.name, group.offset, group.octets, (_number("next", group.offset, number), *rest), group.inside)


def _ticket_data(octets: bytes, base: int) -> tuple[Group, ...]:
    """THDR, then a chain; that of another ticket type only its maker can read (RFC 6043 6.10)."""
    if len(octets) < 3 or len(octets) < 3 + int.from_bytes(octets[1:3], "big"):
        return (Group("Ticket Data", base, len(octets), (Field("data", base, len(octets), octets, "not readable"),)),)
    length = int.from_bytes(octets[1:3], "big")
    head = (
        _number("next", base, octets[0]),
        Field("thdr_data_length", base + 1, 2, length),
        Field("thdr_data", base + 3, length, octets[3 : 3 + length]),
    )
    (group,) = _tried("Ticket Data", octets, base, octets[0], 3 + length)
    return (Group("Ticket Data", base, len(octets), (*head, *group.fields), group.inside),)


def _tried(name: str, octets: bytes, base: int, first: int, offset: int) -> tuple[Group]:
    """A chain, or one field of octets when it is none."""
    try:
        chain = read_chain(octets, first, offset, within=name)
    except MikeyError as error:
        rest = octets[offset:]
        hidden = None if first == PayloadType.KEY_DATA else rest
        unread = Field("data", base + offset, len(rest), hidden, f"not readable: {error.reason}")
        return (Group(name, base, len(octets), (unread,)),)
    return (Group(name, base, len(octets), (), tuple(_payload(placed, base) for placed in chain)),)


# Values


def _number(name: str, offset: int, value: int, octets: int = 1, kind: type[IntEnum] | None = None) -> Field:
    return Field(name, offset, octets, value, _name(kind, value) if kind else _meaning(name, value))


def _meaning(name: str, value: int | bytes) -> str:
    kind = _NUMBERS.get(name)
    if kind is not None and isinstance(value, int):
        return _name(kind, value)
    return _text(value) if isinstance(value, bytes) else ""


def _name(kind: type[IntEnum], value: int) -> str:
    return kind(value).name if value in kind._value2member_map_ else "unknown"


def _text(octets: bytes) -> str:
    """Octets as text where they are: identities, protocol lists."""
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError:
        return ""
    return text if len(text) > 2 and text.isprintable() else ""
