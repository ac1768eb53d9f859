"""The media of each call as files: RTP in a pcap, and G.711 as WAV, one a direction and a stereo mix.

A record without IP and UDP headers gets made ones: the destination from its own SDP lines (streamIdentifier,
sDPInfo, copyOfSDPdescription), else the documentation addresses 192.0.2.1 (target) and 192.0.2.2 (the others),
ports 40 000 + 2 * the stream's number in its call. Made IPv4 headers have no UDP checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import compress
from pathlib import Path
from struct import Struct

from imswire import hi, inet, pcap, sdp
from imswire.errors import WireError
from imswire.sdp import Codec
from midcall.base.bounded import BoundedTable
from midcall.base.call_audio import CallAudio, Voice
from midcall.lemf.calls import Call, MediaStream
from midcall.lemf.content import StreamKey

CALLS = 4_096
VOICES = 16
FLUSH_OCTETS = 1 << 16
LINGER = 2
"""Seconds without a packet after which the files of a call that has ended are finished."""
TARGET, OTHERS = inet.pack("192.0.2.1"), inet.pack("192.0.2.2")
FIRST_PORT = 40_000
SIDES = ("from-target", "to-target")
STATIC = {0: Codec("PCMU", 8_000), 8: Codec("PCMA", 8_000)}
_HEADERS = 42
_RTP_OCTETS = 12
_RECORD = Struct("<IIII").pack
_SECOND = 1_000_000_000
_PACKETS = {hi.FrameType.IP, hi.FrameType.UDP, hi.FrameType.RTP, hi.FrameType.ARTIFICIAL_RTP, hi.FrameType.UDPTL}
_RTCP = range(192, 224)
"""Second octets of RTCP where it shares a port with RTP (RFC 5761 4)."""
Media = tuple[int, MediaStream, bytes]
"""Time (wall ns), stream, packet."""


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
            head = self.heads[len(packet)] = made[: _HEADERS - 2] + bytes(2)
        return head + packet


def _head(stream: MediaStream, size: int, kind: bytes, ssrc: bytes) -> bytes | None:
    """What a frame begins with; None: the packet is not like the one before it in its stream."""
    sink = stream.sink
    return sink.heads.get(size) if isinstance(sink, _Sink) and (sink.kind, sink.ssrc) == (kind, ssrc) else None


def _voice_of(stream: MediaStream) -> Voice | None:
    return stream.sink.voice if isinstance(stream.sink, _Sink) else None


def _side_of(stream: MediaStream) -> int | None:
    return stream.sink.side if isinstance(stream.sink, _Sink) else None


class _Waiting:
    """Packets of a call until they are written, in columns: that many tuples would be the garbage collector's work."""

    __slots__ = ("packets", "streams", "times")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.streams: list[MediaStream] = []
        self.packets: list[bytes] = []

    def add(self, media: list[Media]) -> int:
        """Returns the octets of their frames."""
        times, streams, packets = zip(*media, strict=True)
        self.times += times
        self.streams += streams
        self.packets += packets
        return _HEADERS * len(packets) + sum(map(len, packets))

    def media(self) -> Iterator[Media]:
        return zip(self.times, self.streams, self.packets, strict=True)

    def of(self, stream: MediaStream, streams: int) -> tuple[list[int], list[bytes]]:
        """Times and packets of one of so many streams."""
        if streams == 1:
            return self.times, self.packets
        its = [each is stream for each in self.streams]
        return list(compress(self.times, its)), list(compress(self.packets, its))

    def usual(self) -> dict[MediaStream, bytes] | None:
        """What the frames of each stream begin with; None: a packet is not like those before it."""
        packets = self.packets
        size = len(packets[0])
        if size < _RTP_OCTETS or list(map(len, packets)).count(size) != len(packets):
            return None
        heads: dict[MediaStream, bytes] = {}
        for stream, (kind, ssrc) in set(zip(self.streams, _kinds(size)(b"".join(packets)), strict=True)):
            head = _head(stream, size, kind, ssrc)
            if head is None:
                return None
            heads[stream] = head
        return heads


