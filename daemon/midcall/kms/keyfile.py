"""Keys as files have them: KEYS.toml, read by replays and labs only, and lines with subscribers of a service."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from imswire import sip
from midcall import config
from midcall.config import ConfigError
from midcall.kms.store import KmsStore, Subscriber, TicketProtectionKey

KEY_OCTETS = (16, 32)


class _Kms(Struct, forbid_unknown_fields=True):
    identity: str
    certificate: str = ""
    key: str = ""


class _Tpk(Struct, forbid_unknown_fields=True):
    id: str
    key: str


class _Subscriber(Struct, forbid_unknown_fields=True):
    identity: str = ""
    identities: list[str] = []
    psk_id: str = ""
    psk: str = ""


class _File(Struct, forbid_unknown_fields=True):
    kms: _Kms
    # None is needed for calls that key their media themselves (RFC 4568).
    ticket_protection_key: list[_Tpk] = []
    subscriber: list[_Subscriber] = []


def read(text: str) -> KmsStore:
    """The store that a KEYS.toml describes; ConfigError names line and key."""
    file = config.read(text, _File)
    tpks = tuple(_tpk(text, place, each) for place, each in enumerate(file.ticket_protection_key))
    if len({tpk.id for tpk in tpks}) < len(tpks):
        raise ConfigError(config.line_of(text, "$.ticket_protection_key"), "ticket_protection_key: two have one id")
    subscribers = tuple(_subscriber(text, place, each) for place, each in enumerate(file.subscriber))
    return KmsStore(file.kms.identity, tpks, subscribers)


def _tpk(text: str, place: int, entry: _Tpk) -> TicketProtectionKey:
    path = f"$.ticket_protection_key[{place}]"
    if not entry.id:
        raise ConfigError(config.line_of(text, f"{path}.id"), "ticket_protection_key.id is empty")
    return TicketProtectionKey(entry.id.encode(), config.hexadecimal(text, f"{path}.key", entry.key, KEY_OCTETS))


def _subscriber(text: str, place: int, entry: _Subscriber) -> Subscriber:
    path = f"$.subscriber[{place}]"
    identities = ([entry.identity] if entry.identity else []) + entry.identities
    if not identities:
        raise ConfigError(config.line_of(text, path), "subscriber: neither identity nor identities")
    psk = config.hexadecimal(text, f"{path}.psk", entry.psk, KEY_OCTETS) if entry.psk else b""
    return Subscriber(tuple(identities), entry.psk_id.encode(), psk)


class _Line(Struct, frozen=True, forbid_unknown_fields=True):
    identities: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(min_length=1, max_length=64)
    ]
    psk_id: Annotated[str, Meta(min_length=1, max_length=256)]
    psk: str


_LINE = msgspec.json.Decoder(_Line)


def subscriber_line(octets: bytes) -> Subscriber:
    """A subscriber as a line of JSON has it. ValueError: what is wrong, without a value."""
    try:
        found = _LINE.decode(octets)
        psk = bytes.fromhex(found.psk)
    except msgspec.ValidationError as error:
        raise ValueError(str(error).partition(" - at")[0]) from None
    except msgspec.DecodeError:
        raise ValueError("no JSON") from None
    except ValueError:
        raise ValueError("psk: not hexadecimal") from None
    if len(psk) not in range(KEY_OCTETS[0], KEY_OCTETS[1] + 1):
        raise ValueError(f"psk: {len(psk)} octets, not {KEY_OCTETS[0]} to {KEY_OCTETS[1]}")
    if not all(sip.identities(each) for each in found.identities):
        raise ValueError("identities: one names nobody; sip:, sips: or tel: is needed")
    return Subscriber(found.identities, found.psk_id.encode(), psk)


def example(identity: str, tpks: dict[str, bytes], subscribers: list[dict[str, Any]]) -> str:
    """A KEYS.toml with these entries, as labs write it."""
    lines = ["[kms]", f'identity = "{identity}"', ""]
    for name, key in tpks.items():
        lines += ["[[ticket_protection_key]]", f'id = "{name}"', f'key = "{key.hex()}"', ""]
    for each in subscribers:
        lines += ["[[subscriber]]", f'identity = "{each["identity"]}"']
        lines += [f'psk_id = "{each["psk_id"]}"', f'psk = "{each["psk"].hex()}"', ""]
    return "\n".join(lines)
