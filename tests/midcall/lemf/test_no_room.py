"""A disk that others have filled to the last octet: the receiver says so and ends, and the next one goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from midcall.lemf import Lemf
from midcall.lemf.shell import server, store
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


def test_what_is_found_counts_among_what_the_receiver_may_use(pki, tmp_path):
    """Lines about records are longer than the records that a deliverer makes up for them."""

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            lab.receiver.store._limit = 100_000
            client = await lab.link()
            await client.send(*wrong(400))
            assert await client.ended() == b""
        return lab

    lab = run(main)
    assert "are used up" in lab.receiver.failed
    assert sum(each.stat().st_size for each in tmp_path.rglob("*") if each.is_file()) < 120_000
    assert lab.findings[-1]["rule"] == "store"


def wrong(count: int) -> list[bytes]:
    """Integrity checks of as many communications of which nothing came."""
    return [Sender(cin=cin).check(numbers=[]) for cin in range(count)]


def test_a_fault_in_the_upkeep_is_told_and_ends_no_upkeep(pki, tmp_path, monkeypatch):
    times: list[int] = []

    def deadline(self: Lemf, now: int) -> None:
        times.append(now)
        if len(times) == 1:
            raise RuntimeError("with something of a record")

    monkeypatch.setattr(server, "TICK", 0.01)
    monkeypatch.setattr(Lemf, "deadline", deadline)

    async def main() -> Lab:
        async with Lab(pki, tmp_path) as lab:
            while len(times) < 3:
                await asyncio.sleep(0.01)
        return lab

    lab = run(main)
    assert [each["text"] for each in lab.findings] == ["internal error: RuntimeError; please report it"]
