"""The responses of TS 103 221-1: one class a message, named as its xsi:type; RESPONSES holds their tables."""

from __future__ import annotations

from msgspec import Struct

from imswire.x1.destinations import DESTINATION_RESPONSE_DETAILS, DestinationResponseDetails
from imswire.x1.enumerations import ExtensionSpecification, NeStatus, Ok, RequestMessageType
from imswire.x1.members import STRING, TIME, TOKEN, ListOf, Sequence, may, must, word
from imswire.x1.messages import Header, message
from imswire.x1.objects import GENERIC_OBJECT_RESPONSE_DETAILS, GenericObjectResponseDetails
from imswire.x1.tasks import DIDS, FAULT, FAULTS, TASK_RESPONSE_DETAILS, Fault, ListOfDids, TaskResponseDetails


class TopLevelErrorResponse(Struct, frozen=True, gc=False):
    """The answer to what is not understood at all (TS 103 221-1 6.1): to no transaction, with no reason."""

    admf_identifier: str
    ne_identifier: str
    timestamp: int
    version: str


class Response(Struct, frozen=True, gc=False):
    """Any response."""

    header: Header


class ExtensionInformation(Struct, frozen=True, gc=False):
    """Which request was answered that the schema does not list."""

    specification: ExtensionSpecification
    message_type: str


class ErrorResponse(Response, frozen=True, gc=False):
    """6.7: the request was not carried out."""

    message_type: RequestMessageType
    error: Fault
    extension: ExtensionInformation | None = None


class Acknowledgement(Response, frozen=True, gc=False):
    """Any response that says oK and no more."""

    ok: Ok = Ok.COMPLETED


class ActivateTaskResponse(Acknowledgement, frozen=True, gc=False):
    """6.2.1"""


class ModifyTaskResponse(Acknowledgement, frozen=True, gc=False):
    """6.2.2"""


class DeactivateTaskResponse(Acknowledgement, frozen=True, gc=False):
    """6.2.3"""


class DeactivateAllTasksResponse(Acknowledgement, frozen=True, gc=False):
    """6.2.4"""


class CreateDestinationResponse(Acknowledgement, frozen=True, gc=False):
    """6.3.1"""


class ModifyDestinationResponse(Acknowledgement, frozen=True, gc=False):
    """6.3.2"""


class RemoveDestinationResponse(Acknowledgement, frozen=True, gc=False):
    """6.3.3"""


class RemoveAllDestinationsResponse(Acknowledgement, frozen=True, gc=False):
    """6.3.4"""


class ReportTaskIssueResponse(Acknowledgement, frozen=True, gc=False):
    """6.5.2"""


class ReportDestinationIssueResponse(Acknowledgement, frozen=True, gc=False):
    """6.5.3"""


class ReportNEIssueResponse(Acknowledgement, frozen=True, gc=False):
    """6.5.4: COMPLETED only."""


class PingResponse(Acknowledgement, frozen=True, gc=False):
    """6.6.1"""


class KeepaliveResponse(Acknowledgement, frozen=True, gc=False):
    """6.6.2"""


class CreateObjectResponse(Acknowledgement, frozen=True, gc=False):
    pass


class ModifyObjectResponse(Acknowledgement, frozen=True, gc=False):
    pass


class DeleteObjectResponse(Acknowledgement, frozen=True, gc=False):
    pass


class DeleteAllObjectsResponse(Acknowledgement, frozen=True, gc=False):
    pass


class NeStatusDetails(Struct, frozen=True, gc=False):
    """How the element as a whole stands."""

    status: NeStatus
    faults: tuple[Fault, ...] = ()


class GetTaskDetailsResponse(Response, frozen=True, gc=False):
    """6.4.2"""

    details: TaskResponseDetails


class GetDestinationDetailsResponse(Response, frozen=True, gc=False):
    """6.4.3"""

    details: DestinationResponseDetails


class GetNEStatusResponse(Response, frozen=True, gc=False):
    """6.4.4"""

    ne: NeStatusDetails


class GetAllDetailsResponse(Response, frozen=True, gc=False):
    """6.4.5"""

    ne: NeStatusDetails
    tasks: tuple[TaskResponseDetails, ...] = ()
    destinations: tuple[DestinationResponseDetails, ...] = ()
    objects: tuple[GenericObjectResponseDetails, ...] = ()


