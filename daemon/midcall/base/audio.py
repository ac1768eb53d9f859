"""From RTP in clear to WAV files: one a direction of a dialog, and a stereo mix (G.711, both laws; L16)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imswire import g711, srtp
from imswire.sdp import Codec
from midcall.base.wavfile import WavWriter, write_stereo
from midcall.events import Side

SECOND = 1_000_000_000
RATE = 8_000
TIMESTAMPS = 1 << 32
# A packet is not placed further from its arrival than this: hostile timestamps must not make files of silence.
MAX_DRIFT = 5 * SECOND

_DECODERS: dict[str, Callable[[bytes], bytes]] = {"PCMU": g711.decode_ulaw, "PCMA": g711.decode_alaw}


class _Timeline:
    """Where the samples of one SSRC go: by its timestamps, anchored where its first packet arrived."""

    __slots__ = ("anchor", "last", "timestamp")

    def __init__(self, anchor: int, timestamp: int) -> None:
        self.anchor = anchor
        self.timestamp = timestamp
        self.last = 0

    def place(self, timestamp: int, arrival: int) -> int:
        """Sample position of ``timestamp``; ``arrival`` is that of its packet."""
        step = (timestamp - self.timestamp - self.last) % TIMESTAMPS
        if step >= TIMESTAMPS // 2:
            step -= TIMESTAMPS
        position = self.anchor + self.last + step
        if abs(position - arrival) > MAX_DRIFT * RATE // SECOND:
            self.anchor, self.timestamp, self.last = arrival, timestamp, 0
            return arrival
        self.last += step
        return position


class DialogAudio:
    """The voices of one dialog; files appear with the first packet that can be decoded."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._start: int | None = None
        self._writers: dict[Side, WavWriter] = {}
        self._timelines: dict[tuple[Side, int], _Timeline] = {}

    def packet(self, time: int, sender: Side, codecs: dict[int, Codec], rtp: bytes) -> None:
        """Add an RTP packet in clear; other codecs than G.711 leave silence."""
        codec = codecs.get(rtp[1] & 0x7F)
        if codec is None or codec.rate != RATE:
            return
        decode = _DECODERS.get(codec.name.upper())
        if decode is None:
            return
        header = srtp.rtp_header(rtp)
        if self._start is None:
            self._start = time
        arrival = (time - self._start) * RATE // SECOND
        key = (sender, header.ssrc)
        timeline = self._timelines.get(key)
        if timeline is None:
            timeline = self._timelines[key] = _Timeline(arrival, header.timestamp)
        position = timeline.place(header.timestamp, arrival)
        if position >= 0:
            self._writer(sender).write(position, decode(srtp.rtp_payload(rtp, header)))

    def close(self) -> list[Path]:
        """Finish the files; returns their paths, the mix last."""
        paths: dict[Side, Path] = {}
        for side, writer in self._writers.items():
            writer.close()
            paths[side] = writer.path
        made = [paths[side] for side in sorted(paths)]
        if made:
            silent = made[0]
            mix = self._folder / f"{self._name}-mix.wav"
            left, right = paths.get(Side.CALLER), paths.get(Side.CALLEE)
            if left is None or right is None:
                silent = self._folder / f".{self._name}-silence.wav"
                WavWriter(silent, RATE).close()
            write_stereo(mix, left or silent, right or silent, RATE)
            if left is None or right is None:
                silent.unlink()
            made.append(mix)
        return made

    def _writer(self, side: Side) -> WavWriter:
        writer = self._writers.get(side)
        if writer is None:
            path = self._folder / f"{self._name}-{side.name.lower()}.wav"
            writer = self._writers[side] = WavWriter(path, RATE)
        return writer
