"""A warrant is read in one way only, counts with two persons' signatures, and holds here and now or not at all."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midcall.base.warrant import FormError, Known, Refused, Revoked, Rule, Verified, envelope, trust, value
from midcall.config import ConfigError
from midcall.events import Instant
from tests.midcall import warrants as lab
from tests.midcall.warrants import ANN, BEN, EVE

SIGNED = lab.signed()


def rule(outcome: object) -> Rule:
    assert isinstance(outcome, Refused), outcome
    return outcome.rule


def resigned(**changed: Any) -> bytes:
    """Approved by both, whatever it says: what is wrong is in the payload alone."""
    return lab.signed_octets(json.dumps(lab.members(**changed), separators=(",", ":")).encode(), ANN, BEN)


def test_a_warrant_holds_and_says_what_may_be_done():
    outcome = lab.verified(SIGNED)
    assert isinstance(outcome, Verified)
    assert outcome.approvals == (lab.key_id(ANN), lab.key_id(BEN)) and outcome.warrant == lab.make()
    assert outcome.digest == sha256(value.encode(lab.make())).hexdigest()
    (task,) = outcome.tasks()
    assert task.xid == lab.XID and task.targets == ("sip:alice@example.com",)
    assert (task.start, task.end) == (value.moment(lab.START), value.moment(lab.END))
    terms = outcome.terms(lab.XID)
    assert terms is not None and terms.liid == "LI-1" and terms.content and not terms.keys_to_lemf
    assert not terms.location and (terms.start, terms.end) == (task.start, task.end)
    assert outcome.terms(lab.OTHER_XID) is None


def test_keys_are_for_the_identity_that_the_task_is_for():
    outcome = lab.verified(SIGNED)
    assert isinstance(outcome, Verified)
    assert outcome.allows_keys(lab.XID, "sips:alice@EXAMPLE.com;transport=tcp")
    assert not outcome.allows_keys(lab.XID, "sip:bob@example.com")
    assert not outcome.allows_keys(lab.OTHER_XID, "sip:alice@example.com")
    assert not outcome.allows_keys(lab.XID, "nobody")
    events = lab.verified(lab.signed(lab.make(scope="iri", keys=None)))
    assert isinstance(events, Verified) and not events.allows_keys(lab.XID, "sip:alice@example.com")


def test_what_matches_more_than_the_target_is_not_covered():
    """A number with user=phone names two identities; a warrant for one of them is not for the other."""
    narrow = lab.make(targets=[{"liid": "L", "xid": lab.XID, "identity": "tel:+4930123"}])
    assert narrow.covering("tel:+49-30-123") and not narrow.covering("sip:+4930123@example.com;user=phone")
    wide = lab.make(targets=[{"liid": "L", "xid": lab.XID, "identity": "sip:+4930123@example.com;user=phone"}])
    assert wide.covering("tel:+4930123") and wide.covering("sip:+4930123@example.com")


# Signatures


def test_the_thumbprint_is_that_of_rfc_8037_appendix_a3():
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert envelope.key_id(trust.public_key(envelope.encoded(public))) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_another_jose_library_reads_it():
    """The file is a JWS in general serialisation, and each signature that of RFC 8032 over RFC 7515's input."""
    file = json.loads(SIGNED)
    for each, name in zip(file["signatures"], (ANN, BEN), strict=True):
        signature = base64.urlsafe_b64decode(each["signature"] + "==")
        lab.key(name).public_key().verify(signature, f"{each['protected']}.{file['payload']}".encode())
        header = json.loads(base64.urlsafe_b64decode(each["protected"] + "=" * (-len(each["protected"]) % 4)))
        assert header == {"alg": "Ed25519", "kid": lab.key_id(name), "typ": "midcall-warrant+json"}


@pytest.mark.parametrize("names", [(), (ANN,), (ANN, ANN), (EVE,), (ANN, EVE)])
def test_fewer_than_two_listed_persons_approve_nothing(names):
    octets = lab.signed_octets(value.encode(lab.make()), *names)
    assert rule(lab.verified(octets)) is Rule.APPROVALS


