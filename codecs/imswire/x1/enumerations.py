"""Words and numbers of TS 103 221-1: what its schema lists, and the error codes of its clause 6.7."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ErrorCode(IntEnum):
    """Codes of errors and of status (TS 103 221-1 6.7). A peer may send others: members that hold one are ints."""

    GENERIC = 1000
    SCHEMA = 1010
    VERSION = 1020
    ADMF_NOT_CERTIFIED = 1030
    ADMF_UNEXPECTED = 1040
    NE_NOT_CERTIFIED = 1050
    NE_UNEXPECTED = 1060
    KEEPALIVE_UNSUPPORTED = 1070
    UNSUPPORTED = 1080
    XID_EXISTS = 2010
    XID_UNKNOWN = 2020
    DID_EXISTS = 2030
    DID_UNKNOWN = 2040
    OBJECT_EXISTS = 2050
    OBJECT_UNKNOWN = 2060
    ACTIVATE_FAILED = 3000
    MODIFY_FAILED = 3001
    TARGET_TYPE = 3010
    TARGET_COMBINATION = 3020
    MULTIPLE_DESTINATIONS = 3030
    DELIVERY_TYPE = 3040
    SERVICE_TYPE = 3050
    DEACTIVATE_FAILED = 4000
    DEACTIVATE_ALL_FAILED = 5000
    DEACTIVATE_ALL_NOT_ENABLED = 5010
    CREATE_DESTINATION_FAILED = 6000
    MODIFY_DESTINATION_FAILED = 6001
    ADDRESS_TYPE = 6020
    REMOVE_DESTINATION_FAILED = 7000
    DESTINATION_IN_USE = 7010
    REMOVE_ALL_FAILED = 8000
    DESTINATIONS_IN_USE = 8010
    REMOVE_ALL_NOT_ENABLED = 8020
    CREATE_OBJECT_FAILED = 8500
    MODIFY_OBJECT_FAILED = 8510
    DELETE_OBJECT_FAILED = 8530
    DELETE_ALL_OBJECTS_FAILED = 8540
    DELETE_ALL_OBJECTS_NOT_ENABLED = 8550
    CLEARED = 9000
    WARNING = 9010
    NON_TERMINATING_FAULT = 9020
    TERMINATING_FAULT = 9030
    ACTIONED = 9040

    @property
    def text(self) -> str:
        """What an errorDescription says: the same words for everybody, nothing of the message."""
        return _TEXTS[self]


_TEXTS = {
    ErrorCode.GENERIC: "the request could not be carried out",
    ErrorCode.SCHEMA: "the message breaks the schema",
    ErrorCode.VERSION: "this version of TS 103 221-1 is not supported",
    ErrorCode.ADMF_NOT_CERTIFIED: "the ADMF identifier is not that of the certificate",
    ErrorCode.ADMF_UNEXPECTED: "this ADMF is not responsible",
    ErrorCode.NE_NOT_CERTIFIED: "the NE identifier is not that of the certificate",
    ErrorCode.NE_UNEXPECTED: "the message is for another NE",
    ErrorCode.KEEPALIVE_UNSUPPORTED: "keepalives are not supported",
    ErrorCode.UNSUPPORTED: "not supported here",
    ErrorCode.XID_EXISTS: "the XID exists",
    ErrorCode.XID_UNKNOWN: "no such XID",
    ErrorCode.DID_EXISTS: "the DID exists",
    ErrorCode.DID_UNKNOWN: "no such DID",
    ErrorCode.OBJECT_EXISTS: "the object exists",
    ErrorCode.OBJECT_UNKNOWN: "no such object",
    ErrorCode.ACTIVATE_FAILED: "the task could not be activated",
    ErrorCode.MODIFY_FAILED: "the task could not be modified",
    ErrorCode.TARGET_TYPE: "this type of target identifier is not supported",
    ErrorCode.TARGET_COMBINATION: "this combination of target identifiers is not supported",
    ErrorCode.MULTIPLE_DESTINATIONS: "several destinations are not supported",
    ErrorCode.DELIVERY_TYPE: "the delivery type does not fit the destination",
    ErrorCode.SERVICE_TYPE: "this service type is not supported",
    ErrorCode.DEACTIVATE_FAILED: "the task could not be deactivated",
    ErrorCode.DEACTIVATE_ALL_FAILED: "not all tasks could be deactivated",
    ErrorCode.DEACTIVATE_ALL_NOT_ENABLED: "deactivating all tasks is not enabled",
    ErrorCode.CREATE_DESTINATION_FAILED: "the destination could not be created",
    ErrorCode.MODIFY_DESTINATION_FAILED: "the destination could not be modified",
    ErrorCode.ADDRESS_TYPE: "this type of delivery address is not supported",
    ErrorCode.REMOVE_DESTINATION_FAILED: "the destination could not be removed",
    ErrorCode.DESTINATION_IN_USE: "the destination is in use",
    ErrorCode.REMOVE_ALL_FAILED: "not all destinations could be removed",
    ErrorCode.DESTINATIONS_IN_USE: "a destination is in use",
    ErrorCode.REMOVE_ALL_NOT_ENABLED: "removing all destinations is not enabled",
    ErrorCode.CREATE_OBJECT_FAILED: "the object could not be created",
    ErrorCode.MODIFY_OBJECT_FAILED: "the object could not be modified",
    ErrorCode.DELETE_OBJECT_FAILED: "the object could not be deleted",
    ErrorCode.DELETE_ALL_OBJECTS_FAILED: "not all objects could be deleted",
    ErrorCode.DELETE_ALL_OBJECTS_NOT_ENABLED: "deleting all objects is not enabled",
    ErrorCode.CLEARED: "cleared",
    ErrorCode.WARNING: "warning",
    ErrorCode.NON_TERMINATING_FAULT: "a fault; the task goes on",
    ErrorCode.TERMINATING_FAULT: "a fault; the task has ended",
    ErrorCode.ACTIONED: "the request has been carried out",
}


class RequestMessageType(StrEnum):
    """Requests as an ErrorResponse names them; EXTENDED stands for any that the schema does not list."""

    ACTIVATE_TASK = "ActivateTask"
    MODIFY_TASK = "ModifyTask"
    DEACTIVATE_TASK = "DeactivateTask"
    DEACTIVATE_ALL_TASKS = "DeactivateAllTasks"
    GET_TASK_DETAILS = "GetTaskDetails"
    CREATE_DESTINATION = "CreateDestination"
    MODIFY_DESTINATION = "ModifyDestination"
    REMOVE_DESTINATION = "RemoveDestination"
    REMOVE_ALL_DESTINATIONS = "RemoveAllDestinations"
    GET_DESTINATION_DETAILS = "GetDestinationDetails"
    GET_NE_STATUS = "GetNEStatus"
    GET_ALL_DETAILS = "GetAllDetails"
    GET_ALL_TASK_DETAILS = "GetAllTaskDetails"
    GET_ALL_DESTINATION_DETAILS = "GetAllDestinationDetails"
    GET_ALL_GENERIC_OBJECT_DETAILS = "GetAllGenericObjectDetails"
    LIST_ALL_DETAILS = "ListAllDetails"
    REPORT_TASK_ISSUE = "ReportTaskIssue"
    REPORT_DESTINATION_ISSUE = "ReportDestinationIssue"
    REPORT_NE_ISSUE = "ReportNEIssue"
    PING = "Ping"
    KEEPALIVE = "Keepalive"
    CREATE_OBJECT = "CreateObject"
    MODIFY_OBJECT = "ModifyObject"
    GET_OBJECT = "GetObject"
    DELETE_OBJECT = "DeleteObject"
    LIST_OBJECTS_OF_TYPE = "ListObjectsOfType"
    DELETE_ALL_OBJECTS = "DeleteAllObjects"
    EXTENDED = "ExtendedRequestMessageType"


class ExtensionSpecification(StrEnum):
    """Whose request it is that the schema does not list."""

    TS_33_128 = "TS133128"


class Ok(StrEnum):
    """oK of a positive answer: done, or begun with a ReportTaskIssue to follow."""

    COMPLETED = "AcknowledgedAndCompleted"
    ACKNOWLEDGED = "Acknowledged"


class DeliveryType(StrEnum):
    """What a task gives and a destination takes."""

    X2_ONLY = "X2Only"
    X3_ONLY = "X3Only"
    X2_AND_X3 = "X2andX3"


class MediationDeliveryType(StrEnum):
    """What a mediation function gives for one LIID."""

    HI2_ONLY = "HI2Only"
    HI3_ONLY = "HI3Only"
    HI2_AND_HI3 = "HI2andHI3"


class ServiceType(StrEnum):
    VOICE = "voice"
    DATA = "data"
    MESSAGING = "messaging"
    PUSH_TO_TALK = "pushToTalk"
    LALS = "LALS"
    RCS = "RCS"


class CallPartyRole(StrEnum):
    """Target identifier: which part the target has in a call."""

    ORIGINATING = "Originating"
    TERMINATING = "Terminating"
    FORWARDED_TO = "Forwarded-To"


class NonLocalIdentifier(StrEnum):
    """Target identifier: whether the identity is one of this network."""

    LOCAL = "Local"
    NON_LOCAL = "NonLocal"


class HashAlgorithm(StrEnum):
    SHA_256 = "sha-256"
    SHA_512 = "sha-512"
    SHA3_512 = "sha3-512"


class ProvisioningStatus(StrEnum):
    AWAITING = "awaitingProvisioning"
    FAILED = "failed"
    COMPLETE = "complete"


class DestinationDeliveryStatus(StrEnum):
    WORKING = "activeAndWorking"
    FAULT = "deliveryFault"


class NeStatus(StrEnum):
    OK = "OK"
    FAULTS = "Faults"


class TaskReportType(StrEnum):
    """What a report says of a task, or of a destination (TS 103 221-1 6.5.2, 6.5.3)."""

    ALL_CLEAR = "AllClear"
    WARNING = "Warning"
    NON_TERMINATING_FAULT = "NonTerminatingFault"
    TERMINATING_FAULT = "TerminatingFault"
    IMPLICIT_DEACTIVATION = "ImplicitDeactivation"
    SUCCESSFUL = "FullyActionedAndSuccessful"
    UNSUCCESSFUL = "FullyActionedAndUnsuccessful"


class NeIssueType(StrEnum):
    """typeOfNeIssueMessage (TS 103 221-1 6.5.4)."""

    WARNING = "Warning"
    FAULT_CLEARED = "FaultCleared"
    FAULT_REPORT = "FaultReport"
    ALERT = "Alert"
