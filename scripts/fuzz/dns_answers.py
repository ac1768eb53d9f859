"""Answers of the DNS: whatever comes is an answer to the question or an error, and takes no longer than it is long."""

from __future__ import annotations

from collections.abc import Iterator

from imswire import dns
from imswire.dns import DnsError, Type

_NUMBER = 0x1234
_NAMES = {Type.SRV: "_sip._udp.example.com", Type.NAPTR: "example.com"}
_DATA = {
    Type.SRV: b"\0\x0a\0\x05\x13\xc4\x02p1\xc0\x16",
    Type.NAPTR: b"\0\x32\0\x0a\x01S\x07SIP+D2U\0\x04_sip\x04_udp\xc0\x0c",
}


def run(octets: bytes) -> None:
    for kind, name in _NAMES.items():
        try:
            found = dns.answer(octets, _NUMBER, name, kind)
        except DnsError:
            continue
        assert len(found.records) <= dns.MAX_RECORDS


def answers() -> Iterator[bytes]:
    for kind, name in _NAMES.items():
        asked = dns.question(_NUMBER, name, kind)[12:-11]
        data = _DATA[kind]
        record = b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\x01\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
        yield b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0" + asked + record + record
