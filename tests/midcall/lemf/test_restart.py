"""A receiver that starts anew goes on where its files end, blames nobody for that, and names what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from imswire import hi
from midcall.base.tls_end import TlsEnd
from midcall.lemf import Lemf, Link, Rules, core, recalled
from midcall.lemf.numbers import NUMBERS, Gaps
from midcall.lemf.shell.server import Receiver
from midcall.lemf.shell.store import Store
from tests.midcall.lemf.deliverer import SIGNER, Sender
from tests.midcall.lemf.memory import LATER

Told = tuple[str, str, int | None, int | None]


class Lives:
    """One folder, and the receivers that have it one after the other; ``crash`` tells nothing that is not told yet."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.begin()

    def begin(self) -> None:
        self.receiver = Receiver(Lemf(Rules(keys=(SIGNER.public_key(),))), Store(self.out), TlsEnd.__new__(TlsEnd))
        self.receiver.restore()
        self.link = Link(self.receiver.lemf, "df")

    def take(self, *pdus: bytes) -> Lives:
        for intercept in self.link.receive(b"".join(pdus), LATER).stored:
            for interface, octets in intercept.gathered():
                self.receiver.store.append(intercept.liid, interface, b"".join(octets))
                octets.clear()
        self.receiver.tell_findings()
        return self

    def close(self) -> None:
        self.receiver.store.close()
        self.receiver._log.close()

    def crash(self) -> Lives:
        self.close()
        self.begin()
        return self

    def stop(self) -> Lives:
        self.receiver.lemf.finish(LATER)
        self.receiver.tell_findings()
        return self.crash()

    def later(self) -> Lives:
        """Whoever is to come again has come."""
        self.receiver.lemf.deadline((1 << 62) - 1)
        self.receiver.tell_findings()
        return self

    @property
    def told(self) -> list[Told]:
        return [line_of(line) for line in (self.out / "findings.jsonl").read_bytes().splitlines()]


def line_of(line: bytes) -> Told:
    said = msgspec.json.decode(line)
    return said["rule"], said.get("payload", ""), said.get("sequence"), said.get("last")


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Lives]:
    lives = Lives(tmp_path)
    yield lives
    lives.close()


def call(sender: Sender, events: int) -> list[bytes]:
    """Content, then so many events with a hash each, then content."""
    pdus = [sender.cc(), sender.check()]
    for _ in range(events):
        pdus += [sender.iri(), sender.check(hi.DataType.IRI)]
    return [*pdus, sender.cc(), sender.check()]


@pytest.mark.parametrize("events", [3, 63, 65, 130])
def test_checks_of_events_between_those_of_content_are_no_gap(lives, events):
    """They share one sequence and stand in two files: 64 and more of the one kind are no number far ahead."""
    sender = Sender()
    lives.take(*call(sender, events), *call(sender, events)).crash()
    lives.take(*call(sender, events)).later().stop()
    assert lives.told == []
    assert lives.receiver.lemf.doubled == 0


def test_more_checks_of_content_between_those_of_events_are_no_gap(lives):
    sender = Sender()
    pdus = [sender.iri(), sender.check(hi.DataType.IRI)]
    for _ in range(100):
        pdus += [sender.cc(), sender.check()]
    pdus += [sender.iri(), sender.check(hi.DataType.IRI)]
    lives.take(*pdus).crash().take(sender.cc(), sender.check(), sender.iri(), sender.check(hi.DataType.IRI))
    assert lives.later().told == []


@pytest.mark.parametrize("lost", [1, 40, 69, 72, 110])
@pytest.mark.parametrize("end", ["crash", "stop"])
def test_a_check_that_is_missing_is_named_once(lives, lost, end):
    """Before the restart where it stops, behind it where it was killed; and not again behind the next one."""
    sender = Sender()
    pdus = [*call(sender, 70), *call(sender, 70)]
    missing = next(each for each in pdus if (parsed := hi.parse(each)).header.sequence == lost and is_check(parsed))
    lives.take(*(each for each in pdus if each is not missing))
    getattr(lives, end)()
    lives.take(*call(sender, 3)).later().stop().later().crash().later()
    assert [each for each in lives.told if each[0] == "gap"] == [("gap", core.INTEGRITY, lost, None)]


def is_check(pdu: hi.PsPdu) -> bool:
    return isinstance(pdu.payload, hi.IntegrityCheck)


