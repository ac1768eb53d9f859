"""report.json of a replay: what was in the capture, what was intercepted, what went wrong and where."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any

from midcall.df3 import Finished, Stream
from midcall.events import (
    DialogId,
    Instant,
    SessionReport,
    Side,
    StartOfInterception,
    X2Event,
)

# Dialogs that are listed without being intercepted; errors that belong to no dialog, or to one.
MAX_OTHERS = 10_000
MAX_ERRORS = 1_000
MAX_DIALOG_ERRORS = 100
# What is lost of a call itself, and not only dropped beside it.
_LOST = {
    "too_many_held": "more than the bound waited for keys",
    "too_many_ssrcs": "more SSRCs at one destination than the bound",
}

_CALL_ID = re.compile(rb"(?:^|\n)(?:call-id|i)[ \t]*:[ \t]*([^\s]{1,256})", re.IGNORECASE)


class _Entry:
    """One dialog of the report."""

    def __init__(self, dialog: DialogId, invited_at: Instant) -> None:
        self.dialog = dialog
        self.invited_at = invited_at
        self.intercepted = False
        self.target: Side | None = None
        self.correlation = b""
        self.errors: dict[str, None] = {}
        self.more_errors = 0
        self.streams: list[Stream] = []
        self.dropped: Counter[str] = Counter()

    def fail(self, error: str) -> None:
        """Note an error once; beyond the bound only their number."""
        if error in self.errors:
            return
        if len(self.errors) < MAX_DIALOG_ERRORS:
            self.errors[error] = None
        else:
            self.more_errors += 1

    def mid_call(self, start: int | None) -> bool:
        return self.intercepted and start is not None and self.invited_at.wall < start


class Report:
    """Collects while the replay runs; ``as_dict`` is the contract of the command line."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._entries: dict[DialogId, _Entry] = {}
        self._by_call_id: dict[str, list[_Entry]] = {}
        # Those that are not intercepted, the oldest first.
        self._others: OrderedDict[DialogId, None] = OrderedDict()
        self._errors: list[dict[str, Any]] = []
        self._start: int | None = None
        self._end: int | None = None
        self.first = 0
        self.last = 0
        self.frames = 0
        self.sip = 0
        self.truncated = 0
        self.dropped_errors = 0
        self.unlisted = 0

    # What the replay tells

    def began(self, first: int) -> None:
        self.first = first

    def armed(self, start: int | None, end: int | None) -> None:
        self._start, self._end = start, end

    def finish(self, frames: int, last: int) -> None:
        self.frames, self.last = frames, last

    def dialog_seen(self, dialog: DialogId, invited_at: Instant) -> None:
        if dialog in self._entries:
            return
        self._entry(dialog, invited_at)
        if dialog.callee_tag:
            self._absorb(dialog)

    def event(self, event: X2Event) -> None:
        if isinstance(event, SessionReport | StartOfInterception):
            entry = self._entry(event.dialog, event.at)
            entry.intercepted = True
            self._others.pop(entry.dialog, None)
            entry.correlation = event.correlation
            if isinstance(event, SessionReport):
                entry.target = event.target

    def failure(self, dialog: DialogId, frame: int, reason: str) -> None:
        """Something of an intercepted dialog; frame 0 means no single one."""
        entry = self._entry(dialog, Instant(0, 0))
        entry.fail(f"frame {frame}: {reason}" if frame else reason)

    def finished(self, finished: Finished) -> None:
        """The counters of a dialog that nothing more is expected of."""
        entry = self._entry(finished.dialog, Instant(0, 0))
        entry.streams += finished.streams
        entry.dropped.update(finished.dropped)
        for error in finished.errors:
            entry.fail(error)
        for stream in finished.streams:
            for error in _stream_errors(stream):
                entry.fail(error)
        for reason, text in _LOST.items():
            if reason in finished.dropped:
                entry.fail(f"{finished.dropped[reason]} packets were dropped: {text}")

    def sip_error(self, octets: bytes, frame: int, reason: str) -> None:
        """A message that could not be read: told to its dialog when its Call-ID still shows which."""
        found = _CALL_ID.search(octets[:65_535])
        call_id = "" if found is None else found[1].decode("utf-8", "surrogateescape")
        entries = self._by_call_id.get(call_id, ())
        for entry in entries:
            entry.fail(f"frame {frame}: {reason}")
        if not entries:
            self.capture_error(frame, reason)

    def capture_error(self, frame: int, reason: str) -> None:
        """Something that belongs to no dialog."""
        if len(self._errors) < MAX_ERRORS:
            self._errors.append({"frame": frame, "reason": reason})
        else:
            self.dropped_errors += 1

    # What comes out

    @property
    def has_errors(self) -> bool:
        return bool(self._errors) or any(entry.errors for entry in self._entries.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "authority": self._authority,
            "window": {"start": _seconds(self._start, self.first), "end": _seconds(self._end, self.first)},
            "capture": {
                "frames": self.frames,
                "sip_messages": self.sip,
                "truncated_frames": self.truncated,
                "seconds": round((self.last - self.first) / 1e9, 6) if self.frames else 0.0,
            },
            "errors": self._errors,
            "unlisted_errors": self.dropped_errors,
            "unlisted_dialogs": self.unlisted,
            "dialogs": [self._dialog(entry) for entry in self._entries.values()],
        }

    @property
    def intercepted(self) -> list[DialogId]:
        return [entry.dialog for entry in self._entries.values() if entry.intercepted]

    def _dialog(self, entry: _Entry) -> dict[str, Any]:
        return {
            "call_id": entry.dialog.call_id,
            "caller_tag": entry.dialog.caller_tag,
            "callee_tag": entry.dialog.callee_tag or None,
            "intercepted": entry.intercepted,
            "mid_call": entry.mid_call(self._start),
            "target": None if entry.target is None else entry.target.name.lower(),
            "correlation": entry.correlation.hex() or None,
            "errors": [*entry.errors, *([f"and {entry.more_errors} more"] if entry.more_errors else [])],
            "streams": [_stream(stream) for stream in entry.streams if not stream.control],
            "dropped": dict(entry.dropped),
            "rtcp_packets": sum(stream.packets for stream in entry.streams if stream.control),
        }

    def _entry(self, dialog: DialogId, invited_at: Instant) -> _Entry:
        entry = self._entries.get(dialog) or self._answered(dialog)
        if entry is None:
            entry = _Entry(dialog, invited_at)
            if len(self._others) >= MAX_OTHERS:
                self.unlisted += 1
                self._forget(self._others.popitem(last=False)[0])
            self._others[dialog] = None
            self._entries[dialog] = entry
            self._by_call_id.setdefault(dialog.call_id, []).append(entry)
        return entry

    def _answered(self, dialog: DialogId) -> _Entry | None:
        """The fork that stands for a call which was told of by its name before anybody had answered."""
        if dialog.callee_tag:
            return None
        siblings = self._by_call_id.get(dialog.call_id, ())
        return next((each for each in siblings if each.dialog.caller_tag == dialog.caller_tag), None)

    def _absorb(self, dialog: DialogId) -> None:
        """A fork has a name now: what stood under the unanswered call's name is its history."""
        before = DialogId(dialog.call_id, dialog.caller_tag, "")
        unanswered = self._entries.pop(before, None)
        if unanswered is None:
            return
        self._others.pop(before, None)
        self._by_call_id[dialog.call_id].remove(unanswered)
        entry = self._entries[dialog]
        entry.errors = unanswered.errors | entry.errors
        entry.streams += unanswered.streams
        entry.dropped += unanswered.dropped
        entry.intercepted |= unanswered.intercepted
        if entry.intercepted:
            self._others.pop(dialog, None)
        entry.correlation = entry.correlation or unanswered.correlation

    def _forget(self, dialog: DialogId) -> None:
        """Room for another: an entry that was not intercepted."""
        entry = self._entries.pop(dialog)
        siblings = self._by_call_id[dialog.call_id]
        siblings.remove(entry)
        if not siblings:
            del self._by_call_id[dialog.call_id]


