"""What is fuzzed: one target a parser. Each raises its parser's own error or nothing; all else is a finding.

To add one: write a function of octets, and put it into TARGETS with the folder of its corpus.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from imswire import inet, mikey, pcap, sdp, sip, srtp
from imswire.errors import WireError
from imswire.mikey import fields as mikey_fields
from imswire.mikey import sakke_message, ticket
from imswire.mikey import values as v
from imswire.sip.edit import Editor
from imswire.sip.verdict import Action, judge
from imswire.srtp import sdes
from scripts.fuzz import audit, dns_answers, hi, interception, sip_layouts, x1, xk

DATA = Path(__file__).parents[2] / "tests" / "data"


class Target(NamedTuple):
    """A parser under test and where its corpus comes from."""

    run: Callable[[bytes], None]
    corpus: Callable[[], Iterator[bytes]]


# Targets


def sip_message(octets: bytes) -> None:
    """A message, its lazy parts, its edits; what is put together again is the same message."""
    verdict = judge(octets)
    message = sip.parse(octets)
    for name in ("call_id", "cseq", "from_", "to", "from_tag", "to_tag", "vias", "top_branch", "sdp", "content_type"):
        try:
            getattr(message, name)
        except sip.SipError:
            continue
    for name, _ in message.header_lines():
        message.values(name)
    if verdict.action is Action.FORWARD:
        again = sip.parse(Editor(message).octets())
        assert again.body == message.body and again.start_line == message.start_line


def sip_stream(octets: bytes) -> None:
    """However a stream is cut, it gives the same messages and the same fault."""
    whole, cut = sip.StreamFramer(), sip.StreamFramer()
    messages = whole.feed(octets)
    place = octets[0] * len(octets) // 256 if octets else 0
    pieces = cut.feed(octets[:place]) + cut.feed(octets[place:])
    assert pieces == messages and str(whole.fault) == str(cut.fault)


def sip_headers(octets: bytes) -> None:
    text = octets.decode("utf-8", "surrogateescape")
    for parse in (sip.parse_name_addr, sip.parse_via, sip.parse_cseq, sip.parse_uri):
        try:
            parse(text)
        except sip.SipError:
            continue
    for form in sip.identities(text):
        assert sip.identities(form) == (form,) or form.startswith("sip:"), "a canonical form is its own"


def sdp_description(octets: bytes) -> None:
    for line in sdp.parse(octets).media:
        _ = line.rejected, line.secure, line.endpoint
        for crypto in line.crypto:
            try:
                sdes.keys(crypto.suite, crypto.key_params, crypto.session_params)
            except srtp.SrtpError:
                continue


def mikey_message(octets: bytes) -> None:
    """A message is what its values build; its parts read or refuse."""
    message = mikey.parse(octets)
    assert mikey.build(message.header, [each.value for each in message.payloads]) is not None
    mikey_fields.fields(octets)
    for found in message.all(v.Ticket):
        try:
            mikey.PolicyData.read(found.policy)
            ticket.read_data(found.ticket_data)
        except mikey.MikeyError:
            continue
    for policy in message.all(v.Sp):
        try:
            srtp.Policy.from_sp(policy.mapping)
        except srtp.SrtpError:
            continue


def mikey_exchange(octets: bytes) -> None:
    """The derivation, as far as it comes without right keys."""
    exchange = mikey.Exchange.read(octets, None)
    mikey.Derivation(exchange, mikey.Resolved(bytes(16), bytes(16), ())).run([])


def sakke_identifiers(octets: bytes) -> None:
    sakke_message.identifiers(mikey.parse(octets))


def frames(octets: bytes) -> None:
    """A frame of a link type that the first octet chooses, with fragments and tunnels."""
    links = (inet.ETHERNET, inet.LINUX_SLL, inet.LINUX_SLL2, inet.RAW, inet.NULL, inet.LOOP)
    link = links[octets[0] % len(links)] if octets else inet.RAW
    found = inet.decode(link, octets[1:])
    if isinstance(found, inet.Fragment):
        found = inet.Reassembler().add(found, 0)
    if isinstance(found, inet.Datagram):
        inside = inet.inner(found)
        if inside is not None:
            inet.bare(link, inside)
    inet.peek_udp(link)(octets[1:])


def tcp_streams(octets: bytes) -> None:
    """Segments of one connection with sequence numbers from the octets; what comes out was in them."""
    streams = inet.TcpStreams()
    flags = (inet.ACK, inet.ACK, inet.ACK, inet.PSH | inet.ACK, inet.ACK, inet.SYN, inet.FIN | inet.ACK, inet.RST)
    given = 0
    for at in range(0, min(len(octets), 400), 8):
        seq, size = int.from_bytes(octets[at : at + 2], "big"), octets[at + 2 : at + 3] or b"\0"
        payload = octets[at + 3 : at + 8] * (size[0] % 20)
        segment = inet.Datagram(
            b"\1\2\3\4", b"\5\6\7\x08", inet.TCP, 1, 2, payload, 0, 0, len(payload), payload, seq, flags[size[0] % 8]
        )
        given += len(payload)
        given -= sum(len(piece.data) for piece in streams.add(segment, at))
    given -= sum(len(piece.data) for piece in streams.finish())
    assert given >= 0


def captures(octets: bytes) -> None:
    """A capture of any kind; frames stay within the bound. A sieve that passes nothing over gives them all, and one
    that passes some over all others; the last one, and what is wrong, stay the same."""
    known: list[pcap.Record] = []
    fault = ""
    try:
        for batch in pcap.Reader(BytesIO(octets).read).batches():
            assert all(len(frame) <= pcap.MAX_FRAME * 2 for _, frame, _ in batch)
            known += batch
    except pcap.PcapError as error:
        fault = str(error)
    everything = list(enumerate(known, 1))
    assert _sifted(octets, pcap.Sieve(lambda *_: False, 0)) == (everything, fault)
    found, same = _sifted(octets, pcap.Sieve(_odd, _WAKE))
    wanted = [(number, record) for number, record in everything if not _may_go(record)]
    assert same == fault and found[-1:] == everything[-1:]
    assert [each for each in found if not _may_go(each[1])] == wanted
    assert all(known[number - 1] == record for number, record in found)


_WAKE = 1_795_521_400


def _sifted(octets: bytes, sieve: pcap.Sieve) -> tuple[list[tuple[int, pcap.Record]], str]:
    found: list[tuple[int, pcap.Record]] = []
    try:
        for _, records in pcap.Reader(BytesIO(octets).read).sifted(sieve):
            found += [(number, (time, frame, original)) for number, time, frame, original in records]
    except pcap.PcapError as error:
        return found, str(error)
    return found, ""


def _odd(octets: bytes, start: int, end: int) -> bool:
    return start < end and bool(octets[end - 1] & 1)


def _may_go(record: pcap.Record) -> bool:
    time, frame, original = record
    return time < _WAKE * 1_000_000_000 and len(frame) == original and _odd(frame, 0, len(frame))


def srtp_packets(octets: bytes) -> None:
    """Packets under every kind of policy."""
    for policy in _POLICIES:
        master = srtp.MasterKey(bytes(policy.key_length), bytes(policy.salt_length))
        stream = srtp.open_stream(policy, master, 1, engine="reference")
        stream.unprotect(octets)
        stream.unprotect_rtcp(octets)


_POLICIES = (srtp.AES_CM_128_HMAC_SHA1_32, srtp.AEAD_AES_128_GCM)


# Corpora


def torture() -> Iterator[bytes]:
    return (path.read_bytes() for path in sorted((DATA / "torture").rglob("*.dat")))


def header_values() -> Iterator[bytes]:
    for octets in torture():
        for line in octets.split(b"\r\n"):
            yield line.partition(b":")[2].strip()[:300]


def descriptions() -> Iterator[bytes]:
    for octets in torture():
        body = octets.partition(b"\r\n\r\n")[2]
        if body.startswith(b"v="):
            yield body
    start = b"v=0\r\nc=IN IP4 1.2.3.4\r\nm=audio 4 RTP/SAVP 0 96\r\n"
    yield start + b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|2^20|1:4\r\n"
    yield start + b"a=key-mgmt:mikey AQAF\r\na=rtpmap:96 x/8000\r\na=candidate:1 1 UDP 1 ::1 9 typ host\r\n"


def mikey_messages() -> Iterator[bytes]:
    for name in ("mikey-ticket.json", "sakke.json"):
        yield from _octets(json.loads((DATA / "vectors" / name).read_text()), 60)


def _octets(value: Any, least: int) -> Iterator[bytes]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _octets(each, least)
    elif isinstance(value, str) and len(value) >= 2 * least:
        try:
            octets = bytes.fromhex(value)
        except ValueError:
            return
        if octets[0] == 1:
            yield octets


def capture_files() -> Iterator[bytes]:
    for path in sorted((DATA / "captures").glob("*.pcap")):
        octets = path.read_bytes()[:4_096]
        yield octets
        yield _as_pcapng(octets)


def _as_pcapng(octets: bytes) -> bytes:
    """The same frames of two interfaces in turn, as far as they are whole."""
    reader = pcap.Reader(BytesIO(octets).read)
    blocks = [pcap.ng_section(reader.link_type, reader.link_type, inet.RAW)]
    with suppress(pcap.PcapError):
        for batch in reader.batches():
            blocks += (pcap.ng_packet(time, frame, place % 2) for place, (time, frame, _) in enumerate(batch))
    return b"".join(blocks)


def captured_frames() -> Iterator[bytes]:
    for number, name in ((0, "linux-ethernet"), (1, "linux-sll"), (2, "linux-sll2")):
        with (DATA / "captures" / f"{name}.pcap").open("rb") as file:
            for batch in pcap.Reader(file.read).batches():
                yield from (bytes((number,)) + frame for _, frame, _ in batch)


def packets() -> Iterator[bytes]:
    yield b"\x80\0\0\1" + bytes(8) + bytes(40)
    yield b"\x80\xc8\0\6" + bytes(40)


TARGETS: dict[str, Target] = {
    "sip-message": Target(sip_message, torture),
    "sip-stream": Target(sip_stream, torture),
    "sip-layouts": Target(sip_layouts.run, torture),
    "sip-headers": Target(sip_headers, header_values),
    "sdp": Target(sdp_description, descriptions),
    "mikey": Target(mikey_message, mikey_messages),
    "mikey-exchange": Target(mikey_exchange, mikey_messages),
    "sakke": Target(sakke_identifiers, mikey_messages),
    "inet": Target(frames, captured_frames),
    "tcp": Target(tcp_streams, captured_frames),
    "pcap": Target(captures, capture_files),
    "srtp": Target(srtp_packets, packets),
    "x2x3": Target(interception.x2x3_pdu, interception.x2x3_pdus),
    "x2x3-stream": Target(interception.x2x3_stream, interception.x2x3_streams),
    "x1-requests": Target(x1.requests, x1.request_documents),
    "x1-responses": Target(x1.responses, x1.response_documents),
    "xk": Target(xk.messages, xk.written),
    "audit": Target(audit.run, audit.written),
    "hep": Target(interception.hep_message, interception.hep_messages),
    "dns": Target(dns_answers.run, dns_answers.answers),
    "ber": Target(hi.tlvs, hi.pdus),
    "hi": Target(hi.pdu, hi.pdus),
    "hi-contents": Target(hi.contents, hi.carried),
    "hi-stream": Target(hi.stream, hi.streams),
}


def attempt(name: str, octets: bytes) -> None:
    """Run a target; the parsers' own errors are no findings."""
    try:
        TARGETS[name].run(octets)
    except WireError:
        return
