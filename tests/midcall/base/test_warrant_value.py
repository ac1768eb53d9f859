"""What is signed: every member has its bound and one spelling, and no octet of it can be another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midcall.base.warrant import Refused, Rule, Verified, envelope, value
from tests.midcall import warrants as lab
from tests.midcall.warrants import ANN, BEN, rule

SIGNED = lab.signed()


def resigned(**changed: Any) -> bytes:
    """Approved by both, whatever it says: what is wrong is in the payload alone."""
    return lab.signed_octets(json.dumps(lab.members(**changed), separators=(",", ":")).encode(), ANN, BEN)


def paths(tree: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every leaf of a tree."""
    if isinstance(tree, dict):
        return [leaf for name, each in tree.items() for leaf in paths(each, (*before, name))]
    if isinstance(tree, list):
        return [leaf for place, each in enumerate(tree) for leaf in paths(each, (*before, place))]
    return [before]


OTHER = {
    "type": "revocation", "id": "W-2", "version": 2, "supersedes": 1, "country": "XY", "agency": "another",
    "authority": "nobody", "reference": "2", "sha256": "cd" * 32, 0: "data", 1: "RCS", "scope": "iri",
    "keys": "keys-to-lemf", "location": True, "start": "2026-06-01T00:00:00Z", "end": "2026-08-30T00:00:00Z",
    "liid": "LI-2", "xid": lab.OTHER_XID, "identity": "sip:bob@example.com", "host": "other.example.com",
    "port": 1, "certificate": "cd" * 32,
}  # fmt: skip


@pytest.mark.parametrize("path", paths(lab.members()), ids=lambda path: ".".join(map(str, path)))
def test_every_member_is_under_the_signatures(path):
    tree = lab.members()
    place = tree
    for step in path[:-1]:
        place = place[step]
    assert place[path[-1]] != OTHER[path[-1]]
    place[path[-1]] = OTHER[path[-1]]
    file = json.loads(SIGNED)
    file["payload"] = envelope.encoded(json.dumps(tree, separators=(",", ":")).encode())
    assert rule(lab.verified(json.dumps(file, separators=(",", ":")).encode())) is Rule.SIGNATURE


TARGET = lab.members()["targets"][0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"type": "order"}, "none of the values that are allowed"),
        ({"id": "Alice Example"}, "id: "),
        ({"id": "A" * 65}, "id: "),
        ({"version": 0}, "version: "),
        ({"version": 1.5}, "version: "),
        ({"version": True}, "version: "),
        ({"version": 1 << 40}, "version: "),
        ({"version": 2}, "supersedes: "),
        ({"supersedes": 1}, "supersedes: "),
        ({"version": 2, "supersedes": 2}, "supersedes: "),
        ({"country": "xx"}, "country: "),
        ({"agency": ""}, "agency: "),
        ({"agency": "a" * 129}, "agency: "),
        ({"agency": "to\u202eward"}, "agency: "),
        ({"agency": "a\x1b[2Jb"}, "agency: "),
        ({"order": {"authority": "a", "reference": "b\n", "sha256": lab.DIGEST}}, "reference: "),
        ({"order": {"authority": "a", "reference": "b", "sha256": "AB" * 32}}, "order.sha256: "),
        ({"services": []}, "services: "),
        ({"services": ["voice", "voice"]}, "services: "),
        ({"services": ["everything"]}, "services: none of the values"),
        ({"scope": "all"}, "scope: none of the values"),
        ({"scope": "iri"}, "keys: "),
        ({"keys": None}, "keys: "),
        ({"keys": "both"}, "keys: none of the values"),
        ({"location": 0}, "location: "),
        ({"start": lab.END}, "end: "),
        ({"start": "2026-02-30T00:00:00Z"}, "no such day"),
        ({"start": "2026-07-01T00:00:00+00:00"}, "start: "),
        ({"end": "2026-07-31T24:00:00Z"}, "end: "),
        ({"end": "2026-07-31T00:00:00.5Z"}, "end: "),
        ({"end": "2026-07-31T00:00:00Z\n"}, "end: "),
        ({"targets": []}, "targets: "),
        ({"targets": [TARGET] * 33}, "targets: "),
        ({"targets": [TARGET, TARGET]}, "targets: XID: named twice"),
        ({"targets": [TARGET, TARGET | {"xid": lab.OTHER_XID}]}, "targets: identity: named twice"),
        ({"targets": [TARGET | {"identity": "alice"}]}, "identity: no SIP"),
        ({"targets": [TARGET | {"identity": "sip:example.com"}]}, "identity: no SIP"),
        ({"targets": [TARGET | {"identity": "sip:al ice@example.com"}]}, "targets.identity: "),
        ({"targets": [TARGET | {"identity": f"sip:{'a' * 256}@example.com"}]}, "targets.identity: "),
        ({"targets": [TARGET | {"liid": "L" * 26}]}, "targets.liid: "),
        ({"targets": [TARGET | {"liid": "L 1"}]}, "targets.liid: "),
        ({"targets": [TARGET | {"xid": lab.XID.upper()}]}, "targets.xid: "),
        ({"targets": [TARGET | {"xid": "0a000000-0000-1000-8000-000000000001"}]}, "targets.xid: "),
        ({"elements": []}, "elements: "),
        ({"elements": ["poi-1", "poi-1"]}, "elements: "),
        ({"elements": ["poi 1"]}, "elements: "),
        ({"destinations": []}, "destinations: "),
        ({"destinations": lab.members()["destinations"] * 2}, "destinations: "),
        ({"destinations": [{"host": "a b", "port": 1, "certificate": lab.DIGEST}]}, "destinations.host: "),
        ({"destinations": [{"host": "a", "port": 0, "certificate": lab.DIGEST}]}, "destinations.port: "),
        ({"destinations": [{"host": "a", "port": 1, "certificate": ""}]}, "destinations.certificate: "),
        ({"secretly": 1}, "has a member that does not belong there"),
        ({"order": lab.members()["order"] | {"more": 1}}, "order: has a member that does not belong there"),
    ],
)
def test_every_member_has_its_bound(changed, says):
    """Both have signed it; what it says is refused all the same, and the reason shows nothing of it."""
    refused = lab.verified(resigned(**changed))
    assert rule(refused) is Rule.CONTENTS and says in str(refused)
    assert not any(text in str(refused) for text in ("alice", "everything", "secretly", "LI-1", "both"))


