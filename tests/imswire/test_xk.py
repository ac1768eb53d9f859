"""Xk in JSON: what is written is read again, and no octets get anything out of the reader but its own error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from imswire import xk
from imswire.xk import Code, Key, Refusal, Request, Response, Seen, Update, XkError

SEEN = Seen(octets=b"\x01\xff", at=1_700_000_000_000_000_000)
REQUEST = Request(
    transaction="t-1",
    xid="0a000000-0000-4000-8000-000000000001",
    identity="sip:alice@example.com",
    init=SEEN,
    response=SEEN,
    updates=(Update(init=SEEN), Update(init=SEEN, response=SEEN)),
    parties=("sip:bob@example.com",),
    warrant="{}",
)
KEY = Key(
    cs_id=1,
    generation=0,
    ssrc=0xA,
    roc=None,
    seq=None,
    key=b"k" * 16,
    salt=b"s" * 14,
    mki=b"\x01",
    policy={0: b"\x01", 11: b"\x0a"},
    proved=True,
)
RESPONSE = Response(transaction="t-1", kms="kms.example.com", keys=(KEY,), failures=("crypto session 2: no key",))


def test_the_octets_of_a_question():
    """As docs/reference/xk.md tells it, read by a JSON that is not ours."""
    told = json.loads(xk.write(REQUEST))
    assert told["init"] == {"octets": "Af8=", "at": 1_700_000_000_000_000_000}
    assert told["updates"][0] == {"init": told["init"], "response": None}
    assert (told["transaction"], told["identity"], told["warrant"]) == ("t-1", "sip:alice@example.com", "{}")
    assert xk.read_request(xk.write(REQUEST)) == REQUEST


def test_the_octets_of_an_answer():
    octets = xk.write_keys(RESPONSE)
    (key,) = json.loads(octets)["keys"]
    assert key["key"] == "a2tra2tra2tra2tra2traw==" and key["policy"] == {"0": "AQ==", "11": "Cg=="}
    assert key["ssrc"] == 10 and key["roc"] is None and key["proved"] is True
    assert xk.read_keys(octets) == RESPONSE
    assert isinstance(octets, bytearray)


def test_members_that_a_later_version_adds_are_for_who_knows_them():
    told = json.loads(xk.write_keys(RESPONSE)) | {"later": 1}
    assert xk.read_keys(json.dumps(told).encode()) == RESPONSE
    assert xk.read_refusal(b'{"code":"later","more":[]}') == Refusal(code="later")
    with pytest.raises(XkError, match="^has a member that does not belong there"):
        xk.read_request(json.dumps(json.loads(xk.write(REQUEST)) | {"later": 1}).encode())


def test_what_may_be_left_out():
    told = {"transaction": "t", "xid": "x", "identity": "sip:a@b", "init": {"octets": "AQ==", "at": 0}}
    least = xk.read_request(json.dumps(told).encode())
    assert least.warrant is None and least.response is None and least.updates == () and least.parties == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"transaction": "a b"}, "^transaction: "),
        ({"identity": ""}, "^identity: "),
        ({"init": {"octets": "*", "at": 0}}, "^init.octets: none of the values"),
        ({"init": {"octets": "", "at": 0}}, "^init.octets: "),
        ({"init": {"octets": "AQ==", "at": -1}}, "^init.at: "),
        ({"init": {"octets": "A" * 100_000, "at": 0}}, "^init.octets: "),
        ({"updates": [{}] * 2}, "^updates: "),
        ({"parties": ["x"] * 17}, "^parties: "),
        ({"warrant": 1}, "^warrant: "),
        ({"secret": "sip:target@example.com"}, "^has a member"),
    ],
)
def test_what_is_no_question(change, reason):
    octets = json.dumps(json.loads(xk.write(REQUEST)) | change).encode()
    with pytest.raises(XkError, match=reason) as caught:
        xk.read_request(octets)
    assert "target" not in str(caught.value)


def test_bounds():
    with pytest.raises(XkError, match="longer than"):
        xk.read_request(bytes(xk.MAX_REQUEST + 1))
    with pytest.raises(XkError, match="not JSON"):
        xk.read_keys(b'{"x":' + b"[" * 100_000)


def test_nothing_shows_a_key_or_a_target():
    for shown in (repr(KEY), repr(RESPONSE), repr(REQUEST)):
        assert "kkkk" not in shown and "ssss" not in shown and "alice" not in shown


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_status(code):
    assert 400 <= code.status < 600
    assert not code.passing or code.status >= 500
    assert xk.read_refusal(xk.write(Refusal(code=code))).code == code


octets = st.binary(min_size=1, max_size=40)
seen = st.builds(Seen, octets=octets, at=st.integers(0, xk.MAX_TIME))
# JSON has no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
requests = st.builds(
    Request,
    transaction=st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z"),
    xid=texts,
    identity=texts,
    init=seen,
    response=st.none() | seen,
    updates=st.lists(st.builds(Update, init=seen, response=st.none() | seen), max_size=3).map(tuple),
    parties=st.lists(texts, max_size=3).map(tuple),
    warrant=st.none() | texts,
)


@given(requests)
def test_a_question_is_read_as_it_was_written(request):
    assert xk.read_request(xk.write(request)) == request


@given(st.binary(max_size=64), st.integers(0, 255), st.dictionaries(st.integers(0, 255), octets, max_size=4))
def test_an_answer_is_read_as_it_was_written(key, cs_id, policy):
    response = structs.replace(RESPONSE, keys=(structs.replace(KEY, key=key, cs_id=cs_id, policy=policy),))
    assert xk.read_keys(xk.write_keys(response)) == response


@given(st.binary(max_size=200) | st.from_regex(rb'\{"(transaction|keys|code|init)":.{0,40}\}', fullmatch=True))
def test_no_octets_give_anything_but_a_message_or_the_error(octets):
    for reader in (xk.read_request, xk.read_keys, xk.read_refusal):
        try:
            reader(octets)
        except XkError:
            continue


def test_the_document_tells_every_member_and_code():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "xk.md").read_text(encoding="utf-8")
    told = [
        *Code,
        *(name for kind in (Request, Update, Seen, Response, Key, Refusal) for name in kind.__struct_fields__),
    ]
    assert [name for name in told if f"`{name}`" not in text] == []
