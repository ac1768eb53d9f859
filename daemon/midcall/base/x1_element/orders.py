"""What a task comes to: every member of it is honoured, or it is refused.

With a signed warrant the task may narrow what that allows, and never widen it: another target, LIID, service or
destination, more than its scope, a window that begins before or ends after the warrant's is refused.
"""

from __future__ import annotations

from msgspec import Struct

from imswire.x1 import (
    DeliveryType,
    DoNotReport,
    ErrorCode,
    MediationDeliveryType,
    MediationDetails,
    ServiceScopingOptions,
    ServiceType,
    TaskDetails,
)
from imswire.x1.extensions import WARRANT
from midcall.base.services import narrower
from midcall.base.warrant import Target, Verified
from midcall.base.x1_element import destinations, targets
from midcall.base.x1_element.destinations import CONTENT, EVENTS, KINDS, Lookup
from midcall.base.x1_element.settings import Settings
from midcall.base.x1_element.values import Mediated, Order, Refusal
from midcall.events import Task, Terms


class Authority(Struct, frozen=True):
    """The warrant that a task runs under, and its signed octets."""

    verified: Verified
    octets: bytes


def dids(details: TaskDetails) -> set[str]:
    """The destinations that a task names."""
    named = {*details.destinations.dids}
    for each in details.mediation:
        named.update(() if each.destinations is None else each.destinations.dids)
    return named


class _Scope(Struct, frozen=True):
    """What a task may do: by the warrant, or without one as ordered."""

    authority: Authority | None
    target: Target | None
    settings: Settings
    fail: ErrorCode

    @property
    def content(self) -> bool:
        return self.authority is None or self.authority.verified.warrant.content

    def refuse(self, detail: str) -> Refusal:
        return Refusal(self.fail, detail)


def order(
    details: TaskDetails,
    lookup: Lookup,
    settings: Settings,
    authority: Authority | None,
    fail: ErrorCode,
    *,
    pending: bool = False,
) -> Order:
    """Refusal: something in the task cannot be honoured, or is not covered by the warrant of ``authority``.

    ``pending``: the warrant is still to come, and with it what only a warrant says.
    """
    scope = _Scope(authority, _target(details, authority, fail), settings, fail)
    _members(details, scope)
    subject = targets.subject(details.targets, settings)
    identity = _identity(subject, scope, pending)
    services = _services(details.services, scope)
    if settings.mediates:
        whereto = destinations.known(details.destinations, lookup)
        mediated = _mediated(details, scope, lookup, services, pending)
        windows = [(each.terms.start, each.terms.end) for each in mediated]
    else:
        whereto = destinations.chosen(details.destinations, KINDS[details.delivery], lookup, settings, fail)
        mediated, windows = (), [_bounds(each, scope) for each in details.mediation]
    start, end = _hull(windows, scope)
    given = narrower(_mentioned(details, services, scope))
    task = Task(details.xid, (identity,) if identity else (), start, end, subject.role, subject.local, given)
    if authority is None:
        return Order(task, details.delivery, whereto, mediated)
    verified = authority.verified
    return Order(task, details.delivery, whereto, mediated, authority.octets, verified.digest, verified.warrant.id)


def _target(details: TaskDetails, authority: Authority | None, fail: ErrorCode) -> Target | None:
    if authority is None:
        return None
    target = authority.verified.warrant.target(details.xid)
    if target is None:
        raise Refusal(fail, "the signed warrant does not name this task")
    return target


def _members(details: TaskDetails, scope: _Scope) -> None:
    """Members that nothing here could honour."""
    if details.delivery not in scope.settings.delivered:
        raise scope.refuse("deliveryType: this element does not give it")
    if details.correlation_id is not None:
        raise scope.refuse("correlationID")
    if details.product_id is not None:
        raise scope.refuse("productID")
    _policies(details.traffic_policies)
    if any(each.namespace != WARRANT for extension in details.extensions for each in extension.elements):
        raise scope.refuse("taskDetailsExtensions: one that is not known here")
    if CONTENT in KINDS[details.delivery] and not scope.content:
        raise scope.refuse("deliveryType: the signed warrant is for events only")


def _policies(named: tuple[str, ...]) -> None:
    if named:
        raise Refusal(ErrorCode.OBJECT_UNKNOWN, "trafficPolicyReference")


def _identity(subject: targets.Subject, scope: _Scope, pending: bool) -> str | None:
    """The URI to match, covered by the warrant."""
    if scope.authority is None or scope.target is None:
        if subject.identity is None and not pending:
            raise Refusal(ErrorCode.TARGET_TYPE, "hashedIdentifier: only a signed warrant says whom it means")
        return subject.identity
    identity = targets.resolved(subject, scope.target, scope.settings)
    if identity is None or scope.target not in scope.authority.verified.warrant.covering(identity):
        raise scope.refuse("the signed warrant is not for this target")
    return identity


def _services(named: tuple[ServiceType, ...], scope: _Scope) -> tuple[ServiceType, ...]:
    """What is given of the target: what the task names, or all that the warrant does. Refusal (3050)."""
    given = scope.settings.services
    if not set(named) <= set(given):
        raise Refusal(ErrorCode.SERVICE_TYPE, f"given are {', '.join(sorted(given))}")
    allowed = set(given) if scope.authority is None else set(scope.authority.verified.warrant.services)
    if not set(named) <= allowed or allowed.isdisjoint(given):
        raise scope.refuse("listOfServiceTypes: the signed warrant does not name all services that would be given")
    return tuple(dict.fromkeys(named)) or tuple(each for each in given if each in allowed)


