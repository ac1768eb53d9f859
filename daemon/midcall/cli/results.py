"""The folder of a replay's results: made, and cleared of what a former replay has left there.

Otherwise results of two warrants would lie side by side: the content of one beside the events of another.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import ExitStack
from pathlib import Path

from midcall.base import owner_only
from midcall.cli.fail import USAGE, Failed

REPORT = "report.json"
AUDIO = "audio"
# What a replay writes by name, in its folder and in audio/ (the silence is there for a moment only).
_RESULTS = re.compile(r"media\.pcap|hi[123]\.ber|report\.json")
_VOICES = re.compile(r"dialog-[0-9]{3,}-(caller|callee|mix)\.wav|\.dialog-[0-9]{3,}-silence\.wav")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def prepare(out: Path, capture: int) -> None:
    """Make ``out``, or remove former results from it, and nothing else; ``capture`` is what is about to be read.

    Failed, and nothing was removed: a folder has the name of a result, audio/ is a link or no folder, or a result is
    the capture itself. OSError.
    """
    owner_only.make_folder(out)
    with ExitStack() as opened:
        results = os.open(out, _FOLDER)
        opened.callback(os.close, results)
        former = _former(results, out, _RESULTS, capture)
        voices = _audio(results, out)
        if voices is not None:
            opened.callback(os.close, voices)
            former += _former(voices, out / AUDIO, _VOICES, capture)
        for folder, name in former:
            os.unlink(name, dir_fd=folder)


def _audio(results: int, out: Path) -> int | None:
    """The folder of the WAV files by descriptor, never through a link; None: not there yet."""
    try:
        return os.open(AUDIO, _FOLDER | os.O_NOFOLLOW, dir_fd=results)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise Failed(USAGE, f"{out / AUDIO}: a link or no folder; nothing was done") from None


def _former(folder: int, path: Path, names: re.Pattern[str], capture: int) -> list[tuple[int, str]]:
    """What is to be removed from a folder."""
    former = [name for name in os.listdir(folder) if names.fullmatch(name)]
    for name in former:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            raise Failed(USAGE, f"{path / name}: is a folder where a result has to go; nothing was done")
        if os.path.samestat(found, os.fstat(capture)):
            raise Failed(USAGE, f"{path / name}: is the capture itself; choose another --out; nothing was done")
    return [(folder, name) for name in former]
