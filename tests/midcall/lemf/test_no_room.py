"""A disk that others have filled to the last octet: the receiver says so and ends, and the next one goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from midcall.lemf.shell import store
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.loopback import Lab, run


@pytest.mark.parametrize("which", ["findings", "both"])
def test_no_room_for_what_was_found_ends_the_receiver(pki, tmp_path, monkeypatch, which):
    """/dev/full takes nothing. The number that is missing is told, and the link ends without an acknowledgement."""
    sender = Sender()
    pdus = [sender.cc() for _ in range(3)]

    async def main() -> tuple[Lab, bytes]:
        raised: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        async with Lab(pki, tmp_path) as lab:
            lab.receiver._log.close()
            lab.receiver._log = Path("/dev/full").open("a", encoding="ascii")  # noqa: SIM115 (the receiver closes it)
            if which == "both":

                def full(descriptor: int, pieces: list[bytes]) -> int:
                    raise OSError(28, "No space left on device")

                monkeypatch.setattr(store.os, "writev", full)
            client = await lab.link()
            # The last one once more with other octets: a finding at once.
            sender.numbers["CC"] = 2
            await client.send(*pdus, sender.cc(payload=b"other"))
            answer = await client.ended()
            await asyncio.wait_for(lab.receiver.done.wait(), 5)
        assert raised == []
        return lab, answer

    lab, answer = run(main)
    assert answer == b""
    assert "No space left" in lab.receiver.failed
    assert any(kind == "finding" and "doubled" in text for kind, text in lab.told)
    assert any("nothing more is taken" in text for _, text in lab.told)

    monkeypatch.undo()

    async def again() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(*pdus)
            await client.barrier()
            await client.close()
        return lab

    lab = run(again)
    assert lab.file("hi3.ber").startswith(b"".join(pdus))
