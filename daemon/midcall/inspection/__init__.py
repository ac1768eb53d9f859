"""What inspect shows, as plain data: MIKEY messages, dialogs of a capture, records of a hand-over."""

from midcall.inspection.capture import capture_dialogs
from midcall.inspection.message import mikey_message, missing
from midcall.inspection.records import Broken, Record, as_json, records

__all__ = ["Broken", "Record", "as_json", "capture_dialogs", "mikey_message", "missing", "records"]
