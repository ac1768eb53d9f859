"""What roles say beside each other: an honest site agrees with itself, and whoever leaves something out does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from midcall.audit.checking import Checker
from midcall.audit.ledger import Writer
from midcall.audit.reviewing import ALONE, CLOCK, UNKNOWN, UNSIGNED, UNWRITTEN, Review
from midcall.audit.shell import files
from midcall.base.audit_link import Act, Note, Outcome, Phase, Role
from midcall.cli.main import cli
from midcall.events import Instant
from tests.midcall.audit import made

POI, DF, KMS = (Writer(role, 1, bytes([number]) * 16) for number, role in enumerate((Role.POI, Role.DF, Role.KMS)))
X, W = b"x" * 32, b"w" * 32
INTENT, EVENT, OUTCOME = Phase.INTENT, Phase.EVENT, Phase.OUTCOME

HONEST = [
    (DF, Act.TASK_ACTIVATE, INTENT),
    (DF, Act.TASK_ARM, EVENT),
    (POI, Act.TASK_ACTIVATE, INTENT),
    (POI, Act.TASK_ARM, EVENT),
    (DF, Act.KEYS_ASK, INTENT),
    (KMS, Act.KEYS_GIVE, INTENT),
    (KMS, Act.KEYS_GIVE, OUTCOME),
    (POI, Act.TASK_DISARM, EVENT),
    (POI, Act.TASK_ARM, EVENT),  # after a restart
]


def write(folder: Path, acts: list[tuple[Writer, Act, Phase]], **changed: object) -> Path:
    fields = {"object": X, "warrant": W} | changed
    return keep(folder, [(writer, Note(act, phase, 1, **fields)) for writer, act, phase in acts])  # type: ignore[arg-type]


def keep(folder: Path, notes: list[tuple[Writer, Note]]) -> Path:
    log = folder / "log"
    log.mkdir(exist_ok=True)
    ledger = made.ledger()
    octets = ledger.place.begin()
    for writer, note in notes:
        ledger.add(note, writer, Instant(1, 1))
    (log / f"{0:020d}.log").write_bytes(octets + ledger.seal(Instant(1, 1)))
    return log


def look(log: Path) -> list[tuple[int, str]]:
    review = Review()
    assert Checker(made.KEY, on_entry=review.entry).check(files.read(log)).found is None
    return [(each.n, each.reason) for each in review.remarks()]


def remarks(folder: Path, acts: list[tuple[Writer, Act, Phase]], **changed: object) -> list[tuple[int, str]]:
    return look(write(folder, acts, **changed))


def test_an_honest_site(tmp_path):
    assert remarks(tmp_path, HONEST) == []


NOT_AT_POI = "the POI arms a task that nobody has activated there"
NOT_AT_DF = "the POI arms a task that the DF has not"


@pytest.mark.parametrize(
    ("gone", "found"),
    [
        (0, [(0, "the DF arms a task that nobody has activated there")]),
        (1, [(2, NOT_AT_DF), (3, "the DF asks for keys of a task that is not armed there"), (7, NOT_AT_DF)]),
        (2, [(2, NOT_AT_POI), (7, NOT_AT_POI)]),
        (4, [(4, "the KMS gives keys that the DF has not asked for")]),
    ],
)
def test_somebody_leaves_something_out(tmp_path, gone, found):
    assert remarks(tmp_path, HONEST[:gone] + HONEST[gone + 1 :]) == found


def test_somebody_orders_who_is_not_the_admf(tmp_path):
    admf = Writer(Role.ADMF, 1, b"admf" * 4)
    assert remarks(tmp_path, [(admf, Act.TASK_ACTIVATE, INTENT), *HONEST]) == []
    elsewhere = [(admf, Act.WARRANT_DRAFT, INTENT), *HONEST]
    assert [n for n, _ in remarks(tmp_path, elsewhere)] == [1, 3]


@pytest.mark.parametrize(("ordered", "found"), [(False, [1, 2]), (True, [2])])
def test_an_order_that_was_refused_was_given_by_somebody(tmp_path, ordered, found):
    """With a certificate of the ADMF and no warrant: nothing begins, and it is told."""
    admf = Writer(Role.ADMF, 1, b"admf" * 4)
    notes = [(admf, Note(Act.TASK_ACTIVATE if ordered else Act.WARRANT_READ, INTENT, 1, X, W))]
    for writer, act, held in ((POI, Act.TASK_ACTIVATE, X), (DF, Act.TASK_MODIFY, b"y" * 32)):
        notes.append((writer, Note(act, EVENT, 1, held, W, outcome=Outcome.REFUSED, code=3_000)))
    assert [n for n, _ in look(keep(tmp_path, notes))] == found


def test_another_object_is_another_one(tmp_path):
    assert remarks(tmp_path, HONEST) == []
    notes = [
        (writer, Note(act, phase, 1, b"y" * 32 if number == 5 else X, W))
        for number, (writer, act, phase) in enumerate(HONEST)
    ]
    assert [n for n, _ in look(keep(tmp_path, notes))] == [5]


def test_roles_of_other_hosts_are_not_missed(tmp_path):
    assert remarks(tmp_path, [each for each in HONEST if each[0] is KMS]) == []
    assert remarks(tmp_path, [each for each in HONEST if each[0] is POI]) == []


def test_tasks_without_a_warrant_and_ends_that_nobody_knows(tmp_path):
    assert {reason for _, reason in remarks(tmp_path, HONEST, warrant=None)} == {UNSIGNED}
    assert remarks(tmp_path, HONEST[:1], outcome=Outcome.REFUSED) == []
    gone = [(POI, Act.KEYS_DESTROY, INTENT), (POI, Act.KEYS_DESTROY, OUTCOME)]
    assert remarks(tmp_path, gone, outcome=Outcome.UNKNOWN, of=0) == [], "the next run destroys them"
    ended = [(DF, Act.TASK_ACTIVATE, INTENT), (DF, Act.TASK_ACTIVATE, OUTCOME)]
    assert remarks(tmp_path, ended, outcome=Outcome.UNKNOWN, of=0)[-1] == (0, UNKNOWN)


def test_the_command(tmp_path):
    (tmp_path / "key").write_bytes(made.pem())

    def run(*more: str) -> tuple[object, str]:
        arguments = ["audit", "review", str(tmp_path / "log"), "--key", str(tmp_path / "key"), *more]
        done = CliRunner().invoke(cli, arguments, standalone_mode=False)
        return (getattr(done.exception, "status", None) or done.return_value or 0), done.output

    write(tmp_path, HONEST)
    assert run() == (0, "what roles say agrees\n")
    write(tmp_path, HONEST[:4] + HONEST[5:])
    status, said = run()
    assert status == 4 and said.startswith("entry 4: the KMS gives keys that the DF has not asked for\n1 entries")
    assert run("--json")[1].startswith('{"good":true,"remarks":[{"n":4,')
    path = next((tmp_path / "log").iterdir())
    good = path.read_bytes()
    path.write_bytes(good + b'{"n":9,"wall"')
    assert run()[0] == 4, "for what it says, not for its end"
    path.write_bytes(good.replace(b'"code":0', b'"code":1', 1))
    assert run()[0] == 4
    path.unlink()
    (tmp_path / "log").rmdir()
    assert run()[0] == 3


def history(folder: Path, acts: list[tuple[Writer, Act, Phase, int | None]], step: int = 1) -> list[tuple[int, str]]:
    """Entries with the intent that they end, ``step`` ns apart."""
    log = folder / "log"
    log.mkdir()
    ledger = made.ledger()
    octets = ledger.place.begin()
    for number, (writer, act, phase, of) in enumerate(acts):
        outcome = Outcome.DONE if phase is OUTCOME else Outcome.NONE
        note = Note(act, phase, 1, object=X, warrant=W, outcome=outcome, of=of)
        ledger.add(note, writer, Instant(1 + number * step, 1 + number * step))
    (log / f"{0:020d}.log").write_bytes(octets + ledger.seal(Instant(1, 1)))
    review = Review()
    assert Checker(made.KEY, on_entry=review.entry).check(files.read(log)).found is None
    return [(each.n, each.reason) for each in review.remarks()]


ADMF = Writer(Role.ADMF, 1, b"admf" * 4)
ORDERED: list[tuple[Writer, Act, Phase, int | None]] = [
    (ADMF, Act.TASK_ACTIVATE, INTENT, None),
    (DF, Act.TASK_ACTIVATE, INTENT, None),
    (DF, Act.TASK_ARM, EVENT, None),
    (DF, Act.TASK_ACTIVATE, OUTCOME, 1),
    (ADMF, Act.TASK_ACTIVATE, OUTCOME, 0),
    (DF, Act.KEYS_ASK, INTENT, None),
    (KMS, Act.KEYS_GIVE, INTENT, None),
    (DF, Act.KEYS_ASK, OUTCOME, 5),
    (ADMF, Act.TASK_DEACTIVATE, INTENT, None),
    (DF, Act.TASK_DEACTIVATE, INTENT, None),
    (DF, Act.TASK_DEACTIVATE, OUTCOME, 9),
    (ADMF, Act.TASK_DEACTIVATE, OUTCOME, 8),
]
MINUTE = 60_000_000_000
NOT_BY_ADMF = "a task is ordered at the DF, and not by the ADMF"


def test_an_order_is_no_leave_to_order_it_again(tmp_path):
    """Whoever has stolen the ADMF's certificate orders what the ADMF has ordered once, and ended."""
    rogue = [(DF, Act.TASK_ACTIVATE, INTENT, None), (DF, Act.TASK_MODIFY, INTENT, None)]
    assert history(tmp_path, ORDERED + rogue, MINUTE) == [(12, NOT_BY_ADMF), (13, NOT_BY_ADMF)]


