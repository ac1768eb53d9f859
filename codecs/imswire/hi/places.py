"""Where the values that change from record to record stand in a PS-PDU with content."""

from __future__ import annotations

from typing import Final

from imswire import ber
from imswire.ber import BerError, Tlv
from imswire.hi.numbers import CcContents

# Context tags from the PS-PDU inwards; None: the only item of a SEQUENCE OF, or what an OCTET STRING contains.
Path = tuple[int | None, ...]
CIN: Final[Path] = (1, 3, 1)
SEQUENCE: Final[Path] = (1, 4)
SECONDS: Final[Path] = (1, 7, 0)
MICROSECONDS: Final[Path] = (1, 7, 1)
_CC: Path = (2, 1, None, 2)
PAYLOADS: Final[dict[int, Path]] = {
    CcContents.IPMM: (*_CC, 12, 1),
    CcContents.VOIP_CC_PDU: (*_CC, 20, 2),
    CcContents.TS33128: (*_CC, 23, None, 2, 6, 1),
}
VOIP_NUMBER: Final[Path] = (*_CC, 20, 1, 5)


# Of a PS-PDU with one IRI.
_IRI: Path = (2, 0, None)
IRI_KIND: Final[Path] = (*_IRI, 0)
IRI_CONTENTS: Final[Path] = (*_IRI, 2)

# Of a PS-PDU with an integrity check.
INTEGRITY_CHECK: Final[Path] = (2, 2, 0)

# Of the parameters of TS 33.108: a time in UTC, a SIP message, the number of one communication.
EPS_TIME: Final[Path] = (3, 1)
EPS_SIP: Final[Path] = (30,)
EPS_CORRELATION: Final[Path] = (35, 1)
EPS_VOIP: Final[tuple[Path, Path]] = (57, None, 0), (57, None, 1, 0, None)


def find(octets: bytes, path: Path) -> Tlv:
    """The TLV at the end of a path; BerError when there is none."""
    return chain(octets, path)[-1]


def chain(octets: bytes, path: Path) -> list[Tlv]:
    """All TLVs along a path, the outermost first; BerError when it leads nowhere."""
    tlv = ber.read(octets)
    along = [tlv]
    for tag in path:
        inside = ber.elements(octets, tlv._replace(constructed=True))
        if tag is None:
            if len(inside) != 1:
                raise BerError(f"{len(inside)} items where one is expected", tlv.at)
            tlv = inside[0]
        else:
            found = [each for each in inside if each.number == tag]
            if not found:
                raise BerError(f"no tag {tag}", tlv.at)
            tlv = found[0]
        along.append(tlv)
    return along