@pytest.mark.parametrize("person", [ANN, "ANN", " Ann", "Ａｎｎ"])
def test_two_keys_of_one_person_are_one_approval(person):
    listed = lab.trust(lab.entry(ANN), lab.entry("second key", person=person), lab.entry(BEN))
    octets = lab.signed(None, ANN, "second key")
    refused = lab.verified(octets, trust=listed)
    assert rule(refused) is Rule.APPROVALS and "has signed already" in str(refused)
    assert isinstance(lab.verified(lab.signed(None, ANN, "second key", BEN), trust=listed), Verified)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"revoked": "true"}, "revoked"),
        ({"valid_until": "2026-07-02T00:00:00Z"}, "expired"),
        ({"valid_from": "2026-07-02T00:00:01Z"}, "not valid yet"),
    ],
)
def test_an_approver_who_is_revoked_or_out_of_time_does_not_count(changed, says):
    listed = lab.trust(lab.entry(ANN), lab.entry(BEN, **changed), lab.entry(EVE))
    refused = lab.verified(SIGNED, trust=listed)
    assert rule(refused) is Rule.APPROVALS and says in str(refused)
    assert "Ben" not in str(refused) and "Ann" not in str(refused)


def test_more_may_have_to_approve():
    listed = lab.trust("approvals = 3", lab.entry(ANN), lab.entry(BEN), lab.entry(EVE))
    assert rule(lab.verified(SIGNED, trust=listed)) is Rule.APPROVALS
    assert isinstance(lab.verified(lab.signed(None, ANN, BEN, EVE), trust=listed), Verified)


def test_a_wrong_signature_by_a_listed_key_spoils_the_file():
    file = json.loads(lab.signed(None, ANN, BEN, EVE))
    file["signatures"][2]["signature"] = file["signatures"][1]["signature"]
    octets = json.dumps(file, separators=(",", ":")).encode()
    listed = lab.trust(lab.entry(ANN), lab.entry(BEN), lab.entry(EVE))
    assert rule(lab.verified(octets, trust=listed)) is Rule.SIGNATURE


def header(text: bytes | dict[str, Any], at: int = 0) -> bytes:
    file = json.loads(SIGNED)
    octets = text if isinstance(text, bytes) else json.dumps(text, separators=(",", ":")).encode()
    file["signatures"][at]["protected"] = envelope.encoded(octets)
    return json.dumps(file, separators=(",", ":")).encode()


GOOD = {"alg": "Ed25519", "kid": lab.key_id(ANN), "typ": "midcall-warrant+json"}


@pytest.mark.parametrize(
    "protected",
    [
        GOOD | {"alg": "none"},
        GOOD | {"alg": "None"},
        GOOD | {"alg": "EdDSA"},
        GOOD | {"alg": "HS256"},
        GOOD | {"alg": "Ed448"},
        GOOD | {"typ": "JWT"},
        GOOD | {"crit": ["exp"]},
        GOOD | {"b64": False, "crit": ["b64"]},
        GOOD | {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": lab.x(EVE)}},
        {"alg": "Ed25519", "typ": "midcall-warrant+json"},
        {"kid": lab.key_id(ANN), "alg": "Ed25519", "typ": "midcall-warrant+json"},
        b"",
        b"{}",
        b'{"alg":"none","alg":"Ed25519","kid":"%b","typ":"midcall-warrant+json"}' % lab.key_id(ANN).encode(),
        b"\xff",
    ],
)
def test_there_is_no_algorithm_to_choose_and_no_header_to_add(protected):
    assert rule(lab.verified(header(protected))) is Rule.HEADER


def test_nothing_is_signed_with_a_public_key_as_a_secret():
    """HS256 with the listed key as its octets: the confusion of algorithms."""
    from joserfc import jws
    from joserfc.jwk import OctKey

    payload = value.encode(lab.make())
    made = jws.serialize_json(
        [{"protected": GOOD | {"alg": "HS256"}}], payload, OctKey.import_key(lab.x(ANN)), algorithms=["HS256"]
    )
    one = {"protected": made["signatures"][0]["protected"], "signature": made["signatures"][0]["signature"]}
    file = {"payload": made["payload"], "signatures": [one, json.loads(SIGNED)["signatures"][1]]}
    assert rule(lab.verified(json.dumps(file, separators=(",", ":")).encode())) is Rule.HEADER


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"signature":', b'"header":{"alg":"Ed25519"},"signature":', 1),
        lambda text: text.replace(b'{"payload"', b'{"payload":"e30","payload"', 1),
        lambda text: text.replace(b'{"protected"', b'{"protected":"e30","protected"', 1),
        lambda text: text.replace(b'"signatures":[', b'"signatures":[],"signatures":[', 1),
        lambda text: text[:-1] + b',"more":1}',
        lambda text: b" " + text,
        lambda text: text + b"\n",
        lambda text: text.replace(b'"payload"', b'"pa\\u0079load"'),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text + text,
        lambda text: text.decode().encode("utf-16"),
        lambda text: b"",
        lambda text: b"null",
        lambda text: b"[" * 100_000,
        lambda text: b'{"payload":' * 5_000,
        lambda text: b'{"payload":"' + b"A" * (1 << 20) + b'"}',
    ],
)
def test_a_file_has_one_spelling(change):
    assert rule(lab.verified(change(SIGNED))) is Rule.FORM


