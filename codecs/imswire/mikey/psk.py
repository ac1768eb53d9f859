"""The pre-shared key mode (RFC 3830 3.1).

``I_MESSAGE = HDR, T, RAND, [IDi], [IDr], {SP}, KEMAC``; ``R_MESSAGE = HDR, T, [IDr], V``, when it is asked for. Updates
(RFC 3830 4.5) have no RAND; their keys are made with that of the first message.
"""

from __future__ import annotations

from msgspec import Struct

from imswire.mikey import classic
from imswire.mikey import values as v
from imswire.mikey.classic import PlainProtection, PlainSessionKey
from imswire.mikey.exchange import Suite
from imswire.mikey.message import MikeyMessage
from imswire.mikey.numbers import DataType, PayloadType


class OpenedPsk(Struct, frozen=True):
    """An I_MESSAGE that proved right, and its keys; shows none of them."""

    message: MikeyMessage
    keys: tuple[v.KeyData, ...]
    protection: PlainProtection

    def __repr__(self) -> str:
        return f"OpenedPsk(keys={len(self.keys)}, <redacted>)"

    def session_keys(self) -> tuple[PlainSessionKey, ...]:
        return classic.session_keys(self.message, self.keys, self.protection.randi or b"")


def i_message(
    suite: Suite,
    psk: bytes,
    header: v.Header,
    payloads: list[v.Payload],
    keys: tuple[v.KeyData, ...],
    *,
    rand: bytes | None = None,
) -> bytes:
    """I_MESSAGE: ``payloads`` are T to SP; ``rand`` is that of the first message, for an update without one."""
    timestamp = next(each for each in payloads if isinstance(each, v.Timestamp))
    own = next((each.rand for each in payloads if isinstance(each, v.Rand)), rand)
    protection = PlainProtection(psk, header.prf, header.csb_id, 0, own)
    kemac = classic.sealed(protection, keys, suite.encr_alg, suite.mac_alg, timestamp)
    return classic.mac_last(header, payloads, protection, kemac)


def open_i_message(octets: bytes, psk: bytes, *, rand: bytes | None = None, accepts_null: bool = False) -> OpenedPsk:
    """Check and open an I_MESSAGE. MikeyError: it does not prove right under this key.

    ``accepts_null``: one with neither encryption nor MAC is taken as it is, for where another layer has protected
    the session description (RFC 3830 4.2.4).
    """
    message = classic.typed(octets, DataType.PSK_INIT)
    protection = classic.protection(message, psk, rand)
    kemac = classic.check_mac_last(message, protection, accepts_null=accepts_null)
    plain = classic.opened(protection, kemac, message.need(v.Timestamp), PayloadType.KEY_DATA)
    return OpenedPsk(message, classic.key_data(plain), protection)


def r_message(suite: Suite, opened: OpenedPsk, *, idi: bytes, idr: bytes, named: v.Id | None = None) -> bytes:
    """R_MESSAGE; ``idi`` and ``idr`` are what the MAC covers, ``named`` the payload to send, if any."""
    return classic.verification(opened.message, DataType.PSK_RESP, opened.protection, suite.mac_alg, idi + idr, named)


def check_r_message(
    octets: bytes, init: bytes, psk: bytes, *, idi: bytes, idr: bytes, rand: bytes | None = None
) -> MikeyMessage:
    """The Initiator's check of R_MESSAGE; ``rand`` is that of the first message, when ``init`` is an update."""
    message = classic.typed(init, DataType.PSK_INIT)
    keys = classic.protection(message, psk, rand)
    return classic.check_verification(octets, message, DataType.PSK_RESP, keys, idi + idr)
