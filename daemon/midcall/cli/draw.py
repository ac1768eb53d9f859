"""What inspect prints for people: messages field by field, dialogs as ladders; colours only where they are wanted.

rich decides about colours (a terminal, NO_COLOR, TERM); text of subscribers is never taken for markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from midcall.cli.fail import shown
from midcall.inspection import Record

MAX_COLUMNS = 4
"""More participants than this make no ladder that fits: their addresses are written out."""
_WIDTH = 100
_TIME = 11
_OCTETS = 32  # of one field, in hexadecimal


def console() -> Console:
    """Where to print: as wide as the terminal, 100 columns elsewhere."""
    found = Console(highlight=False, markup=False, soft_wrap=True)
    if not found.is_terminal:
        found = Console(highlight=False, markup=False, soft_wrap=True, width=_WIDTH)
    return found


# MIKEY messages


def message(described: dict[str, Any]) -> Iterator[Text]:
    """One line a field: offset, octets in hexadecimal, name and meaning."""
    yield _text(("MIKEY ", "bold"), (described["type"], "bold cyan"), (f", {described['octets']} octets", "bold"))
    for group in described["payloads"]:
        yield from _group(group, 0)
    if described["remarks"]:
        yield Text()
        yield from (_text((f"  {remark}", "")) for remark in described["remarks"])
    yield Text()
    if not described["missing"]:
        yield _text(("nothing here leads to keys", "dim"))
        return
    yield _text(("to derive keys, besides this message:", "bold"))
    yield from (_text(("  - ", "yellow"), (need, "")) for need in described["missing"])


def _group(group: dict[str, Any], depth: int) -> Iterator[Text]:
    indent = "  " * depth
    yield _text((f"{group['offset']:6}  ", "dim"), (f"{indent}{group['payload']}", "bold green"))
    for field in group["fields"]:
        yield _field(field, indent)
    for inside in group.get("inside", ()):
        yield from _group(inside, depth + 1)


def _field(field: dict[str, Any], indent: str) -> Text:
    value = field["value"]
    if value is None:
        text = f"{field['octets']} octets"
    elif isinstance(value, str):
        text = value if len(value) <= 2 * _OCTETS else f"{value[: 2 * _OCTETS]}... ({len(value) // 2} octets)"
    else:
        text = f"{value:08x}" if field["octets"] == 4 else str(value)
    meaning = field.get("meaning", "")
    return _text(
        (f"{field['offset']:6}  ", "dim"),
        (f"{indent}  {field['name']:22} ", ""),
        (text, "cyan"),
        (f"  {meaning}" if meaning else "", "yellow"),
    )


# Captures


def dialog(found: dict[str, Any], width: int) -> Iterator[Text]:
    """A ladder: a column for each participant, an arrow for each message, what keys it carried below it."""
    yield _text((found["call_id"], "bold"), (f"  {found['from']} -> {found['to']}", ""))
    places = list(dict.fromkeys(p for m in found["messages"] for p in (m["source"], m["destination"])))
    columns = _columns(places, width)
    if columns:
        yield _text((" " * _TIME + "".join(_centred(p, columns) for p in places), "dim"))
    for each in found["messages"]:
        head = f"{each['seconds']:{_TIME - 2}.3f}  "
        if columns:
            yield _arrow(head, places, columns, each)
        else:
            yield _text((head, "dim"), (f"{each['source']} -> {each['destination']}  ", ""), _styled(each["what"]))
        yield from _carried(each["keys"])
    if found["more"]:
        yield _text((f"  ... and {found['more']} more messages", "dim"))
    yield Text()


def _columns(places: list[str], width: int) -> int:
    """Width of a column; 0: too many participants, or one who talks to itself."""
    if not 2 <= len(places) <= MAX_COLUMNS:
        return 0
    wide = min((width - _TIME) // len(places), 44)
    return wide if wide >= max(len(place) for place in places) + 2 else 0


def _centred(place: str, columns: int) -> str:
    return place.center(columns)


def _arrow(head: str, places: list[str], columns: int, each: dict[str, Any]) -> Text:
    start, end = places.index(each["source"]), places.index(each["destination"])
    low, high = min(start, end), max(start, end)
    first, last = low * columns + columns // 2, high * columns + columns // 2
    room = last - first - 1
    what = shown(each["what"])
    label = f" {what[: max(room - 4, 0)]} " if room > 6 else ""
    shaft = label.center(room - 1, "-") if room > 0 else ""
    arrow = f"{shaft}>" if start < end else f"<{shaft}"
    line = [" "] * (len(places) * columns)
    for place in range(len(places)):
        line[place * columns + columns // 2] = "|"
    line[first + 1 : last] = list(arrow) if start != end else line[first + 1 : last]
    if start == end:
        return _text((head, "dim"), ("".join(line), ""), (f" {what}", ""))
    return _text((head, "dim"), ("".join(line).rstrip(), _styled(each["what"])[1]))


def _styled(what: str) -> tuple[str, str]:
    if what[:1].isdigit():
        return what, {"1": "", "2": "green", "3": "yellow"}.get(what[0], "red")
    return what, "bold"


def _carried(keys: list[dict[str, Any]]) -> Iterator[Text]:
    for each in keys:
        yield _text((" " * _TIME, ""), (f"{each['at']}: ", "dim"), (_summary(each), "cyan"))
        for need in each.get("missing", ()):
            yield _text((f"{'':{_TIME}}  needs {need}", "yellow"))


def _summary(each: dict[str, Any]) -> str:
    if each["type"] == "SDES":
        return f"SDES {', '.join(each['suites'])}"
    if "csb_id" not in each:
        return f"MIKEY unreadable: {each['reason']}"
    flags = f", ticket flags {each['ticket_flags']}" if "ticket_flags" in each else ""
    spis = sorted({session["spi"] for session in each["sessions"] if session["spi"]})
    named = f", SPI {' '.join(spis)}" if spis else ""
    payloads = " ".join(each["payloads"])
    return f"MIKEY {each['type']}, CSB {each['csb_id']}, {len(each['sessions'])} sessions{named}{flags}: {payloads}"


def _text(*parts: tuple[str, str]) -> Text:
    return Text.assemble(*((shown(text), style) for text, style in parts))


# Records of a hand-over

_SHOWN = 96  # characters of octets, and of a text of several lines; a text of one is shown whole


def record(found: Record) -> Iterator[Text]:
    """A PS-PDU: what it is on one line; its members too, unless it is content; and what is wrong with it."""
    place = f"{found.offset:10}  "
    numbers = f"  #{found.sequence}" if found.sequence is not None else ""
    cin = "" if found.cin is None else f" CIN {found.cin}"
    yield _text(
        (place, "dim"),
        (found.what, "bold cyan"),
        (f"  LIID {shown(found.liid)}{cin}{numbers}", "bold"),
        (f"  {found.octets} octets", "dim"),
    )
    if not found.content:
        for offset, path, value in found.members:
            name = path.removeprefix("payload.")
            yield _text((f"{found.offset + offset:10}    ", "dim"), (shown(name), "green"), (f" = {_value(value)}", ""))
    for finding in found.findings:
        yield _text((f"{'':12}! ", "bold red"), (shown(finding), ""))


def _value(value: str) -> str:
    text = shown(value)
    return text[:_SHOWN] if value.startswith("0x") or "\\n" in text else text
