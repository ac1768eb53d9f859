"""What neighbours tell each other of their load, in parameters of Via (RFC 7339): read, written, kept to the hop."""

from __future__ import annotations

import re
from typing import NamedTuple

from imswire import sip
from imswire.sip import SipError, SipMessage, Via
from imswire.sip.edit import Editor
from imswire.sip.headers import Parameters

SUPPORT = ';oc;oc-algo="loss"'
"""What stands in our own Via (RFC 7339 5.1)."""
VALIDITY_MS = 500
"""RFC 7339 4.3: how long a peer keeps to what it was told."""
_OURS = frozenset({"oc", "oc-algo", "oc-validity", "oc-seq"})
_SAYS = re.compile(rb";[ \t]*[oO][cC][ \t]*=").search


class Told(NamedTuple):
    """What a server asks for: ``share`` percent less, for so many milliseconds; ``sequence`` tells old from new."""

    share: int
    validity_ms: int
    sequence: float


def supports(params: Parameters | None) -> bool:
    """Whether the sender of a request keeps to what it is told by percentages (RFC 7339 5.1)."""
    found = {name.lower(): value for name, value in params or ()}
    if "oc" not in found:
        return False
    algorithms = (found.get("oc-algo") or "").strip('"').lower().split(",")
    return "loss" in (each.strip() for each in algorithms)


def without(params: Parameters) -> Parameters:
    """The others: what is said of load is said to the next hop alone (RFC 7339 5.6)."""
    return tuple(each for each in params if each[0].lower() not in _OURS)


def heard(message: SipMessage) -> Told | None:
    """What the next hop says in our Via of its response; None: nothing that can be followed (RFC 7339 4, 5.4)."""
    if _SAYS(message.head) is None:
        return None
    found = {name.lower(): value or "" for name, value in sip.parse_via(message.values("Via")[0]).params}
    share, validity = found.get("oc", ""), found.get("oc-validity", str(VALIDITY_MS))
    if (found.get("oc-algo") or "loss").strip('"').lower() != "loss":
        return None
    if not _is_number(share) or not _is_number(validity):
        return None
    return Told(min(int(share), 100), int(validity), _sequence(found.get("oc-seq", "")))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8


def _sequence(text: str) -> float:
    """RFC 7339 4.4: digits with a point among them; 0 when there is none."""
    whole, _, part = text.partition(".")
    if len(text) > 24 or not whole.isdigit() or not text.isascii() or (part and not part.isdigit()):
        return 0.0
    return float(text.rstrip("."))


def telling(octets: bytes, share: int, now: int) -> bytes:
    """A response whose topmost Via tells how many percent less we want to get (RFC 7339 5.1, 5.2).

    One whose Via cannot be written again, being the answer to something broken, stays as it is.
    """
    said = (
        ("oc", str(share)),
        ("oc-algo", '"loss"'),
        ("oc-validity", str(VALIDITY_MS if share else 0)),
        ("oc-seq", f"{now // 1_000_000_000}.{now // 1_000_000 % 1_000:03}"),
    )

    def tell(text: str) -> str:
        via = sip.parse_via(text)
        return str(Via(via.transport, via.host, via.port, without(via.params) + said))

    try:
        editor = Editor(sip.parse(octets))
        editor.change_first("Via", tell)
    except SipError:
        return octets
    return editor.octets()


def cleaned(octets: bytes) -> bytes:
    """A response in which nobody behind us tells those before us how much to send (RFC 7339 5.4)."""
    if _SAYS(octets) is None:
        return octets
    message = sip.parse(octets)
    vias = message.vias
    if not any(name.lower() == "oc" and value is not None for via in vias for name, value in via.params):
        return octets
    editor = Editor(message)
    editor.remove("Via")
    for via in reversed(vias):
        editor.push("Via", str(Via(via.transport, via.host, via.port, without(via.params))))
    return editor.octets()
