"""Between octets and payload values, by the declarations of :mod:`imswire.mikey.layouts`."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import construct as c
from msgspec import structs

from imswire.mikey import layouts
from imswire.mikey import values as v
from imswire.mikey.errors import MikeyError
from imswire.mikey.numbers import SALTED, ErrorNo, KvType, MapType, PayloadType
from imswire.mikey.reading import Unread, reader

Fields = dict[str, Any]
_FLAGS = "defghijklmno"

# As plain numbers: members of an enumeration are looked up each time.
_LAST, _SIGN = int(PayloadType.LAST), int(PayloadType.SIGN)

# Far more than any message has; they keep the work on 65 535 octets of hostile payloads short.
MAX_PAYLOADS = 256
MAX_SP_PARAMS = 32  # 21 are defined for SRTP


class _Form(NamedTuple):
    """How a payload's value and the fields of its layout become each other."""

    read: Callable[[Any], v.Payload]
    write: Callable[[Any], Fields]


def _plain(cls: type[Any]) -> _Form:
    """A value whose fields are those of the layout."""
    names = cls.__struct_fields__

    def read(fields: Any) -> v.Payload:
        made: v.Payload = cls(*[fields[name] for name in names])
        return made

    return _Form(read, structs.asdict)


def _read_validity(fields: Any) -> v.Validity:
    data = fields["kv_data"]
    return v.Validity(
        fields["bits"]["kv"], data.get("spi", b""), data.get("valid_from", b""), data.get("valid_to", b"")
    )


def _write_validity(validity: v.Validity) -> Fields:
    if validity.kind == KvType.SPI:
        return {"spi": validity.spi}
    return {"valid_from": validity.valid_from, "valid_to": validity.valid_to}


def _read_sp(fields: Any) -> v.Sp:
    return v.Sp(fields["policy"], fields["protocol"], _read_params(fields["params"]))


# The policies of a network are few, and no secret; each stands in every offer.
@lru_cache(maxsize=256)
def _read_params(octets: bytes) -> tuple[tuple[int, bytes], ...]:
    params: list[tuple[int, bytes]] = []
    stream = io.BytesIO(octets)
    while stream.tell() < len(octets):
        if len(params) == MAX_SP_PARAMS:
            raise c.RangeError("too many parameters", path="-> params")
        param = layouts.SP_PARAM.parse_stream(stream)
        params.append((param.type, param.value))
    return tuple(params)


def _write_sp(sp: v.Sp) -> Fields:
    params = b"".join(_build(layouts.SP_PARAM, {"type": t, "value": value}, "SP") for t, value in sp.params)
    return {"policy": sp.policy, "protocol": sp.protocol, "params": params}


def _read_policy(fields: Any) -> v.TicketPolicy:
    bits = fields["bits"]
    return v.TicketPolicy(
        fields["ticket_type"],
        fields["subtype"],
        fields["version"],
        bits["prf"],
        v.Flags(**{name: bits[name] for name in _FLAGS}),
        fields["tp_data"],
        bits["reserved"],
    )


def _write_policy(policy: v.TicketPolicy) -> Fields:
    return {
        "ticket_type": policy.ticket_type,
        "subtype": policy.subtype,
        "version": policy.version,
        "bits": {"prf": policy.prf, **structs.asdict(policy.flags), "reserved": policy.reserved},
        "tp_data": policy.tp_data,
    }


def _write_ticket(ticket: v.Ticket) -> Fields:
    return _write_policy(ticket.policy) | {
        "ticket_data": ticket.ticket_data,
        "initiator_data": ticket.initiator_data,
    }


def _write_key(key: v.KeyData) -> Fields:
    if key.salt and key.key_type not in SALTED:
        raise MikeyError("KEY_DATA", "a salt with a key type that has none", field="salt")
    return {
        "bits": {"key_type": key.key_type, "kv": key.validity.kind},
        "key": key.key,
        "salt": key.salt,
        "kv_data": _write_validity(key.validity),
    }


