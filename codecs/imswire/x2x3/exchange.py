"""Payload format 4 of this project: what the own DF2 needs for keys and media, and nobody else gets.

The stored ticket exchange of a dialog is asked for with a warrant, but is no product: it goes from the POI to its
own DF2 only, under the owner's name, and a DF2 refuses it under any other. Layout, big-endian, after the owner (an
octet of length, the domain name) as in attribute 4:

    u8 version = 1, u8 kind, then by kind
    1 session   u8 flags (1 pending, 2 target known, 4 target is the callee, 8 callee offered, 16 offer, 32 answer),
                text identity, dialog, moment at, moment invited at, [message offer], [message answer],
                u16 exchanges, each: u8 flags (1 callee began it, 2 media line, 4 response), [u16 media line],
                message init, [message response], u16 updates, each: u8 flags (1 by the callee, 4 response),
                message init, [message response]
    2 released  dialog, moment at, text reason
    3 fault     dialog, moment at, u64 frame, text reason
    4 context   u8 flags (1 dialog, 2 target known, 4 target is the callee, 8 copies not authenticated),
                u64 monotonic time, u64 frame, [dialog]

A text is u16 length and octets, a dialog three texts (Call-ID, caller's and callee's tag), a moment two u64 in
nanoseconds (wall, monotonic), a message a moment, u64 frame, u16 length, octets. Context stands in attribute 4
beside an event of format 2, 9 or 14. Flags that are not named are zero, and nothing follows.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct as Layout
from typing import Final

from imswire.x2x3.attributes import Attribute, Proprietary
from imswire.x2x3.errors import X2X3Error
from imswire.x2x3.exchange_values import (
    CALLEE,
    CALLER,
    Context,
    Dialog,
    Exchange,
    Fault,
    Kept,
    Message,
    Moment,
    Released,
    Session,
    Update,
)
from imswire.x2x3.ims import X2Head
from imswire.x2x3.numbers import AttributeType, Direction, PayloadFormat
from imswire.x2x3.pdu import Pdu
from imswire.x2x3.splitter import DEFAULT_LIMIT

__all__ = [
    "CALLEE",
    "CALLER",
    "Context",
    "Dialog",
    "Exchange",
    "Fault",
    "Kept",
    "MAX_EXCHANGES",
    "MAX_OCTETS",
    "MAX_UPDATES",
    "Message",
    "Moment",
    "OWNER",
    "Released",
    "Session",
    "Update",
    "build",
    "context",
    "context_of",
    "parse",
    "pdu",
]

OWNER: Final = "midcall.invalid"
"""Whose format it is, unless the operator names a domain of its own (RFC 6761 6.4: this one can be nobody's)."""
FORMAT_VERSION: Final = 1
MAX_EXCHANGES: Final = 1_024  # 64 media lines, each with several bundles
MAX_UPDATES: Final = 1_024  # of one bundle; a POI keeps 256
MAX_OCTETS: Final = DEFAULT_LIMIT - 70_000
"""Of a payload: a header of any size fits beside it into what a Splitter takes."""
_MAX_TEXT = 0xFFFF

_SESSION, _RELEASED, _FAULT, _CONTEXT = 1, 2, 3, 4
_MOMENT = Layout("!QQ")
_KEPT = Layout("!QQQH")
_U64 = Layout("!Q")
_U16 = Layout("!H")
_U8 = Layout("!B")

# Flags, by what has them
_PENDING, _TARGET, _TARGET_CALLEE, _OFFERER_CALLEE, _OFFER, _ANSWER = 1, 2, 4, 8, 16, 32
_BY_CALLEE, _MEDIA, _RESPONSE = 1, 2, 4
_DIALOG, _FORGEABLE = 1, 8


# Writing


def _number(layout: Layout, *values: int) -> bytes:
    if any(not 0 <= value < 1 << 64 for value in values):
        raise X2X3Error("format 4", "a number is out of range")
    if layout in (_U8, _U16) and values[0] >= 1 << 8 * layout.size:
        raise X2X3Error("format 4", f"{values[0]} does not fit into {8 * layout.size} bits")
    return layout.pack(*values)


def _text(text: str) -> bytes:
    try:
        octets = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise X2X3Error("format 4", "text that is none") from None
    if len(octets) > _MAX_TEXT:
        raise X2X3Error("format 4", f"text of {len(octets)} octets, at most {_MAX_TEXT}")
    return _U16.pack(len(octets)) + octets


def _dialog(dialog: Dialog) -> bytes:
    return _text(dialog.call_id) + _text(dialog.caller_tag) + _text(dialog.callee_tag)


def _moment(moment: Moment) -> bytes:
    return _number(_MOMENT, moment.wall, moment.mono)


def _kept(kept: Kept) -> bytes:
    size = len(kept.octets)
    if size > _MAX_TEXT:
        raise X2X3Error("format 4", f"message of {size} octets, at most {_MAX_TEXT}")
    return _number(_KEPT, kept.at.wall, kept.at.mono, kept.frame, size) + kept.octets


def _maybe(kept: Kept | None) -> bytes:
    return b"" if kept is None else _kept(kept)


def _side(side: int, flag: int) -> int:
    if side not in (CALLER, CALLEE):
        raise X2X3Error("format 4", "a side is the caller's or the callee's")
    return flag if side == CALLEE else 0


def _target(target: int | None) -> int:
    return 0 if target is None else _TARGET | _side(target, _TARGET_CALLEE)


def _update(update: Update) -> bytes:
    flags = _side(update.by, _BY_CALLEE) | (0 if update.response is None else _RESPONSE)
    return _U8.pack(flags) + _kept(update.init) + _maybe(update.response)


def _exchange(exchange: Exchange) -> bytes:
    flags = _side(exchange.initiator, _BY_CALLEE) | (0 if exchange.response is None else _RESPONSE)
    if len(exchange.updates) > MAX_UPDATES:
        raise X2X3Error("format 4", f"{len(exchange.updates)} updates, at most {MAX_UPDATES}")
    media = b""
    if exchange.media is not None:
        flags |= _MEDIA
        media = _number(_U16, exchange.media)
    count = _U16.pack(len(exchange.updates))
    updates = b"".join(map(_update, exchange.updates))
    return _U8.pack(flags) + media + _kept(exchange.init) + _maybe(exchange.response) + count + updates


def _session(session: Session) -> bytes:
    if len(session.exchanges) > MAX_EXCHANGES:
        raise X2X3Error("format 4", f"{len(session.exchanges)} exchanges, at most {MAX_EXCHANGES}")
    flags = (
        (_PENDING if session.pending else 0)
        | _target(session.target)
        | _side(session.offerer, _OFFERER_CALLEE)
        | (0 if session.offer is None else _OFFER)
        | (0 if session.answer is None else _ANSWER)
    )
    return b"".join(
        (
            _U8.pack(flags),
            _text(session.identity),
            _dialog(session.dialog),
            _moment(session.at),
            _moment(session.invited_at),
            _maybe(session.offer),
            _maybe(session.answer),
            _U16.pack(len(session.exchanges)),
            *map(_exchange, session.exchanges),
        )
    )


def _context(context: Context) -> bytes:
    flags = _target(context.target) | (0 if context.dialog is None else _DIALOG)
    flags |= 0 if context.authenticated else _FORGEABLE
    dialog = b"" if context.dialog is None else _dialog(context.dialog)
    return _U8.pack(flags) + _number(_MOMENT, context.mono, context.frame) + dialog


def _write(message: Message | Context) -> bytes:
    if isinstance(message, Session):
        kind, body = _SESSION, _session(message)
    elif isinstance(message, Released):
        kind, body = _RELEASED, _dialog(message.dialog) + _moment(message.at) + _text(message.reason)
    elif isinstance(message, Fault):
        frame = _number(_U64, message.frame)
        kind, body = _FAULT, _dialog(message.dialog) + _moment(message.at) + frame + _text(message.reason)
    else:
        kind, body = _CONTEXT, _context(message)
    return bytes((FORMAT_VERSION, kind)) + body


def build(message: Message, owner: str = OWNER) -> bytes:
    """The payload. X2X3Error: a value is out of bounds, or all together are."""
    octets = _owner(owner) + _write(message)
    if len(octets) > MAX_OCTETS:
        raise X2X3Error("format 4", f"{len(octets)} octets, at most {MAX_OCTETS}")
    return octets


def _owner(owner: str) -> bytes:
    if not owner.isascii() or not 0 < len(owner) < 256:
        raise X2X3Error("format 4", "the owner is a domain name of 1 to 255 characters")
    return bytes((len(owner),)) + owner.encode()


def pdu(head: X2Head, message: Message, owner: str = OWNER) -> Pdu:
    """The X2 PDU; to the own DF2 only."""
    return head.pdu(PayloadFormat.PROPRIETARY, Direction.NOT_APPLICABLE, build(message, owner))


def context(value: Context, owner: str = OWNER) -> Attribute:
    """Attribute 4 for the PDU of an event; to the own DF2 only."""
    return Attribute(AttributeType.PROPRIETARY, Proprietary(owner, _write(value)))


# Reading


class _Cursor:
    """Takes values off the octets, in order; X2X3Error: there are too few, or one that may not be."""

    __slots__ = ("at", "octets")

    def __init__(self, octets: bytes, at: int) -> None:
        self.octets = octets
        self.at = at

    def wrong(self, reason: str) -> X2X3Error:
        return X2X3Error("format 4", reason, self.at)

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.octets):
            raise self.wrong("cut short")
        taken = self.octets[self.at : end]
        self.at = end
        return taken

    def numbers(self, layout: Layout) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size))

    def number(self, layout: Layout) -> int:
        return self.numbers(layout)[0]

    def count(self, most: int) -> int:
        count = self.number(_U16)
        if count > most:
            raise self.wrong(f"{count} where at most {most} may stand")
        return count

    def flags(self, known: int) -> int:
        flags = self.number(_U8)
        if flags & ~known:
            raise self.wrong("a flag that this version does not have")
        return flags

    def text(self) -> str:
        return self.take(self.number(_U16)).decode("utf-8", "surrogateescape")

    def dialog(self) -> Dialog:
        return Dialog(self.text(), self.text(), self.text())

    def moment(self) -> Moment:
        return Moment(*self.numbers(_MOMENT))

    def kept(self) -> Kept:
        wall, mono, frame, size = self.numbers(_KEPT)
        return Kept(self.take(size), Moment(wall, mono), frame)

    def kept_if(self, there: int) -> Kept | None:
        return self.kept() if there else None

    def target(self, flags: int) -> int | None:
        if not flags & _TARGET:
            if flags & _TARGET_CALLEE:
                raise self.wrong("the side of a target that is not known")
            return None
        return CALLEE if flags & _TARGET_CALLEE else CALLER

    def update(self) -> Update:
        flags = self.flags(_BY_CALLEE | _RESPONSE)
        return Update(flags & _BY_CALLEE, self.kept(), self.kept_if(flags & _RESPONSE))

    def exchange(self) -> Exchange:
        flags = self.flags(_BY_CALLEE | _MEDIA | _RESPONSE)
        media = self.number(_U16) if flags & _MEDIA else None
        init, response = self.kept(), self.kept_if(flags & _RESPONSE)
        updates = tuple(self.update() for _ in range(self.count(MAX_UPDATES)))
        return Exchange(media, flags & _BY_CALLEE, init, response, updates)

    def session(self) -> Session:
        flags = self.flags(_PENDING | _TARGET | _TARGET_CALLEE | _OFFERER_CALLEE | _OFFER | _ANSWER)
        target = self.target(flags)
        identity, dialog, at, invited_at = self.text(), self.dialog(), self.moment(), self.moment()
        offer, answer = self.kept_if(flags & _OFFER), self.kept_if(flags & _ANSWER)
        exchanges = tuple(self.exchange() for _ in range(self.count(MAX_EXCHANGES)))
        offerer = CALLEE if flags & _OFFERER_CALLEE else CALLER
        pending = bool(flags & _PENDING)
        return Session(identity, dialog, at, invited_at, offerer, target, offer, answer, exchanges, pending)

    def released(self) -> Released:
        return Released(self.dialog(), self.moment(), self.text())

    def fault(self) -> Fault:
        return Fault(self.dialog(), self.moment(), self.number(_U64), self.text())

    def context(self) -> Context:
        flags = self.flags(_DIALOG | _TARGET | _TARGET_CALLEE | _FORGEABLE)
        mono, frame = self.numbers(_MOMENT)
        dialog = self.dialog() if flags & _DIALOG else None
        return Context(dialog, self.target(flags), mono, frame, not flags & _FORGEABLE)

    def message(self, kinds: tuple[int, ...]) -> Message | Context:
        version, kind = self.take(2)
        if version != FORMAT_VERSION:
            raise self.wrong(f"version {version}, {FORMAT_VERSION} is read")
        if kind not in kinds:
            raise self.wrong(f"kind {kind} does not stand here")
        readers: dict[int, Callable[[], Message | Context]] = {
            _SESSION: self.session,
            _RELEASED: self.released,
            _FAULT: self.fault,
            _CONTEXT: self.context,
        }
        found = readers[kind]()
        if self.at != len(self.octets):
            raise self.wrong("octets behind the end")
        return found


def parse(payload: bytes, owner: str = OWNER) -> Message:
    """Of the payload. X2X3Error: it is another's, of another version, or broken."""
    if len(payload) > MAX_OCTETS:
        raise X2X3Error("format 4", f"{len(payload)} octets, at most {MAX_OCTETS}", 0)
    front = _owner(owner)
    if not payload.startswith(front):
        raise X2X3Error("format 4", f"not of {owner}", 0)
    return _Cursor(payload, len(front)).message((_SESSION, _RELEASED, _FAULT))  # type: ignore[return-value]


def context_of(event: Pdu, owner: str = OWNER) -> Context | None:
    """Of the PDU's attribute 4 with this owner's name, the first; None: it has none. X2X3Error: it is broken."""
    for value in event.all(AttributeType.PROPRIETARY):
        if isinstance(value, Proprietary) and value.owner == owner:
            return _Cursor(value.value, 0).message((_CONTEXT,))  # type: ignore[return-value]
    return None
