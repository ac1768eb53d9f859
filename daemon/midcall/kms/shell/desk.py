"""What the doors of a KMS share: its core, its clock, its randomness, and the telling of what happened."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable

from msgspec import Struct

from midcall.events import Instant
from midcall.kms.core import Kms
from midcall.kms.shell.audited import KeyAudit
from midcall.kms.values import Draw

Clock = Callable[[], Instant]

log = logging.getLogger("midcall.kms")
"""About users and peers: counts and reasons, no identities."""
li_log = logging.getLogger("midcall.li.kms")
"""About interception; to be read on the LI plane alone."""


def clock() -> Instant:
    return Instant(time.time_ns(), time.monotonic_ns())


class Disclosure(Struct, frozen=True):
    """One question on Xk and what became of it: who asked, by which authority, how it ended; no identity, no key.

    ``outcome``: a code of ``imswire.xk``, or ``keys``. ``warrant``: digest of the signed octets; empty: none.
    """

    caller: str
    outcome: str
    rule: str = ""
    transaction: str = ""
    warrant: str = ""
    keys: int = 0
    unsigned: bool = False


def tell(event: Disclosure) -> None:
    """The LI plane's log; without authority loudly."""
    level = logging.WARNING if event.unsigned or event.outcome != "keys" else logging.INFO
    li_log.log(
        level,
        "get_keys %s from %s: %s%s, %d keys%s",
        event.transaction or "-",
        event.caller or "nobody who is listed",
        event.outcome,
        f" ({event.rule})" if event.rule else "",
        event.keys,
        ", WITHOUT A WARRANT (xk.unsigned = accept)" if event.unsigned else "",
    )


class Desk:
    """Made once a service."""

    def __init__(
        self,
        kms: Kms,
        *,
        now: Clock = clock,
        draw: Draw = secrets.token_bytes,
        tell: Callable[[Disclosure], None] = tell,
        refresh: Callable[[], None] = lambda: None,
        audit: KeyAudit | None = None,
    ) -> None:
        """``refresh`` takes over what another process has written; StoreError."""
        self.audit = audit or KeyAudit(None)
        self.refresh = refresh
        self.kms = kms
        self.now = now
        self.draw = draw
        self.tell = tell
