"""A process of a laboratory: a command of ours that ends with whoever began it, and is heard line by line."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from midcall.base import memory
from midcall.cli.fail import OWN_PROCESS, UNREADABLE, Failed

WAIT_SECONDS = 60
"""For a process to begin or to end, on a machine that has other work."""
READY = "ready"
_CHILD = "from midcall.cli.lab_process import child; child({parent})"
_PARENT_DEATH_SIGNAL = 1
# Of a service manager above us: none of a child's business.
_NOT_INHERITED = ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")


def child(parent: int) -> None:
    """What the process runs. It loads the code of its own command and no other, which takes a good part of a second."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)  # whoever began it has gone meanwhile
    name = sys.argv.pop(1)
    command = getattr(importlib.import_module(f"midcall.cli.{name}"), name)
    try:
        sys.exit(command.main(standalone_mode=False, obj=OWN_PROCESS) or 0)
    except Failed as failed:
        print(f"midcall: {failed}", flush=True)
        sys.exit(failed.status)


class LabProcess:
    """One command; each line of what it says, on either stream, is given to ``tell``, in a thread of ours.

    ``ended`` is called there when it says no more.
    """

    def __init__(
        self,
        command: str,
        arguments: list[str],
        tell: Callable[[str], None],
        ended: Callable[[], None] = lambda: None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        environment |= variables or {}
        self._tell = tell
        self._ended = ended
        # A group of its own: Ctrl-C on a terminal reaches us, who end it in order.
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-c", _CHILD.format(parent=os.getpid()), command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status; None: it runs."""
        return self._process.poll()

    def end(self) -> None:
        """Ask it to stop, and wait until it has; one that does not is killed."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(WAIT_SECONDS)
        except BaseException as why:
            self._process.kill()
            self._process.wait()
            if not isinstance(why, subprocess.TimeoutExpired):
                raise
        finally:
            self._reader.join()

    def kill(self) -> None:
        """As a crash does: without a word."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._tell(line.rstrip())
        self._ended()


class LabRole:
    """``midcall run`` with one role; a context manager that begins it. ``wait`` waits for it. ``record``: its trace.

    ``told`` are the messages of the operator's plane; ``li_log`` is where the configuration puts those of the other.
    """

    def __init__(self, role: str, config: Path, li_log: Path, record: Path | None = None) -> None:
        self.role = role
        self.told: list[str] = []
        self._config = config
        self._li_log = li_log
        self._record = record
        self._known = threading.Event()

    def __enter__(self) -> LabRole:
        arguments = ["--config", str(self._config), "--role", self.role]
        if self._record is not None:
            arguments += ["--record", str(self._record)]
        # As its unit does, so that it does not begin twice.
        held = memory.overwriting(os.environ, small=self.role == "kms") if self.role in memory.HOLDERS else None
        self._process = LabProcess("run", arguments, self._hear, self._known.set, held)
        return self

    def wait(self) -> None:
        """Until all its doors are open. Failed: it has ended, or takes too long."""
        self._known.wait(WAIT_SECONDS)
        if READY not in self.told:
            raise Failed(UNREADABLE, f"the {self.role} of the laboratory did not start: {self._last_words()}")

    def kill(self) -> None:
        """As a crash does: without a word."""
        self._process.kill()

    def __exit__(self, *_: object) -> None:
        self._process.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, after the end."""
        return self._process.status

    def _hear(self, line: str) -> None:
        self.told.append(_message(line))
        if self.told[-1] == READY:
            self._known.set()

    def _last_words(self) -> str:
        """Reasons go to the LI plane, unless there was none yet."""
        lines = self._li_log.read_text().splitlines() if self._li_log.exists() else []
        return _message(lines[-1]) if lines else " ".join(self.told[-1:]) or "it says nothing"


def _message(line: str) -> str:
    """Of a line of a log, or the line."""
    try:
        return str(json.loads(line)["message"])
    except (ValueError, KeyError, TypeError):
        return line
