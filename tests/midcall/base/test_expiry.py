"""What is told of papers that run out, when, and how often."""

from __future__ import annotations

import datetime
import logging
from pathlib import Path

import pytest
from msgspec import Struct

from midcall.base.expiry import Expiry, ends, files
from midcall.base.lab_pki import DAYS, LabPki
from tests.midcall.base.test_tls import issued

DAY = datetime.timedelta(days=1)


class Door(Struct):
    certificate: str = ""
    ca: str = ""
    crl: str = ""
    key: str = "secret.key"


class Table(Struct):
    door: Door
    more: tuple[Door, ...] = ()
    name: str = "ca"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    LabPki(folder).make(("df",))
    return folder


def door(pki: Path, certificate: Path | None = None) -> Door:
    return Door(str(certificate or pki / "df.pem"), str(pki / "ca.pem"), str(pki / "crl.pem"))


def test_all_files_of_a_table_and_no_others(pki: Path) -> None:
    found = dict(files(Table(door(pki), (Door(ca="b"), Door())), "df"))
    assert found == {
        "df.door.certificate": pki / "df.pem",
        "df.door.ca": pki / "ca.pem",
        "df.door.crl": pki / "crl.pem",
        "df.more.ca": Path("b"),
    }


def test_when_a_file_runs_out(pki: Path, tmp_path: Path) -> None:
    certificate, authority, listed = (ends(pki / name) for name in ("df.pem", "ca.pem", "crl.pem"))
    assert certificate is not None and authority is not None and certificate < authority == listed
    both = tmp_path / "both.pem"
    both.write_bytes((pki / "ca.pem").read_bytes() + (pki / "df.pem").read_bytes())
    assert ends(both) == certificate
    assert ends(pki / "df.key") is None and ends(tmp_path / "none") is None


def test_told_once_a_day_then_each_hour_and_gone_when_renewed(
    pki: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    clock = [now]
    expiry = Expiry(lambda: clock[0])
    log = logging.getLogger("midcall.li.df")
    expiry.take("df", Table(door(pki)), log)
    assert caplog.records == [] and expiry.seconds_left() == pytest.approx(DAYS * 86_400, abs=600)
    short = issued(pki, tmp_path, ends=3).certificate

    def told(after: datetime.timedelta) -> list[tuple[int, str]]:
        caplog.clear()
        clock[0] = now + after
        expiry.look()
        return [(each.levelno, each.getMessage()) for each in caplog.records]

    expiry.take("df", Table(door(pki, short)), log)
    end = ends(short)
    assert [each.getMessage() for each in caplog.records] == [
        f"df.door.certificate: {short} runs out: {end:%Y-%m-%d %H:%M} UTC"
    ]
    assert told(DAY / 2) == []
    assert [level for level, _ in told(DAY)] == [logging.WARNING]
    assert [level for level, _ in told(2.1 * DAY)] == [logging.ERROR]
    assert told(2.1 * DAY + DAY / 48) == [] and len(told(2.2 * DAY)) == 1
    assert expiry.seconds_left() > 0
    assert told(3.1 * DAY)[0][1].startswith(f"df.door.certificate: {short} has run out") and expiry.seconds_left() < 0
    expiry.take("poi", Table(Door()), log)
    expiry.take("df", Table(door(pki)), log)
    assert told(3.2 * DAY) == [] and expiry.seconds_left() > 0
