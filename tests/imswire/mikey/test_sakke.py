"""RFC 6508 Appendix A in every step, the parameters of RFC 6509, keys of hashed identifiers, and what is refused."""

from __future__ import annotations

import hashlib

import pytest

from imswire import mikey
from imswire.mikey import sakke
from imswire.mikey.curve import Point
from imswire.mikey.sakke import BASE, CURVE, G
from tests.imswire.mikey.sakke_vectors import IDENTIFIER, MASTER, RFC_6508, SET, UIDS, number, octets

KEY = Point(number(RFC_6508, "Kbx"), number(RFC_6508, "Kby"))
DATA = octets(RFC_6508, "Encapsulated Data")


def test_parameter_set_1():
    assert (CURVE.p, CURVE.order) == (number(SET, "p"), number(SET, "q"))
    assert (number(SET, "Px"), number(SET, "Py")) == BASE and number(SET, "g") == G
    assert CURVE.has(BASE) and CURVE.multiply(CURVE.order, BASE) is None
    assert sakke.pairing(BASE, BASE) == G


def test_rfc_6508_appendix_a():
    assert (number(RFC_6508, "Zx"), number(RFC_6508, "Zy")) == MASTER.public
    assert MASTER.receiver_key(IDENTIFIER) == KEY
    r = sakke.hash_to_integer(octets(RFC_6508, "SSV") + IDENTIFIER, CURVE.order)
    assert r == number(RFC_6508, "r")
    assert sakke._power(G, r) == number(RFC_6508, "g^r")
    assert sakke.hash_to_integer(octets(RFC_6508, "g^r"), 1 << 128) == number(RFC_6508, "mask")
    assert sakke.encapsulate(octets(RFC_6508, "SSV"), IDENTIFIER, MASTER.public) == DATA
    assert sakke.decapsulate(DATA, IDENTIFIER, KEY, MASTER.public) == octets(RFC_6508, "SSV")


def test_hash_to_integer_step_by_step():
    trace = RFC_6508["Hash-to-integer trace"]
    assert hashlib.sha256(octets(RFC_6508, "SSV") + IDENTIFIER).hexdigest() == trace["A"]
    whole = bytes.fromhex("".join(trace[f"v{step}"] for step in range(1, 5)))
    assert int.from_bytes(whole, "big") % CURVE.order == number(RFC_6508, "r")


def test_pairing_is_bilinear():
    twice = CURVE.multiply(2, BASE)
    assert sakke.pairing(twice, BASE) == sakke.pairing(BASE, twice) == sakke._power(G, 2)


def test_key_of_a_hashed_identifier():
    key, identifier = sakke.read_point(octets(UIDS, "receiver secret key")), octets(UIDS, "UID of the receiver")
    assert MASTER.receiver_key(identifier) == key
    assert sakke.proves(key, identifier, MASTER.public)
    assert not sakke.proves(key, identifier + b"x", MASTER.public)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (DATA[:-1], "272 octets"),
        (b"", "0 octets"),
        (b"\x02" + DATA[1:], "begins with 4"),
        (DATA[:100] + b"\0" + DATA[101:], "not on the curve"),
        (DATA[:-1] + bytes((DATA[-1] ^ 1,)), "not made for this identifier"),
        (CURVE.write(BASE) + DATA[-16:], "not made for this identifier"),
    ],
)
def test_data_that_is_refused(data, reason):
    with pytest.raises(mikey.MikeyError, match=reason):
        sakke.decapsulate(data, IDENTIFIER, KEY, MASTER.public)


def test_another_receiver_cannot_open():
    other = MASTER.receiver_key(b"other")
    for identifier, key in ((IDENTIFIER, other), (b"other", other), (b"other", KEY)):
        with pytest.raises(mikey.MikeyError, match="not made for"):
            sakke.decapsulate(DATA, identifier, key, MASTER.public)


@pytest.mark.parametrize("identifier", [b"", bytes(513)])
def test_identifiers_are_bounded(identifier):
    with pytest.raises(mikey.MikeyError, match="identifier of"):
        MASTER.receiver_key(identifier)


def test_what_gives_no_key():
    with pytest.raises(mikey.MikeyError, match="master secret is zero"):
        sakke.MasterSecret(CURVE.order.to_bytes(128, "big"))
    with pytest.raises(mikey.MikeyError, match="no key under"):
        sakke.MasterSecret((CURVE.order - 5).to_bytes(128, "big")).receiver_key(b"\5")
    minus = sakke.MasterSecret((CURVE.order - 5).to_bytes(128, "big")).public
    with pytest.raises(mikey.MikeyError, match="cannot be encrypted to"):
        sakke.encapsulate(bytes(16), b"\5", minus)
    with pytest.raises(mikey.MikeyError, match="of 15 octets"):
        sakke.encapsulate(bytes(15), b"\5", MASTER.public)
    with pytest.raises(mikey.MikeyError, match="right order"):
        # A point of order 2: y = 0.
        sakke.read_point(CURVE.write(Point(0, 0)))


def test_degenerate_pairings_raise_only_their_error():
    with pytest.raises(mikey.MikeyError, match="degenerate|not made"):
        sakke.decapsulate(CURVE.write(Point(0, 0)) + bytes(16), IDENTIFIER, KEY, MASTER.public)


def test_the_master_secret_does_not_show():
    assert "redacted" in repr(MASTER)
