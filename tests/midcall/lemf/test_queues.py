"""Checks of events and of content share a sequence and go out apart: nobody is blamed while one queue is behind."""

from __future__ import annotations

import pytest

from imswire import hi
from midcall.lemf import core
from midcall.lemf.core import INTEGRITY, SECOND
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.memory import LATER, Lab

IRI, CC = hi.DataType.IRI, hi.DataType.CC


def outage(content: int, events: int = 2) -> tuple[Sender, list[bytes], list[bytes]]:
    """What gathered while the link was down: so many records of content with a hash each, and events behind them."""
    sender = Sender()
    queue = [pdu for _ in range(content) for pdu in (sender.cc(direction=0), sender.check())]
    first = [pdu for _ in range(events) for pdu in (sender.iri(), sender.check(IRI))]
    return sender, first, queue


def told(lab: Lab) -> list[tuple[str, str, int | None, int | None]]:
    lab.found += lab.lemf.findings.take()
    return [(str(each.rule), each.payload, each.sequence, each.last) for each in lab.found]


@pytest.mark.parametrize("content", [1, 17, 63, 64, 65, 66, 200])
@pytest.mark.parametrize("events", [1, 2])
def test_events_overtake_the_content_of_an_outage(content, events):
    """A minute of it and more: their checks are far ahead for a while, and are no strays."""
    sender, first, queue = outage(content, events)
    lab = Lab().take(first)
    lab.lemf.deadline(LATER + 60 * SECOND)
    lab.take(queue[: len(queue) // 2])
    lab.lemf.deadline(LATER + 120 * SECOND)
    lab.take([*queue[len(queue) // 2 :], sender.cc(direction=0), sender.check(), sender.iri(), sender.check(IRI)])
    assert told(lab) == []
    assert lab.end() == []
    assert not lab.lemf.uncovered


@pytest.mark.parametrize("content", [1, 63, 65, 200])
def test_content_overtakes_events_too(content):
    sender = Sender()
    late = [sender.iri(), sender.check(IRI)]
    queue = [pdu for _ in range(content) for pdu in (sender.cc(direction=0), sender.check())]
    lab = Lab().take(queue)
    lab.lemf.deadline(LATER + 60 * SECOND)
    lab.take([*late, sender.iri(), sender.check(IRI), sender.cc(direction=0), sender.check()])
    assert told(lab) == []
    assert lab.end() == []


@pytest.mark.parametrize("content", [20, 100])
def test_a_check_is_missing_when_later_ones_of_both_have_come(content):
    """Of content in an outage one is lost: told when its queue is through, and once."""
    sender, first, queue = outage(content)
    lost = 2 * 10 + 1
    lab = Lab().take([*first, *queue[:lost], *queue[lost + 1 :]])
    lab.lemf.deadline(LATER + core.OVERDUE)
    assert ("gap", INTEGRITY, 10, None) in told(lab)
    lab.take([sender.iri(), sender.check(IRI)])
    lab.lemf.deadline(LATER + 2 * core.UNSURE)
    assert [each for each in told(lab) if each[0] == "gap"] == [("gap", INTEGRITY, 10, None)]


def test_where_only_one_kind_comes_what_is_missing_is_told_after_an_hour():
    sender = Sender()
    pdus = [pdu for _ in range(5) for pdu in (sender.iri(), sender.check(IRI))]
    lab = Lab().take([*pdus[:5], *pdus[6:]])
    lab.lemf.deadline(LATER + core.OVERDUE)
    assert [each[0] for each in told(lab)] == ["hash-unchecked"], "what it was over is named at once"
    lab.lemf.deadline(LATER + core.UNSURE)
    assert ("gap", INTEGRITY, 2, None) in told(lab)


@pytest.mark.parametrize("first", [IRI, CC])
def test_one_wrong_number_among_checks_of_both_is_a_stray(first):
    """One far ahead is judged by the next one of its own queue."""
    sender = Sender()
    other = CC if first == IRI else IRI

    def pair(data: int) -> list[bytes]:
        return [sender.iri() if data == IRI else sender.cc(direction=0), sender.check(data)]

    pdus = [*pair(first), *pair(other)]
    sender.numbers["TRI"] = 5_000
    wrong = pair(first)
    sender.numbers["TRI"] = 3
    pdus += [*wrong, *pair(other), *pair(other), *pair(first), *pair(other), *pair(first)]
    lab = Lab().take(pdus)
    lab.lemf.deadline(LATER + core.OVERDUE)
    found = [each for each in told(lab) if each[0] != "time"]  # that of the wrong one is made of its number
    assert found == [("order", INTEGRITY, 5_000, None), ("gap", INTEGRITY, 2, None)]
    (context,) = [each for each in lab.lemf.contexts.values() if each.key.payload == INTEGRITY]
    assert context.next == 8
