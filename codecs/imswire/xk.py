"""Xk, get_keys between mediation function and KMS (TS 33.107 7A.7.2): JSON of midcall's own, as none is specified.

docs/reference/xk.md tells it to others. Octets are base64 (RFC 4648 4), times are ns since 1970 (UTC).
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from imswire.errors import WireError
from imswire.mikey.derive import MAX_CANDIDATES, MAX_UPDATES

PATH = "/xk/v1/get_keys"
MAX_REQUEST = 1 << 20
"""Octets: a warrant, and a bundle that was rekeyed once a minute for hours."""
MAX_RESPONSE = 1 << 20
MAX_MESSAGE = 1 << 16
MAX_WARRANT = 1 << 17
MAX_IDENTITY = 256
MAX_KEYS = 4_096
MAX_TIME = (1 << 63) - 1

T = TypeVar("T")

Transaction = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z")]
Identity = Annotated[str, Meta(min_length=1, max_length=MAX_IDENTITY)]
Reason = Annotated[str, Meta(max_length=512)]
Octets = Annotated[bytes, Meta(min_length=1, max_length=MAX_MESSAGE)]


class XkError(WireError):
    """JSON that is no message of Xk; names the member and the rule, never a value."""


class Code(enum.StrEnum):
    """Why an authorised mediation function gets no keys. Others are told ``REFUSED`` whatever they ask."""

    REFUSED = "refused"
    METHOD = "method"
    FORM = "form"
    TOO_LARGE = "too-large"
    DEADLINE = "deadline"
    BUSY = "busy"
    UNSIGNED = "unsigned"
    WARRANT = "warrant"
    TARGET = "target"
    NOT_OF_TARGET = "not-of-target"
    TICKET = "ticket"
    FOREIGN = "foreign"
    EXCHANGE = "exchange"
    FAULT = "fault"

    @property
    def status(self) -> int:
        """The HTTP status that goes with it."""
        return _STATUS[self]

    @property
    def passing(self) -> bool:
        """Whether the same question may be answered a moment later."""
        return self in (Code.BUSY, Code.DEADLINE, Code.FAULT)


_STATUS = {
    Code.REFUSED: 403,
    Code.METHOD: 404,
    Code.FORM: 400,
    Code.TOO_LARGE: 413,
    Code.DEADLINE: 504,
    Code.BUSY: 503,
    Code.UNSIGNED: 403,
    Code.WARRANT: 403,
    Code.TARGET: 403,
    Code.NOT_OF_TARGET: 403,
    Code.TICKET: 422,
    Code.FOREIGN: 422,
    Code.EXCHANGE: 422,
    Code.FAULT: 500,
}


class Seen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A MIKEY message as it was seen, and when."""

    octets: Octets
    at: Annotated[int, Meta(ge=0, le=MAX_TIME)]


class Update(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Both messages of a CSB update; no response: none was seen."""

    init: Seen
    response: Seen | None = None


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """get_keys: under which authority, for whose keys, of which exchange.

    ``warrant`` is the signed file as text. ``identity`` is the one that matched in the dialog under the task
    ``xid``. ``parties`` are URIs that a MAC may cover when MIKEY names nobody; they give no right to any key.
    """

    transaction: Transaction
    xid: Annotated[str, Meta(min_length=1, max_length=64)]
    identity: Identity
    init: Seen
    response: Seen | None = None
    updates: Annotated[tuple[Update, ...], Meta(max_length=MAX_UPDATES)] = ()
    parties: Annotated[tuple[Identity, ...], Meta(max_length=MAX_CANDIDATES)] = ()
    warrant: Annotated[str, Meta(min_length=1, max_length=MAX_WARRANT)] | None = None

    def __repr__(self) -> str:
        return f"Request(transaction={self.transaction!r}, <redacted>)"


class Key(Struct, frozen=True, kw_only=True):
    """The SRTP master key of one crypto session and generation (0: the first exchange, then one an update).

    ``policy`` has the SRTP parameters of RFC 3830 6.10.1 by type. ``proved``: a message of the answering side
    vouches for it.
    """

    cs_id: Annotated[int, Meta(ge=0, le=255)]
    generation: Annotated[int, Meta(ge=0, le=MAX_UPDATES)]
    ssrc: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)] | None
    roc: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)] | None
    seq: Annotated[int, Meta(ge=0, le=0xFFFF)] | None
    key: Annotated[bytes, Meta(max_length=64)]
    salt: Annotated[bytes, Meta(max_length=64)]
    mki: Annotated[bytes, Meta(max_length=255)]
    policy: dict[int, Annotated[bytes, Meta(max_length=255)]]
    proved: bool

    def __repr__(self) -> str:
        return f"Key(cs_id={self.cs_id}, generation={self.generation}, <redacted>)"


class Response(Struct, frozen=True, kw_only=True):
    """get_keys_response; ``failures`` says why a crypto session or an update gave no key."""

    transaction: Transaction
    kms: Identity
    keys: Annotated[tuple[Key, ...], Meta(max_length=MAX_KEYS)]
    failures: Annotated[tuple[Reason, ...], Meta(max_length=MAX_UPDATES)] = ()


class Refusal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """No keys. ``rule`` is the one that a warrant broke; a reader takes an unknown ``code`` for a lasting refusal."""

    code: Annotated[str, Meta(max_length=32)]
    reason: Reason = ""
    rule: Annotated[str, Meta(max_length=32)] = ""
    transaction: Transaction | None = None


_ENCODER = msgspec.json.Encoder()
_REQUEST = msgspec.json.Decoder(Request)
_RESPONSE = msgspec.json.Decoder(Response)
_REFUSAL = msgspec.json.Decoder(Refusal)


def write(message: Request | Refusal) -> bytes:
    """The octets of a question or a refusal."""
    return _ENCODER.encode(message)


def write_keys(response: Response) -> bytearray:
    """The octets of an answer, in a buffer that its owner wipes."""
    buffer = bytearray()
    _ENCODER.encode_into(response, buffer)
    return buffer


def read_request(octets: bytes | bytearray) -> Request:
    """XkError."""
    return _read(octets, _REQUEST, MAX_REQUEST)


def read_keys(octets: bytes | bytearray) -> Response:
    """XkError."""
    return _read(octets, _RESPONSE, MAX_RESPONSE)


def read_refusal(octets: bytes | bytearray) -> Refusal:
    """XkError."""
    return _read(octets, _REFUSAL, MAX_RESPONSE)


def _read(octets: bytes | bytearray, decoder: msgspec.json.Decoder[T], most: int) -> T:
    if len(octets) > most:
        raise XkError(f"longer than {most} octets")
    try:
        return decoder.decode(octets)
    except msgspec.ValidationError as error:
        raise XkError(_without_values(str(error))) from None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise XkError("not JSON") from None


def _without_values(text: str) -> str:
    """What a validation has found and where, without anything that stood there or was called so."""
    message, _, path = text.partition(" - at `$")
    name = re.sub(r"\[\d*\]|\[\.\.\.\]", "", path.rstrip("`")).lstrip(".")
    if "unknown field" in message:
        message = "has a member that does not belong there"
    elif message.startswith("Invalid"):
        message = "none of the values that are allowed"
    return f"{name}: {message}" if name else message
