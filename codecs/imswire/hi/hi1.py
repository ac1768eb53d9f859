"""HI1 notifications of TS 101 671, module HI1NotificationOperations, as hI1-Operation of a PS-PDU.

The domain is hi1(0) notificationOperations(1) version6(6), which the module's domainID is bound to in later
versions too.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from msgspec import Struct

from imswire import ber
from imswire.ber import BerError
from imswire.hi.common import COUNTRY, LIID, NETWORK_ID, TIME_STAMP, NetworkId, time_and_season, timed
from imswire.hi.errors import HiError
from imswire.hi.primitives import Octets, Oid
from imswire.hi.schema import Choice, Member, Sequence, must, within

DOMAIN: Final = (0, 4, 0, 2, 2, 0, 1)
VERSION: Final = 6


class NotificationKind(IntEnum):
    """Which Notification: the tag of the alternative."""

    ACTIVATED = 1
    DEACTIVATED = 2
    MODIFIED = 3


class Hi1Communication(Struct, frozen=True, gc=False):
    """CommunicationIdentifier of TS 101 671: network, and a number of 1 to 8 octets."""

    network: NetworkId
    number: bytes | None = None


class NationalHi1(Struct, frozen=True, gc=False):
    """National-HI1-ASN1parameters: the country whose law defines the TLVs behind."""

    country: str
    extension: tuple[bytes, ...] = ()
    version: int | None = VERSION


class Notification(Struct, frozen=True, gc=False, kw_only=True):
    """liActivated, liDeactivated or liModified; ``target`` is target-Information (1 to 256 octets)."""

    kind: int
    liid: bytes
    time: int
    season: int | None = None
    communication: Hi1Communication | None = None
    national: NationalHi1 | None = None
    target: bytes | None = None
    version: int | None = VERSION


class AlarmIndicator(Struct, frozen=True, gc=False, kw_only=True):
    """alarms-indicator; ``information`` is 1 to 256 octets."""

    time: int
    information: bytes
    season: int | None = None
    communication: Hi1Communication | None = None
    liid: bytes | None = None
    national: NationalHi1 | None = None
    version: int | None = VERSION


Operation = Notification | AlarmIndicator | NationalHi1

_DOMAIN = Member(0, "domainID", "version", Oid(DOMAIN))
_COMMUNICATION = Sequence(
    Hi1Communication,
    (
        Member(0, "communication-Identity-Number", "number", Octets(1, 8)),
        must(1, "network-Identifier", "network", NETWORK_ID),
    ),
)


def _with_version(cls: type) -> Any:
    """domainID is OPTIONAL: when it is not there, the version is None."""
    return lambda found: cls(**({"version": None} | found))


_NATIONAL = Sequence(
    NationalHi1,
    (_DOMAIN, must(1, "countryCode", "country", COUNTRY)),
    make=_with_version(NationalHi1),
    rest="extension",
)
_NOTIFICATION = Sequence(
    Notification,
    (
        _DOMAIN,
        must(1, "lawfulInterceptionIdentifier", "liid", LIID),
        Member(2, "communicationIdentifier", "communication", _COMMUNICATION),
        must(3, "timeStamp", "time", TIME_STAMP, time_and_season),
        Member(5, "national-HI1-ASN1parameters", "national", _NATIONAL),
        Member(6, "target-Information", "target", Octets(1, 256)),
    ),
    make=timed(lambda **found: {"version": None} | found),
)
_ALARM = Sequence(
    AlarmIndicator,
    (
        _DOMAIN,
        Member(1, "communicationIdentifier", "communication", _COMMUNICATION),
        must(2, "timeStamp", "time", TIME_STAMP, time_and_season),
        must(3, "alarm-information", "information", Octets(1, 256)),
        Member(4, "lawfulInterceptionIdentifier", "liid", LIID),
        Member(5, "national-HI1-ASN1parameters", "national", _NATIONAL),
    ),
    make=timed(lambda **found: AlarmIndicator(**({"version": None} | found))),
)


def _pick(value: Operation) -> tuple[int, Any]:
    if isinstance(value, Notification):
        return value.kind, value
    return (4 if isinstance(value, AlarmIndicator) else 5), value


def _make(tag: int, inner: Any) -> Operation:
    return Notification(kind=NotificationKind(tag), **inner) if tag <= NotificationKind.MODIFIED else inner


_ALTERNATIVES = (
    must(NotificationKind.ACTIVATED, "liActivated", "", _NOTIFICATION),
    must(NotificationKind.DEACTIVATED, "liDeactivated", "", _NOTIFICATION),
    must(NotificationKind.MODIFIED, "liModified", "", _NOTIFICATION),
    must(4, "alarms-indicator", "", _ALARM),
    must(5, "national-HI1-ASN1parameters", "", _NATIONAL),
)
_NAMES: Final = {each.tag: each.name for each in _ALTERNATIVES}
HI1_OPERATION: Final = Choice(_ALTERNATIVES, _pick, _make)


def name(operation: Operation) -> str:
    """What the module calls the alternative: ``liActivated``, ``alarms-indicator``, ..."""
    return _NAMES[_pick(operation)[0]]


def build(operation: Operation) -> bytes:
    """The TLV for ``Hi1.contents``; HiError when a value breaks a bound of the module."""
    try:
        return HI1_OPERATION.write(operation)
    except HiError as fault:
        raise within("hI1-Operation", fault) from None


def parse(contents: bytes) -> Operation:
    """Of ``Hi1.contents``; HiError when it is no HI1-Operation."""
    try:
        return HI1_OPERATION.read_item(contents, ber.only(contents))  # type: ignore[no-any-return]
    except (HiError, BerError) as fault:
        raise within("hI1-Operation", fault) from None
