"""X2 and X3 of TS 103 221-2: PDUs, their attributes, streams of them, and the IMS events that they carry."""

from imswire.x2x3.attributes import AdditionalXid, Attribute, Proprietary, Unreadable, Value
from imswire.x2x3.check import check
from imswire.x2x3.errors import X2X3Error
from imswire.x2x3.ims import (
    Content,
    EpsRecord,
    SipCopy,
    X2Head,
    contents,
    eps_iri,
    sip,
    start_of_interception,
    xiri,
)
from imswire.x2x3.numbers import (
    NO_XID,
    NOT_CORRELATED,
    VERSION,
    AttributeType,
    Direction,
    PayloadFormat,
    PduType,
)
from imswire.x2x3.packets import Packet, PacketReader
from imswire.x2x3.pdu import (
    MAJORS,
    Pdu,
    SequenceKey,
    acknowledgement,
    build,
    following,
    is_keepalive,
    keepalive,
    missing,
    parse,
    xid_octets,
    xid_text,
)
from imswire.x2x3.splitter import DEFAULT_LIMIT, Splitter
from imswire.x2x3.targets import read_target, target
from imswire.x2x3.template import X3Template

__all__ = [
    "AdditionalXid",
    "Attribute",
    "AttributeType",
    "Content",
    "DEFAULT_LIMIT",
    "Direction",
    "EpsRecord",
    "MAJORS",
    "NOT_CORRELATED",
    "NO_XID",
    "Packet",
    "PacketReader",
    "PayloadFormat",
    "Pdu",
    "PduType",
    "Proprietary",
    "SequenceKey",
    "SipCopy",
    "Splitter",
    "Unreadable",
    "VERSION",
    "Value",
    "X2Head",
    "X2X3Error",
    "X3Template",
    "acknowledgement",
    "build",
    "check",
    "contents",
    "eps_iri",
    "following",
    "is_keepalive",
    "keepalive",
    "missing",
    "parse",
    "read_target",
    "sip",
    "start_of_interception",
    "target",
    "xid_octets",
    "xid_text",
    "xiri",
]