class ListAllDetailsResponse(Response, frozen=True, gc=False):
    """6.4.6"""

    xids: tuple[str, ...] = ()
    destinations: ListOfDids = ListOfDids()
    object_ids: tuple[str, ...] = ()


class GetAllTaskDetailsResponse(Response, frozen=True, gc=False):
    """6.4.7: empty when the element holds none."""

    tasks: tuple[TaskResponseDetails, ...] = ()


class GetAllDestinationDetailsResponse(Response, frozen=True, gc=False):
    """6.4.8: empty when the element holds none."""

    destinations: tuple[DestinationResponseDetails, ...] = ()


class GetAllGenericObjectDetailsResponse(Response, frozen=True, gc=False):
    """6.4.9: empty when the element holds none."""

    objects: tuple[GenericObjectResponseDetails, ...] = ()


class GetObjectResponse(Response, frozen=True, gc=False):
    details: GenericObjectResponseDetails


class ListObjectsOfTypeResponse(Response, frozen=True, gc=False):
    object_ids: tuple[str, ...] = ()


_NE = must(
    "neStatusDetails",
    "ne",
    Sequence(NeStatusDetails, must("neStatus", "status", word(NeStatus)), must("listOfFaults", "faults", FAULTS)),
)
_TASKS = ListOf("taskResponseDetails", TASK_RESPONSE_DETAILS)
_DESTINATIONS = ListOf("destinationResponseDetails", DESTINATION_RESPONSE_DETAILS)
_OBJECTS = ListOf("genericObjectResponseDetails", GENERIC_OBJECT_RESPONSE_DETAILS)
_OBJECT_IDS = ListOf("objectId", TOKEN)
_OK = must("oK", "ok", word(Ok))

TOP_LEVEL_ERROR = Sequence(
    TopLevelErrorResponse,
    must("admfIdentifier", "admf_identifier", TOKEN),
    must("neIdentifier", "ne_identifier", TOKEN),
    must("messageTimestamp", "timestamp", TIME),
    must("version", "version", STRING),
)
_TABLES = (
    message(
        ErrorResponse,
        must("requestMessageType", "message_type", word(RequestMessageType)),
        must("errorInformation", "error", FAULT),
        may(
            "extensionInformation",
            "extension",
            Sequence(
                ExtensionInformation,
                must("extensionSpecification", "specification", word(ExtensionSpecification)),
                must("extendedRequestMessageType", "message_type", STRING),
            ),
        ),
    ),
    *(message(each, _OK) for each in Acknowledgement.__subclasses__()),
    message(GetTaskDetailsResponse, must("taskResponseDetails", "details", TASK_RESPONSE_DETAILS)),
    message(GetDestinationDetailsResponse, must("destinationResponseDetails", "details", DESTINATION_RESPONSE_DETAILS)),
    message(GetNEStatusResponse, _NE),
    message(
        GetAllDetailsResponse,
        _NE,
        must("listOfTaskResponseDetails", "tasks", _TASKS),
        must("listOfDestinationResponseDetails", "destinations", _DESTINATIONS),
        may("listOfGenericObjectResponseDetails", "objects", _OBJECTS),
    ),
    message(
        ListAllDetailsResponse,
        must("ListOfXIDs", "xids", ListOf("xId", TOKEN)),
        must("ListOfDIDs", "destinations", DIDS),
        may("ListOfGenericObjectIDs", "object_ids", _OBJECT_IDS),
    ),
    message(GetAllTaskDetailsResponse, may("listOfTaskResponseDetails", "tasks", _TASKS)),
    message(GetAllDestinationDetailsResponse, may("listOfDestinationResponseDetails", "destinations", _DESTINATIONS)),
    message(GetAllGenericObjectDetailsResponse, may("listOfGenericObjectResponseDetails", "objects", _OBJECTS)),
    message(GetObjectResponse, must("genericObjectResponseDetails", "details", GENERIC_OBJECT_RESPONSE_DETAILS)),
    message(ListObjectsOfTypeResponse, must("listOfObjects", "object_ids", _OBJECT_IDS)),
)
RESPONSES = {table.cls.__name__: table for table in _TABLES}
# Which acknowledgement answers which request, where one does.
ACKNOWLEDGEMENTS = {
    RequestMessageType(each.__name__.removesuffix("Response")): each for each in Acknowledgement.__subclasses__()
}
