"""The cursor beside the loop: what is settled is written in a thread."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from midcall.handover.settings import LinkSettings
from tests.midcall.handover.receiver import Pki, Receiver
from tests.midcall.handover.test_sender import Desk, arrived, run

PATIENT = LinkSettings(retry_first=0.01, retry_most=0.05, proof_seconds=0.02, poll_seconds=0.05)


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    made = Desk(tmp_path)
    yield made
    made.close()


def test_nothing_waits_for_a_disk_that_takes_its_time_with_the_cursor(desk: Desk, tmp_path: Path) -> None:
    async def test() -> None:
        receiver = await Receiver(Pki(tmp_path)).start()
        sender = desk.send(receiver, PATIENT)
        desk.write(1, 100)
        await receiver.until(lambda: desk.delivered() == (1, 100))
        settling = threading.Event()
        settle = sender.cursor.settle

        def told(*arguments: Any) -> None:
            settling.set()
            settle(*arguments)

        sender.cursor.settle = told  # type: ignore[method-assign]
        with contextlib.closing(sqlite3.connect(desk.spool.folder.cursor, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            desk.write(1, 100)
            await receiver.until(settling.is_set)
            desk.write(1, 100)
            await receiver.until(arrived(receiver, 3, 300))
            assert desk.delivered() == (1, 100)
            other.execute("ROLLBACK")
        await receiver.until(lambda: desk.delivered() == (3, 300))
        assert "fault" not in desk.states()
        await desk.stop()
        await receiver.stop()
        receiver.ledger.assert_whole()

    run(test)
