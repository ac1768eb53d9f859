"""What a replay writes: media.pcap with RTP in clear, and WAV files; each written as the packets come."""

from __future__ import annotations

from pathlib import Path

from imswire import inet, pcap
from midcall.base.audio import DialogAudio
from midcall.base.bounded import BoundedTable
from midcall.df3 import Content, Stream
from midcall.events import DialogId

STREAMS = 65_536
# Joined before one write.
WRITE_RECORDS = 4_096


class FileProduct:
    """media.pcap and audio/ in ``folder``, which exists."""

    def __init__(self, folder: Path, link_type: int) -> None:
        self._link_type = link_type
        self._file = (folder / "media.pcap").open("wb")
        self._file.write(pcap.file_header(link_type))
        self._audio_folder = folder / "audio"
        self._audio_folder.mkdir(exist_ok=True)
        self._rewriters: BoundedTable[Stream, inet.UdpRewriter] = BoundedTable("product.streams", STREAMS)
        self._audio: dict[DialogId, DialogAudio] = {}
        self._records: list[bytes] = []
        self.packets = 0

    def content(self, content: list[Content]) -> None:
        """Write RTP in clear; RTCP is counted elsewhere."""
        records = self._records
        for time, stream, clear, datagram in content:
            if stream.control:
                continue
            rewriter = self._rewriters.get(stream)
            if rewriter is None:
                rewriter = inet.UdpRewriter(self._link_type)
                self._rewriters.put(stream, rewriter)
            records.append(pcap.record(time, rewriter.rewrite(datagram.frame, clear)))
            if stream.flow.kind == "audio":
                self._voice(stream).packet(time, stream.flow.sender, stream.flow.codecs, clear)
        self.packets += len(content)
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

    def _voice(self, stream: Stream) -> DialogAudio:
        audio = self._audio.get(stream.dialog)
        if audio is None:
            name = f"dialog-{len(self._audio) + 1:03d}"
            audio = self._audio[stream.dialog] = DialogAudio(self._audio_folder, name)
        return audio
