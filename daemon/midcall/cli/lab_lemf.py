"""An LEMF beside a demo: a process of its own, on loopback, with certificates made for it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from midcall.base.lab_pki import LabPki
from midcall.cli.fail import UNREADABLE, Failed

ROLES = ("df", "lemf")
WAIT_SECONDS = 30
_COMMAND = "from midcall.cli.main import main; main()"


class LabLemf:
    """``midcall lemf`` with its output line by line to ``tell``; a context manager.

    ``address`` is where it listens; ``deliver`` are the options by which a replay reaches it.
    """

    def __init__(self, folder: Path, pki: Path, tell: Callable[[str], None]) -> None:
        LabPki(pki).make(ROLES)
        self._pki = pki
        self._tell = tell
        self.address = ""
        arguments = ["--listen", "127.0.0.1:0", "--out", str(folder), *self._tls("lemf")]
        arguments += ["--integrity-key", str(pki / "integrity.pub")]
        self._command = [sys.executable, "-c", _COMMAND, "lemf", *arguments]

    def __enter__(self) -> LabLemf:
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        first = self._process.stdout.readline().strip()
        found = re.fullmatch(r"listening on (\S+)", first)
        if found is None:
            self._process.kill()
            self._process.wait()
            raise Failed(UNREADABLE, f"the LEMF of the demo did not start: {first}")
        self.address = found[1]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def status(self) -> int:
        """Its exit status, after the end."""
        return self._process.returncode

    def credentials(self) -> tuple[Path, Path, Path]:
        """Certificate, key and CA of the deliverer."""
        return self._pki / "df.pem", self._pki / "df.key", self._pki / "ca.pem"

    def _tls(self, role: str) -> list[str]:
        return ["--cert", f"{self._pki}/{role}.pem", "--key", f"{self._pki}/{role}.key", "--ca", f"{self._pki}/ca.pem"]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._tell(line.rstrip())
