"""The alternatives of IRIContents, CCContents and HI1-Operation that an examination goes into.

Where records are built and read their TLVs pass through as they are: each has a module of its own.
"""

from __future__ import annotations

from typing import Any, Final

from imswire.hi.eps import EPS_IRI
from imswire.hi.hi1 import HI1_OPERATION
from imswire.hi.ipmm import IPMM_CC, IPMM_IRI
from imswire.hi.numbers import CcContents, IriContents
from imswire.hi.schema import Choice, must
from imswire.hi.ts33128 import CONTAINED_CC, CONTAINED_IRI
from imswire.hi.voip import VOIP_CC

__all__ = ["CC_CONTENTS", "HI1_OPERATION", "IRI_CONTENTS"]


def _tagged(tag: int, inner: Any) -> tuple[int, Any]:
    return tag, inner


IRI_CONTENTS: Final = Choice(
    (
        must(IriContents.IPMM, "iPMMIRI", "", IPMM_IRI),
        must(IriContents.EPS, "ePSIRI", "", EPS_IRI),
        must(IriContents.TS33128, "threeGPP33128DefinedIRI", "", CONTAINED_IRI),
    ),
    lambda value: value,
    _tagged,
    _tagged,
)
CC_CONTENTS: Final = Choice(
    (
        must(CcContents.IPMM, "iPMMCC", "", IPMM_CC),
        must(CcContents.VOIP_CC_PDU, "voipCC-CC-PDU", "", VOIP_CC),
        must(CcContents.TS33128, "threeGPP33128DefinedCC", "", CONTAINED_CC),
    ),
    lambda value: value,
    _tagged,
    _tagged,
)
