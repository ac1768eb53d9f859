"""A warrant is read in one way only, counts with two persons' signatures, and holds here and now or not at all."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from midcall.base.warrant import FormError, Known, Refused, Revoked, Rule, Verified, envelope, trust, value
from midcall.events import Instant
from tests.midcall import warrants as lab
from tests.midcall.warrants import ANN, BEN, EVE, rule

SIGNED = lab.signed()


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


def test_whoever_holds_the_private_half_signs_octets_as_they_are():
    """As a token does: Ed25519 is deterministic, so that it is the same signature."""
    read, key = envelope.draft(value.encode(lab.make())), lab.key(ANN)
    assert envelope.signature(read, key.public_key(), key.sign) == envelope.sign(read, key).signatures[0]


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