def _seconds(time: int | None, first: int) -> float | None:
    return None if time is None else round((time - first) / 1e9, 6)


def _stream(stream: Stream) -> dict[str, Any]:
    return {
        "ssrc": stream.ssrc,
        "src": stream.source or stream.seen_source,
        "dst": stream.destination,
        "sender": stream.flow.sender.name.lower(),
        "media": stream.flow.kind,
        "m_line": stream.flow.media + 1,
        "packets": stream.packets,
        "decrypted": stream.decrypted,
        "clear": stream.clear,
        "auth_failed": stream.auth_failed,
        "replayed": stream.replayed,
        "too_old": stream.too_old,
        "malformed": stream.malformed,
        "without_key": stream.unopened,
        "encrypted": stream.encrypted,
        "roc": stream.roc,
        "roc_method": stream.method or None,
        "policy": stream.policy or None,
    }


def _stream_errors(stream: Stream) -> Iterable[str]:
    where = f"SSRC {stream.ssrc:08x} to {stream.destination}"
    # Agents send RTCP that is not encrypted, or before they have a key: it is counted, and nothing went wrong with it.
    if stream.auth_failed and not stream.control:
        yield f"frame {stream.failed_frame}: {where}: {stream.auth_failed} packets failed authentication"
    if stream.unopened and not stream.control:
        yield f"{where}: {stream.unopened} packets had no key"
    if stream.malformed:
        yield f"{where}: {stream.malformed} packets were malformed"
