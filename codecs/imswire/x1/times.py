"""QualifiedMicrosecondDateTime (TS 103 280): exactly six decimals and a zone, as nanoseconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


def of_text(text: str) -> int:
    """Nanoseconds since 1970; ValueError when it is no such time. 24:00:00 is the day's end, as XML Schema has it."""
    if _FORM.fullmatch(text) is None:
        raise ValueError("no time with six decimals and a zone")
    try:
        if text[11:26] == "24:00:00.000000":
            return _ns(datetime.fromisoformat(f"{text[:11]}00{text[13:]}") + _DAY)
        return _ns(datetime.fromisoformat(text))
    except OverflowError:
        raise ValueError("beyond the calendar") from None


def text_of(ns: int) -> str:
    """In UTC, cut to microseconds; ValueError when it is beyond the calendar."""
    try:
        at = _EPOCH + timedelta(microseconds=ns // 1_000)
    except OverflowError:
        raise ValueError("beyond the calendar") from None
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _ns(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND * 1_000
