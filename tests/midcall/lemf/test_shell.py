"""The receiver on loopback with real TLS: what is stored, answered, restored after a restart, and refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import stat
import wave
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from imswire import hi, inet, pcap
from imswire.hi import eps
from midcall.base import tls
from midcall.base.lab_pki import LabPki, uri
from midcall.lemf import Lemf, Rules
from midcall.lemf.shell import server, store
from midcall.lemf.shell.misbehave import Kind, Misbehaviour
from midcall.lemf.shell.server import Receiver
from midcall.lemf.shell.store import Store, StoreError, folder_name, liid_of
from midcall.lemf.shell.view import Screen, calls_table
from tests.midcall.lemf.deliverer import NOW, SDP, SIGNER, Sender

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    LabPki(folder).make(("df", "lemf", "kms"))
    LabPki(folder / "other").make(("df",))
    return folder


def identity(folder: Path, role: str, ca: Path | None = None) -> tls.Identity:
    return tls.Identity(folder / f"{role}.pem", folder / f"{role}.key", ca or folder / "ca.pem")


class Lab:
    """A receiver that listens, and what it told."""

    def __init__(self, pki: Path, out: Path, fault: str | None = None, peer: str = uri("df"), **rules: Any) -> None:
        misbehaves = Misbehaviour.parse(fault) if fault else None
        accept = misbehaves is None or misbehaves.kind is not Kind.DECLINE_OPTIONS
        core = Lemf(Rules(keys=(SIGNER.public_key(),), acknowledge=accept, **rules))
        self.told: list[tuple[str, str]] = []
        self.receiver = Receiver(
            core, Store(out), tls.PeerName(peer), misbehaves, lambda kind, text: self.told.append((kind, text))
        )
        self.out = out
        self.pki = pki

    async def __aenter__(self) -> Lab:
        self.receiver.restore()
        context = tls.server_context(identity(self.pki, "lemf"))
        self.address = await self.receiver.start("127.0.0.1", 0, context)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.media = await self.receiver.stop()

    async def link(self, context: ssl.SSLContext | None = None) -> Client:
        client = Client(
            *await asyncio.open_connection(
                *self.address, ssl=context or tls.client_context(identity(self.pki, "df")), server_hostname="localhost"
            )
        )
        self.client = client
        return client

    def file(self, name: str, liid: bytes = b"LIID1") -> bytes:
        return (self.out / folder_name(liid) / name).read_bytes()

    @property
    def findings(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / "findings.jsonl").read_text().splitlines()]


class Client:
    """A deliverer's end of a link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.splitter = hi.Splitter()
        self.waiting: list[hi.PsPdu] = []

    async def send(self, *pdus: bytes) -> None:
        self.writer.write(b"".join(pdus))
        await self.writer.drain()

    async def answer(self) -> hi.PsPdu:
        while not self.waiting:
            octets = await self.reader.read(1 << 16)
            if not octets:
                raise EOFError
            self.waiting += map(hi.parse, self.splitter.feed(octets))
        return self.waiting.pop(0)

    async def barrier(self, number: int = 0) -> None:
        """All that was sent is stored."""
        await self.send(Sender().tri(hi.AckRequest(), number))
        assert isinstance((await self.answer()).payload, hi.AckResponse)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()

    async def ended(self) -> bytes:
        """What still comes until the other end closes or resets."""
        octets = b""
        with contextlib.suppress(OSError, ssl.SSLError):
            while more := await self.reader.read(1 << 16):
                octets += more
        return octets


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(main(), 30)

    return asyncio.run(bounded())


def frames(path: Path) -> list[inet.Datagram]:
    with path.open("rb") as file:
        reader = pcap.Reader(file.read)
        found = [inet.decode(reader.link_type, frame) for batch in reader.batches() for _, frame, _ in batch]
    assert all(isinstance(each, inet.Datagram) for each in found)
    return found  # type: ignore[return-value]


