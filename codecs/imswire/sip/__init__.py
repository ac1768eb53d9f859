"""SIP (RFC 3261): messages that keep their octets, typed views of headers and URIs, framing on streams."""

from imswire.sip.errors import SipError
from imswire.sip.framing import StreamFramer
from imswire.sip.grammar import TOKEN
from imswire.sip.headers import CSeq, NameAddr, Via, parse_cseq, parse_name_addr, parse_via
from imswire.sip.message import SipMessage, list_values, looks_like_sip, parse
from imswire.sip.uri import OtherUri, SipUri, TelUri, UrnUri, identities, parse_uri

__all__ = [
    "CSeq",
    "NameAddr",
    "OtherUri",
    "SipError",
    "SipMessage",
    "SipUri",
    "TOKEN",
    "StreamFramer",
    "TelUri",
    "UrnUri",
    "Via",
    "identities",
    "list_values",
    "looks_like_sip",
    "parse",
    "parse_cseq",
    "parse_name_addr",
    "parse_uri",
    "parse_via",
]
