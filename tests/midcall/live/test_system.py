"""The whole site as processes: KMS, POI, DF and LEMF; SIP by HEP, media by a tap, tasks by X1."""

from __future__ import annotations

import asyncio
import contextlib

from imswire.hi import eps
from midcall.cli import activate
from midcall.cli.lab_calls import Users
from tests.midcall.live.live_site import LiveSite, until

LIID = "LI-1"


def test_a_site_hands_over_what_a_warrant_in_the_middle_of_a_call_covers(tmp_path):
    with contextlib.ExitStack() as stack:
        live = LiveSite(tmp_path, stack, Users(1))
        told, hi2, hi3 = (live.received(LIID, name) for name in ("hi1", "hi2", "hi3"))
        call = live.call()
        call.talk(1)
        before = len(call.media())
        assert not live.questions()

        order = live.activate(call.call.caller.uri, LIID)
        until(lambda: len(hi2.look()) == 1, "the event of a call that ran already")
        assert len(told.look()) == 1, "it is told before"
        call.talk(1)
        until(lambda: len(hi3.look()) >= len(call.media()) - before, "the content")
        call.hang_up()
        until(lambda: len(hi2.look()) == 3, "the end of the call")
        assert asyncio.run(activate.end(order)) == 0
        until(lambda: len(told.look()) == 2, "the end of the interception")
    for role in live.roles.values():
        assert role.status == 0, role.told
        assert role.told[role.told.index("ready") :] == ["ready", "stopping", "stopped"]
    assert [eps.parse(each).event for each in hi2.contents()] == [4, 1, 1]
    assert told.notifications() == ["liActivated", "liDeactivated"]
    content = hi3.rtp()
    clear = [rtp for _, rtp in call.media()[before:]]
    for ssrc in {each[8:12] for each in clear}:
        assert [c for c in content if c[8:12] == ssrc] == [c for c in clear if c[8:12] == ssrc]
    assert len(content) == len(clear)
    live.assert_no_findings()
    assert live.questions() == 1
    for name in live.roles:
        log = live.site.li_log(name).read_text()
        assert "alice" not in log and "127.0.1." not in log
