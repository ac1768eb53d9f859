"""Kamailio's capture agent gives the point of interception a copy of all that it receives and sends."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from imswire import sip
from midcall.events import Instant, SipSeen, StartOfInterception, Task
from midcall.poi import PointOfInterception
from midcall.poi.shell.hep import HepAgent, HepReceiver
from tests.peers.test_proxy import KAMAILIO, Peer, Sipp, free_port, running, takes, wait_for

pytestmark = [pytest.mark.peer, pytest.mark.proof]

KEY = b"lab-capture-key"
# As docs/how-to/proxy.md has it.
SIPTRACE = """\
loadmodule "siptrace.so"
modparam("siptrace", "duplicate_uri", "sip:127.0.0.1:{hep}")
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", 3)
modparam("siptrace", "auth_key", "{key}")
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "trace_on", 1)
"""
TRACED = """\
    if (is_method("ACK|CANCEL")) { sip_trace(); } else { sip_trace_mode("t"); }
"""
CALLS, TARGET = 20, "sip:callee@ims.example"


class Receiver:
    """The door of a point of interception, in a thread; ``seen`` is what came, ``counts`` what became of it all."""

    def __init__(self) -> None:
        self.seen: list[SipSeen] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()

    def __enter__(self) -> Receiver:
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        receiver = HepReceiver((HepAgent("127.0.0.1", KEY),), self.seen.append)
        _, self.port = receiver.listen_udp("127.0.0.1", 0)
        self.counts = receiver.counts
        self._ready.set()
        await self._stop.wait()
        await receiver.close()


def test_copies_of_calls(peer: Peer, tmp_path: Path) -> None:
    """Every message of every call, received and sent; from them a warrant's start knows offer and answer."""
    sipp = Sipp(peer, tmp_path)
    callee, port = free_port(), free_port()
    with Receiver() as receiver:
        text = KAMAILIO.format(port=port, hop=f"sip:127.0.0.1:{callee}")
        trace = SIPTRACE.format(hep=receiver.port, key=KEY.decode())
        config = tmp_path / "kamailio.cfg"
        config.write_text(text.replace("request_route {", f"{trace}request_route {{\n{TRACED}", 1))
        command = [peer("kamailio"), "-DD", "-E", "-f", config, "-m", "64", "-Y", tmp_path]
        with running(command, tmp_path / "kamailio.log"):
            wait_for(lambda: takes("127.0.0.1", port), "Kamailio listens")
            with sipp.callee("call", "127.0.0.1", callee, "u1"):
                assert sipp.caller("call", "127.0.0.1", "u1", f"127.0.0.1:{port}", (CALLS, 20)) == (CALLS, 0)
            # INVITE, 180, re-INVITE, UPDATE, BYE and the 200s in and out, ACKs as they came, and Kamailio's own 100s.
            wait_for(lambda: receiver.counts["taken"] >= CALLS * (9 * 2 + 2 + 2), f"all copies: {receiver.counts}")
    assert not receiver.counts.keys() - {"taken", "unauthenticated"}
    messages = [(each, sip.parse(each.octets)) for each in receiver.seen]
    calls = {message.call_id for _, message in messages}
    assert len(calls) == CALLS
    first = next(iter(calls))
    point = PointOfInterception(bytes(32), bytes(32))
    for each, message in messages:
        if message.call_id == first and "BYE" not in str(message.cseq):
            point.sip_seen(each)
    task = Task("00000000-0000-4000-8000-000000000001", (TARGET,), 0)
    events = point.arm(task, Instant(receiver.seen[-1].at.wall + 1, receiver.seen[-1].at.mono + 1))
    (start,) = (each for each in events if isinstance(each, StartOfInterception))
    for half in (start.offer, start.answer):
        assert half is not None and b"a=key-mgmt:mikey" in (half.description or b"")
