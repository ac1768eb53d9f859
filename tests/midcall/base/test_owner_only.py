"""Files and folders that nobody but their owner may read, whatever stood there before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from midcall.base import owner_only


@pytest.fixture(autouse=True)
def open_umask():
    """A process that would hand everything to everybody."""
    former = os.umask(0)
    yield
    os.umask(former)


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def test_a_file_is_its_owners_from_the_beginning(tmp_path):
    with owner_only.create(tmp_path / "a") as file:
        assert mode(tmp_path / "a") == 0o600
        file.write(b"abc")
        file.seek(0)
        assert file.read() == b"abc"


def test_what_was_there_is_replaced_not_written_into(tmp_path):
    elsewhere, place = tmp_path / "elsewhere", tmp_path / "a"
    elsewhere.write_bytes(b"kept")
    place.symlink_to(elsewhere)
    owner_only.create(place).close()
    assert elsewhere.read_bytes() == b"kept" and place.read_bytes() == b"" and not place.is_symlink()
    place.chmod(0o644)
    owner_only.create(place).close()
    assert mode(place) == 0o600


def test_what_is_written_behind_the_end_of_a_file(tmp_path):
    for text in (b"one", b"two"):
        with owner_only.append(tmp_path / "a") as file:
            file.write(text)
    assert (tmp_path / "a").read_bytes() == b"onetwo" and mode(tmp_path / "a") == 0o600


def test_a_folder_is_never_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        owner_only.create(tmp_path / "a")


def test_folders_that_are_made_are_the_owners_and_others_stay_as_they_are(tmp_path):
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    owner_only.make_folder(there / "b" / "c")
    owner_only.make_folder(there)
    assert [mode(each) for each in (there, there / "b", there / "b" / "c")] == [0o755, 0o700, 0o700]
    (there / "file").touch()
    with pytest.raises(FileExistsError):
        owner_only.make_folder(there / "file")


def test_octets_in_one_go(tmp_path):
    (tmp_path / "a").write_bytes(b"longer than what follows")
    (tmp_path / "a").chmod(0o644)
    owner_only.write(tmp_path / "a", b"abc")
    assert mode(tmp_path / "a") == 0o600 and (tmp_path / "a").read_bytes() == b"abc"
