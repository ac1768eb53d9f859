"""Sealing: what opens, what does not, and what is left of a key."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from midcall.base.seal import MAX_CIPHERS, OVERHEAD, SealError, SealKey

KEY = bytes(range(32))


def test_what_was_sealed_opens_at_its_place_with_the_same_key() -> None:
    sealed = SealKey(KEY).seal(b"a record", b"row 1")
    assert SealKey(KEY).open(sealed, b"row 1") == b"a record"
    assert len(sealed) == OVERHEAD + len(b"a record")


def test_the_form_is_as_documented() -> None:
    sealed = SealKey(KEY).seal(b"a record", b"row 1")
    sub_key = HKDF(SHA256(), 32, sealed[:16], b"midcall seal 1").derive(KEY)
    assert AESGCM(sub_key).decrypt(bytes(4) + sealed[16:24], sealed[24:], b"row 1") == b"a record"


def test_no_nonce_serves_twice() -> None:
    keys = [SealKey(KEY) for _ in range(3)]
    assert len({key.seal(b"", b"")[:24] for key in keys for _ in range(3)}) == 9


@pytest.mark.parametrize("octet", [0, 15, 16, 23, 24, -1])
def test_damage_does_not_open(octet: int) -> None:
    sealed = bytearray(SealKey(KEY).seal(b"a record", b"row 1"))
    sealed[octet] ^= 1
    with pytest.raises(SealError):
        SealKey(KEY).open(bytes(sealed), b"row 1")


def test_another_place_another_key_and_too_few_octets_do_not_open() -> None:
    sealed = SealKey(KEY).seal(b"a record", b"row 1")
    for key, octets, place in ((KEY, sealed, b"row 2"), (bytes(32), sealed, b"row 1"), (KEY, sealed[:39], b"row 1")):
        with pytest.raises(SealError):
            SealKey(key).open(octets, place)


def test_a_wrapped_key_opens_what_it_sealed() -> None:
    master, data = SealKey(KEY), SealKey.fresh()
    again = master.unwrap(master.wrap(data, b"LIID"), b"LIID")
    assert again.open(data.seal(b"a record", b""), b"") == b"a record"
    with pytest.raises(SealError):
        master.unwrap(master.seal(b"no key", b""), b"")


def test_a_wiped_key_does_nothing_any_more() -> None:
    with SealKey(KEY) as key:
        sealed = key.seal(b"a record", b"")
        key.open(sealed, b"")
    assert key._octets == bytes(32)
    for act in (lambda: key.seal(b"", b""), lambda: key.open(sealed, b"")):
        with pytest.raises(SealError):
            act()


def test_damaged_salts_do_not_fill_the_memory() -> None:
    key = SealKey(KEY)
    for salt in range(MAX_CIPHERS + 5):
        with pytest.raises(SealError):
            key.open(salt.to_bytes(16, "big") + bytes(24), b"")
    assert len(key._ciphers) == MAX_CIPHERS


def test_a_key_shows_nothing_and_has_its_length() -> None:
    assert KEY.hex() not in repr(SealKey(KEY))
    with pytest.raises(ValueError, match="32 octets"):
        SealKey(b"short")
