"""KEYS.toml: the keys of a lab's KMS, read by replays and labs only, by no service role."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import msgspec
from msgspec import Struct

from midcall.kms.store import KmsStore, Subscriber, TicketProtectionKey

MAX_OCTETS = 1 << 20
KEY_OCTETS = (16, 32)


class KeyFileError(ValueError):
    """What is wrong in a KEYS.toml; ``line`` counts from 1 (0: the file as a whole). Shows no key."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.line = line
        self.reason = reason


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
    """The store that a KEYS.toml describes; KeyFileError names line and key."""
    if len(text) > MAX_OCTETS:
        raise KeyFileError(0, f"longer than {MAX_OCTETS} characters")
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(error, text) from None
    try:
        file = msgspec.convert(tree, _File)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise KeyFileError(_line(text, path.rstrip("`")), f"{_named(path.rstrip('`'))}{message}") from None
    tpks = tuple(_tpk(text, place, each) for place, each in enumerate(file.ticket_protection_key))
    if len({tpk.id for tpk in tpks}) < len(tpks):
        raise KeyFileError(_line(text, "$.ticket_protection_key"), "ticket_protection_key: two have one id")
    subscribers = tuple(_subscriber(text, place, each) for place, each in enumerate(file.subscriber))
    return KmsStore(file.kms.identity, tpks, subscribers)


def _tpk(text: str, place: int, entry: _Tpk) -> TicketProtectionKey:
    path = f"$.ticket_protection_key[{place}]"
    if not entry.id:
        raise KeyFileError(_line(text, f"{path}.id"), "ticket_protection_key.id is empty")
    return TicketProtectionKey(entry.id.encode(), _hex(text, f"{path}.key", entry.key))


def _subscriber(text: str, place: int, entry: _Subscriber) -> Subscriber:
    path = f"$.subscriber[{place}]"
    identities = ([entry.identity] if entry.identity else []) + entry.identities
    if not identities:
        raise KeyFileError(_line(text, path), "subscriber: neither identity nor identities")
    psk = _hex(text, f"{path}.psk", entry.psk) if entry.psk else b""
    return Subscriber(tuple(identities), entry.psk_id.encode(), psk)


def _hex(text: str, path: str, value: str) -> bytes:
    try:
        key = bytes.fromhex(value)
    except ValueError:
        raise KeyFileError(_line(text, path), f"{_named(path)}not hexadecimal") from None
    if len(key) not in KEY_OCTETS:
        raise KeyFileError(_line(text, path), f"{_named(path)}{len(key)} octets, not 16 or 32")
    return key


def _syntax(error: tomllib.TOMLDecodeError, text: str) -> KeyFileError:
    found = re.search(r"\(at line (\d+), column \d+\)", str(error))
    reason = re.sub(r"\s*\(at [^)]*\)$", "", str(error))
    # The parser may quote the octet that it stumbled over, never a value.
    return KeyFileError(int(found[1]) if found else max(len(text.splitlines()), 1), f"no TOML: {reason}")


def _named(path: str) -> str:
    """`$.subscriber[1].psk` as `subscriber.psk: `."""
    name = re.sub(r"\[\d*\]|\[\.\.\.\]", "", path).removeprefix("$").lstrip(".")
    return f"{name}: " if name else ""


def _line(text: str, path: str) -> int:
    """The line of the entry that a path names: the n-th table of that name, and the key in it."""
    found = re.match(r"\$\.?(\w+)?(?:\[(\d+)\])?(?:\.(\w+))?", path)
    if found is None or found[1] is None:
        return 0
    table, wanted, key = found[1], int(found[2] or 0), found[3]
    at, count, inside = 0, -1, False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped.strip("[] ").split("#")[0].strip(" ]") == table
            count += inside
            if inside and count == wanted:
                at = number
        elif inside and count == wanted and key and re.match(rf"{re.escape(key)}\s*=", stripped):
            return number
    return at


def example(identity: str, tpks: dict[str, bytes], subscribers: list[dict[str, Any]]) -> str:
    """A KEYS.toml with these entries, as labs write it."""
    lines = ["[kms]", f'identity = "{identity}"', ""]
    for name, key in tpks.items():
        lines += ["[[ticket_protection_key]]", f'id = "{name}"', f'key = "{key.hex()}"', ""]
    for each in subscribers:
        lines += ["[[subscriber]]", f'identity = "{each["identity"]}"']
        lines += [f'psk_id = "{each["psk_id"]}"', f'psk = "{each["psk"].hex()}"', ""]
    return "\n".join(lines)