def test_a_check_that_is_missing_behind_the_restart_is_named(lives):
    sender = Sender()
    lives.take(*call(sender, 70)).crash()
    pdus = call(sender, 70)
    lives.take(*(each for each in pdus if hi.parse(each).header.sequence != 100)).later()
    assert ("gap", core.INTEGRITY, 100, None) in lives.told


def test_a_check_of_one_file_that_a_crash_has_cut_off_may_come_again(lives):
    sender = Sender()
    pdus = [*call(sender, 70), sender.iri(), sender.check(hi.DataType.IRI), sender.cc(), sender.check()]
    lives.take(*(each for each in pdus if each is not pdus[-3]))
    lives.crash()
    lives.receiver.lemf.deadline(LATER)
    lives.receiver.tell_findings()
    lives.take(*pdus[-4:]).later()
    assert lives.told == []


def test_records_that_are_missing_are_named_by_the_receiver_that_comes_after_a_crash(lives):
    sender = Sender()
    pdus = [sender.cc() for _ in range(30)]
    lives.take(*pdus[:5], *pdus[8:20], *pdus[21:]).crash().later().crash().later().stop()
    assert sorted(lives.told) == [("gap", "CC", 5, 7), ("gap", "CC", 20, None)]


def test_of_a_gap_told_in_parts_no_part_is_told_again(lives):
    """A hash names some of what is missing before the rest of it is due."""
    sender = Sender()
    pdus = [sender.cc() for _ in range(10)]
    check = sender.check(numbers=[3, 4, 5])
    lives.take(*pdus[:3], *pdus[8:], check).stop().later().stop()
    gaps = [each for each in lives.told if each[0] == "gap"]
    assert sorted(gaps) == [("gap", "CC", 3, 5), ("gap", "CC", 6, 7)]


def test_numbers_that_began_anew_are_known_after_a_restart(lives):
    """A cINReset is no record of anybody's: what follows it is seen to by the numbers that are stored."""
    old = Sender()
    lives.take(*call(old, 70))
    new = Sender(begin=old.begin + 60_000_000_000)
    lives.take(old.tri(hi.CinReset(), 0), *call(new, 70)).crash()
    lives.take(*call(new, 3)).later().stop()
    assert lives.told == []


def test_the_first_number_that_came_twice_does_not_begin_a_sequence_anew(lives):
    sender, other = Sender(), Sender()
    other.numbers["CC"] = 0
    pdus = [sender.cc() for _ in range(30)]
    lives.take(*pdus[:10], other.cc(payload=b"other"), *pdus[10:20]).crash().take(*pdus[20:]).later().stop()
    assert lives.told == [("doubled", "CC", 0, None)]


def test_a_finding_that_was_cut_short_by_a_crash_spoils_no_other(lives):
    sender = Sender()
    pdus = [sender.cc() for _ in range(10)]
    with (lives.out / "findings.jsonl").open("ab") as file:
        file.write(b'{"rule":"gap","liid":"LI')
    lives.crash().take(pdus[0], *pdus[2:]).later()
    lines = (lives.out / "findings.jsonl").read_bytes().splitlines()
    assert len(lines) == 2
    assert line_of(lines[1]) == ("gap", "CC", 1, None)


def test_checks_that_wait_for_the_other_file_are_bounded(lives, monkeypatch):
    sender = Sender()
    pdus = [pdu for _ in range(8) for pdu in call(sender, 30)]
    monkeypatch.setattr(recalled, "MAX_OCTETS", 5_000)
    lives.take(*pdus).crash().take(*call(sender, 3)).later()
    assert lives.told == []


@pytest.mark.parametrize("told", [range(100), range(5, 8), range(6), range(7, 30), range(5, 6), range(7, 8)])
@pytest.mark.parametrize("turn", [0, NUMBERS - 6])
def test_of_what_is_missing_a_part_was_told(told, turn):
    gaps = Gaps()
    gaps.add((5 + turn) % NUMBERS, 3, 0)
    gaps.add((20 + turn) % NUMBERS, 5, 0)
    gaps.tell(range((told.start + turn) % NUMBERS, (told.start + turn) % NUMBERS + len(told)))
    missing = {*range(5, 8), *range(20, 25)}
    rest = {(each - turn) % NUMBERS for gap in gaps.overdue(1) for each in gap}
    assert rest == missing - set(told)
