"""Who may send what: relay, assertions, authentication, and what is shed."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import sip
from midcall.cscf.digest import Digest, Secrets
from midcall.cscf.feedback import Told
from midcall.cscf.location import SECOND, Binding, LocationTable
from midcall.cscf.overload import LATE, STANDING, VERY_LATE, Overload, own
from midcall.cscf.routing import Destination, Plan
from midcall.cscf.timers import MS
from midcall.cscf.trust import Peer, Peers, TrustGate
from midcall.cscf.values import Admission, Hop
from tests.midcall.cscf.stage import ALICE, BOB, request

HOME = Plan(((Destination("sip:bob@192.0.2.20"),),))
OUT = structs.replace(HOME, outward=True)
INSIDE = structs.replace(HOME, inside=True)
PEER = Hop("udp", "198.51.100.7", 5060)
AT_HOME = "sip:alice@home.example"
FORGED = "P-Asserted-Identity: <sip:forged@x>"


def bound(_message: sip.SipMessage, _plan: Plan) -> bool:
    """A request inside a dialog goes where that leads."""
    return True


def gate(*peers: Peer, digest: bool = False, names: frozenset[str] = frozenset()) -> TrustGate:
    location = LocationTable(10)
    location.put(
        "sip:carol@home.example", [Binding("k", "sip:c@x", 9 * SECOND, "c", 1, source=Hop("udp", "192.0.2.30", 5060))]
    )
    desk = Digest("home.example", b"k" * 32, lambda _: Secrets({})) if digest else None
    return TrustGate(
        Peers(peers, lambda _: names), location, lambda host: host == "home.example", Overload(lambda _: 0), desk,
        bound=bound,
    )  # fmt: skip


def admitted(
    gate: TrustGate, plan: Plan, source: Hop, *headers: str, user: str = "alice", method: str = "INVITE"
) -> Admission:
    text = request(method, "sip:bob@home.example", *headers).replace("sip:alice@", f"sip:{user}@")
    return gate.admit(sip.parse(text.encode()), plan, source, 0)


def test_strangers_reach_users_of_ours_and_nobody_else():
    assert admitted(gate(), HOME, ALICE).status == 0
    assert admitted(gate(), OUT, ALICE).status == 403


def test_a_stranger_asserts_nothing():
    found = admitted(gate(), HOME, ALICE, FORGED, "P-Preferred-Identity: <sip:y@x>")
    assert found == Admission(removed=("p-asserted-identity", "p-preferred-identity"), stranger=True, afar=True)
    assert admitted(gate(), INSIDE, ALICE, FORGED).removed == ("p-asserted-identity",)


def test_a_registered_user_may_call_anybody_and_is_asserted():
    carol = Hop("udp", "192.0.2.30", 5060)
    assert admitted(gate(), OUT, carol, user="carol") == Admission(
        on_top="P-Asserted-Identity: <sip:carol@home.example>\r\n"
    )
    assert admitted(gate(), OUT, carol, FORGED, user="carol").removed == ("p-asserted-identity",)
    assert admitted(gate(), OUT, carol, user="alice").status == 403


def test_peers():
    trusted = Peer(network="198.51.100.0/24", trusted=True)
    assert admitted(gate(trusted), HOME, PEER, FORGED) == Admission()
    assert admitted(gate(trusted), OUT, PEER).status == 403
    relay = Peer(network="198.51.100.0/24", relay=True)
    assert admitted(gate(relay), OUT, PEER, FORGED) == Admission(removed=("p-asserted-identity",))
    assert admitted(gate(relay), OUT, ALICE).status == 403


def test_the_narrower_network_counts():
    peers = Peers([Peer(network="198.51.100.0/24"), Peer(network="198.51.100.7", trusted=True), Peer(network="::/0")])
    assert peers.of(PEER) == Peer(network="198.51.100.7", trusted=True) == peers.of(PEER)
    assert peers.of(PEER._replace(host="198.51.100.8")) == Peer(network="198.51.100.0/24")
    assert peers.of(PEER._replace(host="fe80::1%eth0")) == Peer(network="::/0")
    assert peers.of(ALICE) is None


def test_a_peer_by_the_name_in_its_certificate():
    named = gate(Peer(name="SBC.example", relay=True), names=frozenset({"sbc.example"}))
    assert admitted(named, OUT, Hop("tls", "203.0.113.1", 5061, 3)).status == 0
    assert admitted(named, OUT, Hop("tcp", "203.0.113.1", 5060, 3)).status == 403
    other = gate(Peer(name="SBC.example", relay=True), names=frozenset({"other.example"}))
    assert admitted(other, OUT, Hop("tls", "203.0.113.1", 5061, 3)).status == 403


def test_users_of_ours_are_asked_who_they_are():
    found = admitted(gate(digest=True), HOME, ALICE)
    assert found.status == 407 and b"Proxy-Authenticate: Digest" in found.extra
    assert admitted(gate(digest=True), INSIDE, ALICE).status == 0
    stranger = request().replace("sip:alice@home.example", "sip:x@far.example")
    assert gate(digest=True).admit(sip.parse(stranger.encode()), HOME, ALICE, 0).status == 0


@pytest.mark.parametrize(
    ("lines", "stay"),
    [
        (('Proxy-Authorization: Digest realm="home.example"',), False),
        (('Proxy-Authorization: Digest realm="far.example"',), True),
        (('Proxy-Authorization: Digest realm="home.example"', 'Proxy-Authorization: Digest realm="far.example"'), True),
        (("Proxy-Authorization: Basic x",), True),
    ],
)
def test_credentials_for_us_go_no_further(lines, stay):
    carol = Hop("udp", "192.0.2.30", 5060)
    assert ("proxy-authorization" in admitted(gate(digest=True), OUT, carol, *lines, user="carol").removed) is not stay


# Overload


def message(method: str = "INVITE", uri: str = "sip:bob@home.example") -> sip.SipMessage:
    return sip.parse(request(method, uri).encode())


def late(overload: Overload, *delays: int) -> Overload:
    """It has observed each of these for as long as it takes to believe it."""
    for delay in delays:
        for _ in range(STANDING):
            overload.observe(delay)
    return overload


HALF = (LATE + VERY_LATE) // 2


def test_the_share_follows_the_delay():
    assert late(Overload(lambda _: 0), LATE).share == 0
    assert late(Overload(lambda _: 0), HALF).share == 50
    assert late(Overload(lambda _: 0), VERY_LATE * 9).share == 100
    assert late(Overload(lambda _: 0), HALF, 0).share == 40
    assert late(Overload(lambda _: 0), HALF, *[0] * 5).share == 0


def test_a_moment_is_no_overload():
    overload = Overload(lambda _: 0)
    for _ in range(100):
        for delay in [VERY_LATE] * (STANDING - 1) + [0]:
            overload.observe(delay)
    assert overload.share == 0


def test_who_waits_for_a_core_is_not_overloaded():
    assert own(VERY_LATE, 30 * MS, 420 * MS) == 0
    assert own(VERY_LATE, 400 * MS, 420 * MS) == VERY_LATE
    assert own(0, 1, 20 * MS) == 0


def test_what_is_shed():
    overload = late(Overload(lambda _: 49), HALF)
    assert overload.shed(message()) == Admission(503)  # RFC 7339 5.10.2: without Retry-After
    assert overload.shed_requests == 1
    assert overload.shed(message("BYE")) is None
    assert overload.shed(message(uri="urn:service:sos.police")) is None
    spared = late(Overload(lambda _: 50), HALF)
    assert spared.shed(message()) is None


def test_strangers_are_shed_first():
    """Twice the share: with half of all they are all gone."""
    overload = late(Overload(lambda _: 50), HALF)
    peers = Peers([Peer(network="198.51.100.0/24")])
    location = LocationTable(1)
    location.put(AT_HOME, [Binding("k", "sip:a@x", 9 * SECOND, "a", 1, source=ALICE)])
    loaded = TrustGate(peers, location, lambda _: True, overload, None)
    assert loaded.admit(message(), HOME, PEER, 0).status == 0
    assert loaded.admit(message(), HOME, ALICE, 0).status == 0
    assert loaded.admit(message(), HOME, BOB, 0).status == 503


def test_a_loaded_gate_lets_dialogs_go_on():
    overload = late(Overload(lambda _: 0), VERY_LATE)
    loaded = TrustGate(Peers(()), LocationTable(1), lambda _: True, overload, None, bound=bound)
    assert loaded.admit(message(), INSIDE, ALICE, 0).status == 0
    assert loaded.admit(message(), HOME, ALICE, 0).status == 503


def test_a_neighbour_that_listens_is_not_shed_twice():
    """RFC 7339 5.10.2: it sends less already. A stranger is not believed, and when all is refused nobody."""
    overload = late(Overload(lambda _: 0), HALF)
    loaded = TrustGate(Peers((Peer("198.51.100.7", trusted=True),)), LocationTable(1), lambda _: True, overload, None)
    hears = sip.parse(request().replace("branch=", 'oc;oc-algo="loss";branch=').encode())
    assert loaded.admit(hears, HOME, PEER, 0).status == 0
    assert loaded.admit(message(), HOME, PEER, 0).status == 503
    assert loaded.admit(hears, HOME, ALICE, 0).status == 503
    late(overload, VERY_LATE)
    assert loaded.admit(hears, HOME, PEER, 0).status == 503


def test_what_a_next_hop_asks_for_is_kept_to():
    """RFC 7339 5.4, 5.5: for as long as it said."""
    overload = Overload(lambda _: 29)
    overload.told(BOB, Told(30, 500, 0), 0)
    assert overload.is_asked and overload.holds_back(BOB, message(), 0) and overload.held_requests == 1
    assert not overload.holds_back(ALICE, message(), 0)
    assert not overload.holds_back(BOB, message("BYE"), 0)
    assert not overload.holds_back(BOB, message(uri="urn:service:sos"), 0)
    assert not overload.holds_back(BOB, message(), 500 * MS)
    assert not overload.is_asked
    overload.told(BOB, Told(20, 500, 0), 0)
    assert not overload.holds_back(BOB, message(), 0)
    overload.told(BOB, Told(0, 500, 0), 0)
    assert not overload.is_asked


def test_what_comes_late_is_not_heard():
    """RFC 7339 4.4: but who counts anew is."""
    overload = Overload(lambda _: 29)
    overload.told(BOB, Told(30, 500, 1000.5), 0)
    for sequence in (1000.5, 1000.4, 999.0):
        overload.told(BOB, Told(0, 500, sequence), 1)
        assert overload.is_asked
    overload.told(BOB, Told(0, 500, 1.0), 1)
    assert not overload.is_asked


@pytest.mark.parametrize("network", ["x", "1.2.3.4/99"])
def test_a_network_that_is_none(network):
    with pytest.raises(ValueError):
        Peers([Peer(network=network)])
