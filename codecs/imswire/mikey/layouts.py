"""The one declaration of every MIKEY structure, for reading and for writing alike.

construct stays inside this module, :mod:`imswire.mikey.reading` and :mod:`imswire.mikey.payloads`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import construct as c

from imswire.mikey.numbers import (
    DH_OCTETS,
    ECC_OCTETS,
    HASH_OCTETS,
    MAC_OCTETS,
    TS_OCTETS,
    KvType,
    MapType,
    PayloadType,
)


def _octets_by(field: str, table: Mapping[int, int]) -> Callable[[Any], int]:
    """Length of a field whose algorithm number, ``field``, fixes it."""

    def length(context: Any) -> int:
        number = context[field]
        if number not in table:
            raise c.MappingError(f"unknown number {number}", path=f"-> {field}")
        return table[int(number)]

    return length


def _field(*names: str) -> Callable[[Any], Any]:
    """A field, or one inside it, that tells something of those behind it."""

    def told(context: Any) -> Any:
        for name in names:
            context = context[name]
        return context

    return told


_coordinate = _octets_by("curve", ECC_OCTETS)


def _point_octets(context: Any) -> int:
    """An uncompressed point (SEC 1 2.3.3)."""
    return 1 + 2 * _coordinate(context)


_long = c.Prefixed(c.Int16ub, c.GreedyBytes)
_short = c.Prefixed(c.Byte, c.GreedyBytes)

SRTP_SESSION = c.Struct("policy" / c.Byte, "ssrc" / c.Int32ub, "roc" / c.Int32ub)

GENERIC_SESSION = c.Struct(
    "cs_id" / c.Byte,
    "protocol" / c.Byte,
    "bits" / c.BitStruct("has_roc" / c.Flag, "count" / c.BitsInteger(7)),
    "policies" / c.Array(_field("bits", "count"), c.Byte),
    "session_data" / _long,
    "spi" / _short,
)

HEADER = c.Struct(
    "version" / c.Byte,
    "data_type" / c.Byte,
    "next" / c.Byte,
    "bits" / c.BitStruct("expects_response" / c.Flag, "prf" / c.BitsInteger(7)),
    "csb_id" / c.Int32ub,
    "count" / c.Byte,
    "map_type" / c.Byte,
    "sessions"
    / c.Switch(
        _field("map_type"),
        {
            int(MapType.SRTP_ID): c.Array(_field("count"), SRTP_SESSION),
            int(MapType.EMPTY): c.Array(0, c.Byte),
            int(MapType.GENERIC_ID): c.Array(_field("count"), GENERIC_SESSION),
        },
        default=c.Error,
    ),
)

_KV_DATA = c.Switch(
    _field("bits", "kv"),
    {
        int(KvType.NULL): c.Struct(),
        int(KvType.SPI): c.Struct("spi" / _short),
        int(KvType.INTERVAL): c.Struct("valid_from" / _short, "valid_to" / _short),
    },
    default=c.Error,
)

_POLICY = (
    "ticket_type" / c.Int16ub,
    "subtype" / c.Byte,
    "version" / c.Byte,
    "bits"
    / c.BitStruct(
        "prf" / c.BitsInteger(7),
        *[name / c.Flag for name in "defghijklmno"],
        "reserved" / c.BitsInteger(5),
    ),
    "tp_data" / _long,
)

KEY_DATA = c.Struct(
    "bits" / c.BitStruct("key_type" / c.BitsInteger(4), "kv" / c.BitsInteger(4)),
    "key" / _long,
    "salt" / c.If(lambda this: this["bits"]["key_type"] in (1, 3, 5), _long),
    "kv_data" / _KV_DATA,
)

# Behind the next-payload octet, which SIGN alone does not have.
PAYLOADS: dict[int, c.Construct[Any, Any]] = {
    PayloadType.KEMAC: c.Struct(
        "encr_alg" / c.Byte,
        "encr_data" / _long,
        "mac_alg" / c.Byte,
        "mac" / c.Bytes(_octets_by("mac_alg", MAC_OCTETS)),
    ),
    PayloadType.PKE: c.Struct(
        "bits" / c.BitStruct("cache" / c.BitsInteger(2), "length" / c.BitsInteger(14)),
        "data" / c.Bytes(_field("bits", "length")),
    ),
    PayloadType.DH: c.Struct(
        "group" / c.Byte,
        "value" / c.Bytes(_octets_by("group", DH_OCTETS)),
        "bits" / c.BitStruct("reserved" / c.Default(c.BitsInteger(4), 0), "kv" / c.BitsInteger(4)),
        "kv_data" / _KV_DATA,
    ),
    PayloadType.SIGN: c.Struct(
        "bits" / c.BitStruct("sign_type" / c.BitsInteger(4), "length" / c.BitsInteger(12)),
        "signature" / c.Bytes(_field("bits", "length")),
    ),
    PayloadType.T: c.Struct("ts_type" / c.Byte, "value" / c.Bytes(_octets_by("ts_type", TS_OCTETS))),
    PayloadType.ID: c.Struct("id_type" / c.Byte, "data" / _long),
    PayloadType.CERT: c.Struct("cert_type" / c.Byte, "data" / _long),
    PayloadType.CHASH: c.Struct("hash_func" / c.Byte, "hash" / c.Bytes(_octets_by("hash_func", HASH_OCTETS))),
    PayloadType.V: c.Struct("auth_alg" / c.Byte, "mac" / c.Bytes(_octets_by("auth_alg", MAC_OCTETS))),
    PayloadType.SP: c.Struct("policy" / c.Byte, "protocol" / c.Byte, "params" / _long),
    PayloadType.RAND: c.Struct("rand" / _short),
    PayloadType.ERR: c.Struct("error_no" / c.Byte, "reserved" / c.Default(c.Int16ub, 0)),
    PayloadType.TR: c.Struct("role" / c.Byte, "ts_type" / c.Byte, "value" / c.Bytes(_octets_by("ts_type", TS_OCTETS))),
    PayloadType.IDR: c.Struct("role" / c.Byte, "id_type" / c.Byte, "data" / _long),
    PayloadType.RANDR: c.Struct("role" / c.Byte, "rand" / _short),
    PayloadType.TP: c.Struct(*_POLICY),
    PayloadType.TICKET: c.Struct(*_POLICY, "ticket_data" / _long, "initiator_data" / _long),
    PayloadType.KEY_DATA: KEY_DATA,
    PayloadType.GENERAL_EXTENSION: c.Struct("extension" / c.Byte, "data" / _long),
    PayloadType.IBAKE: c.Struct("data" / _long),
    PayloadType.ESK: c.Struct("data" / _long),
    PayloadType.SK: c.Struct(
        "bits" / c.BitStruct("key_type" / c.BitsInteger(4), "kv" / c.BitsInteger(4)),
        "key" / _long,
        "kv_data" / _KV_DATA,
    ),
    # The point is padded so that it ends on a 32-bit boundary of the payload (RFC 6267 6.4).
    PayloadType.ECCPT: c.Struct(
        "curve" / c.Byte,
        "point" / c.Bytes(_point_octets),
        "padding" / c.Padding(lambda this: -(2 + _point_octets(this)) % 4),
        "auth_alg" / c.Byte,
        "tgk_length" / c.Int16ub,
        "bits" / c.BitStruct("reserved" / c.Default(c.BitsInteger(4), 0), "kv" / c.BitsInteger(4)),
        "kv_data" / _KV_DATA,
    ),
    PayloadType.SAKKE: c.Struct("params" / c.Byte, "id_scheme" / c.Byte, "data" / _long),
}

SP_PARAM = c.Struct("type" / c.Byte, "value" / _short)