_FORMS: dict[int, _Form] = {
    PayloadType.KEMAC: _plain(v.Kemac),
    PayloadType.PKE: _Form(
        lambda f: v.Pke(f["bits"]["cache"], f["data"]),
        lambda p: {"bits": {"cache": p.cache, "length": len(p.data)}, "data": p.data},
    ),
    PayloadType.DH: _Form(
        lambda f: v.Dh(f["group"], f["value"], _read_validity(f)),
        lambda p: {
            "group": p.group,
            "value": p.value,
            "bits": {"kv": p.validity.kind},
            "kv_data": _write_validity(p.validity),
        },
    ),
    PayloadType.SIGN: _Form(
        lambda f: v.Sign(f["bits"]["sign_type"], f["signature"]),
        lambda p: {
            "bits": {"sign_type": p.sign_type, "length": len(p.signature)},
            "signature": p.signature,
        },
    ),
    PayloadType.T: _plain(v.Timestamp),
    PayloadType.ID: _plain(v.Id),
    PayloadType.CERT: _plain(v.Cert),
    PayloadType.CHASH: _plain(v.Chash),
    PayloadType.V: _plain(v.V),
    PayloadType.SP: _Form(_read_sp, _write_sp),
    PayloadType.RAND: _plain(v.Rand),
    PayloadType.ERR: _plain(v.Err),
    PayloadType.TR: _plain(v.Tr),
    PayloadType.IDR: _plain(v.Idr),
    PayloadType.RANDR: _plain(v.Randr),
    PayloadType.TP: _Form(_read_policy, _write_policy),
    PayloadType.TICKET: _Form(
        lambda f: v.Ticket(_read_policy(f), f["ticket_data"], f["initiator_data"]), _write_ticket
    ),
    PayloadType.KEY_DATA: _Form(
        lambda f: v.KeyData(f["bits"]["key_type"], f["key"], f["salt"] or b"", _read_validity(f)), _write_key
    ),
    PayloadType.GENERAL_EXTENSION: _plain(v.Extension),
    PayloadType.IBAKE: _plain(v.Ibake),
    PayloadType.ESK: _plain(v.Esk),
    PayloadType.SK: _Form(
        lambda f: v.Sk(f["bits"]["key_type"], f["key"], _read_validity(f)),
        lambda p: {
            "bits": {"key_type": p.key_type, "kv": p.validity.kind},
            "key": p.key,
            "kv_data": _write_validity(p.validity),
        },
    ),
    PayloadType.ECCPT: _Form(
        lambda f: v.Eccpt(f["curve"], f["point"], f["auth_alg"], f["tgk_length"], _read_validity(f)),
        lambda p: {
            "curve": p.curve,
            "point": p.point,
            "padding": None,
            "auth_alg": p.auth_alg,
            "tgk_length": p.tgk_length,
            "bits": {"kv": p.validity.kind},
            "kv_data": _write_validity(p.validity),
        },
    ),
    PayloadType.SAKKE: _plain(v.Sakke),
}

_TYPES: dict[type[Any], PayloadType] = {
    v.Kemac: PayloadType.KEMAC,
    v.Pke: PayloadType.PKE,
    v.Dh: PayloadType.DH,
    v.Sign: PayloadType.SIGN,
    v.Timestamp: PayloadType.T,
    v.Id: PayloadType.ID,
    v.Cert: PayloadType.CERT,
    v.Chash: PayloadType.CHASH,
    v.V: PayloadType.V,
    v.Sp: PayloadType.SP,
    v.Rand: PayloadType.RAND,
    v.Err: PayloadType.ERR,
    v.Tr: PayloadType.TR,
    v.Idr: PayloadType.IDR,
    v.Randr: PayloadType.RANDR,
    v.TicketPolicy: PayloadType.TP,
    v.Ticket: PayloadType.TICKET,
    v.KeyData: PayloadType.KEY_DATA,
    v.Extension: PayloadType.GENERAL_EXTENSION,
    v.Ibake: PayloadType.IBAKE,
    v.Esk: PayloadType.ESK,
    v.Sk: PayloadType.SK,
    v.Eccpt: PayloadType.ECCPT,
    v.Sakke: PayloadType.SAKKE,
}

# What an Error message would say of a field that cannot be read.
_ERROR_NOS = {
    "auth_alg": ErrorNo.INVALID_MAC,
    "mac_alg": ErrorNo.INVALID_MAC,
    "hash_func": ErrorNo.INVALID_HA,
    "ts_type": ErrorNo.INVALID_TS,
    "group": ErrorNo.INVALID_DH,
}


_HEADER = reader(layouts.HEADER)
_READERS = {number: reader(layout) for number, layout in layouts.PAYLOADS.items()}


class Placed(NamedTuple):
    """A payload where it stood: its type, offset and octets, and its value."""

    payload_type: int
    offset: int
    octets: bytes
    value: v.Payload


def payload_type(value: v.Payload) -> PayloadType:
    """The number of a payload."""
    return _TYPES[type(value)]


def read_header(octets: bytes) -> tuple[v.Header, int, int]:
    """The common header, the type of the first payload, and the offset behind the header."""
    try:
        fields, end = _HEADER(octets, 0)
    except Unread:
        fields, end = _declared_header(octets)
    sessions: tuple[v.CryptoSession, ...]
    if fields["map_type"] == MapType.SRTP_ID:
        sessions = tuple(v.SrtpSession(s["policy"], s["ssrc"], s["roc"]) for s in fields["sessions"])
    else:
        sessions = tuple(map(_read_session, fields["sessions"]))
    bits = fields["bits"]
    header = v.Header(
        fields["data_type"],
        bits["prf"],
        fields["csb_id"],
        fields["map_type"],
        sessions,
        bits["expects_response"],
        fields["version"],
    )
    return header, fields["next"], end


