"""What is fuzzed of the hand-over: BER, PS-PDUs, what they carry, and streams of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from imswire import ber, hi
from imswire.hi import eps, hi1, ipmm, ts33128, voip
from imswire.hi.check import check
from imswire.hi.describe import as_json
from imswire.hi.familiar import Familiar
from imswire.hi.peek import peek

KNOWN = Path(__file__).parents[2] / "tests" / "data" / "hi" / "known.json"
_READERS: tuple[tuple[Callable[[bytes], Any], Callable[[Any], bytes]], ...] = (
    (eps.parse_all, eps.build_all),
    (ipmm.parse_iri, ipmm.build_iri),
    (ipmm.parse_cc, ipmm.build_cc),
    (voip.parse, voip.build),
    (ts33128.parse_iri, ts33128.build_iri),
    (ts33128.parse_cc, ts33128.build_cc),
    (ts33128.parse_xiri, ts33128.build_xiri),
    (hi1.parse, hi1.build),
)
_FAMILIAR = Familiar()


def tlvs(octets: bytes) -> None:
    """TLVs in one another; each value reads or refuses."""
    waiting = [ber.read(octets)]
    while waiting:
        tlv = waiting.pop()
        assert tlv.at < tlv.start <= tlv.end <= tlv.after <= len(octets)
        for read in (ber.string, ber.integer, ber.boolean, ber.oid, ber.relative_oid):
            with suppress(ber.BerError):
                read(octets, tlv)
        if tlv.constructed:
            waiting += ber.elements(octets, tlv)


def pdu(octets: bytes) -> None:
    """A PS-PDU is what its values build; who looks at it otherwise sees the same; ``check`` never raises."""
    findings = check(octets)
    seen = content = None
    with suppress(hi.HiError):
        seen, content = peek(octets), _FAMILIAR.read(octets)
    with suppress(hi.HiError):
        as_json(octets)
    value = hi.parse(octets)
    assert seen is not None and (seen.liid, seen.sequence) == (value.header.liid, value.header.sequence)
    assert content is None or (content.time, list(content.findings)) == (value.header.time, findings)
    try:
        again = hi.build(value)
    except hi.HiError:
        assert findings, "what cannot be built breaks a rule"
        return
    assert hi.parse(again).header == value.header


def contents(octets: bytes) -> None:
    """What a PS-PDU carries, in each form; what is read and can be built is read alike."""
    for read, build in _READERS:
        with suppress(hi.HiError):
            value = read(octets)
            again = build(value)
            assert read(again) == value and build(read(again)) == again


def stream(octets: bytes) -> None:
    """However a stream is cut, it gives the same PS-PDUs and the same fault."""
    place = octets[0] * len(octets) // 256 if octets else 0

    def run(*pieces: bytes) -> tuple[list[bytes], str]:
        splitter, found = hi.Splitter(4_096), []
        with suppress(hi.HiError):
            for piece in pieces:
                found += splitter.feed(piece)
        return found, str(splitter.fault)

    data = octets[1:]
    assert run(data) == run(data[:place], data[place:])


def pdus() -> Iterator[bytes]:
    yield from map(bytes.fromhex, json.loads(KNOWN.read_text()).values())


def carried() -> Iterator[bytes]:
    """Contents of the records: of IRI, CC, HI1, and an xIRI."""
    for octets in pdus():
        payload = hi.parse(octets).payload
        if isinstance(payload, hi.Hi1):
            yield payload.contents
        elif isinstance(payload, tuple):
            yield from (each.contents for each in payload if isinstance(each, hi.Iri | hi.Cc))
    event = ts33128.ImsCcUnavailable("none")
    yield ts33128.build_xiri(ts33128.XiriPayload(event))


def streams() -> Iterator[bytes]:
    some = list(pdus())
    for number in range(0, len(some), 5):
        yield bytes([number]) + b"".join(some[number : number + 5])
