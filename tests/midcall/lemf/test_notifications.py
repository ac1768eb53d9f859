"""HI1 notifications: a sequence of their own, a file of their own, and a word in the view."""

from __future__ import annotations

import pytest

from imswire import hi
from imswire.hi import common, hi1
from midcall.lemf import Link
from midcall.lemf.core import Lemf
from tests.midcall.lemf.deliverer import NOW, Sender
from tests.midcall.lemf.loopback import Lab, run
from tests.midcall.lemf.memory import LATER

NETWORK = hi1.Hi1Communication(common.NetworkId(b"99999"))
BEGUN, ENDED, CHANGED = hi1.NotificationKind.ACTIVATED, hi1.NotificationKind.DEACTIVATED, hi1.NotificationKind.MODIFIED


def operation(kind: int | str, liid: bytes = b"LIID1") -> bytes:
    """An alarm, or a notification, of an interception."""
    if isinstance(kind, str):
        return hi1.build(hi1.AlarmIndicator(time=NOW, information=kind.encode(), communication=NETWORK, liid=liid))
    return hi1.build(hi1.Notification(kind=kind, liid=liid, time=NOW, communication=NETWORK))


def told(number: int, contents: bytes, liid: bytes = b"LIID1") -> bytes:
    header = hi.Header(liid, hi.CommunicationId(b"operator", b"node", None, "SE"), number, NOW + number, "SE")
    return hi.build(hi.PsPdu(header, hi.Hi1(contents)))


def delivered(*pdus: bytes) -> tuple[Lemf, list[str], dict[str, bytes]]:
    """What a deliverer's octets come to: events of the view, and octets by file."""
    lemf = Lemf()
    batch = Link(lemf, "df").receive(b"".join(pdus), LATER)
    stored = {name: b"".join(octets) for each in batch.stored for name, octets in each.gathered()}
    lemf.finish(LATER)
    return lemf, batch.events, stored


def findings(lemf: Lemf) -> list[tuple[str, str | None, int | None]]:
    return [(each.rule.value, each.payload, each.sequence) for each in lemf.findings.take()]


def test_notifications_stand_apart_and_wait_for_no_hash():
    sender = Sender()
    iri, cc = sender.iri(), sender.cc()
    pdus = [told(0, operation(BEGUN)), iri, cc, told(1, operation(CHANGED)), told(2, operation(ENDED))]
    lemf, events, stored = delivered(*pdus, sender.check(hi.DataType.IRI), sender.check())
    assert findings(lemf) == [] and lemf.uncovered == 0
    assert stored["hi1"] == pdus[0] + pdus[3] + pdus[4]
    assert stored["hi2"].startswith(iri) and stored["hi3"].startswith(cc) and stored["aside"] == b""
    assert [each for each in events if "SIP" not in each] == [
        "LIID LIID1: liActivated",
        "LIID LIID1: liModified",
        "LIID LIID1: liDeactivated",
    ]


def test_an_alarm_is_told_with_its_text_and_without_what_a_terminal_obeys():
    lemf, events, _ = delivered(told(0, operation("disk full\x1b[2J")), told(1, hi1.build(hi1.NationalHi1("SE"))))
    assert events == ["LIID LIID1: alarms-indicator: disk full\\x1b[2J", "LIID LIID1: national-HI1-ASN1parameters"]
    assert findings(lemf) == []


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ((0, 2), [("gap", "HI1", 1)]),
        ((0, 1, 1), []),
        ((0, 2, 1), [("order", "HI1", 1)]),
    ],
)
def test_numbers_are_judged_as_those_of_every_class(numbers, found):
    lemf, _, stored = delivered(*(told(number, operation(BEGUN)) for number in numbers))
    assert findings(lemf) == found
    assert stored["hi1"] == b"".join(told(number, operation(BEGUN)) for number in dict.fromkeys(numbers))


def test_one_number_with_two_notifications_is_a_fault():
    lemf, _, _ = delivered(told(0, operation(BEGUN)), told(0, operation(ENDED)))
    assert findings(lemf) == [("doubled", "HI1", 0)]


def test_a_notification_of_another_interception_than_the_header_names_is_a_fault():
    lemf, _, _ = delivered(told(0, operation(BEGUN, b"LIID2")), told(1, operation("x", b"LIID2")))
    assert findings(lemf) == [("schema", "HI1", 0), ("schema", "HI1", 1)]


def test_one_that_cannot_be_read_is_kept_beside_the_others():
    broken = told(0, operation(BEGUN)).replace(operation(BEGUN), b"\xae" + operation(BEGUN)[1:])
    lemf, events, stored = delivered(broken)
    assert stored["hi1"] == broken and stored["hi2"] == b""
    assert [rule for rule, _, _ in findings(lemf)] == ["schema"] and events == ["LIID LIID1: unreadable contents"]


def test_numbers_go_on_when_the_receiver_was_restarted(pki, tmp_path):
    async def deliver(*pdus: bytes) -> Lab:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(*pdus)
            await client.barrier()
            await client.close()
        return lab

    first, second, fourth = told(0, operation(BEGUN)), told(1, operation(CHANGED)), told(3, operation(ENDED))
    run(lambda: deliver(first))
    lab = run(lambda: deliver(first, second, fourth))
    assert lab.file("hi1.ber") == first + second + fourth and lab.receiver.lemf.repeats == 1
    assert [(each["rule"], each["payload"], each["sequence"]) for each in lab.findings] == [("gap", "HI1", 2)]
