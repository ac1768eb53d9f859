"""The KMS in the PK variants, and KMSs that ask each other."""

from __future__ import annotations

import pytest

from imswire import mikey
from imswire.mikey import exchange, exchange_pk
from imswire.mikey import values as v
from imswire.mikey.exchange import SUITE_128
from midcall.kms import Asker, Forwarded, Kms, KmsRefusal, KmsStore, PeerKms, Subscriber, TicketProtectionKey
from midcall.ue import lab
from tests.imswire.mikey.pki import pki

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
TPK = TicketProtectionKey(b"tpk-1", b"T" * 16)
INITIATOR, RESPONDER = exchange.uri(mikey.IdRole.INITIATOR, ALICE), exchange.uri(mikey.IdRole.RESPONDER, BOB)
NAME = exchange.uri(mikey.IdRole.KMS, lab.KMS_IDENTITY)


@pytest.fixture
def kms() -> Kms:
    return Kms(KmsStore(lab.KMS_IDENTITY, (TPK,), public_key=pki().kms()))


def common(seed: str) -> dict:
    draw = lab.seeded(seed)
    return {"csb_id": 5, "timestamp": v.Timestamp.ntp_utc(pki().now), "rand": draw(16), "kms": NAME}


def wish(flags: str = "DEFGHINO") -> v.TicketPolicy:
    data = mikey.PolicyData(responders=(RESPONDER,))
    return v.TicketPolicy(1, 1, 1, 0, v.Flags.of(flags), data.write())


def request(name: str = "alice", **options) -> bytes:
    signer, kms = pki().signer(name, "inter"), pki().certificate("kms")
    arguments = common("request") | {"initiator": INITIATOR, "policy": wish()} | options
    return exchange_pk.request_init(SUITE_128, signer, kms, b"E" * 16, **arguments)


def resolve(ticket: v.Ticket, name: str = "bob", responder: v.Idr = RESPONDER) -> bytes:
    signer, kms = pki().signer(name, "inter"), pki().certificate("kms")
    arguments = common("resolve") | {"responder": responder, "ticket": ticket}
    return exchange_pk.resolve_init(SUITE_128, signer, kms, b"E" * 16, **arguments)


def issued(kms: Kms, flags: str = "DEFGHNO") -> exchange.Answered:
    asked = request(policy=wish(flags))
    return exchange.open_answer(kms.answer(asked, pki().now, lab.seeded("kms")), asked, b"E" * 16)


def test_request_and_resolve(kms):
    granted = issued(kms)
    asked = resolve(granted.ticket)
    opened = exchange.open_answer(kms.answer(asked, pki().now, lab.seeded("kms 2")), asked, b"E" * 16)
    assert opened.mpki == granted.mpki and opened.keys == granted.keys


def test_a_message_counts_once(kms):
    asked = request()
    kms.answer(asked, pki().now, lab.seeded("kms"))
    with pytest.raises(KmsRefusal, match="seen before"):
        kms.answer(asked, pki().now, lab.seeded("kms"))


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (lambda: request("bob"), "the certificate is not that of the identity"),
        (lambda: request(timestamp=v.Timestamp.ntp_utc(0)), "timestamp"),
        (lambda: request()[:-1] + b"\0", "signature"),
    ],
)
def test_who_is_refused(kms, octets, reason):
    with pytest.raises(KmsRefusal, match=reason):
        kms.answer(octets(), pki().now, lab.seeded("kms"))


def test_a_kms_without_certificate():
    with pytest.raises(KmsRefusal, match="no certificate of its own"):
        Kms(KmsStore(lab.KMS_IDENTITY, (TPK,))).answer(request(), pki().now, lab.seeded("kms"))


def test_another_user_may_not_resolve(kms):
    ticket = issued(kms).ticket
    with pytest.raises(KmsRefusal, match="does not name this responder"):
        other = exchange.uri(mikey.IdRole.RESPONDER, ALICE)
        kms.answer(resolve(ticket, "alice", other), pki().now, lab.seeded("kms"))


# KMS R of the responder asks KMS I of the initiator


OTHER = "kms.other.example"
SHARED = b"S" * 16


@pytest.fixture
def other() -> Kms:
    bob = Subscriber((BOB,), b"psk-bob", b"P" * 16)
    peers = (PeerKms(lab.KMS_IDENTITY, b"psk-kms", SHARED),)
    return Kms(KmsStore(OTHER, (TicketProtectionKey(b"tpk-other", b"O" * 16),), (bob,), peers=peers))


@pytest.fixture
def issuer() -> Kms:
    peers = (PeerKms(OTHER, b"psk-kms", SHARED),)
    return Kms(KmsStore(lab.KMS_IDENTITY, (TPK,), peers=peers, public_key=pki().kms()))


def ask_own(ticket: v.Ticket, psk: bytes = b"P" * 16, name: str = BOB) -> bytes:
    arguments = common("own") | {"kms": exchange.uri(mikey.IdRole.KMS, OTHER), "psk_id": b"psk-bob"}
    responder = exchange.uri(mikey.IdRole.RESPONDER, name)
    return exchange.resolve_init(SUITE_128, psk, responder=responder, ticket=ticket, **arguments)


