"""Time grows as the message does: no few octets keep a core busy."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

import pytest

from midcall.base import redaction
from midcall.base.redaction import Rules
from midcall.base.redaction.text import split
from tests.midcall.base.test_redaction import made

# Four times the octets take four times as long; sixteen times, where each octet looks at all the others.
MORE, MOST = 4, 9
# What grows by the square takes a second at this size.
MANY = 30_000
EVERY = Rules(location=True, sdes=True, ticket=True)
EVENTS = Rules(location=True, content=True, sdes=True)


def seconds(run: Callable[[], object]) -> float:
    start = time.thread_time()
    run()
    return time.thread_time() - start


def assert_linear(made_of: Callable[[int], Callable[[], object]]) -> None:
    """Others use this machine as well: what is quick once is quick."""
    few, many = made_of(MANY // MORE), made_of(MANY)
    assert any(seconds(many) < MOST * seconds(few) + 0.01 for _ in range(6))


def packed(octets: bytes) -> bytes:
    """What grows within 64 KiB of a message grows further behind a coding."""
    return made(gzip.compress(octets), b"text/plain", b"Content-Encoding: gzip\r\n")


PIECES = [
    b"\r", b"\r\r\n", b"\n", b"\x0b", b"\xc2\x85", b"\r\n ", b" ", b"\t", b"inline", b"inline ", b"inline:", b"a=",
    b"a=crypt", b"a=acap:1", b"crypto:a=", b"k=", b"k=a", b"ggsn", b"ggsn ", b'ggsn="', b"ggsn\r\n ", b"geo: ",
    b"geo:1 ", b"data:", b"?", b"&s", b"?body", b"&subject=", b"%", b"%2", b"%25", b"%69", b"\\", b"\\u", b"\\u0069",
    b"\\\\", b"&#", b"&#1", b"&#x69;", b"&amp;", b"=", b"=\r", b"= ", b"=\r\n", b"=69", b"e:", b"\r\ne:", b"e: \r\n ",
    b"<", b"<!entity", b"latitude", b"latitude=", b"a", b"key-mgmt:mikey ", b"a=key-mgmt:mikey A\r\n", b"\x1f\x8b\x08",
    b"H4sI", b"boundary=", b"--b", b"\r\n--b", b"\r\n--b\r\n", b"<x", b";", b'"', b"x=y&", b"utran-cell-id-3gpp",
]  # fmt: skip
ENDS = b"inline: crypto: geo:1 ggsn k=base64:x %41 key-mgmt:"


@pytest.mark.parametrize("piece", PIECES, ids=repr)
@pytest.mark.parametrize("rules", [EVERY, EVENTS], ids=["every", "events"])
def test_bodies(piece, rules):
    def run(octets: int) -> Callable[[], object]:
        grown = piece * (octets // len(piece))
        # As many as come out of codings, with something at either end that makes all rules look.
        message = packed(ENDS + grown), packed(grown + ENDS), packed(b"v=0\r\n" + grown + ENDS)
        described = b"v=0\r\na=" + grown + ENDS
        return lambda: (
            [redaction.message(each, rules) for each in message],
            redaction.description(described, rules),
        )

    assert_linear(run)


@pytest.mark.parametrize("piece", PIECES, ids=repr)
@pytest.mark.parametrize("rules", [EVERY, EVENTS], ids=["every", "events"])
def test_heads(piece, rules):
    def run(octets: int) -> Callable[[], object]:
        grown = piece * (octets // len(piece))
        heads = [b"INVITE sip:b SIP/2.0\r\nX: %b%b\r\n\r\n" % each for each in ((ENDS, grown), (grown, ENDS))]
        heads.append(b"INVITE sip:b SIP/2.0\r\nX: <x?" + grown.replace(b"\r\n", b"") + ENDS + b"\r\n\r\n")
        return lambda: [redaction.head(each, rules) for each in heads]

    assert_linear(run)


def test_lines_at_runs_of_cr():
    """What a run of CR is stays as it was: with an LF it is one end, without it each is one."""
    assert split(b"a\r\r\nb") == [(b"a", b"\r\r\n"), (b"b", b"")]
    assert split(b"a\r\r\rb\n\r\r\n") == [
        (b"a", b"\r"), (b"", b"\r"), (b"", b"\r"), (b"b", b"\n"), (b"", b"\r\r\n"), (b"", b"")
    ]  # fmt: skip
