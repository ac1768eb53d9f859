"""What was done to a log is found, and the first entry that it was done to is named."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from midcall.audit import lines
from midcall.audit.checking import LogFile, first_bad
from midcall.audit.lines import Begin, Entry, HeadLine
from midcall.audit.opening import BadLog, opened
from tests.midcall.audit import made

GROUPS = (3, 1, 2, 5, 4)
SEED = 1203


@pytest.fixture
def log(tmp_path) -> Path:
    made.write(tmp_path / "log", GROUPS)
    return tmp_path / "log"


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def rows(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def kind(row: bytes) -> lines.Line:
    return lines.decode(row[:-1])


def owner(text: list[bytes], number: int) -> tuple[str, int]:
    """What a line is, and the entry that a person would call wrong with it."""
    line = kind(text[number])
    if isinstance(line, Entry):
        return "entry", line.n
    before = [each for each in map(kind, text[:number]) if isinstance(each, Entry)]
    return ("head" if isinstance(line, HeadLine) else "begin"), before[-1].n if before else 0


def test_a_log_that_nobody_has_touched(log):
    checked = made.check(log)
    assert checked.found is None and checked.files == 1
    assert checked.place is not None and (checked.place.size, checked.place.heads) == (sum(GROUPS), len(GROUPS))


def test_in_many_files(tmp_path):
    made.write(tmp_path / "log", GROUPS, each_file=2)
    assert made.check(tmp_path / "log").found is None
    assert made.check(tmp_path / "log").files == 3


def test_flipped_octets(log):
    """A sample of all octets, each flipped in one bit: found, and the entry is the one that it was flipped in."""
    every_flip(only(log), log, random.Random(SEED).sample(range(only(log).stat().st_size), 100))


@pytest.mark.proof
def test_every_octet_flipped(log):
    every_flip(only(log), log, range(only(log).stat().st_size))


def every_flip(path: Path, log: Path, places) -> None:
    good, text = path.read_bytes(), rows(path)
    ends = [sum(map(len, text[: n + 1])) for n in range(len(text))]
    chance = random.Random(SEED)
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        found = made.check(log).found
        assert found is not None, place
        what, number = owner(text, next(n for n, end in enumerate(ends) if place < end))
        if what != "begin":
            assert (found.entry, found.until) == (number, number), (what, place, first_bad(found))
            assert found.kind in ("edited", "torn")
    path.write_bytes(good)


def test_cut_at_every_line(log):
    """Behind a head it is a log that was good once: an anchor alone knows better (test_comparing)."""
    path, text = only(log), rows(only(log))
    for count in range(1, len(text)):
        path.write_bytes(b"".join(text[:count]))
        found = made.check(log).found
        if isinstance(kind(text[count - 1]), HeadLine):
            assert found is None
            continue
        covered = [each for each in map(kind, text[:count]) if isinstance(each, HeadLine)]
        assert found is not None and found.kind == "unsigned"
        assert found.entry == sum(GROUPS[: len(covered)])


def test_cut_within_every_line(log):
    path, text = only(log), rows(only(log))
    for number, row in enumerate(text[1:], 1):
        path.write_bytes(b"".join(text[:number]) + row[: len(row) // 2])
        found = made.check(log).found
        what, entry = owner(text, number)
        assert found is not None and (found.kind, found.entry) == ("torn", entry), what


def test_a_line_that_is_gone(log):
    path, text = only(log), rows(only(log))
    for number in range(1, len(text) - 1):
        path.write_bytes(b"".join(text[:number] + text[number + 1 :]))
        found = made.check(log).found
        line = kind(text[number])
        assert found is not None and found.kind == "cut", first_bad(found)
        if isinstance(line, Entry):
            assert (found.entry, found.until) == (line.n, line.n)
        else:
            assert "head" in found.reason


def test_a_group_that_is_gone(log):
    path, text = only(log), rows(only(log))
    begin = next(n for n, row in enumerate(text) if isinstance(line := kind(row), Entry) and line.n == 4)
    path.write_bytes(b"".join(text[:begin] + text[begin + 3 :]))
    found = made.check(log).found
    assert found is not None and (found.kind, found.entry, found.until) == ("cut", 4, 5)


def test_two_lines_exchanged(log):
    path, text = only(log), rows(only(log))
    for first in range(1, len(text)):
        for second in range(first + 1, min(first + 4, len(text))):
            changed = text[:]
            changed[first], changed[second] = changed[second], changed[first]
            path.write_bytes(b"".join(changed))
            found = made.check(log).found
            assert found is not None
            one, other = kind(text[first]), kind(text[second])
            if isinstance(one, Entry) and isinstance(other, Entry):
                assert (found.kind, found.entry) == ("reordered", one.n), first_bad(found)


def test_a_line_that_stands_twice(log):
    path, text = only(log), rows(only(log))
    for number in range(1, len(text)):
        path.write_bytes(b"".join([*text[: number + 1], text[number], *text[number + 1 :]]))
        found = made.check(log).found
        assert found is not None
        line = kind(text[number])
        if isinstance(line, Entry):
            assert (found.kind, found.entry, found.until) == ("inserted", line.n, line.n), first_bad(found)


def test_an_entry_that_stands_again_under_a_later_head(log):
    path, text = only(log), rows(only(log))
    path.write_bytes(b"".join([*text[:7], text[1], *text[7:]]))
    found = made.check(log).found
    assert found is not None and found.kind == "reordered" and "entry 0 stands in its place" in found.reason


def rechained(text: list[bytes], number: int) -> list[bytes]:
    """Another count in a line, and the chain computed anew behind it, to the end; the heads as they were."""
    changed, previous = text[:number], None
    for row in text[number:]:
        line = kind(row)
        if isinstance(line, Entry):
            fields = {name: getattr(line, name) for name in line.__struct_fields__}
            fields |= {"count": 999} if previous is None else {"previous": previous}
            octets = lines.encode(Entry(**fields))
            previous = lines.entry_hash(octets).hex()
            row = octets + b"\n"
        changed.append(row)
    return changed


def test_an_entry_that_is_changed_with_the_chain_behind_it(log):
    """Without the key its head does not hold; among the entries of that head nobody can tell which was the first."""
    path, text = only(log), rows(only(log))
    for number, row in enumerate(text):
        line = kind(row)
        if not isinstance(line, Entry):
            continue
        path.write_bytes(b"".join(rechained(text, number)))
        found = made.check(log).found
        assert found is not None and found.kind == "edited"
        assert found.entry <= line.n <= found.until < found.entry + max(GROUPS)


def test_heads_of_another_key(log, tmp_path):
    other = Ed25519PrivateKey.generate()
    made.write(tmp_path / "other", GROUPS, key=other)
    found = made.check(tmp_path / "other").found
    assert found is not None and "another key" in found.reason
    assert made.check(tmp_path / "other", made.Key(other.public_key())).found is None


@pytest.mark.parametrize("gone", range(3))
def test_a_file_that_is_gone(tmp_path, gone):
    made.write(tmp_path / "log", GROUPS, each_file=2)
    path = sorted((tmp_path / "log").iterdir())[gone]
    text = rows(path)
    path.unlink()
    found = made.check(tmp_path / "log").found
    if gone == 2:
        assert found is None  # a log that was good once
        return
    entries = [line.n for line in map(kind, text) if isinstance(line, Entry)]
    assert found is not None and (found.kind, found.entry, found.until) == ("cut", entries[0], entries[-1])


def test_files_that_are_named_otherwise(tmp_path):
    made.write(tmp_path / "log", GROUPS, each_file=2)
    paths = sorted((tmp_path / "log").iterdir())
    paths[1].rename(paths[1].with_name(f"{5:020d}.log"))
    found = made.check(tmp_path / "log").found
    assert found is not None and found.file == f"{5:020d}.log"


def test_the_end_of_a_file_that_is_not_the_last(tmp_path):
    made.write(tmp_path / "log", GROUPS, each_file=2)
    path = sorted((tmp_path / "log").iterdir())[0]
    text = rows(path)
    path.write_bytes(b"".join(text[:-1]))  # its last head
    found = made.check(tmp_path / "log").found
    assert found is not None and (found.kind, found.entry) == ("cut", 3)
    assert "a head is missing" in found.reason
    path.write_bytes(b"".join(text[:-2]))  # and its last entry
    found = made.check(tmp_path / "log").found
    assert found is not None and (found.kind, found.entry, found.until) == ("cut", 3, 3)


def test_a_first_line_that_says_something_else(tmp_path):
    made.write(tmp_path / "log", GROUPS, each_file=2)
    path = sorted((tmp_path / "log").iterdir())[1]
    text = rows(path)
    begin = kind(text[0])
    assert isinstance(begin, Begin)
    fields = {name: getattr(begin, name) for name in begin.__struct_fields__}
    for change in ({"edge": ("00" * 32,)}, {"before": ""}, {"previous": "00" * 32}, {"log": "00" * 16}, {"version": 2}):
        path.write_bytes(lines.encode(Begin(**(fields | change))) + b"\n" + b"".join(text[1:]))
        found = made.check(tmp_path / "log").found
        assert found is not None and (found.kind, found.line, found.entry) == ("edited", 1, 4)


@pytest.mark.parametrize("octets", [b"", b"\n", b"{}\n", b"x" * 100_000 + b"\n", b'{"n":1}\n' * 3, bytes(5_000)])
def test_what_is_no_log(tmp_path, octets):
    (tmp_path / f"{0:020d}.log").write_bytes(octets)
    assert made.check(tmp_path).found is not None


def test_a_line_has_one_form(log):
    text = rows(only(log))
    line = kind(text[1])
    for other in (
        text[1].replace(b",", b", ", 1),
        text[1].replace(b'"n":0', b'"n":00', 1),
        text[1].replace(b'"act":"task', b'"act":"\\u0074ask', 1),
        text[1].replace(b"}", b',"more":1}', 1),
    ):
        assert other != text[1]
        with pytest.raises(lines.LineError):
            kind(other)
    assert lines.encode(line) + b"\n" == text[1]


def test_a_head_over_nothing_new_that_is_gone(tmp_path):
    """So it stands behind a write that failed: what is missing is a head alone, and its number says so."""
    for gone, said in (((1,), "heads 2 to 2 are missing"), ((1, 2), "heads 2 to 3 are missing")):
        folder = tmp_path / str(len(gone))
        made.write(folder, (2, 0, 0, 2))
        text = rows(only(folder))
        heads = [place for place, row in enumerate(text) if isinstance(kind(row), HeadLine)]
        only(folder).write_bytes(
            b"".join(row for place, row in enumerate(text) if place not in [heads[n] for n in gone])
        )
        found = made.check(folder).found
        assert found is not None and found.kind == "cut" and said in found.reason


@pytest.mark.parametrize("changed", [{"first": 2}, {"before": "no head"}])
def test_a_file_that_goes_on_from_nowhere(changed):
    """Nothing but a head proves where a file that is not the first one begins."""
    begin = lines.encode(Begin(made.LOG, lines.VERSION, **{"first": 0, "previous": lines.FIRST} | changed))
    with pytest.raises(BadLog, match="line 1"):
        opened(made.KEY, LogFile("x.log", changed.get("first", 0), [begin + b"\n"]))
