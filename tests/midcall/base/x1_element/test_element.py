"""Who is answered what: identities, codes, retries, late requests, interrogation, faults."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from imswire import x1
from imswire.x1 import ErrorCode, NeIssueType, ProvisioningStatus, TaskReportType
from midcall.base.x1_element import NeIssue, Peer, Reason, State, TaskIssue
from midcall.base.x1_element.retries import STOPS, mark
from tests.imswire.x1 import made
from tests.midcall import warrants
from tests.midcall.base.x1_element.world import (
    ADMF,
    DID,
    OTHER_DID,
    OTHER_XID,
    PEER,
    SECOND,
    XID,
    World,
    armed,
    code,
    df_settings,
    disarmed,
    done,
    lemf,
    ok,
    place,
    settings,
    task,
    text,
)

HASHES = (x1.HashContext("0c000000-0000-4000-8000-000000000001", x1.HashAlgorithm.SHA_512, b"saltsalt"),)
OBJECT = structs.replace(HASHES[0], object_id="0c000000-0000-4000-8000-000000000002")


@pytest.mark.parametrize(
    ("peer", "header", "wrong"),
    [
        (Peer(), {}, ErrorCode.ADMF_NOT_CERTIFIED),
        (Peer(frozenset(("poi-2",))), {}, ErrorCode.ADMF_NOT_CERTIFIED),
        (Peer(bindings=frozenset((("ne", ADMF),))), {}, ErrorCode.ADMF_NOT_CERTIFIED),
        (Peer(frozenset((ADMF,)), frozenset((("ne", "x"),))), {}, ErrorCode.ADMF_NOT_CERTIFIED),
        (Peer(frozenset(("admf-2",))), {"admf_identifier": "admf-2"}, ErrorCode.ADMF_UNEXPECTED),
        (PEER, {"admf_identifier": "admf-2"}, ErrorCode.ADMF_NOT_CERTIFIED),
        (PEER, {"ne_identifier": "poi-2"}, ErrorCode.NE_UNEXPECTED),
    ],
)
def test_who_is_not_the_admf_of_this_element_does_nothing(peer: Peer, header: Any, wrong: ErrorCode) -> None:
    world = World()
    world.activate()
    heard = world.element.heard
    world.go(SECOND)
    request = x1.DeactivateTaskRequest(world.header(**header), XID)
    step = world.send(request, peer)
    assert code(step) == wrong
    assert world.state() is State.ARMED and not step.follows and not step.changes
    assert world.element.heard == heard
    if peer != PEER:
        assert ok(
            world.send(structs.replace(request, header=world.header(transaction_id=request.header.transaction_id)))
        )


@pytest.mark.parametrize("peer", [PEER, Peer(bindings=frozenset((("admf", ADMF),)))])
def test_a_certificate_is_bound_by_uid_or_uri(peer: Peer) -> None:
    world = World()
    assert done(world.send(x1.PingRequest(world.header()), peer))


def test_codes_of_tasks() -> None:
    world = World(tasks=2)
    world.activate()
    assert code(world.activate()) == ErrorCode.XID_EXISTS
    assert code(world.modify(task(xid=OTHER_XID))) == ErrorCode.XID_UNKNOWN
    assert code(world.deactivate(OTHER_XID)) == ErrorCode.XID_UNKNOWN
    assert code(world.ask(x1.GetTaskDetailsRequest, OTHER_XID)) == ErrorCode.XID_UNKNOWN
    assert code(World(deactivate_all=False).ask(x1.DeactivateAllTasksRequest)) == ErrorCode.DEACTIVATE_ALL_NOT_ENABLED
    assert code(World(keepalive=False).ask(x1.KeepaliveRequest)) == ErrorCode.KEEPALIVE_UNSUPPORTED
    full = World(tasks=1)
    full.activate()
    assert code(full.activate(task(xid=OTHER_XID))) == ErrorCode.ACTIVATE_FAILED


def test_codes_of_destinations() -> None:
    world = World(destinations=1)
    world.destination()
    assert code(world.ask(x1.CreateDestinationRequest, place(port=9))) == ErrorCode.DID_EXISTS
    assert code(world.ask(x1.CreateDestinationRequest, place(OTHER_DID))) == ErrorCode.CREATE_DESTINATION_FAILED
    assert code(world.ask(x1.ModifyDestinationRequest, place(OTHER_DID))) == ErrorCode.DID_UNKNOWN
    assert code(world.ask(x1.RemoveDestinationRequest, OTHER_DID)) == ErrorCode.DID_UNKNOWN
    assert code(world.ask(x1.GetDestinationDetailsRequest, OTHER_DID)) == ErrorCode.DID_UNKNOWN
    assert code(world.ask(x1.ModifyDestinationRequest, place(), timestamp=0)) == ErrorCode.MODIFY_DESTINATION_FAILED
    assert code(world.ask(x1.RemoveAllDestinationsRequest)) == ErrorCode.REMOVE_ALL_NOT_ENABLED
    world.activate()
    assert code(world.ask(x1.RemoveDestinationRequest, DID)) == ErrorCode.DESTINATION_IN_USE
    world.deactivate()
    assert ok(world.ask(x1.RemoveDestinationRequest, DID))
    assert not world.element.destinations and not world.disk.destinations


def test_all_destinations_where_that_is_enabled() -> None:
    world = World(remove_all=True)
    world.activate()
    assert code(world.ask(x1.RemoveAllDestinationsRequest)) == ErrorCode.DESTINATIONS_IN_USE
    world.deactivate()
    assert ok(world.ask(x1.RemoveAllDestinationsRequest))
    assert not world.element.destinations


@pytest.mark.parametrize(
    "address",
    [
        x1.E164Number("4930123"),
        x1.EmailAddress("a@example.com"),
        x1.Uri("https://lemf.example.com:7443"),
        x1.Uri("tls://lemf.example.com:0"),
        x1.Uri("tls://lemf.example.com:65536"),
        x1.IpAddressAndPort(place().address.address, x1.UdpPort(1)),  # type: ignore[union-attr]
    ],
)
def test_an_address_that_nothing_is_delivered_to(address: Any) -> None:
    assert code(World().ask(x1.CreateDestinationRequest, place(address=address))) == ErrorCode.ADDRESS_TYPE


def test_a_destination_with_something_that_is_not_understood() -> None:
    details = place(extensions=(x1.Extension("owner"),))
    assert code(World().ask(x1.CreateDestinationRequest, details)) == ErrorCode.CREATE_DESTINATION_FAILED
    assert ok(World().ask(x1.CreateDestinationRequest, place(address=x1.Uri("tls://[2001:db8::1]:7443"))))


@pytest.mark.parametrize(
    ("kind", "members", "wrong"),
    [
        (x1.CreateObjectRequest, (HASHES[0],), ErrorCode.OBJECT_EXISTS),
        (x1.CreateObjectRequest, (OBJECT,), ErrorCode.CREATE_OBJECT_FAILED),
        (x1.ModifyObjectRequest, (HASHES[0],), ErrorCode.MODIFY_OBJECT_FAILED),
        (x1.ModifyObjectRequest, (OBJECT,), ErrorCode.OBJECT_UNKNOWN),
        (x1.DeleteObjectRequest, (HASHES[0].object_id,), ErrorCode.DELETE_OBJECT_FAILED),
        (x1.DeleteObjectRequest, (OBJECT.object_id,), ErrorCode.OBJECT_UNKNOWN),
        (x1.GetObjectRequest, (OBJECT.object_id,), ErrorCode.OBJECT_UNKNOWN),
        (x1.DeleteAllObjectsRequest, (), ErrorCode.DELETE_ALL_OBJECTS_NOT_ENABLED),
        (x1.ReportNEIssueRequest, (NeIssueType.ALERT, "text"), ErrorCode.UNSUPPORTED),
        (x1.ReportTaskIssueRequest, (XID, TaskReportType.ALL_CLEAR), ErrorCode.UNSUPPORTED),
        (x1.ReportDestinationIssueRequest, (DID, TaskReportType.ALL_CLEAR), ErrorCode.UNSUPPORTED),
    ],
)
def test_objects_are_none_of_the_admfs_and_reports_none_of_ours(kind: Any, members: Any, wrong: ErrorCode) -> None:
    assert code(World(hash_contexts=HASHES).ask(kind, *members)) == wrong


def test_hash_contexts_are_told() -> None:
    world = World(hash_contexts=HASHES)
    assert world.answer(x1.GetObjectRequest, HASHES[0].object_id).details.object == HASHES[0]
    kind = "Q{http://uri.etsi.org/03221/X1/2017/10/HashedID}HashContext"
    assert world.answer(x1.ListObjectsOfTypeRequest, kind).object_ids == (HASHES[0].object_id,)
    assert world.answer(x1.ListObjectsOfTypeRequest, "Q{urn:a}b").object_ids == ()
    assert len(world.answer(x1.GetAllGenericObjectDetailsRequest, None).objects) == 1


def test_to_hold_nothing_is_a_success() -> None:
    world = World()
    assert world.answer(x1.GetNEStatusRequest).ne.status is x1.NeStatus.OK
    assert world.answer(x1.GetAllDetailsRequest).tasks == ()
    assert world.answer(x1.ListAllDetailsRequest).xids == ()
    assert world.answer(x1.GetAllTaskDetailsRequest).tasks == ()
    assert world.answer(x1.GetAllDestinationDetailsRequest).destinations == ()


def test_what_is_held_is_told_as_it_was_ordered() -> None:
    world = World()
    world.activate()
    world.modify(task(implicit_deactivation_allowed=True))
    found = world.answer(x1.GetTaskDetailsRequest, XID).details
    assert found.task == task(implicit_deactivation_allowed=True)
    assert found.status.provisioning is ProvisioningStatus.COMPLETE and found.status.modifications == 1
    everything = world.answer(x1.GetAllDetailsRequest)
    assert everything.tasks == (found,) and len(everything.destinations) == 1
    assert world.answer(x1.ListAllDetailsRequest).destinations.dids == (DID,)
    assert world.answer(x1.GetDestinationDetailsRequest, DID).details.destination == place()
    x1.build_response([everything])


# Retries


def test_the_same_request_again_does_nothing_again() -> None:
    world = World()
    world.destination()
    for request in (
        x1.ActivateTaskRequest(world.header(), task()),
        x1.ModifyTaskRequest(world.header(), task(implicit_deactivation_allowed=True)),
        x1.DeactivateTaskRequest(world.header(), XID),
        x1.RemoveDestinationRequest(world.header(), DID),
        x1.ActivateTaskRequest(world.header(), task()),
    ):
        first = world.send(request)
        world.element.answered(first)
        again = world.send(request)
        assert again.response is first.response
        assert not again.follows and not again.changes


def test_a_transaction_is_of_one_request() -> None:
    world = World()
    step = world.activate()
    world.element.answered(step)
    header = world.header(transaction_id=step.response.header.transaction_id)  # type: ignore[union-attr]
    assert code(world.send(x1.DeactivateTaskRequest(header, XID))) == ErrorCode.GENERIC
    assert world.state() is State.ARMED


def test_a_retry_after_a_restart() -> None:
    world = World()
    world.destination()
    requests = (
        x1.ActivateTaskRequest(world.header(), task()),
        x1.CreateDestinationRequest(world.header(), place(OTHER_DID)),
    )
    for request in requests:
        world.send(request)
    world.restart()
    for request in requests:
        step = world.send(request)
        assert done(step) and not step.follows
    other = structs.replace(requests[0], task=task(implicit_deactivation_allowed=True))
    assert code(world.send(other)) == ErrorCode.XID_EXISTS


def test_a_request_that_comes_late_begins_nothing() -> None:
    world = World()
    world.destination()
    late = x1.ActivateTaskRequest(world.header(), task())
    assert code(world.deactivate()) == ErrorCode.XID_UNKNOWN
    assert code(world.send(late)) == ErrorCode.ACTIVATE_FAILED
    world.restart()
    assert code(world.send(late)) == ErrorCode.ACTIVATE_FAILED
    assert done(world.activate())


def test_a_modification_that_comes_late_is_no_step_back() -> None:
    world = World()
    world.activate()
    late = x1.ModifyTaskRequest(world.header(), task())
    world.modify(task(implicit_deactivation_allowed=True))
    assert code(world.send(late)) == ErrorCode.MODIFY_FAILED
    end = x1.DeactivateTaskRequest(world.header(timestamp=0), XID)
    assert ok(world.send(end)) and not world.element.tasks


def test_a_clock_of_the_admf_that_is_far_ahead_shuts_nobody_out() -> None:
    world = World()
    world.activate()
    world.deactivate(timestamp=world.now.wall * 2)
    world.go(120 * SECOND)
    world.restart()
    assert done(world.activate())


def test_what_is_forgotten_of_ended_tasks_counts_for_all() -> None:
    world = World()
    for number in range(STOPS + 1):
        world.deactivate(f"{number:08x}-0000-4000-8000-000000000000")
    late = x1.ActivateTaskRequest(world.header(timestamp=world.now.wall), task())
    world.destination()
    assert code(world.send(late)) == ErrorCode.ACTIVATE_FAILED


def test_a_mark_tells_values_apart() -> None:
    header = made.HEADER
    marks = {
        mark(each)
        for each in (
            x1.PingRequest(header),
            x1.KeepaliveRequest(header),
            x1.DeactivateTaskRequest(header, XID),
            x1.DeactivateTaskRequest(header, OTHER_XID),
            made.activate(),
            made.activate(targets=(x1.SipUri("sip:alice@ims.example"),)),
            made.activate(product_id=XID),
            made.activate(services=()),
        )
    }
    assert len(marks) == 7, "the last two differ in nothing but a default"


# All at once


def test_deactivate_all() -> None:
    world = World()
    world.activate()
    step = world.ask(x1.DeactivateAllTasksRequest)
    assert done(step) and disarmed(step)[0].reason is Reason.ALL
    assert [each for each in step.issues if isinstance(each, NeIssue) and each.issue is NeIssueType.ALERT]
    assert not world.element.tasks and not world.disk.tasks


# What cannot be stored


@pytest.mark.parametrize(
    ("kind", "members", "wrong"),
    [
        (x1.ActivateTaskRequest, (task(xid=XID),), ErrorCode.ACTIVATE_FAILED),
        (x1.CreateDestinationRequest, (place(OTHER_DID),), ErrorCode.CREATE_DESTINATION_FAILED),
    ],
)
def test_what_is_not_stored_is_not_begun(kind: Any, members: Any, wrong: ErrorCode) -> None:
    world = World()
    world.destination()
    request = kind(world.header(), *members)
    step = world.element.ask(request, PEER, world.now)
    step = world.element.failed(request, step, world.now)
    assert code(step) == wrong and not step.follows
    assert not world.element.tasks and len(world.element.destinations) == 1


@pytest.mark.parametrize(
    ("kind", "members", "wrong", "ended"),
    [
        (x1.ModifyTaskRequest, (task(implicit_deactivation_allowed=True),), ErrorCode.MODIFY_FAILED, False),
        (x1.ModifyDestinationRequest, (place(port=9),), ErrorCode.MODIFY_DESTINATION_FAILED, False),
        (x1.RemoveDestinationRequest, (OTHER_DID,), ErrorCode.REMOVE_DESTINATION_FAILED, False),
        (x1.DeactivateTaskRequest, (XID,), ErrorCode.DEACTIVATE_FAILED, True),
        (x1.DeactivateAllTasksRequest, (), ErrorCode.DEACTIVATE_ALL_FAILED, True),
    ],
)
def test_what_was_to_end_ends_though_it_is_not_stored(kind: Any, members: Any, wrong: ErrorCode, ended: bool) -> None:
    world = World()
    world.activate()
    world.destination(place(OTHER_DID))
    request = kind(world.header(), *members)
    step = world.element.failed(request, world.element.ask(request, PEER, world.now), world.now)
    assert code(step) == wrong
    assert [each.reason for each in disarmed(step)] == [Reason.STORE] * ended
    assert (world.state() is State.ARMED) != ended and len(world.element.destinations) == 2
    assert ok(world.send(request))


def test_remove_all_destinations_that_is_not_stored() -> None:
    world = World(remove_all=True)
    world.destination()
    request = x1.RemoveAllDestinationsRequest(world.header())
    step = world.element.failed(request, world.element.ask(request, PEER, world.now), world.now)
    assert code(step) == ErrorCode.REMOVE_ALL_FAILED


def test_a_version_that_is_not_remembered_allows_nothing() -> None:
    world = World(unsigned="detached")
    world.activate(task(b""))
    _, step = world.element.place(warrants.signed(warrants.make()), world.now)
    assert not armed(world.element.unplaced(step, world.now))
    assert world.state() is State.FAILED


# Faults


def test_a_fault_is_told_once_and_its_end_once() -> None:
    world = World()
    world.activate()
    element, now = world.element, world.now
    told = [
        element.task_fault(XID, "a", "text", now),
        element.task_fault(XID, "a", "text", now),
        element.task_fault(XID, "b", "text", now),
        element.task_clear(XID, "a", now),
        element.task_clear(XID, "a", now),
        element.task_clear(XID, "b", now),
        element.task_clear(XID, "b", now),
    ]
    reports = [each.report for step in told for each in step.issues if isinstance(each, TaskIssue)]
    assert reports == [TaskReportType.NON_TERMINATING_FAULT, TaskReportType.ALL_CLEAR]


def test_a_terminating_fault_ends_the_task_until_it_is_modified() -> None:
    world = World()
    world.activate()
    step = world.element.task_fault(XID, "a", "the disk is gone", world.now, terminating=True)
    assert disarmed(step)[0].reason is Reason.FAULT
    status = world.answer(x1.GetTaskDetailsRequest, XID).details.status
    assert status.provisioning is ProvisioningStatus.FAILED and status.faults[0].description == "the disk is gone"
    assert not world.element.task_clear(XID, "a", world.now).follows
    assert not world.element.task_fault(XID, "b", "text", world.now).follows
    step = world.modify(task())
    assert done(step) and len(armed(step)) == 1
    assert [each.report for each in step.issues if isinstance(each, TaskIssue)] == [TaskReportType.ALL_CLEAR]


def test_faults_of_destinations_and_of_the_element() -> None:
    world = World()
    world.destination()
    element, now = world.element, world.now
    assert len(element.destination_fault(DID, "link", "no connection", now).issues) == 1
    assert not element.destination_fault(OTHER_DID, "link", "no connection", now).issues
    status = world.answer(x1.GetDestinationDetailsRequest, DID).details.status
    assert status.delivery is x1.DestinationDeliveryStatus.FAULT and len(status.faults) == 1
    assert len(element.destination_clear(DID, "link", now).issues) == 1
    assert len(element.ne_fault("disk", "the disk is full", now).issues) == 1
    assert world.answer(x1.GetNEStatusRequest).ne.status is x1.NeStatus.FAULTS
    assert len(element.ne_clear("disk", now).issues) == 1
    assert not element.ne_clear("disk", now).issues


def test_a_task_that_cannot_be_carried_out_is_withdrawn() -> None:
    world = World()
    world.activate()
    step = world.element.withdraw(XID, world.now)
    assert disarmed(step) and not world.element.tasks
    assert not world.element.withdraw(XID, world.now).follows


# The samples


def test_the_samples_of_the_schema() -> None:
    """An S-CSCF that is given a destination and a task, and a mediation function with the same identifiers."""
    given: dict[str, Any] = {"ne": "scscf-1", "element": "scscf-1", "unsigned": "accept"}
    mediation, poi, reports = (x1.parse_requests(each) for each in made.REQUESTS)
    at = warrants.Instant(made.AT, 0)
    scscf = World(settings(**given), at)
    steps = [scscf.send(each) for each in poi if isinstance(each, x1.Request)]
    assert len(steps) == 2 and all(done(each) for each in steps)
    steps = [scscf.send(each) for each in reports if isinstance(each, x1.Request)]
    codes = [None if ok(each) else code(each) for each in steps]
    assert codes == [ErrorCode.UNSUPPORTED] * 3 + [None, None]
    df = World(df_settings(**given), at)
    df.destination(place("19867c20-8c94-473e-b9cd-8b72b7b05fd4"))
    df.destination(lemf("19867c20-8c94-473e-b9cd-8b72b7b05fd5"))
    (request,) = mediation
    assert isinstance(request, x1.Request)
    step = df.send(request)
    assert done(step)
    (mediated,) = armed(step)[0].order.mediated
    assert (mediated.terms.liid, mediated.terms.services) == ("SE-2024-000001", ("voice",))
    for each in steps:
        assert each.response is not None
        x1.build_response([each.response])


def test_texts_name_nobody() -> None:
    world = World()
    step = world.activate(task(targets=(x1.Impu("tel:+4915112345678"),)))
    assert "4915112345678" not in text(step)
    assert "4915112345678" not in repr(world.activate(task(b"")))
