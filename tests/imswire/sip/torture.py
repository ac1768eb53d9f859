"""The torture messages of RFC 4475 and RFC 5118, and what a proxy does with each."""

from __future__ import annotations

import json
from pathlib import Path

from imswire.sip.verdict import Action, Verdict

TORTURE = Path(__file__).parents[2] / "data" / "torture"

# Name -> section and class in the RFC, and what becomes of it as a datagram and on a stream: "forward", "drop", or
# the status that answers it; on a stream also "wait" (its end is yet to come) and "close" (nothing more can be read).
VERDICTS: dict[str, dict[str, str]] = json.loads((TORTURE / "verdicts.json").read_text())


def named(verdict: Verdict) -> str:
    """A verdict as the table spells it."""
    return str(verdict.status) if verdict.action is Action.REJECT else verdict.action.value
