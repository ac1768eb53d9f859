"""The requests of TS 103 221-1: one class a message, named as its xsi:type; REQUESTS holds their tables."""

from __future__ import annotations

from msgspec import Struct

from imswire.x1.destinations import DESTINATION_DETAILS, DestinationDetails
from imswire.x1.enumerations import NeIssueType, RequestMessageType, TaskReportType
from imswire.x1.extensions import Extension
from imswire.x1.members import EXTENSION, INTEGER, STRING, TOKEN, many, may, must, word
from imswire.x1.messages import Header, message
from imswire.x1.objects import GENERIC_OBJECT, GenericObject
from imswire.x1.tasks import TASK_DETAILS, TaskDetails


class Request(Struct, frozen=True, gc=False):
    """Any request."""

    header: Header

    @property
    def message_type(self) -> RequestMessageType:
        """As an ErrorResponse names it."""
        return RequestMessageType(type(self).__name__.removesuffix("Request"))


class ActivateTaskRequest(Request, frozen=True, gc=False):
    """6.2.1"""

    task: TaskDetails


class ModifyTaskRequest(Request, frozen=True, gc=False):
    """6.2.2: the task as it is to be, whole."""

    task: TaskDetails


class DeactivateTaskRequest(Request, frozen=True, gc=False):
    """6.2.3"""

    xid: str


class DeactivateAllTasksRequest(Request, frozen=True, gc=False):
    """6.2.4"""


class CreateDestinationRequest(Request, frozen=True, gc=False):
    """6.3.1"""

    destination: DestinationDetails


class ModifyDestinationRequest(Request, frozen=True, gc=False):
    """6.3.2"""

    destination: DestinationDetails


class RemoveDestinationRequest(Request, frozen=True, gc=False):
    """6.3.3"""

    did: str


class RemoveAllDestinationsRequest(Request, frozen=True, gc=False):
    """6.3.4"""


class GetTaskDetailsRequest(Request, frozen=True, gc=False):
    """6.4.2"""

    xid: str


class GetDestinationDetailsRequest(Request, frozen=True, gc=False):
    """6.4.3"""

    did: str


class GetNEStatusRequest(Request, frozen=True, gc=False):
    """6.4.4"""


class GetAllDetailsRequest(Request, frozen=True, gc=False):
    """6.4.5: everything that the element holds."""


class ListAllDetailsRequest(Request, frozen=True, gc=False):
    """6.4.6: identifiers only."""


class GetAllTaskDetailsRequest(Request, frozen=True, gc=False):
    """6.4.7"""


class GetAllDestinationDetailsRequest(Request, frozen=True, gc=False):
    """6.4.8"""


class GetAllGenericObjectDetailsRequest(Request, frozen=True, gc=False):
    """6.4.9: of one type ("Q{namespace}name"), or of all."""

    object_type: str | None = None


class ReportTaskIssueRequest(Request, frozen=True, gc=False):
    """6.5.2, from an element to its ADMF."""

    xid: str
    report: TaskReportType
    code: int | None = None
    details: str | None = None
    extensions: tuple[Extension, ...] = ()


class ReportDestinationIssueRequest(Request, frozen=True, gc=False):
    """6.5.3, from an element to its ADMF."""

    did: str
    report: TaskReportType
    code: int | None = None
    details: str | None = None


class ReportNEIssueRequest(Request, frozen=True, gc=False):
    """6.5.4, from an element to its ADMF."""

    issue: NeIssueType
    description: str
    code: int | None = None
    extensions: tuple[Extension, ...] = ()


class PingRequest(Request, frozen=True, gc=False):
    """6.6.1, either way."""


class KeepaliveRequest(Request, frozen=True, gc=False):
    """6.6.2: the ADMF is there."""


class CreateObjectRequest(Request, frozen=True, gc=False):
    object: GenericObject


class ModifyObjectRequest(Request, frozen=True, gc=False):
    object: GenericObject


class GetObjectRequest(Request, frozen=True, gc=False):
    object_id: str


class DeleteObjectRequest(Request, frozen=True, gc=False):
    object_id: str


class ListObjectsOfTypeRequest(Request, frozen=True, gc=False):
    """``object_type`` as "Q{namespace}name"."""

    object_type: str


class DeleteAllObjectsRequest(Request, frozen=True, gc=False):
    pass


_XID = must("xId", "xid", TOKEN)
_DID = must("dId", "did", TOKEN)
_TASK = must("taskDetails", "task", TASK_DETAILS)
_DESTINATION = must("destinationDetails", "destination", DESTINATION_DETAILS)
_OBJECT_ID = must("objectId", "object_id", TOKEN)

_TABLES = (
    message(ActivateTaskRequest, _TASK),
    message(ModifyTaskRequest, _TASK),
    message(DeactivateTaskRequest, _XID),
    message(DeactivateAllTasksRequest),
    message(CreateDestinationRequest, _DESTINATION),
    message(ModifyDestinationRequest, _DESTINATION),
    message(RemoveDestinationRequest, _DID),
    message(RemoveAllDestinationsRequest),
    message(GetTaskDetailsRequest, _XID),
    message(GetDestinationDetailsRequest, _DID),
    message(GetNEStatusRequest),
    message(GetAllDetailsRequest),
    message(ListAllDetailsRequest),
    message(GetAllTaskDetailsRequest),
    message(GetAllDestinationDetailsRequest),
    message(GetAllGenericObjectDetailsRequest, may("objectType", "object_type", STRING)),
    message(
        ReportTaskIssueRequest,
        _XID,
        must("taskReportType", "report", word(TaskReportType)),
        may("taskIssueErrorCode", "code", INTEGER),
        may("taskIssueDetails", "details", STRING),
        many("taskIssueExtensions", "extensions", EXTENSION),
    ),
    message(
        ReportDestinationIssueRequest,
        _DID,
        must("destinationReportType", "report", word(TaskReportType)),
        may("destinationIssueErrorCode", "code", INTEGER),
        may("destinationIssueDetails", "details", STRING),
    ),
    message(
        ReportNEIssueRequest,
        must("typeOfNeIssueMessage", "issue", word(NeIssueType)),
        must("description", "description", STRING),
        may("issueCode", "code", INTEGER),
        many("nEIssueExtensions", "extensions", EXTENSION),
    ),
    message(PingRequest),
    message(KeepaliveRequest),
    message(CreateObjectRequest, must("createObject", "object", GENERIC_OBJECT)),
    message(ModifyObjectRequest, must("modifyObject", "object", GENERIC_OBJECT)),
    message(GetObjectRequest, _OBJECT_ID),
    message(DeleteObjectRequest, _OBJECT_ID),
    message(ListObjectsOfTypeRequest, must("objectType", "object_type", STRING)),
    message(DeleteAllObjectsRequest),
)
REQUESTS = {table.cls.__name__: table for table in _TABLES}
