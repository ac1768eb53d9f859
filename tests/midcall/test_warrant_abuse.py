"""Warrants that are none, at each of POI, DF2 and KMS on its own: refused, with nothing armed and no key given.

Who asks is the ADMF, or who has stolen its certificate: the same is refused to both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec import structs

from imswire import x1
from midcall.base.warrant import ClockGuard, Known, TrustList, envelope, value
from midcall.events import Instant
from midcall.kms.authority import Authority, NoAuthority
from tests.midcall import warrants
from tests.midcall.base.x1_element import world as x1_world
from tests.midcall.warrants import ANN, BEN, END, EVE, START, entry, members

ALICE = "sip:alice@example.com"
NAMES = {"elements": ["poi-1", "df2-1", "kms-1"]}


class Bench:
    """One element with a trust list, a memory and a clock of its own."""

    def __init__(self, trust: TrustList | None = None) -> None:
        self.trust = trust or warrants.trust()
        self.now = warrants.at()

    def go(self, ns: int, mono: int | None = None) -> None:
        self.now = Instant(self.now.wall + ns, self.now.mono + (ns if mono is None else mono))


class Element(Bench):
    """POI or DF2, as X1 reaches it."""

    settings: Callable[..., Any]
    delivery: x1.DeliveryType

    def __init__(self, trust: TrustList | None = None) -> None:
        super().__init__(trust)
        self.world = x1_world.World(type(self).settings())
        self.world.trust = self.trust
        self.world.begin(x1_world.Memory(heard=self.now.wall))
        self.world.destination()

    def ask(self, octets: bytes, **changed: Any) -> str:
        """What it says no with; empty: it is armed."""
        self.world.now = self.now
        self.world.look()
        details = x1_world.task(octets, delivery=self.delivery, **changed)
        held = x1_world.XID in self.world.element.tasks
        step = (self.world.modify if held else self.world.activate)(details)
        armed = self.world.element.orders.get(x1_world.XID)
        under = armed is not None and armed.order.warrant == octets
        assert under is x1_world.done(step)
        return "" if under else x1_world.text(step) if not x1_world.ok(step) else "not-begun"

    def revoke(self, octets: bytes) -> None:
        """It is acknowledged, since X1 has no other way to bring it, and nothing is armed then."""
        step = self.world.modify(x1_world.task(octets, delivery=self.delivery))
        assert x1_world.done(step) and x1_world.XID not in self.world.element.orders

    @property
    def gives(self) -> bool:
        """Whether anything is armed."""
        self.world.now = self.now
        self.world.look()
        return bool(self.world.element.orders)


class Poi(Element):
    settings = staticmethod(x1_world.settings)
    delivery = x1.DeliveryType.X2_ONLY


class Df2(Element):
    settings = staticmethod(x1_world.df_settings)
    delivery = x1.DeliveryType.X2_AND_X3


class Kms(Bench):
    def __init__(self, trust: TrustList | None = None) -> None:
        super().__init__(trust)
        self.known: dict[str, Known] = {}
        clock = ClockGuard(self.now)
        self.authority = Authority("kms-1", self.trust, self.known, clock, self.known.__setitem__)

    def ask(self, octets: bytes | None, identity: str = ALICE, xid: str = warrants.XID) -> str:
        try:
            self.authority.check(octets, xid, identity, self.now)
        except NoAuthority as refused:
            return refused.rule or str(refused.code)
        return ""

    def revoke(self, octets: bytes) -> None:
        assert "revoked" in self.ask(octets)

    gives = False


BENCHES = {"poi": Poi, "df2": Df2, "kms": Kms}
at_each = pytest.mark.parametrize("bench", BENCHES.values(), ids=BENCHES)


def signed(*names: str, **changed: Any) -> bytes:
    return warrants.signed(warrants.make(**NAMES | changed), *names)


def refused(bench: Bench, octets: bytes, rule: str) -> None:
    said = bench.ask(octets)  # type: ignore[attr-defined]
    assert rule in said and said, said
    assert "alice" not in said and not bench.gives  # type: ignore[attr-defined]


@at_each
def test_a_good_one_is_taken(bench: Any) -> None:
    """Or the rest would prove nothing."""
    assert bench().ask(signed()) == ""


# Every field


OTHERS: dict[str, Any] = {
    "type": "revocation",
    "id": "W-2",
    "version": 2,
    "supersedes": 1,
    "country": "YY",
    "agency": "another",
    "authority": "another",
    "reference": "2 AB 23/26",
    "sha256": "cd" * 32,
    "scope": "iri",
    "keys": "keys-to-lemf",
    "location": True,
    "start": "2026-06-30T00:00:00Z",
    "end": "2026-08-01T00:00:00Z",
    "liid": "LI-2",
    "xid": warrants.OTHER_XID,
    "identity": "sip:bob@example.com",
    "host": "lemf.example.net",
    "port": 7444,
    "certificate": "cd" * 32,
}


def flips(held: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every member of a warrant, changed to another good value; the whole each time."""
    whole = members(**NAMES)

    def put(value: Any, path: tuple[Any, ...]) -> Any:
        copy = json.loads(json.dumps(whole))
        place = copy
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return copy

    if isinstance(held, dict):
        for name, inner in held.items():
            yield from flips(inner, (*path, name))
    elif isinstance(held, list):
        yield ".".join(map(str, path)), put(held[:-1], path)
        for number, inner in enumerate(held):
            yield from flips(inner, (*path, number))
    else:
        name = next(each for each in reversed(path) if isinstance(each, str))
        other = OTHERS.get(name, "poi-9" if name == "elements" else "data")
        yield ".".join(map(str, path)), put(other, path)


