#!/usr/bin/env python3
"""Make a capture of simulated calls keyed by MIKEY-TICKET, and the KEYS.toml that opens them.

    scripts/make_capture.py out/calls.pcap --calls 3 --seconds 20 --flags DEFGHINO --profile gcm-256
    scripts/make_capture.py out/core.pcapng.gz --format pcapng --gzip --tunnel gtp-u --mtu 600 --sdes AEAD_AES_256_GCM

The users alice0, bob0, alice1, ... @example.com really ask their KMS for tickets, offer and resolve them, and
talk SRTP. The same seed gives the same capture. ``midcall replay`` takes both files.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

from imswire import inet, mikey, pcap, srtp
from imswire.mikey.exchange import SUITE_128, SUITE_256
from imswire.srtp.sdes import SUITES
from midcall.kms import Kms, KmsRefusal, KmsStore, Subscriber, TicketProtectionKey, keyfile
from midcall.ue import lab
from midcall.ue import ticket as t
from midcall.ue.call import MILLI, Call
from midcall.ue.party import PCMA, PCMU, Party
from midcall.ue.ticket import TicketUser
from midcall.ue.wire import Timed, Wire

KEY_TYPES = {
    "tgk": mikey.KeyType.TGK,
    "tgk+salt": mikey.KeyType.TGK_SALT,
    "gtgk": mikey.KeyType.GTGK,
    "gtgk+salt": mikey.KeyType.GTGK_SALT,
    "tek": mikey.KeyType.TEK,
    "tek+salt": mikey.KeyType.TEK_SALT,
}
PROFILES = {
    "cm-128-80": (t.AES_CM_128_80, SUITE_128),
    "cm-128-32": (t.AES_CM_128_32, SUITE_128),
    "cm-192-80": (t.AES_CM_192_80, SUITE_256),
    "cm-256-80": (t.AES_CM_256_80, SUITE_256),
    "f8-128-80": (t.AES_F8_128_80, SUITE_128),
    "null-80": (t.NULL_80, SUITE_128),
    "gcm-128": (t.AES_GCM_128, SUITE_128),
    "gcm-256": (t.AES_GCM_256, SUITE_256),
}
LINKS = {"ethernet": inet.ETHERNET, "sll": inet.LINUX_SLL, "sll2": inet.LINUX_SLL2, "raw": inet.RAW, "null": inet.NULL}
CORE = inet.pack("172.16.0.1"), inet.pack("172.16.0.2")
TPK_ID = "tpk-1"


def _gtp_u(packet: bytes) -> bytes:
    return inet.udp_frame(CORE[0], 2152, CORE[1], 2152, b"\x30\xff" + len(packet).to_bytes(2, "big") + b"TEID" + packet)


def _vxlan(packet: bytes) -> bytes:
    return inet.udp_frame(CORE[0], 40_000, CORE[1], 4789, b"\x08\0\0\0\0\0\7\0" + inet.ethernet_frame(packet))


def _in_ip(packet: bytes) -> bytes:
    return inet.ethernet_frame(inet.ip_packet(*CORE, 4 if packet[0] >> 4 == 4 else 41, packet))


def _gre(packet: bytes) -> bytes:
    ethertype = b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return inet.ethernet_frame(inet.ip_packet(*CORE, 47, b"\x20\0" + ethertype + b"key!" + packet))


TUNNELS = {"gtp-u": _gtp_u, "vxlan": _vxlan, "ip-in-ip": _in_ip, "gre": _gre}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("capture", type=Path, help="pcap file to write")
    add("--keys", type=Path, help="KEYS.toml to write (default: beside the capture)")
    add("--seed", default="midcall", help="same seed, same capture")
    add("--calls", type=int, default=1, help="calls, 200 ms apart (1 to 60)")
    add("--seconds", type=float, default=10, help="how long each call is talked")
    add("--flags", default="DEFGHJLMNO", help="policy flags of the tickets (RFC 6043 6.10); I is key forking")
    add("--key-type", choices=KEY_TYPES, default="tgk+salt", help="of the keys in the tickets")
    add("--ticket-keys", type=int, default=1, help="keys in each ticket (1 to 8); each media line uses its own")
    add("--mode-3", action="store_true", help="the Initiator makes the tickets itself")
    add("--profile", choices=PROFILES, default="cm-128-80", help="SRTP profile")
    add("--codec", choices=("pcmu", "pcma"), default="pcmu")
    add("--video", action="store_true", help="a video line beside the audio")
    add("--media-level", action="store_true", help="key-mgmt at media level, a bundle a line")
    add("--mki", action="store_true", help="packets carry an MKI")
    add("--roc", type=int, default=0, help="rollover counter that the streams begin with")
    add("--rekey-after", type=float, metavar="S", help="re-INVITE with a CSB update after S seconds of talk")
    add("--hold-after", type=float, metavar="S", help="a second of hold after S seconds of talk")
    add("--ipv6", action="store_true")
    add("--tcp", action="store_true", help="SIP over TCP")
    add("--vlan", type=int, action="append", default=[], help="802.1Q tag; repeatable")
    add("--sdes", choices=sorted(SUITES), metavar="SUITE", help="security descriptions instead of tickets: a suite")
    add("--sdes-params", default="", help='session parameters of a=crypto, such as "KDR=6"')
    add("--segment", type=int, metavar="N", help="with --tcp: segments of N octets that overlap by a quarter")
    add("--late-segments", type=float, default=0, help="with --tcp: share of segments that come 200 ms late")
    add("--mtu", type=int, metavar="N", help="cut IP packets into fragments of at most N octets")
    add("--extension-headers", action="store_true", help="with --ipv6: hop-by-hop options in each packet and fragment")
    add("--tunnel", action="append", default=[], choices=TUNNELS, help="put each packet into a tunnel; repeatable")
    add("--link", choices=LINKS, default="ethernet", help="link layer of the capture")
    add("--service-vlan", type=int, metavar="N", help="802.1ad tag before all others (QinQ), with --link ethernet")
    add("--second-link", choices=LINKS, help="with pcapng: media on a second interface of this link layer")
    add("--format", choices=("pcap", "pcapng"), default="pcap")
    add("--gzip", action="store_true")
    add("--loss", type=float, default=0, help="share of RTP packets that are lost (0 to 1)")
    add("--duplicates", type=float, default=0, help="share of RTP packets that come twice")
    add("--reorder", type=float, default=0, help="share of RTP packets that come 60 ms late")
    add("--forged", type=float, default=0, help="share of RTP packets that are followed by a forged copy")
    given = parser.parse_args()
    if not 1 <= given.calls <= 60:
        parser.error("--calls: from 1 to 60")
    if not 1 <= given.ticket_keys <= 8:
        parser.error("--ticket-keys: from 1 to 8")
    if given.mtu is not None and given.mtu < 100:
        parser.error("--mtu: at least 100")
    if given.segment is not None and given.segment < 8:
        parser.error("--segment: at least 8")
    if given.service_vlan is not None and not 0 <= given.service_vlan <= 4_095:
        parser.error("--service-vlan: from 0 to 4095")
    if given.second_link is not None and given.format != "pcapng":
        parser.error("--second-link: only with --format pcapng")
    if not 0 < given.seconds <= 86_400:
        parser.error("--seconds: more than 0, at most 86400")
    return given


class Lab:
    """Users, their KMS, and the calls that the options describe."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.params, self.suite = PROFILES[options.profile]
        self.draw = lab.seeded(options.seed)
        self.users = [
            lab.user(f"{side}{i}", self.draw, self.suite) for i in range(options.calls) for side in ("alice", "bob")
        ]
        self.tpk = self.draw(self.suite.octets)
        subscribers = tuple(Subscriber((u.uri,), u.psk_id, u.psk) for u in self.users)
        self.kms = Kms(KmsStore(lab.KMS_IDENTITY, (TicketProtectionKey(TPK_ID.encode(), self.tpk),), subscribers))
        self.wire = Wire(tuple(options.vlan))

    def ask(self, octets: bytes) -> bytes:
        return self.kms.answer(octets, lab.BEGIN, self.draw)

    def held(self, owner: TicketUser, peer: TicketUser) -> t.Held:
        if self.options.mode_3:
            flags = "".join(sorted({*self.options.flags, "L"} - {"D", "K"}))
            return owner.make_ticket(TPK_ID.encode(), self.tpk, lab.BEGIN, (peer.uri,), flags)
        salt = 12 if self.options.profile.startswith("gcm") else 14
        wished = {"key_type": KEY_TYPES[self.options.key_type], "keys": self.options.ticket_keys}
        return owner.request_ticket(self.ask, lab.BEGIN, (peer.uri,), self.options.flags, salt_octets=salt, **wished)

    def call(self, number: int) -> None:
        options = self.options
        alice, bob = self.users[2 * number : 2 * number + 2]
        call = Call(
            self.wire,
            self.ask,
            self.party(alice, 2 * number + 1),
            self.party(bob, 2 * number + 2),
            f"call-{number + 1}@example.com",
            lab.BEGIN + number * 200 * MILLI,
            transport="TCP" if options.tcp else "UDP",
            session_level=not options.media_level,
        )
        call.params, call.mki, call.roc = self.params, options.mki, options.roc
        if options.sdes is not None:
            call.establish_sdes(self.draw, options.sdes, options.sdes_params, mki=b"\1" if options.mki else b"")
        else:
            call.establish(self.held(alice, bob))
        self.talk(call)
        call.hang_up()

    def party(self, user: TicketUser, number: int) -> Party:
        options = self.options
        address = f"2001:db8::{number:x}" if options.ipv6 else f"10.0.0.{number}"
        codec = PCMA if options.codec == "pcma" else PCMU
        return lab.party(user, number, address=address, video=options.video, codec=codec)

    def talk(self, call: Call) -> None:
        """Talk, with what happens in between at its time."""
        events = {self.options.rekey_after: self.rekey, self.options.hold_after: self.hold}
        done = 0.0
        for after in sorted(after for after in events if after is not None and after < self.options.seconds):
            call.talk(after - done)
            events[after](call)
            done = after
        call.talk(self.options.seconds - done)

    def rekey(self, call: Call) -> None:
        if self.options.sdes is not None:
            call.rekey_sdes(self.draw, self.options.sdes, self.options.sdes_params)
            return
        salt = 12 if self.options.profile.startswith("gcm") else 14
        call.rekey(self.draw(self.suite.octets), self.draw(salt), b"\x02")

    @staticmethod
    def hold(call: Call) -> None:
        call.reinvite(call.sdp(call.caller, [], direction="sendonly"), call.sdp(call.callee, [], direction="recvonly"))
        call.talk(1, only=call.caller)
        call.reinvite(call.sdp(call.caller, []), call.sdp(call.callee, []))

    def key_file(self) -> str:
        users = [{"identity": u.uri, "psk_id": u.psk_id.decode(), "psk": u.psk} for u in self.users]
        return keyfile.example(lab.KMS_IDENTITY, {TPK_ID: self.tpk}, users)


