"""Many calls of a laboratory at once, each under a warrant of its own: SIP by HEP, media from one process.

The two ends of each call do all that a UE does until they have keys; what they say then is :mod:`scripts.bench.voices`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from midcall.cli import activate
from midcall.cli.lab_calls import HepAgent, LiveCall, Users
from midcall.cli.lab_site import LabSite
from midcall.ue.call import Call
from midcall.ue.ticket import srtp_key
from scripts.bench.voices import FRAME_NS, Voice, Voices

AT_ONCE = 32
"""Calls that are set up at the same time: each waits for its ringing."""


class Crowd:
    """``count`` calls; their files of keys and of the site are in ``folder``."""

    def __init__(self, folder: Path, count: int, *, door: bool = False, interface: str = "lo") -> None:
        """``door``: the DF has its tap, which is at ``interface``, from the role ``tap``."""
        self.users = Users(count)
        (folder / "KEYS.toml").write_text(self.users.key_file())
        self.site = LabSite(folder / "site", folder / "pki", folder / "KEYS.toml", door=door, interface=interface)
        self.calls: list[LiveCall] = []
        self._agent = HepAgent(self.site.hep, self.site.agent)
        self._stop = threading.Event()

    def connect(self) -> None:
        """Set all calls up."""
        ask = self.site.kms()
        self.calls = [LiveCall(n, pair, ask, self._agent, self._stop) for n, pair in enumerate(self.users.pairs)]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for done in [threads.submit(call.connect) for call in self.calls]:
                done.result()

    def hang_up(self) -> None:
        for call in self.calls:
            call.hang_up()

    def close(self) -> None:
        for call in self.calls:
            call.close()
        self._agent.close()

    # Warrants

    def liid(self, number: int) -> str:
        return f"LI-{number}"

    def intercept(self, lemf: str, number: int) -> activate.Order:
        """Activate the warrant for one call's caller. SystemExit: it is refused."""
        path, _ = self.site.draft(self.calls[number].call.caller.uri, self.liid(number), lemf)
        self.site.approve(path)
        order = self.site.order(path)
        path.unlink()  # the next one has the same name
        if asyncio.run(activate.begin(order, _quiet)):
            raise SystemExit("a task was refused")
        return order

    # Media

    def voices(self) -> list[Voice]:
        """Two a call: the caller's, then the callee's."""
        return [each for call in self.calls for each in self._of(call.call)]

    @staticmethod
    def _of(call: Call) -> Iterator[Voice]:
        keys = call.bundles[0].session_keys()
        for cs_id, speaks, hears in ((1, call.caller, call.callee), (2, call.callee, call.caller)):
            _, master = srtp_key(keys[cs_id])
            sender, (address, port) = speaks.senders[0], hears.rtp()
            key = master.key + master.salt
            yield Voice(address, port, sender.ssrc, sender.payload_type, sender.seq, key, speaks.rtp())


class Spoken(NamedTuple):
    """What a speaker did: packets, frames that began too late, when each frame began (wall ns), and its processor time
    in seconds.
    """

    sent: int
    late: int
    times: list[int]
    processor: float


class Speaker:
    """A process in which voices speak, a packet of each in ``frame_ns``, for so many seconds or until told to end."""

    def __init__(self, voices: list[Voice], seconds: float, frame_ns: int = FRAME_NS) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_speak, args=(theirs, voices, seconds, frame_ns), daemon=True)
        self._process.start()
        theirs.close()

    def end(self) -> None:
        """Say no more."""
        self._ours.send(None)

    def wait(self) -> Spoken:
        """Until it has ended. EOFError: it broke off."""
        spoken: Spoken = self._ours.recv()
        self._process.join()
        return spoken


def _speak(told: Connection, voices: list[Voice], seconds: float, frame_ns: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        speaks = Voices(sock, voices)
        speaks.run(seconds, told.poll, frame_ns)
    told.send(Spoken(speaks.sent, speaks.late, speaks.times, time.process_time()))


def _quiet(text: str, *, err: bool = False) -> None:
    if err:
        print(text)
