"""How a command fails: one line and an exit status (0 done, 2 usage, 3 unreadable input, 4 done with errors)."""

from __future__ import annotations

from pathlib import Path

DONE, USAGE, UNREADABLE, DONE_WITH_ERRORS = 0, 2, 3, 4
OWN_PROCESS = object()
"""What a command is given (click's ``obj``) where the process is its own, to begin anew or to end."""


class Failed(Exception):
    """The command ends with ``status``; the text names file, place and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(shown(" ".join(reason.split())))
        self.status = status


def reason(error: OSError) -> str:
    """What the system says of a file, without its number."""
    return error.strerror or type(error).__name__


def read_text(path: Path, limit: int) -> str:
    """A small text file; Failed(USAGE) when it cannot be read."""
    try:
        with path.open("rb") as file:
            octets = file.read(limit + 1)
        if len(octets) > limit:
            raise Failed(USAGE, f"{path}: longer than {limit} octets")
        return octets.decode()
    except OSError as error:
        raise Failed(USAGE, f"{path}: {reason(error)}") from None
    except UnicodeDecodeError:
        raise Failed(USAGE, f"{path}: not UTF-8 text") from None


def shown(text: str) -> str:
    """Text out of a capture as a terminal may show it: nothing but printable ASCII, the rest escaped."""
    escaped = text.encode("unicode_escape").decode("ascii") if not text.isascii() or not text.isprintable() else text
    return escaped[:512]