def disturbed(frames: list[Timed], options: argparse.Namespace) -> Iterator[Timed]:
    """Loss, repetition, delay and forgery of media; signalling is left alone."""
    chance = Random(sha256(options.seed.encode()).digest())  # noqa: S311 - no secret comes of it
    for time, frame in frames:
        if b"SIP/2.0" in frame or len(frame) < 90:
            yield time, frame
            continue
        if chance.random() < options.loss:
            continue
        yield (time + 60 * MILLI if chance.random() < options.reorder else time), frame
        if chance.random() < options.duplicates:
            yield time + MILLI, frame
        if chance.random() < options.forged:
            yield time + 2 * MILLI, frame[:-1] + bytes((frame[-1] ^ 1,))


def segmented(frames: Iterable[Timed], options: argparse.Namespace) -> Iterator[Timed]:
    """TCP in smaller segments, some of them lost at first and sent anew."""
    chance = Random(sha256(b"segments" + options.seed.encode()).digest())  # noqa: S311 - no secret comes of it
    for time, frame in frames:
        for piece in overlapping(frame, options.segment) if options.segment else [frame]:
            late = options.late_segments and is_tcp(piece) and chance.random() < options.late_segments
            yield (time + 200 * MILLI if late else time), piece


def shaped(frames: Iterable[Timed], options: argparse.Namespace) -> Iterator[tuple[int, bytes, int]]:
    """The frames as the network would have them, cut and in tunnels, behind the link header of an interface."""
    links = [options.link, options.second_link]
    for number, (time, frame) in enumerate(frames, 1):
        second = options.second_link is not None and b"SIP/2.0" not in frame and not is_tcp(frame)
        cut = inet.fragment_frame(inet.ETHERNET, frame, options.mtu, number) if options.mtu else [frame]
        for each in cut:
            extended = with_hop_by_hop(each) if options.extension_headers else each
            whole = tunnelled(extended, options.tunnel)
            if options.service_vlan is not None:
                whole = whole[:12] + b"\x88\xa8" + options.service_vlan.to_bytes(2, "big") + whole[12:]
            yield time, linked(whole, links[second]), int(second)


