"""What tells where somebody is: headers (RFC 7315, RFC 6442, TS 24.229 7.2), parameters of headers, and bodies."""

from __future__ import annotations

import re

LOCATION_HEADERS = frozenset(
    {
        b"p-access-network-info",
        b"p-visited-network-id",
        b"cellular-network-info",
        b"geolocation",
        b"geolocation-routing",
        b"geolocation-error",
    }
)
# PIDF-LO (RFC 4119, RFC 5491), HELD, the location push of RCS, what MCX clients report (TS 24.379 F.3), the MSD of an
# eCall (RFC 8147), geo: URIs (RFC 5870).
_BODY = re.compile(
    rb"geopriv|pidf|held\+xml|rcspushlocation|location-info|emergencycalldata|ecall\.msd|<gml:|opengis\.net/gml"
    rb"|civicaddr|\bgeo:[ \t]*[-+0-9]",
    re.IGNORECASE,
)
_URI = re.compile(rb"\b(geo:)[ \t]*[-+0-9][^>\s\"]*", re.IGNORECASE)
# Access network charging information (TS 24.229 7.2A.5) names gateways and bearers; a URI may carry headers.
_BLANK = rb"(?:[ \t]|\r?\n[ \t])*"
_PARAMETER = re.compile(
    rb"\b(access-network-charging-info|ggsn|pdp-info|pdngw|eps-info|p-access-network-info|p-visited-network-id"
    rb"|cellular-network-info|geolocation(?:-routing|-error)?)"
    + _BLANK
    + rb"="
    + _BLANK
    + rb"(?:\"(?:[^\"\r\n]|\r?\n[ \t])*\"?|[^;,&>\s]*)",
    re.IGNORECASE,
)
_HINTS = (b"network-info", b"network-id", b"geo", b"charging-info", b"ggsn", b"pdp-info", b"pdngw", b"eps-info")


def hinted(squeezed_octets: bytes) -> bool:
    return any(each in squeezed_octets for each in _HINTS)


def of_header(octets: bytes) -> bytes:
    """Header lines without the values that tell a place."""
    return _URI.sub(rb"\1", _PARAMETER.sub(rb"\1=-", octets))


def in_body(kind: bytes, octets: bytes) -> bool:
    """Whether a body, or a line of one, tells a place; NUL is what UTF-16 puts between letters."""
    return bool(_BODY.search(octets.replace(b"\0", b"")) or _BODY.search(kind))
