"""Torture messages at the point of interception: whom they match, and whom they must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from imswire import sip
from midcall.events import Instant, SipSeen, Task
from midcall.poi import MATCHING_ALL, PointOfInterception

TORTURE = Path(__file__).parents[2] / "data" / "torture"


def events(name: str, target: str):
    """What the point of interception reports of one message under a task for ``target``."""
    poi = PointOfInterception(bytes(32), bytes(32), MATCHING_ALL)
    poi.arm(Task("x", (target,)), Instant.of_capture(0))
    octets = (TORTURE / name).read_bytes()
    try:
        return poi.sip_seen(SipSeen(octets, "192.0.2.1:5060", "192.0.2.2:5060", Instant.of_capture(1), 1))
    except sip.SipError:
        return []


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("rfc4475/wsinv.dat", "sip:vivekg@chair-dnrc.example.com"),
        ("rfc4475/wsinv.dat", "sip:jdrosen@example.com"),
        ("rfc4475/esc01.dat", "sip:user@example.com"),
        ("rfc4475/lwsdisp.dat", "sip:caller@example.com"),
        ("rfc4475/semiuri.dat", "sip:user;par=u%40example.net@example.com"),
        ("rfc4475/invut.dat", "sip:j.user@example.com"),
        ("rfc4475/inv2543.dat", "sip:UserB@example.com"),
        ("rfc4475/dblreq.dat", "sip:j.user@example.com"),
        ("rfc5118/mult-ip-in-sdp.clfix.dat", "sip:user@example.com"),
    ],
)
def test_one_message_is_reported_once(name, target):
    assert len(events(name, target)) >= 1, name
    assert {type(event).__name__ for event in events(name, target)} <= {"SipReport", "SessionReport"}


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("rfc4475/escnull.dat", "sip:null-@example.com"),
        ("rfc4475/semiuri.dat", "sip:u@example.net"),
        ("rfc4475/dblreq.dat", "sip:joe@example.com"),
        ("rfc4475/unksm2.dat", "sip:null@example.com"),
        ("rfc4475/multi01.dat", "sip:caller@example.com"),
        ("rfc4475/clerr.dat", "sip:user@example.com"),
        ("rfc4475/insuf.dat", "sip:caller@example.com"),
        ("rfc5118/port-ambiguous.dat", "sip:5070@[2001:db8::10]"),
    ],
)
def test_nobody_else_is(name, target):
    assert events(name, target) == []
