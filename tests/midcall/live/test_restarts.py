"""Processes of a site are killed in the middle of intercepted calls: the others go on, and they when they are back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imswire.hi import eps
from midcall.cli.lab_calls import Users
from tests.midcall.live.live_site import LiveSite, until
from tests.midcall.live.test_system import LIID

START, SIP, MISSING = 4, 1, 7  # IMSevent


class Running(LiveSite):
    """A site, and one call that has begun."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        super().__init__(folder, stack, Users(1))
        self.hi1, self.hi2, self.hi3 = (self.received(LIID, name) for name in ("hi1", "hi2", "hi3"))
        self.talking = self.call()
        self.talk()

    def intercept(self) -> None:
        self.activate(self.talking.call.caller.uri, LIID)

    def talk(self) -> None:
        self.talking.talk(0.5)

    def clear(self, since: int) -> list[bytes]:
        """What was said since a number of packets, in clear."""
        return [rtp for _, rtp in self.talking.media()[since:]]

    def until_events(self, *events: int) -> None:
        until(lambda: len(self.hi2.look()) >= len(events), f"{len(events)} events")
        assert [eps.parse(each).event for each in self.hi2.contents()] == [*events]

    def until_told(self, *notifications: str) -> None:
        until(lambda: len(self.hi1.look()) >= len(notifications), f"{len(notifications)} notifications")
        assert self.hi1.notifications() == [*notifications]

    def until_content(self, count: int) -> None:
        until(lambda: len(self.hi3.look()) >= count, "the content")

    def assert_whole(self) -> None:
        """One communication, no number missing, nothing that the LEMF found fault with."""
        for received in (self.hi2, self.hi3):
            assert len({each.header.cid.cin for each in received.look()}) <= 1
        self.assert_no_findings()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with contextlib.ExitStack() as stack:
        yield Running(tmp_path, stack)


def test_df_goes_on_with_its_calls(running: Running) -> None:
    running.intercept()
    running.until_events(START)
    before = len(running.talking.media())
    running.talk()
    running.until_content(len(running.clear(before)))
    time.sleep(1.5)  # counters of streams are noted each second
    running.kill("df")
    running.begin("df")
    running.until_events(START, MISSING)
    until(lambda: running.questions() == 2, "the KMS asked anew")
    running.talk()
    running.until_content(len(running.clear(before)))
    running.talking.hang_up()
    running.until_events(START, MISSING, SIP, SIP)
    running.until_told("liActivated", "alarms-indicator")
    assert sorted(running.hi3.rtp()) == sorted(running.clear(before))
    running.assert_whole()


@pytest.mark.proof
def test_what_happens_while_df_is_down_is_told_afterwards(running: Running) -> None:
    running.intercept()
    running.until_events(START)
    running.kill("df")
    running.talking.hang_up()
    running.begin("df")
    # Whether the call had content in that time nobody can tell.
    running.until_events(START, MISSING, SIP, SIP)
    running.until_told("liActivated", "alarms-indicator")
    running.assert_whole()


def test_poi_goes_on_with_tickets_and_tasks(running: Running) -> None:
    time.sleep(0.5)  # the cache is written each 50 ms
    running.kill("poi")
    running.begin("poi")
    running.intercept()
    running.until_events(START)
    before = len(running.talking.media())
    running.talk()
    running.until_content(len(running.clear(before)))
    running.kill("poi")
    running.begin("poi")
    running.talk()
    running.until_content(len(running.clear(before)))
    running.talking.hang_up()
    running.until_events(START, SIP, SIP)  # the POI tells again what runs, the agency hears it once
    assert sorted(running.hi3.rtp()) == sorted(running.clear(before))
    running.assert_whole()


@pytest.mark.proof
def test_calls_go_on_in_clear_while_the_kms_is_down(running: Running) -> None:
    running.intercept()
    running.until_events(START)
    before = len(running.talking.media())
    running.talk()
    running.until_content(len(running.clear(before)))
    running.kill("kms")
    running.talk()
    running.until_content(len(running.clear(before)))
    running.begin("kms")
    assert sorted(running.hi3.rtp()) == sorted(running.clear(before))
    running.assert_whole()
