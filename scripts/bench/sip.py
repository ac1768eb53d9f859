"""SIP: parsing, typed headers, judging and forwarding, beside sipmessage; Kamailio has no tool that parses alone."""

from __future__ import annotations

import argparse

import sipmessage

from imswire import sip
from imswire.sip import hop
from imswire.sip.verdict import judge
from scripts.bench.common import lab_call, rate, show

CHANGE = hop.Change(b"Via: SIP/2.0/UDP proxy.example.net:5060;branch=z9hG4bK1\r\n")


def invite() -> bytes:
    """The INVITE of a lab call, with a TRANSFER_INIT in it."""
    capture, _ = lab_call(0)
    at = capture.index(b"INVITE sip:")
    end = capture.index(b"\r\n\r\n", at) + 4
    length = int(capture[at:end].split(b"Content-Length: ")[1].split(b"\r\n")[0])
    return capture[at : end + length]


def typed(octets: bytes) -> None:
    message = sip.parse(octets)
    _ = message.from_, message.to, message.call_id, message.cseq, message.vias


def theirs(octets: bytes) -> None:
    sipmessage.Message.parse(octets)


def theirs_typed(octets: bytes) -> None:
    message = sipmessage.Message.parse(octets)
    _ = message.from_address, message.to_address, message.call_id, message.cseq, message.via


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long each figure is measured")
    seconds = parser.parse_args().seconds
    octets = invite()

    def many(run: object) -> float:
        return rate(2_000, lambda: [run(octets) for _ in range(2_000)], seconds)  # type: ignore[operator]

    parse, headers = many(theirs), many(theirs_typed)
    print(f"INVITE of {len(octets)} octets")
    show("parse", many(sip.parse), "msg/s", parse, "sipmessage")
    show("parse and five typed headers", many(typed), "msg/s", headers, "sipmessage")
    show("judged as a proxy does", many(judge), "msg/s", headers, "sipmessage's typed headers")
    message = sip.parse(octets)
    show("forwarded", many(lambda _: hop.forwarded(message, CHANGE)), "msg/s", parse, "sipmessage's parse")


if __name__ == "__main__":
    main()
