"""Torture messages through the proxy, and next hops that are asked whether they are there."""

from __future__ import annotations

import pytest

from imswire import sip
from midcall.cscf.health import Health
from midcall.cscf.values import Hop, Out
from tests.imswire.sip.torture import TORTURE, VERDICTS
from tests.midcall.cscf.stage import ALICE, Stage, names, response


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_torture_message(name):
    """RFC 4475, RFC 5118: what the table says of a datagram, through the proxy."""
    stage = Stage()
    octets = (TORTURE / name).read_bytes()
    outs = stage.outs(octets, ALICE)
    expected = VERDICTS[name]["datagram"]
    sent = [sip.parse(each.octets) for each in outs if isinstance(each, Out)]
    looked_up = names(outs)
    if expected == "drop" or octets.startswith(b"SIP/"):
        assert not outs
    elif expected != "forward":
        assert [each.status for each in sent] == [int(expected)] and not looked_up
    else:
        assert looked_up or [each for each in sent if not each.status], [each.status for each in sent]


def test_a_next_hop_is_asked_whether_it_is_there():
    """RFC 3261 11: by OPTIONS that it answers itself."""
    stage, heard = Stage(), []
    (out,) = stage.proxy.probe("sip:192.0.2.99:5062", 0, heard.append)
    probe = sip.parse(out.octets)
    assert (
        out.hop == Hop("udp", "192.0.2.99", 5062) and probe.method == "OPTIONS" and probe.first("Max-Forwards") == "0"
    )
    assert stage.say(response(probe, 404), out.hop) == [] and heard == [404]
    stage.proxy.probe("sip:192.0.2.99:5062", stage.now, heard.append)
    stage.wait(33_000)
    assert heard == [404, 408] and stage.proxy.running == (0, 0)
    assert names(stage.proxy.probe("sip:far.example", stage.now, heard.append)) == ["far.example"]
    stage.proxy.probe("sip:[2001:db8::9];transport=tcp", stage.now, heard.append)
    assert heard[-1] == 503


def test_a_hop_that_does_not_answer_is_passed_over():
    health = Health({"sip:a": 30, "sip:b": 0})
    assert health.due(0) == ["sip:a"] and health.due(29) == [] and health.due(30) == ["sip:a"]
    health.told("sip:a", 408)
    assert health.alive("sip:a")
    health.told("sip:a", 503)
    assert not health.alive("sip:a") and health.alive("sip:b") and health.down == 1
    health.told("sip:a", 404)
    assert health.alive("sip:a") and health.down == 0
