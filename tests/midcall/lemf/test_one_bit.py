"""One flipped bit of a block is found by trying them all, without overlapping hashes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random

import pytest

from imswire import hi
from midcall.lemf import one_bit
from midcall.lemf.findings import Rule
from midcall.lemf.one_bit import Search
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.lemf.loopback import Lab, run

COUNT = 40


def search(octets: list[bytes], wrong: list[bytes], **more: object) -> Search:
    value = hashlib.sha256(b"".join(octets)).digest()
    return Search(None, tuple(range(7, 7 + len(wrong))), tuple(wrong), value, hashlib.sha256, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [0, 3, 9])
def test_any_bit_of_any_pdu(place: int) -> None:
    draw = random.Random(place)
    octets = [draw.randbytes(draw.randrange(1, 60)) for _ in range(10)]
    wrong = list(octets)
    flipped = int.from_bytes(octets[place], "big") ^ 1 << draw.randrange(8 * len(octets[place]))
    wrong[place] = flipped.to_bytes(len(octets[place]), "big")
    assert search(octets, wrong).run() == 7 + place
    assert search(octets, wrong, likely=(9, 16)).run() == 7 + place


def test_more_than_one_bit_is_not_found_and_nobody_is_accused() -> None:
    octets = [bytes(20), bytes(20)]
    assert search(octets, [b"\3" + bytes(19), bytes(20)]).run() is None
    assert search(octets, [b"\1" + bytes(19), b"\1" + bytes(19)]).run() is None


def test_what_would_take_too_long_is_not_begun_and_what_is_likely_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = [bytes(50) for _ in range(20)]
    wrong = [*octets[:15], b"\1" + bytes(49), *octets[16:]]
    monkeypatch.setattr(one_bit, "MOST", 8 * 50 * 50 * 20)
    assert search(octets, wrong).run() is None
    assert search(octets, wrong, likely=(22,)).run() == 22
    assert search(octets, wrong, likely=(22,)).run(lambda: True) is None


def test_the_receiver_names_the_pdu_and_lets_the_link_go_on(pki, tmp_path) -> None:
    sender = Sender()
    records = [sender.cc() for _ in range(COUNT)]
    good = sender.check(hi.DataType.CC)
    flipped = bytearray(records[17])
    flipped[-9] ^= 0x10

    async def main() -> None:
        async with Lab(pki, tmp_path) as lab:
            client = await lab.link()
            await client.send(*records[:17], bytes(flipped), *records[18:], good)
            path = tmp_path / "findings.jsonl"
            while b"as it was" not in path.read_bytes():
                await asyncio.sleep(0.01)
            await client.barrier()
            found = [json.loads(line) for line in path.read_text().splitlines()]
            (located,) = [each for each in found if each["rule"] == Rule.LOCATED and "likely" not in each["text"]]
            assert located["sequence"] == 17 and "last" not in located
            await client.close()

    run(main)
