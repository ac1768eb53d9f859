"""The whole site as processes: KMS, POI, DF and LEMF; SIP by HEP, media by a tap, tasks by X1."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

from imswire.hi import eps
from midcall.base.tap import NotPermitted, Source, Tap
from midcall.cli import activate
from midcall.cli.lab_calls import HepAgent, LiveCall, Users
from midcall.cli.lab_lemf import LabLemf, Received
from midcall.cli.lab_site import ROLES, LabSite
from tests.midcall.base.tap.conftest import unable

LIMIT = 60
LIID = "LI-1"


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for what other processes do."""
    end = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < end, f"not within {LIMIT} s: {what}"
        time.sleep(0.02)


def test_a_site_hands_over_what_a_warrant_in_the_middle_of_a_call_covers(tmp_path):
    try:
        Tap(Source(("lo",))).open().close()
    except NotPermitted as why:
        unable(why)
    users = Users(1)
    (tmp_path / "KEYS.toml").write_text(users.key_file())
    site = LabSite(tmp_path / "site", tmp_path / "pki", tmp_path / "KEYS.toml")
    told, hi2, hi3 = (Received(tmp_path / "lemf", LIID, name) for name in ("hi1", "hi2", "hi3"))
    with contextlib.ExitStack() as stack:
        lemf = stack.enter_context(LabLemf(tmp_path / "lemf", tmp_path / "pki", lambda _: None))
        roles = [stack.enter_context(site.role(name)) for name in ROLES]
        for role in roles:
            role.wait()
        agent = stack.enter_context(contextlib.closing(HepAgent(site.hep, site.agent)))
        call = LiveCall(0, users.pairs[0], site.kms(), agent, threading.Event())
        stack.callback(call.close)
        call.connect()
        call.talk(1)
        before = len(call.media())
        assert "get_keys" not in site.li_log("kms").read_text()

        path, _ = site.draft(call.call.caller.uri, LIID, lemf.address)
        site.approve(path)
        order = site.order(path)
        assert asyncio.run(activate.begin(order)) == 0
        until(lambda: len(hi2.look()) == 1, "the event of a call that ran already")
        assert len(told.look()) == 1, "it is told before"
        call.talk(1)
        until(lambda: len(hi3.look()) >= len(call.media()) - before, "the content")
        call.hang_up()
        until(lambda: len(hi2.look()) == 3, "the end of the call")
        assert asyncio.run(activate.end(order)) == 0
        until(lambda: len(told.look()) == 2, "the end of the interception")
    for role in roles:
        assert role.status == 0, role.told
        assert role.told[role.told.index("ready") :] == ["ready", "stopping", "stopped"]
    assert [eps.parse(each).event for each in hi2.contents()] == [4, 1, 1]
    assert told.notifications() == ["liActivated", "liDeactivated"]
    content = hi3.rtp()
    clear = [rtp for _, rtp in call.media()[before:]]
    for ssrc in {each[8:12] for each in clear}:
        assert [c for c in content if c[8:12] == ssrc] == [c for c in clear if c[8:12] == ssrc]
    assert len(content) == len(clear)
    assert (tmp_path / "lemf" / "findings.jsonl").read_text() == ""
    assert site.li_log("kms").read_text().count("get_keys") == 1
    for name in ROLES:
        log = site.li_log(name).read_text()
        assert "alice" not in log and "127.0.1." not in log
