"""Point of interception: remembers dialogs and their ticket exchanges, reports those under a task."""

from midcall.poi.core import PointOfInterception
from midcall.poi.limits import MATCHING_ALL, MATCHING_REPLAY, PoiLimits

__all__ = ["MATCHING_ALL", "MATCHING_REPLAY", "PoiLimits", "PointOfInterception"]
