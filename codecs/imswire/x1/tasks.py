"""Tasks: what is ordered, for whom, whereto, and how it stands (TS 103 221-1 6.2.1.2, 6.4.2.2)."""

from __future__ import annotations

from msgspec import Struct

from imswire.x1.enumerations import DeliveryType, MediationDeliveryType, ProvisioningStatus, ServiceType
from imswire.x1.extensions import Extension
from imswire.x1.members import (
    BOOLEAN,
    EXTENSION,
    INTEGER,
    STRING,
    TIME,
    TOKEN,
    Choice,
    Leaf,
    ListOf,
    Sequence,
    many,
    may,
    must,
    word,
)
from imswire.x1.targets import TARGET_IDENTIFIER, TargetIdentifier


class ListOfDids(Struct, frozen=True, gc=False):
    """Destinations by DID, and sets of them by the identifier of their DestinationSet."""

    dids: tuple[str, ...] = ()
    dsids: tuple[str, ...] = ()


class LocationType(Struct, frozen=True, gc=False):
    """When location is reported; None: not said."""

    beginning_and_end: bool | None = None
    upon_change: bool | None = None
    lals: bool | None = None


class DoNotReport(Struct, frozen=True, gc=False):
    """No location at all."""


class LocationTypes(Struct, frozen=True, gc=False):
    """Location, on these occasions."""

    types: tuple[LocationType, ...] = ()


class ServiceScopingOptions(Struct, frozen=True, gc=False):
    """What of a target's services is ordered; None: not said."""

    services: tuple[ServiceType, ...] = ()
    location: DoNotReport | LocationTypes | None = None
    suspend_on_outbound_international_roaming: bool | None = None
    report_post_dialled_digits: bool | None = None


class MediationDetails(Struct, frozen=True, gc=False):
    """One LIID of a task, with its window in nanoseconds since 1970 (None: open).

    ``destinations`` None: those of the task.
    """

    liid: str
    delivery: MediationDeliveryType
    start: int | None = None
    end: int | None = None
    destinations: ListOfDids | None = None
    extensions: tuple[Extension, ...] = ()
    scoping: tuple[ServiceScopingOptions, ...] = ()
    traffic_policies: tuple[str, ...] = ()


class TaskDetails(Struct, frozen=True, gc=False):
    """A task; its targets must all apply. An empty optional list is the same as none."""

    xid: str
    targets: tuple[TargetIdentifier, ...]
    delivery: DeliveryType
    destinations: ListOfDids
    mediation: tuple[MediationDetails, ...] = ()
    correlation_id: int | None = None
    implicit_deactivation_allowed: bool | None = None
    product_id: str | None = None
    services: tuple[ServiceType, ...] = ()
    extensions: tuple[Extension, ...] = ()
    traffic_policies: tuple[str, ...] = ()


class Fault(Struct, frozen=True, gc=False):
    """errorInformation: a code (ErrorCode, or another's) and a text."""

    code: int
    description: str


class TaskStatus(Struct, frozen=True, gc=False):
    """How a task stands; times in nanoseconds since 1970."""

    provisioning: ProvisioningStatus
    faults: tuple[Fault, ...] = ()
    last_intercept: int | None = None
    amount_of_x2_data: int | None = None
    amount_of_x3_data: int | None = None
    last_modification: int | None = None
    modifications: int | None = None
    extensions: tuple[Extension, ...] = ()


class TaskResponseDetails(Struct, frozen=True, gc=False):
    """A task and how it stands."""

    task: TaskDetails
    status: TaskStatus


DIDS = Sequence(ListOfDids, many("dId", "dids", TOKEN), many("dSId", "dsids", TOKEN))
_SERVICES = ListOf("serviceType", word(ServiceType))
_POLICIES = ListOf("trafficPolicyReference", TOKEN)
_LOCATION_TYPE = Sequence(
    LocationType,
    may("beginningAndEnd", "beginning_and_end", BOOLEAN),
    may("uponChange", "upon_change", BOOLEAN),
    may("LALS", "lals", BOOLEAN),
)


def _do_not_report(text: str) -> DoNotReport:
    if text:
        raise ValueError("not empty")
    return DoNotReport()


_SCOPING = Sequence(
    ServiceScopingOptions,
    may("serviceType", "services", _SERVICES),
    may(
        "locationType",
        "location",
        Choice(
            {
                "doNotReport": (DoNotReport, Leaf(_do_not_report, lambda _: "")),
                "listOfLocationTypes": (
                    LocationTypes,
                    Sequence(LocationTypes, many("locationType", "types", _LOCATION_TYPE)),
                ),
            }
        ),
    ),
    may("suspendOnOutboundInternationalRoaming", "suspend_on_outbound_international_roaming", BOOLEAN),
    may("reportPostDialledDigits", "report_post_dialled_digits", BOOLEAN),
)
_MEDIATION = Sequence(
    MediationDetails,
    must("LIID", "liid", STRING),
    must("deliveryType", "delivery", word(MediationDeliveryType)),
    may("StartTime", "start", TIME),
    may("EndTime", "end", TIME),
    may("listOfDIDs", "destinations", DIDS),
    many("mediationDetailsExtensions", "extensions", EXTENSION),
    may("serviceScopingOptions", "scoping", ListOf("serviceScopingOptions", _SCOPING)),
    may("listOfTrafficPolicyReferences", "traffic_policies", _POLICIES),
)
TASK_DETAILS = Sequence(
    TaskDetails,
    must("xId", "xid", TOKEN),
    must("targetIdentifiers", "targets", ListOf("targetIdentifier", TARGET_IDENTIFIER)),
    must("deliveryType", "delivery", word(DeliveryType)),
    must("listOfDIDs", "destinations", DIDS),
    may("listOfMediationDetails", "mediation", ListOf("mediationDetails", _MEDIATION)),
    may("correlationID", "correlation_id", INTEGER),
    may("implicitDeactivationAllowed", "implicit_deactivation_allowed", BOOLEAN),
    may("productID", "product_id", TOKEN),
    may("listOfServiceTypes", "services", _SERVICES),
    many("taskDetailsExtensions", "extensions", EXTENSION),
    may("listOfTrafficPolicyReferences", "traffic_policies", _POLICIES),
)
FAULT = Sequence(Fault, must("errorCode", "code", INTEGER), must("errorDescription", "description", STRING))
FAULTS = ListOf("unresolvedFault", FAULT)
TASK_RESPONSE_DETAILS = Sequence(
    TaskResponseDetails,
    must("taskDetails", "task", TASK_DETAILS),
    must(
        "taskStatus",
        "status",
        Sequence(
            TaskStatus,
            must("provisioningStatus", "provisioning", word(ProvisioningStatus)),
            must("listOfFaults", "faults", FAULTS),
            may("timeOfLastIntercept", "last_intercept", TIME),
            may("amountOfX2Data", "amount_of_x2_data", INTEGER),
            may("amountOfX3Data", "amount_of_x3_data", INTEGER),
            may("timeOfLastModification", "last_modification", TIME),
            may("numberOfModifications", "modifications", INTEGER),
            many("taskStatusExtensions", "extensions", EXTENSION),
        ),
    ),
)
