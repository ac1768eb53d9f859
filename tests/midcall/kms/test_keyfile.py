"""KEYS.toml: what it says, and errors with line and key name that show no key."""

from __future__ import annotations

import pytest

from midcall import config
from midcall.kms import keyfile

GOOD = """\
# a lab
[kms]
identity = "kms.example.com"

[[ticket_protection_key]]
id = "tpk-1"
key = "000102030405060708090a0b0c0d0e0f"

[[ticket_protection_key]]
id = "tpk-2"
key = "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"

[[subscriber]]
identity = "sip:alice@example.com"
identities = ["tel:+4930123"]
psk_id = "psk-alice"
psk = "ffffffffffffffffffffffffffffffff"
"""


def test_what_it_says():
    store = keyfile.read(GOOD)
    assert store.identity == "kms.example.com"
    assert store.tpk(b"tpk-2").key == bytes(range(16)) * 2 and store.tpk(b"no") is None
    assert store.subscriber(b"psk-alice").identities == ("sip:alice@example.com", "tel:+4930123")
    assert store.same_user("tel:+49-30-123") == {"sip:alice@example.com", "tel:+4930123"}
    assert "ffff" not in repr(store.subscriber(b"psk-alice")) and "0001" not in repr(store.tpk(b"tpk-1"))


@pytest.mark.parametrize(
    ("old", "new", "line", "names"),
    [
        ('key = "000102030405060708090a0b0c0d0e0f"\n', 'key = "00zz"\n', 7, "ticket_protection_key.key"),
        ('key = "000102030405060708090a0b0c0d0e0f"\n', 'key = "0011"\n', 7, "ticket_protection_key.key"),
        ('key = "000102030405060708090a0b0c0d0e0f"\n', "key = 5\n", 7, "ticket_protection_key.key"),
        ('psk = "ffff', 'psk = "gggg', 17, "subscriber.psk"),
        ('identity = "kms.example.com"', 'identify = "kms.example.com"', 3, "kms"),
        ('id = "tpk-2"', 'id = ""', 10, "ticket_protection_key.id"),
        ('id = "tpk-2"', 'id = "tpk-1"', 5, "two have one id"),
        ('identity = "sip:alice@example.com"\nidentities = ["tel:+4930123"]', "", 13, "subscriber"),
        ("[kms]", "[kms", 2, "TOML"),
        ('id = "tpk-1"', 'id = "tpk-1', 6, "TOML"),
        ('[kms]\nidentity = "kms.example.com"\n', "", 0, "kms"),
    ],
)
def test_errors_name_line_and_key(old, new, line, names):
    assert old in GOOD
    with pytest.raises(config.ConfigError) as caught:
        keyfile.read(GOOD.replace(old, new, 1))
    assert caught.value.line == line and names in str(caught.value)
    assert "00010203" not in str(caught.value) and "gggg" not in str(caught.value)


def test_none_at_all():
    """Calls keyed by security descriptions need no ticket keys."""
    assert keyfile.read('[kms]\nidentity = "k"\n').identity == "k"
    with pytest.raises(config.ConfigError, match="longer"):
        keyfile.read("#" * (config.MAX_OCTETS + 1))


def test_example_is_read_back():
    users = [{"identity": "sip:a@b", "psk_id": "p", "psk": bytes(16)}]
    store = keyfile.read(keyfile.example("kms", {"t": bytes(32)}, users))
    assert store.tpk(b"t").key == bytes(32) and store.subscriber(b"p").psk == bytes(16)
