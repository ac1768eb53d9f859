"""Types that several modules share (HI2Operations of TS 101 671, EpsHI2Operations of TS 33.108)."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from msgspec import Struct

from imswire import ber
from imswire.hi.primitives import Enumerated, GeneralizedTime, Octets, Raw, Text, UtcTime
from imswire.hi.schema import Choice, Member, Remembered, Sequence, must

LIID = Octets(1, 25)
COUNTRY = Text(ber.PRINTABLE_STRING, 2, 2)


class Season(IntEnum):
    """winterSummerIndication of a local time."""

    NOT_PROVIDED = 0
    WINTER_TIME = 1
    SUMMER_TIME = 2


class ElementForm(IntEnum):
    """What a network-Element-Identifier is: its tag."""

    E164 = 1
    X25 = 2
    IP = 3
    DNS = 4
    IP_ADDRESS = 5


class NetworkId(Struct, frozen=True, gc=False):
    """Network-Identifier: operator-Identifier (1 to 5 octets), network-Element-Identifier (1 to 25).

    With ElementForm.IP_ADDRESS the element is the contents of IPAddress.
    """

    operator: bytes
    element: bytes | None = None
    form: int = ElementForm.DNS


class NationalParameters(Struct, frozen=True, gc=False):
    """National parameters: the country whose law defines the TLVs behind."""

    country: str
    extension: tuple[bytes, ...] = ()


# TimeStamp: the value is (nanoseconds, Season or None for utcTime).

_LOCAL = Sequence(
    tuple,
    (
        must(0, "generalizedTime", "time", GeneralizedTime(), lambda value: value[0]),
        must(
            1,
            "winterSummerIndication",
            "season",
            Enumerated(Season, "notProvided winterTime summerTime"),
            lambda value: value[1],
        ),
    ),
    make=lambda found: (found["time"], found["season"]),
)


def _pick_time(value: tuple[int, int | None]) -> tuple[int, Any]:
    return (1, value[0]) if value[1] is None else (0, value)


def _make_time(tag: int, inner: Any) -> tuple[int, int | None]:
    return (inner, None) if tag == 1 else inner


TIME_STAMP = Choice((must(0, "localTime", "", _LOCAL), must(1, "utcTime", "", UtcTime())), _pick_time, _make_time)


def time_and_season(value: Any) -> tuple[int, int | None] | None:
    """What TIME_STAMP writes of a value with attributes ``time`` and ``season``."""
    return None if value.time is None else (value.time, value.season)


def timed(cls: Callable[..., Any]) -> Callable[[dict[str, Any]], Any]:
    """Makes values whose ``time`` and ``season`` came as one."""

    def make(found: dict[str, Any]) -> Any:
        if "time" in found:
            found["time"], found["season"] = found["time"]
        return cls(**found)

    return make


# Network-Identifier

_ELEMENT = Choice(
    (
        must(1, "e164-Format", "", Octets(1, 25)),
        must(2, "x25-Format", "", Octets(1, 25)),
        must(3, "iP-Format", "", Octets(1, 25)),
        must(4, "dNS-Format", "", Octets(1, 25)),
        must(5, "iP-Address", "", Raw()),
    ),
    lambda value: value,
    lambda tag, inner: (tag, inner),
)


def _network(found: dict[str, Any]) -> NetworkId:
    if "element" in found:
        tag, found["element"] = found["element"]
        found["form"] = ElementForm(tag)
    return NetworkId(**found)


NETWORK_ID = Remembered(
    NetworkId,
    (
        must(0, "operator-Identifier", "operator", Octets(1, 5)),
        Member(
            1,
            "network-Element-Identifier",
            "element",
            _ELEMENT,
            get=lambda value: None if value.element is None else (value.form, value.element),
        ),
    ),
    make=_network,
)

NATIONAL = Sequence(NationalParameters, (must(1, "countryCode", "country", COUNTRY),), rest="extension")