def test_a_delivery_is_stored_by_liid_with_its_media(pki, tmp_path):
    one, two = Sender(b"LIID1", 7), Sender(b"LIID2", 8)
    first = [one.iri(kind=hi.IriType.BEGIN), *(one.cc() for _ in range(100)), one.check(), one.signature()]
    second = [*(two.cc(kind=0, payload=b"\xff" * 160) for _ in range(10)), two.check()]

    async def main() -> Lab:
        async with Lab(pki, tmp_path / "out") as lab:
            a, b = await lab.link(), await lab.link()
            await a.send(*first)
            await b.send(*second)
            await a.barrier()
            await b.barrier()
            await a.close()
            await b.close()
        return lab

    lab = run(main)
    assert lab.findings == []
    assert lab.file("hi2.ber") == first[0] and lab.file("hi3.ber") == b"".join(first[1:])
    assert lab.file("hi3.ber", b"LIID2") == b"".join(second)
    names = {path.name for path in (lab.out / "liid-LIID1").iterdir()}
    wavs = {"cin-7-from-target.wav", "cin-7-to-target.wav", "cin-7-mix.wav"}
    assert names == {"hi2.ber", "hi3.ber", "cin-7.pcap", *wavs}
    with wave.open(str(lab.out / "liid-LIID1" / "cin-7-mix.wav")) as mix:
        assert (mix.getnchannels(), mix.getframerate()) == (2, 8_000)
    with wave.open(str(lab.out / "liid-LIID2" / "cin-8-from-target.wav")) as audio:
        assert audio.getnframes() == 5 * 160 and set(audio.readframes(100)) == {0}
    packets = frames(lab.out / "liid-LIID1" / "cin-7.pcap")
    assert [each.payload for each in packets] == [one.rtp(n // 2, n % 2) for n in range(100)]
    assert {(inet.text(each.dst), each.dport) for each in packets} == {("198.51.100.7", 4000)}
    private = [path for path in lab.out.rglob("*") if path.suffix in (".ber", ".jsonl")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in lab.out.glob("liid-*")} == {0o700}


def test_a_restart_knows_what_came_before_and_cuts_a_torn_tail(pki, tmp_path):
    sender = Sender()
    before = [*(sender.cc() for _ in range(50)), sender.check()]
    after = [*(sender.cc() for _ in range(50)), sender.check(), sender.signature()]

    async def deliver(*pdus: bytes) -> Lab:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(*pdus)
            await client.barrier()
            await client.close()
        return lab

    run(lambda: deliver(*before))
    path = tmp_path / "liid-LIID1" / "hi3.ber"
    with path.open("ab") as file:
        file.write(after[0][:100])  # a crash in the middle of a write
    lab = run(lambda: deliver(*before[20:], *after))
    assert lab.file("hi3.ber") == b"".join(before + after)
    assert lab.receiver.lemf.repeats == 31 and lab.receiver.lemf.doubled == 0
    assert [(each["rule"], "100 octets" in each["text"]) for each in lab.findings] == [("store", True)]
    assert lab.receiver.lemf.checked == 50
    assert (tmp_path / "liid-LIID1" / "cin-1-2.pcap").exists(), "media of the second run beside those of the first"


def test_a_restart_sets_aside_what_cannot_be_read(pki, tmp_path):
    folder = tmp_path / "liid-LIID1"
    folder.mkdir()
    (folder / "hi3.ber").write_bytes(b"no PS-PDU at all")
    sender = Sender()

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(sender.cc())
            await client.barrier()
            await client.close()
        return lab

    lab = run(main)
    assert (folder / "hi3.ber.damaged-1").read_bytes() == b"no PS-PDU at all"
    assert hi.parse(lab.file("hi3.ber")).header.sequence == 0
    assert "set aside" in lab.findings[0]["text"]


def test_an_acknowledgement_comes_when_the_data_are_durable(pki, tmp_path, monkeypatch):
    order: list[str] = []
    real = store.sync

    def sync(descriptors: list[int]) -> None:
        if descriptors:
            order.append("synced")
        real(descriptors)

    monkeypatch.setattr(store, "sync", sync)
    sender = Sender()

    async def main() -> None:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(sender.tri(hi.OptionRequest((hi.Option.PDU_ACKNOWLEDGEMENT,)), 0))
            assert (await client.answer()).payload == hi.OptionResponse((hi.Option.PDU_ACKNOWLEDGEMENT,), ())
            await client.send(sender.tri(hi.OptionComplete(), 0), sender.cc(), sender.tri(hi.AckRequest(), 5))
            answer = await client.answer()
            order.append("answered")
            assert answer.header.sequence == 5 and lab.file("hi3.ber")
            await client.close()

    run(main)
    assert order[:2] == ["synced", "answered"]


def test_a_full_disk_is_never_acknowledged_and_ends_the_receiver(pki, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "KEEP_FREE", 1 << 62)
    sender = Sender()

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(sender.cc(), sender.tri(hi.AckRequest(), 1))
            assert await client.ended() == b""
            await lab.receiver.done.wait()
            await client.close()
        return lab

    lab = run(main)
    assert "free on the disk" in lab.receiver.failed and lab.findings[-1]["rule"] == "store"


def test_a_short_write_is_taken_back(tmp_path, monkeypatch):
    files = Store(tmp_path)
    files.append(b"L", "hi2", b"whole")
    writes = iter([3, OSError(28, "No space left on device")])

    def write(descriptor: int, octets: memoryview) -> int:
        result = next(writes)
        if isinstance(result, OSError):
            raise result
        return real(descriptor, octets[:result])

    real = store.os.write
    monkeypatch.setattr(store.os, "write", write)
    with pytest.raises(StoreError, match="No space left"):
        files.append(b"L", "hi2", b"not whole")
    assert (tmp_path / "liid-L" / "hi2.ber").read_bytes() == b"whole"
    files.close()


def test_the_limit_of_the_store(tmp_path):
    files = Store(tmp_path, limit=100)
    files.append(b"L", "hi2", bytes(60))
    with pytest.raises(StoreError, match="limit-mb"):
        files.append(b"L", "hi2", bytes(60))
    files.close()
    assert Store(tmp_path, limit=100).octets == 60


def test_files_beyond_the_bound_are_closed_and_opened_again(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FILES", 2)
    files = Store(tmp_path)
    for _ in range(2):
        for number in range(5):
            files.append(b"%d" % number, "hi2", b"x")
    files.close()
    assert {path.read_bytes() for path in tmp_path.rglob("hi2.ber")} == {b"xx"}


@pytest.mark.parametrize("liid", [b"LIID-1_x", b"../../etc", b".", b"", b"a/b\0c", b"%41", b"\xff\xfe", b"A", b"a"])
def test_hostile_liids_are_harmless_names(liid):
    name = folder_name(liid)
    assert "/" not in name and name.isascii() and name.isprintable() and name.startswith("liid-")
    assert liid_of(name) == liid


@pytest.mark.parametrize("name", ["other", "liid-%", "liid-%4", "liid-%zz", "liid-%41", "liid-a b", "liid-ü"])
def test_other_folders_are_not_ours(name):
    assert liid_of(name) is None


# Who is refused


async def refused(lab: Lab, context: ssl.SSLContext) -> None:
    """No octet of this deliverer gets to the core."""
    try:
        client = await lab.link(context)
    except (ssl.SSLError, OSError):
        return
    with contextlib.suppress(ssl.SSLError, OSError):
        await client.send(Sender(b"INTRUDER").cc())
    assert await client.ended() == b""
    await client.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_deliverers_that_are_none(pki, tmp_path):
    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            for files in (identity(pki / "other", "df", pki / "ca.pem"), identity(pki, "kms")):
                await refused(lab, tls.client_context(files))
            nobody = ssl.create_default_context(cafile=pki / "ca.pem")
            await refused(lab, nobody)
            plain = Client(*await asyncio.open_connection(*lab.address))
            await plain.send(Sender(b"INTRUDER").cc())
            assert not hi.Splitter().pending and await plain.ended() is not None
            await plain.close()
            good = await lab.link()
            await good.barrier()
            await good.close()
        return lab

    lab = run(main)
    assert lab.receiver.lemf.pdus == 1 and not list(tmp_path.glob("liid-*"))
    assert any("not urn:midcall:lab:df" in text for _, text in lab.told)


def test_no_more_connections_than_the_bound(pki, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS", 2)

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            links = [await lab.link(), await lab.link()]
            for link in links:
                await link.barrier()
            third = await lab.link()
            assert await third.ended() == b""
            for link in (*links, third):
                await link.close()
        return lab

    assert run(main).receiver.refused == 1


# Misbehaviour on demand


async def misbehaving(pki: Path, out: Path, fault: str) -> AsyncIterator[tuple[Lab, Client]]:
    async with Lab(pki, out, fault) as lab:
        client = await lab.link()
        yield lab, client
        await client.close()


def with_fault(pki: Path, out: Path, fault: str, what: Callable[[Lab, Client], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async for lab, client in misbehaving(pki, out, fault):
            await what(lab, client)

    run(main)


def test_accept_then_close(pki, tmp_path):
    async def what(lab: Lab, client: Client) -> None:
        assert await client.ended() == b""
        assert ("accept-then-close" in lab.told[-1][1] or "accept-then-close" in lab.told[-2][1]) and not client.waiting

    with_fault(pki, tmp_path, "accept-then-close", what)


def test_accept_then_close_of_the_first_connection_only(pki, tmp_path):
    async def what(lab: Lab, client: Client) -> None:
        assert await client.ended() == b""
        second = await lab.link()
        await second.barrier()
        await second.close()

    with_fault(pki, tmp_path, "accept-then-close:1", what)


def test_reset_inside_a_pdu(pki, tmp_path):
    sender = Sender()
    pdus = [sender.cc() for _ in range(40)]

    async def what(lab: Lab, client: Client) -> None:
        with contextlib.suppress(OSError):
            await client.send(*pdus)
        assert await client.ended() == b""
        await client.close()
        second = await lab.link()
        await second.send(*pdus, sender.check())
        await second.barrier()
        await second.close()

    with_fault(pki, tmp_path, "reset-inside-pdu:1", what)
    out = (tmp_path / "liid-LIID1" / "hi3.ber").read_bytes()
    assert out.startswith(b"".join(pdus)) and (tmp_path / "findings.jsonl").read_text() == ""


def test_no_answers(pki, tmp_path):
    async def no_acknowledgement(_: Lab, client: Client) -> None:
        sender = Sender()
        await client.send(sender.tri(hi.AckRequest(), 1), sender.tri(hi.KeepAlive(), 2))
        assert isinstance((await client.answer()).payload, hi.KeepAliveResponse)

    async def no_keepalive(_: Lab, client: Client) -> None:
        sender = Sender()
        await client.send(sender.tri(hi.KeepAlive(), 1), sender.tri(hi.AckRequest(), 2))
        assert isinstance((await client.answer()).payload, hi.AckResponse)

    async def declined(_: Lab, client: Client) -> None:
        await client.send(Sender().tri(hi.OptionRequest((hi.Option.PDU_ACKNOWLEDGEMENT,)), 1))
        assert (await client.answer()).payload == hi.OptionResponse((), (hi.Option.PDU_ACKNOWLEDGEMENT,))

    async def garbage(_: Lab, client: Client) -> None:
        with pytest.raises(hi.HiError):
            await client.answer()
            await client.answer()

    with_fault(pki, tmp_path / "1", "no-acknowledgement", no_acknowledgement)
    with_fault(pki, tmp_path / "2", "no-keepalive-answer", no_keepalive)
    with_fault(pki, tmp_path / "3", "decline-options", declined)
    with_fault(pki, tmp_path / "4", "garbage", garbage)


def test_refuse_tls(pki, tmp_path):
    async def main() -> None:
        async with Lab(pki, tmp_path, "refuse-tls") as lab:
            with pytest.raises((OSError, ssl.SSLError)):
                await lab.link()

    run(main)


def test_slow_read(pki, tmp_path, monkeypatch):
    monkeypatch.setattr("midcall.lemf.shell.misbehave.SLOW_PAUSE", 0.01)
    sender = Sender()

    async def what(lab: Lab, client: Client) -> None:
        await client.send(*(sender.cc() for _ in range(100)))
        await client.barrier()
        assert lab.receiver.lemf.pdus == 101

    with_fault(pki, tmp_path, "slow-read", what)


@pytest.mark.parametrize("text", ["", "no-such", "garbage:x", "garbage:-1"])
def test_unknown_misbehaviour(text):
    with pytest.raises(ValueError):
        Misbehaviour.parse(text)


# Media and view


def test_encrypted_content_is_no_audio(pki, tmp_path):
    """Keys for the LEMF (IMSevent 3): the packets stay as captured, and nobody writes noise to a WAV file."""
    sender = Sender()
    key = eps.CcKeyInfo(cs_id=b"\1", key=b"k" * 16, salt=b"s" * 14)
    keys = eps.build(eps.IriParameters(liid=b"LIID1", time=NOW, event=3, keys=(key,)))

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(sender.iri(keys), *(sender.cc() for _ in range(10)))
            await client.barrier()
            await client.close()
        return lab

    lab = run(main)
    assert not list(tmp_path.rglob("*.wav")) and len(frames(tmp_path / "liid-LIID1" / "cin-1.pcap")) == 10
    said = "\n".join(text for _, text in lab.told) + (tmp_path / "findings.jsonl").read_text()
    assert "decryption keys available" in said and b"k" * 16 in lab.file("hi2.ber")
    assert "kkkk" not in said and (b"k" * 16).hex() not in said


def test_the_screen_shows_calls_and_findings(pki, tmp_path):
    console = Console(record=True, width=160, file=(tmp_path / "screen").open("w"), force_terminal=True)
    screen = Screen(console)
    sender = Sender(b"\x1b[31mLIID")

    async def main() -> None:
        async with Lab(pki, tmp_path / "out") as lab:
            screen.start(lab.receiver, "127.0.0.1:1")
            lab.receiver._tell = screen.tell
            client = await lab.link()
            pdus = [sender.iri(kind=hi.IriType.BEGIN), *(sender.cc() for _ in range(30))]
            del pdus[9]
            await client.send(*pdus, sender.check())
            await client.barrier()
            await client.close()
            console.print(screen.render())
            screen.stop()

    run(main)
    text = console.export_text()
    assert "\\x1b[31mLIID" in text and "\x1b[31mLIID" not in text
    assert "PCMA" in text and "running" in text and "SIP BYE" in text and "gap:" in text
    assert len(calls_table([]).rows) == 0
    console.file.close()


def test_sdp_of_the_stream_says_what_its_payload_types_mean(pki, tmp_path):
    sender = Sender()
    described = SDP.replace(b"101", b"96") + b"a=rtpmap:96 PCMA/8000\r\n"

    async def main() -> None:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            from tests.midcall.lemf import deliverer

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(deliverer, "SDP", described)
                await client.send(*(sender.cc(0, kind=96) for _ in range(10)))
                await client.send(*(sender.cc(1, form="voip", kind=200) for _ in range(2)))
                ip = inet.ip_packet(
                    b"\1\2\3\4", b"\5\6\7\x08", 17, inet.udp(b"\1\2\3\4", 1, b"\5\6\7\x08", 2, sender.rtp(0, 0))
                )
                await client.send(sender.cc(0, form="33128", packet=ip), sender.cc(0, packet=b"\x80"))
            await client.barrier()
            await client.close()

    run(main)
    packets = frames(tmp_path / "liid-LIID1" / "cin-1.pcap")
    assert len(packets) == 14
    assert (inet.text(packets[10].src), inet.text(packets[10].dst)) == ("192.0.2.2", "192.0.2.1")
    assert (inet.text(packets[12].src), packets[12].dport) == ("1.2.3.4", 2)
    assert (tmp_path / "liid-LIID1" / "cin-1-from-target.wav").exists()
