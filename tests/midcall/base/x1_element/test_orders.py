"""Every member of a task: honoured, or the task is refused; and every field of a warrant that is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from imswire import x1
from imswire.x1 import DeliveryType, ErrorCode, ListOfDids, MediationDeliveryType, ServiceType
from imswire.x1.extensions import ForeignElement
from midcall.base.x1_element import Reason, State, digest
from midcall.base.x1_element.values import KeepKnown
from midcall.events import Terms
from tests.midcall import warrants
from tests.midcall.base.x1_element.world import (
    ALICE,
    DAY,
    DID,
    OTHER_DID,
    OTHER_XID,
    SECOND,
    XID,
    World,
    armed,
    changed,
    code,
    df_settings,
    disarmed,
    done,
    extended,
    lemf,
    mediation,
    ok,
    place,
    signed,
    task,
    text,
)

BOTH = DeliveryType.X2_AND_X3
CONTEXT = x1.HashContext("0c000000-0000-4000-8000-000000000001", x1.HashAlgorithm.SHA_256, b"saltsalt")
START = warrants.at(warrants.START).wall
END = warrants.at(warrants.END).wall


def df_task(octets: bytes | None = None, **given: Any) -> x1.TaskDetails:
    return task(octets, **{"delivery": BOTH, "mediation": (mediation(),)} | given)


def hashed(value: str, kind: str = "impu", context: str = CONTEXT.object_id) -> x1.HashedIdentifier:
    return x1.HashedIdentifier(context, kind, digest(CONTEXT, value))


def targets(*given: Any) -> tuple[Any, ...]:
    return given


# Targets


@pytest.mark.parametrize(
    ("identifier", "identity"),
    [
        (x1.SipUri("sip:bob@example.com"), "sip:bob@example.com"),
        (x1.TelUri("tel:+4930123"), "tel:+4930123"),
        (x1.E164Number("4930123"), "tel:+4930123"),
        (x1.Impu("sip:bob@example.com"), "sip:bob@example.com"),
        (x1.Impu("tel:+4930123"), "tel:+4930123"),
        (x1.Impi("bob@example.com"), "sip:bob@example.com"),
        (x1.Imei("35123456789012"), "urn:gsma:imei:35123456-789012-0"),
    ],
)
def test_an_identifier_is_the_identity_that_is_matched(identifier: Any, identity: str) -> None:
    world = World()
    octets = signed(targets=[{"liid": "LI-1", "xid": XID, "identity": identity}])
    step = world.activate(task(octets, targets=(identifier,)))
    assert done(step)
    assert armed(step)[0].order.task.targets == (identity,)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ((x1.Opaque("imsi", b"<imsi>262011234567890</imsi>"),), ErrorCode.TARGET_TYPE),
        ((x1.Extension("owner"),), ErrorCode.TARGET_TYPE),
        ((x1.Impu("http"),), ErrorCode.TARGET_TYPE),
        ((hashed(ALICE),), ErrorCode.TARGET_TYPE),
        ((x1.Impu(ALICE), x1.SipUri(ALICE)), ErrorCode.TARGET_COMBINATION),
        ((x1.CallPartyRole.ORIGINATING,), ErrorCode.TARGET_COMBINATION),
        ((x1.Impu(ALICE), x1.CallPartyRole.ORIGINATING), ErrorCode.TARGET_COMBINATION),
        ((x1.Impu(ALICE), x1.NonLocalIdentifier.LOCAL), ErrorCode.TARGET_COMBINATION),
    ],
)
def test_an_identifier_that_is_not_matched_refuses_the_task(given: Any, wrong: ErrorCode) -> None:
    step = World().activate(task(targets=given))
    assert code(step) == wrong
    assert not step.follows


def test_conditions_are_of_the_task_where_the_element_looks_at_them() -> None:
    world = World(conditions=("callPartyRole", "nonLocalIdentifier"))
    given = (x1.NonLocalIdentifier.NON_LOCAL, x1.Impu(ALICE), x1.CallPartyRole.FORWARDED_TO)
    (one,) = armed(world.activate(task(targets=given)))
    assert (one.order.task.role, one.order.task.local) == ("forwarded-to", False)
    twice = (x1.Impu(ALICE), x1.CallPartyRole.ORIGINATING, x1.CallPartyRole.TERMINATING)
    assert code(world.modify(task(targets=twice))) == ErrorCode.TARGET_COMBINATION


@pytest.mark.parametrize(
    ("identity", "kind", "value", "matched"),
    [
        (ALICE, "impu", ALICE, ALICE),
        (ALICE, "sipUri", ALICE, ALICE),
        ("tel:+4930123", "e164Number", "4930123", "tel:+4930123"),
        ("sip:+4930123@h.example;user=phone", "telUri", "tel:+4930123", "tel:+4930123"),
        ("urn:gsma:imei:35123456-789012-0", "imei", "35123456789012", "urn:gsma:imei:35123456-789012-0"),
    ],
)
def test_a_hashed_identifier_is_whom_the_warrant_names(identity: str, kind: str, value: str, matched: str) -> None:
    world = World(hash_contexts=(CONTEXT,))
    octets = signed(targets=[{"liid": "LI-1", "xid": XID, "identity": identity}])
    (one,) = armed(world.activate(task(octets, targets=(hashed(value, kind),))))
    assert one.order.task.targets == (matched,)


@pytest.mark.parametrize(
    ("wrong", "identifier"),
    [
        (ErrorCode.ACTIVATE_FAILED, hashed("sip:bob@example.com")),
        (ErrorCode.TARGET_TYPE, hashed(ALICE, context=OTHER_DID)),
        (ErrorCode.TARGET_TYPE, hashed(ALICE, "imsi")),
    ],
)
def test_a_hashed_identifier_that_is_nobody_here(wrong: ErrorCode, identifier: Any) -> None:
    assert code(World(hash_contexts=(CONTEXT,)).activate(task(targets=(identifier,)))) == wrong


def test_without_a_warrant_nobody_says_whom_a_digest_means() -> None:
    world = World(hash_contexts=(CONTEXT,), unsigned="accept")
    assert code(world.activate(task(b"", targets=(hashed(ALICE),)))) == ErrorCode.TARGET_TYPE


# Members


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"delivery": DeliveryType.X3_ONLY}, ErrorCode.ACTIVATE_FAILED),
        ({"delivery": BOTH}, ErrorCode.ACTIVATE_FAILED),
        ({"correlation_id": 1}, ErrorCode.ACTIVATE_FAILED),
        ({"product_id": OTHER_XID}, ErrorCode.ACTIVATE_FAILED),
        ({"traffic_policies": (OTHER_XID,)}, ErrorCode.OBJECT_UNKNOWN),
        ({"services": (ServiceType.DATA,)}, ErrorCode.SERVICE_TYPE),
        ({"services": (ServiceType.VOICE, ServiceType.DATA)}, ErrorCode.SERVICE_TYPE),
        ({"destinations": ListOfDids((OTHER_DID,))}, ErrorCode.DID_UNKNOWN),
        ({"destinations": ListOfDids((), (DID,))}, ErrorCode.OBJECT_UNKNOWN),
        ({"destinations": ListOfDids()}, ErrorCode.ACTIVATE_FAILED),
        ({"mediation": (mediation("LI-2"),)}, ErrorCode.ACTIVATE_FAILED),
    ],
)
def test_a_member_that_cannot_be_honoured_refuses_the_task(given: Any, wrong: ErrorCode) -> None:
    world = World()
    step = world.activate(task(**given))
    assert code(step) == wrong
    assert not world.element.tasks
    assert not armed(step)


def test_an_extension_of_another_owner_refuses_the_task() -> None:
    other = x1.Extension("owner", (ForeignElement.parse(b'<a xmlns="urn:a"/>'),))
    step = World().activate(task(extensions=(*extended(signed()), other)))
    assert code(step) == ErrorCode.ACTIVATE_FAILED


def test_a_destination_has_to_take_what_is_delivered() -> None:
    world = World(destinations_of_a_task=2)
    world.destination(place(DID, delivery=DeliveryType.X3_ONLY))
    world.destination(place(OTHER_DID))
    assert code(world.activate()) == ErrorCode.DELIVERY_TYPE
    assert code(world.activate(task(destinations=ListOfDids((DID, OTHER_DID))))) == ErrorCode.DELIVERY_TYPE
    assert done(world.activate(task(destinations=ListOfDids((OTHER_DID, OTHER_DID)))))


def test_several_destinations_are_more_than_one_is_served() -> None:
    world = World()
    world.destination(place(OTHER_DID))
    assert code(world.activate(task(destinations=ListOfDids((DID, OTHER_DID))))) == ErrorCode.MULTIPLE_DESTINATIONS


# Mediation


def test_a_mediation_function_is_told_all_that_it_may_disclose() -> None:
    world = World(df_settings())
    within = mediation(start=START + DAY, end=END - DAY, scoping=(x1.ServiceScopingOptions(location=x1.DoNotReport()),))
    octets = signed(keys="keys-to-lemf", location=True)
    (one,) = armed(world.activate(df_task(octets, mediation=(within,))))
    (given,) = one.order.mediated
    assert given.terms == Terms("LI-1", START + DAY, END - DAY, keys_to_lemf=True, location=False)
    assert given.destinations == (lemf(),)
    assert given.pins == (warrants.DIGEST,)
    assert one.order.warrant == octets


def test_without_mediation_details_the_warrant_says_them() -> None:
    world = World(df_settings())
    (one,) = armed(world.activate(df_task(mediation=())))
    assert one.order.mediated[0].terms == Terms("LI-1", START, END, location=False)


def test_events_alone_are_a_narrower_order() -> None:
    world = World(df_settings())
    events = mediation(delivery=MediationDeliveryType.HI2_ONLY)
    (one,) = armed(world.activate(df_task(mediation=(events,))))
    assert not one.order.mediated[0].terms.content


@pytest.mark.parametrize(
    "given",
    [
        {"mediation": (mediation(), mediation())},
        {"mediation": (mediation(), mediation("LI-2"))},
        {"mediation": (mediation("LI-2"),)},
        {"mediation": (mediation(start=START - 1_000),)},
        {"mediation": (mediation(end=END + 1_000),)},
        {"mediation": (mediation(start=END - 1_000, end=END - 1_000),)},
        {"mediation": (mediation(delivery=MediationDeliveryType.HI3_ONLY),)},
        {"mediation": (mediation(extensions=(x1.Extension("owner"),)),)},
        {"mediation": (mediation(scoping=(x1.ServiceScopingOptions(), x1.ServiceScopingOptions())),)},
        {"mediation": (mediation(scoping=(x1.ServiceScopingOptions(report_post_dialled_digits=True),)),)},
        {"mediation": (mediation(scoping=(x1.ServiceScopingOptions(location=x1.LocationTypes()),)),)},
        {"delivery": DeliveryType.X2_ONLY},
    ],
)
def test_mediation_that_cannot_be_honoured(given: Any) -> None:
    assert code(World(df_settings()).activate(df_task(**given))) == ErrorCode.ACTIVATE_FAILED


@pytest.mark.parametrize(
    ("details", "wrong"),
    [
        (mediation(traffic_policies=(OTHER_XID,)), ErrorCode.OBJECT_UNKNOWN),
        (mediation(destinations=ListOfDids((OTHER_DID,))), ErrorCode.DID_UNKNOWN),
        (mediation(scoping=(x1.ServiceScopingOptions((ServiceType.RCS,)),)), ErrorCode.SERVICE_TYPE),
    ],
)
def test_mediation_that_names_what_is_not_there(details: Any, wrong: ErrorCode) -> None:
    assert code(World(df_settings()).activate(df_task(mediation=(details,)))) == wrong


# The warrant


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"targets": [{"liid": "LI-1", "xid": OTHER_XID, "identity": ALICE}]}, "name this task"),
        ({"targets": [{"liid": "LI-1", "xid": XID, "identity": "sip:bob@example.com"}]}, "this target"),
        ({"targets": [{"liid": "LI-2", "xid": XID, "identity": ALICE}]}, "LIID"),
        ({"scope": "iri", "keys": None}, "events only"),
        ({"services": ["data"]}, "services"),
        ({"destinations": [{"host": "b.example.com", "port": 7443, "certificate": warrants.DIGEST}]}, "destination"),
        ({"destinations": [{"host": "lemf.example.com", "port": 1, "certificate": warrants.DIGEST}]}, "destination"),
        ({"elements": ["poi-1"]}, "element"),
        ({"start": "2026-06-01T00:00:00Z", "end": "2026-06-02T00:00:00Z"}, "ended"),
        ({"start": "2026-01-01T00:00:00Z"}, "length"),
    ],
)
def test_a_warrant_that_is_for_something_else(given: Any, said: str) -> None:
    world = World(df_settings())
    step = world.activate(df_task(signed(**given)))
    assert code(step) == ErrorCode.ACTIVATE_FAILED
    assert said in text(step)
    assert not armed(step) and not world.element.tasks
    assert ALICE not in text(step) and "LI-" not in text(step)


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "no signed warrant"),
        (b"no JSON", "form"),
        (signed(warrants.ANN), "approvals"),
        (signed(warrants.ANN, warrants.EVE), "approvals"),
        (signed(warrants.ANN, warrants.ANN), "approvals"),
        (warrants.signed(warrants.revocation(2)), "revoked"),
    ],
)
def test_a_warrant_that_is_none(octets: bytes, said: str) -> None:
    step = World().activate(task(octets))
    assert code(step) == ErrorCode.ACTIVATE_FAILED
    assert said in text(step)


def test_two_warrants_in_a_task_are_none() -> None:
    step = World().activate(task(extensions=extended(signed()) * 2))
    assert code(step) == ErrorCode.ACTIVATE_FAILED


def test_a_new_version_ends_what_it_does_not_name() -> None:
    world = World()
    both = [{"liid": "LI-1", "xid": xid, "identity": f"sip:{xid[-1]}@example.com"} for xid in (XID, OTHER_XID)]
    world.activate(task(signed(targets=both), targets=(x1.Impu(both[0]["identity"]),)))
    second = signed(version=2, supersedes=1, targets=both[1:])
    other = task(second, xid=OTHER_XID, targets=(x1.Impu(both[1]["identity"]),))
    step = world.activate(other)
    assert [each.xid for each in disarmed(step)] == [XID]
    assert [each.order.task.xid for each in armed(step)] == [OTHER_XID]
    assert world.state() is State.FAILED
    assert any(isinstance(each, KeepKnown) for each in step.changes)
    assert code(world.activate(task(signed(targets=both), xid=XID))) == ErrorCode.XID_EXISTS


def test_a_new_version_in_a_refused_modification_counts_all_the_same() -> None:
    world = World()
    world.activate()
    away = signed(version=2, supersedes=1, targets=[{"liid": "LI-1", "xid": OTHER_XID, "identity": ALICE}])
    step = world.modify(task(away))
    assert code(step) == ErrorCode.MODIFY_FAILED
    assert disarmed(step)[0].reason is Reason.WARRANT
    assert world.state() is State.FAILED


def test_extended_by_a_new_version() -> None:
    world = World()
    world.activate()
    step = world.modify(task(signed(version=2, supersedes=1, end="2026-08-15T00:00:00Z")))
    (one,) = changed(step)
    assert one.order.task.end == warrants.at("2026-08-15T00:00:00Z").wall
    assert one.former.task.end == END
    assert "version" in text(world.modify(task()))


def test_a_revocation_that_is_placed_ends_the_task() -> None:
    world = World()
    world.activate()
    _, step = world.element.place(warrants.signed(warrants.revocation(2)), world.now)
    assert disarmed(step)[0].reason is Reason.WARRANT
    world.element.apply(step)
    assert world.state() is State.FAILED


def test_a_revocation_in_a_modification_ends_the_task_and_is_acknowledged() -> None:
    """As the task's ADMF wants it, who need not be told of it by a report; another's is refused."""
    world = World()
    world.activate()
    step = world.modify(task(warrants.signed(warrants.revocation(2))))
    assert done(step) and [each.reason for each in disarmed(step)] == [Reason.WARRANT] and not step.issues
    assert world.state() is State.FAILED and any(isinstance(each, KeepKnown) for each in step.changes)
    assert code(world.modify(task(signed(version=3, supersedes=1)))) == ErrorCode.MODIFY_FAILED
    assert ok(world.deactivate())
    other = World()
    other.activate()
    away = warrants.signed(structs.replace(warrants.revocation(2), id="W-2"))
    assert code(other.modify(task(away))) == ErrorCode.MODIFY_FAILED and other.state() is State.ARMED


def test_a_task_waits_for_a_detached_warrant() -> None:
    world = World(unsigned="detached")
    step = world.activate(task(b""))
    assert ok(step) and not done(step) and not armed(step)
    assert world.state() is State.NO_WARRANT
    _, step = world.element.place(signed(), world.now)
    assert len(armed(step)) == 1 and armed(step)[0].order.warrant == signed()
    assert [each.report for each in step.issues] == [x1.TaskReportType.SUCCESSFUL]  # type: ignore[union-attr]
    world.element.apply(step)
    world.disk.keep(step.changes)
    assert len(armed(world.restart())) == 1


def test_a_detached_warrant_that_covers_something_else() -> None:
    world = World(unsigned="detached")
    world.activate(task(b"", targets=(x1.Impu("sip:bob@example.com"),)))
    _, step = world.element.place(signed(), world.now)
    assert not armed(step)
    assert [each.report for each in step.issues] == [x1.TaskReportType.UNSUCCESSFUL]  # type: ignore[union-attr]


def test_a_detached_warrant_that_begins_later() -> None:
    world = World(unsigned="detached", now=warrants.at(warrants.START, -SECOND))
    world.activate(task(b""))
    _, step = world.element.place(signed(), world.now)
    world.element.apply(step)
    assert world.state() is State.NOT_BEGUN
    assert len(armed(world.go(SECOND))) == 1


def test_a_task_on_the_word_of_the_admf_is_told_loudly() -> None:
    world = World(unsigned="accept")
    step = world.activate(task(b"", mediation=(mediation(start=START, end=END),)))
    (one,) = armed(step)
    assert one.order.warrant is None
    assert (one.order.task.start, one.order.task.end) == (START, END)
    assert any("without a signed warrant" in each.description for each in step.issues if hasattr(each, "description"))
    df = World(df_settings(unsigned="accept"))
    assert code(df.activate(df_task(b"", mediation=()))) == ErrorCode.ACTIVATE_FAILED
    assert df.activate(df_task(b""))
    assert df.held().order.mediated[0].pins == (None,)  # type: ignore[union-attr]
    assert code(df.activate(df_task(signed(warrants.ANN), xid=OTHER_XID))) == ErrorCode.ACTIVATE_FAILED


def test_trust_that_is_taken_back_ends_what_it_approved() -> None:
    world = World()
    world.activate()
    entries = (warrants.entry(warrants.ANN), warrants.entry(warrants.BEN, revoked="true"), warrants.entry(warrants.EVE))
    step = world.element.trust(warrants.trust(*entries), world.now)
    assert disarmed(step)[0].reason is Reason.WARRANT


def test_a_modified_destination_still_has_to_be_the_warrants() -> None:
    world = World(df_settings())
    world.activate(df_task())
    elsewhere = lemf(address=x1.Uri("tls://elsewhere.example.com:7443"))
    assert code(world.ask(x1.ModifyDestinationRequest, elsewhere)) == ErrorCode.MODIFY_DESTINATION_FAILED
    step = world.ask(x1.ModifyDestinationRequest, lemf(friendly_name="lemf"))
    assert ok(step) and changed(step)[0].order.mediated[0].destinations[0].friendly_name == "lemf"
    assert code(world.ask(x1.ModifyDestinationRequest, lemf(delivery=DeliveryType.X2_ONLY))) == 6001
    assert structs.replace(lemf(), friendly_name="lemf") in world.element.destinations


def test_a_warrant_goes_with_the_last_of_its_tasks() -> None:
    world = World(unsigned="detached")
    both = [{"liid": "LI-1", "xid": xid, "identity": f"sip:{xid[-1]}@example.com"} for xid in (XID, OTHER_XID)]
    octets = signed(targets=both)
    for each in both:
        world.activate(task(octets, xid=each["xid"], targets=(x1.Impu(each["identity"]),)))
    register = world.element._tasks._authorities._register
    world.deactivate()
    assert register.current("W-1") == octets, "another task stands under it"
    world.deactivate(OTHER_XID)
    assert register.warrant_of(XID) is None and register.known["W-1"].version == 1
    # What came with a task is no leave for one that comes without.
    assert ok(world.activate(task(b"", targets=(x1.Impu(both[0]["identity"]),))))
    assert world.state() is State.NO_WARRANT


def test_a_warrant_that_came_apart_from_tasks_stays_when_they_have_ended() -> None:
    world = World(unsigned="detached")
    _, step = world.element.place(signed(), world.now)
    world.element.apply(step)
    world.disk.keep(step.changes)
    for _ in range(2):
        assert len(armed(world.activate(task(b"")))) == 1
        world.deactivate()
        world.restart()
        world.now = warrants.at(ns=SECOND)


def test_a_warrant_of_a_task_that_was_refused_is_let_go_of() -> None:
    world = World(unsigned="detached")
    register = world.element._tasks._authorities._register
    world.destination()
    step = world.ask(x1.ActivateTaskRequest, task(targets=(x1.Impu("sip:bob@example.com"),)))
    assert code(step) and register.warrant_of(XID) == "W-1"
    world.element.answered(step)
    assert register.warrant_of(XID) is None and "W-1" in register.known
