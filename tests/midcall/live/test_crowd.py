"""Each process of a site is killed while a hundred intercepted calls talk: what goes over is whole, or its lack is
told.

What was said is known packet by packet, and so is what the agency has. Which packets it may lack is what it was told
of: the times in the records that content is missing.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imswire.hi import eps
from midcall.base.tap import NotPermitted, Source, Tap
from midcall.cli.lab_lemf import LabLemf, Received
from midcall.cli.lab_process import LabRole
from scripts.bench.crowd import Crowd, Speaker, Spoken
from scripts.bench.voices import VOICE, Voice
from tests.midcall.base.tap.conftest import unable
from tests.midcall.live.live_site import until

CALLS = 100
FRAME_NS = 100_000_000
"""Between two packets of a voice: 2 000 packets a second in all."""
ROUNDS = 2
BETWEEN_SECONDS = 1.0, 2.5
"""Two deaths are so far from each other: at any point between two notes of the counters."""
START, SIP, MISSING = 4, 1, 7  # IMSevent
TOLD = re.compile(r"from (\d+)\.(\d{3}) to (\d+)\.(\d{3}) ")
ALL = ("kms", "tap", "df", "poi")
SECOND = 1_000_000_000


class Site:
    """Roles, LEMF, and calls that run already; one call more than are intercepted at first."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.crowd = stack.enter_context(contextlib.closing(Crowd(folder, CALLS + 1, door=True)))
        self.lemf = stack.enter_context(LabLemf(folder / "lemf", folder / "pki", lambda _: None))
        self.address = self.lemf.address
        self.roles: dict[str, LabRole] = {}
        for name in ALL:
            self.begin(name)
        self.crowd.connect()
        self.voices = self.crowd.voices()
        liids = [self.crowd.liid(number) for number in range(CALLS + 1)]
        self.hi2, self.hi3 = ([Received(folder / "lemf", liid, each) for liid in liids] for each in ("hi2", "hi3"))

    def begin(self, name: str) -> None:
        self.roles[name] = self._stack.enter_context(self.crowd.site.role(name))
        self.roles[name].wait()

    def intercept(self, number: int) -> None:
        self.crowd.intercept(self.address, number)

    def events(self, number: int) -> list[int]:
        self.hi2[number].look()
        return [eps.parse(each).event for each in self.hi2[number].contents()]

    def told(self, number: int) -> list[tuple[int, int]]:
        """From when to when content of a call may be missing, wall ns."""
        found = []
        for each in self.hi2[number].contents():
            said = TOLD.search(eps.parse(each).cc_unavailable_reason or "")
            if said is not None:
                begin, begin_ms, end, end_ms = map(int, said.groups())
                found.append((begin * SECOND + begin_ms * 1_000_000, end * SECOND + end_ms * 1_000_000))
        return found

    def resumed(self, after: int) -> float:
        """Seconds from a moment (wall ns) until every call that was intercepted then had content again."""
        firsts = (next(at for pdu in each.records if (at := pdu.header.time or 0) > after) for each in self.hi3[:CALLS])
        return (max(firsts) - after) / SECOND

    def until_still(self) -> None:
        """Until nothing more comes to the agency."""
        before = -1
        while (now := sum(len(each.look()) for each in (*self.hi2, *self.hi3))) != before:
            before = now
            time.sleep(3)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    try:
        Tap(Source(("lo",))).open().close()
    except NotPermitted as why:
        unable(why)
    with contextlib.ExitStack() as stack:
        yield Site(tmp_path, stack)


@pytest.mark.proof
def test_a_hundred_calls_go_on_over_the_death_of_each_process(site: Site) -> None:
    for number in range(CALLS):
        site.intercept(number)
    until(lambda: all(site.events(number) == [START] for number in range(CALLS)), "the calls under the warrants")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)  # noqa: S311 - of deaths
    speaker = Speaker(site.voices, 3_600.0, FRAME_NS)
    killed: list[tuple[str, int]] = []
    for victim in ("kms", "tap", "poi", "df") * ROUNDS:
        time.sleep(moments.uniform(*BETWEEN_SECONDS))
        killed.append((victim, time.time_ns()))
        site.roles[victim].kill()
        site.begin(victim)
    time.sleep(2)
    site.intercept(CALLS)  # its ticket was cached before the POI died
    late = time.time_ns()
    time.sleep(2)
    speaker.end()
    spoken = speaker.wait()
    site.crowd.hang_up()
    site.until_still()
    for number in range(CALLS):
        check(site, number, spoken, 0, [START, *[MISSING] * ROUNDS, SIP, SIP])
    check(site, CALLS, spoken, late, [START, SIP, SIP])
    assert (site.folder / "lemf" / "findings.jsonl").read_text() == ""
    for victim, at in killed:
        print(f"{victim} was killed: content of all calls goes on {site.resumed(at):.2f} s later")


def check(site: Site, number: int, spoken: Spoken, since: int, events: list[int]) -> None:
    """What the agency has of one call, against what was said from ``since`` on (wall ns)."""
    assert site.events(number) == events
    content: dict[bytes, list[int]] = {each[8:12]: [] for each in site.hi3[number].rtp()}
    for each in site.hi3[number].rtp():
        assert each[12:] == VOICE
        content[each[8:12]].append(int.from_bytes(each[2:4], "big"))
    told = site.told(number)
    for voice in site.voices[2 * number : 2 * number + 2]:
        got = content.pop(voice.ssrc.to_bytes(4, "big"))
        assert len(got) == len(set(got)), "a packet went over twice"
        lacking = [at for place, at in enumerate(spoken.times) if at >= since and _number(voice, place) not in set(got)]
        untold = [at for at in lacking if not any(begin <= at <= end for begin, end in told)]
        assert not untold, f"{len(untold)} of {len(lacking)} packets that are missing are in no gap that was told"
    assert not content
    for received in (site.hi2[number], site.hi3[number]):
        assert len({each.header.cid.cin for each in received.records}) == 1


def _number(voice: Voice, place: int) -> int:
    return (voice.sequence + place) & 0xFFFF
