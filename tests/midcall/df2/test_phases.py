"""Which record of a communication is which."""

from __future__ import annotations

import pytest

from imswire import sip
from imswire.hi import IriType
from midcall.df2.phases import Phases


def message(first: str, method: str = "INVITE") -> sip.SipMessage:
    text = f"{first}\r\nCall-ID: 1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCSeq: 1 {method}\r\n\r\n"
    return sip.parse(text.encode())


INVITE = message("INVITE sip:c@d SIP/2.0")
BYE = message("BYE sip:c@d SIP/2.0", "BYE")


def answer(status: int, method: str = "INVITE") -> sip.SipMessage:
    return message(f"SIP/2.0 {status} x", method)


def kinds(*messages: sip.SipMessage) -> list[IriType]:
    phases = Phases()
    return [phases.sip("L", 1, each) for each in messages]


B, C, E, R = IriType.BEGIN, IriType.CONTINUE, IriType.END, IriType.REPORT


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((INVITE, answer(180), answer(200), BYE, answer(200, "BYE")), [B, C, C, C, E]),
        ((INVITE, answer(486), answer(486)), [B, E, R]),
        ((INVITE, answer(407), INVITE, answer(200)), [B, C, C, C]),
        ((INVITE, answer(200), INVITE, answer(488), BYE, answer(200, "BYE")), [B, C, C, C, C, E]),
        ((INVITE, answer(200, "CANCEL"), answer(487)), [B, E, R]),
        ((answer(200, "BYE"), BYE), [B, R]),
    ],
)
def test_calls(messages, expected):
    assert kinds(*messages) == expected


def test_a_session_found_running():
    phases = Phases()
    assert phases.start("L", 1, answered=True) == B
    assert phases.start("L", 1, answered=True) == C
    assert phases.other("L", 1) == C
    assert phases.sip("L", 1, answer(488)) == C
    assert phases.sip("L", 1, answer(200, "BYE")) == E
    assert phases.other("L", 1) == R and phases.start("L", 1, answered=False) == R
    assert phases.other("L", 2) == R and phases.other("M", 1) == R
