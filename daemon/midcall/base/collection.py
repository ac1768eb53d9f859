"""What a connection leaves behind holds itself: it is collected soon after its end, and not some time."""

from __future__ import annotations

import asyncio
import gc

_SOON_SECONDS = 0.1
_YOUNG = 1


class Collection:
    """Collects young garbage a moment after it was asked to, once for all who ask meanwhile."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def soon(self, seconds: float = _SOON_SECONDS) -> None:
        """From within a running loop."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._collect)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _collect(self) -> None:
        self._timer = None
        gc.collect(_YOUNG)