@pytest.mark.parametrize("name", [*lab.members(), *lab.members()["order"], *TARGET])
def test_every_member_has_to_be_there(name):
    tree = lab.members()
    for place in (tree, tree["order"], tree["targets"][0]):
        place.pop(name, None)
    octets = lab.signed_octets(json.dumps(tree, separators=(",", ":")).encode(), ANN, BEN)
    assert rule(lab.verified(octets)) is Rule.CONTENTS


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"scope"', '"scope":"iri","scope"'),
        lambda text: text.replace('"end"', '"end":"2027-01-01T00:00:00Z","end"'),
        lambda text: text.replace('"scope"', '"\\u0073cope"'),
        lambda text: text.replace(",", ", "),
        lambda text: text.replace('"version":1', '"version":1.0'),
        lambda text: text.replace('"version":1', '"version":1e0'),
        lambda text: text.replace('"court"', '"co\\u0075rt"'),
        lambda text: text.replace('"court"', '"\\ud800"'),
        lambda text: text.replace("W-1", "W-1\x00"),
        lambda text: text + "x",
        lambda text: text[:-1],
        lambda text: json.dumps(dict(reversed(json.loads(text).items())), separators=(",", ":")),
        lambda text: text.replace('"court"', '"' + "c" * 60_000 + '"'),
    ],
)
def test_what_is_signed_has_one_spelling(change):
    text = json.dumps(lab.members(), separators=(",", ":"))
    assert change(text) != text
    octets = lab.signed_octets(change(text).encode(), ANN, BEN)
    assert rule(lab.verified(octets)) in (Rule.CONTENTS, Rule.FORM)


def test_the_order_of_a_name_may_be_written_in_any_script():
    warrant = lab.make(agency="Größenwahn-Behörde 東京")
    assert value.decode(value.encode(warrant)) == warrant


# Whatever is changed


@given(place=st.integers(0, len(SIGNED) - 1), octet=st.integers(0, 255))
def test_no_octet_can_be_another(place, octet):
    changed = SIGNED[:place] + bytes([octet]) + SIGNED[place + 1 :]
    assert changed == SIGNED or isinstance(lab.verified(changed), Refused)


@given(place=st.integers(0, len(SIGNED)), gone=st.integers(0, 400), put=st.binary(max_size=40))
def test_nothing_can_be_cut_or_put_in(place, gone, put):
    changed = SIGNED[:place] + put + SIGNED[place + gone :]
    assert changed == SIGNED or isinstance(lab.verified(changed), Refused)


@given(st.binary(max_size=300))
def test_any_octets_are_judged(octets):
    assert isinstance(lab.verified(octets), Refused)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NAMES = st.sampled_from([*lab.members(), *TARGET, ""])


def deeper(each):
    return st.lists(each, max_size=4) | st.dictionaries(NAMES, each, max_size=6)


@given(st.recursive(LEAVES, deeper, max_leaves=20), NAMES)
def test_whatever_two_persons_sign_is_a_warrant_or_refused(tree, name):
    outcome = lab.verified(resigned(**{name: tree}))
    if isinstance(outcome, Verified):
        assert value.decode(value.encode(outcome.warrant)) == outcome.warrant
    else:
        assert isinstance(outcome, Refused)
