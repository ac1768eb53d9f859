"""A deliverer for tests: PS-PDUs by hand, numbered and hashed as TS 102 232-1 wants it, faults put in by the test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from imswire import hi
from imswire.hi import eps, ipmm, ts33128, voip

NOW = 1_700_000_000_000_000_000
MILLI = 1_000_000
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SDP = b"c=IN IP4 198.51.100.7\r\nm=audio 4000 RTP/AVP 0 101\r\n"


class Sender:
    """One LIID and CIN: IRI, CC and integrity checks count apart."""

    def __init__(self, liid: bytes = b"LIID1", cin: int | None = 1, begin: int = NOW) -> None:
        self.liid = liid
        self.cid = hi.CommunicationId(b"operator", b"node", cin, "SE")
        self.begin = begin
        self.numbers = {"IRI": 0, "CC": 0, "TRI": 0}
        self.waiting: dict[int, list[tuple[int, bytes]]] = {hi.DataType.IRI: [], hi.DataType.CC: []}
        self.hashes: list[tuple[int, bytes]] = []

    def header(self, kind: str, time: int | None = None) -> hi.Header:
        number = self.numbers[kind]
        self.numbers[kind] += 1
        at = self.begin + 20 * MILLI * number if time is None else time
        return hi.Header(self.liid, self.cid, number, at, "SE", qualifier=hi.Qualifier.TIME_OF_INTERCEPTION)

    def iri(self, contents: bytes | None = None, kind: int = hi.IriType.REPORT, time: int | None = None) -> bytes:
        header = self.header("IRI", time)
        if contents is None:
            contents = eps.build(
                eps.IriParameters(liid=self.liid, time=header.time, event=1, sip_message=b"BYE sip:a@x SIP/2.0\r\n\r\n")
            )
        octets = hi.build(hi.PsPdu(header, (hi.Iri(kind, contents),)))
        self.waiting[hi.DataType.IRI].append((header.sequence, octets))
        return octets

    def cc(self, direction: int | None = None, time: int | None = None, form: str = "ipmm", **rtp: object) -> bytes:
        number = self.numbers["CC"]
        header = self.header("CC", time)
        direction = number % 2 if direction is None else direction
        packet = rtp.get("packet") or self.rtp(number // 2, direction, **rtp)
        octets = hi.build(
            hi.PsPdu(header, (hi.Cc(direction, self.contents(form, packet, direction, header.sequence)),))
        )
        self.waiting[hi.DataType.CC].append((header.sequence, octets))
        return octets

    def contents(self, form: str, packet: bytes, direction: int, number: int) -> bytes:
        if form == "ipmm":
            return ipmm.build_cc(ipmm.IpmmCc(packet, hi.FrameType.RTP, SDP, hi.MmccProtocol.RTP))
        if form == "voip":
            way = voip.of_direction(direction)
            return voip.build(
                voip.VoipCc(
                    liid=self.liid, correlation=b"corr", sequence=number & 0xFFFF, direction=way, payload=packet
                )
            )
        return ts33128.build_cc(ts33128.CcPayload(ts33128.ImsCc(packet, SDP)))

    def rtp(self, number: int, direction: int, *, payload: bytes = b"\xd5" * 160, kind: int = 8) -> bytes:
        head = (
            b"\x80"
            + bytes([kind])
            + (number & 0xFFFF).to_bytes(2, "big")
            + (160 * number & 0xFFFFFFFF).to_bytes(4, "big")
        )
        return head + b"SSR" + bytes([direction]) + payload

    def tri(self, payload: hi.Payload, number: int | None = None, kind: str = "TRI") -> bytes:
        header = self.header(kind)
        if number is not None:
            header = hi.Header(header.liid, header.cid, number, header.time, "SE")
        return hi.build(hi.PsPdu(header, payload))

    def check(
        self, data: int = hi.DataType.CC, value: bytes | None = None, numbers: Sequence[int] | None = None
    ) -> bytes:
        """A hash over what waits (or over ``numbers`` of it)."""
        waiting = self.waiting[data]
        if numbers is not None:
            waiting = [each for each in waiting if each[0] in numbers]
        else:
            self.waiting[data] = []
        digest = hashlib.sha256(b"".join(octets for _, octets in waiting)).digest()
        covered = tuple(number for number, _ in waiting)
        octets = self.tri(hi.IntegrityCheck(covered, hi.CheckType.HASH, data, value or digest))
        self.hashes.append((self.numbers["TRI"] - 1, octets))
        return octets

    def signature(self, data: int = hi.DataType.CC, signer: Ed25519PrivateKey = SIGNER) -> bytes:
        numbers, octets = zip(*self.hashes, strict=True)
        self.hashes = []
        value = signer.sign(b"".join(octets))
        return self.tri(
            hi.IntegrityCheck(numbers, hi.CheckType.SIGNATURE, data, value, None, hi.SignatureAlgorithm.EDDSA)
        )
