"""Large records fill the first windows of a connection long before there are many of them."""

from __future__ import annotations

from pathlib import Path

from imswire import hi
from midcall.events import CcRecord
from midcall.handover.link import FIRST_PDUS, FIRST_WINDOW
from midcall.handover.settings import LinkSettings
from tests.midcall.handover.receiver import Pki, Receiver
from tests.midcall.handover.test_sender import Desk, run
from tests.midcall.handover.world import T0, streams

LARGE = 1_200
COUNT = 200


def test_a_full_window_asks_at_once(tmp_path: Path) -> None:
    """Not when the time between two questions is over: here an hour."""
    assert FIRST_WINDOW // LARGE < FIRST_PDUS

    async def test() -> None:
        desk = Desk(tmp_path)
        there, _ = streams()
        assert desk.spool.write_cc([CcRecord(T0 + n, there, bytes(LARGE)) for n in range(COUNT)], T0)
        receiver = await Receiver(Pki(tmp_path / "pki")).start()
        desk.send(receiver, LinkSettings(proof_seconds=3_600.0, time6=3_600.0))
        await receiver.until(lambda: receiver.ledger.count(hi.PayloadTag.CC) == COUNT)
        await desk.stop()
        await receiver.stop()
        desk.close()

    run(test)