@lru_cache(256)
def _kinds(size: int) -> Callable[[bytes], Iterator[tuple[bytes, bytes]]]:
    """Reads the second octet and the SSRC of RTP packets of so many octets, one behind the other."""
    return Struct(f"x s 6x 4s {size - _RTP_OCTETS}x").iter_unpack


@lru_cache(256)
def _frame(size: int) -> Callable[..., bytes]:
    """Makes the record of a frame: second, microsecond, octets twice, head, packet."""
    return Struct(f"<IIII{_HEADERS}s{size}s").pack


class _CallFiles:
    """The open files of a call. ``waiting`` has no frames yet, ``octets`` counts it too; ``keys``: it is not heard."""

    __slots__ = ("audio", "call", "heard", "keys", "octets", "path", "records", "waiting")

    def __init__(self, call: Call, folder: Path, name: str) -> None:
        self.call = call
        self.path = folder / f"{name}.pcap"
        self.audio = CallAudio(folder, name, SIDES)
        self.records: list[bytes] = [pcap.file_header(inet.ETHERNET)]
        self.waiting = _Waiting()
        self.keys = call.keys
        self.octets = self.heard = 0

    def flush(self) -> None:
        if self.records:
            with self.path.open("ab") as file:
                file.write(b"".join(self.records))
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

    def write(self, call: Call, media: list[Media]) -> None:
        """Records of one call, in their order; they wait until there are enough of them, or for the next tick."""
        known = self._calls.get(call)
        files = known or self._open(call)
        files.heard = self._seconds
        if files.keys != call.keys:
            self._work(files)  # what came before the keys is heard, what comes behind them is not
            files.keys = call.keys
        files.octets += files.waiting.add(media)
        if files.octets >= FLUSH_OCTETS:
            self._flush(files)
        elif known is None:
            self._work(files)  # its codecs can be seen at once

    def _work(self, files: _CallFiles) -> None:
        """Frames and sound of what waits."""
        waiting, files.waiting = files.waiting, _Waiting()
        if not waiting.packets:
            return
        heads = waiting.usual()
        if heads is None:
            for time, stream, packet in waiting.media():
                self._one(files, time, stream, packet)
            return
        size = len(waiting.packets[0])
        octets = size + _HEADERS
        pack = _frame(size)
        files.records += [
            pack(time // _SECOND, time % _SECOND // 1_000, octets, octets, heads[stream], packet)
            for time, stream, packet in waiting.media()
        ]
        if files.keys:
            return
        voices = {stream: _voice_of(stream) for stream in heads}
        if files.audio.begun and len(heads) == len({_side_of(stream) for stream in heads}):
            for stream, voice in voices.items():
                if voice is not None:
                    self.unreadable += voice.packets(*waiting.of(stream, len(heads)))
        else:
            # Where time begins, and which of two voices of a side is heard, is a matter of their order.
            self._hear(voices, waiting.media())

    def _one(self, files: _CallFiles, time: int, stream: MediaStream, packet: bytes) -> None:
        rtp = packet
        if (head := _head(stream, len(packet), packet[1:2], packet[8:12])) is not None:
            size = len(packet) + _HEADERS
            files.records += [_RECORD(time // _SECOND, time % _SECOND // 1_000, size, size), head, packet]
        else:
            rtp = self._other(files, stream, time, packet)
        if not files.keys and rtp:
            self._hear({stream: _voice_of(stream)}, [(time, stream, rtp)])

    def _hear(self, voices: dict[MediaStream, Voice | None], media: Iterable[Media]) -> None:
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

    def tick(self) -> None:
        """Once a second: what is written can be seen; calls that have ended and are silent are finished."""
        self._seconds += 1
        for files in list(self._calls.values()):
            self._flush(files)
            if files.call.state == "ended" and files.heard + LINGER < self._seconds:
                self.close(files.call)

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
        sink.ssrc, sink.kind = packet[8:12], packet[1:2]
        codec = sink.codecs.get(packet[1] & 0x7F)
        if codec is not None:
            files.call.codecs.add(codec.name)
        if sink.ssrc not in sink.voices:
            if len(sink.voices) >= VOICES:
                return
            ssrc = int.from_bytes(sink.ssrc, "big")
            sink.voices[sink.ssrc] = files.audio.voice(sink.side, ssrc, stream.number, sink.codecs)
        sink.voice = sink.voices[sink.ssrc]
