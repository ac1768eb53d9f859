"""The audit looks at what it has written, as anybody else would, and says what does not agree."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from midcall.audit.reviewing import REASONS
from midcall.audit.shell import eye as eyes
from midcall.audit.shell import files
from midcall.audit.shell.eye import Eye
from midcall.base.audit_link import Act, Note, Outcome, Phase, Role
from tests.midcall.audit import made
from tests.midcall.audit.place import Place

ALL = 1 << 62


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_piece_by_piece_it_reads_all_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    made.write(folder, [3, 1, 5, 2, 4, 1], each_file=2)
    whole = {name: (folder / name).read_bytes() for name in files.names(folder)}
    eye = Eye(folder, made.KEY)
    for name in whole:
        (folder / name).unlink()
    for name, octets in whole.items():
        for end in (*range(1, len(octets), 97), len(octets)):
            (folder / name).write_bytes(octets[:end])
            assert eye.look(ALL).wrong == ""
    assert eye._checker._place is not None and eye._checker._place.size == 16


def test_it_reads_no_further_than_what_counts(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    made.write(folder, [1, 1, 1])
    eye = Eye(folder, made.KEY)
    for heads in (0, 1, 1, 3, 2):
        assert eye.look(heads).wrong == ""
        place = eye._checker._place
        assert (0 if place is None else place.heads) == min(max(heads, 3 if heads == 2 else 0), 3)


@pytest.mark.parametrize("behind", [False, True])
def test_what_was_changed_is_named(tmp_path: Path, behind: bool) -> None:
    folder = tmp_path / "log"
    made.write(folder, [2, 2, 2])
    (path,) = folder.glob("*.log")
    octets = path.read_bytes()
    eye = Eye(folder, made.KEY)
    if behind:
        assert eye.look(2).wrong == ""
    place = octets.rindex(b'"count":5') if behind else octets.index(b'"count":1')
    path.write_bytes(octets[:place] + b'"count":9' + octets[place + 9 :])
    assert "edited: entr" in eye.look(ALL).wrong


def test_lines_without_end_and_heads_that_are_none(tmp_path: Path) -> None:
    for more in (
        b"x" * 5_000,
        b'{"head":"nothing"}\n',
        b'{"head":"midcall.audit/' + b"0" * 32 + b'\\n1\\nx\\nhead 9\\n"}\n',
    ):
        folder = tmp_path / str(len(more))
        made.write(folder, [1])
        (path,) = folder.glob("*.log")
        with path.open("ab") as file:
            file.write(more + b"\n" * (more[:1] == b"x") + made.group(made.ledger(), 1))
        assert Eye(folder, made.KEY).look(ALL).wrong, more[:20]
    assert "No such file" in Eye(tmp_path / "nowhere", made.KEY).look(ALL).wrong


def rows(place: Place, act: str) -> list[dict]:
    found = [json.loads(row) for file in files.read(place.log) for row in file.lines]
    return [row for row in found if row.get("act") == act]


def test_a_task_that_the_poi_has_armed_alone_is_told_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    async def run(*, armed: bool) -> int:
        async with place.running() as keeper, place.client(Role.POI) as poi, place.client(Role.DF) as df:
            eye = Eye(place.log, made.KEY)
            await keeper.review(eye)
            if armed:
                df.event(Act.CONFIGURATION_READ)
                (await poi.intent(Act.TASK_ACTIVATE, b"x" * 32, warrant=b"w" * 32)).done()
                poi.event(Act.TASK_ARM, b"x" * 32, warrant=b"w" * 32)
                while poi.waiting or df.waiting:
                    await asyncio.sleep(0.001)
            await keeper.review(eye)
            await keeper.review(eye)
            poi.event(Act.TASK_READ)
            while poi.waiting:
                await asyncio.sleep(0.001)
            return poi.remarks

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(run(armed=True)) == 1
    (row,) = rows(place, "audit.disagree")
    (arm,) = rows(place, "task.arm")
    assert row["of"] == arm["n"] and row["role"] == "audit" and row["outcome"] == "failed"
    assert REASONS[row["code"] - 1] == "the POI arms a task that the DF has not"
    assert any("that the DF has not" in each.message for each in caplog.records)
    # Another run of the audit finds it in the log that it was told.
    assert asyncio.run(run(armed=False)) == 0
    assert len(rows(place, "audit.disagree")) == 1
    assert made.check(place.log).found is None


def test_what_it_finds_wrong_stops_the_audit(place: Place) -> None:
    async def go() -> None:
        async with place.running() as keeper, place.client() as client:
            (await client.intent(Act.TASK_ACTIVATE, b"x" * 32)).done()
            (path,) = place.log.glob("*.log")
            octets = path.read_bytes()
            path.write_bytes(octets.replace(b'"role":"poi"', b'"role":"kms"', 1))
            await keeper.review(Eye(place.log, made.KEY))
            assert "edited" in keeper.changed
            await keeper.review(Eye(place.log, made.KEY))

    asyncio.run(go())


def test_with_too_much_to_remember_somebody_is_told_to_look_elsewhere(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(eyes, "MOST", 3)

    async def go() -> None:
        async with place.running() as keeper:
            eye = Eye(place.log, made.KEY)
            for each in range(4):
                await keeper.note(Note(Act.TASK_ARM, Phase.EVENT, 1, bytes([each]) * 32, outcome=Outcome.DONE))
            await keeper.review(eye)
            await keeper.review(eye)
            assert eye._review is None and keeper.remarks == 0

    with caplog.at_level(logging.ERROR):
        asyncio.run(go())
    assert any("midcall audit review" in each.message for each in caplog.records)
