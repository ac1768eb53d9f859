"""What the rules name where nobody would look for it, or by escapes that somebody undoes.

Such a place is not mended: what holds it goes whole.
"""

from __future__ import annotations

import re

from midcall.base.redaction import codings, escapes, keys, places, written
from midcall.base.redaction.lines import without
from midcall.base.redaction.rules import CONTENT, LOCATION, SDES, TICKET, UNREADABLE, Rules
from midcall.base.redaction.text import split, squeezed

# XML whose names are made of others (4.2 of its specification): no reader of SIP needs it.
_ENTITY = b"<!entity"
_DATA = re.compile(rb"base64([^>\"]+)", re.IGNORECASE)


def without_places(octets: bytes, start: int = 0) -> bytes:
    """Without those headers and values of others that tell a place.

    Lines of a body may be another message or a fragment of one (RFC 3420): all of them may be headers.
    """
    left = without(octets, places.LOCATION_HEADERS, start)
    # Values are sought by expressions that cost more than all else.
    return places.of_header(left) if places.hinted(squeezed(left)) else left


def in_header(octets: bytes, rules: Rules) -> list[str]:
    """What is left in a header, or a piece of one, of that which the rules name."""
    view = escapes.unescaped(octets)
    if view is None:
        return [UNREADABLE] if rules.location or rules.sdes or rules.content or rules.mikey else []
    plain, found = squeezed(view), []
    if rules.sdes and keys.spelled(plain):
        found.append(SDES)
    if rules.key_management and keys.manages(plain):
        found.append(TICKET)  # no header has any
    if rules.location and places.hinted(plain) and _placed_in_header(view, plain):
        found.append(LOCATION)
    if b"base64" in plain:
        found += _in_data(view, rules)
    if rules.content and written.of_values(view) != view:
        found.append(CONTENT)
    return found


def _placed_in_header(view: bytes, plain: bytes) -> bool:
    return places.written_out(plain) or places.parameter(plain) or without_places(view) != view


def _in_data(header: bytes, rules: Rules) -> list[str]:
    """What stands in URIs of data (RFC 2397)."""
    found = []
    for each in _DATA.findall(header):
        for plain in map(squeezed, codings.within(each)):
            found += spelled(plain, rules)
            found += [LOCATION] if rules.location and places.in_body(plain) else []
            found += [TICKET] if rules.key_management and keys.manages(plain) else []
    return found


def beside(octets: bytes, rules: Rules) -> list[str]:
    """What stands in the head of a part, or in a body to who passes over its coding."""
    found, as_it_stands = [], squeezed(octets)
    for view in (octets, *escapes.readings(octets)):
        found += [UNREADABLE] if view is None else spelled(squeezed(view), rules)
        found += [] if view is None else _more_tickets(squeezed(view), as_it_stands, rules)
        if view is not None and rules.location and without_places(view) != view:
            found.append(LOCATION)
    return found


def in_text(octets: bytes, rules: Rules) -> list[str]:
    """What a body shows that its lines as they stand do not."""
    found = _in_readings(octets, rules, described=False)
    if (rules.location or rules.sdes) and _ENTITY in squeezed(octets):
        found.append(UNREADABLE)
    for each in (octets, *codings.within(octets)):
        found += [UNREADABLE] if codings.packed_within(each) else []
        found += [] if each is octets else spelled(squeezed(each), rules) + _more_tickets(squeezed(each), b"", rules)
    return found


def in_description(octets: bytes, rules: Rules) -> list[str]:
    """The same of a session description: what is base64 in it is no text."""
    return _in_readings(octets, rules, described=True)


def spelled(squeezed_octets: bytes, rules: Rules) -> list[str]:
    """What stands there beyond doubt, be it in something that is text by chance."""
    found = [SDES] if rules.sdes and keys.spelled(squeezed_octets) else []
    return [*found, LOCATION] if rules.location and places.written_out(squeezed_octets) else found


def hints(squeezed_octets: bytes, rules: Rules) -> bool:
    """Whether any of the above may find something, in a head or a description, where nothing is escaped."""
    return (rules.sdes and keys.hinted(squeezed_octets)) or (rules.location and places.hinted(squeezed_octets))


def more_tickets(plain: bytes, than: bytes) -> bool:
    """Whether one reading has more tickets than another, both squeezed."""
    return plain.count(keys.MANAGING) > than.count(keys.MANAGING)


def _more_tickets(plain: bytes, than: bytes, rules: Rules) -> list[str]:
    return [TICKET] if rules.key_management and more_tickets(plain, than) else []


def _in_readings(octets: bytes, rules: Rules, *, described: bool) -> list[str]:
    found, as_it_stands = [], squeezed(octets)
    for view in escapes.readings(octets, described=described):
        if view is None:
            found.append(UNREADABLE)
            continue
        plain = squeezed(view)
        found += [SDES] if rules.sdes and keys.spelled(plain) else []
        found += _placed(view, rules)
        found += _more_tickets(plain, as_it_stands, rules)
    return found


def _placed(view: bytes, rules: Rules) -> list[str]:
    """Base64 of a ticket may spell anything."""
    if not rules.location:
        return []
    if without_places(view) != view:
        return [LOCATION]
    lines = (text for text, _ in split(view) if not keys.is_key_management(text))
    return [LOCATION] if places.in_body(squeezed(b"\n".join(lines))) else []
