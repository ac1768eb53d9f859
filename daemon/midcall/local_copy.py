"""What a replay keeps for itself beside the hand-over: when it cannot be written it ends, and nothing else does."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from midcall.df3 import Content
from midcall.events import CcRecord, EventRecord
from midcall.records import HandoverFiles

_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class Copy(Protocol):
    """Media in clear as files."""

    packets: int

    def content(self, content: list[Content]) -> None: ...

    def close(self) -> list[Path]: ...


class MediaCopy:
    """media.pcap and audio/, as ``make`` makes them, for as long as the disk takes them.

    ``fault`` says why the copy ended before its time. OSError: it cannot even begin, and room is not the reason.
    """

    def __init__(self, make: Callable[[], Copy]) -> None:
        self.fault: str | None = None
        self.packets = 0
        self._copy: Copy | None = None
        try:
            self._copy = make()
        except OSError as error:
            if error.errno not in _ROOM:
                raise
            self._end(error)

    def content(self, content: list[Content]) -> None:
        if self._copy is None:
            return
        try:
            self._copy.content(content)
            self.packets = self._copy.packets
        except OSError as error:
            self._end(error)

    def close(self) -> list[Path]:
        """Finish all files; returns the WAV files."""
        copy, self._copy = self._copy, None
        try:
            return [] if copy is None else copy.close()
        except OSError as error:
            self._end(error)
            return []

    def _end(self, error: OSError) -> None:
        if self.fault is None:
            self.fault = f"media.pcap and audio/ are not complete: {_why(error)}"
        copy, self._copy = self._copy, None
        if copy is not None:
            with suppress(OSError):
                copy.close()


class FilesCopy:
    """The files of HI1, HI2 and HI3 beside a delivery; a sink, for as long as the disk takes it."""

    def __init__(self, files: HandoverFiles) -> None:
        self.fault: str | None = None
        self._files = files

    @property
    def pdus(self) -> dict[str, int]:
        return self._files.pdus

    def iri(self, records: Sequence[EventRecord], now: int) -> None:
        self._do(lambda: self._files.iri(records, now))

    def cc(self, records: list[CcRecord], now: int) -> None:
        self._do(lambda: self._files.cc(records, now))

    def next_deadline(self) -> int | None:
        return None if self.fault is not None else self._files.next_deadline()

    def deadline(self, now: int) -> None:
        self._do(lambda: self._files.deadline(now))

    def end(self, liid: str, now: int) -> None:
        self._do(lambda: self._files.end(liid, now))

    def close(self) -> None:
        """Finish both files."""
        self._do(self._files.close)

    def _do(self, write: Callable[[], None]) -> None:
        if self.fault is not None:
            return
        try:
            write()
        except OSError as error:
            self.fault = f"hi2.ber and hi3.ber are not complete: {_why(error)}"
            with suppress(OSError):
                self._files.close()


def _why(error: OSError) -> str:
    return f"{error.strerror or type(error).__name__}; the hand-over went on"
