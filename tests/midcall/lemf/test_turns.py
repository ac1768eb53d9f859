"""No deliverer holds up the others: what ends a turn, who is next, what one PS-PDU may cost."""

from __future__ import annotations

import asyncio

import pytest

from imswire import hi
from midcall.base import tls
from midcall.base.lab_pki import uri
from midcall.lemf import Lemf, Link, Rule, quick
from midcall.lemf.shell import connection
from midcall.lemf.shell.turns import Turns
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.loopback import Lab, identity, run
from tests.midcall.lemf.memory import LATER


class Worker:
    """Wants so many turns, and says when it has one."""

    def __init__(self, name: str, turns: Turns, wanted: int, said: list[str]) -> None:
        self.name, self.turns, self.left, self.said = name, turns, wanted, said

    def turn(self) -> None:
        self.said.append(self.name)
        self.left -= 1
        if self.left:
            self.turns.add(self)


def test_turns_go_round_and_what_comes_in_is_taken_between_them():
    async def main() -> list[str]:
        said: list[str] = []
        turns = Turns()
        for name, wanted in (("a", 3), ("b", 2), ("c", 1)):
            turns.add(Worker(name, turns, wanted, said))
        for _ in range(8):
            await asyncio.sleep(0)
            said.append("loop")
        return said

    said = asyncio.run(main())
    assert [each for each in said if each != "loop"] == ["a", "b", "c", "a", "b", "a"]
    assert "".join(each[0] for each in said[:11]) in ("alblclalbla", "lalblclalbl")


def checks(count: int, numbers: int) -> list[bytes]:
    sender = Sender()
    check = hi.IntegrityCheck(tuple(range(numbers)), hi.CheckType.HASH, hi.DataType.CC, bytes(32), 2)
    return [sender.cc(), *(sender.tri(check) for _ in range(count))]


def test_a_check_costs_what_it_names():
    """On the short way, too: 40 checks of 2 000 numbers are more than a turn."""
    octets = b"".join(checks(40, 2_000))
    link = Link(Lemf(), "df", turn=64)
    batch, turns = link.receive(octets, LATER), 1
    while batch.more:
        batch, turns = link.receive(b"", LATER), turns + 1
    assert turns > 4 and link.pdus == 41


def test_large_pdus_cost_more_than_small_ones():
    sender = Sender()
    large = [sender.tri(hi.Padding(bytes(60_000)), 0) for _ in range(10)]
    link = Link(Lemf(), "df", turn=64)
    batch, turns = link.receive(b"".join(large), LATER), 1
    while batch.more:
        batch, turns = link.receive(b"", LATER), turns + 1
    assert turns > 4 and link.pdus == 10


def test_a_turn_ends_when_its_time_is_over():
    now = iter(range(0, 1_000, 10))
    link = Link(Lemf(), "df", turn=64, time=35, clock=lambda: next(now))
    batch = link.receive(b"".join(Sender(b"L%d" % each).cc() for each in range(20)), LATER)
    assert batch.more and link.pdus == 4


@pytest.mark.parametrize(
    "octets",
    [
        b"\x05\x00" * 400_000,
        b"\x30\x80" * 20 + b"\x05\x00" * 100_000 + b"\0\0" * 20,
        b"\xa1\x81\x02\x05\x00" * 60_000,
        b"\x1f\x81\x01\x00" * 60_000,
        b"\x30" + b"\x05\x00" * 50_000,
    ],
)
def test_a_pdu_of_too_many_parts_is_not_read(octets):
    whole = b"\x30\x83" + len(octets).to_bytes(3, "big") + octets
    lemf = Lemf()
    Link(lemf, "df").receive(whole, LATER)
    (found,) = lemf.findings.take()
    assert found.rule is Rule.SCHEMA and "more than 8192 parts" in found.text
    assert quick.crowded(whole)


def test_a_pdu_of_few_large_parts_is_read():
    assert not quick.crowded(Sender().tri(hi.Padding(bytes(500_000)), 0))
    assert not quick.crowded(checks(1, 4_000)[1])


def test_a_good_deliverer_beside_one_with_costly_checks(pki, tmp_path, monkeypatch):
    """Its answers come between the turns of the other, not behind them; so do new handshakes."""
    monkeypatch.setattr(connection, "TURN_NS", 1_000_000)
    costly = checks(60, 4_000)

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            one = await lab.link()
            await one.send(*costly)
            through = asyncio.create_task(one.barrier())
            while not lab.receiver.stored:
                await asyncio.sleep(0)
            other = await lab.link()
            await other.barrier()
            assert not through.done()
            await through
            await one.close()
            await other.close()
        return lab

    lab = run(main)
    assert lab.receiver.lemf.pdus == 63


def test_whose_an_interception_is_is_known_after_a_restart(pki, tmp_path):
    sender = Sender()
    pdus = [sender.cc() for _ in range(3)]

    async def deliver(role: str, *octets: bytes) -> Lab:
        async with Lab(pki, tmp_path, peer=uri(role)) as lab:
            client = await lab.link(tls.client_context(identity(pki, role)))
            await client.send(*octets)
            await client.barrier()
            await client.close()
        return lab

    run(lambda: deliver("df", *pdus[:2]))
    lab = run(lambda: deliver("kms", pdus[2]))
    assert [each["rule"] for each in lab.findings] == ["deliverer"]
    assert "urn:midcall:lab:df; put aside" in lab.findings[0]["text"]
    assert lab.file("hi3.ber") == b"".join(pdus[:2]) and lab.file("aside.ber") == pdus[2]
    lab = run(lambda: deliver("df", pdus[2]))
    assert lab.file("hi3.ber") == b"".join(pdus) and lab.file("deliverers.jsonl").count(b"\n") == 1


def test_a_delivery_that_comes_again_after_a_restart_is_left_out(pki, tmp_path):
    """However long it is: what is stored is read again, digest by digest."""
    sender = Sender()
    pdus = []
    for _ in range(6):
        pdus += [sender.cc() for _ in range(1_000)] + [sender.check()]

    async def deliver() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(*pdus)
            await client.barrier()
            await client.close()
        return lab

    run(deliver)
    lab = run(deliver)
    assert lab.findings == [] and lab.receiver.lemf.repeats == len(pdus)
    assert lab.file("hi3.ber") == b"".join(pdus) and not (tmp_path / "liid-LIID1" / "aside.ber").exists()
