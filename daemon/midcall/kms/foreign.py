"""Session keys of foreign tickets that own users resolved (TS 33.107 7A.7.3), for an interception that begins later.

A KMS cannot open another's ticket, and to ask the other again would tell it that somebody listens. Off unless it
is configured; in memory only; bounded in number and age.
"""

from __future__ import annotations

from hashlib import blake2b

from msgspec import Struct

from imswire import mikey
from imswire.mikey import exchange
from imswire.mikey import values as v
from midcall.base.bounded import BoundedTable


class _Entry(Struct, frozen=True):
    resolved: mikey.Resolved
    at: int


class ForeignKeys:
    """What other KMSs released, by ticket and by the responder and modifier that it was forked with."""

    def __init__(self, entries: int, max_age: int) -> None:
        """``max_age`` in ns of the monotonic count."""
        self._max_age = max_age
        self._table: BoundedTable[bytes, _Entry] = BoundedTable("kms.foreign_keys", entries)

    def keep(self, ticket: v.Ticket, released: exchange.Answered, mono: int) -> None:
        """Remember what was released for ``ticket``."""
        self.expire(mono)
        responder = None if released.modifier is None else released.responder
        key = _key(ticket, responder, released.modifier)
        self._table.pop(key)
        forked = released.modifier is not None
        resolved = mikey.Resolved(released.mpki, released.mpkr, released.keys, forked=forked)
        self._table.put(key, _Entry(resolved, mono))

    def find(self, messages: mikey.Exchange, mono: int) -> mikey.Resolved | None:
        """The keys of the fork that ``messages`` are of; None: not known here, or no longer."""
        self.expire(mono)
        responder = modifier = None
        if messages.flags.i and messages.response is not None:
            responder = messages.response.identity(mikey.IdRole.RESPONDER)
            modifier = messages.response.rand(mikey.RandRole.KMS)
        entry = self._table.get(_key(messages.ticket, responder, modifier))
        return None if entry is None else entry.resolved

    def expire(self, mono: int) -> None:
        """Forget what is too old."""
        while (oldest := self._table.oldest()) is not None and not 0 <= mono - oldest.at < self._max_age:
            self._table.evict()

    def __len__(self) -> int:
        return len(self._table)


def _key(ticket: v.Ticket, responder: v.Idr | None, modifier: bytes | None) -> bytes:
    """All that the keys depend on; Initiator Data belongs to one use of a ticket, not to the ticket."""
    policy = ticket.policy
    parts = (
        bytes((policy.ticket_type, policy.subtype, policy.version, policy.prf)),
        str(policy.flags).encode(),
        policy.tp_data,
        ticket.ticket_data,
        b"" if responder is None else responder.data,
        b"" if modifier is None else modifier,
    )
    return blake2b(b"".join(len(part).to_bytes(4, "big") + part for part in parts), digest_size=32).digest()
