"""Whole calls for scenarios: users, their KMS, a wire, and a replay whose outcome is compared with the truth."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from imswire import hi, inet, pcap
from imswire.hi import eps, ipmm
from imswire.mikey.exchange import SUITE_128, Suite
from midcall.config import ReplayConfig
from midcall.handover import Assembler
from midcall.kms import Kms, KmsStore, Subscriber, TicketProtectionKey
from midcall.product import FileProduct
from midcall.records import HandoverFiles, Records, intercept
from midcall.replay import XID, Replay, Window
from midcall.report import Report
from midcall.ue import lab
from midcall.ue.call import SECOND, Call
from midcall.ue.party import Party
from midcall.ue.ticket import Held, TicketUser
from midcall.ue.wire import Wire

BEGIN = lab.BEGIN + SECOND
TPK_ID = b"tpk-1"


class World:
    """One lab: ``alice`` and ``bob`` (and others by name), one KMS, one wire."""

    def __init__(self, suite: Suite = SUITE_128, names: tuple[str, ...] = ("alice", "bob"), seed: str = "seed") -> None:
        self.draw = lab.seeded(seed)
        self.suite = suite
        self.users: dict[str, TicketUser] = {name: lab.user(name, self.draw, suite) for name in names}
        self.tpk = self.draw(suite.octets)
        subscribers = tuple(Subscriber((u.uri,), u.psk_id, u.psk) for u in self.users.values())
        self.kms = Kms(KmsStore(lab.KMS_IDENTITY, (TicketProtectionKey(TPK_ID, self.tpk),), subscribers))
        self.wire = Wire()
        self._numbers = iter(range(1, 250))

    def ask(self, octets: bytes) -> bytes:
        """The KMS as users reach it; its clock is that of the beginning."""
        return self.kms.answer(octets, BEGIN, self.draw)

    def party(self, name: str, **options: Any) -> Party:
        return lab.party(self.users[name], next(self._numbers), **options)

    def held(self, flags: str = "DEFGHNO", owner: str = "alice", peer: str = "bob", **options: Any) -> Held:
        """A ticket that ``owner`` asked the KMS for."""
        return self.users[owner].request_ticket(self.ask, BEGIN, (self.users[peer].uri,), flags, **options)

    def call(
        self,
        caller: Party | None = None,
        callee: Party | None = None,
        call_id: str = "call-1@lab",
        **options: Any,
    ) -> Call:
        caller = caller or self.party("alice")
        callee = callee or self.party("bob")
        return Call(self.wire, self.ask, caller, callee, call_id, options.pop("at", BEGIN), **options)

    def replay(
        self,
        tmp: Path,
        *targets: str,
        start: float | None = None,
        end: float | None = None,
        kms: Kms | None = None,
        octets: bytes | None = None,
        config: ReplayConfig | None = None,
    ) -> Outcome:
        """Replay what is on the wire; ``start`` and ``end`` in seconds after BEGIN (the first packet's time)."""
        capture = lab.write_capture(self.wire) if octets is None else octets
        reader = pcap.Reader(io.BytesIO(capture).read)
        report = Report("none (lab)")
        config = config or ReplayConfig()
        product = FileProduct(tmp, reader.link_type, keys_to_lemf=config.warranted.keys == "keys-to-lemf")
        window = Window(_ns(start), _ns(end))
        handover = HandoverFiles(tmp, Assembler((intercept(config, XID),), config.integrity))
        records = Records(config, XID, handover)
        targets = targets or ("sip:alice@example.com",)
        Replay(reader, targets, window, kms or self.kms, product, report, records=records).run()
        audio = product.close()
        handover.close()
        return Outcome(tmp, report.as_dict(), audio)


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SECOND)


class Outcome:
    """What a replay left: report, media.pcap as (time in us, RTP) pairs, WAV files."""

    def __init__(self, folder: Path, report: dict[str, Any], audio: list[Path]) -> None:
        self.folder = folder
        self.report = json.loads(json.dumps(report))
        self.audio = audio
        self.media: list[tuple[int, bytes]] = []
        with (folder / "media.pcap").open("rb") as file:
            reader = pcap.Reader(file.read)
            for batch in reader.batches():
                for time, frame, _ in batch:
                    datagram = inet.decode(reader.link_type, frame)
                    assert isinstance(datagram, inet.Datagram)
                    self.media.append((time // 1000, datagram.payload))

    def pdus(self, interface: str) -> list[hi.PsPdu]:
        """What was handed over on "hi2" or "hi3", read back."""
        return [hi.parse(octets) for octets in hi.Splitter().feed((self.folder / f"{interface}.ber").read_bytes())]

    @property
    def events(self) -> list[eps.IriParameters]:
        """The records of TS 33.108 on HI2."""
        return [eps.parse(pdu.payload[0].contents) for pdu in self.pdus("hi2") if isinstance(pdu.payload, tuple)]

    @property
    def content(self) -> list[tuple[int, bytes]]:
        """What was handed over on HI3 as TS 102 232-5: direction and RTP."""
        return [
            (each.direction, ipmm.parse_cc(each.contents).contents)
            for pdu in self.pdus("hi3")
            if isinstance(pdu.payload, tuple)
            for each in pdu.payload
        ]

    @property
    def rtp(self) -> list[bytes]:
        return [payload for _, payload in self.media]

    def dialogs(self, call_id: str = "call-1@lab") -> list[dict[str, Any]]:
        return [each for each in self.report["dialogs"] if each["call_id"] == call_id]

    def dialog(self, call_id: str = "call-1@lab") -> dict[str, Any]:
        (only,) = self.dialogs(call_id)
        return only

    def streams(self, call_id: str = "call-1@lab") -> list[dict[str, Any]]:
        return [stream for dialog in self.dialogs(call_id) for stream in dialog["streams"]]


def truth(call: Call, start: float = 0.0, end: float = 1e6) -> list[bytes]:
    """RTP in clear that the two sent inside the window."""
    return [clear for at, _, clear in call.sent if start <= (at - BEGIN) / SECOND < end]
