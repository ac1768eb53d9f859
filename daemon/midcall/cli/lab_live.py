"""The live part of the demo: a site on loopback, a warrant in the middle of a call, and how long each step took."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from midcall.audit.checking import Checker
from midcall.audit.comparing import Against, kept
from midcall.audit.heads import Key
from midcall.audit.opening import heads_of
from midcall.audit.shell import files
from midcall.cli import activate
from midcall.cli.fail import DONE, UNREADABLE, Failed
from midcall.cli.lab_calls import LiveCall, Users, untold
from midcall.cli.lab_lemf import LabLemf, Received, Watch
from midcall.cli.lab_site import AUDIT, CSCF, ROLES, LabSite
from midcall.ue import lab
from midcall.ue.wire import Wire

LIID = "LAB-1"
TALK_BEFORE = 5.0
TALK_AFTER = 5.0
"""Seconds of talk before the warrant, and after the agency has heard the first packet."""
BEGIN_WITHIN = 1.0
"""Seconds in which all calls begin."""
EVENTS = 4
"""Start of interception, BYE as it came to the proxy and as it left it, 200."""
WAIT_SECONDS = 20.0
MILLI = 1_000_000

Tell = Callable[[str], None]


class Outcome(Struct, frozen=True):
    """What the live part has left, and what went wrong. Times in wall ns.

    ``begun``: the first packet; ``asked``: ActivateTask to the POI; ``revoked``: DeactivateTask to it. ``content`` is
    the RTP that the LEMF got.
    """

    capture: bytes
    warrant: Path
    trust: Path
    begun: int
    asked: int
    content: list[bytes]
    faults: list[str]


class Live:
    """One run. ``tell`` is given the timeline, from several threads."""

    def __init__(self, out: Path, users: Users, keys: Path, tap: bool, tell: Tell) -> None:
        self._out = out
        self._users = users
        self._tap = tap
        self._tell = tell
        self._site = LabSite(out / "site", out / "pki", keys, tap=tap, audit=True, proxy=True)
        self._hi2, self._hi3 = (Received(out / "lemf", LIID, name) for name in ("hi2", "hi3"))
        self._steps: list[tuple[int, str]] = []
        self.faults: list[str] = []

    def run(self) -> Outcome:
        """All of it, in real time. Failed."""
        with ExitStack() as stack:
            self._start(stack)
            calls = self._begin(stack)
            target = calls[0]
            time.sleep(TALK_BEFORE)
            warrant, order = self._approved(target.call.caller.uri)
            asked = self._activate(order)
            if not self._tap:
                node = stack.enter_context(self._site.media_node(order.warrant.targets[0].xid))
                target.wire.media_copy = node.copy
            self._until(lambda: bool(self._hi3.records), "no content came to the LEMF")
            time.sleep(TALK_AFTER)
            for each in calls:
                each.end()
            for each in calls:
                each.join()
            self._until(lambda: len(self._hi2.records) >= EVENTS, "not all events came to the LEMF")
            self._until(lambda: self._is_whole(target), "not all of the content came to the LEMF")
            self._steps.clear()
            if asyncio.run(activate.end(order, self._say)) != DONE:
                self.faults.append("the task could not be ended")
            self._tell("the roles end")
        self._verify()
        if self._lemf.status:
            self.faults.append(f"the LEMF has findings: {self._out / 'lemf' / 'findings.jsonl'}")
        self.faults += [f"{each.call.call_id}: {each.failed}" for each in calls if each.failed is not None]
        self._latencies(target, asked)
        wire = Wire()
        wire.frames = [each for call in calls for each in call.wire.frames]
        begun = min(at for at, _ in wire.frames)
        rtp = self._hi3.rtp()
        return Outcome(lab.write_capture(wire), warrant, self._site.trust, begun, asked, rtp, self.faults)

    # Steps

    def _start(self, stack: ExitStack) -> None:
        self._tell(f"KMS, POI, DF, audit, CSCF and LEMF begin, with the configurations in {self._out / 'site'}")
        self._lemf = stack.enter_context(LabLemf(self._out / "lemf", self._out / "pki", self._heard))
        roles = [stack.enter_context(self._site.role(name)) for name in (AUDIT, *ROLES, CSCF)]
        for role in roles:
            role.wait()
        self._tell(f"each runs in a process of its own, with TLS between them; the LEMF is on {self._lemf.address}")

    def _begin(self, stack: ExitStack) -> list[LiveCall]:
        """The calls, of which the first is the target's; returns when it is answered."""
        ask, stop = self._site.kms(), threading.Event()
        calls: list[LiveCall] = []
        for number, pair in enumerate(self._users.pairs):
            tell = untold if number else self._tell
            call = LiveCall(number, pair, ask, None, stop, tell, proxy=self._site.proxy)
            stack.callback(call.close)
            calls.append(call)
        for number, call in enumerate(calls):
            call.begin(number * BEGIN_WITHIN / len(calls))
            stack.callback(call.join)
        stack.callback(stop.set)
        stack.enter_context(Watch(self._hi2, self._hi3))
        calls[0].until_talk()
        if calls[0].failed is not None:
            raise Failed(UNREADABLE, f"the call of the demo failed: {calls[0].failed}")
        return calls

    def _approved(self, target: str) -> tuple[Path, activate.Order]:
        path, drafted = self._site.draft(target, LIID, self._lemf.address)
        keys = self._site.approve(path)
        self._tell(f"warrant {drafted.id} for {target}, approved by the keys {' and '.join(key[:12] for key in keys)}")
        return path, self._site.order(path)

    def _activate(self, order: activate.Order) -> int:
        if asyncio.run(activate.begin(order, self._say)) != DONE:
            raise Failed(UNREADABLE, "the task could not be activated")
        # The last request of four went out when the one before was answered.
        return self._steps[-2][0]

    def _say(self, text: str, *, err: bool = False) -> None:
        self._steps.append((time.time_ns(), text))
        self._tell(f"X1: {text}")
        if err:
            self.faults.append(text)

    def _heard(self, line: str) -> None:
        self._tell(f"LEMF: {line}")

    def _verify(self) -> None:
        """That what was done stands in the audit, and was not changed."""
        path = self._out / "pki" / "heads.pub"
        key = Key.read(path.read_bytes())
        heads = kept(key, heads_of(key, self._site.anchor.read_bytes().splitlines()))
        checked = Checker(key, Against(heads).head).check(files.read(self._site.audit_log))
        if checked.found is not None or checked.place is None:
            self.faults.append(f"the audit is not what was written: {self._site.audit_log}")
            return
        self._tell(f"audit: {checked.place.size} entries verify, with {len(heads)} heads that were kept elsewhere")
        self._tell(f"  midcall audit verify {self._site.audit_log} --key {path} --anchor {self._site.anchor}")

    # Waiting

    def _until(self, done: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while not done():
            if time.monotonic() >= end:
                self.faults.append(otherwise)
                return
            time.sleep(0.02)

    def _is_whole(self, target: LiveCall) -> bool:
        """The last packet of each direction has come."""
        last = {clear[8:12]: clear for _, clear in target.media()}
        return set(last.values()) <= set(self._hi3.rtp())

    # Results

    def _latencies(self, target: LiveCall, asked: int) -> None:
        """What arrived, when, and whether it is what was said."""
        questions = self._site.li_log("kms").read_text().count("get_keys")
        self._tell(f"calls: {len(self._users.pairs)}; questions to the KMS for session keys: {questions}")
        if self._hi2.at:
            self._tell(f"ActivateTask -> start of interception at the LEMF: {_ms(self._hi2.at[0] - asked)}")
        self._tell(f"longest pause between two packets of the call, activation included: {_ms(target.wire.pause)}")
        sent = {clear: at for at, clear in target.media()}
        content = self._hi3.rtp()
        if not content:
            return
        first = min(sent.get(each, asked) for each in content)
        delays = sorted(at - sent.get(each, at) for at, each in zip(self._hi3.at, content, strict=True))
        self._tell(f"ActivateTask -> first decrypted RTP at the LEMF: {_ms(self._hi3.at[0] - asked)}")
        self._tell(f"the first packet of that content was sent {_ms(first - asked)} after ActivateTask")
        middle, late = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
        self._tell(f"from a user's socket to the LEMF's file: median {_ms(middle)}, 99 % within {_ms(late)}")
        said = [clear for at, clear in target.media() if at >= first]
        if sorted(content) == sorted(said):
            self._tell(f"the LEMF has {len(content)} packets, octet for octet what was said from then on, and no other")
        else:
            self.faults.append(f"the LEMF has {len(content)} packets, of which {len(said)} were said from then on")


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / MILLI:.1f} ms"
