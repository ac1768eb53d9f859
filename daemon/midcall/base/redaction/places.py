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
_BODY = (
    b"geopriv",
    b"pidf",
    b"held+xml",
    b"rcspushlocation",
    b"location-info",
    b"emergencycalldata",
    b"ecall.msd",
    b"<gml:",
    b"opengis.net/gml",
    b"civicaddr",
    b"geo+json",
    b"gpx+xml",
)
# The same where only what is written out counts, not what somebody says to accept or to be able to do.
_WRITTEN_OUT = (b"geopriv", b"<location-info", b"mcpttlocationinfo", b"rcs:geolocation", b"<gml:", b"opengis.net/gml")
_POSITION = re.compile(rb"(?:latitude|coordinates?)[\"']?[:=>][\"'\[]*[-+]?[0-9]")
_GEO = re.compile(rb"(?<![a-z0-9])geo:[-+0-9]")
_URI = re.compile(rb"\b(geo:)[ \t]*[-+0-9][^>\s\"]*", re.IGNORECASE)
# Access network charging information (TS 24.229 7.2A.5) names gateways and bearers; a URI may carry headers.
_BLANK = rb"(?:[ \t]|\r?\n[ \t])*"
_PARAMETERS = (
    rb"\b(access-network-charging-info|ggsn|pdp-info|pdngw|eps-info|p-access-network-info|p-visited-network-id"
    rb"|cellular-network-info|geolocation(?:-routing|-error)?"
    # access-info of RFC 7315 5.4, wherever it stands.
    rb"|cgi-3gpp|utran-cell-id-3gpp|utran-sai-3gpp|ci-3gpp2(?:-femto)?|(?:i-wlan|dvb-rcs2)-node-id"
    rb"|(?:dsl|eth|fiber|gstn)-location)"
)
_PARAMETER = re.compile(
    _PARAMETERS + _BLANK + rb"=" + _BLANK + rb"(?:\"(?:[^\"\r\n]|\r?\n[ \t])*\"?)?[^;,&>\s]*",
    re.IGNORECASE,
)
# The same in one whose blanks are gone, and that has a value.
_PARAMETER_SQUEEZED = re.compile(_PARAMETERS + rb"=(?!-(?:[;,&>]|\Z))")
_INFO = (b"charging-info", b"pdp-info", b"eps-info")


def hinted(squeezed_octets: bytes) -> bool:
    """Whether a closer look at lines may find a place: each name above has in it what is sought here.

    Most messages are asked and few have any, so that what is alike is ruled out by one search.
    """
    return (
        b"geo" in squeezed_octets
        or b"network-i" in squeezed_octets
        or b"location" in squeezed_octets
        or b"-3gpp" in squeezed_octets
        or b"node-id" in squeezed_octets
        or b"gml" in squeezed_octets
        or b"ggsn" in squeezed_octets
        or b"pdngw" in squeezed_octets
        or (b"-info" in squeezed_octets and any(each in squeezed_octets for each in _INFO))
    )


def of_header(octets: bytes) -> bytes:
    """Header lines without the values that tell a place."""
    return _URI.sub(rb"\1", _PARAMETER.sub(rb"\1=-", octets))


def in_body(squeezed_octets: bytes) -> bool:
    """Whether a body, a line of one, or a Content-Type tells a place."""
    if any(each in squeezed_octets for each in _BODY) or _geo(squeezed_octets):
        return True
    if b"latitude" not in squeezed_octets and b"coordinate" not in squeezed_octets:
        return False
    return _POSITION.search(squeezed_octets) is not None


def in_body_unhinted(squeezed_octets: bytes) -> bool:
    """Whether one may where nothing is hinted: by a form in which no hint is."""
    return (
        b"pidf" in squeezed_octets
        or b"latitude" in squeezed_octets
        or b"coordinate" in squeezed_octets
        or b"gpx+xml" in squeezed_octets
        or b"held+xml" in squeezed_octets
        or b"civicaddr" in squeezed_octets
        or b"ecall.msd" in squeezed_octets
        or b"emergencycalldata" in squeezed_octets
    )


def written_out(squeezed_octets: bytes) -> bool:
    """Whether a place stands where none belongs: in a header, between parts, in what base64 gives."""
    return any(each in squeezed_octets for each in _WRITTEN_OUT) or _geo(squeezed_octets)


def parameter(squeezed_octets: bytes) -> bool:
    """Whether a header has a value that tells a place under a name that is torn, by blanks or by the end of a line."""
    return _PARAMETER_SQUEEZED.search(squeezed_octets) is not None


def in_parts(squeezed_head: bytes) -> bool:
    """Whether a head says that a body or a part tells a place, whatever type that has itself.

    By an info package (RFC 8147 9), or by reference to the part (RFC 6442 4.1, RFC 7852 6).
    """
    if b"emergencycalldata" in squeezed_head and (b"info-package:" in squeezed_head or b"cid:" in squeezed_head):
        return True
    return b"geolocation:" in squeezed_head and b"cid:" in squeezed_head


def _geo(squeezed_octets: bytes) -> bool:
    return b"geo:" in squeezed_octets and _GEO.search(squeezed_octets) is not None
