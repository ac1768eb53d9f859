"""One SSRC at one destination: its counters, and the crypto state it shares with its other destinations."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from imswire import srtp
from imswire.inet import Datagram
from midcall.df3.doubt import Doubt
from midcall.events import CcStream, CryptoContext, MediaFlow, MediaPacket, MediaPlan

# An open window in wall ns.
FIRST, LAST = -(1 << 63), 1 << 63


class Given:
    """Of a task: when a packet was handed over last (wall ns), and the octets of all. ``wire``: they go over as they
    were on the wire, where they were encrypted. ``open``: it is ordered.
    """

    __slots__ = ("last", "octets", "open", "wire")

    def __init__(self) -> None:
        self.last = self.octets = 0
        self.open = self.wire = False


Recorded = tuple[MediaFlow, bool, CcStream, Given]
"""What a stream was when its records were begun, whether they are encrypted, what they have in common, their task."""


class Content(NamedTuple):
    """A packet of a stream under interception, and the datagram that carried it.

    ``payload`` is in clear; when it is the payload of the datagram, it was so on the wire, or ``encrypted`` says
    that no key opens it.
    """

    time: int
    stream: Stream
    payload: bytes
    datagram: Datagram
    encrypted: bool = False


class Crypto:
    """SRTP state of one SSRC of a dialog: it outlives rekeying and a change of ports (RFC 3711 3.2.1)."""

    __slots__ = ("_others", "context", "unprotector")

    def __init__(self, context: CryptoContext, unprotector: srtp.Unprotector) -> None:
        self.context = context
        self.unprotector = unprotector
        self._others: list[tuple[CryptoContext, srtp.Unprotector]] = []

    @property
    def roc(self) -> int:
        return self.unprotector.roc

    def knows(self, context: CryptoContext) -> bool:
        return context.key == self.context.key or any(context.key == each.key for each, _ in self._others)

    def unprotect(self, packet: bytes) -> bytes | srtp.Refusal:
        """Open a packet under the key in use, else under one that was in use before or since."""
        verdict = self.unprotector.unprotect(packet)
        if verdict is not srtp.Refusal.AUTH_FAILED:
            return verdict
        for place, (context, unprotector) in enumerate(self._others):
            other = unprotector.unprotect(packet)
            if isinstance(other, bytes):
                self._others[place] = (self.context, self.unprotector)
                self.context, self.unprotector = context, unprotector
                return other
        return verdict

    def switch(self, context: CryptoContext, unprotector: srtp.Unprotector) -> None:
        """A new key has proved itself; the former ones stay for packets still under way."""
        self._others.insert(0, (self.context, self.unprotector))
        for _, old in self._others[2:]:
            old.close()
        del self._others[2:]
        self.context, self.unprotector = context, unprotector

    def close(self) -> None:
        self.unprotector.close()
        for _, unprotector in self._others:
            unprotector.close()


def _closed(_packet: bytes) -> bytes | srtp.Refusal:
    return srtp.Refusal.AUTH_FAILED


def stream_key(payload: bytes) -> bytes:
    """By which a stream is found at its destination: the SSRC of RTP, that of RTCP apart from it."""
    return b"rtcp" + payload[4:8] if srtp.is_rtcp(payload) else payload[8:12]


class _EachPacket:
    """What every packet of a stream touches: it stands together, for many streams are in hand at once."""

    __slots__ = (
        "decrypted",
        "end",
        "flow",
        "last",
        "opened_from",
        "packets",
        "proved_at",
        "records",
        "start",
        "unprotect",
    )


class Stream(_EachPacket):
    """What was seen and done of one SSRC at one destination; ``source`` and ``destination`` as "ip:port".

    ``source`` is learnt from the first packet that counted as the dialog's, ``seen_source`` from any, and
    ``opened_from`` is where the last one came from that a key opened (address and port in network order). While
    ``open``, ``unprotect`` is that of the key in use. ``doubt`` holds what that key does not open. ``records`` is for
    whoever makes records of the content: what is the same in all those of the stream.
    """

    __slots__ = (
        "auth_failed",
        "cin",
        "clear",
        "control",
        "correlation",
        "crypto",
        "destination",
        "dialog",
        "doubt",
        "encrypted",
        "failed_frame",
        "first",
        "last_roc",
        "malformed",
        "method",
        "open",
        "policy",
        "replayed",
        "seen_source",
        "source",
        "ssrc",
        "target",
        "too_old",
        "unopened",
        "xid",
    )

    def __init__(self, plan: MediaPlan, flow: MediaFlow, ssrc: int, destination: str, control: bool) -> None:
        self.xid = plan.xid
        self.cin = plan.cin
        self.correlation = plan.correlation
        self.target = plan.target
        self.dialog = plan.dialog
        self.records: Recorded | None = None
        self.start = FIRST if plan.start is None else plan.start
        self.end = LAST if plan.end is None else plan.end
        self.flow = flow
        self.control = control
        self.ssrc = ssrc
        self.source = ""
        self.seen_source = ""
        self.destination = destination
        self.crypto: Crypto | None = None
        self.open = False
        self.unprotect: Callable[[bytes], bytes | srtp.Refusal] = _closed
        self.method = ""
        self.policy = ""
        self.packets = 0
        self.decrypted = 0
        self.clear = 0
        self.auth_failed = 0
        self.failed_frame = 0
        self.doubt: Doubt[MediaPacket] = Doubt()
        self.opened_from = b""
        self.replayed = 0
        self.too_old = 0
        self.malformed = 0
        self.unopened = 0
        self.encrypted = 0
        self.last_roc = 0
        self.first = 0
        self.last = 0
        self.proved_at = 0

    def within(self, time: int) -> bool:
        """From the warrant's start on, and before its end."""
        return self.start <= time < self.end

    @property
    def proved(self) -> bool:
        """Whether any packet of it was certainly its dialog's."""
        return bool(self.decrypted or self.clear)

    @property
    def kept_back(self) -> int:
        """Packets that no key opened and that were not handed over."""
        return max(self.auth_failed + self.unopened - self.encrypted, 0)

    @property
    def roc(self) -> int:
        """The rollover counter of the last packet."""
        return self.last_roc if self.crypto is None else self.crypto.roc

    def close(self) -> None:
        """The key is gone; the counters stay."""
        self.last_roc = self.roc
        self.open = False
        self.unprotect = _closed
        self.crypto = None

    def failed(self, frame: int) -> None:
        """A packet that no key opened; ``frame`` of the first one is kept."""
        self.auth_failed += 1
        self.failed_frame = self.failed_frame or frame

    def uncount(self, keyed: bool) -> None:
        """One that was counted as not opened is looked at anew."""
        self.packets -= 1
        if keyed:
            self.auth_failed -= 1
        else:
            self.unopened -= 1

    def refused(self, refusal: srtp.Refusal, frame: int) -> None:
        if refusal is srtp.Refusal.REPLAYED:
            self.replayed += 1
        elif refusal is srtp.Refusal.TOO_OLD:
            self.too_old += 1
        elif refusal is srtp.Refusal.AUTH_FAILED:
            self.failed(frame)
        else:
            self.malformed += 1
