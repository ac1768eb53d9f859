"""The voices of a dialog as WAV files: caller, callee, and a stereo mix."""

from __future__ import annotations

from pathlib import Path

from midcall.base.call_audio import CallAudio
from midcall.events import Side


class DialogAudio(CallAudio):
    """A call whose directions are its ``Side`` values: caller left, callee right in the mix."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name, (Side.CALLER.name.lower(), Side.CALLEE.name.lower()))
