"""The one place where acts of the ADMF are told to the audit: before they are done, and how they ended.

What opens something is not done without it; what ends something is, and is told later. Without a configured audit
acts stand in the log of the LI plane alone, which is for laboratories.
"""

from __future__ import annotations

import logging
from typing import Protocol

import msgspec
from msgspec import Struct

from midcall.admf.roles import Command, Person
from midcall.base.audit_link import Act, AuditClient, Intent, Kind, NotAudited
from midcall.base.https import MARK_DIGITS
from midcall.base.warrant import TrustList

li_log = logging.getLogger("midcall.li.admf")
ACTS = {
    Command.DRAFT: Act.WARRANT_DRAFT,
    Command.APPROVE: Act.WARRANT_APPROVE,
    Command.ACTIVATE: Act.WARRANT_ACTIVATE,
    Command.REVOKE: Act.WARRANT_REVOKE,
    Command.LIST: Act.WARRANT_READ,
    Command.SHOW: Act.WARRANT_READ,
    Command.ALARMS: Act.LI_STATUS,
    Command.HEALTH: Act.LI_STATUS,
    Command.CLOCK: Act.CLOCK_TRUST,
}
ENDS = frozenset({Command.REVOKE})
"""What is done whether the audit can be written or not."""
TELLS = frozenset({Command.ALARMS, Command.HEALTH})
"""What tells, without a target in it, that something is wrong: also when it is the audit."""


class Announced(Protocol):
    """An act that was announced; one of these is to be called."""

    def done(self) -> None: ...

    def refused(self) -> None: ...

    def failed(self) -> None: ...


class Acts:
    """``client`` None: there is no audit."""

    def __init__(self, client: AuditClient | None) -> None:
        self._client = client

    @property
    def writable(self) -> bool:
        return self._client is None or self._client.writable

    @property
    def remarks(self) -> int:
        """Entries that the audit has found lately, and that others do not bear out."""
        return 0 if self._client is None else self._client.remarks

    async def announce(self, command: Command, person: Person, warrant: str = "", act: Act | None = None) -> Announced:
        """``act``: what it comes to, where that is not always the same. NotAudited: it is not to be done."""
        li_log.info("%s", command, extra={"role": person.role, "warrant": warrant})
        client = self._client
        if client is None:
            return _Nobody()
        act = act or ACTS[command]
        held = client.digest(Kind.WARRANT, warrant) if warrant else None
        actor = client.digest(Kind.PERSON, person.plain)
        if command in ENDS or (command in TELLS and not client.writable):
            return client.begin(act, held, actor=actor)
        return await client.intent(act, held, actor=actor)

    def stranger(self, command: str, person: Person | None, certificate: bytes | None) -> None:
        """Somebody asked who may not: a person of another role, or who has that certificate (its SHA-256)."""
        extra = {"certificate": certificate.hex()[:MARK_DIGITS] if certificate else ""}
        asked = command if command in set(Command) else "?"
        li_log.warning("%s: refused to somebody who may not ask it", asked, extra=extra)
        client = self._client
        if client is not None:
            client.refused(Act.LI_REFUSE, actor=client.digest(Kind.PERSON, person.plain) if person else certificate)

    async def order(self, act: Act, ne: str, subject: str, *, ends: bool, warrant: str = "") -> Announced:
        """A request to an element, under which warrant where that is known; one that ``ends`` something does not wait.
        NotAudited: it is not to be sent."""
        client = self._client
        if client is None:
            return _Nobody()
        kind = Kind.DESTINATION if act.startswith("destination.") else Kind.TASK
        held, actor = client.digest(kind, subject), client.digest(Kind.ELEMENT, ne)
        under = client.digest(Kind.WARRANT, warrant) if warrant else None
        if ends:
            return client.begin(act, held, warrant=under, actor=actor)
        return await client.intent(act, held, warrant=under, actor=actor)

    def configured(self, act: Act, config: Struct) -> None:
        """Who may do what, and within which limits."""
        if self._client is not None:
            self._client.event(act, self._client.digest(Kind.FILE, msgspec.json.encode(config)))

    def trusted(self, act: Act, trust: TrustList) -> None:
        """Whose approvals count."""
        if self._client is not None:
            self._client.event(act, self._client.digest(Kind.FILE, trust.digest))

    def event(self, act: Act, subject: str, kind: Kind = Kind.WARRANT) -> None:
        """Something that came by itself: an alarm, the end of a window."""
        if self._client is not None:
            self._client.event(act, self._client.digest(kind, subject) if subject else None)


class _Nobody:
    """There is no audit."""

    def done(self) -> None:
        pass

    def refused(self) -> None:
        pass

    def failed(self) -> None:
        pass


__all__ = ["ACTS", "ENDS", "Act", "Acts", "Announced", "Intent", "NotAudited"]
