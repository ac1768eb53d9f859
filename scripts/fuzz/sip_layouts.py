"""Headers found by remembered layouts against the plain way: line by line, with nothing remembered.

Two messages of three are taken with some of their lines written in another way: layouts that are alike, or nearly,
must not be taken for one another.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple
from zlib import crc32

from imswire import sip
from imswire.sip.grammar import COMPACT, LISTS, split
from imswire.sip.headers import parse_cseq, parse_name_addr, parse_via

MAX_OCTETS = 65_535
MAX_LINES = 1_024
BLANKS = " \t\n\r\v\f"
_SHORT = {name: short for short, name in COMPACT.items()}
_BELONGS = (b"via", b"from", b"to", b"call-id", b"cseq")


class Plain(NamedTuple):
    """What the plain way finds."""

    fields: dict[bytes, list[bytes]]
    body: bytes


def run(octets: bytes) -> None:
    """Both ways give the same, or both refuse the message."""
    if len(octets) > MAX_OCTETS:
        return
    compare(varied(octets))


def compare(octets: bytes) -> None:
    try:
        plain: Plain | None = read(octets)
    except ValueError:
        plain = None
    for _ in range(2):  # by a fresh layout, and by one that is remembered
        try:
            message = sip.parse(octets)
        except sip.SipError:
            continue
        assert plain is not None, "the plain way refuses it"
        assert message.fields() == plain.fields, "headers"
        assert message.head + message.octets[message.body_at :] == message.octets
        length = plain.fields.get(b"content-length")
        assert length is not None or message.body == plain.body, "body"
        assert plain.body.startswith(message.body), "body"
        _belongs(message, octets, plain)
        for name in plain.fields.keys() & LISTS:
            texts = [line.decode("utf-8", "surrogateescape") for line in plain.fields[name]]
            every = (each.strip(BLANKS) for text in texts for each in split(text, ","))
            wanted = tuple(each for each in every if each)
            assert message.values(name.decode("utf-8", "surrogateescape")) == wanted, "values of a list"


def _belongs(message: sip.SipMessage, octets: bytes, plain: Plain) -> None:
    """Call-ID, tags, CSeq and branch: as each is found by itself, and as the plain way finds them."""
    alone = sip.parse(octets)
    try:
        found = message.belongs()
    except sip.SipError:
        _refused(alone)
        return
    assert found == (
        alone.call_id,
        alone.from_tag or "",
        alone.to_tag or "",
        alone.cseq,
        alone.top_branch or "",
    ), "what a message belongs to"
    once = [plain.fields[name][0].decode("utf-8", "surrogateescape") for name in _BELONGS[1:]]
    assert all(len(plain.fields[name]) == 1 for name in _BELONGS[1:])
    assert found[0] == once[2] and found[3] == parse_cseq(once[3])
    for tag, value in zip(found[1:3], once, strict=False):
        try:
            wanted = parse_name_addr(value).tag or ""
        except sip.SipError:
            continue  # the short way forgives more than it has to know
        assert tag.strip() == wanted.strip(), "a tag"
    vias = [line.decode("utf-8", "surrogateescape") for line in plain.fields.get(b"via", ())]
    first = next((each for text in vias for each in split(text, ",") if each.strip(BLANKS)), None)
    try:
        branch = "" if first is None else parse_via(first).branch or ""
    except sip.SipError:
        return
    assert found[4].strip() == branch.strip(), "a branch"


def _refused(message: sip.SipMessage) -> None:
    """One of what it belongs to is refused by itself, too."""
    for name in ("call_id", "from_tag", "to_tag", "cseq", "top_branch"):
        try:
            getattr(message, name)
        except sip.SipError:
            return
    raise AssertionError("only together they are refused")


def read(octets: bytes) -> Plain:
    """RFC 3261 7.3 without any haste. ValueError: it is no message."""
    octets = octets.lstrip(b"\r\n")
    start = octets.find(b"\n")
    ends = (b"\n\n", b"\r\n\r\n") if start > 0 and octets[start - 1 : start] != b"\r" else (b"\r\n\r\n", b"\n\n")
    blank = next((each for each in ends if each in octets), None)
    if blank is None:
        raise ValueError("no blank line")
    head, _, body = octets.partition(blank)
    lines: list[bytes] = []
    every = head.split(b"\n")[1:]
    for line in filter(bytes.strip, every):
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1] = lines[-1].rstrip(b" \t\r") + b" " + line.strip(b" \t\r")
        else:
            lines.append(line)
    if len(lines) > MAX_LINES:
        raise ValueError("too many lines")
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon and line.strip():
            raise ValueError("a line without colon")
        if colon:
            name = name.rstrip(b" \t").lower()
            fields.setdefault(COMPACT.get(name, name), []).append(value.strip())
    return Plain(fields, body)


# Other ways to write a message


def varied(octets: bytes) -> bytes:
    """The same, always, of the same octets."""
    random = Random(crc32(octets))  # noqa: S311 - a seeded choice
    head, blank, body = octets.partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    if not blank or not lines or not random.randrange(3):
        return octets
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(lines))
        lines[place : place + 1] = _line(lines[place], lines, random)
        lines = lines or [b"x: y"]
    return b"\r\n".join([start, *lines]) + blank + body


def _line(line: bytes, lines: list[bytes], random: Random) -> list[bytes]:
    name, _, value = line.partition(b":")
    short = _SHORT.get(name.lower(), name)
    ways: list[list[bytes]] = [
        [],
        [line, line],
        [line, random.choice(lines)],
        [random.choice(lines)],
        [name.upper() + b":" + value],
        [name + b" \t:" + value],
        [short + b":" + value],
        [COMPACT.get(name.lower(), name) + b":" + value],
        [name + b":\r\n" + value],
        [line + b"\r\n\tmore: of it"],
        [b" " + line],
        [line + b":"],
        [line + b"\n" + random.choice(lines)],
        [line + b"\r\n\r"],
        [b"", line],
        [name],
        [b":" + value],
        [name + b"\n:" + value],
        [name + b"\0:" + value],
        [line.replace(b";", b" ; ")],
        [line + b";tag=other;branch=other"],
        [line.replace(b"=", b" = ", 1)],
        [line + b", " + value],
    ]
    return random.choice(ways)
