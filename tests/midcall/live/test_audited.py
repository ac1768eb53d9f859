"""A site that is audited, as processes: what stands in the log, and what becomes of calls when the audit dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from imswire import x2x3
from midcall.audit.checking import Checked, Checker
from midcall.audit.comparing import Against, kept
from midcall.audit.heads import Key
from midcall.audit.opening import heads_of
from midcall.audit.reviewing import CLOCK, Review
from midcall.audit.shell import files
from midcall.base import tls
from midcall.base.audit_link import Kind, digest
from midcall.base.lab_pki import uri
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.base.x2_link import TlsPeer, X2Client
from midcall.cli import activate
from midcall.cli.lab_calls import LiveCall, Users
from midcall.cli.lab_site import AUDIT, HOST
from tests.midcall.live.live_site import LiveSite, until

LIID = "LI-1"
pytestmark = pytest.mark.proof


def log(live: LiveSite) -> list[dict]:
    rows = [json.loads(row) for file in files.read(live.site.audit_log) for row in file.lines if row.endswith(b"\n")]
    return [row for row in rows if "n" in row]


def acts(live: LiveSite, act: str) -> list[dict]:
    return [row for row in log(live) if row["act"] == act]


def talk_until(call: LiveCall, done: Callable[[], bool], what: str) -> None:
    """However long a busy machine takes to begin."""

    def talked() -> bool:
        call.talk(0.2)
        return done()

    until(talked, what)


def checked(live: LiveSite) -> Checked:
    """By itself, by the heads that were anchored, and by what roles say beside each other."""
    key = Key.read((live.folder / "pki" / "heads.pub").read_bytes())
    heads = kept(key, heads_of(key, live.site.anchor.read_bytes().splitlines()))
    assert heads
    look, review = Against(heads), Review()
    found = Checker(key, look.head, on_entry=review.entry).check(files.read(live.site.audit_log))
    assert [each for each in review.remarks() if each.reason != CLOCK] == [], "but what the machine's clock does"
    assert found.found is None and look.end(found) is None and look.met == len(heads)
    return found


def test_an_audited_call_and_an_audit_that_dies_in_it(tmp_path):
    with contextlib.ExitStack() as stack:
        live = LiveSite(tmp_path, stack, Users(2), audit=True)
        hi2, hi3 = (live.received(LIID, name) for name in ("hi2", "hi3"))
        call = live.call()
        order = live.activate(call.call.caller.uri, LIID)
        talk_until(call, lambda: bool(hi3.look()), "content")

        live.kill(AUDIT)
        before = len(hi3.look())
        talk_until(call, lambda: len(hi3.look()) > before + 50, "content goes on without an audit")
        other = live.call(1)
        begun = time.monotonic()
        assert asyncio.run(activate.begin(live.order(other.call.caller.uri, "LI-2"))) != 0
        assert time.monotonic() - begun < 10, "refused, not waited for"
        assert not live.received("LI-2", "hi2").look()
        other.talk(0.5)

        live.begin(AUDIT)
        until(lambda: asyncio.run(activate.begin(live.order(other.call.caller.uri, "LI-3"))) == 0, "a new one")
        talk_until(other, lambda: bool(live.received("LI-3", "hi3").look()), "its content")
        call.hang_up()
        other.hang_up()
        assert asyncio.run(activate.end(order)) == 0
        salt = bytes.fromhex((live.folder / "pki" / "salt").read_text())
        product = digest(salt, Kind.INTERCEPT, LIID).hex()

        def destroyed() -> list[str]:
            # A point of interception tells of keys of tickets beside.
            return [each["outcome"] for each in acts(live, "keys.destroy") if each["object"] == product]

        until(lambda: bool(destroyed()), "the end of what sealed its product")
    found = checked(live)
    assert found.unresolved == ()
    assert destroyed() == ["done"]
    xid = order.warrant.targets[0].xid
    told = [
        (row["role"], row["act"], row["phase"])
        for row in log(live)
        if row["object"] == digest(salt, Kind.TASK, xid).hex()
    ]
    for wanted in (
        ("df", "task.activate", "intent"),
        ("poi", "task.activate", "outcome"),
        ("df", "keys.ask", "intent"),
        ("kms", "keys.give", "outcome"),
        ("poi", "task.disarm", "event"),
    ):
        assert wanted in told
    octets = b"".join(path.read_bytes() for path in live.site.audit_log.iterdir())
    for secret in (xid, LIID, call.call.caller.uri, "alice", call.call.call_id, order.warrant.id, salt.hex()):
        assert secret.encode() not in octets


def test_product_of_a_task_that_nobody_ordered(tmp_path):
    """A POI with a valid certificate, which sends for tasks of its own: dropped, and told within a minute."""
    with contextlib.ExitStack() as stack:
        live = LiveSite(tmp_path, stack, Users(1), audit=True)
        pki = live.folder / "pki"
        own = tls.Identity(pki / "poi.pem", pki / "poi.key", pki / "ca.pem")

        async def send() -> None:
            end = TlsEnd.client(own, PeerName(uri("df")))
            client = X2Client(TlsPeer(HOST, live.site._ports["x2"], end))
            running = asyncio.create_task(client.run())
            said = b"BYE sip:alice@example.com SIP/2.0\r\n\r\n"
            xid = uuid.uuid4().bytes
            form, way = x2x3.PayloadFormat.SIP, x2x3.Direction.FROM_TARGET
            pdu = x2x3.Pdu(x2x3.PduType.X2, form, way, xid, bytes(8), payload=said)
            client.put([x2x3.build(pdu)])
            await asyncio.sleep(2)
            client.stop(1)
            await running

        asyncio.run(send())
        until(lambda: bool(acts(live, "delivery.refuse")), "the audit tells of it")
        assert not (Path(live.folder) / "lemf" / "findings.jsonl").read_text()
        assert [row["outcome"] for row in acts(live, "delivery.refuse")] == ["refused"]
        assert any(row["code"] for row in acts(live, "alarm"))
    checked(live)
