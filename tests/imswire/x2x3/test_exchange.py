"""The private payload: what the own DF2 gets beside the events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import x2x3
from imswire.errors import WireError
from imswire.x2x3 import Attribute, Proprietary, X2X3Error
from imswire.x2x3 import exchange as x
from tests.imswire.x2x3.samples import HEAD, TIME, changed

AT = x.Moment(TIME, 5)
INIT, RESP = x.Kept(b"\x01\x0e init", AT, 4), x.Kept(b"\x01\x0f resp", x.Moment(TIME + 1, 6), 5)
DIALOG = x.Dialog("call@host", "t1", "t2")
FULL = x.Session(
    "sip:alice@example.com",
    DIALOG,
    AT,
    x.Moment(TIME - 60_000_000_000, 1),
    x.CALLEE,
    x.CALLER,
    x.Kept(b"INVITE", AT, 1),
    x.Kept(b"SIP/2.0 200 OK", AT, 2),
    (
        x.Exchange(None, x.CALLER, INIT, RESP, (x.Update(x.CALLEE, INIT, RESP), x.Update(x.CALLER, INIT))),
        x.Exchange(1, x.CALLEE, INIT),
    ),
    True,
)
BARE = x.Session("", x.Dialog("", "", ""), x.Moment(0, 0), x.Moment(0, 0), x.CALLER)
MESSAGES = (FULL, BARE, x.Released(DIALOG, AT, "BYE"), x.Fault(DIALOG, AT, 7, "SDP: broken"))

_texts = st.text(max_size=12).filter(lambda text: not any("\ud800" <= each <= "\udfff" for each in text))
_texts |= st.binary(max_size=12).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
_times = st.integers(0, 2**64 - 1)
_moments = st.builds(x.Moment, _times, _times)
_dialogs = st.builds(x.Dialog, _texts, _texts, _texts)
_kept = st.builds(x.Kept, st.binary(max_size=20), _moments, _times)
_sides = st.sampled_from((x.CALLER, x.CALLEE))
_updates = st.builds(x.Update, _sides, _kept, st.none() | _kept)
_exchanges = st.builds(
    x.Exchange,
    st.none() | st.integers(0, 65_535),
    _sides,
    _kept,
    st.none() | _kept,
    st.lists(_updates, max_size=3).map(tuple),
)
_sessions = st.builds(
    x.Session, _texts, _dialogs, _moments, _moments, _sides, st.none() | _sides, st.none() | _kept, st.none() | _kept,
    st.lists(_exchanges, max_size=3).map(tuple), st.booleans(),
)  # fmt: skip
messages = (
    _sessions
    | st.builds(x.Released, _dialogs, _moments, _texts)
    | st.builds(x.Fault, _dialogs, _moments, _times, _texts)
)


@given(messages)
def test_round_trip(message):
    assert x.parse(x.build(message)) == message


@given(st.builds(x.Context, st.none() | _dialogs, st.none() | _sides, _times, _times))
def test_round_trip_of_context(value):
    event = x2x3.Pdu(1, 9, 3, HEAD.xid, attributes=(x.context(value),))
    assert x.context_of(x2x3.parse(x2x3.build(event))) == value


@given(st.integers(0, 3), st.binary(max_size=60))
def test_nothing_but_its_own_error(kind, octets):
    payload = bytes((len(x.OWNER),)) + x.OWNER.encode() + bytes((1, kind)) + octets
    try:
        assert x.build(x.parse(payload)) == payload
    except WireError:
        return


@given(st.sampled_from(MESSAGES), st.data())
def test_octets_changed(message, data):
    octets = bytearray(x.build(message))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert x.build(x.parse(bytes(octets))) == bytes(octets)
    except WireError:
        return


def test_octets():
    """The layout as it is written down."""
    owner = "0f6d696463616c6c2e696e76616c6964"
    released = "01 02 0001 63 0001 61 0000 0000000000000001 0000000000000002 0003 425945"
    built = x.build(x.Released(x.Dialog("c", "a", ""), x.Moment(1, 2), "BYE"))
    assert built == bytes.fromhex(owner + released)
    kept = x.Kept(b"\xee", x.Moment(3, 4), 5)
    session = x.Session(
        "i", x.Dialog("c", "a", "b"), x.Moment(1, 2), x.Moment(0, 1), x.CALLEE, x.CALLEE, kept,
        exchanges=(x.Exchange(2, x.CALLEE, kept, kept, (x.Update(x.CALLEE, kept),)),), pending=True,
    )  # fmt: skip
    message = "0000000000000003 0000000000000004 0000000000000005 0001 ee"
    expected = (
        "01 01 1f 0001 69 0001 63 0001 61 0001 62 0000000000000001 0000000000000002 0000000000000000 0000000000000001"
        f"{message} 0001 07 0002 {message} {message} 0001 01 {message}"
    )
    assert x.build(session) == bytes.fromhex(owner + expected)


def test_the_pdu():
    found = x2x3.parse(x2x3.build(x.pdu(HEAD, FULL, "df2.operator.example")))
    assert (found.kind, found.format, found.direction) == (1, x2x3.PayloadFormat.PROPRIETARY, 5)
    assert x.parse(found.payload, "df2.operator.example") == FULL and x2x3.check(found, of_3gpp=True) == ()


def test_it_is_read_under_the_own_name_only():
    for owner in ("other.example", "midcall.invali", "midcall.invalid.example"):
        with pytest.raises(X2X3Error, match="not of midcall.invalid"):
            x.parse(x.build(FULL, owner))
    for owner in ("", "x" * 256, "\xe9.example"):
        with pytest.raises(X2X3Error, match="domain name"):
            x.build(FULL, owner)


def test_context_of_others_is_passed_over():
    value = x.Context(DIALOG, x.CALLEE, 5, 6)
    held = (
        Attribute(4, Proprietary("other.example", b"?")),
        Attribute(4, b"?"),
        x.context(value),
        x.context(x.Context()),
        x.context(x.Context(None, x.CALLER, authenticated=False)),
    )
    event = x2x3.Pdu(1, 9, 3, HEAD.xid, attributes=held)
    assert x.context_of(event) == value and x.context_of(event, "third.example") is None
    with pytest.raises(X2X3Error, match="cut short"):
        x.context_of(event, "other.example")
    with pytest.raises(X2X3Error, match="kind 2"):
        x.context_of(x2x3.Pdu(1, 9, 3, HEAD.xid, attributes=(Attribute(4, Proprietary(x.OWNER, b"\x01\x02")),)))


FRONT = 1 + len(x.OWNER)


@pytest.mark.parametrize(
    "octets, rule",
    [
        (x.build(FULL)[:-1], "cut short"),
        (x.build(FULL)[: FRONT + 1], "cut short"),
        (x.build(FULL) + b"x", "behind the end"),
        (changed(x.build(FULL), FRONT, 2), "version 2, 1 is read"),
        (changed(x.build(FULL), FRONT + 1, 4), "kind 4"),
        (changed(x.build(FULL), FRONT + 2, 0x40), "a flag"),
        (changed(x.build(BARE), FRONT + 2, 0x04), "side of a target"),
        (x.build(BARE)[:-2] + b"\xff\xff", "65535 where at most 1024"),
        (bytes(x.MAX_OCTETS + 1), "at most"),
        (b"", "not of"),
    ],
)
def test_refused(octets, rule):
    with pytest.raises(X2X3Error, match=rule):
        x.parse(octets)


BIG = x.Kept(bytes(65_535), AT)


def session(**changes: object) -> x.Session:
    given = {name: getattr(BARE, name) for name in BARE.__struct_fields__} | changes
    return x.Session(**given)


@pytest.mark.parametrize(
    "message, rule",
    [
        (session(identity="x" * 65_536), "text of 65536"),
        (session(identity="\ud800"), "text that is none"),
        (session(at=x.Moment(-1, 0)), "out of range"),
        (session(at=x.Moment(0, 1 << 64)), "out of range"),
        (session(offer=x.Kept(bytes(65_536), AT)), "message of 65536"),
        (session(offerer=2), "a side"),
        (session(target=-1), "a side"),
        (session(exchanges=(x.Exchange(65_536, x.CALLER, INIT),)), "does not fit into 16 bits"),
        (session(exchanges=(x.Exchange(-1, x.CALLER, INIT),)), "out of range"),
        (session(exchanges=(x.Exchange(None, 2, INIT),)), "a side"),
        (session(exchanges=(x.Exchange(0, 0, INIT),) * 1_025), "1025 exchanges"),
        (session(exchanges=(x.Exchange(0, 0, INIT, None, (x.Update(0, INIT),) * 1_025),)), "1025 updates"),
        (session(exchanges=(x.Exchange(0, 0, BIG),) * 31), "2032[0-9]{3} octets, at most"),
        (x.Fault(DIALOG, AT, -1, ""), "out of range"),
    ],
)
def test_bounds(message, rule):
    with pytest.raises(X2X3Error, match=rule):
        x.build(message)


def test_the_largest_fits_into_a_splitter():
    largest = session(exchanges=(x.Exchange(0, 0, BIG),) * 30)
    octets = x2x3.build(x.pdu(HEAD, largest))
    assert x2x3.Splitter().feed(octets) == [octets]
