"""What inspect shows, as plain data: MIKEY messages field by field, and the dialogs of a capture as ladders."""

from midcall.inspection.capture import capture_dialogs
from midcall.inspection.message import mikey_message, missing

__all__ = ["capture_dialogs", "mikey_message", "missing"]