def forward(kms: Kms, octets: bytes) -> Forwarded | None:
    question = kms.read(octets, pki().now)
    peer = kms.issuer(question)
    return None if peer is None else kms.forward(question, peer, pki().now, lab.seeded("R"))


@pytest.mark.parametrize("flags", ["DEFGHNO", "DEFGHNOI"])
def test_kms_to_kms(issuer, other, flags):
    arguments = {"csb_id": 9, "timestamp": v.Timestamp.ntp_utc(pki().now), "rand": b"r" * 16}
    granted = issued(issuer, flags)
    ticket = granted.ticket
    if "I" in flags:
        offer = exchange.Offer(
            sessions=(),
            initiator=INITIATOR,
            responder=RESPONDER,
            policies=(),
            ticket=ticket,
            **arguments,
        )
        init = exchange.transfer_init(SUITE_128, granted.mpki, offer, mpkr=granted.mpkr)
        ticket = mikey.parse(init).need(v.Ticket)
    asked = ask_own(ticket)
    forwarded = forward(other, asked)
    assert forwarded is not None and forwarded.peer.identity == lab.KMS_IDENTITY
    sent = mikey.parse(forwarded.request)
    assert sent.need(v.Ticket) == ticket and sent.identity(mikey.IdRole.RESPONDER) == RESPONDER
    answer = issuer.answer(forwarded.request, pki().now, lab.seeded("I"))
    opened = exchange.open_answer(other.relay(forwarded, answer, pki().now, 0).octets, asked, b"P" * 16)
    assert opened.mpki == granted.mpki
    if "I" in flags:
        assert opened.modifier and opened.responder == RESPONDER and opened.mpkr != granted.mpkr
    else:
        assert opened.keys == granted.keys and opened.modifier is None


def test_what_is_not_forwarded(issuer, other):
    ticket = issued(issuer).ticket
    assert forward(issuer, resolve(ticket)) is None
    assert forward(issuer, request()) is None
    with pytest.raises(KmsRefusal, match="MAC is wrong"):
        forward(other, ask_own(ticket, b"Q" * 16))
    with pytest.raises(KmsRefusal, match="not the subscriber's"):
        forward(other, ask_own(ticket, name="sip:eve@example.com"))
    lonely = Kms(KmsStore(OTHER, (), (Subscriber((BOB,), b"psk-bob", b"P" * 16),)))
    with pytest.raises(KmsRefusal, match="of another KMS"):
        forward(lonely, ask_own(ticket))


def test_an_answer_that_does_not_prove_right(issuer, other):
    forwarded = forward(other, ask_own(issued(issuer).ticket))
    assert forwarded is not None
    answer = issuer.answer(forwarded.request, pki().now, lab.seeded("I"))
    with pytest.raises(KmsRefusal, match=f"{lab.KMS_IDENTITY}: "):
        other.relay(forwarded, answer[:-1] + bytes((answer[-1] ^ 1,)), pki().now, 0)


def test_another_kms_is_no_user(issuer, other):
    forwarded = forward(other, ask_own(issued(issuer).ticket))
    assert forwarded is not None
    with pytest.raises(KmsRefusal, match="own users"):
        third = Kms(KmsStore("kms.third", (), peers=(PeerKms(lab.KMS_IDENTITY, b"psk-kms", SHARED),)))
        forward(third, forwarded.request)
    begin = {"csb_id": 5, "timestamp": v.Timestamp.ntp_utc(pki().now), "rand": b"r" * 16}
    asked = exchange.request_init(
        SUITE_128, SHARED, initiator=INITIATOR, kms=NAME, policy=wish(), psk_id=b"psk-kms", **begin
    )
    with pytest.raises(KmsRefusal, match="issued to users alone"):
        issuer.answer(asked, pki().now, lab.seeded("x"))


def test_another_kms_asks_for_its_own_users_alone(issuer, other):
    """It vouches for who asks: for a user of the asked KMS it cannot."""
    ticket = issued(issuer).ticket
    forwarded = forward(other, ask_own(ticket))
    assert forwarded is not None
    bob = Subscriber((BOB,), b"psk-bob", b"P" * 16)
    peers = (PeerKms(OTHER, b"psk-kms", SHARED),)
    own = Kms(KmsStore(lab.KMS_IDENTITY, (TPK,), (bob,), peers=peers))
    with pytest.raises(KmsRefusal, match="asks for a user of this one"):
        own.answer(forwarded.request, pki().now, lab.seeded("x"))


def test_each_door_answers_its_own_kind(issuer, other):
    forwarded = forward(other, ask_own(issued(issuer).ticket))
    assert forwarded is not None
    with pytest.raises(KmsRefusal, match="not answered here"):
        issuer.read(forwarded.request, pki().now, {Asker.USER, Asker.NODE})
    assert issuer.read(forwarded.request, pki().now, {Asker.PEER}).peer == PeerKms(OTHER, b"psk-kms", SHARED)