def _mentioned(details: TaskDetails, services: tuple[ServiceType, ...], scope: _Scope) -> set[ServiceType]:
    """What any of its LIIDs is for: no more is given of the target."""
    found: set[ServiceType] = set()
    for each in details.mediation:
        named = {service for option in each.scoping for service in option.services}
        if not named <= set(services):
            raise scope.refuse("serviceScopingOptions: more services than the task's")
        found |= named or set(services)
    return found or set(services)


def _mediated(
    details: TaskDetails, scope: _Scope, lookup: Lookup, services: tuple[ServiceType, ...], pending: bool
) -> tuple[Mediated, ...]:
    """What is handed over under each LIID."""
    listed = details.mediation
    if not listed:
        if scope.target is None:
            if pending:
                return ()
            raise scope.refuse("listOfMediationDetails: no LIID, and no signed warrant that names one")
        listed = (MediationDetails(scope.target.liid, _HANDED_OVER[details.delivery]),)
    if len({each.liid for each in listed}) != len(listed) or len(listed) > scope.settings.liids_of_a_task:
        raise scope.refuse("listOfMediationDetails: more LIIDs than this element serves, or one twice")
    return tuple(_one(each, details, scope, lookup, services) for each in listed)


_HANDED_OVER = {
    DeliveryType.X2_ONLY: MediationDeliveryType.HI2_ONLY,
    DeliveryType.X3_ONLY: MediationDeliveryType.HI3_ONLY,
    DeliveryType.X2_AND_X3: MediationDeliveryType.HI2_AND_HI3,
}


def _one(
    each: MediationDetails, details: TaskDetails, scope: _Scope, lookup: Lookup, services: tuple[ServiceType, ...]
) -> Mediated:
    kinds = KINDS[each.delivery]
    if not kinds <= KINDS[details.delivery]:
        raise scope.refuse("mediationDetails/deliveryType: more than the task's")
    if EVENTS not in kinds and DeliveryType.X3_ONLY not in scope.settings.delivered:
        raise scope.refuse("mediationDetails/deliveryType: content goes with its events")
    if each.extensions:
        raise scope.refuse("mediationDetailsExtensions")
    _policies(each.traffic_policies)
    start, end = _bounds(each, scope)
    services, location = _scoping(each.scoping, scope, services)
    named = details.destinations if each.destinations is None else each.destinations
    whereto = destinations.chosen(named, kinds, lookup, scope.settings, scope.fail)
    if scope.authority is None:
        terms = Terms(each.liid, start, end, content=CONTENT in kinds, location=location, services=narrower(services))
        return Mediated(terms, services, whereto, (None,) * len(whereto))
    warrant = scope.authority.verified.warrant
    terms = Terms(
        each.liid,
        start,
        end,
        content=CONTENT in kinds,
        keys_to_lemf=warrant.keys == "keys-to-lemf",
        location=location and warrant.location,
        services=narrower(services),
    )
    return Mediated(terms, services, whereto, tuple(destinations.pin(d, warrant, scope.fail) for d in whereto))


def _scoping(
    options: tuple[ServiceScopingOptions, ...], scope: _Scope, services: tuple[ServiceType, ...]
) -> tuple[tuple[ServiceType, ...], bool]:
    """Services, and whether location is told."""
    if not options:
        return services, True
    if len(options) > 1:
        raise scope.refuse("serviceScopingOptions: several")
    (option,) = options
    if option.suspend_on_outbound_international_roaming or option.report_post_dialled_digits:
        raise scope.refuse("serviceScopingOptions: suspension when roaming, or post-dialled digits")
    if option.location is not None and not isinstance(option.location, DoNotReport):
        raise scope.refuse("serviceScopingOptions: listOfLocationTypes")
    narrowed = _services(option.services, scope) if option.services else services
    if not set(narrowed) <= set(services):
        raise scope.refuse("serviceScopingOptions: more services than the task's")
    return narrowed, option.location is None


def _bounds(each: MediationDetails, scope: _Scope) -> tuple[int | None, int | None]:
    """The window of one LIID, which the warrant has to name, within the warrant's."""
    start, end = each.start, each.end
    if scope.authority is not None and scope.target is not None:
        warrant = scope.authority.verified.warrant
        if each.liid != scope.target.liid:
            raise scope.refuse("mediationDetails/LIID: the signed warrant names another for this task")
        if (start is not None and start < warrant.start_ns) or (end is not None and end > warrant.end_ns):
            raise scope.refuse("mediationDetails: StartTime or EndTime outside of the signed warrant's window")
        start = warrant.start_ns if start is None else start
        end = warrant.end_ns if end is None else end
    if start is not None and end is not None and start >= end:
        raise scope.refuse("mediationDetails: EndTime is not after StartTime")
    return start, end


def _hull(windows: list[tuple[int | None, int | None]], scope: _Scope) -> tuple[int | None, int | None]:
    """From the first beginning to the last end."""
    if not windows and scope.authority is not None:
        warrant = scope.authority.verified.warrant
        return warrant.start_ns, warrant.end_ns
    starts = [start for start, _ in windows if start is not None]
    ends = [end for _, end in windows if end is not None]
    return (
        min(starts) if starts and len(starts) == len(windows) else None,
        max(ends) if ends and len(ends) == len(windows) else None,
    )
