"""From RTP in clear to WAV files: one a direction of a call, and a stereo mix (G.711, both laws)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from imswire import g711, srtp
from imswire.errors import WireError
from imswire.sdp import Codec
from midcall.base.bounded import BoundedTable
from midcall.base.columns import columns
from midcall.base.wavfile import WavWriter, write_stereo

SECOND = 1_000_000_000
RATE = 8_000
TIMESTAMPS = 1 << 32
# A packet is not placed further from its arrival than this: hostile timestamps must not make files of silence.
MAX_DRIFT = 5 * RATE
# Octets of one stream that are decoded at once.
RUN_OCTETS = 1 << 14
VOICES = 256
# Packets of a run that are looked at together; fewer are not worth it.
LEAST_RUN = 4
_USUAL = b"\x80"
_HEADER_OCTETS = 12

Decode = Callable[[bytes | bytearray], bytearray]
_DECODERS: dict[str, Decode] = {"PCMU": g711.decode_ulaw, "PCMA": g711.decode_alaw}


class Voice:
    """One SSRC: a run of packets that follow each other is decoded and placed as a whole.

    The first packet of a run is anchored where it arrived, or where the timestamps put it.
    """

    __slots__ = ("_anchor", "_arrival", "_codecs", "_expected", "_position", "_run", "_timestamp", "_type", "_write")

    def __init__(
        self, codecs: dict[int, Codec], write: Callable[[int, bytearray], None], arrival: Callable[[int], int]
    ):
        self._codecs = codecs
        self._write = write
        self._arrival = arrival
        self._run = bytearray()
        self._type = -1
        self._expected = -1
        self._position = 0
        self._anchor: int | None = None
        self._timestamp = 0

    def packet(self, time: int, rtp: bytes) -> None:
        """Add a packet in clear; other codecs than G.711 leave silence."""
        if rtp[0] == 0x80 and rtp[1] & 0x7F == self._type and int.from_bytes(rtp[4:8], "big") == self._expected:
            # The usual packet: no padding, CSRC or extension, and the next one of the run.
            self._run += rtp[12:]
            self._expected = (self._expected + len(rtp) - 12) % TIMESTAMPS
            if len(self._run) >= RUN_OCTETS:
                self.flush()
            return
        self._begin(time, rtp)

    def packets(self, times: Sequence[int], rtp: Sequence[bytes]) -> int:
        """Add packets of one length; returns how many of them cannot be read. The same as one by one."""
        unreadable = at = 0
        while at < len(rtp):
            if self.run(rtp[at:] if at else rtp):
                break
            # The first one of a talkspurt: the others may be a run behind it.
            alone = 1 if at < LEAST_RUN else len(rtp)
            for time, packet in zip(times[at : at + alone], rtp[at : at + alone], strict=True):
                try:
                    self.packet(time, packet)
                except WireError:
                    unreadable += 1
            at += alone
        return unreadable

    def run(self, rtp: Sequence[bytes]) -> bool:
        """Take packets of one length when all of them are the next ones of the run."""
        count, size = len(rtp), len(rtp[0])
        step = size - _HEADER_OCTETS
        if count < LEAST_RUN or step <= 0 or self._expected + count * step > TIMESTAMPS:
            return False
        octets = b"".join(rtp)
        if octets[::size].count(_USUAL) != count or any(kind & 0x7F != self._type for kind in set(octets[1::size])):
            return False
        timestamps, payloads = columns(f">4xI4x{step}s").read(octets, 0, count)
        if timestamps != list(range(self._expected, self._expected + count * step, step)):
            return False
        taken = 0
        while taken < count:
            room = max(1, -(-(RUN_OCTETS - len(self._run)) // step))
            self._run += b"".join(payloads[taken : taken + room])
            taken += room
            if len(self._run) >= RUN_OCTETS:
                self.flush()
        self._expected = (self._expected + count * step) % TIMESTAMPS
        return True

    def flush(self) -> None:
        """Decode and write the run so far."""
        if self._run:
            decode = _DECODERS[self._codecs[self._type].name.upper()]
            self._write(self._position, decode(self._run))
            self._position += len(self._run)
            self._run.clear()

    def _begin(self, time: int, rtp: bytes) -> None:
        header = srtp.rtp_header(rtp)
        codec = self._codecs.get(header.payload_type)
        if codec is None or codec.rate != RATE or codec.name.upper() not in _DECODERS:
            return
        self.flush()
        payload = srtp.rtp_payload(rtp, header)
        self._type = header.payload_type
        self._position = self._place(header.timestamp, self._arrival(time))
        self._run += payload
        self._expected = (header.timestamp + len(payload)) % TIMESTAMPS

    def _place(self, timestamp: int, arrival: int) -> int:
        """Sample position of ``timestamp``; ``arrival`` is that of its packet."""
        if self._anchor is not None:
            step = (timestamp - self._timestamp) % TIMESTAMPS
            if step >= TIMESTAMPS // 2:
                step -= TIMESTAMPS
            position = self._anchor + step
            if abs(position - arrival) <= MAX_DRIFT:
                self._anchor, self._timestamp = position, timestamp
                return position
        self._anchor, self._timestamp = arrival, timestamp
        return arrival


class CallAudio:
    """The voices of one call; files appear with the first packet that can be decoded.

    ``sides`` names the two directions, left and right of the mix; a direction is 0 or 1.
    """

    def __init__(self, folder: Path, name: str, sides: tuple[str, str]) -> None:
        self._folder = folder
        self._name = name
        self._sides = sides
        self._start: int | None = None
        self._writers: dict[int, WavWriter] = {}
        self._voices: BoundedTable[tuple[int, int, int], Voice] = BoundedTable("base.voices", VOICES)

    @property
    def begun(self) -> bool:
        """Whether a first packet says where the time of the files begins."""
        return self._start is not None

    def voice(self, side: int, ssrc: int, media: int, codecs: dict[int, Codec]) -> Voice:
        """The voice of an SSRC of an m-line; a new one when the session's codecs have changed."""
        voice = Voice(codecs, lambda position, pcm: self._write(side, position, pcm), self._arrival)
        for former in (self._voices.pop((side, ssrc, media)), self._voices.put((side, ssrc, media), voice)):
            if former is not None:
                former.flush()
        return voice

    def close(self) -> list[Path]:
        """Finish the files; returns their paths, the mix last."""
        for voice in self._voices.values():
            voice.flush()
        paths: dict[int, Path] = {}
        for side, writer in sorted(self._writers.items()):
            writer.close()
            paths[side] = writer.path
        if not paths:
            return []
        return [*paths.values(), self._mix(paths)]

    def _mix(self, paths: dict[int, Path]) -> Path:
        """First side left, second right; a side that was not heard is silent."""
        mix = self._folder / f"{self._name}-mix.wav"
        silence = self._folder / f".{self._name}-silence.wav"
        if len(paths) < len(self._sides):
            WavWriter(silence, RATE).close()
        write_stereo(mix, paths.get(0, silence), paths.get(1, silence), RATE)
        silence.unlink(missing_ok=True)
        return mix

    def _arrival(self, time: int) -> int:
        if self._start is None:
            self._start = time
        return (time - self._start) * RATE // SECOND

    def _write(self, side: int, position: int, pcm: bytearray) -> None:
        writer = self._writers.get(side)
        if writer is None:
            path = self._folder / f"{self._name}-{self._sides[side]}.wav"
            writer = self._writers[side] = WavWriter(path, RATE)
        writer.write(position, pcm)
