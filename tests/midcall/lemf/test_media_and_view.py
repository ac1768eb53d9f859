"""Media as files, and what the screen shows."""

from __future__ import annotations

import pytest
from rich.console import Console

from imswire import hi, inet
from imswire.hi import eps
from midcall.lemf import Lemf, Link
from midcall.lemf.shell.media import LINGER, MediaFiles
from midcall.lemf.shell.view import Screen, calls_table
from tests.midcall.lemf.deliverer import NOW, SDP, Sender
from tests.midcall.lemf.loopback import Lab, frames, run


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


def test_the_files_of_a_call_that_has_ended_are_finished(tmp_path):
    lemf = Lemf()
    link = Link(lemf, "df")
    files = MediaFiles(lambda _: tmp_path, lambda _: None)
    sender = Sender()
    pdus = [sender.iri(kind=hi.IriType.BEGIN), sender.cc(0), sender.iri(kind=hi.IriType.END)]
    for call, media in link.receive(b"".join(pdus), NOW * 2).media:
        files.write(call, media)
    for _ in range(LINGER):
        list(files.tick())
        assert not list(tmp_path.glob("*-mix.wav"))
    list(files.tick())
    assert list(tmp_path.glob("*-mix.wav")) and files.finished == 3
    for call, media in link.receive(sender.cc(0), NOW * 2).media:
        files.write(call, media)
    assert {path.name for path in files.close_all()} == {"cin-1-2.pcap", "cin-1-2-from-target.wav", "cin-1-2-mix.wav"}
    assert files.finished == 6


def test_the_files_of_too_many_calls_at_once_are_finished_early(tmp_path):
    lemf = Lemf()
    link = Link(lemf, "df")
    files = MediaFiles(lambda _: tmp_path, lambda _: None, calls=1)
    for _ in range(2):
        for cin in range(2):
            one = Sender(cin=cin)
            one.numbers["CC"] = 2 * len(list(tmp_path.glob("cin-0*.pcap")))
            for call, media in link.receive(one.cc(0) + one.cc(0), NOW * 2).media:
                files.write(call, media)
    files.close_all()
    assert len(list(tmp_path.glob("cin-?.pcap"))) == 2


@pytest.mark.parametrize(
    ("message", "event", "state"),
    [
        (b"INVITE sip:b@x SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n", "SIP INVITE", "reported"),
        (b"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n", "SIP 200 (INVITE)", "reported"),
        (b"SIP/2.0 200 OK\r\nVia: x\r\ncseq : 2 BYE\r\n\r\n", "SIP 200 (BYE)", "ended"),
        (b"SIP/2.0 404", "SIP 404", "reported"),
        (b"\x1b[31m", "SIP \\x1b[31m", "reported"),
    ],
)
def test_calls_of_reports_only_end_with_the_answer_to_bye(message, event, state):
    lemf = Lemf()
    sender = Sender()
    contents = eps.build(eps.IriParameters(liid=b"LIID1", time=NOW, event=1, sip_message=message))
    batch = Link(lemf, "df").receive(sender.iri(contents), NOW * 2)
    (call,) = lemf.calls.values()
    assert (call.event, call.state) == (event, state) and batch.events == [f"LIID LIID1 CIN 1: {event}"]
