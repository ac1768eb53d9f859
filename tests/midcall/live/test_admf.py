"""A whole site under its ADMF: four people, a warrant in the middle of a call, a crash, a thief, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

import pytest

from imswire import x2x3
from midcall.admf.roles import Command
from midcall.admf.values import AlarmKind
from midcall.base import tls
from midcall.base.lab_pki import uri
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.base.warrant import Revocation
from midcall.base.x2_link import TlsPeer, X2Client
from midcall.cli import activate
from midcall.cli.lab_calls import Users
from midcall.cli.lab_site import HOST
from tests.midcall.live.admf_site import AdmfSite
from tests.midcall.live.live_site import LiveSite, until

LIID = "LI-1"
pytestmark = pytest.mark.proof


def test_from_a_draft_to_content_and_to_its_end(tmp_path):
    with contextlib.ExitStack() as stack:
        live = LiveSite(tmp_path, stack, Users(1), tap=False)
        admf = AdmfSite(live)
        call = live.call()
        call.talk(1)
        warrant = admf.warrant(call.call.caller.uri, LIID)
        admf.approved(warrant)
        assert not live.questions() and admf.status(warrant.id) == "Approved"
        admf.act(Command.ACTIVATE, warrant.id)
        admf.until(warrant.id, "Active")
        call.wire.media_copy = stack.enter_context(live.site.media_node(warrant.targets[0].xid)).copy
        hi2, hi3 = (live.received(LIID, name) for name in ("hi2", "hi3"))
        until(lambda: len(hi2.look()) == 1, "the event of a call that ran already")
        call.talk(1)
        until(lambda: len(hi3.look()) > 20, "content")
        # What is armed goes on while nobody looks after it, and is found again.
        admf.kill()
        call.talk(1)
        before = len(hi3.look())
        admf.begin()
        admf.until(warrant.id, "Active")
        assert admf.alarms() == []
        # For good: two sign its revocation.
        version = warrant.version + 1
        admf.approved(Revocation(id=warrant.id, version=version, supersedes=version - 1, reference="2 LAB 1"))
        until(lambda: admf.status(warrant.id) == "Cancelled", "the end")
        until(lambda: admf.held() == [], "nothing is held")
        call.talk(0.5)
        ended = len(hi3.look())
        call.talk(0.5)
        assert len(hi3.look()) == ended >= before
        call.hang_up()
    live.assert_no_findings()
    log = (admf.folder / "li.log").read_text()
    assert "alice" not in log and call.call.caller.uri not in log and warrant.targets[0].identity not in log


def test_what_a_thief_orders_with_a_warrant_that_he_found_is_taken_away_within_a_minute(tmp_path):
    """He has the ADMF's certificate, and the file of a warrant that two have approved and nobody has activated."""
    with contextlib.ExitStack() as stack:
        live = LiveSite(tmp_path, stack, Users(1), tap=False)
        admf = AdmfSite(live)
        call = live.call()
        order = live.order(call.call.caller.uri, LIID)
        assert asyncio.run(activate.begin(order)) == 0
        kinds = {AlarmKind.STRANGE_TASK.value, AlarmKind.STRANGE_DESTINATION.value}
        until(lambda: kinds <= set(admf.alarms()), "the alarms")
        hi3 = live.received(LIID, "hi3")
        until(lambda: admf.held() == [], "nothing is held")
        assert hi3.look() == []


def test_product_that_nobody_ordered_is_an_alarm_within_a_minute(tmp_path):
    """A POI with a valid certificate, on which somebody has armed a task past X1: the DF drops it, and reports."""
    with contextlib.ExitStack() as stack:
        live = LiveSite(tmp_path, stack, Users(1), tap=False)
        admf = AdmfSite(live)
        admf.let_report("df")
        pki = live.folder / "pki"
        own = tls.Identity(pki / "poi.pem", pki / "poi.key", pki / "ca.pem")

        async def send() -> None:
            client = X2Client(TlsPeer(HOST, live.site._ports["x2"], TlsEnd.client(own, PeerName(uri("df")))))
            running = asyncio.create_task(client.run())
            said = b"BYE sip:alice@example.com SIP/2.0\r\n\r\n"
            form, way = x2x3.PayloadFormat.SIP, x2x3.Direction.FROM_TARGET
            pdu = x2x3.Pdu(x2x3.PduType.X2, form, way, uuid.uuid4().bytes, bytes(8), payload=said)
            client.put([x2x3.build(pdu)])
            await asyncio.sleep(2)
            client.stop(1)
            await running

        asyncio.run(send())
        until(lambda: AlarmKind.FAULT.value in admf.alarms(), "the alarm")
        assert not (live.folder / "lemf" / "findings.jsonl").read_text()
