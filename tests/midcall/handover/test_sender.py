"""Senders over real TLS to a receiver that behaves, or does not."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from imswire import hi
from midcall.base.link_report import LinkEvent
from midcall.handover.settings import LinkSettings, SpoolSettings
from midcall.handover.shell import channel
from midcall.handover.shell.folder import Folder
from midcall.handover.shell.sender import Sender
from midcall.handover.shell.spool import Spool
from midcall.handover.shell.status import completeness
from tests.midcall.handover.receiver import Manner, Pki, Receiver
from tests.midcall.handover.world import T0, cc, intercept, iri, keys, streams, unavailable

FAST = LinkSettings(
    retry_first=0.01, retry_most=0.05, proof_seconds=0.02, poll_seconds=0.05, time1=0.2, time2=0.2, time3=0.4
)
# For what is to go without a fault on a busy machine.
PATIENT = LinkSettings(retry_first=0.01, retry_most=0.05, proof_seconds=0.02, poll_seconds=0.05)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


class Desk:
    """One spool and one sender, and what they say."""

    def __init__(self, folder: Path, name: str = "lemf", spool: SpoolSettings | None = None) -> None:
        self.folder = folder / name
        self.keys = keys(folder / f"keys of {name}")
        settings = spool or SpoolSettings(segment_octets=1 << 20, reserve_octets=0, retry_seconds=0.0)
        self.spool = Spool(self.folder, name, self.keys, [intercept()], unavailable, T0, settings=settings)
        self.events: list[LinkEvent] = []
        self.sender: Sender | None = None
        self.running: asyncio.Task[None] | None = None
        self.written = 0

    def send(self, receiver: Receiver, settings: LinkSettings = FAST) -> Sender:
        peer = receiver.peer()
        self.sender = Sender(
            self.folder, "lemf", self.keys, peer, "operator", settings=settings, report=self.events.append
        )
        self.running = asyncio.create_task(self.sender.run())
        return self.sender

    async def stop(self, seconds: float = 30.0) -> None:
        assert self.sender is not None
        assert self.running is not None
        self.sender.stop(seconds)
        await self.running

    def write(self, events: int, content: int) -> None:
        there, _ = streams()
        first = self.written
        self.written += max(events, content)
        assert self.spool.write_iri([iri(first + n) for n in range(events)], T0)
        for at in range(0, content, 500):
            assert self.spool.write_cc(cc(there, min(500, content - at), first + at), T0)

    def close(self) -> None:
        self.spool.close()
        self.keys.close()

    def states(self) -> list[str]:
        return [each.state for each in self.events]

    def delivered(self) -> tuple[int, int]:
        found = completeness(Folder(self.folder), self.keys, "LAB-1")
        assert all(each.holds for each in found), found
        return found[0].delivered, found[1].delivered


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    made = Desk(tmp_path)
    yield made
    made.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(120):
            await test()

    asyncio.run(bounded())


def arrived(receiver: Receiver, events: int, content: int) -> Callable[[], bool]:
    def check() -> bool:
        ledger = receiver.ledger
        return (ledger.count(hi.PayloadTag.IRI), ledger.count(hi.PayloadTag.CC)) == (events, content)

    return check


@pytest.mark.parametrize(
    "manner",
    [Manner(acknowledges=True), Manner(), Manner(declines=False)],
    ids=["acknowledges", "declines", "answers no option"],
)
@pytest.mark.parametrize("connections", ["one", "each"])
def test_all_is_delivered_and_proved(desk: Desk, pki: Pki, manner: Manner, connections: Any) -> None:
    async def test() -> None:
        desk.write(3, 2_000)
        receiver = await Receiver(pki, manner).start()
        settings = LinkSettings(proof_seconds=0.02, connections=connections)
        sender = desk.send(receiver, settings)
        await receiver.until(arrived(receiver, 3, 2_000))
        desk.write(3, 1_000)
        await receiver.until(arrived(receiver, 6, 3_000))
        await desk.stop()
        await receiver.stop()
        receiver.ledger.assert_whole()
        assert desk.delivered() == (6, 3_000)
        assert receiver.connections == len(sender.channels) == (1 if connections == "one" else 2)
        assert desk.states() == ["up"] * receiver.connections + ["down"] * receiver.connections
        counters = list(sender.counters().values())
        assert sum(each.released for each in counters) == sum(each.pdus for each in counters)
        assert sum(each.resent for each in counters) == 0

    run(test)


def test_a_lemf_that_answers_nothing_gets_everything_and_it_is_said_so(desk: Desk, pki: Pki) -> None:
    async def test() -> None:
        desk.write(2, 500)
        receiver = await Receiver(pki, Manner(declines=False, keeps_alive=False)).start()
        sender = desk.send(receiver)
        await receiver.until(arrived(receiver, 2, 500))
        await receiver.until(lambda: sender.channels[0].link is not None and sender.channels[0].link.unproved)
        desk.write(1, 0)
        await receiver.until(arrived(receiver, 3, 500))
        await desk.stop()
        await receiver.stop()
        assert desk.delivered() == (3, 500)

    run(test)


def test_silence_of_one_who_has_answered_costs_the_connection_and_no_record(desk: Desk, pki: Pki) -> None:
    async def test() -> None:
        desk.write(1, 0)
        receiver = await Receiver(pki).start()
        desk.send(receiver)
        await receiver.until(lambda: desk.spool.folder.cursor.exists() and desk.delivered()[0] == 1)
        receiver.manner = Manner(keeps_alive=False)
        desk.write(1, 1_000)
        await receiver.until(lambda: receiver.connections > 1)
        receiver.manner = Manner()
        await receiver.until(lambda: desk.delivered() == (2, 1_000))
        await desk.stop()
        await receiver.stop()
        receiver.ledger.assert_whole()
        assert receiver.ledger.repeated > 0
        faults = [state for state in desk.states() if state in ("fault", "cleared")]
        assert faults == ["fault", "cleared"] * (len(faults) // 2)
        assert faults
        links = [state for state in desk.states() if state in ("up", "down")]
        assert links == ["up", "down"] * (len(links) // 2)

    run(test)


def test_a_hundred_pdus_cut_by_resets(desk: Desk, pki: Pki) -> None:
    """Ten links are reset inside a PDU; nothing is lost, and what comes twice is the same."""
    cutting(desk, pki, 10, 6_000)


@pytest.mark.proof
def test_a_hundred_resets(desk: Desk, pki: Pki) -> None:
    cutting(desk, pki, 100, 60_000)


def cutting(desk: Desk, pki: Pki, resets: int, content: int) -> None:
    draw = random.Random(resets)

    async def test() -> None:
        receiver = Receiver(pki)
        left = [draw.randrange(1, content * 280 // resets) for _ in range(resets)]
        receiver.manner.cut = lambda: left.pop() if left else None
        await receiver.start()
        sender = desk.send(receiver, PATIENT)
        for _ in range(10):
            desk.write(5, content // 10)
            await asyncio.sleep(0)
        await receiver.until(lambda: desk.written > 0 and not left and desk.delivered() == (50, content))
        await desk.stop()
        await receiver.stop()
        receiver.ledger.assert_whole()
        assert receiver.cuts == resets
        assert sender.counters()["hi2+hi3"].connections == receiver.connections > resets

    run(test)


def test_links_that_never_last_still_bring_everything(desk: Desk, pki: Pki) -> None:
    """Each breaks behind 60 kB: what was proved before that need not go again."""

    async def test() -> None:
        receiver = await Receiver(pki, Manner(cut=lambda: 60_000)).start()
        desk.send(receiver, PATIENT)
        desk.write(5, 2_000)
        await receiver.until(lambda: desk.delivered() == (5, 2_000))
        await desk.stop()
        await receiver.stop()
        receiver.ledger.assert_whole()
        assert receiver.cuts > 5

    run(test)


HEADER = hi.Header(b"-", hi.CommunicationId(b"lemf"), 0)


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x80" + b"\xa1\x80" * 40,
        hi.build(hi.PsPdu(HEADER, hi.Padding(bytes(70_000)))),
        hi.build(hi.PsPdu(HEADER, hi.KeepAliveResponse())) * 2_000,
        b"\x30\x03\x02\x01\x00",
    ],
    ids=["text", "giant", "nested", "oversized", "chatter", "no PS-PDU"],
)
def test_hostile_answers_are_bounded_told_once_and_survived(desk: Desk, pki: Pki, greeting: bytes) -> None:
    async def test() -> None:
        desk.write(2, 500)
        receiver = await Receiver(pki, Manner(greeting=greeting)).start()
        sender = desk.send(receiver)
        await receiver.until(lambda: receiver.connections >= 3)
        assert desk.states().count("fault") == 1
        receiver.manner = Manner()
        await receiver.until(lambda: desk.delivered() == (2, 500))
        await desk.stop()
        await receiver.stop()
        receiver.ledger.assert_whole()
        counters = sender.counters()["hi2+hi3"]
        assert counters.garbage or counters.strays

    run(test)


def test_wrong_numbers_prove_nothing(desk: Desk, pki: Pki) -> None:
    async def test() -> None:
        desk.write(1, 100)
        receiver = await Receiver(pki, Manner(wrong=True)).start()
        sender = desk.send(receiver)
        await receiver.until(lambda: receiver.connections >= 2)
        assert desk.delivered() == (0, 0)
        receiver.manner = Manner()
        await receiver.until(lambda: desk.delivered() == (1, 100))
        await desk.stop()
        await receiver.stop()
        assert sender.counters()["hi2+hi3"].strays > 0

    run(test)


def test_a_peer_that_closes_or_has_another_ca_is_retried_with_pauses(desk: Desk, pki: Pki, tmp_path: Path) -> None:
    async def test() -> None:
        desk.write(1, 100)
        receiver = await Receiver(pki, Manner(closes=True)).start()
        desk.send(receiver)
        await receiver.until(lambda: receiver.connections >= 3)
        await receiver.stop()
        stranger = Receiver(Pki(tmp_path / "stranger"))
        stranger.port = receiver.port
        await stranger.start()
        await stranger.until(lambda: any("CERTIFICATE" in each.reason for each in desk.events) or len(desk.events) > 0)
        await stranger.stop()
        receiver.manner = Manner()
        await receiver.start()
        await receiver.until(lambda: desk.delivered() == (1, 100))
        await desk.stop()
        await receiver.stop()
        assert desk.states().count("fault") == desk.states().count("cleared") == 1

    run(test)


@pytest.mark.parametrize("connections", ["one", "each"])
def test_one_that_closes_behind_its_answer_costs_the_connection_alone(desk: Desk, pki: Pki, connections: Any) -> None:
    async def test() -> None:
        desk.write(2, 500)
        receiver = await Receiver(pki, Manner(acknowledges=True, leaves=True)).start()
        settings = LinkSettings(retry_first=0.01, retry_most=0.05, proof_seconds=0.02, connections=connections)
        sender = desk.send(receiver, settings)
        await receiver.until(lambda: receiver.connections >= 10)
        assert desk.running is not None
        assert not desk.running.done()
        receiver.manner = Manner(acknowledges=True)
        await receiver.until(arrived(receiver, 2, 500))
        await desk.stop()
        await receiver.stop()
        assert desk.delivered() == (2, 500)
        assert sum(each.broken for each in sender.counters().values()) >= 9

    run(test)


def test_acked_of_a_connection_that_is_gone() -> None:
    class Gone:
        """A stream whose transport has closed."""

        transport = property(lambda self: self)

        def get_write_buffer_size(self) -> int:
            return 0

        def get_extra_info(self, _: str) -> None:
            return None

    assert channel._acked(Gone()) is False  # type: ignore[arg-type]  # as much of a stream as is looked at


@pytest.mark.parametrize("place", ["_write", "_listen", "_release", "_rewind"])
def test_what_fails_inside_a_connection_ends_it_alone(
    desk: Desk, pki: Pki, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    async def test() -> None:
        desk.write(2, 500)
        receiver = await Receiver(pki, Manner(acknowledges=True)).start()
        right = getattr(channel.Channel, place)
        failed = []

        def wrong(self: channel.Channel, *arguments: Any) -> Any:
            if len(failed) < 3:
                failed.append(place)
                raise RuntimeError("no reason")
            return right(self, *arguments)

        monkeypatch.setattr(channel.Channel, place, wrong)
        desk.send(receiver, PATIENT)
        await receiver.until(arrived(receiver, 2, 500))
        await desk.stop()
        await receiver.stop()
        assert len(failed) == 3
        assert desk.delivered() == (2, 500)
        faults = [each.reason for each in desk.events if each.state == "fault"]
        assert faults == ["the connection failed: RuntimeError: no reason"]

    run(test)


def test_a_peer_that_the_check_refuses_gets_nothing(desk: Desk, pki: Pki) -> None:
    async def test() -> None:
        desk.write(1, 0)
        receiver = await Receiver(pki).start()

        def refuse(connection: ssl.SSLObject) -> None:
            raise ValueError("another LEMF")

        peer = receiver.peer()._replace(check=refuse)
        sender = Sender(desk.folder, "lemf", desk.keys, peer, "operator", settings=FAST, report=desk.events.append)
        running = asyncio.create_task(sender.run())
        await receiver.until(lambda: receiver.connections >= 2)
        sender.stop(0)
        await running
        await receiver.stop()
        assert receiver.pdus == 0
        assert [(each.state, each.reason) for each in desk.events] == [("fault", "refused: another LEMF")]

    run(test)


def test_one_that_does_not_read_harms_nobody_else(desk: Desk, pki: Pki, tmp_path: Path) -> None:
    other = Desk(tmp_path, "other")

    async def test() -> None:
        deaf, good = await Receiver(pki, Manner(reads=False)).start(), await Receiver(pki).start()
        slow_sender = desk.send(deaf, LinkSettings(time2=30, time3=60))
        other.send(good)
        desk.write(2, 20_000)
        other.write(2, 5_000)
        await good.until(lambda: other.delivered() == (2, 5_000))
        assert desk.delivered() == (0, 0)
        counters = slow_sender.counters()["hi2+hi3"]
        assert counters.octets < 2 << 20, "what it does not take stays on the disk"
        await desk.stop(0.1)
        await other.stop()
        await deaf.stop()
        await good.stop()

    run(test)
    other.close()


def outage(desk: Desk, pki: Pki, backlog: int) -> None:
    """Nobody listens; then the backlog goes out while new records come in behind it."""

    async def test() -> None:
        receiver = await Receiver(pki).start()
        receiver.ledger.forget_octets()
        await receiver.stop()
        sender = desk.send(receiver, PATIENT)
        for _ in range(10):
            desk.write(10, backlog // 10)
        await receiver.until(lambda: "fault" in desk.states())
        await receiver.start()
        for _ in range(10):
            desk.write(10, backlog // 50)
            await asyncio.sleep(0)
        await receiver.until(arrived(receiver, 200, backlog + backlog // 5))
        await desk.stop()
        await receiver.stop()
        receiver.ledger.assert_whole()
        assert desk.delivered() == (200, backlog + backlog // 5)
        assert sender.counters()["hi2+hi3"].resent == 0
        assert desk.states() == ["fault", "up", "cleared", "down"]

    run(test)


def test_an_outage(desk: Desk, pki: Pki) -> None:
    outage(desk, pki, 20_000)


@pytest.mark.proof
def test_an_outage_of_a_million_records(tmp_path: Path, pki: Pki) -> None:
    desk = Desk(tmp_path, "long", SpoolSettings(reserve_octets=0))
    try:
        outage(desk, pki, 1_000_000)
    finally:
        desk.close()


def test_a_stop_ends_at_its_deadline_when_nobody_listens(desk: Desk, pki: Pki) -> None:
    async def test() -> None:
        desk.write(1, 100)
        receiver = await Receiver(pki).start()
        await receiver.stop()
        desk.send(receiver)
        await receiver.until(lambda: "fault" in desk.states())
        await desk.stop(0.1)
        assert desk.delivered() == (0, 0)

    run(test)


def test_delivery_goes_on_while_the_cursor_cannot_be_written(desk: Desk, pki: Pki) -> None:
    async def test() -> None:
        desk.write(1, 500)
        receiver = await Receiver(pki).start()
        sender = desk.send(receiver, PATIENT)
        settle = sender.cursor.settle
        failing = True

        def full(*arguments: Any) -> None:
            if failing:
                raise sqlite3.OperationalError("database or disk is full")
            settle(*arguments)

        sender.cursor.settle = full  # type: ignore[method-assign, assignment]
        await receiver.until(arrived(receiver, 1, 500))
        await receiver.until(lambda: "fault" in desk.states())
        desk.write(1, 500)
        await receiver.until(arrived(receiver, 2, 1_000))
        failing = False
        await receiver.until(lambda: desk.delivered() == (2, 1_000))
        await receiver.until(lambda: "cleared" in desk.states())
        await desk.stop()
        await receiver.stop()
        receiver.ledger.assert_whole()

    run(test)


def test_the_bell_wakes_a_sender_that_would_look_once_an_hour(desk: Desk, pki: Pki) -> None:
    async def test() -> None:
        receiver = await Receiver(pki).start()
        desk.send(receiver, LinkSettings(poll_seconds=3_600, proof_seconds=0.02))
        await receiver.until(lambda: receiver.pdus > 0)
        desk.write(1, 100)
        await receiver.until(arrived(receiver, 1, 100))
        await desk.stop()
        await receiver.stop()

    run(test)