def test_a_question_is_no_leave_to_ask_again(tmp_path):
    """Whoever has stolen the DF's certificate asks the KMS itself, while the DF has the task."""
    rogue = [*ORDERED[:8], (KMS, Act.KEYS_GIVE, INTENT, None)]
    assert history(tmp_path, rogue, MINUTE) == [(8, "the KMS gives keys that the DF has not asked for")]


def test_who_gave_up_has_asked_all_the_same(tmp_path):
    late = [*ORDERED[:8], (KMS, Act.KEYS_GIVE, INTENT, None)]
    assert history(tmp_path, late) == []


@pytest.mark.parametrize("end", [Act.TASK_DEACTIVATE, Act.TASK_DEACTIVATE_ALL])
def test_what_was_ended_is_not_armed_by_itself(tmp_path, end):
    acts = [(writer, end if act is Act.TASK_DEACTIVATE else act, *rest) for writer, act, *rest in ORDERED]
    found = history(tmp_path, [*acts, (DF, Act.TASK_ARM, EVENT, None), (DF, Act.KEYS_ASK, INTENT, None)], MINUTE)  # type: ignore[list-item]
    assert found == [(12, "the DF arms a task that nobody has activated there")]
    (tmp_path / "other").mkdir()
    asked = history(tmp_path / "other", [*acts, (DF, Act.KEYS_ASK, INTENT, None)], MINUTE)  # type: ignore[list-item]
    assert asked == [(12, "the DF asks for keys of a task that is not armed there")]


