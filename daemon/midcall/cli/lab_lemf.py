"""An LEMF beside a laboratory: a process of its own, on loopback, with certificates made for it. What it has stored."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from imswire import hi
from imswire.hi import hi1, ipmm
from midcall.base.lab_pki import LabPki, uri
from midcall.cli.fail import UNREADABLE, Failed
from midcall.cli.lab_process import WAIT_SECONDS, LabProcess
from midcall.lemf.shell.store import folder_name

ROLES = ("df", "lemf")
LOOK_SECONDS = 0.001


class LabLemf:
    """``midcall lemf`` with its output line by line to ``tell``; a context manager that begins it.

    ``credentials`` are those of a replay that delivers to it; ``deliverers`` are the roles that may. ``media``: it
    makes files of media.
    """

    def __init__(
        self,
        folder: Path,
        pki: Path,
        tell: Callable[[str], None],
        deliverers: tuple[str, ...] = ("df",),
        *,
        media: bool = True,
    ) -> None:
        LabPki(pki).make(ROLES)
        self._folder = folder
        self._pki = pki
        self._tell = tell
        self._peers = [option for name in deliverers for option in ("--peer", uri(name))]
        self._options = [] if media else ["--no-media"]
        self._first: str | None = None
        self._known = threading.Event()

    def __enter__(self) -> LabLemf:
        arguments = ["--listen", "127.0.0.1:0", "--out", str(self._folder), *self._tls("lemf")]
        arguments += ["--crl", str(self._pki / "crl.pem"), *self._peers]
        arguments += ["--integrity-key", str(self._pki / "integrity.pub"), *self._options]
        self._process = LabProcess("lemf", arguments, self._hear, self._known.set)
        return self

    @property
    def address(self) -> str:
        """Where it listens; waits until it does. Failed: it has ended, or takes too long."""
        self._known.wait(WAIT_SECONDS)
        found = re.fullmatch(r"listening on (\S+)", self._first or "")
        if found is None:
            raise Failed(UNREADABLE, f"the LEMF did not start: {self._first or 'it says nothing'}")
        return found[1]

    def __exit__(self, *_: object) -> None:
        self._process.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int:
        """Its exit status, after the end."""
        return self._process.status or 0

    def credentials(self) -> tuple[Path, Path, Path]:
        """Certificate, key and CA of the deliverer."""
        return self._pki / "df.pem", self._pki / "df.key", self._pki / "ca.pem"

    def _tls(self, role: str) -> list[str]:
        return ["--cert", f"{self._pki}/{role}.pem", "--key", f"{self._pki}/{role}.key", "--ca", f"{self._pki}/ca.pem"]

    def _hear(self, line: str) -> None:
        if self._first is None:
            self._first = line
            self._known.set()
        else:
            self._tell(line)


class Received:
    """What an LEMF has stored of one LIID and interface (``hi1``, ``hi2``, ``hi3``), also while it goes on.

    ``records`` are notifications, events or content so far, ``at`` when each was first seen, wall ns; the links' own
    PDUs and integrity checks are none.
    """

    def __init__(self, folder: Path, liid: str, interface: str) -> None:
        self.path = folder / folder_name(liid.encode()) / f"{interface}.ber"
        self.records: list[hi.PsPdu] = []
        self.at: list[int] = []
        self._splitter = hi.Splitter()
        self._read = 0

    def look(self) -> list[hi.PsPdu]:
        """All records, after a look at what has come since the last one."""
        try:
            if self.path.stat().st_size == self._read:
                return self.records
        except FileNotFoundError:
            return self.records
        now = time.time_ns()
        with self.path.open("rb") as file:
            file.seek(self._read)
            octets = file.read()
        self._read += len(octets)
        fresh = [
            each for each in map(hi.parse, self._splitter.feed(octets)) if isinstance(each.payload, tuple | hi.Hi1)
        ]
        self.at += [now] * len(fresh)
        self.records += fresh
        return self.records

    def contents(self) -> list[bytes]:
        """The inner records: what ``imswire.hi`` reads by their kind."""
        return [each.payload[0].contents for each in self.records if isinstance(each.payload, tuple)]

    def notifications(self) -> list[str]:
        """Of HI1: what they are called."""
        return [hi1.name(hi1.parse(each.payload.contents)) for each in self.records if isinstance(each.payload, hi.Hi1)]

    def rtp(self) -> list[bytes]:
        """Of HI3: the packets in its records (TS 102 232-5)."""
        return [ipmm.parse_cc(each).contents for each in self.contents()]


class Watch:
    """Looks at what is received all the time, in a thread: ``at`` is right to a millisecond or so."""

    def __init__(self, *received: Received) -> None:
        self._received = received
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        for each in self._received:
            each.look()
