"""Numbers of communications: none is given twice, whatever happens between two of them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from midcall.df2 import Communications
from midcall.df2.communications import LAST, CinsUsedUp
from midcall.live.cins import CIN_BLOCK, Cins, CinsAhead, CinsError


def given(path: Path, count: int, run: bytes = b"") -> list[int]:
    """What a run gives to its communications."""
    cins = Cins(path)
    communications = Communications(cins.first, cins.reserve)
    return [communications.cin("xid", run + n.to_bytes(4, "big")) for n in range(count)]


def test_no_run_gives_a_number_of_another(tmp_path):
    """Also those that need more than one block."""
    path = tmp_path / "cins"
    first = given(path, 2 * CIN_BLOCK + 10)
    assert first == list(range(1, 2 * CIN_BLOCK + 11))
    second = given(path, 10)
    third = given(path, 1)
    assert second[0] > first[-1] and third[0] > second[-1]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_run_without_communications_takes_none(tmp_path):
    assert [given(tmp_path / "cins", 0), given(tmp_path / "cins", 1)] == [[], [1]]


def test_a_block_is_on_the_disk_before_its_first_number_is_given(tmp_path, monkeypatch):
    path, synced = tmp_path / "cins", []
    cins = Cins(path)
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (sync(number), synced.append(path.read_bytes())))
    communications = Communications(cins.first, cins.reserve)
    for n in range(CIN_BLOCK):
        communications.cin("xid", n.to_bytes(4, "big"))
    assert synced == [b"%010d\n" % (CIN_BLOCK + 1)]
    communications.cin("xid", b"more")
    assert synced[1:] == [b"%010d\n" % (2 * CIN_BLOCK + 1)]


def test_a_block_that_cannot_be_reserved_is_not_begun(tmp_path, monkeypatch):
    cins = Cins(tmp_path / "cins")
    communications = Communications(cins.first, cins.reserve)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", _fails)
        with pytest.raises(OSError, match="broken"):
            communications.cin("xid", b"a")
    assert communications.cin("xid", b"a") == 1


def _fails(_: int) -> None:
    raise OSError("broken")


def test_the_last_number_is_the_last(tmp_path):
    path = tmp_path / "cins"
    path.write_text(str(LAST - 1))
    cins = Cins(path)
    communications = Communications(cins.first, cins.reserve)
    assert [communications.cin("xid", each) for each in (b"a", b"b")] == [LAST - 1, LAST]
    with pytest.raises(CinsUsedUp):
        communications.cin("xid", b"c")
    assert communications.cin("xid", b"a") == LAST - 1
    with pytest.raises(CinsError, match="every CIN up to 4294967295 has been given; name the network element"):
        Cins(path)


@pytest.mark.parametrize("text", ["", "\0\0\0\0", "0", "-5", "1 000", "12x", "99999999999"])
def test_a_file_that_says_no_number_is_refused(tmp_path, text):
    path = tmp_path / "cins"
    path.write_text(text)
    with pytest.raises(CinsError, match="holds no number; write a number into it that is greater than every CIN"):
        Cins(path)
    assert path.read_text() == text


def test_a_block_is_taken_in_a_thread_while_the_one_before_is_given(tmp_path, monkeypatch):
    """Of a run only the first is waited for, and each is on the disk before a number of it is given."""
    path = tmp_path / "cins"
    cins = CinsAhead(Cins(path))
    writers, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (sync(number), writers.append(threading.current_thread())))
    communications = Communications(cins.first, cins.reserve)
    for n in range(3 * CIN_BLOCK):
        number = communications.cin("xid", n.to_bytes(4, "big"))
        if n % 64 == 0:
            assert number == n + 1 < int(path.read_bytes())
    cins.close()
    assert len(writers) == 4 and [each is threading.main_thread() for each in writers] == [True, False, False, False]
    assert given(path, 1) == [4 * CIN_BLOCK + 1], "a restart leaves a block more unused, and gives none twice"


def test_what_could_not_be_taken_ahead_is_tried_again_and_not_given_before(tmp_path, monkeypatch):
    cins = CinsAhead(Cins(tmp_path / "cins"))
    communications = Communications(cins.first, cins.reserve)
    communications.cin("xid", b"first")
    cins.close()
    again = CinsAhead(Cins(tmp_path / "cins"))
    communications = Communications(again.first, again.reserve)
    with monkeypatch.context() as broken:
        sync = os.fsync
        broken.setattr(
            os, "fsync", lambda n: sync(n) if threading.current_thread() is threading.main_thread() else _fails(n)
        )
        for n in range(CIN_BLOCK):
            last = communications.cin("xid", n.to_bytes(4, "big"))
        broken.setattr(os, "fsync", _fails)
        with pytest.raises(OSError, match="broken"):
            communications.cin("xid", b"more")
    assert communications.cin("xid", b"more") == last + 1
    again.close()


def test_nothing_is_taken_ahead_of_the_last_number(tmp_path):
    (tmp_path / "cins").write_text(str(LAST - 1))
    cins = CinsAhead(Cins(tmp_path / "cins"))
    assert cins.reserve(cins.first) == LAST
    cins.close()
    assert int((tmp_path / "cins").read_bytes()) == LAST + 1


def test_one_that_cannot_be_read_or_made_is_refused(tmp_path):
    (tmp_path / "cins").mkdir()
    with pytest.raises(CinsError, match="cins: Is a directory"):
        Cins(tmp_path / "cins")
    with pytest.raises(CinsError, match="cannot be made: No such file"):
        Cins(tmp_path / "nowhere" / "cins")


def test_one_that_is_missing_beside_spools_is_refused(tmp_path):
    (tmp_path / "destination").mkdir()
    (tmp_path / "destination" / "iri.db").touch()
    with pytest.raises(CinsError, match="missing beside the spools of former runs; write a number"):
        Cins(tmp_path / "cins")
    assert not (tmp_path / "cins").exists()


def test_what_an_earlier_version_wrote_is_gone_on_from(tmp_path):
    (tmp_path / "cins").write_text("100001")
    assert given(tmp_path / "cins", 2) == [100_001, 100_002]
    assert (tmp_path / "cins").read_bytes() == b"%010d\n" % (100_001 + CIN_BLOCK)
