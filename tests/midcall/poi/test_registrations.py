"""A device that is a target is found in calls that do not name it, by what its user has registered (TS 33.107 7A.8)."""

from __future__ import annotations

import pytest

from midcall.events import Instant, SipReport, StartOfInterception, Task
from midcall.poi import MATCHING_ALL, MATCHING_REPLAY, PoiLimits, PointOfInterception
from tests.midcall.poi.test_core import ALICE, SDP, Net

IMEI = "urn:gsma:imei:35209900-176148-0"
CONTACT = "<sip:alice@10.0.0.1:5070;ob>"


def register(
    net: Net, contact: str = CONTACT, status: str = "200 OK", device: str = IMEI, **params: str
) -> list[object]:
    """What a registrar answers; ``params`` of the contact."""
    own = "".join(f";{name}={value}" for name, value in params.items())
    former, net.call_id = net.call_id, f"reg-{net.call_id}"
    shown = f'Contact: {contact};+sip.instance="<{device}>"{own}'
    events = net.see(f"SIP/2.0 {status}", shown, cseq="1 REGISTER", callee=ALICE, to_tag="r")
    net.call_id = former
    return events


def network(matching: frozenset[str] = MATCHING_ALL, **limits: int) -> Net:
    return Net(PointOfInterception(bytes(32), bytes(32), matching, PoiLimits(**limits)))


def is_found(net: Net, *headers: str) -> bool:
    """Whether a call of that contact is the device's."""
    net.poi.arm(Task("x", (IMEI,)), Instant(0, 0))
    return any(isinstance(each, SipReport) for each in net.invite(*(headers or (f"Contact: {CONTACT}",))))


def test_a_caller_whose_device_was_registered_before_the_warrant():
    net = network()
    register(net)
    assert is_found(net)


def test_a_call_that_runs_already():
    net = network()
    register(net)
    net.invite(f"Contact: {CONTACT}")
    net.answer(body=SDP)
    (start, *_) = net.poi.arm(Task("x", (IMEI,)), Instant(net.now, net.now))
    assert isinstance(start, StartOfInterception)


def test_who_answers():
    net = network()
    register(net)
    net.poi.arm(Task("x", (IMEI,)), Instant(0, 0))
    assert net.invite("Contact: <sip:bob@10.0.0.2>", uri=ALICE) == []
    events = net.answer("200 OK", f"Contact: {CONTACT}", body=SDP)
    assert any(isinstance(each, SipReport) for each in events)


@pytest.mark.parametrize(
    ("status", "params"),
    [
        ("100 Trying", {}),
        ("401 Unauthorized", {}),
        ("200 OK", {"expires": "0"}),
    ],
)
def test_what_the_registrar_has_not_confirmed_does_not_count(status, params):
    net = network()
    register(net, status=status, **params)
    assert not is_found(net)


def test_a_request_alone_proves_nothing():
    net = network()
    net.see("REGISTER sip:example.com SIP/2.0", f'Contact: {CONTACT};+sip.instance="<{IMEI}>"', cseq="1 REGISTER")
    net.call_id = "c2"
    assert not is_found(net)


def test_a_registration_ends():
    net = network()
    register(net, expires="60")
    net.now += 59_000_000_000
    assert is_found(net)
    net = network()
    register(net, expires="60")
    net.now += 61_000_000_000
    assert not is_found(net)


def test_who_leaves_is_forgotten():
    net = network()
    register(net)
    register(net, expires="0")
    assert not is_found(net)


def test_another_device_of_the_same_user_is_no_target():
    net = network()
    register(net)
    assert not is_found(net, "Contact: <sip:alice@10.0.0.9:5070>")


def test_a_device_that_names_itself_counts_as_that():
    net = network()
    register(net)
    assert not is_found(net, f'Contact: {CONTACT};+sip.instance="<urn:gsma:imei:11111111-111111-0>"')


def test_contacts_beyond_the_bound_go_the_oldest_first():
    net = network(registrations=1)
    register(net)
    register(net, "<sip:other@10.0.0.3>", device="urn:gsma:imei:11111111-111111-0")
    assert not is_found(net)


def test_where_the_device_is_not_looked_for():
    net = network(MATCHING_REPLAY)
    register(net)
    assert not is_found(net)


@pytest.mark.parametrize("contact", ["*", "<tel:+491>", "<sip:alice@10.0.0.1", '"', "<>"])
def test_contacts_of_all_kinds_harm_nothing(contact):
    net = network()
    register(net, contact)
    assert not is_found(net)


def test_nothing_is_kept_of_a_contact_but_hashes():
    net = network()
    register(net)
    (key, (hashes, _)), = net.poi._registrations._devices.items()  # fmt: skip
    assert len(key) == len(hashes[0]) == 16