def test_more_signatures_than_the_bound():
    file = json.loads(SIGNED)
    file["signatures"] *= 5
    assert rule(lab.verified(json.dumps(file, separators=(",", ":")).encode())) is Rule.FORM
    full = envelope.read(lab.signed(None, *(f"key {n}" for n in range(envelope.MAX_SIGNATURES))))
    with pytest.raises(FormError):
        envelope.sign(full, lab.key(EVE))


# Contents


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


# Here, and now


@pytest.mark.parametrize(
    ("text", "ns", "broken"),
    [
        (lab.START, -1, Rule.NOT_BEGUN),
        (lab.START, 0, None),
        (lab.START, 1, None),
        (lab.END, -1, None),
        (lab.END, 0, Rule.ENDED),
        (lab.END, 1, Rule.ENDED),
    ],
)
def test_the_edges_of_the_window(text, ns, broken):
    outcome = lab.verified(SIGNED, now=lab.at(text, ns))
    assert isinstance(outcome, Verified) if broken is None else rule(outcome) is broken
    if broken is Rule.NOT_BEGUN:
        assert isinstance(outcome, Refused) and outcome.begins == value.moment(lab.START)


@pytest.mark.parametrize(("days", "holds"), [(29, False), (30, True)])
def test_no_warrant_runs_longer_than_this_element_allows(days, holds):
    outcome = lab.verified(SIGNED, trust=lab.trust(max_days=days))
    assert isinstance(outcome, Verified) if holds else rule(outcome) is Rule.LENGTH


def test_another_elements_warrant():
    assert isinstance(lab.verified(SIGNED, element="df2-1"), Verified)
    for element in ("poi-2", "POI-1", "", "poi"):
        assert rule(lab.verified(SIGNED, element=element)) is Rule.ELEMENT


def test_an_open_window_closes_on_either_clock():
    outcome = lab.verified(SIGNED, now=lab.at(lab.END, -10))
    assert isinstance(outcome, Verified)
    wall, mono = outcome.at.wall, outcome.at.mono
    assert outcome.open(Instant(wall + 9, mono + 9)) and not outcome.open(Instant(wall + 10, mono + 10))
    assert not outcome.open(Instant(wall - 1_000, mono + 10)), "the wall clock was set back"
    assert not outcome.open(Instant(wall + 10, mono + 1)), "it was set forward"
    assert not outcome.open(Instant(wall, mono - 1)), "another boot's count"
    assert not outcome.open(Instant(value.moment(lab.START) - 1, mono + 1))
    assert outcome.deadline() == Instant(wall + 10, mono + 10)


# Versions


def test_an_older_version_does_not_come_back():
    first, second = lab.signed(), lab.signed(lab.make(version=2, supersedes=1))
    outcome = lab.verified(second)
    assert isinstance(outcome, Verified)
    known = {"W-1": outcome.known}
    assert rule(lab.verified(first, known)) is Rule.VERSION
    assert isinstance(lab.verified(second, known), Verified)


def test_one_version_is_one_warrant():
    outcome = lab.verified(SIGNED)
    assert isinstance(outcome, Verified)
    assert rule(lab.verified(lab.signed(lab.make(location=True)), {"W-1": outcome.known})) is Rule.VERSION
    assert isinstance(lab.verified(lab.signed(None, BEN, ANN), {"W-1": outcome.known}), Verified)


def test_a_version_is_drawn_up_with_the_last_one_in_view():
    known = {"W-1": Known(3, "00" * 32)}
    assert rule(lab.verified(lab.signed(lab.make(version=4, supersedes=2)), known)) is Rule.VERSION
    assert isinstance(lab.verified(lab.signed(lab.make(version=4, supersedes=3)), known), Verified)
    assert isinstance(lab.verified(lab.signed(lab.make(version=5, supersedes=4)), known), Verified)


