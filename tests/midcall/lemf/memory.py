"""A receiver in memory, and deliveries for it."""

from __future__ import annotations

from collections.abc import Iterable

from imswire import hi
from midcall.lemf import Finding, Lemf, Link, Rules, core
from tests.midcall.lemf.deliverer import NOW, SIGNER, Sender

LATER = NOW + 3_600_000_000_000
KEYS = (SIGNER.public_key(),)


class Lab:
    """One receiver, one link."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.lemf = Lemf(rules or Rules(keys=KEYS))
        self.link = Link(self.lemf, "df")
        self.stored: dict[str, bytes] = {"hi2": b"", "hi3": b""}
        self.media: list[tuple[int, bytes]] = []
        self.replies: list[hi.PsPdu] = []
        self.events: list[str] = []
        self.closed = ""
        self.found: list[Finding] = []

    def take(self, octets: bytes | Iterable[bytes], now: int = LATER, piece: int = 1 << 16) -> Lab:
        whole = octets if isinstance(octets, bytes) else b"".join(octets)
        for place in range(0, len(whole), piece):
            batch = self.link.receive(whole[place : place + piece], now)
            for intercept in batch.stored:
                self.stored["hi2"] += b"".join(intercept.hi2)
                self.stored["hi3"] += b"".join(intercept.hi3)
                intercept.hi2.clear()
                intercept.hi3.clear()
            self.media += [(time, packet) for _, media in batch.media for time, _, packet in media]
            self.replies += [hi.parse(octets) for _, octets in batch.replies]
            self.events += batch.events
            self.closed = self.closed or batch.close
            self.found += self.lemf.findings.take()
        return self

    def end(self) -> list[Finding]:
        self.lemf.deadline(LATER + core.OVERDUE)
        self.lemf.finish(LATER)
        self.found += self.lemf.findings.take()
        return self.found

    def said(self) -> list[tuple[str, str, int | None]]:
        return [(str(each.rule), each.payload, each.sequence) for each in self.end()]


def delivery(count: int = 100, form: str = "ipmm") -> tuple[Sender, list[bytes]]:
    sender = Sender()
    return sender, [sender.cc(form=form) for _ in range(count)]


def flipped(octets: bytes, at: int) -> bytes:
    return octets[:at] + bytes((octets[at] ^ 4,)) + octets[at + 1 :]
