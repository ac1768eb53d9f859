"""The trust list: two persons, each key once, and none under which anybody can sign."""

from __future__ import annotations

import base64

import pytest

from midcall.base.warrant import FormError, envelope, trust
from midcall.config import ConfigError
from tests.midcall import warrants as lab
from tests.midcall.warrants import ANN, BEN


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
