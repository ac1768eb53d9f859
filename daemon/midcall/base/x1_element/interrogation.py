"""What an element tells of itself (TS 103 221-1 6.4), and of generic objects, of which it makes none (6.8).

To hold nothing is a success. Hash contexts come by configuration: they are told, and cannot be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from imswire import x1
from imswire.x1 import ErrorCode, Fault, ProvisioningStatus, Request, Response
from imswire.x1.document import HASHED_ID
from midcall.base.x1_element.faults import NE, Faults
from midcall.base.x1_element.settings import Settings
from midcall.base.x1_element.values import Held, Intercepted, Refusal, State

HASH_CONTEXT = f"Q{{{HASHED_ID}}}HashContext"
_PROVISIONING = {
    State.ARMED: ProvisioningStatus.COMPLETE,
    State.NO_WARRANT: ProvisioningStatus.AWAITING,
    State.NOT_BEGUN: ProvisioningStatus.AWAITING,
    State.UNCONFIRMED: ProvisioningStatus.AWAITING,
    State.ENDED: ProvisioningStatus.FAILED,
    State.FAILED: ProvisioningStatus.FAILED,
}


class View(Struct, frozen=True):
    """All that may be told."""

    settings: Settings
    held: Mapping[str, Held]
    destinations: tuple[x1.DestinationDetails, ...]
    faults: Faults
    intercepted: Callable[[str], Intercepted]

    def task(self, held: Held) -> x1.TaskResponseDetails:
        faults = self.faults.of(held.details.xid)
        if held.state is not State.ARMED:
            code = ErrorCode.TERMINATING_FAULT if held.state is State.FAILED else ErrorCode.WARNING
            faults = (*faults, Fault(int(code), str(held.why or held.state)))
        given = self.intercepted(held.details.xid)
        status = x1.TaskStatus(
            _PROVISIONING[held.state],
            faults,
            last_intercept=given.last,
            amount_of_x2_data=given.x2,
            amount_of_x3_data=given.x3,
            last_modification=held.modified,
            modifications=held.modifications,
        )
        return x1.TaskResponseDetails(held.details, status)

    def tasks(self) -> tuple[x1.TaskResponseDetails, ...]:
        return tuple(map(self.task, self.held.values()))

    def destination(self, details: x1.DestinationDetails) -> x1.DestinationResponseDetails:
        faults = self.faults.of(details.did)
        status = x1.DestinationDeliveryStatus.FAULT if faults else x1.DestinationDeliveryStatus.WORKING
        return x1.DestinationResponseDetails(details, x1.DestinationStatus(status, faults))

    def all_destinations(self) -> tuple[x1.DestinationResponseDetails, ...]:
        return tuple(map(self.destination, self.destinations))

    def ne(self) -> x1.NeStatusDetails:
        faults = self.faults.of(NE)
        return x1.NeStatusDetails(x1.NeStatus.FAULTS if faults else x1.NeStatus.OK, faults)

    def objects(self) -> tuple[x1.GenericObjectResponseDetails, ...]:
        return tuple(map(x1.GenericObjectResponseDetails, self.settings.hash_contexts))

    def ids(self) -> tuple[str, ...]:
        return tuple(each.object_id for each in self.settings.hash_contexts)


def answer(request: Request, at: int, view: View) -> Response:
    """Refusal: what is asked for is not there, or is nothing that an element answers (1080)."""
    teller = _TELLERS.get(type(request))
    if teller is None:
        raise Refusal(ErrorCode.UNSUPPORTED)
    return teller(request, request.header.reply(at), view)


def _task(request: Request, header: x1.Header, view: View) -> Response:
    assert isinstance(request, x1.GetTaskDetailsRequest)
    held = view.held.get(request.xid)
    if held is None:
        raise Refusal(ErrorCode.XID_UNKNOWN)
    return x1.GetTaskDetailsResponse(header, view.task(held))


def _destination(request: Request, header: x1.Header, view: View) -> Response:
    assert isinstance(request, x1.GetDestinationDetailsRequest)
    for details in view.destinations:
        if details.did == request.did:
            return x1.GetDestinationDetailsResponse(header, view.destination(details))
    raise Refusal(ErrorCode.DID_UNKNOWN)


def _all(_: Request, header: x1.Header, view: View) -> Response:
    return x1.GetAllDetailsResponse(header, view.ne(), view.tasks(), view.all_destinations(), view.objects())


def _list(_: Request, header: x1.Header, view: View) -> Response:
    dids = x1.ListOfDids(tuple(each.did for each in view.destinations))
    return x1.ListAllDetailsResponse(header, tuple(view.held), dids, view.ids())


def _ours(kind: str | None) -> bool:
    return kind is None or kind == HASH_CONTEXT


def _all_objects(request: Request, header: x1.Header, view: View) -> Response:
    assert isinstance(request, x1.GetAllGenericObjectDetailsRequest)
    return x1.GetAllGenericObjectDetailsResponse(header, view.objects() if _ours(request.object_type) else ())


def _list_objects(request: Request, header: x1.Header, view: View) -> Response:
    assert isinstance(request, x1.ListObjectsOfTypeRequest)
    return x1.ListObjectsOfTypeResponse(header, view.ids() if _ours(request.object_type) else ())


def _object(request: Request, header: x1.Header, view: View) -> Response:
    assert isinstance(request, x1.GetObjectRequest)
    for details in view.objects():
        if details.object.object_id == request.object_id:
            return x1.GetObjectResponse(header, details)
    raise Refusal(ErrorCode.OBJECT_UNKNOWN)


def _create_object(request: Request, header: x1.Header, view: View) -> Response:  # noqa: ARG001
    assert isinstance(request, x1.CreateObjectRequest)
    exists = request.object.object_id in view.ids()
    raise Refusal(ErrorCode.OBJECT_EXISTS if exists else ErrorCode.CREATE_OBJECT_FAILED)


def _modify_object(request: Request, header: x1.Header, view: View) -> Response:  # noqa: ARG001
    assert isinstance(request, x1.ModifyObjectRequest)
    exists = request.object.object_id in view.ids()
    raise Refusal(ErrorCode.MODIFY_OBJECT_FAILED if exists else ErrorCode.OBJECT_UNKNOWN)


def _delete_object(request: Request, header: x1.Header, view: View) -> Response:  # noqa: ARG001
    assert isinstance(request, x1.DeleteObjectRequest)
    exists = request.object_id in view.ids()
    raise Refusal(ErrorCode.DELETE_OBJECT_FAILED if exists else ErrorCode.OBJECT_UNKNOWN)


def _delete_objects(request: Request, header: x1.Header, view: View) -> Response:  # noqa: ARG001
    raise Refusal(ErrorCode.DELETE_ALL_OBJECTS_NOT_ENABLED)


_TELLERS: dict[type[Request], Callable[[Request, x1.Header, View], Response]] = {
    x1.GetTaskDetailsRequest: _task,
    x1.GetDestinationDetailsRequest: _destination,
    x1.GetNEStatusRequest: lambda _, header, view: x1.GetNEStatusResponse(header, view.ne()),
    x1.GetAllDetailsRequest: _all,
    x1.ListAllDetailsRequest: _list,
    x1.GetAllTaskDetailsRequest: lambda _, header, view: x1.GetAllTaskDetailsResponse(header, view.tasks()),
    x1.GetAllDestinationDetailsRequest: lambda _, header, view: x1.GetAllDestinationDetailsResponse(
        header, view.all_destinations()
    ),
    x1.GetAllGenericObjectDetailsRequest: _all_objects,
    x1.ListObjectsOfTypeRequest: _list_objects,
    x1.GetObjectRequest: _object,
    x1.CreateObjectRequest: _create_object,
    x1.ModifyObjectRequest: _modify_object,
    x1.DeleteObjectRequest: _delete_object,
    x1.DeleteAllObjectsRequest: _delete_objects,
}
