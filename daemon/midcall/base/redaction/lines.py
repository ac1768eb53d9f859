"""Lines of heads by their names: left out, given another value, or taken together as the most lenient reader does."""

from __future__ import annotations

from midcall.base.redaction.text import drop, join, named, plain_ends, split, squeezed


def without(head: bytes, names: frozenset[bytes], start: int = 1) -> bytes:
    """Lines of these names go, with the folded lines behind them; the first ``start`` lines are no headers.

    A folded line that begins like one goes as well: who does not unfold reads it so.
    """
    if plain_ends(head):
        return _without_plain(head, names, start)
    lines = split(head)
    kept, dropping, torn = lines[:start], False, False
    for text, end in lines[start:]:
        dropping = (dropping and (torn or _folded(text))) or _name(text) in names
        torn = not end.endswith(b"\n")
        if dropping:
            drop(kept, end)
        else:
            kept.append((text, end))
    return join(kept)


def valued(head: bytes, names: frozenset[bytes], value: bytes) -> bytes:
    """Lines of these names get a value; folded lines behind them go."""
    lines = split(head)
    kept, dropping, torn = lines[:1], False, False
    for text, end in lines[1:]:
        if dropping and (torn or _folded(text)):
            drop(kept, end)
            torn = not end.endswith(b"\n")
            continue
        dropping = not _folded(text) and _name(text) in names
        torn = not end.endswith(b"\n")
        kept.append((text.partition(b":")[0].rstrip() + b": " + value if dropping else text, end))
    return join(kept)


def headers(head: bytes) -> list[list[tuple[bytes, bytes]]]:
    """Lines of each header, the start line first: those behind an odd end belong to it as well as folded ones."""
    found: list[list[tuple[bytes, bytes]]] = []
    torn = False
    for text, end in split(head):
        if found and (torn or _folded(text)):
            found[-1].append((text, end))
        else:
            found.append([(text, end)])
        torn = not end.endswith(b"\n")
    return found


def _name(line: bytes) -> bytes:
    return squeezed(line.partition(b":")[0])


def _folded(line: bytes) -> bool:
    return line[:1] in (b" ", b"\t")


def _without_plain(head: bytes, names: frozenset[bytes], start: int) -> bytes:
    """The same where CRLF alone ends lines: then no line is torn, and all names are read at once."""
    named_so = [line.partition(b":")[0] in names for line in named(head).split(b"\n")]
    named_so[:start] = [False] * start
    if True not in named_so:
        return head
    kept, dropping = [], False
    for text, begins in zip(head.split(b"\r\n"), named_so, strict=True):
        dropping = begins or (dropping and _folded(text))
        if not dropping:
            kept.append(text)
    if dropping and kept:
        kept.append(b"")  # what went ended with the octets: the line before it keeps its own end
    return b"\r\n".join(kept)
