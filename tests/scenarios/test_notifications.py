"""HI1 in a replay: that the interception began, and that it ended, where the agency wants to know."""

from __future__ import annotations

from pathlib import Path

import pytest

from imswire import hi
from imswire.hi import hi1
from midcall.config import Network, Profile, ReplayConfig, Warranted
from midcall.lemf import Lemf, Link
from tests.imswire.hi import oracles
from tests.scenarios.test_handover import SECOND, talked
from tests.scenarios.world import BEGIN, World

WANTED = ReplayConfig(
    warranted=Warranted(liid="LI-7"), network=Network(network_operator="26299"), profile=Profile(hi1=True)
)


@pytest.fixture(scope="module")
def world() -> World:
    made = World()
    talked(made)
    return made


def told(folder: Path) -> list[tuple[str, float]]:
    """Which notifications, and seconds after the first packet; numbers count from 0."""
    pdus = [hi.parse(octets) for octets in hi.Splitter().feed((folder / "hi1.ber").read_bytes())]
    assert [pdu.header.sequence for pdu in pdus] == list(range(len(pdus)))
    found = []
    for pdu in pdus:
        assert isinstance(pdu.payload, hi.Hi1) and pdu.header.time is not None
        found.append((hi1.name(hi1.parse(pdu.payload.contents)), (pdu.header.time - BEGIN) / SECOND))
    return found


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, [("liActivated", 0.0)]),
        (2.0, 3.5, [("liActivated", 2.0), ("liDeactivated", 3.5)]),
        (2.0, 3_600.0, [("liActivated", 2.0)]),
    ],
)
def test_an_end_is_told_when_it_is_in_the_capture(world, tmp_path, start, end, expected):
    world.replay(tmp_path, start=start, end=end, config=WANTED)
    assert told(tmp_path) == expected


def test_nothing_is_told_of_a_warrant_that_never_begins_nor_to_who_does_not_want_it(world, tmp_path):
    for name, config, start in (("late", WANTED, 3_600.0), ("unwanted", ReplayConfig(), 2.0)):
        (tmp_path / name).mkdir()
        world.replay(tmp_path / name, start=start, config=config)
        assert not (tmp_path / name / "hi1.ber").exists()


def test_two_runs_leave_the_same_octets_and_hi2_and_hi3_are_as_without(world, tmp_path):
    plain = ReplayConfig(warranted=WANTED.warranted, network=WANTED.network)
    for name, config in (("one", WANTED), ("two", WANTED), ("plain", plain)):
        (tmp_path / name).mkdir()
        world.replay(tmp_path / name, start=2.0, end=3.5, config=config)
    one, two, without = (
        {
            each: (tmp_path / name / each).read_bytes()
            for each in ("hi1.ber", "hi2.ber", "hi3.ber")
            if (name, each) != ("plain", "hi1.ber")
        }
        for name in ("one", "two", "plain")
    )
    assert one == two and one.items() >= without.items()


def test_the_module_of_pycrate_reads_them_and_they_name_no_target(world, tmp_path):
    world.replay(tmp_path, start=2.0, end=3.5, config=WANTED)
    octets = (tmp_path / "hi1.ber").read_bytes()
    assert b"alice" not in octets and b"sip:" not in octets
    kind = oracles.shipped_etsi().HI1NotificationOperations.HI1_Operation
    values = []
    for each in hi.Splitter().feed(octets):
        payload = hi.parse(each).payload
        assert isinstance(payload, hi.Hi1)
        values.append(oracles.crate_value(kind, payload.contents))
    assert [alternative for alternative, _ in values] == ["liActivated", "liDeactivated"]
    for _, value in values:
        assert value["lawfulInterceptionIdentifier"] == b"LI-7" and value["domainID"] == (0, 4, 0, 2, 2, 0, 1, 6)
        assert value["communicationIdentifier"] == {"network-Identifier": {"operator-Identifier": b"26299"}}
        assert set(value) == {"domainID", "lawfulInterceptionIdentifier", "communicationIdentifier", "timeStamp"}


def test_a_receiver_finds_no_fault(world, tmp_path):
    world.replay(tmp_path, start=2.0, end=3.5, config=WANTED)
    lemf = Lemf()
    link = Link(lemf, "df")
    batches = [
        link.receive((tmp_path / f"{name}.ber").read_bytes(), BEGIN + 60 * SECOND) for name in ("hi1", "hi2", "hi3")
    ]
    lemf.finish(BEGIN + 60 * SECOND)
    assert lemf.findings.take() == [] and batches[0].events == ["LIID LI-7: liActivated", "LIID LI-7: liDeactivated"]
