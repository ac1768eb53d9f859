"""Whatever octets come, a parser of the audit gives a value or its own error; and a large log under many hands."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midcall.audit import lines, proofs
from midcall.audit.checking import first_bad
from midcall.audit.heads import HeadError
from midcall.audit.lines import Entry
from midcall.audit.merkle import ProofError
from midcall.base.audit_link import values
from tests.midcall.audit import made

MADE = made.group(made.ledger(), 2).splitlines()
BEGIN = made.ledger().place.begin().rstrip(b"\n")
octets = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([*MADE, BEGIN]).flatmap(
        lambda row: st.tuples(st.integers(0, len(row)), st.binary(max_size=4), st.integers(0, 4)).map(
            lambda cut: row[: cut[0]] + cut[1] + row[cut[0] + cut[2] :]
        )
    ),
)


@settings(max_examples=200)
@given(octets)
def test_a_line_is_read_as_it_is_written_or_not_at_all(row):
    try:
        line = lines.decode(row)
    except lines.LineError:
        return
    assert lines.encode(line) == row


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_what_is_said_is_a_note_or_none(said):
    for read in (values.question, values.answer):
        try:
            read(said)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
    with pytest.raises(ProofError):
        proofs.decode(said)
    with pytest.raises(HeadError):
        made.KEY.head(said.decode("latin-1"))


def test_a_packet_there_and_back():
    note = made.note(3)
    for each in (values.Hello(1, values.Role.POI, 1, bytes(16)), values.Ask(7, (note,) * values.MAX_NOTES)):
        assert values.question(values.packet(each)) == each
        assert len(values.packet(each)) <= values.MAX_PACKET
    for other in (values.Kept(1, 2, "head"), values.NotKept(1, "full")):
        assert values.answer(values.packet(other)) == other


def test_a_digest_says_nothing_without_its_salt():
    one = values.digest(bytes(32), values.Kind.TASK, "x")
    assert len(one) == values.DIGEST_OCTETS
    assert one != values.digest(b"s" * 32, values.Kind.TASK, "x") != values.digest(b"s" * 32, values.Kind.CALL, "x")
    assert one == values.digest(bytes(32), values.Kind.TASK, b"x") != values.digest(bytes(32), values.Kind.TASK, "y")


@pytest.mark.proof
def test_ten_thousand_entries_under_many_hands(tmp_path):
    """One change each time: the first entry that it concerns is named, and an untouched log is never complained of."""
    chance = random.Random(7)
    groups: list[int] = []
    while sum(groups) < 10_000:
        groups.append(chance.choice((1, 1, 2, 7, 40, 256)))
    made.write(tmp_path / "log", groups, each_file=60)
    assert made.check(tmp_path / "log").found is None
    paths = sorted((tmp_path / "log").iterdir())
    for _ in range(150):
        path = chance.choice(paths)
        good = path.read_bytes()
        rows = good.splitlines(keepends=True)
        entries = [n for n, row in enumerate(rows) if isinstance(lines.decode(row[:-1]), Entry)]
        place = chance.choice(entries[:-1])
        line = lines.decode(rows[place][:-1])
        assert isinstance(line, Entry)
        what = chance.choice(("flip", "delete", "exchange", "repeat"))
        if what == "flip":
            at = chance.randrange(len(rows[place]))
            rows[place] = rows[place][:at] + bytes([rows[place][at] ^ 1 << chance.randrange(8)]) + rows[place][at + 1 :]
        elif what == "delete":
            del rows[place]
        elif what == "exchange":
            other = entries[entries.index(place) + 1]
            rows[place], rows[other] = rows[other], rows[place]
        else:
            rows.insert(place, rows[place])
        path.write_bytes(b"".join(rows))
        found = made.check(tmp_path / "log").found
        assert found is not None and found.entry in (line.n, line.n + (what == "repeat")), (what, first_bad(found))
        path.write_bytes(good)
    assert made.check(tmp_path / "log").found is None
