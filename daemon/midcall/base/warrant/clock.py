"""Whether an element may believe its clock: wall time has to run as the monotonic count does."""

from __future__ import annotations

from midcall.events import Instant

TOLERANCE = 1_000_000_000
"""ns. A slewed clock gains half a millisecond a second at most, and is followed; a step is not."""
SETTLED = 60_000_000_000
"""ns for which a wall clock that has jumped has to run again as if it had not, before it is believed."""
SLEW = 1_000
"""One part in so many that a disciplined clock may differ from the monotonic count (500 ppm, and as much again)."""


class ClockGuard:
    """Sees the moments that an element acts at, and says when wall time has jumped between them.

    A jump stays until an operator, who has looked at the clock, calls ``trust``; or until wall time was back for a
    while where the monotonic count, from before the jump, says that it is: then nothing was won by it.
    """

    __slots__ = ("_anchor", "_back", "_jumped", "_last", "_tolerance")

    def __init__(self, now: Instant, tolerance: int = TOLERANCE) -> None:
        self._tolerance = tolerance
        self.trust(now)

    def trust(self, now: Instant) -> None:
        """The clock is right now."""
        self._anchor = self._last = now
        self._jumped = False
        self._back: int | None = None

    def steady(self, now: Instant) -> bool:
        """Whether no step of the wall clock, nor of the monotonic count backwards, was seen up to ``now``."""
        passed = now.mono - self._anchor.mono
        drift = now.wall - self._anchor.wall - passed
        if now.mono < self._last.mono or abs(drift) > self._tolerance + passed // SLEW:
            self._jumped, self._back = True, None
        elif self._jumped:
            self._return(now, drift)
        if not self._jumped:
            self._last = now
            if passed > self._tolerance * SLEW:
                # A slow drift must not add up to room for a step.
                self._anchor = now
        return not self._jumped

    def _return(self, now: Instant, drift: int) -> None:
        """Wall time is where it would be, as far as slewing may explain; that, however long it took, proves nothing."""
        if abs(drift) > 2 * self._tolerance:
            self._back = None
        elif self._back is None:
            self._back = now.mono
        elif now.mono - self._back >= SETTLED:
            self.trust(now)
