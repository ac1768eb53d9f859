"""Intercepts, records and folders that the tests of handover share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from imswire import ber, hi
from midcall.base.seal import SealKey
from midcall.config import Integrity
from midcall.events import CcRecord, CcStream, Intercept, IriRecord
from midcall.handover.shell.keys import KeyStore
from midcall.handover.values import Gap

MASTER = bytes(range(32))
SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
RTP = bytes((0x80, 8)) + bytes(10) + bytes(range(160))
FORM = hi.IpmmStream()


def intercept(liid: str = "LAB-1") -> Intercept:
    return Intercept(liid, f"xid of {liid}", "operator", "element", "XX", None, "lemf")


def contents(text: bytes) -> bytes:
    """Something that stands for iRIContents: a pSTN-ISDN TLV that nobody looks into."""
    return ber.tlv(ber.identifier(ber.CONTEXT, hi.IriContents.PSTN_ISDN, False), text)


def unavailable(gap: Gap) -> bytes:
    """A gap record that the tests can read back."""
    ranges = ",".join(f"{first}-{last}" for first, last in gap.ranges)
    return contents(f"gap {gap.liid} {gap.cin} {gap.reason}: {ranges} ({gap.count})".encode())


def iri(key: int, liid: str = "LAB-1", cin: int | None = 1, kind: int = 3, text: bytes = b"event") -> IriRecord:
    return IriRecord(liid, cin, kind, T0 + key * SECOND, contents(text + b" %d" % key), key)


def streams(liid: str = "LAB-1", cin: int = 1) -> tuple[CcStream, CcStream]:
    return CcStream(liid, cin, hi.Direction.FROM_TARGET, FORM), CcStream(liid, cin, hi.Direction.TO_TARGET, FORM)


def cc(stream: CcStream, count: int, first: int = 0, size: int = 172) -> list[CcRecord]:
    """Records whose payload ends with their place, so that a receiver knows which it has."""
    head = bytes(size - 8)
    return [CcRecord(T0 + n * 20_000_000, stream, head + n.to_bytes(8, "big")) for n in range(first, first + count)]


def keys(folder: Path, names: Iterable[str] = ()) -> KeyStore:
    folder.mkdir(parents=True, exist_ok=True)
    return KeyStore(folder / "keys.db", SealKey(MASTER), tuple(names))


NO_INTEGRITY = Integrity(enabled=False)
