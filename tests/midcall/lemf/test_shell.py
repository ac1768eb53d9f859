"""The receiver on loopback with real TLS: what is stored, answered, restored after a restart, and refused."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import stat
import wave

import pytest

from imswire import hi, inet
from midcall.base import tls
from midcall.lemf.shell import connection, server, store
from midcall.lemf.shell.store import Store, StoreError, folder_name, liid_of
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.loopback import Client, Lab, frames, identity, run


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
    assert names == {"hi2.ber", "hi3.ber", "deliverers.jsonl", "cin-7.pcap", *wavs}
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
        order.extend(["synced"] * len(descriptors))
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
    assert order == ["synced"] * 4 + ["answered"], "the file, whose it is, their folder, and the folder of that"


def test_what_nobody_wants_acknowledged_is_soon_in_its_file(pki, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "TICK", 3600.0)
    record = Sender().cc()

    async def main() -> None:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(record)
            while not any(path.stat().st_size for path in tmp_path.rglob("hi3.ber")):
                await asyncio.sleep(0.01)
            assert lab.file("hi3.ber") == record
            await client.close()

    run(main)


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
    assert (
        lab.receiver.stored == 0 and "free on the disk" in lab.receiver.failed and lab.findings[-1]["rule"] == "store"
    )


def test_a_short_write_is_taken_back(tmp_path, monkeypatch):
    files = Store(tmp_path)
    files.append(b"L", "hi2", b"whole")
    files.write()
    real = store.os.writev

    def full(descriptor: int, octets: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "writev", lambda descriptor, pieces: real(descriptor, [pieces[0][:3]]))
    monkeypatch.setattr(store.os, "write", full)
    files.append(b"L", "hi2", b"not ")
    files.append(b"L", "hi2", b"whole")
    with pytest.raises(StoreError, match="No space left"):
        files.take_dirty()
    assert (tmp_path / "liid-L" / "hi2.ber").read_bytes() == b"whole"
    files.close()


def test_a_write_that_is_cut_short_goes_on(tmp_path, monkeypatch):
    files = Store(tmp_path)
    real = store.os.writev
    monkeypatch.setattr(store.os, "writev", lambda descriptor, pieces: real(descriptor, [pieces[0], pieces[1][:2]]))
    for piece in (b"one ", b"two ", b"three"):
        files.append(b"L", "hi2", piece)
    files.close()
    assert (tmp_path / "liid-L" / "hi2.ber").read_bytes() == b"one two three"


def test_what_gathers_is_written_together_and_never_too_late(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "GATHERED", 1_000)
    monkeypatch.setattr(store, "PIECES", 4)
    files = Store(tmp_path)
    path = tmp_path / "liid-L" / "hi3.ber"
    sizes = []
    for _ in range(25):
        files.append(b"L", "hi3", bytes(100))
        sizes.append(path.stat().st_size)
    assert sizes == [0] * 9 + [1_000] * 10 + [2_000] * 6
    for descriptor in files.take_dirty():
        store.os.close(descriptor)
    assert path.stat().st_size == 2_500
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


# One deliverer among others


def test_a_flood_of_new_liids_does_not_keep_other_links_waiting(pki, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "TURN", 4)
    monkeypatch.setattr(store, "UNSYNCED", 8)
    flood = [Sender(b"L%d" % number).cc() for number in range(300)]

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            one, other = await lab.link(), await lab.link()
            await one.send(*flood)
            through = asyncio.create_task(one.barrier())
            while not lab.receiver.stored:
                await asyncio.sleep(0)
            await other.send(Sender().tri(hi.KeepAlive(), 3))
            assert (await other.answer()).payload == hi.KeepAliveResponse()
            assert not through.done() and lab.receiver.stored < len(flood)
            await through
            await one.close()
            await other.close()
        return lab

    lab = run(main)
    assert lab.receiver.stored == len(flood) and lab.findings == []
    assert [lab.file("hi3.ber", b"L%d" % number) for number in range(300)] == flood


def test_what_came_before_the_end_of_a_link_is_stored(pki, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "TURN", 2)
    pdus = [Sender(b"L%d" % number).cc() for number in range(50)]

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(*pdus)
            await client.close()
            while not any(text.endswith("disconnected") for _, text in lab.told):
                await asyncio.sleep(0.01)
        return lab

    assert run(main).receiver.stored == len(pdus)


def test_handshakes_that_do_not_end_make_room(pki, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "HANDSHAKES", 2)

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            silent = [Client(*await asyncio.open_connection(*lab.address)) for _ in range(3)]
            assert await silent[0].ended() == b""
            good = await lab.link()
            await good.barrier()
            assert await silent[1].ended() == b""
            for client in (*silent, good):
                await client.close()
        return lab

    lab = run(main)
    assert (lab.receiver.connections, lab.receiver.refused) == (1, 2)


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
    monkeypatch.setattr(connection, "CONNECTIONS", 2)

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


def test_a_fault_of_ours_ends_one_link_and_says_no_content(pki, tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("secret content")

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            with monkeypatch.context() as patch:
                patch.setattr("midcall.lemf.link.Link._one", broken)
                await client.send(Sender().cc())
                assert await client.ended() == b""
            await client.close()
            other = await lab.link()
            await other.barrier()
            await other.close()
        return lab

    (found,) = run(main).findings
    assert "RuntimeError" in found["text"] and "secret" not in found["text"]
