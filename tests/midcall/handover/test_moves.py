"""A destination that moves is connected to at once: nothing has failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from midcall.handover.settings import LinkSettings
from tests.midcall.handover.receiver import Manner, Pki, Receiver
from tests.midcall.handover.test_sender import Desk, arrived, run

FOR_EVER = LinkSettings(retry_first=3_600.0, retry_most=3_600.0)


@pytest.mark.parametrize(
    "manner", [Manner(closes=True), Manner(declines=False, keeps_alive=False)], ids=["pauses", "has proved nothing"]
)
def test_it_is_not_waited_for(tmp_path: Path, manner: Manner) -> None:
    async def test() -> None:
        desk, pki = Desk(tmp_path), Pki(tmp_path / "pki")
        desk.write(1, 100)
        old, new = await Receiver(pki, manner).start(), await Receiver(pki).start()
        sender = desk.send(old, FOR_EVER)
        if manner.closes:
            await old.until(lambda: "fault" in desk.states())
        else:
            await old.until(arrived(old, 1, 100))
        sender.move(new.peer())
        await new.until(arrived(new, 1, 100))
        await desk.stop()
        for each in (old, new):
            await each.stop()
        desk.close()

    run(test)
