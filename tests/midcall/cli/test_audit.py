"""midcall audit: what it says, and with which status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from midcall.audit.lines import HeadLine, encode
from midcall.base.audit_link import Act, Kind, Note, Phase, digest
from midcall.cli.fail import Failed
from midcall.cli.main import cli
from midcall.events import Instant
from tests.midcall.audit import made

GROUPS = (3, 1, 2)


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.heads = made.write(self.log, GROUPS)
        self.key = folder / "heads.pub"
        self.key.write_bytes(made.pem())
        self.anchor = folder / "anchor"
        self.anchor.write_bytes(b"".join(encode(HeadLine(each)) + b"\n" for each in self.heads))

    def file(self) -> Path:
        return next(self.log.iterdir())

    def run(self, *arguments: object) -> tuple[int, str]:
        """Status and what was said."""
        done = CliRunner().invoke(cli, ["audit", *map(str, arguments), "--key", str(self.key)], standalone_mode=False)
        if isinstance(done.exception, Failed):
            return done.exception.status, str(done.exception)
        assert done.exception is None, done.exception
        return done.return_value or 0, done.output

    def json(self, *arguments: object) -> tuple[int, dict]:
        status, text = self.run(*arguments, "--json")
        return status, json.loads(text)


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


def test_a_good_log(place):
    status, text = place.run("verify", place.log)
    assert status == 0 and "6 entries, 3 heads, 1 files are good" in text and "an anchor alone can say" in text
    status, found = place.json("verify", place.log, "--anchor", place.anchor)
    assert status == 0 and found["good"] and found["finding"] is None
    assert (found["log"], found["entries"], found["heads"], found["files"]) == (made.LOG, 6, 3, 1)
    assert found["anchors"] == {"heads": 3, "met": 3} and found["unresolved"] == []
    assert found["head"] == encode(HeadLine(place.heads[-1])).decode()


def test_a_log_that_was_edited(place):
    octets = place.file().read_bytes().replace(b'"count":4', b'"count":5')
    place.file().write_bytes(octets)
    status, text = place.run("verify", place.log)
    assert status == 4 and "line 8: edited: entry 4: " in text and "4 entries, 2 heads" in text
    status, found = place.json("verify", place.log)
    assert status == 4 and not found["good"]
    assert (found["finding"]["kind"], found["finding"]["entry"], found["finding"]["until"]) == ("edited", 4, 4)


def test_one_file_of_a_log(place, tmp_path):
    made.write(tmp_path / "many", GROUPS, each_file=1)
    paths = sorted((tmp_path / "many").iterdir())
    for path, entries in zip(paths, (3, 4, 6), strict=True):
        status, found = place.json("verify", path)
        assert status == 0 and (found["entries"], found["files"]) == (entries, 1)
    octets = paths[1].read_bytes()
    paths[1].write_bytes(octets.replace(b'"count":3', b'"count":5'))
    assert "edited: entry 3" in place.run("verify", paths[1])[1]
    paths[1].write_bytes(octets.replace(b'"edge":["', b'"edge":["0', 1))
    assert place.run("verify", paths[1])[0] == 4
    assert place.run("verify", paths[2])[0] == 0


def test_a_log_that_was_cut_back(place):
    rows = place.file().read_bytes().splitlines(keepends=True)
    place.file().write_bytes(b"".join(rows[:-3]))
    assert place.run("verify", place.log)[0] == 0
    status, text = place.run("verify", place.log, "--anchor", place.anchor)
    assert status == 4 and "rolled-back: entries 4 to 5" in text
    assert place.run("compare", place.log, place.anchor)[0] == 4
    assert place.json("compare", place.anchor, place.log)[1]["finding"]["kind"] == "rolled-back"


def test_the_end_of_a_log_that_was_killed(place, monkeypatch):
    monkeypatch.setattr("midcall.cli.audit.AGAIN_SECONDS", 0.01)
    with place.file().open("ab") as file:
        file.write(b'{"n":6,"wall"')
    status, text = place.run("verify", place.log)
    assert status == 4 and "torn: entry 6" in text
    # What stands before is sure all the same.
    status, text = place.run("prove", place.log, "--entry", 5)
    assert status == 0 and '"proof": "inclusion"' in text
    assert find(place, "W-1")[0] == 0


def test_one_entry_for_somebody_else(place):
    out = place.folder / "proof.json"
    status, text = place.run("prove", place.log, "--entry", 3, "--out", out)
    assert status == 0 and "written" in text
    assert b'"n":2' not in out.read_bytes().replace(b"\\", b"")
    status, text = place.run("verify", out)
    assert status == 0 and "proved: this is entry 3 of 6" in text
    status, found = place.json("verify", out)
    assert status == 0 and found["proved"] and found["entry"]["n"] == 3 and found["size"] == 6
    out.write_bytes(out.read_bytes().replace(b'\\"count\\":3', b'\\"count\\":4'))
    assert place.run("verify", out)[0] == 4
    assert place.json("verify", out)[1]["proved"] is False
    assert place.run("prove", place.log, "--entry", 6)[0] == 4


def test_that_a_log_continues_a_head(place):
    out, first, second = (place.folder / name for name in ("proof.json", "first", "second"))
    first.write_text(place.heads[0])
    second.write_bytes(encode(HeadLine(place.heads[1])) + b"\n")
    assert place.run("prove", place.log, "--from", first, "--out", out)[0] == 0
    status, text = place.run("verify", out)
    assert status == 0 and "the 6 entries" in text and "the 3 of the former head" in text
    assert place.json("verify", out)[1]["former"]["size"] == 3
    status, text = place.run("prove", place.log, "--from", first, "--to", second)
    assert status == 0 and json.loads(text)["proof"] == "consistency"
    assert place.run("prove", place.log, "--from", second, "--to", first)[0] == 4


def test_two_copies(place, tmp_path):
    made.write(tmp_path / "older", GROUPS[:2])
    status, text = place.run("compare", tmp_path / "older", place.log)
    assert status == 0 and "the first is older: 4 entries" in text
    assert place.run("compare", place.log, place.log)[1].startswith("the same 6")
    made.write(tmp_path / "other", GROUPS, each_file=1)
    status, found = place.json("compare", place.log, tmp_path / "other")
    assert status == 0 and found["relation"] == "same", "the same entries, in other files"
    rows = (tmp_path / "other" / place.file().name).read_bytes().replace(b'"count":1', b'"count":2')
    (tmp_path / "other" / place.file().name).write_bytes(rows)
    status, text = place.run("compare", place.log, tmp_path / "other")
    assert status == 4 and "edited: entry 1" in text


def test_heads_and_heads(place, tmp_path):
    assert place.run("compare", place.anchor, place.anchor) == (0, "6 heads, of one history\n")
    made.write(tmp_path / "other", (2, 1))
    other = tmp_path / "head"
    ledger = made.ledger()
    made.group(ledger, 2, salt=9)
    other.write_text(ledger.place.head)
    status, text = place.run("compare", place.anchor, other)
    assert status == 4 and "two histories under one key" in text
    assert place.json("compare", place.anchor, other)[1]["finding"]["kind"] == "forked"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("verify", "nothing"), 3, "nothing"),
        (("verify", "{empty}"), 3, "there is no audit in it"),
        (("verify", "{key}"), 3, "no proof"),
        (("verify", "{key}", "--anchor", "{anchor}"), 2, "goes with a folder"),
        (("verify", "{log}", "--anchor", "{key}"), 4, "line 1: no head"),
        (("verify", "{log}", "--anchor", "nothing"), 3, "nothing"),
        (("prove", "{log}"), 2, "either"),
        (("prove", "{log}", "--entry", "1", "--from", "{anchor}"), 2, "either"),
        (("compare", "{log}", "{empty}"), 3, "there is no audit in it"),
    ],
)
def test_what_cannot_be_done(place, arguments, status, said):
    empty = place.folder / "empty"
    empty.mkdir()
    names = {"log": place.log, "key": place.key, "anchor": place.anchor, "empty": empty}
    found = place.run(*(each.format(**names) for each in arguments))
    assert found[0] == status and said in found[1]


def test_keys_that_are_none(place):
    place.key.write_text("no key")
    assert place.run("verify", place.log)[0] == 3
    place.key.unlink()
    assert place.run("verify", place.log)[0] == 3


def find(place: Place, identifier: str, *more: str, salt: bytes = bytes(32)) -> tuple[int, str]:
    path = place.folder / "salt"
    path.write_text(salt.hex())
    path.chmod(0o600)
    arguments = ["audit", "find", str(place.log), "--key", str(place.key), "--salt", str(path), *more]
    done = CliRunner().invoke(cli, arguments, input=identifier, standalone_mode=False)
    if isinstance(done.exception, Failed):
        return done.exception.status, done.output + str(done.exception)
    return done.return_value, done.output


def test_what_was_done_under_a_warrant_is_found_with_the_salt_alone(tmp_path):
    place = Place(tmp_path)
    ledger = made.ledger()
    octets = ledger.place.begin()
    for name in ("W-1", "W-2", "W-1"):
        held = digest(bytes(32), Kind.TASK, "xid")
        under = digest(bytes(32), Kind.WARRANT, name)
        ledger.add(Note(Act.TASK_ARM, Phase.EVENT, 1, held, under), made.POI, Instant(1, 1))
    octets += made.group(ledger, 1)
    place.file().write_bytes(octets)
    status, said = find(place, "W-1\n")
    assert status == 0 and [json.loads(row)["n"] for row in said.splitlines()] == [0, 2]
    assert find(place, "W-3") == (0, "")
    assert find(place, "W-1", salt=b"x" * 32) == (0, "")
    assert len(find(place, "xid", "--kind", "task")[1].splitlines()) == 3
    assert find(place, "\n")[0] == 2 and find(place, "x" * 5_000)[0] == 2
    with place.file().open("ab") as file:
        file.write(b"x\n")
    assert find(place, "W-1")[0] == 4