def _read_session(fields: Any) -> v.GenericSession:
    return v.GenericSession(
        fields["cs_id"],
        fields["protocol"],
        fields["bits"]["has_roc"],
        tuple(fields["policies"]),
        fields["session_data"],
        fields["spi"],
    )


def write_header(header: v.Header, first: int) -> bytes:
    """The common header; ``first`` is the type of the payload behind it."""
    fields = {
        "version": header.version,
        "data_type": header.data_type,
        "next": first,
        "bits": {"expects_response": header.expects_response, "prf": header.prf},
        "csb_id": header.csb_id,
        "count": len(header.sessions),
        "map_type": header.map_type,
        "sessions": [_write_session(session) for session in header.sessions],
    }
    return _build(layouts.HEADER, fields, "HDR")


def _write_session(session: v.CryptoSession) -> Fields:
    fields = structs.asdict(session)
    if isinstance(session, v.GenericSession):
        fields["bits"] = {"has_roc": fields.pop("has_roc"), "count": len(session.policies)}
    return fields


def read_chain(octets: bytes, first: int, offset: int = 0, *, within: str = "") -> tuple[Placed, ...]:
    """Payloads one after the other, from ``offset`` exactly to the end; ``first`` names the first one."""
    chain: list[Placed] = []
    number = first
    while number != _LAST:
        read = _READERS.get(number)
        if read is None:
            raise MikeyError(within or "chain", f"unknown payload {number}", field="next payload", offset=offset)
        if len(chain) == MAX_PAYLOADS:
            raise MikeyError(within or "chain", f"more than {MAX_PAYLOADS} payloads", offset=offset)
        signature = number == _SIGN
        try:
            fields, end = read(octets, offset if signature else offset + 1)
        except Unread:
            fields, end = _declared(number, octets, offset)
        try:
            value = _FORMS[number].read(fields)
        except c.ConstructError as error:
            raise _error(PayloadType(number).name, offset, error) from None
        chain.append(Placed(number, offset, octets[offset:end], value))
        offset, number = end, _LAST if signature else octets[offset]
    if offset != len(octets):
        raise MikeyError(within or "chain", f"{len(octets) - offset} octets behind the last payload", offset=offset)
    return tuple(chain)


def _declared_header(octets: bytes) -> tuple[Any, int]:
    """As the declaration reads it: it says what is wrong."""
    stream = io.BytesIO(octets)
    try:
        return layouts.HEADER.parse_stream(stream), stream.tell()
    except c.ConstructError as error:
        raise _error("HDR", 0, error) from None


def _declared(number: int, octets: bytes, offset: int) -> tuple[Any, int]:
    stream = io.BytesIO(octets)
    stream.seek(offset)
    try:
        if number != PayloadType.SIGN:
            c.Byte.parse_stream(stream)
        return layouts.PAYLOADS[number].parse_stream(stream), stream.tell()
    except c.ConstructError as error:
        raise _error(PayloadType(number).name, offset, error) from None


def write_payload(value: v.Payload, following: int) -> bytes:
    """One payload; ``following`` is the type of the next one."""
    number = payload_type(value)
    octets = _build(layouts.PAYLOADS[number], _FORMS[number].write(value), number.name)
    return octets if number == PayloadType.SIGN else bytes((following,)) + octets


def write_chain(payloads: tuple[v.Payload, ...] | list[v.Payload], following: int = PayloadType.LAST) -> bytes:
    """Payloads one after the other; ``following`` is what the last one names as next."""
    out: list[bytes] = []
    for value in reversed(payloads):
        out.append(write_payload(value, following))
        following = payload_type(value)
    return b"".join(reversed(out))


def _build(layout: c.Construct[Any, Any], fields: Fields, name: str) -> bytes:
    try:
        built: bytes = layout.build(fields)
    except c.ConstructError as error:
        raise _error(name, None, error) from None
    return built


def _error(payload: str, offset: int | None, error: c.ConstructError) -> MikeyError:
    """A construct error as ours: its path ends with the field's name, its text may hold octets and is not used."""
    path = str(getattr(error, "path", "") or "")
    field = path.rsplit("->", 1)[-1].strip(" ()") if "->" in path else ""
    field = field if field not in ("parsing", "building") else ""
    if isinstance(error, c.MappingError):
        reason = "unknown number"
    elif isinstance(error, c.StreamError):
        reason = "the octets end inside it, or have another length than it says"
    else:
        reason = "not of its form"
    return MikeyError(payload, reason, field=field, offset=offset, error_no=_ERROR_NOS.get(field, ErrorNo.UNSPECIFIED))
