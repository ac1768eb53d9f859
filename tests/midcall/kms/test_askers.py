"""Who asks: messages that leave out what RFC 6043 lets them, of identities and of the key's name."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import mikey
from imswire.mikey import IdRole, exchange
from imswire.mikey import values as v
from imswire.mikey.protect import covered
from midcall.kms import Kms, KmsRefusal, KmsStore, Subscriber, TicketProtectionKey
from midcall.ue import lab
from tests.midcall.kms.test_core import policy, request
from tests.scenarios.world import BEGIN, TPK_ID, World

ALICE, TEL = "sip:alice@example.com", "tel:+15550001"
PSK = b"p" * 16


def kms(psk: bytes = PSK) -> Kms:
    store = KmsStore(
        lab.KMS_IDENTITY, (TicketProtectionKey(TPK_ID, b"t" * 16),), (Subscriber((ALICE, TEL), b"a-1", psk),)
    )
    return Kms(store)


def bare(world: World, *without: int, who: str = ALICE, psk: bytes = PSK, wished: str | None = None) -> bytes:
    """A REQUEST_INIT without the identities of some roles; its MAC covers those of initiator and KMS all the same."""
    initiator = exchange.uri(IdRole.INITIATOR, who)
    wish = policy(world)
    data = structs.replace(
        mikey.PolicyData.read(wish), initiator=None if wished is None else exchange.uri(IdRole.INITIATOR, wished)
    )
    wish = structs.replace(wish, tp_data=data.write())
    whole = mikey.parse(request(world, psk=psk, psk_id=b"a-1", initiator=initiator, policy=wish))
    values = [each.value for each in whole.payloads]
    payloads = [each for each in values if not (isinstance(each, v.Idr) and each.role in without)]
    octets = mikey.build(whole.header, payloads)
    auth = exchange.kms_protection(whole, psk, 1)
    mac = auth.mac(world.suite.mac_alg, covered(mikey.parse(octets)) + initiator.data + lab.KMS_IDENTITY.encode())
    return octets[: -len(mac)] + mac


@pytest.mark.parametrize(
    "without",
    [(), (IdRole.INITIATOR,), (IdRole.KMS,), (IdRole.PSK,), (IdRole.INITIATOR, IdRole.KMS), (IdRole.KMS, IdRole.PSK)],
)
@pytest.mark.parametrize("who", [ALICE, TEL])
def test_what_may_be_left_out(without, who):
    world = World()
    asked = bare(world, *without, who=who)
    answer = exchange.open_answer(kms().answer(asked, BEGIN, world.draw), asked, PSK)
    assert mikey.PolicyData.read(answer.ticket.policy).initiator.data.decode() == who
    assert kms().read(asked, BEGIN).account == b"a-1", "one subscriber is counted once"


def test_an_identity_in_the_wish_stands_for_one_that_is_left_out():
    world, spelt = World(), "sip:alice@EXAMPLE.com"
    asked = bare(world, IdRole.INITIATOR, who=spelt, wished=spelt)
    answer = exchange.open_answer(kms().answer(asked, BEGIN, world.draw), asked, PSK)
    assert mikey.PolicyData.read(answer.ticket.policy).initiator.data.decode() == spelt


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"without": (IdRole.INITIATOR, IdRole.PSK)}, "does not say who asks"),
        (
            {"without": (IdRole.INITIATOR,), "who": "sip:bob@example.com", "wished": "sip:bob@example.com"},
            "MAC is wrong",
        ),
        ({"without": (IdRole.INITIATOR,), "psk": b"x" * 16}, "MAC is wrong"),
        ({"without": (IdRole.PSK,), "psk": b"x" * 16}, "MAC is wrong"),
        ({"without": (IdRole.PSK,), "who": "sip:bob@example.com"}, "not known"),
    ],
)
def test_who_does_not_prove_to_be_anybody(options, reason):
    world = World()
    asked = bare(world, *options.pop("without"), **options)
    with pytest.raises(KmsRefusal, match=reason):
        kms().answer(asked, BEGIN, world.draw)


@pytest.mark.parametrize("without", [IdRole.PSK, IdRole.INITIATOR, IdRole.KMS])
def test_a_subscriber_without_a_key_proves_nothing(without):
    world = World()
    with pytest.raises(KmsRefusal, match="not known|does not say"):
        kms(b"").answer(bare(world, without, psk=b""), BEGIN, world.draw)
