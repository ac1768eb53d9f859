"""TOML files as values: unknown keys refused, errors that name line and key, and never a value."""

from __future__ import annotations

import re
import tomllib
from typing import TypeVar

import msgspec

MAX_OCTETS = 1 << 20

T = TypeVar("T")


class ConfigError(ValueError):
    """What is wrong in a TOML file; ``line`` counts from 1 (0: the file as a whole). Shows no value."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.line = line
        self.reason = reason


def read(text: str, kind: type[T]) -> T:
    """A TOML file as a value of ``kind``; ConfigError names line and key, never a value."""
    if len(text) > MAX_OCTETS:
        raise ConfigError(0, f"longer than {MAX_OCTETS} characters")
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(error, text) from None
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        path = path.rstrip("`")
        unknown = re.search(r"unknown field `([^`]*)`", message)
        line = line_of(text, f"{path or '$'}.{unknown[1]}" if unknown else path)
        raise ConfigError(line, f"{named(path)}{message}") from None


def hexadecimal(text: str, path: str, value: str, octets: range | tuple[int, ...]) -> bytes:
    """A value written in hexadecimal; ConfigError when it is none or has another length than ``octets`` allows."""
    try:
        decoded = bytes.fromhex(value)
    except ValueError:
        raise ConfigError(line_of(text, path), f"{named(path)}not hexadecimal") from None
    if len(decoded) not in octets:
        allowed = f"{octets[0]} to {octets[-1]}" if isinstance(octets, range) else " or ".join(map(str, octets))
        raise ConfigError(line_of(text, path), f"{named(path)}{len(decoded)} octets, not {allowed}")
    return decoded


def _syntax(error: tomllib.TOMLDecodeError, text: str) -> ConfigError:
    found = re.search(r"\(at line (\d+), column \d+\)", str(error))
    reason = re.sub(r"\s*\(at [^)]*\)$", "", str(error))
    # The parser may quote the octet that it stumbled over, never a value.
    return ConfigError(int(found[1]) if found else max(len(text.splitlines()), 1), f"no TOML: {reason}")


def named(path: str) -> str:
    """`$.subscriber[1].psk` as `subscriber.psk: `."""
    name = re.sub(r"\[\d*\]|\[\.\.\.\]", "", path).removeprefix("$").lstrip(".")
    return f"{name}: " if name else ""


def line_of(text: str, path: str) -> int:
    """The line of the entry that a path names: the n-th table of that name, and the key in it; 0: none is found."""
    steps = re.findall(r"\.(\w+)(?:\[(\d+)\])?", path)
    best = 0
    for depth in range(len(steps), 0, -1):
        table = ".".join(name for name, _ in steps[:depth])
        wanted = int(steps[depth - 1][1] or 0)
        key = steps[depth][0] if depth < len(steps) else ""
        best = best or _in_table(text, table, wanted, key)
    return best or _in_table(text, "", 0, steps[0][0] if steps else "")


def _in_table(text: str, table: str, wanted: int, key: str) -> int:
    """The line of ``key`` in the table, or of the table's head."""
    inside, count, head = not table, 0 if not table else -1, 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped.partition("]")[0].strip("[ ") == table
            count += inside
            if inside and count == wanted:
                head = number
        elif inside and count == wanted and key and re.match(rf"{re.escape(key)}\s*=", stripped):
            return number
    return head
