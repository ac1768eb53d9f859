"""The KMS: who gets a ticket, who gets its keys, and what is refused; get_keys only for the targeted user."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import mikey
from imswire.mikey import exchange
from imswire.mikey import values as v
from imswire.mikey.payloads import write_chain
from midcall.df2 import keys as df2_keys
from midcall.events import Instant, Kept, KeyQuery, Side, TicketExchange
from midcall.kms import AuthorisedNode, GetKeys, Kms, KmsRefusal, KmsStore, Subscriber, TicketProtectionKey
from midcall.ue import lab
from midcall.ue.ticket import AES_CM_128_80, session
from tests.scenarios.world import BEGIN, TPK_ID, World

NODE = df2_keys.NodeIdentity("df2.example.com", b"psk-df2", b"n" * 16)


def exchange_of(world: World, flags: str = "DEFGHNO", owner: str = "alice", peer: str = "bob") -> TicketExchange:
    """A whole exchange between two users, as a POI would have kept it."""
    users = world.users
    held = world.held(flags, owner, peer)
    blocks = (session(1, 0xA, b"\x01"), session(2, None, b""))
    offered = users[owner].offer(held, users[peer].uri, BEGIN, blocks, AES_CM_128_80)
    answered = users[peer].accept(world.ask, offered.init, BEGIN, (blocks[0], session(2, 0xB, b"\x01")))
    response = None if answered.response is None else kept(answered.response)
    return TicketExchange(None, Side.CALLER, kept(offered.init), response)


def kept(octets: bytes, at: int = BEGIN) -> Kept:
    return Kept(octets, Instant.of_capture(at), 1)


def with_node(world: World) -> Kms:
    store = KmsStore(
        lab.KMS_IDENTITY,
        (TicketProtectionKey(TPK_ID, world.tpk),),
        (),
        (AuthorisedNode(NODE.identity, NODE.psk_id, NODE.psk),),
    )
    return Kms(store)


@pytest.mark.parametrize("flags", ["DEFGHNO", "DEFGHINO", "DEHNO"])
@pytest.mark.parametrize("target", ["sip:alice@example.com", "SIP:bob@EXAMPLE.com;x=y"])
def test_get_keys(flags, target):
    world = World()
    answer = world.kms.get_keys(GetKeys(target, exchange_of(world, flags)))
    assert [each.cs_id for each in answer.keys][:1] == [1] and answer.failures == ()


def test_get_keys_is_refused_for_anybody_else():
    world = World()
    with pytest.raises(KmsRefusal, match="not of the targeted user") as caught:
        world.kms.get_keys(GetKeys("sip:carol@example.com", exchange_of(world)))
    assert caught.value.error_no == mikey.ErrorNo.INVALID_ID


@pytest.mark.parametrize("flags", ["DEFGHNO", "DEFGHINO", "DEFGNO"])
def test_both_ways_of_getting_keys_agree(flags):
    """RFC 6043 Resolve by an authorised node gives what get_keys gives, forked keys included."""
    world = World()
    seen = exchange_of(world, flags)
    direct = world.kms.get_keys(GetKeys("sip:alice@example.com", seen))
    query = KeyQuery(7, "xid", "sip:alice@example.com", seen)
    asked = df2_keys.resolve_request(query, NODE, lab.KMS_IDENTITY, csb_id=9, now=BEGIN, rand=b"r" * 16)
    resolved = df2_keys.resolved(query, NODE, asked, with_node(world).answer(asked, BEGIN, world.draw))
    assert resolved == df2_keys.answered(7, direct.keys)
    assert resolved.failures == () and len(resolved.keys) == 2


def test_keys_forked_for_the_node_are_refused():
    world = World(names=("alice", "bob", "df2"))
    seen = exchange_of(world, "DEFGHINO")
    node = world.users["bob"]
    plain = df2_keys.NodeIdentity(node.uri, node.psk_id, node.psk)
    query = KeyQuery(1, "xid", "sip:alice@example.com", seen)
    asked = df2_keys.resolve_request(query, plain, lab.KMS_IDENTITY, csb_id=9, now=BEGIN, rand=b"r" * 16)
    answer = df2_keys.resolved(query, plain, asked, world.ask(asked))
    assert answer.keys == () and "forked the keys for this node" in answer.failures[0]
    broken = df2_keys.resolved(query, plain, asked, b"\x01")
    assert broken.keys == () and broken.failures


def test_policies_that_srtp_cannot_honour_fail_alone():
    world = World()
    derived = world.kms.get_keys(GetKeys("sip:alice@example.com", exchange_of(world))).keys
    odd = structs.replace(derived[0], params={0: b"\x03"})
    answer = df2_keys.answered(1, (odd, derived[1]), ("earlier",))
    assert [key.cs_id for key in answer.keys] == [2]
    assert answer.failures[0] == "earlier" and "crypto session 1: SP parameter 0" in answer.failures[1]


def request(world: World, **changes) -> bytes:
    user = world.users["alice"]
    fields = {
        "csb_id": 3,
        "timestamp": v.Timestamp.ntp_utc(BEGIN),
        "rand": b"r" * 16,
        "initiator": exchange.uri(mikey.IdRole.INITIATOR, user.uri),
        "kms": exchange.uri(mikey.IdRole.KMS, lab.KMS_IDENTITY),
        "policy": policy(world),
        "psk_id": user.psk_id,
    }
    return exchange.request_init(world.suite, changes.pop("psk", user.psk), **fields | changes)


def policy(world: World, flags: str = "DEFGHNO", **changes) -> v.TicketPolicy:
    wish = world.users["alice"]._wish(BEGIN, ("sip:bob@example.com",), flags, None, 0)
    return structs.replace(wish, **changes)


def test_a_wish_without_keys_gets_one_tgk():
    world = World()
    asked = request(world)
    answer = exchange.open_answer(world.ask(asked), asked, world.users["alice"].psk)
    (only,) = answer.keys
    assert only.key_type == mikey.KeyType.TGK and len(only.key) == 16


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"psk": b"x" * 16}, "MAC is wrong"),
        ({"psk_id": b"nobody"}, "not known"),
        ({"initiator": exchange.uri(mikey.IdRole.INITIATOR, "sip:bob@example.com")}, "not the subscriber's"),
        ({"timestamp": v.Timestamp.ntp_utc(BEGIN - 10**12)}, "too far"),
        ({"timestamp": v.Timestamp(2, bytes(4))}, "too far"),
        ({"policy": policy(World(), "DEGHNO")}, "contradicts itself"),
        ({"policy": policy(World(), "DEHINO")}, "I=1 with a TGK needs F=1"),
        ({"policy": policy(World(), "EFGHLNO")}, "only base tickets"),
        ({"policy": policy(World(), ticket_type=2)}, "only base tickets"),
        ({"policy": policy(World(), tp_data=b"\0")}, "names no responder"),
    ],
)
def test_requests_that_are_refused(changes, reason):
    with pytest.raises(KmsRefusal, match=reason):
        World().ask(request(World(), **changes))


@pytest.mark.parametrize(("hours", "granted", "changed"), [(1, 1, False), (2, 2, False), (3, 2, True), (None, 2, True)])
def test_a_ticket_ends_with_its_key_at_the_latest(hours, granted, changed):
    """RFC 6043 6.10: no TRe is no end; what the KMS grants in its place is told by flag K."""
    world, hour = World(), 3600 * 10**9
    end = None if hours is None else v.Timestamp.ntp_utc_32((BEGIN + hours * hour) // 10**9)
    wish = structs.replace(mikey.PolicyData.read(policy(world)), end=end)
    asked = request(world, policy=policy(world, tp_data=wish.write()))
    user = world.users["alice"]
    store = KmsStore(
        lab.KMS_IDENTITY, (TicketProtectionKey(TPK_ID, world.tpk),), (Subscriber((user.uri,), user.psk_id, user.psk),)
    )
    bound = Kms(store, max_life=2 * hour)
    got = exchange.open_answer(bound.answer(asked, BEGIN, world.draw), asked, user.psk).ticket.policy
    assert mikey.PolicyData.read(got).end.unix_ns == (BEGIN + granted * hour) // 10**9 * 10**9
    assert got.flags.k is changed
    late = structs.replace(wish, start=v.Timestamp.ntp_utc_32((BEGIN + 3 * hour) // 10**9))
    with pytest.raises(KmsRefusal, match="begin after its key"):
        bound.answer(request(world, policy=policy(world, tp_data=late.write())), BEGIN, world.draw)


def test_a_message_counts_once():
    world = World()
    asked = request(world)
    world.ask(asked)
    with pytest.raises(KmsRefusal, match="seen before"):
        world.ask(asked)


def test_what_is_no_request():
    world = World()
    for octets, reason in ((b"", "HDR"), (exchange_of(world).init.octets, "TRANSFER_INIT is no request")):
        with pytest.raises(KmsRefusal, match=reason):
            world.ask(octets)


def test_too_many_wished_keys():
    world = World()
    many = write_chain([v.KeyData(0, bytes(16), validity=v.Validity(1, bytes([i]))) for i in range(20)])
    data = structs.replace(mikey.PolicyData.read(policy(world)), kemac=v.Kemac(0, many))
    with pytest.raises(KmsRefusal, match="more keys"):
        world.ask(request(world, policy=policy(world, tp_data=data.write())))


def resolve(world: World, name: str, ticket: v.Ticket, **changes) -> bytes:
    user = world.users[name]
    fields = {
        "csb_id": 4,
        "timestamp": v.Timestamp.ntp_utc(changes.pop("now", BEGIN)),
        "rand": b"r" * 16,
        "responder": exchange.uri(mikey.IdRole.RESPONDER, user.uri),
        "kms": exchange.uri(mikey.IdRole.KMS, lab.KMS_IDENTITY),
        "ticket": ticket,
        "psk_id": user.psk_id,
    }
    return exchange.resolve_init(world.suite, user.psk, **fields | changes)


def test_only_a_responder_of_the_ticket_may_resolve_it():
    world = World(names=("alice", "bob", "carol"))
    ticket = mikey.parse(exchange_of(world).init.octets).need(v.Ticket)
    world.ask(resolve(world, "bob", ticket))
    with pytest.raises(KmsRefusal, match="does not name this responder"):
        world.ask(resolve(world, "carol", ticket))
    late = BEGIN + 2 * 24 * 3600 * 10**9
    with pytest.raises(KmsRefusal, match="expired"):
        world.kms.answer(resolve(world, "bob", ticket, now=late), late, world.draw)


def test_a_stolen_ticket_with_forking_is_refused():
    world = World()
    ticket = mikey.parse(exchange_of(world, "DEFGHINO").init.octets).need(v.Ticket)
    with pytest.raises(KmsRefusal, match="Initiator Data"):
        world.ask(resolve(world, "bob", structs.replace(ticket, initiator_data=b"")))


def test_tickets_of_users_alone_and_without_a_key_name():
    world = World()
    ticket = mikey.parse(exchange_of(world).init.octets).need(v.Ticket)
    alone = structs.replace(ticket, policy=structs.replace(ticket.policy, flags=mikey.Flags.of("FGHL")))
    with pytest.raises(KmsRefusal, match="mode 4"):
        world.kms.open(alone)
    nameless = mikey.seal_ticket(
        ticket.policy,
        world.tpk,
        (v.KeyData(mikey.KeyType.MPK, bytes(16), validity=v.Validity(1, b"\1")),),
        timestamp=v.Timestamp(0, bytes(8)),
        rand=bytes(16),
        encr_alg=1,
        auth_alg=1,
    )
    assert world.kms.open(nameless).keys == ()
    with pytest.raises(KmsRefusal, match="no ticket protection key"):
        Kms(KmsStore("k", (TicketProtectionKey(b"x", bytes(16)),))).open(nameless)


def test_a_node_must_be_itself():
    world = World()
    query = KeyQuery(1, "x", "sip:alice@example.com", exchange_of(world))
    liar = structs.replace(NODE, identity="other.example.com")
    asked = df2_keys.resolve_request(query, liar, lab.KMS_IDENTITY, csb_id=9, now=BEGIN, rand=b"r" * 16)
    with pytest.raises(KmsRefusal, match="not the node's"):
        with_node(world).answer(asked, BEGIN, world.draw)
    assert "redacted" in repr(NODE) and "redacted" in repr(AuthorisedNode("a", b"b", b"c"))


def test_old_protection_keys_serve_while_their_tickets_live():
    world = World()
    seen = exchange_of(world)
    new = TicketProtectionKey(b"tpk-2", b"z" * 16)
    rotated = Kms(
        KmsStore(lab.KMS_IDENTITY, (new, TicketProtectionKey(TPK_ID, world.tpk)), (Subscriber(("sip:x@y",)),))
    )
    assert len(rotated.get_keys(GetKeys("sip:bob@example.com", seen)).keys) == 2
