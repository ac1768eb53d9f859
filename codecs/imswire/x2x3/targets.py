"""Attributes 17 and 18 (TS 103 221-2 5.3.18, 5.3.19): what stands inside a TargetIdentifier of X1, as XML text.

One element with text and nothing else is written and read here; anything richer is for a reader of XML.
"""

from __future__ import annotations

import re

from imswire.x2x3.errors import X2X3Error

_NAME = r"[A-Za-z_][A-Za-z0-9_.-]{0,63}"
_NAMED = re.compile(_NAME, re.ASCII)
_ELEMENT = re.compile(
    rf"\s*<(?P<tag>(?:{_NAME}:)?(?P<name>{_NAME}))(?:\s[^<>]*)?>(?P<text>[^<>]*)</(?P=tag)\s*>\s*", re.ASCII
)
_REFERENCE = re.compile(r"&(?:#x([0-9A-Fa-f]{1,6})|#([0-9]{1,7})|(\w{2,4}));", re.ASCII)
_NAMES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"})
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def target(name: str, text: str) -> str:
    """``target("impu", "sip:a@x")`` is ``<impu>sip:a@x</impu>``. X2X3Error: XML cannot carry it."""
    if not _NAMED.fullmatch(name):
        raise X2X3Error("target identifier", "no name of an element")
    if _CONTROLS.search(text):
        raise X2X3Error("target identifier", "a character that XML cannot carry")
    return f"<{name}>{text.translate(_ESCAPES)}</{name}>"


def read_target(xml: str) -> tuple[str, str] | None:
    """Name, without its prefix, and text of the one element; None: it is anything else.

    Attributes of the element (namespaces) are read over.
    """
    found = _ELEMENT.fullmatch(xml)
    if found is None:
        return None
    text = found["text"]
    if text.count("&") != len(_REFERENCE.findall(text)):
        return None
    try:
        return found["name"], _REFERENCE.sub(_character, text)
    except (KeyError, ValueError, OverflowError):
        return None


def _character(reference: re.Match[str]) -> str:
    hexadecimal, decimal, name = reference.groups()
    if name:
        return _NAMES[name]
    character = chr(int(hexadecimal, 16) if hexadecimal else int(decimal))
    if _CONTROLS.match(character):
        raise ValueError
    return character
