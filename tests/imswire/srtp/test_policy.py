"""Policies from MIKEY's SP parameters: defaults, overrides, and what is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import srtp


def sp(**values: int) -> dict[int, bytes]:
    return {int(name[1:]): bytes([value]) for name, value in values.items()}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, srtp.AES_CM_128_HMAC_SHA1_80),
        (sp(_0=1, _1=16, _2=1, _3=20, _4=14, _5=0, _6=0, _11=10), srtp.AES_CM_128_HMAC_SHA1_80),
        (sp(_11=4, _18=4, _19=10), srtp.AES_CM_128_HMAC_SHA1_32),
        (sp(_1=24), srtp.AES_192_CM_HMAC_SHA1_80),
        (sp(_0=2), srtp.F8_128_HMAC_SHA1_80),
        (sp(_1=32), srtp.AES_256_CM_HMAC_SHA1_80),
        (sp(_1=32, _18=4), srtp.AES_256_CM_HMAC_SHA1_32),
        (sp(_0=6, _4=12, _20=16), srtp.AEAD_AES_128_GCM),
        (sp(_0=6, _1=32, _4=12, _2=4), srtp.AEAD_AES_256_GCM),
    ],
)
def test_policies(params, expected):
    assert srtp.Policy.from_sp(params) == expected


def test_a_short_tag_leaves_the_srtcp_tag_open():
    assert srtp.Policy.from_sp(sp(_11=4)).rtcp_tag_lengths == (10, 4)
    assert srtp.Policy.from_sp(sp(_11=4, _19=4)).rtcp_tag_lengths == (4,)


def test_switched_off():
    null = srtp.Policy.from_sp(sp(_7=0, _8=0))
    assert not null.encrypts_rtp and not null.encrypts_rtcp and null.name == "NULL_HMAC_SHA1_80"
    assert srtp.Policy.from_sp(sp(_7=0)).encrypts_rtcp
    assert srtp.Policy.from_sp(sp(_0=0)).name == "NULL_HMAC_SHA1_80"
    assert srtp.F8_128_HMAC_SHA1_80.name == "F8_128_HMAC_SHA1_80"
    assert srtp.AES_192_CM_HMAC_SHA1_32.name == "AES_192_CM_HMAC_SHA1_32"
    bare = srtp.Policy.from_sp(sp(_10=0))
    assert not bare.authenticates_rtp and bare.tag_length == 0 and bare.name == "AES_CM_128_NULL_AUTH"
    assert not srtp.Policy.from_sp(sp(_2=0)).authenticates_rtp
    assert srtp.AEAD_AES_128_GCM.authenticates_rtp


@pytest.mark.parametrize(
    ("params", "name"),
    [
        (sp(_2=0, _3=0, _11=0), "AES_CM_128_NULL_AUTH"),
        (sp(_10=0, _11=0), "AES_CM_128_NULL_AUTH"),
        (sp(_14=0, _16=0, _18=0), "AES_CM_128_NULL_AUTH"),
        (sp(_0=0, _1=0, _4=0), "NULL_HMAC_SHA1_80"),
        (sp(_0=0, _1=0, _2=0, _3=0, _4=0, _11=0), "NULL_NULL_AUTH"),
        (sp(_0=6, _1=16, _2=0, _3=0, _4=12, _11=0, _15=0, _20=16), "AEAD_AES_128_GCM"),
        ({250: bytes(9)}, "AES_CM_128_HMAC_SHA1_80"),
    ],
)
def test_lengths_of_what_is_not_there(params, name):
    policy = srtp.Policy.from_sp(params)
    assert policy.name == name and policy.rtcp_tag_lengths == ((16,) if policy.aead else (10,))


@pytest.mark.parametrize(
    ("params", "number"),
    [
        (sp(_0=3), 0),
        (sp(_0=2, _1=32), 1),
        (sp(_0=99), 0),
        (sp(_1=17), 1),
        (sp(_0=6, _1=24), 1),
        (sp(_2=2), 2),
        (sp(_3=10), 3),
        (sp(_3=0), 3),
        (sp(_2=0, _3=10), 3),
        (sp(_1=0), 1),
        (sp(_11=0), 11),
        (sp(_0=6, _20=8), 20),
        (sp(_4=12), 4),
        (sp(_0=6, _4=14), 4),
        (sp(_5=1), 5),
        (sp(_6=1), 6),
        (sp(_0=6, _7=0), 7),
        (sp(_11=7), 11),
        (sp(_19=9), 19),
        (sp(_20=8), 20),
        ({11: b""}, 11),
        ({11: bytes(5)}, 11),
    ],
)
def test_what_is_refused_is_named(params, number):
    with pytest.raises(srtp.SrtpError, match=f"parameter {number}"):
        srtp.Policy.from_sp(params)


@given(st.dictionaries(st.integers(0, 25), st.binary(max_size=5), max_size=8))
def test_anything_else_raises_only_its_error(params):
    try:
        assert srtp.Policy.from_sp(params).name
    except srtp.SrtpError as error:
        assert "parameter" in str(error)
