"""Handover: records are numbered, encoded, spooled and delivered to the LEMF (TS 102 232-1)."""

from midcall.handover.assembler import Assembler
from midcall.handover.values import Completeness, ContextKey, Kind, Lost, Numbered, Run

__all__ = ["Assembler", "Completeness", "ContextKey", "Kind", "Lost", "Numbered", "Run"]
