"""Folders that go with their process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from midcall.base.passing_folder import PassingFolder, clear

_OWNER = """
import sys
from pathlib import Path
from midcall.base.passing_folder import PassingFolder
folder = PassingFolder(Path(sys.argv[1]), ".spool-")
(folder.path / "queue").write_bytes(b"sealed")
print(folder.path, flush=True)
sys.stdin.read()
"""


def test_it_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = PassingFolder(tmp_path, ".spool-")
    (folder.path / "deep").mkdir()
    (folder.path / "deep" / "file").write_bytes(b"x")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.remove()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_that_of_a_living_process_stays_and_that_of_a_killed_one_goes(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    path = Path(owner.stdout.readline().strip())
    assert clear(tmp_path, ".spool-") == 0
    assert (path / "queue").exists()
    owner.kill()
    owner.communicate()
    assert clear(tmp_path, ".spool-") == 1
    assert not path.exists()


def test_what_is_no_such_folder_is_left_alone(tmp_path: Path) -> None:
    own = PassingFolder(tmp_path, ".spool-")
    (tmp_path / "results").mkdir()
    (tmp_path / ".spool-link").symlink_to(tmp_path / "results")
    (tmp_path / ".spool-file").write_bytes(b"x")
    (tmp_path / "spool-other").mkdir()
    assert clear(tmp_path, ".spool-") == 0
    assert {each.name for each in tmp_path.iterdir()} == {
        own.path.name, "results", ".spool-link", ".spool-file", "spool-other",
    }  # fmt: skip
    own.remove()
