"""What inspect prints: ladders that fit, colours only where they are wanted, nothing that a terminal obeys."""

from __future__ import annotations

import pytest

from midcall.cli import draw
from midcall.inspection.records import Record

MESSAGE = {"frame": 1, "seconds": 0.5, "what": "INVITE", "keys": []}


def ladder(*pairs: tuple[str, str], width: int = 100, **options) -> list[str]:
    messages = [MESSAGE | {"source": source, "destination": destination} | options for source, destination in pairs]
    found = {"call_id": "c", "from": "sip:a", "to": "sip:b", "messages": messages, "more": 0}
    return [str(line) for line in draw.dialog(found, width)]


def test_a_ladder_has_an_arrow_from_and_to_each_column():
    head, columns, there, back, _ = ladder(("1.1.1.1:5060", "2.2.2.2:5060"), ("2.2.2.2:5060", "1.1.1.1:5060"))
    assert head == "c  sip:a -> sip:b" and columns.index("1.1.1.1") < columns.index("2.2.2.2")
    assert there.count("|") == 2 and "INVITE" in there and there.rstrip().endswith(">|")
    assert "|<-" in back and len(back) == len(there)


def test_more_columns():
    lines = ladder(("a:1", "b:1"), ("b:1", "c:1"), ("c:1", "a:1"))
    assert lines[2].count("|") == 3 and lines[4].count("|") == 2 and "<" in lines[4]


@pytest.mark.parametrize(
    ("pairs", "width"),
    [
        ([(f"10.0.0.{n}:5060", f"10.0.0.{n + 1}:5060") for n in range(5)], 100),
        ([("10.0.0.1:5060", "10.0.0.1:5060")], 100),
        ([("[2001:db8::1234:5678]:5060", "[2001:db8::1234:5679]:5060")], 40),
    ],
)
def test_what_fits_no_ladder_is_written_out(pairs, width):
    lines = ladder(*pairs, width=width)
    assert f"{pairs[0][0]} -> {pairs[0][1]}" in lines[1] and "INVITE" in lines[1]


def test_a_participant_that_talks_to_itself_beside_others():
    lines = ladder(("a:1", "b:1"), ("a:1", "a:1"))
    assert lines[3].rstrip().endswith("| INVITE") or "INVITE" in lines[3]


def test_keys_below_their_message():
    keys = [
        {"at": "session", "type": "SDES", "suites": ["X"]},
        {"at": "m-line 1", "type": "unreadable", "reason": "why"},
        {
            "at": "m-line 2",
            "type": "TRANSFER_INIT",
            "csb_id": "00000001",
            "sessions": [{"cs_id": 1, "ssrc": None, "spi": "01"}],
            "payloads": ["T", "V"],
            "missing": ["RANDRr"],
            "ticket_flags": "DE",
        },
    ]
    text = "\n".join(ladder(("a:1", "b:1"), keys=keys))
    assert "session: SDES X" in text and "MIKEY unreadable: why" in text and "needs RANDRr" in text
    assert "MIKEY TRANSFER_INIT, CSB 00000001, 1 sessions, SPI 01, ticket flags DE: T V" in text


def test_nothing_that_a_terminal_obeys():
    text = "\n".join(ladder(("a:1", "b:1"), what="200 \x1b[31m[bold]OK"))
    assert "\x1b" not in text and "[bold]" in text


@pytest.mark.parametrize(("what", "style"), [("INVITE", "bold"), ("183 x", ""), ("200 x", "green"), ("404 x", "red")])
def test_colours_tell_how_it_went(what, style):
    assert draw._styled(what)[1] == style


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch):
    assert not draw.console().is_terminal and draw.console().width == 100
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert draw.console().is_terminal


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (
            "17 records of content are missing, from 2026-11-28T00:14:37.792Z to 2026-11-28T00:15:00.717Z: buffer full",
            True,
        ),
        ("0x" + "ab" * 100, False),
        ("INVITE sip:bob@example.com SIP/2.0\\r\\n" + "x" * 100, False),
    ],
)
def test_why_content_is_missing_is_told_whole(value, whole):
    """With its times, which stand behind the numbers."""
    path = "payload.iRIPayloadSequence[0].iRIContents.ePSIRI.iRI-EPS-Parameters.ccUnavailableReason"
    found = Record(1, 0, 300, "LI-1", 1, 0, "IRI report", False, [(20, path, value)], [])
    line = list(draw.record(found))[1].plain
    assert line.endswith(f" = {value}") is whole and len(line.partition(" = ")[2]) == (len(value) if whole else 96)
