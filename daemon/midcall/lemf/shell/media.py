"""The media of each call as files: RTP in a pcap, and G.711 as WAV, one a direction and a stereo mix.

A record without IP and UDP headers gets made ones: the destination from its own SDP lines (streamIdentifier,
sDPInfo, copyOfSDPdescription), else the documentation addresses 192.0.2.1 (target) and 192.0.2.2 (the others),
ports 40 000 + 2 * the stream's number in its call. Made IPv4 headers have no UDP checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import Struct

from imswire import hi, inet, pcap, sdp
from imswire.errors import WireError
from imswire.sdp import Codec
from midcall.base import owner_only
from midcall.base.bounded import BoundedTable
from midcall.base.call_audio import CallAudio, Voice
from midcall.base.columns import columns
from midcall.lemf.calls import Call, MediaStream, Packets
from midcall.lemf.content import SECOND, StreamKey

CALLS = 4_096
VOICES = 16
FLUSH_OCTETS = 1 << 16
FEW = 16
"""Packets that are not looked at together once more."""
LINGER = 2
"""Seconds without a packet after which the files of a call that has ended are finished."""
TARGET, OTHERS = inet.pack("192.0.2.1"), inet.pack("192.0.2.2")
FIRST_PORT = 40_000
SIDES = ("from-target", "to-target")
STATIC = {0: Codec("PCMU", 8_000), 8: Codec("PCMA", 8_000)}
_HEADERS = 42
_RTP_OCTETS = 12
_KIND, _SSRC = slice(1, 2), slice(8, 12)
_ALIKE = (1, 8, 9, 10, 11)
"""Octets of RTP that the packets of a voice have in common: those of ``_KIND`` and ``_SSRC``."""
_TIME, _LENGTHS = Struct("<II").pack, Struct("<II").pack
_LENGTH_OCTETS = 8
_BEFORE = _LENGTH_OCTETS + _HEADERS
_PACKETS = {hi.FrameType.IP, hi.FrameType.UDP, hi.FrameType.RTP, hi.FrameType.ARTIFICIAL_RTP, hi.FrameType.UDPTL}
_RTCP = range(192, 224)
"""Second octets of RTCP where it shares a port with RTP (RFC 5761 4)."""


def _inside(packet: bytes) -> bytes:
    """The RTP of an IP packet; nothing when there is none."""
    try:
        found = inet.decode(inet.RAW, packet)
    except inet.InetError:
        return b""
    return found.payload if isinstance(found, inet.Datagram) else b""


class _Sink:
    """How the packets of one stream are written."""

    __slots__ = ("codecs", "destination", "heads", "kind", "side", "source", "ssrc", "voice", "voices")

    def __init__(self, stream: MediaStream) -> None:
        key = stream.key
        self.side = 1 if key.direction == hi.Direction.TO_TARGET else 0
        port = FIRST_PORT + 2 * stream.number
        ends = ((OTHERS, port), (TARGET, port)) if self.side else ((TARGET, port), (OTHERS, port))
        self.source, self.destination = ends
        self.codecs = dict(STATIC)
        self._describe(key)
        self.heads: dict[int, bytes] = {}
        self.voices: dict[bytes, Voice | None] = {}
        self.ssrc = b""
        self.kind = b""
        self.voice: Voice | None = None

    def _describe(self, key: StreamKey) -> None:
        """Its own SDP lines say where the stream goes to, and what its payload types mean."""
        if not key.description:
            return
        text = key.description if key.description.startswith(b"v=") else b"v=0\r\n" + key.description
        try:
            media = sdp.parse(text).media
            if media and media[0].address and media[0].port:
                address = inet.pack(media[0].address)
                if len(address) == len(self.source[0]):
                    self.destination = (address, media[0].port)
                else:
                    self.source, self.destination = (bytes(15) + b"\1", self.source[1]), (address, media[0].port)
            if media:
                self.codecs |= media[0].codecs
        except (sdp.SdpError, inet.InetError, ValueError):
            return

    def frame(self, packet: bytes, frame: int) -> bytes:
        """An Ethernet frame around the packet as it was delivered."""
        if packet[:1] and packet[0] >> 4 in (4, 6):
            return inet.ethernet_frame(packet)
        if frame == hi.FrameType.UDP:
            return inet.ethernet_frame(inet.ip_packet(self.source[0], self.destination[0], inet.UDP, packet))
        if len(self.source[0]) == 16:
            return inet.udp_frame(*self.source, *self.destination, packet)
        head = self.heads.get(len(packet))
        if head is None:
            made = inet.udp_frame(*self.source, *self.destination, bytes(len(packet)))
            head = self.heads[len(packet)] = _LENGTHS(len(made), len(made)) + made[: _HEADERS - 2] + bytes(2)
        return head[_LENGTH_OCTETS:] + packet


def _head(stream: MediaStream, size: int, kind: bytes, ssrc: bytes) -> bytes | None:
    """What a frame begins with; None: the packet is not like the one before it in its stream."""
    sink = stream.sink
    return sink.heads.get(size) if isinstance(sink, _Sink) and (sink.kind, sink.ssrc) == (kind, ssrc) else None


def _voice_of(stream: MediaStream) -> Voice | None:
    return stream.sink.voice if isinstance(stream.sink, _Sink) else None


def _side_of(stream: MediaStream) -> int | None:
    return stream.sink.side if isinstance(stream.sink, _Sink) else None


def _apart(waiting: Packets) -> dict[MediaStream, list[bytes]]:
    """The packets of each stream."""
    found: dict[MediaStream, list[bytes]] = {}
    for stream, packet in zip(waiting.streams, waiting.octets, strict=True):
        its = found.get(stream)
        if its is None:
            its = found[stream] = []
        its.append(packet)
    return found


def _heads(apart: dict[MediaStream, list[bytes]], size: int) -> dict[MediaStream, bytes] | None:
    """What the frames of each stream begin with; None: a packet is not like those before it, or not of that size."""
    heads: dict[MediaStream, bytes] = {}
    for stream, packets in apart.items():
        first = packets[0]
        head = _head(stream, size, first[_KIND], first[_SSRC])
        if head is None or list(map(len, packets)).count(size) != len(packets):
            return None
        octets = b"".join(packets)
        if any(octets[place::size].count(first[place]) != len(packets) for place in _ALIKE):
            return None
        heads[stream] = head
    return heads


class _CallFiles:
    """The open files of a call. ``waiting`` has no frames yet, ``octets`` counts it too; ``keys``: it is not heard."""

    __slots__ = ("audio", "call", "heard", "keys", "octets", "path", "records", "waiting")

    def __init__(self, call: Call, folder: Path, name: str) -> None:
        self.call = call
        self.path = folder / f"{name}.pcap"
        self.audio = CallAudio(folder, name, SIDES)
        self.records: list[bytes] = [pcap.file_header(inet.ETHERNET)]
        self.waiting = Packets()
        self.keys = call.keys
        self.octets = self.heard = 0

    def flush(self) -> None:
        if self.records:
            owner_only.extend(self.path, b"".join(self.records))
            self.records.clear()
            self.octets = 0


class MediaFiles:
    """Writes as the packets come; made from hi3.ber, so that nothing waits for the disk here."""

    def __init__(self, folder: Callable[[bytes], Path], spend: Callable[[int], None], calls: int = CALLS) -> None:
        self._folder = folder
        self._spend = spend
        self._calls: BoundedTable[Call, _CallFiles] = BoundedTable("lemf.media", calls)
        self._seconds = 0
        self.without_frame = self.unreadable = 0
        self.finished = 0
        """Files that are whole, of calls that ended before the receiver too."""

    def write(self, call: Call, media: Packets) -> None:
        """Records of one call, in their order; they wait until there are enough of them, or for the next tick."""
        known = self._calls.get(call)
        files = known or self._open(call)
        files.heard = self._seconds
        if files.keys != call.keys:
            self._work(files)  # what came before the keys is heard, what comes behind them is not
            files.keys = call.keys
        files.waiting.fields += media.fields
        octets = media.octets
        files.octets += _HEADERS * len(octets) + sum(map(len, octets))
        if files.octets >= FLUSH_OCTETS:
            self._flush(files)
        elif known is None:
            self._work(files)  # its codecs can be seen at once

    def _work(self, files: _CallFiles) -> None:
        """Frames and sound of what waits."""
        waiting, files.waiting = files.waiting, Packets()
        self._together(files, waiting)

    def _together(self, files: _CallFiles, waiting: Packets) -> None:
        """Packets of a call that are like those before them in their streams; others one by one."""
        if not waiting:
            return
        apart = _apart(waiting)
        size = len(waiting.fields[3])
        heads = _heads(apart, size)
        if heads is None and len(waiting) > FEW:
            # A new stream, or one packet that is marked: not all the others go one by one for that.
            for half in waiting.halves():
                self._together(files, half)
            return
        if heads is None:
            for time, stream, packet in waiting:
                self._one(files, time, stream, packet)
            return
        frames = columns(f"<II{_BEFORE}s{size}s")
        fields = list(waiting.fields)
        fields[2::4] = map(heads.__getitem__, waiting.streams)
        files.records.append(frames.write(fields))
        if files.keys:
            return
        voices = {stream: _voice_of(stream) for stream in heads}
        if not files.audio.begun or len(heads) != len({_side_of(stream) for stream in heads}):
            # Where time begins, and which of two voices of a side is heard, is a matter of their order.
            self._hear(voices, waiting)
            return
        for stream, voice in voices.items():
            if voice is not None and not voice.run(apart[stream]):
                times = [time for time, whose, _ in waiting if whose is stream]
                self.unreadable += voice.packets(times, apart[stream])

    def _one(self, files: _CallFiles, time: int, stream: MediaStream, packet: bytes) -> None:
        rtp = packet
        if (head := _head(stream, len(packet), packet[_KIND], packet[_SSRC])) is not None:
            files.records += [_TIME(time // SECOND, time % SECOND // 1_000), head, packet]
        else:
            rtp = self._other(files, stream, time, packet)
        if not files.keys and rtp:
            self._hear({stream: _voice_of(stream)}, [(time, stream, rtp)])

    def _hear(self, voices: dict[MediaStream, Voice | None], media: Iterable[tuple[int, MediaStream, bytes]]) -> None:
        """RTP in clear, to who decodes it."""
        for time, stream, rtp in media:
            voice = voices[stream]
            if voice is not None:
                try:
                    voice.packet(time, rtp)
                except WireError:
                    self.unreadable += 1

    def _other(self, files: _CallFiles, stream: MediaStream, time: int, packet: bytes) -> bytes:
        """A packet unlike the one before it; returns the RTP in it."""
        sink = stream.sink
        if not isinstance(sink, _Sink):
            sink = stream.sink = _Sink(stream)
        if stream.key.frame not in _PACKETS or not packet:
            self.without_frame += 1
            return b""
        files.records.append(pcap.record(time, sink.frame(packet, stream.key.frame)))
        rtp = packet if packet[0] >> 6 == 2 else _inside(packet)
        self._voice(files, stream, sink, rtp)
        return rtp

    def _flush(self, files: _CallFiles) -> None:
        self._work(files)
        # The pcap, and about as much of WAV: linear samples, and the mix at the end.
        self._spend(4 * files.octets)
        files.flush()

    def tick(self) -> Iterator[None]:
        """Once a second: what is written can be seen; calls that have ended and are silent are finished.

        Gives way behind each call, so that others need not wait for all of them.
        """
        self._seconds += 1
        for files in list(self._calls.values()):
            if self._calls.get(files.call) is not files:
                continue  # it was finished meanwhile
            self._flush(files)
            if files.call.state == "ended" and files.heard + LINGER < self._seconds:
                self.close(files.call)
            yield

    def close(self, call: Call) -> list[Path]:
        """Finish the files of a call."""
        files = self._calls.pop(call)
        return self._finish(files) if files is not None else []

    def close_all(self) -> list[Path]:
        return [path for files in list(self._calls.values()) for path in self._finish(files)]

    def _finish(self, files: _CallFiles) -> list[Path]:
        self._work(files)
        for stream in files.call.streams.values():
            stream.sink = None
        files.flush()
        paths = [files.path, *files.audio.close()]
        self.finished += len(paths)
        return paths

    def _open(self, call: Call) -> _CallFiles:
        folder = self._folder(call.liid)
        name = f"cin-{call.cin}"
        number = 1
        while (folder / f"{name}.pcap").exists():
            number += 1
            name = f"cin-{call.cin}-{number}"
        files = _CallFiles(call, folder, name)
        files.flush()
        gone = self._calls.put(call, files)
        if gone is not None:
            self._finish(gone)
        return files

    def _voice(self, files: _CallFiles, stream: MediaStream, sink: _Sink, packet: bytes) -> None:
        """Who decodes this packet, and what is like it."""
        sink.voice, sink.ssrc, sink.kind = None, b"", b""
        if len(packet) < _RTP_OCTETS or packet[0] >> 6 != 2 or packet[1] in _RTCP:
            return
        sink.ssrc, sink.kind = packet[_SSRC], packet[_KIND]
        codec = sink.codecs.get(packet[1] & 0x7F)
        if codec is not None:
            files.call.codecs.add(codec.name)
        if sink.ssrc not in sink.voices:
            if len(sink.voices) >= VOICES:
                return
            ssrc = int.from_bytes(sink.ssrc, "big")
            sink.voices[sink.ssrc] = files.audio.voice(sink.side, ssrc, stream.number, sink.codecs)
        sink.voice = sink.voices[sink.ssrc]