FLIPPED = dict(flips(members(**NAMES)))


def spelt(whole: dict[str, Any]) -> bytes:
    return json.dumps(whole, separators=(",", ":")).encode()


def test_the_fields_are_all_there() -> None:
    assert {each.partition(".")[0] for each in FLIPPED} == set(members()) and len(FLIPPED) == 29


@at_each
@pytest.mark.parametrize("name", FLIPPED)
def test_a_field_that_was_changed_after_it_was_signed(bench: Any, name: str) -> None:
    good = json.loads(signed())
    good["payload"] = envelope.encoded(spelt(FLIPPED[name]))
    refused(bench(), spelt(good), "signature")


@at_each
def test_a_field_that_nobody_knows(bench: Any) -> None:
    """With two good signatures: what is not understood is not obeyed."""
    for changed in (members(**NAMES) | {"more": 1}, {"crit": ["more"]} | members(**NAMES)):
        refused(bench(), warrants.signed_octets(spelt(changed), ANN, BEN), "contents")


@at_each
def test_every_octet_of_the_file(bench: Any) -> None:
    """One bit each; nothing holds but what was signed, in the spelling in which it was."""
    octets = signed()
    one = bench()
    for place in range(0, len(octets), 7):
        said = one.ask(octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :])
        assert said and not one.gives, place


# Who has signed


@at_each
@pytest.mark.parametrize(
    "names",
    [(ANN,), (ANN, ANN), (ANN, EVE), (EVE, "Mallory")],
    ids=["one", "one twice", "a foreign key", "two foreign"],
)
def test_fewer_than_two_persons_of_the_list(bench: Any, names: tuple[str, ...]) -> None:
    refused(bench(), signed(*names), "approvals")


@at_each
def test_one_person_with_two_keys(bench: Any) -> None:
    listed = warrants.trust(entry(ANN), entry("second", person="ANN "), entry(BEN))
    refused(bench(listed), signed(ANN, "second"), "approvals")


@at_each
@pytest.mark.parametrize(
    "changed",
    [{"revoked": "true"}, {"valid_until": "2026-07-01T12:00:00Z"}, {"valid_from": "2026-07-02T12:00:00Z"}],
    ids=["revoked", "expired", "not valid yet"],
)
def test_an_approver_who_does_not_count_any_more(bench: Any, changed: dict[str, str]) -> None:
    refused(bench(warrants.trust(entry(ANN), entry(BEN, **changed), entry(EVE))), signed(), "approvals")


# What it is for


@at_each
def test_the_warrant_of_another_element(bench: Any) -> None:
    refused(bench(), signed(elements=["poi-2", "df2-2", "kms-2"]), "element")


@at_each
def test_a_version_that_was_replaced_does_not_come_back(bench: Any) -> None:
    one, first, second = bench(), signed(), signed(version=2, supersedes=1)
    assert one.ask(first) == "" and one.ask(second) == ""
    assert "version" in one.ask(first)
    assert "version" in one.ask(signed(version=2, supersedes=1, location=True)), "another one of the same number"


@at_each
def test_what_was_revoked_does_not_come_back(bench: Any) -> None:
    one, first = bench(), signed()
    assert one.ask(first) == ""
    one.revoke(warrants.signed(warrants.revocation(2)))
    assert not one.gives
    for again in (first, signed(version=3, supersedes=2)):
        assert "revoked" in one.ask(again) and not one.gives


@at_each
def test_a_revocation_by_one_person_ends_nothing(bench: Any) -> None:
    one = bench()
    assert one.ask(signed()) == ""
    assert "approvals" in one.ask(warrants.signed(warrants.revocation(2), ANN))
    assert one.ask(signed()) == ""


# When


@at_each
@pytest.mark.parametrize(
    ("moment", "ns", "rule"),
    [
        (START, -1_000_000, "not-begun"),
        (START, 0, ""),
        (END, -1_000_000, ""),
        (END, 0, "ended"),
        (END, 1_000_000, "ended"),
    ],
)
def test_the_edges_of_the_window(bench: Any, moment: str, ns: int, rule: str) -> None:
    """A millisecond to each side; a clock that got there step by step, as clocks do."""
    one = bench()
    there = warrants.at(moment, ns)
    if isinstance(one, Element):
        one.world = x1_world.World(type(one).settings(fail_safe=False), there)
        one.world.destination()
    else:
        one.authority = Authority("kms-1", one.trust, {}, ClockGuard(there), one.known.__setitem__)
    one.now = there
    said = one.ask(signed())
    assert said == rule or (rule == "ended" and "ended" in said), said


