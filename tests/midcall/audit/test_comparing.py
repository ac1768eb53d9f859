"""A log beside heads and copies that were kept elsewhere: what the log alone cannot tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midcall.audit import comparing, merkle, proofs
from midcall.audit.checking import Checked, Checker, LogFile, first_bad
from midcall.audit.comparing import Against, Leaves, forked, kept, relation
from midcall.audit.diagnosis import Finding
from midcall.audit.lines import HeadLine, decode, encode
from midcall.audit.merkle import ProofError
from midcall.audit.opening import BadLog, heads_of, opened
from midcall.audit.shell import files
from tests.midcall.audit import made

GROUPS = (3, 1, 2, 5, 4)


@pytest.fixture
def log(tmp_path) -> Path:
    made.write(tmp_path / "log", GROUPS)
    return tmp_path / "log"


def heads(folder: Path) -> list[str]:
    found: list[str] = []
    Checker(made.KEY, on_head=lambda text, _: found.append(text)).check(files.read(folder))
    return found


def against(folder: Path, texts: list[str]) -> Finding | None:
    look = Against(kept(made.KEY, texts))
    checked = Checker(made.KEY, on_head=look.head).check(files.read(folder))
    return checked.found or look.end(checked)


def cut(folder: Path, until: int) -> None:
    """Back to a head: as the log was then."""
    (path,) = folder.iterdir()
    rows = path.read_bytes().splitlines(keepends=True)
    ends = [number for number, row in enumerate(rows) if isinstance(decode(row[:-1]), HeadLine)]
    path.write_bytes(b"".join(rows[: ends[until - 1] + 1]))


def test_a_log_and_its_own_heads(log):
    assert against(log, heads(log)) is None and against(log, []) is None
    assert against(log, heads(log)[1::2]) is None


def test_a_log_that_was_rolled_back(log):
    """To each of its heads: good by itself, and found by any head that is later."""
    all_heads, whole = heads(log), next(log.iterdir()).read_bytes()
    for until in range(1, len(GROUPS)):
        cut(log, until)
        assert made.check(log).found is None
        found, size = against(log, all_heads), sum(GROUPS[:until])
        assert found is not None and (found.kind, found.entry, found.until) == ("rolled-back", size, sum(GROUPS) - 1)
        assert against(log, all_heads[:until]) is None
        next(log.iterdir()).write_bytes(whole)


def test_a_head_without_entries_that_is_gone(log):
    """Such a one is written when the disk is there again."""
    all_heads = heads(log)
    ledger = made.ledger()
    for count in GROUPS:
        made.group(ledger, count)
    made.group(ledger, 0)
    found = against(log, [*all_heads, ledger.place.head])
    assert found is not None and (found.kind, found.entry) == ("rolled-back", sum(GROUPS) - 1)
    assert "head 6" in found.reason


def test_a_second_history_under_the_same_key(log, tmp_path):
    """Whoever has the key writes anew from an entry on: it verifies, and an anchor contradicts it."""
    anchored = heads(log)
    for since in range(1, len(GROUPS)):
        other = tmp_path / f"other-{since}"
        other.mkdir()
        ledger = made.ledger()
        octets = ledger.place.begin()
        for number, count in enumerate(GROUPS):
            octets += made.group(ledger, count, salt=100 if number >= since else 0)
        (other / f"{0:020d}.log").write_bytes(octets)
        assert made.check(other).found is None
        found = against(other, anchored)
        assert found is not None and found.kind == "forked", since
        assert found.entry == sum(GROUPS[:since]) and found.until == sum(GROUPS[: since + 1]) - 1
        first, second, compared = comparing.compared(made.KEY, files.read(log), files.read(other))
        assert first.found is None and second.found is None
        assert (compared.relation, compared.differs) == ("forked", sum(GROUPS[:since]))
        # And the proof that an auditor without the log asks for fails.
        leaves = Leaves()
        Checker(made.KEY, on_entry=leaves.entry).check(files.read(other))
        last = heads(other)[-1]
        before = made.KEY.head(anchored[since]).size
        proof = proofs.consistency(leaves.leaves, anchored[since], before, last, sum(GROUPS))
        with pytest.raises(ProofError, match="does not begin|different roots"):
            proofs.check(proof, made.KEY)
        assert forked(kept(made.KEY, [*anchored, *heads(other)])) is not None


def test_a_log_of_another_name_under_the_same_key(log):
    ledger = made.ledger(made.Place("ff" * 16))
    made.group(ledger, 4)
    found = against(log, [ledger.place.head])
    assert found is not None and found.kind == "forked" and "two logs" in found.reason
    later = ledger
    for _ in range(20):
        made.group(later, 1)
    assert against(log, [later.place.head]) is not None


def test_heads_that_contradict_each_other(log):
    texts = heads(log)
    assert forked(kept(made.KEY, texts)) is None and forked(kept(made.KEY, texts * 2)) is None
    other = made.ledger()
    made.group(other, 3, salt=7)
    found = forked(kept(made.KEY, [*texts, other.place.head]))
    assert found is not None and "two heads with number 1" in found.reason
    assert (found.entry, found.until) == (0, 2)
    made.group(other, 0)
    small = forked(kept(made.KEY, [texts[2], other.place.head, texts[0]]))
    assert small is not None and (small.entry, small.until) == (0, 2)


@settings(max_examples=50)
@given(
    st.lists(st.binary(min_size=1, max_size=1), max_size=12), st.lists(st.binary(min_size=1, max_size=1), max_size=12)
)
def test_relations_of_two_copies(one, other):
    found = relation(one, other)
    shorter = min(len(one), len(other))
    if one[:shorter] != other[:shorter]:
        assert found.relation == "forked" and found.differs is not None
        assert one[: found.differs] == other[: found.differs] and one[found.differs] != other[found.differs]
    else:
        wanted = {0: "same", 1: "second-is-older", -1: "first-is-older"}
        assert found.relation == wanted[(len(one) > len(other)) - (len(one) < len(other))]


# Proofs


def test_every_entry_is_proved_under_every_head(log):
    leaves, rows = Leaves(), {}

    def entry(each, leaf):
        leaves.entry(each, leaf)
        rows[each.n] = encode(each)

    Checker(made.KEY, on_entry=entry).check(files.read(log))
    for text in heads(log):
        size = made.KEY.head(text).size
        for n in range(size):
            proof = proofs.decode(proofs.encode(proofs.inclusion(rows[n], leaves.leaves, n, text, size)))
            head, shown = proofs.check(proof, made.KEY)
            assert (head.size, shown.n) == (size, n)
        with pytest.raises(ValueError, match="no such entry"):
            proofs.inclusion(rows[0], leaves.leaves, size, text, size)
    wrong = proofs.inclusion(rows[1], leaves.leaves, 2, heads(log)[-1], sum(GROUPS))
    with pytest.raises(ProofError):
        proofs.check(wrong, made.KEY)


def test_every_head_continues_every_former_one(log):
    leaves = Leaves()
    Checker(made.KEY, on_entry=leaves.entry).check(files.read(log))
    texts = heads(log)
    for later, text in enumerate(texts):
        for former in texts[: later + 1]:
            sizes = made.KEY.head(former).size, made.KEY.head(text).size
            proof = proofs.consistency(leaves.leaves, former, sizes[0], text, sizes[1])
            head, shown = proofs.check(proofs.decode(proofs.encode(proof)), made.KEY)
            assert (shown.size, head.size) == sizes
    with pytest.raises(ValueError, match="no such tree"):
        proofs.consistency(leaves.leaves, texts[1], 4, texts[0], 3)


@pytest.mark.parametrize("octets", [b"", b"{}", b'{"proof":"inclusion"}', b"\xff", b"[" * 70_000])
def test_what_is_no_proof(octets):
    with pytest.raises(ProofError):
        proofs.decode(octets)


def test_a_proof_of_two_logs(log):
    other = made.ledger(made.Place("ff" * 16))
    made.group(other, 4)
    proof = proofs.Consistency(other.place.head, (), heads(log)[-1])
    with pytest.raises(ProofError, match="two logs"):
        proofs.check(proof, made.KEY)
    entry = proofs.Inclusion("{}", (), heads(log)[-1])
    with pytest.raises(ProofError):
        proofs.check(entry, made.KEY)
    with pytest.raises(ProofError):
        proofs.check(proofs.Inclusion("{}", (), "no head"), made.KEY)


# Opening


def last_file(folder: Path) -> LogFile:
    return list(files.read(folder))[-1]


@pytest.mark.parametrize("each_file", [1, 2, 1_000])
def test_a_log_goes_on_from_its_last_file(tmp_path, each_file):
    texts = made.write(tmp_path / "log", GROUPS, each_file=each_file)
    found = opened(made.KEY, last_file(tmp_path / "log"))
    assert (found.place.size, found.place.heads, found.place.head, found.tail) == (15, 5, texts[-1], 0)
    leaves = Leaves()
    Checker(made.KEY, on_entry=leaves.entry).check(files.read(tmp_path / "log"))
    assert merkle.Frontier(found.place.size, found.place.edge).root() == merkle.root(leaves.leaves)


def test_a_file_with_its_first_line_alone(tmp_path):
    made.write(tmp_path / "log", GROUPS[:1])
    ledger = made.ledger()
    made.group(ledger, 3)
    (tmp_path / "log" / f"{3:020d}.log").write_bytes(ledger.place.begin())
    assert opened(made.KEY, last_file(tmp_path / "log")).place == ledger.place
    empty = made.ledger()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / f"{0:020d}.log").write_bytes(empty.place.begin())
    assert opened(made.KEY, last_file(tmp_path / "new")).place == empty.place


@pytest.mark.parametrize("change", [b'"edge":["', b'"before":"midcall', b'"previous":"', b'"first":', b'{"log":"'])
def test_a_first_line_that_no_head_proves(tmp_path, change):
    made.write(tmp_path / "log", GROUPS, each_file=2)
    path = sorted((tmp_path / "log").iterdir())[-1]
    octets = path.read_bytes()
    place = octets.index(change) + len(change)
    path.write_bytes(octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :])
    with pytest.raises(BadLog, match="line 1"):
        opened(made.KEY, last_file(tmp_path / "log"))


def test_anchors(log, tmp_path):
    texts = heads(log)
    lines = [encode(HeadLine(each)) + b"\n" for each in texts]
    assert list(heads_of(made.KEY, lines)) == texts
    for bad in (b"{}\n", b"\n", lines[0].replace(b"head 1", b"head 2")):
        with pytest.raises(BadLog, match="line 2"):
            list(heads_of(made.KEY, [lines[0], bad]))


def test_what_a_person_reads():
    assert first_bad(Finding("cut", 3, 5, "a.log", 9, "missing")) == "a.log, line 9: cut: entries 3 to 5: missing"
    assert first_bad(Finding("forked", 3, 3, "", 0, "why")) == "forked: entry 3: why"
    assert Checked(None, None, 0).tail == 0
