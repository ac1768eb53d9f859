"""Roles on several hosts, each with a log of its own: what they say is weighed together."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from midcall.audit.ledger import Writer
from midcall.audit.reviewing import SKEW_NS
from midcall.base.audit_link import Act, Note, Outcome, Phase
from midcall.cli.main import cli
from midcall.events import Instant
from tests.midcall.audit import made
from tests.midcall.audit.test_reviewing import ADMF, DF, EVENT, INTENT, KMS, MINUTE, OUTCOME, POI, W, X

Row = tuple[int, Writer, Act, Phase, int | None]
SECOND = 1_000_000_000
HOSTS: dict[str, list[Row]] = {
    "admf": [
        (0, ADMF, Act.TASK_ACTIVATE, INTENT, None),
        (2 * SECOND, ADMF, Act.TASK_ACTIVATE, OUTCOME, 0),
        (2 * SECOND, ADMF, Act.TASK_ACTIVATE, INTENT, None),
        (3 * SECOND, ADMF, Act.TASK_ACTIVATE, OUTCOME, 2),
        (5 * MINUTE, ADMF, Act.TASK_DEACTIVATE, INTENT, None),
    ],
    "df": [
        (SECOND, DF, Act.TASK_ACTIVATE, INTENT, None),
        (SECOND, DF, Act.TASK_ARM, EVENT, None),
        (MINUTE, DF, Act.KEYS_ASK, INTENT, None),
        (MINUTE + SECOND, DF, Act.KEYS_ASK, OUTCOME, 2),
        (5 * MINUTE + 2 * SECOND, DF, Act.TASK_DEACTIVATE, INTENT, None),
        (5 * MINUTE + 2 * SECOND, DF, Act.TASK_DEACTIVATE, OUTCOME, 4),
    ],
    "poi": [
        (3 * SECOND, POI, Act.TASK_ACTIVATE, INTENT, None),
        (3 * SECOND, POI, Act.TASK_ARM, EVENT, None),
    ],
    "kms": [(MINUTE, KMS, Act.KEYS_GIVE, INTENT, None)],
}


def write(folder: Path, hosts: dict[str, list[Row]], ahead: dict[str, int]) -> list[str]:
    (folder / "key").write_bytes(made.pem())
    for name, rows in hosts.items():
        log = folder / name
        log.mkdir()
        ledger = made.ledger()
        octets = ledger.place.begin()
        for at, writer, act, phase, of in rows:
            outcome = Outcome.DONE if phase is OUTCOME else Outcome.NONE
            note = Note(act, phase, 1, object=X, warrant=W, outcome=outcome, of=of)
            ledger.add(note, writer, Instant(MINUTE + at + ahead.get(name, 0), MINUTE + at))
        (log / f"{0:020d}.log").write_bytes(octets + ledger.seal(Instant(1, 1)))
    return [str(folder / name) for name in hosts]


def said(folder: Path, logs: list[str], *more: str) -> tuple[int, list[str]]:
    arguments = ["audit", "review", *logs, "--key", str(folder / "key"), *more]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    status = getattr(done.exception, "status", None) or done.return_value or 0
    return status, done.output.replace(f"{folder}/", "").splitlines()


@pytest.mark.parametrize("late", sorted(HOSTS))
@pytest.mark.parametrize("ahead", [-SKEW_NS + SECOND, 0, SKEW_NS - SECOND])
def test_an_honest_site_whose_clocks_are_not_the_same(tmp_path, late, ahead):
    assert said(tmp_path, write(tmp_path, HOSTS, {late: ahead})) == (0, ["what roles say agrees"])


def test_a_stolen_certificate_of_a_df_leaves_its_trace_at_the_kms_alone(tmp_path):
    """By itself each log is as it should be."""
    rogue = (4 * MINUTE, KMS, Act.KEYS_GIVE, INTENT, None)
    logs = write(tmp_path, {**HOSTS, "kms": [*HOSTS["kms"], rogue]}, {})
    for each in logs:
        assert said(tmp_path, [each])[0] == 0
    status, lines = said(tmp_path, logs)
    assert (status, lines[:1]) == (4, ["kms: entry 1: the KMS gives keys that the DF has not asked for"])
    assert '"log":3' in said(tmp_path, logs, "--json")[1][0]


def test_a_stolen_certificate_of_the_admf(tmp_path):
    rogue = [(8 * MINUTE, DF, Act.TASK_ACTIVATE, INTENT, None), (8 * MINUTE, DF, Act.TASK_ARM, EVENT, None)]
    logs = write(tmp_path, {**HOSTS, "df": [*HOSTS["df"], *rogue]}, {})
    assert said(tmp_path, logs)[1][:-1] == ["df: entry 6: a task is ordered at the DF, and not by the ADMF"]


def test_one_key_for_all_or_one_for_each(tmp_path):
    logs = write(tmp_path, HOSTS, {})
    assert said(tmp_path, logs, "--key", str(tmp_path / "key"))[0] == 2
    assert said(tmp_path, logs, *3 * ("--key", str(tmp_path / "key")))[0] == 0