def test_an_admf_that_orders_by_itself(tmp_path):
    """Somebody has edited its book, or put an older one in its place: no administrator has asked for it."""
    acts = [(ADMF, Act.WARRANT_ACTIVATE, W), (ADMF, Act.TASK_ACTIVATE, X), (ADMF, Act.WARRANT_REVOKE, W)]
    acts += acts[1:2]
    log = tmp_path / "log"
    log.mkdir()
    ledger = made.ledger()
    octets = ledger.place.begin()
    for number, (writer, act, held) in enumerate(acts):
        under = W if held == X else None
        ledger.add(Note(act, INTENT, 1, object=held, warrant=under), writer, Instant(1, 1))
        done = Note(act, OUTCOME, 1, object=held, warrant=under, outcome=Outcome.DONE, of=2 * number)
        ledger.add(done, writer, Instant(1, 1))
    (log / f"{0:020d}.log").write_bytes(octets + ledger.seal(Instant(1, 1)))
    review = Review()
    assert Checker(made.KEY, on_entry=review.entry).check(files.read(log)).found is None
    assert [(each.n, each.reason) for each in review.remarks()] == [(6, ALONE)]


@pytest.mark.parametrize(
    ("times", "found"),
    [
        ([(9, 9), (12, 12), (4_000_013, 4_000_012)], []),
        ([(9, 9), (12, 12), (8, 15), (11, 18)], [2]),
        ([(9, 9), (3_600, 12), (3_610, 22)], [1]),
    ],
    ids=["slewed", "turned back", "put forward"],
)
def test_a_clock_that_somebody_has_set(tmp_path, times, found):
    """Windows of warrants open again when it is turned back over a restart of what watches it."""
    log = tmp_path / "log"
    log.mkdir()
    ledger = made.ledger()
    octets = ledger.place.begin()
    for wall, mono in times:
        at = Instant(wall * 10**9, mono * 10**9)
        ledger.add(Note(Act.LI_STATUS, EVENT, 1), POI, at)
    (log / f"{0:020d}.log").write_bytes(octets + ledger.seal(Instant(1, 1)))
    review = Review()
    assert Checker(made.KEY, on_entry=review.entry).check(files.read(log)).found is None
    assert [each.n for each in review.remarks() if each.reason == CLOCK] == found


@pytest.mark.parametrize("is_audited", [True, False])
def test_an_element_that_works_without_its_audit(tmp_path, is_audited):
    """Whoever has its host takes the table out of its configuration, and starts it anew."""
    log = tmp_path / "log"
    log.mkdir()
    ledger = made.ledger()
    octets = ledger.place.begin()

    def add(writer: Writer, act: Act, phase: Phase, **more: object) -> None:
        ledger.add(Note(act, phase, 1, **{"object": X, "warrant": W} | more), writer, Instant(1, 1))  # type: ignore[arg-type]

    add(POI, Act.TASK_READ, EVENT)
    for writer, element in ((DF, b"d" * 32), (POI, b"p" * 32)):
        of = ledger.place.size + ledger.waiting
        add(ADMF, Act.TASK_ACTIVATE, INTENT, actor=element)
        if writer is DF or is_audited:
            add(writer, Act.TASK_ACTIVATE, INTENT)
        add(ADMF, Act.TASK_ACTIVATE, OUTCOME, outcome=Outcome.DONE, of=of)
    (log / f"{0:020d}.log").write_bytes(octets + ledger.seal(Instant(1, 1)))
    review = Review()
    assert Checker(made.KEY, on_entry=review.entry).check(files.read(log)).found is None
    assert [(each.n, each.reason) for each in review.remarks()] == ([] if is_audited else [(4, UNWRITTEN)])
