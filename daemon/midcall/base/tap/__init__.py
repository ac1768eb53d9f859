"""Packets from the wire: rings of AF_PACKET behind eBPF filters, opened with capabilities, read without."""

from midcall.base.tap.errors import MapFull, NotPermitted, ProgramRefused, TapError
from midcall.base.tap.mirror import Mirror, MirrorCounters, MirrorTap
from midcall.base.tap.pace import PacedReader
from midcall.base.tap.ring import Frame, Geometry, Ring, RingCounters
from midcall.base.tap.rings import Rings, Source
from midcall.base.tap.taps import Tap, TapCounters, TapPort

__all__ = [
    "Frame",
    "Geometry",
    "MapFull",
    "Mirror",
    "MirrorCounters",
    "MirrorTap",
    "NotPermitted",
    "PacedReader",
    "ProgramRefused",
    "Ring",
    "RingCounters",
    "Rings",
    "Source",
    "Tap",
    "TapCounters",
    "TapError",
    "TapPort",
]
