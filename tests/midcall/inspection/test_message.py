"""What inspect says of a message: what is missing to derive keys, and what is odd about it."""

from __future__ import annotations

import pytest

from imswire.mikey import exchange
from imswire.mikey import values as v
from imswire.mikey.message import build
from imswire.mikey.numbers import DataType
from midcall.inspection import mikey_message
from tests.imswire.mikey.vectors import every_message

MESSAGES = every_message()


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("1-REQUEST_INIT_PSK", ["key 'psk-alice-1'"]),
        ("1-REQUEST_RESP", ["the message that it answers", "pre-shared or envelope key"]),
        ("1-TRANSFER_INIT", ["TPK 'tpk-1'", "RANDRr", "map of crypto sessions"]),
        ("1-TRANSFER_RESP", ["the TRANSFER_INIT", "MPKi"]),
        ("2-TRANSFER_INIT", ["TPK", "unforked MPKr and TGK", "IDRr and RANDRkms", "RANDRr", "map"]),
        ("2-TRANSFER_RESP", ["the TRANSFER_INIT", "MPKi", "unforked"]),
        ("3-CSB update: TRANSFER_INIT from the initiator-TRANSFER_INIT (update)", ["the initial exchange"]),
    ],
)
def test_missing(name, needs):
    missing = mikey_message(MESSAGES[name])["missing"]
    assert len(missing) == len(needs)
    for said, expected in zip(missing, needs, strict=True):
        assert expected in said


def message(data_type: int, *payloads: v.Payload) -> bytes:
    return build(v.Header(data_type, 0, 1, 1), list(payloads))


@pytest.mark.parametrize("data_type", list(DataType))
def test_every_type_is_described(data_type):
    described = mikey_message(message(data_type, v.Timestamp(0, bytes(8))))
    assert described["type"] == data_type.name and described["payloads"][1]["payload"] == "T"


@pytest.mark.parametrize(
    ("data_type", "need"),
    [
        (DataType.PSK_RESP, "the message that it answers"),
        (DataType.PK_RESP, "the message that it answers"),
        (DataType.DH_INIT, "DH secret"),
        (DataType.DH_RESP, "DH secret"),
        (DataType.DHHMAC_INIT, "DH secret"),
        (DataType.DHHMAC_RESP, "DH secret"),
        *((kind, "ephemeral secret") for kind in DataType if "IBAKE" in kind.name),
        (DataType.SAKKE, "master secret"),
    ],
)
def test_every_message_that_keys_media_says_what_is_missing(data_type, need):
    (said,) = mikey_message(message(data_type, v.Timestamp(0, bytes(8))))["missing"]
    assert need in said


def ticket(flags: str, ticket_type: int = 1, data: bytes = b"") -> v.Ticket:
    return v.Ticket(v.TicketPolicy(ticket_type, 1, 1, 0, v.Flags.of(flags), b"\0"), data)


@pytest.mark.parametrize(
    ("flags", "remark"),
    [
        ("DEH", "mode 1"),
        ("DH", "mode 2"),
        ("EHL", "mode 3"),
        ("HL", "mode 4"),
        ("DEGH", "G=1 needs F=1"),
        ("DEFHI", "forked for each"),
    ],
)
def test_remarks(flags, remark):
    described = mikey_message(message(DataType.TRANSFER_INIT, ticket(flags), v.V(0, b"")))
    assert any(remark in each for each in described["remarks"])


def test_who_can_open_a_ticket():
    def need(flags: str, **options) -> str:
        return mikey_message(message(DataType.TRANSFER_INIT, ticket(flags, **options), v.V(0, b"")))["missing"][0]

    assert "no KMS can help" in need("HL")
    assert "only its KMS can tell" in need("DEH", ticket_type=2, data=b"opaque")


def test_a_kemac_that_holds_only_a_mac_has_no_keys_in_clear():
    """RFC 4650 3.1: the KEMAC of DHHMAC has no key data."""
    described = mikey_message(message(DataType.DHHMAC_INIT, v.Kemac(0, b"", 1, bytes(20))))
    assert described["remarks"] == []


def test_keys_in_clear_are_said_and_not_shown():
    keys = exchange.write_chain([v.KeyData(0, b"K" * 16)])
    described = mikey_message(message(DataType.PSK_INIT, v.Kemac(0, keys)))
    assert any("not encrypted" in each for each in described["remarks"])
    assert "4b4b4b" not in str(described)