@at_each
@pytest.mark.parametrize("jump", [-86_400, -3_600, -2, 2, 3_600, 86_400])
def test_a_clock_that_has_jumped_lets_nothing_begin(bench: Any, jump: int) -> None:
    one = bench()
    one.go(jump * 10**9, 1_000)
    assert "clock" in one.ask(signed()) and not one.gives


@pytest.mark.parametrize("bench", [Poi, Df2])
@pytest.mark.parametrize("wall", [-3_600, 0])
def test_a_window_ends_by_the_monotonic_clock_whatever_the_wall_says(bench: Any, wall: int) -> None:
    one = bench()
    assert one.ask(signed(end="2026-07-02T00:00:10Z")) == ""
    one.go(9_999_000_000)
    assert one.gives
    one.go(wall * 10**9, 1_000_000)
    assert not one.gives


@pytest.mark.parametrize("bench", [Poi, Df2])
def test_a_window_ends_by_the_wall_clock_whatever_the_monotonic_says(bench: Any) -> None:
    one = bench()
    assert one.ask(signed(end="2026-07-02T00:00:10Z")) == ""
    one.go(10 * 10**9, 1)
    assert not one.gives


# With a stolen certificate of the ADMF: more than the warrant allows


def more(**changed: Any) -> dict[str, Any]:
    return changed


WIDER = {
    "another target": more(targets=(x1.Impu("sip:bob@example.com"),)),
    "another task": more(xid=warrants.OTHER_XID),
    "another LIID": more(mediation=(x1_world.mediation("LI-2"),)),
    "a longer window": more(mediation=(x1_world.mediation(end=value.moment(END) + 10**9),)),
    "an earlier window": more(mediation=(x1_world.mediation(start=value.moment(START) - 10**9),)),
    "other services": more(services=(x1.ServiceType.DATA,)),
}


@pytest.mark.parametrize("bench", [Poi, Df2])
@pytest.mark.parametrize("what", WIDER)
def test_an_order_that_is_wider_than_its_warrant(bench: Any, what: str) -> None:
    one = bench()
    assert one.ask(signed(), **WIDER[what]) and not one.gives


@pytest.mark.parametrize("bench", [Poi, Df2])
def test_content_that_was_not_ordered_by_the_court(bench: Any) -> None:
    one = bench()
    one.delivery = x1.DeliveryType.X2_AND_X3
    assert one.ask(signed(scope="iri", keys=None)) and not one.gives


def test_product_to_a_place_that_the_warrant_does_not_name() -> None:
    one = Df2()
    elsewhere = structs.replace(x1_world.lemf(x1_world.OTHER_DID), address=x1.Uri("tls://lemf.example.net:7443"))
    one.world.destination(elsewhere)
    assert one.ask(signed(), destinations=x1.ListOfDids((x1_world.OTHER_DID,))) and not one.gives


def test_keys_of_somebody_else_or_without_a_warrant() -> None:
    one = Kms()
    assert one.ask(None) == "unsigned"
    assert one.ask(signed(), identity="sip:bob@example.com") == "target"
    assert one.ask(signed(), xid=warrants.OTHER_XID) == "target"
    assert one.ask(signed(id="W-2", scope="iri", keys=None)) == "target"


@pytest.mark.parametrize("bench", [Poi, Df2])
def test_x1_out_of_its_order(bench: Any) -> None:
    """An order that was held up on its way does not begin what was ended meanwhile, nor undo a later one."""
    one = bench()
    late = one.world.header()
    assert one.ask(signed()) == ""
    one.world.deactivate()
    details = x1_world.task(signed(), delivery=one.delivery)
    assert not x1_world.ok(one.world.send(x1.ActivateTaskRequest(late, details))) and not one.gives
    before = one.world.header()
    assert one.ask(signed()) == ""
    assert not x1_world.ok(one.world.send(x1.ModifyTaskRequest(before, details)))
    assert not x1_world.ok(one.world.modify(x1_world.task(signed(), xid=warrants.OTHER_XID)))
    assert one.gives


@pytest.mark.parametrize("bench", [Poi, Df2])
def test_certificates_that_are_not_the_admfs(bench: Any) -> None:
    one = bench()
    for peer in (x1_world.Peer(frozenset(("poi-2",))), x1_world.Peer(), x1_world.Peer(frozenset(("admf-2",)))):
        request = x1.ActivateTaskRequest(one.world.header(), x1_world.task(signed(), delivery=one.delivery))
        step = one.world.send(request, peer)
        assert x1_world.code(step) == 1030 and not one.gives
    other = one.world.header(admf_identifier="admf-2")
    step = one.world.send(x1.ActivateTaskRequest(other, x1_world.task(signed())), x1_world.Peer(frozenset(("admf-2",))))
    assert x1_world.code(step) == 1040 and not one.gives