def is_tcp(frame: bytes) -> bool:
    found = inet.decode(inet.ETHERNET, frame)
    return isinstance(found, inet.Datagram) and found.protocol == inet.TCP


def with_hop_by_hop(frame: bytes) -> bytes:
    """An IPv6 packet with an options header of padding alone (RFC 8200 4.2, 4.3); IPv4 as it is."""
    at = inet.locate(inet.ETHERNET, frame)
    if at is None or at.version != 6:
        return frame
    head, rest = frame[at.offset : at.offset + 40], frame[at.offset + 40 :]
    options = head[6:7] + b"\0\1\4\0\0\0\0"
    length = (len(rest) + len(options)).to_bytes(2, "big")
    return frame[: at.offset] + head[:4] + length + b"\0" + head[7:] + options + rest


def overlapping(frame: bytes, size: int) -> list[bytes]:
    """A TCP segment as several, each of which repeats the end of the one before."""
    found = inet.decode(inet.ETHERNET, frame)
    if not isinstance(found, inet.Datagram) or found.protocol != inet.TCP or len(found.payload) <= size:
        return [frame]
    ends = (found.src, found.sport, found.dst, found.dport)
    return [
        inet.tcp_frame(*ends, found.payload[max(at - size // 4, 0) : at + size], seq=found.seq + max(at - size // 4, 0))
        for at in range(0, len(found.payload), size)
    ]


def tunnelled(frame: bytes, tunnels: list[str]) -> bytes:
    for name in tunnels:
        at = inet.locate(inet.ETHERNET, frame)
        assert at is not None
        frame = TUNNELS[name](frame[at.offset :])
    return frame


def linked(frame: bytes, link: str) -> bytes:
    if link == "ethernet":
        return frame
    made = inet.bare(LINKS[link], inet.Inner(inet.ETHERNET, frame))
    assert made is not None
    return made


def written(frames: Iterable[tuple[int, bytes, int]], options: argparse.Namespace) -> Iterator[bytes]:
    """The capture file in pieces."""
    if options.format == "pcap":
        yield pcap.file_header(LINKS[options.link])
        yield from (pcap.record(time, frame) for time, frame, _ in frames)
        return
    yield pcap.ng_section(*(LINKS[link] for link in (options.link, options.second_link) if link is not None))
    yield from (pcap.ng_packet(time, frame, interface) for time, frame, interface in frames)


def main() -> int:
    options = arguments()
    made = Lab(options)
    try:
        for number in range(options.calls):
            made.call(number)
    except (mikey.MikeyError, srtp.SrtpError, inet.InetError, KmsRefusal, TypeError) as error:
        print(f"make_capture: these options make no call: {error}", file=sys.stderr)
        return 2
    frames = sorted(segmented(disturbed(made.wire.in_order(), options), options), key=lambda timed: timed[0])
    count = -1  # the header of the file is no frame
    keys = options.keys or options.capture.with_name("KEYS.toml")
    try:
        options.capture.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(options.capture, "wb") if options.gzip else options.capture.open("wb") as file:
            for piece in written(shaped(frames, options), options):
                count += 1
                file.write(piece)
        keys.touch(mode=0o600)
        keys.write_text(made.key_file())
    except OSError as error:
        print(f"make_capture: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{count} frames, {options.calls} calls -> {options.capture}; keys -> {keys}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
