"""LEMF: the receiving end, which proves what it was given (TS 102 232-1); for labs and tests."""

from midcall.lemf.batch import Batch
from midcall.lemf.core import Lemf, Rules
from midcall.lemf.findings import Finding, Rule
from midcall.lemf.link import Link

__all__ = ["Batch", "Finding", "Lemf", "Link", "Rule", "Rules"]