def test_a_revocation_is_the_last_word():
    outcome = lab.verified(lab.signed(lab.revocation(2)), now=lab.at("2030-01-01T00:00:00Z"), trust=forever())
    assert isinstance(outcome, Revoked) and outcome.id == "W-1" and outcome.known.revoked
    known = {"W-1": outcome.known}
    assert rule(lab.verified(SIGNED, known)) is Rule.REVOKED
    assert rule(lab.verified(lab.signed(lab.make(version=3, supersedes=2)), known)) is Rule.REVOKED
    assert isinstance(lab.verified(lab.signed(lab.revocation(2)), known), Revoked)
    assert isinstance(lab.verified(lab.signed(lab.revocation(3)), known), Revoked)


def forever() -> trust.TrustList:
    until = {"valid_until": "2040-01-01T00:00:00Z"}
    return lab.trust(lab.entry(ANN, **until), lab.entry(BEN, **until))


def test_a_revocation_takes_two_persons_and_a_higher_version():
    assert rule(lab.verified(lab.signed(lab.revocation(2), ANN))) is Rule.APPROVALS
    known = {"W-1": Known(4, "00" * 32)}
    assert rule(lab.verified(lab.signed(lab.revocation(3)), known)) is Rule.VERSION
    assert rule(lab.verified(lab.signed(lab.revocation(4)), known)) is Rule.VERSION
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(
            {"type": "revocation", "id": "W", "version": 1, "supersedes": 1, "reference": "r"}, type(lab.revocation(2))
        )


# The trust list


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (lab.trust_text(lab.entry(ANN)), "approver"),
        (lab.trust_text(lab.entry(ANN), lab.entry("second", person=" ann ")), "1 person listed"),
        (lab.trust_text(lab.entry(ANN), lab.entry(ANN, person="Ben")), "line 8: approver: this key is in the list"),
        (lab.trust_text("approvals = 1", lab.entry(ANN), lab.entry(BEN)), "line 2: approvals"),
        (lab.trust_text("approvals = 3", lab.entry(ANN), lab.entry(BEN)), "2 person"),
        (lab.trust_text(max_days=0), "line 1: max_days"),
        (lab.trust_text().replace("max_days = 90", ""), "max_days"),
        (lab.trust_text(lab.entry(ANN), lab.entry(BEN, colour='"red"')), "colour"),
        (lab.trust_text(lab.entry(ANN), lab.entry(BEN, valid_until="2026-01-01T00:00:00Z")), "valid_until"),
        (lab.trust_text(lab.entry(ANN), lab.entry(BEN, valid_until="2026-01-01")), "valid_until"),
        (lab.trust_text(lab.entry(ANN), lab.entry(BEN, valid_until="2026-01-01T00:00:00")), "valid_until"),
        (lab.trust_text().replace(lab.x(BEN), "A" * 42), "public_key"),
        (lab.trust_text().replace(lab.x(BEN), "A" * 42 + "B"), "one spelling"),
        (lab.trust_text().replace('"Ben"', '"Be\\u200bn"'), "do not show"),
        ("max_days", "line 1: no TOML"),
    ],
)
def test_what_is_wrong_in_a_trust_list(text, says):
    with pytest.raises(ConfigError) as error:
        trust.read(text)
    assert says in str(error.value)


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def eight_times(octets: bytes) -> tuple[int, int] | None:
    """8A on the curve of RFC 8032 5.1; None when the octets are no point."""
    y = int.from_bytes(octets, "little") & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    point = (x, y % P)
    for _ in range(3):
        (a, b), product = point, D * point[0] ** 2 * point[1] ** 2
        point = (2 * a * b * pow(1 + product, -1, P) % P, (b * b + a * a) * pow(1 - product, -1, P) % P)
    return point


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("octets", sorted(trust._SMALL_ORDER), ids=bytes.hex)
def test_keys_under_which_anybody_can_sign_are_no_keys(octets, sign):
    assert eight_times(octets) == (0, 1)
    text = envelope.encoded(octets[:-1] + bytes([octets[-1] | sign]))
    with pytest.raises(FormError, match="anybody"):
        trust.public_key(text)


def test_an_honest_key_is_of_large_order():
    assert eight_times(base64.urlsafe_b64decode(lab.x(ANN) + "=")) not in ((0, 1), None)


def test_fewer_than_two_cannot_be_configured():
    with pytest.raises(ValueError, match="fewer than 2"):
        trust.TrustList({}, 1, 1)
    assert "Ann" not in repr(lab.trust().approver(lab.key_id(ANN)))


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
