"""Who asks a KMS: by the key that is shared with them, or by a certificate (RFC 6043 4.2.1, 4.2.3)."""

from __future__ import annotations

from collections.abc import Iterator

from imswire import mikey, sip
from imswire.mikey import certificates, exchange, exchange_pk
from imswire.mikey import values as v
from midcall.kms.identities import forms, text
from midcall.kms.store import KmsStore, PeerKms, Subscriber
from midcall.kms.values import Asker, KmsRefusal


def nobody() -> KmsRefusal:
    return KmsRefusal("the message does not say who asks", mikey.ErrorNo.INVALID_ID)


def certified(store: KmsStore, kms: v.Idr, message: mikey.MikeyMessage, who: v.Idr, now: int) -> exchange.Asked:
    """Who asks by a certificate that names the identity of the message."""
    if store.public_key is None:
        raise KmsRefusal("this KMS has no certificate of its own", mikey.ErrorNo.UNSUPPORTED_MESSAGE)
    signed = exchange_pk.check_asked(message, store.public_key, kms.data, now)
    named = {form for uri in certificates.uris(signed.certificate) for form in sip.identities(uri)}
    if not named & forms(who):
        raise KmsRefusal("the certificate is not that of the identity", mikey.ErrorNo.INVALID_CERT)
    return signed.asked


def proved(
    store: KmsStore, kms: v.Idr, message: mikey.MikeyMessage, who: v.Idr | None, psk: bytes
) -> tuple[exchange.Asked, v.Idr]:
    """Who asks; one whom the message does not name (RFC 6043 4.2.1.2) is known by the key, and the MAC says as whom."""
    if who is not None:
        return exchange.check_asked(message, psk, kms.data), who
    refused: Exception = nobody()
    for each in _owners(store, message):
        try:
            return exchange.check_asked(message, psk, kms.data, each.data), each
        except mikey.MikeyError as error:
            refused = error
    raise refused


def _owners(store: KmsStore, message: mikey.MikeyMessage) -> Iterator[v.Idr]:
    """Identities of the subscriber whose key a message names: first that which it wishes a ticket for."""
    name = message.identity(mikey.IdRole.PSK)
    subscriber = None if name is None else store.subscriber(name.data)
    if subscriber is None:
        return
    wish = message.first(v.TicketPolicy)
    initiator = None if wish is None else mikey.PolicyData.read(wish).initiator
    if initiator is not None and _is(subscriber, initiator):
        yield initiator
    role = mikey.IdRole.RESPONDER if wish is None else mikey.IdRole.INITIATOR
    yield from (exchange.uri(role, each) for each in subscriber.identities)


def shared(store: KmsStore, message: mikey.MikeyMessage, who: v.Idr | None) -> tuple[bytes, Asker, PeerKms | None]:
    """The key shared with who asks, and what kind of party that is. It is IDRpsk's, or of the identity without it."""
    psk_id = message.identity(mikey.IdRole.PSK)
    name = b"" if psk_id is None else psk_id.data
    node, subscriber, peer = store.node(name), store.subscriber(name), store.peer(name)
    if who is None:
        if subscriber is None or not subscriber.psk:
            raise nobody()
        return subscriber.psk, Asker.USER, None
    if psk_id is None:
        subscriber = store.named(text(who))
    if node is not None:
        if text(who) != node.identity:
            raise KmsRefusal("the identity is not the node's", mikey.ErrorNo.INVALID_ID)
        return node.psk, Asker.NODE, None
    if peer is not None:
        # It asks for one of its users, and has checked who that is (RFC 6043 8).
        return peer.psk, Asker.PEER, peer
    if subscriber is None or not subscriber.psk:
        raise KmsRefusal("who asks is not known", mikey.ErrorNo.AUTH_FAILURE)
    if not _is(subscriber, who):
        raise KmsRefusal("the identity is not the subscriber's", mikey.ErrorNo.INVALID_ID)
    return subscriber.psk, Asker.USER, None


def _is(subscriber: Subscriber, who: v.Idr) -> bool:
    named = forms(who)
    return any(named & set(sip.identities(name)) for name in subscriber.identities)
