"""Sessions of POIs that are not ours, found in the SIP that they send (TS 33.107 7A.7.5).

Our own POI tells DF2 of each session and the ticket exchange that keys it, beside the events. Another one sends events
alone: DF2 looks for offer, answer and ticket in them itself, with what a point of interception has for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from msgspec import Struct, structs

from imswire import sip
from midcall.base.bounded import BoundedTable
from midcall.events import (
    DialogFault,
    DialogReleased,
    Half,
    Instant,
    SessionReport,
    SipReport,
    SipSeen,
    StartOfInterception,
    Task,
    X2Event,
)
from midcall.poi import PointOfInterception
from midcall.poi.limits import PoiLimits

CALLS: Final = 65_536
IDENTITIES: Final = 32
LIMITS: Final = PoiLimits(calls=4_096, octets=64 << 20, hashes=4_096, registrations=1)
"""Of one task."""
OLDEST_CALL: Final = 24 * 3_600_000_000_000
"""How long a call may have run of which only its last offer and answer are told: as long is looked for its counter."""
_KEY = bytes(32)
_URI = re.compile(r"(?:sips?|tel|urn):[\x21\x23-\x3b\x3d\x3f-\x7e]{1,255}", re.IGNORECASE)
_NOBODY = "sip:anonymous@anonymous.invalid"
_NOWHERE = "0.0.0.0:0"
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[^\r\n]*\r?\n", re.IGNORECASE | re.MULTILINE)
_NO_HALF = Half(b"", None)


class _Task:
    """One task's calls, and the identities that they are known by."""

    def __init__(self) -> None:
        # No journal and no index outlives this process: the keys guard nothing.
        self.core = PointOfInterception(_KEY, _KEY, limits=LIMITS)
        self.identities: set[str] = set()


class _Call(Struct, frozen=True):
    """``joined``: only its last offer and answer were told."""

    correlation: bytes
    joined: bool


class ForeignSessions:
    """The sessions under all tasks whose product comes from such POIs."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Task] = {}
        self._calls: BoundedTable[tuple[str, str], _Call] = BoundedTable("live.foreign.calls", CALLS)
        self._made: BoundedTable[tuple[str, bytes], str] = BoundedTable("live.foreign.made", CALLS)

    def end(self, xid: str) -> None:
        """A task is over."""
        self._tasks.pop(xid, None)
        for call in [key for key in self._calls if key[0] == xid]:
            self._calls.pop(call)
        for made in [key for key in self._made if key[0] == xid]:
            self._made.pop(made)

    def recall(self, report: SessionReport, now: Instant) -> None:
        """A session of a former run goes on."""
        kept = [_told(each.octets, now) for each in (report.offer, report.answer) if each is not None]
        self._see(report.xid, (report.identity,), report.correlation, kept, joined=True)

    def take(self, event: X2Event, now: Instant, targets: Iterable[str] | None = None) -> list[X2Event]:
        """The event with its dialog and side, and behind it what follows for the session.

        Followed are calls of the identity that the POI says has matched, and of the ``targets`` of the task, which a
        POI need not say, or says in a form of its own.
        """
        whose = (getattr(event, "identity", ""), *sorted(targets or ()))
        if isinstance(event, SipReport):
            return self._sip(event, whose, now)
        if isinstance(event, StartOfInterception):
            follows = self._start(event, whose, now)
            about = next((each for each in follows if isinstance(each, SessionReport)), None)
            return [structs.replace(event, identity=_named(event, about)), *follows]
        return [event]

    def _sip(self, event: SipReport, whose: tuple[str, ...], now: Instant) -> list[X2Event]:
        seen = structs.replace(event.seen, at=Instant(event.seen.at.wall, now.mono))
        found = self._see(event.xid, whose, event.correlation, [seen], joined=False)
        about = next((each for each in found if isinstance(each, SipReport)), None)
        follows: list[X2Event] = [each for each in found if not isinstance(each, SipReport)]
        if event.correlation is not None:
            follows += self._superseded(
                event, whose, seen, opened=any(isinstance(each, SessionReport) for each in follows)
            )
        if about is not None:
            event = structs.replace(
                event,
                identity=_named(event, about),
                correlation=event.correlation or about.correlation,
                dialog=about.dialog,
                target=about.target if event.target is None else event.target,
            )
        return [event, *follows]

    def _start(self, event: StartOfInterception, whose: tuple[str, ...], now: Instant) -> list[X2Event]:
        made = not (event.offer or event.answer or _NO_HALF).head
        messages = _made(event) if made else [_whole(each) for each in (event.offer, event.answer) if each is not None]
        at = Instant(event.at.wall, now.mono)
        seen = [_told(each, at) for each in messages]
        found = self._see(event.xid, whose, event.correlation, seen, joined=True)
        if made:
            self._made.put((event.xid, event.correlation), _made_id(event.xid, event.correlation))
        # What was on offer before it was agreed is no session any more.
        reports = [each for each in found if isinstance(each, SessionReport)]
        return [*(each for each in found if isinstance(each, DialogFault)), *reports[-1:]]

    def _superseded(self, event: SipReport, whose: tuple[str, ...], seen: SipSeen, *, opened: bool) -> list[X2Event]:
        """A call of which only descriptions were told has a message of its own that opens or ends it."""
        assert event.correlation is not None
        if not opened and not seen.octets.startswith(b"BYE "):
            return []
        call_id = self._made.pop((event.xid, event.correlation))
        if call_id is None:
            return []
        bye = [_message(first, call_id, "2 BYE") for first in (f"BYE {_NOBODY} SIP/2.0", "SIP/2.0 200 OK")]
        over = [_told(each, seen.at) for each in bye]
        found = self._see(event.xid, whose, event.correlation, over, joined=True)
        return [each for each in found if isinstance(each, DialogReleased)]

    def _see(
        self,
        xid: str,
        whose: tuple[str, ...],
        correlation: bytes | None,
        messages: Iterable[SipSeen],
        *,
        joined: bool,
    ) -> list[X2Event]:
        """What a point of interception makes of messages that came for a task."""
        task = self._tasks.setdefault(xid, _Task())
        events: list[X2Event] = []
        for seen in messages:
            for identity in whose:
                if identity and identity not in task.identities and len(task.identities) < IDENTITIES:
                    task.identities.add(identity)
                    with suppress(ValueError):  # no identity that a message could name
                        events += task.core.arm(Task(xid, (identity,)), seen.at)
            with suppress(sip.SipError):
                events += task.core.sip_seen(seen)
                call_id = sip.parse(seen.octets).call_id
                if (xid, call_id) not in self._calls:
                    self._calls.put((xid, call_id), _Call(correlation or b"", joined))
        return [each for event in events if (each := self._of_call(event)) is not None]

    def _of_call(self, event: X2Event) -> X2Event | None:
        """The event under the correlation that its POI has given the call; the start was told by itself."""
        if isinstance(event, StartOfInterception) or event.dialog is None:
            return None
        call = self._calls.get((event.xid, event.dialog.call_id))
        if call is None:
            return event
        if call.correlation:
            event = structs.replace(event, correlation=call.correlation)
        if call.joined and isinstance(event, SessionReport):
            began = Instant(event.invited_at.wall - OLDEST_CALL, event.invited_at.mono)
            event = structs.replace(event, invited_at=began)
        return event


def _named(event: SipReport | StartOfInterception, about: SipReport | SessionReport | None) -> str:
    """Whom an event is about: in the POI's words, where a message could have them, else as the call is known."""
    return event.identity if about is None or sip.identities(event.identity) else about.identity


