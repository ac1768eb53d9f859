"""midcall replay of traces: what was recorded of a live run, run again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from midcall.base import owner_only
from midcall.cli import results
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed, reason, shown
from midcall.live import replaying
from midcall.live.replaying import Outcome
from midcall.live.trace import TraceError, TraceReader


def run(traces: Sequence[Path], out: Path) -> int:
    """Replay each into ``out``, one folder each when there are several; X2 is compared where both ends are there."""
    _prepare(out)
    click.echo("midcall: a trace of a laboratory: no authority is checked, and it holds session keys", err=True)
    found = {}
    for place, path in enumerate(traces, 1):
        folder = out if len(traces) == 1 else out / f"{place}"
        found[path] = _replay(path, folder)
    errors = [f"{path}: {each}" for path, outcome in found.items() for each in outcome.errors]
    errors += _compared([*found.values()])
    report = {"traces": [_told(path, outcome) for path, outcome in found.items()], "errors": errors}
    try:
        owner_only.write(out / results.REPORT, json.dumps(report, indent=2).encode() + b"\n")
    except OSError as error:
        raise Failed(UNREADABLE, f"{error.filename or out}: {reason(error)}") from None
    for path, outcome in found.items():
        pdus = Counter({"hi2": 0, "hi3": 0})
        for of_outlet in outcome.pdus.values():
            pdus.update(of_outlet)
        product = ", ".join(f"{port} {count}" for port, count in sorted(pdus.items()))
        made = f"PDUs: {product}" if outcome.role == "df" else f"X2 PDUs: {outcome.x2.total()}"
        click.echo(f"{path}: {outcome.role}, {outcome.records} records, {made} -> {out}")
    for each in errors:
        click.echo(shown(f"midcall: {each}"), err=True)
    return DONE_WITH_ERRORS if errors else DONE


def _prepare(out: Path) -> None:
    """A folder with nothing in it: its results are those of these traces."""
    try:
        owner_only.make_folder(out)
        if any(out.iterdir()):
            raise Failed(USAGE, f"{out}: is not empty; traces are replayed into an empty folder; nothing was done")
    except OSError as error:
        raise Failed(UNREADABLE, f"{error.filename or out}: {reason(error)}") from None


def _replay(path: Path, folder: Path) -> Outcome:
    try:
        owner_only.make_folder(folder)
        with path.open("rb") as file:
            return replaying.replay(TraceReader(file), folder)
    except TraceError as error:
        raise Failed(UNREADABLE, f"{path}: {error}") from None
    except OSError as error:
        raise Failed(UNREADABLE, f"{error.filename or path}: {reason(error)}") from None


def _compared(found: list[Outcome]) -> list[str]:
    """What a DF took has to be what a POI made, octet for octet, where the traces are of both."""
    made: Counter[bytes] = Counter()
    taken: Counter[bytes] = Counter()
    for outcome in found:
        (made if outcome.role == "poi" else taken).update(outcome.x2)
    foreign = (taken - made).total()
    if not foreign or all(outcome.role == "df" for outcome in found):
        return []
    return [f"X2: of {taken.total()} PDUs that the DF took {foreign} are not among those that the POI makes"]


def _told(path: Path, outcome: Outcome) -> dict[str, object]:
    told: dict[str, object] = {"trace": str(path), "role": outcome.role, "records": outcome.records}
    told |= {"x2_pdus": outcome.x2.total(), "waiting": outcome.waiting}
    if outcome.role == "df":
        told["destinations"] = {
            did: {f"{kind}_pdus": n for kind, n in each.items()} for did, each in outcome.pdus.items()
        }
    return told
