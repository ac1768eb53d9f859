"""GeneralizedTime and UTCTime (X.680 46, 47) as nanoseconds since 1970."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache

SECOND = 1_000_000_000
_EPOCH = date(1970, 1, 1).toordinal()
_ZONE = r"(?:Z|(?P<sign>[+-])(?P<zh>\d\d)(?P<zm>\d\d)?)"
_GENERALIZED = re.compile(
    r"(?P<date>\d{8})(?P<h>\d\d)(?:(?P<m>\d\d)(?P<s>\d\d)?)?(?:[.,](?P<f>\d{1,18}))?" + f"(?P<zone>{_ZONE})?",
    re.ASCII,
)
_UTC = re.compile(r"(?P<date>\d{6})(?P<h>\d\d)(?P<m>\d\d)(?P<s>\d\d)?(?P<zone>" + _ZONE + ")", re.ASCII)
LAST_YEAR = 9_999
LAST = (date(LAST_YEAR, 12, 31).toordinal() - _EPOCH + 1) * 86_400 * SECOND


def of_generalized(text: str) -> int | None:
    """None: no GeneralizedTime. Local time (no zone) is taken as UTC: nothing says where it is local to."""
    found = _GENERALIZED.fullmatch(text)
    if found is None:
        return None
    return _ns(found, found["date"], 1 if found["s"] else 60 if found["m"] else 3_600)


def of_utc(text: str) -> int | None:
    """None: no UTCTime. Years from 50 are of the 20th century (RFC 5280 4.1.2.5.1)."""
    found = _UTC.fullmatch(text)
    if found is None:
        return None
    century = "19" if found["date"][:2] >= "50" else "20"
    return _ns(found, century + found["date"], 1)


def has_zone(text: str) -> bool:
    """Whether a GeneralizedTime says which zone it is in."""
    return text.endswith("Z") or "+" in text or "-" in text


def _ns(found: re.Match[str], day: str, unit: int) -> int | None:
    """``unit`` is that of a fraction: of the second, minute or hour, whichever came last."""
    part: dict[str, str | None] = found.groupdict()
    hours, minutes, seconds = int(part["h"] or 0), int(part["m"] or 0), int(part["s"] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    try:
        days: int = date(int(day[:4]), int(day[4:6]), int(day[6:])).toordinal() - _EPOCH
    except ValueError:
        return None
    fraction: str = part.get("f") or "0"
    ns: int = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    ns = ns * SECOND + int(fraction) * unit * SECOND // 10 ** len(fraction)
    away = int(part["zh"] or 0) * 60 + int(part["zm"] or 0)
    return ns - (-away if part["sign"] == "-" else away) * 60 * SECOND


def generalized(ns: int) -> str:
    """GeneralizedTime in UTC, as DER has it: no trailing zeros; to microseconds."""
    day, text = _split(ns)
    micro = ns // 1_000 % 1_000_000
    return day + text + (f".{micro:06}".rstrip("0") if micro else "") + "Z"


def utc(ns: int) -> str:
    """UTCTime to seconds."""
    day, text = _split(ns)
    return f"{day[2:]}{text}Z"


def _split(ns: int) -> tuple[str, str]:
    days, seconds = divmod(ns // SECOND, 86_400)
    return _day(days), f"{seconds // 3_600:02}{seconds // 60 % 60:02}{seconds % 60:02}"


@lru_cache(8)
def _day(days: int) -> str:
    """Year, month and day."""
    return f"{date(1970, 1, 1) + timedelta(days):%Y%m%d}"
