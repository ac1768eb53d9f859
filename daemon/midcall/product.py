"""What a replay writes: media.pcap with RTP in clear, and WAV files; each written as the packets come.

Where the agency decrypts (keys-to-lemf) no media that were encrypted on the wire are left here in clear: they are in
hi3.ber as captured, and neither in media.pcap nor in a WAV file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from imswire import inet, pcap
from midcall.audio import DialogAudio
from midcall.base import owner_only
from midcall.base.bounded import BoundedTable
from midcall.df3 import Content, Stream
from midcall.events import DialogId, MediaFlow

STREAMS = 65_536
# Joined before one write.
WRITE_RECORDS = 4_096


class _Sink(NamedTuple):
    """Where the packets of one stream go."""

    flow: MediaFlow
    rewrite: Callable[[bytes, bytes], bytes]
    voice: Callable[[int, bytes], None] | None


class FileProduct:
    """media.pcap and audio/ in ``folder``, which exists. ``keys_to_lemf``: only what was in clear on the wire."""

    def __init__(self, folder: Path, link_type: int, *, keys_to_lemf: bool = False) -> None:
        self._keys_to_lemf = keys_to_lemf
        self._link_type = link_type
        self._file = owner_only.create(folder / "media.pcap")
        self._file.write(pcap.file_header(link_type))
        self._audio_folder = folder / "audio"
        owner_only.make_folder(self._audio_folder)
        self._sinks: BoundedTable[Stream, _Sink] = BoundedTable("product.streams", STREAMS)
        self._audio: dict[DialogId, DialogAudio] = {}
        self._records: list[bytes] = []
        self.packets = 0

    def content(self, content: list[Content]) -> None:
        """Write RTP in clear; RTCP and what the agency decrypts is counted only, what no key opened elsewhere."""
        records, sinks, record = self._records, self._sinks, pcap.record
        keys_to_lemf = self._keys_to_lemf
        written = 0
        for time, stream, clear, datagram, encrypted in content:
            if encrypted:
                continue
            written += 1
            if keys_to_lemf and stream.flow.secure:
                continue
            sink = sinks.get(stream)
            if sink is None or sink.flow is not stream.flow:
                if stream.control:
                    continue
                sink = self._sink(stream)
            records.append(record(time, sink.rewrite(datagram.frame, clear)))
            if sink.voice is not None:
                sink.voice(time, clear)
        self.packets += written
        if len(records) >= WRITE_RECORDS:
            self._flush()

    def close(self) -> list[Path]:
        """Finish all files; returns the WAV files."""
        self._flush()
        self._file.close()
        return [path for audio in self._audio.values() for path in audio.close()]

    def _flush(self) -> None:
        self._file.write(b"".join(self._records))
        self._records.clear()

    def _sink(self, stream: Stream) -> _Sink:
        voice = None
        if stream.flow.kind == "audio":
            audio = self._audio.get(stream.dialog)
            if audio is None:
                name = f"dialog-{len(self._audio) + 1:03d}"
                audio = self._audio[stream.dialog] = DialogAudio(self._audio_folder, name)
            flow = stream.flow
            voice = audio.voice(flow.sender, stream.ssrc, flow.media, flow.codecs).packet
        sink = _Sink(stream.flow, inet.UdpRewriter(self._link_type).rewrite, voice)
        self._sinks.put(stream, sink)
        return sink