def _told(octets: bytes, at: Instant) -> SipSeen:
    """A message that did not come as one that passed."""
    return SipSeen(octets, _NOWHERE, _NOWHERE, at)


def _whole(half: Half) -> bytes:
    """The message that a half is of; its length is what was told of it."""
    head = _LENGTH.sub(b"", half.head).rstrip(b"\r\n")
    return head + b"\r\n\r\n" + (half.description or b"")


def _made_id(xid: str, correlation: bytes) -> str:
    return f"{correlation.hex()}.{xid}.invalid"


def _made(event: StartOfInterception) -> list[bytes]:
    """INVITE and 200 around descriptions that came without: for this function alone, product of nothing."""
    callers, callee = event.parties or ((), _NOBODY)
    call_id, made = _made_id(event.xid, event.correlation), []
    for first, half in ((f"INVITE {_uri(callee)} SIP/2.0", event.offer), ("SIP/2.0 200 OK", event.answer)):
        if half is not None and half.description is not None:
            more = [f"P-Asserted-Identity: <{_uri(each)}>" for each in callers[1:3] if half is event.offer]
            ends = _uri(callers[0]) if callers else _NOBODY, _uri(callee)
            made.append(_message(first, call_id, "1 INVITE", *ends, more, half.description))
    return made


def _message(
    first: str,
    call_id: str,
    cseq: str,
    caller: str = _NOBODY,
    callee: str = _NOBODY,
    more: Iterable[str] = (),
    description: bytes = b"",
) -> bytes:
    opening = first.startswith("INVITE")
    lines = [
        first,
        "Via: SIP/2.0/UDP made.invalid;branch=z9hG4bK" + cseq.replace(" ", ""),
        f"From: <{caller}>;tag=caller",
        f"To: <{callee}>" + ("" if opening else ";tag=callee"),
        f"Call-ID: {call_id}",
        f"CSeq: {cseq}",
        *more,
        *(["Content-Type: application/sdp"] if description else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + description


def _uri(text: str) -> str:
    """A URI that can stand in a header; nobody's when it is none."""
    return text if _URI.fullmatch(text) else _NOBODY
