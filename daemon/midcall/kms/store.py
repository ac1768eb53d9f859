"""What a KMS knows: its own name, ticket protection keys, subscribers, and nodes that may ask on a warrant."""

from __future__ import annotations

import copy

from msgspec import Struct

from imswire import sip
from imswire.mikey.exchange_pk import KmsIdentity


class TicketProtectionKey(Struct, frozen=True):
    """A TPK and the identifier that tickets name it by; old ones stay as long as their tickets live."""

    id: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"TicketProtectionKey(id={self.id!r}, <redacted>)"


class Subscriber(Struct, frozen=True):
    """A user with all public identities of the subscription, and the key shared with the KMS."""

    identities: tuple[str, ...]
    psk_id: bytes = b""
    psk: bytes = b""

    @property
    def forms(self) -> frozenset[str]:
        """Canonical forms of all identities."""
        return frozenset(form for name in self.identities for form in sip.identities(name))

    def __repr__(self) -> str:
        return f"Subscriber(psk_id={self.psk_id!r}, <redacted>)"


class AuthorisedNode(Struct, frozen=True):
    """A mediation function that resolves tickets as a node of its own (RFC 6043 12.1)."""

    identity: str
    psk_id: bytes
    psk: bytes

    def __repr__(self) -> str:
        return f"AuthorisedNode(identity={self.identity!r}, <redacted>)"


class PeerKms(Struct, frozen=True):
    """Another KMS, with the key that both share: it asks for its users, and is asked for its tickets."""

    identity: str
    psk_id: bytes
    psk: bytes

    def __repr__(self) -> str:
        return f"PeerKms(identity={self.identity!r}, <redacted>)"


class KmsStore:
    """Look-ups over the above; ``tpks`` are tried newest first when a ticket names none."""

    def __init__(
        self,
        identity: str,
        tpks: tuple[TicketProtectionKey, ...],
        subscribers: tuple[Subscriber, ...] = (),
        nodes: tuple[AuthorisedNode, ...] = (),
        peers: tuple[PeerKms, ...] = (),
        public_key: KmsIdentity | None = None,
    ) -> None:
        self.identity = identity
        self.tpks = tpks
        self.public_key = public_key
        self._peers = {each.psk_id: each for each in peers}
        self._peer_names = {each.identity: each for each in peers}
        self._by_tpk_id = {tpk.id: tpk for tpk in tpks}
        self._nodes = {each.psk_id: each for each in nodes}
        self._clear()
        for each in subscribers:
            self.add(each)

    def _clear(self) -> None:
        self.subscribers: list[Subscriber] = []
        self._by_psk_id: dict[bytes, Subscriber] = {}
        self._by_identity: dict[str, Subscriber] = {}

    def without_subscribers(self) -> KmsStore:
        """The same KMS before it knows any; who makes it adds them."""
        empty = copy.copy(self)
        empty._clear()
        return empty

    def add(self, subscriber: Subscriber) -> None:
        """One more, before anybody is answered."""
        self.subscribers.append(subscriber)
        if subscriber.psk_id:
            self._by_psk_id[subscriber.psk_id] = subscriber
        self._by_identity |= dict.fromkeys(subscriber.forms, subscriber)

    def with_tpks(self, tpks: tuple[TicketProtectionKey, ...]) -> KmsStore:
        """The same KMS after its ticket protection keys have changed."""
        changed = copy.copy(self)
        changed.tpks = tpks
        changed._by_tpk_id = {tpk.id: tpk for tpk in tpks}
        return changed

    def knows(self, identity: str) -> bool:
        """Whether a subscriber has this identity."""
        return any(form in self._by_identity for form in sip.identities(identity))

    def tpk(self, tpk_id: bytes) -> TicketProtectionKey | None:
        return self._by_tpk_id.get(tpk_id)

    def subscriber(self, psk_id: bytes) -> Subscriber | None:
        return self._by_psk_id.get(psk_id)

    def named(self, identity: str) -> Subscriber | None:
        """Whose identity this is."""
        return next((found for form in sip.identities(identity) if (found := self._by_identity.get(form))), None)

    def node(self, psk_id: bytes) -> AuthorisedNode | None:
        return self._nodes.get(psk_id)

    def peer(self, psk_id: bytes) -> PeerKms | None:
        """The KMS that a key is shared with."""
        return self._peers.get(psk_id)

    def peer_named(self, identity: str) -> PeerKms | None:
        return self._peer_names.get(identity)

    def same_user(self, identity: str) -> frozenset[str]:
        """Canonical forms of every identity of the user that ``identity`` names; without a record its own."""
        forms = set(sip.identities(identity))
        for form in tuple(forms):
            known = self._by_identity.get(form)
            forms |= frozenset() if known is None else known.forms
        return frozenset(forms)
