"""Heads are signed notes: read here once more as C2SP signed-note and tlog-checkpoint say, by other code."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from midcall.audit.heads import Head, HeadError, Key, Signer
from midcall.audit.merkle import EMPTY
from tests.midcall.audit import made

HEAD = Head(made.LOG, 3, b"r" * 32, 2, b"l" * 32, 1_800_000_000_000_000_000)
RAW = made.SECRET.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def signed(head: Head = HEAD) -> str:
    return Signer(head.log, RAW, made.SECRET.sign).sign(head)


def test_a_head_is_a_signed_note_of_a_checkpoint():
    text, _, signatures = signed().rpartition("\n\n")
    origin, size, root, *extension = text.split("\n")
    assert (origin, int(size), base64.b64decode(root)) == (f"midcall.audit/{made.LOG}", 3, b"r" * 32)
    assert extension == ["head 2", f"last {(b'l' * 32).hex()}", "time 1800000000000000000"]
    dash, name, coded = signatures.removesuffix("\n").split(" ")
    octets = base64.b64decode(coded)
    assert (dash, name) == ("\u2014", origin)
    assert octets[:4] == sha256(origin.encode() + b"\n\x01" + RAW).digest()[:4]
    made.SECRET.public_key().verify(octets[4:], text.encode() + b"\n")


def test_there_and_back():
    assert made.KEY.head(signed()) == HEAD
    empty = Head(made.LOG, 0, EMPTY, 1, None, 1)
    assert made.KEY.head(signed(empty)) == empty


def test_any_octet_that_is_another_one():
    text = signed()
    for place in range(len(text)):
        for other in (chr(ord(text[place]) ^ 1), ""):
            with pytest.raises(HeadError):
                made.KEY.head(text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "midcall.audit/x",
        signed() * 2,
        signed() + "\n",
        signed().replace("\n", "\r\n"),
        signed().replace("head 2", "head 02"),
        signed().replace("\n3\n", "\n03\n"),
        "x" * 10_000,
    ],
)
def test_what_is_no_head(text):
    with pytest.raises(HeadError):
        made.KEY.head(text)


def test_a_head_of_another_key():
    other = Ed25519PrivateKey.generate()
    with pytest.raises(HeadError, match="another key"):
        Key(other.public_key()).head(signed())


def test_keys():
    assert Key.read(made.pem()).raw == RAW
    ec = generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for octets in (b"", b"no key", ec):
        with pytest.raises(HeadError):
            Key.read(octets)
