#!/usr/bin/env python3
"""Write docs/reference/library-api.md: the public names of imswire with signatures and docstrings.

scripts/api_reference.py            writes the page
scripts/api_reference.py --check    exit status 1 when it is not up to date
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "library-api.md"
PACKAGES = (
    "imswire.sip",
    "imswire.mikey",
    "imswire.srtp",
    "imswire.inet",
    "imswire.pcap",
    "imswire.hi",
    "imswire.x2x3",
)
MODULES = (
    "imswire.sip.edit",
    "imswire.sip.hop",
    "imswire.sip.verdict",
    "imswire.sdp",
    "imswire.mikey.exchange",
    "imswire.mikey.exchange_pk",
    "imswire.mikey.certificates",
    "imswire.mikey.psk",
    "imswire.mikey.public_key",
    "imswire.mikey.dh",
    "imswire.mikey.classic",
    "imswire.mikey.sakke_message",
    "imswire.mikey.sakke",
    "imswire.mikey.eccsi",
    "imswire.mikey.fields",
    "imswire.mikey.values",
    "imswire.srtp.sdes",
    "imswire.ber",
    "imswire.hi.eps",
    "imswire.hi.ipmm",
    "imswire.hi.ts33128",
    "imswire.hi.voip",
    "imswire.hi.hi1",
    "imswire.hi.check",
    "imswire.hi.describe",
    "imswire.hi.peek",
    "imswire.x2x3.exchange",
    "imswire.hep",
    "imswire.dns",
    "imswire.xk",
    "imswire.g711",
    "imswire.wav",
)
HEAD = """# Library API

Made from the source by `scripts/api_reference.py`. Examples stand in [the library](library.md).
"""


def public(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Names that a package offers, or that a module defines itself."""
    names = getattr(module, "__all__", None)
    for name in sorted(names if names is not None else vars(module)):
        value = getattr(module, name)
        own = names is not None or getattr(value, "__module__", None) == module.__name__
        if not name.startswith("_") and own and (inspect.isclass(value) or inspect.isfunction(value)):
            yield name, value


def members(value: type) -> dict[str, object]:
    """A class's own, and what it has from others of ours."""
    found: dict[str, object] = {}
    for each in reversed(value.__mro__):
        if each.__module__.startswith("imswire."):
            found |= vars(each)
    return found


def entry(name: str, value: object) -> Iterator[str]:
    doc = inspect.getdoc(value) or ""
    if inspect.isclass(value) and issubclass(value, Enum):
        yield f"### {name}\n\n{doc}\n\n" + ", ".join(f"`{each.name}` {each.value}" for each in value)
        return
    yield f"### {name}\n\n```\n{name}{signature(value)}\n```\n\n{doc}"
    if inspect.isclass(value) and not issubclass(value, BaseException):
        for each, method in sorted(members(value).items()):
            if each.startswith("_"):
                continue
            function = method.__func__ if isinstance(method, classmethod | staticmethod) else method
            if isinstance(method, property):
                line = f"`.{each}`"
            elif inspect.isfunction(function):
                line = f"`.{each}{signature(function)}`"
            else:
                continue
            first = (inspect.getdoc(method) or "").partition("\n\n")[0].replace("\n", " ")
            yield f"- {line}{': ' if first else ''}{first}"


def signature(value: object) -> str:
    try:
        text = str(inspect.signature(value)).replace("'", "")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "(...)"
    return re.sub(r"<[\w.]*?(\w+) object at 0x[0-9a-f]+>", r"\1()", text)


def page() -> str:
    parts = [HEAD]
    for name in (*PACKAGES, *MODULES):
        module = importlib.import_module(name)
        first = (module.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        parts.append(f"## {name}\n\n{first}")
        for each, value in public(module):
            entries = list(entry(each, value))
            parts.append(entries[0])
            if entries[1:]:
                parts.append("\n".join(entries[1:]))
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def main() -> int:
    made = page()
    if "--check" in sys.argv[1:]:
        return int(not PAGE.is_file() or PAGE.read_text() != made)
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
