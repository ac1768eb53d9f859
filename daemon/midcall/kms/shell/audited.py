"""What a KMS does with keys, told to the audit: before it gives them, or they are not given.

Without an audit that can be written keys are given under warrants alone under which they were given before, within the
grace: calls that are intercepted go on, and nothing new is opened.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from midcall.base.audit_link import Act, AuditClient, Intent, Kind, NotAudited
from midcall.base.bounded import BoundedTable
from midcall.base.warrant import TrustList
from midcall.kms.authority import Granted

WARRANTS = 100_000


class KeyAudit:
    """``client``: None where nothing is audited."""

    def __init__(self, client: AuditClient | None) -> None:
        self._client = client
        self._given: BoundedTable[str, bool] = BoundedTable("kms.audited", WARRANTS)

    async def before(self, xid: str, granted: Granted) -> Intent | None:
        """Keys are about to be given for a task. NotAudited."""
        client = self._client
        if client is None:
            return None
        held = client.digest(Kind.TASK, xid)
        digest = granted.digest
        warrant = client.digest(Kind.WARRANT, granted.warrant) if digest else None
        try:
            intent = await client.intent(Act.KEYS_GIVE, held, warrant=warrant)
        except NotAudited:
            if not digest or digest not in self._given or client.overdue:
                raise
            return client.begin(Act.KEYS_GIVE, held, warrant=warrant)
        if digest:
            self._given.put(digest, True)
        return intent

    def refused(self, xid: str | None, code: int, caller: str | None = None) -> None:
        """Nothing was given; ``code``: the status of the answer; ``caller``: the element that asked, when it is one."""
        client = self._client
        if client is not None:
            held = None if xid is None else client.digest(Kind.TASK, xid)
            actor = None if caller is None else client.digest(Kind.ELEMENT, caller)
            client.refused(Act.KEYS_GIVE, held, actor=actor, code=code)

    def managed(self, act: Act = Act.KEYS_MANAGE) -> None:
        """Keys have changed: those of tickets, or those of subscribers."""
        if self._client is not None:
            self._client.event(act)

    def configured(self, act: Act, settings: Struct) -> None:
        """By which configuration it works."""
        if self._client is not None:
            self._client.event(act, self._client.digest(Kind.FILE, msgspec.json.encode(settings)))

    def trusted(self, act: Act, trust: TrustList) -> None:
        """By which trust list it verifies."""
        if self._client is not None:
            self._client.event(act, self._client.digest(Kind.FILE, trust.digest))

    @property
    def answers(self) -> bool:
        """Whether there is none, or it could be written at the last look."""
        return self._client is None or self._client.answers

    async def start(self) -> None:
        if self._client is not None:
            await self._client.start()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
