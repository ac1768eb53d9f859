"""midcall replay: a capture and the KMS's ticket keys in, the target's media in clear out."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from imswire import pcap, sip
from midcall import config as config_file
from midcall.base import owner_only
from midcall.cli import authority, handing_over, results, traces
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed, read_text, reason, shown
from midcall.kms import Kms, KmsStore, keyfile
from midcall.live import trace
from midcall.local_copy import MediaCopy
from midcall.product import FileProduct
from midcall.replay import SECOND, Replay, Window
from midcall.report import Report

MAX_SECONDS = 10 * 366 * 24 * 3600


class _Targets(click.ParamType[tuple[str, ...]]):
    """Whoever may look at the processes of a host reads their arguments: a file, or standard input, hides a target."""

    name = "URI|@FILE|-"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        if value == "-":
            return self._listed("standard input", sys.stdin.read(config_file.MAX_OCTETS + 1), param, ctx)
        if value.startswith("@"):
            try:
                return self._listed(value[1:], read_text(Path(value[1:]), config_file.MAX_OCTETS), param, ctx)
            except Failed as failed:
                self.fail(str(failed), param, ctx)
        if not sip.identities(value):
            self.fail(f"{value!r} is no SIP, TEL or URN identity", param, ctx)
        return (value,)

    def _listed(
        self, named: str, text: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """One a line; what is wrong is told by its line alone."""
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
        found = [(number, line) for number, line in lines if line and not line.startswith("#")]
        for number, line in found:
            if not sip.identities(line):
                self.fail(f"{named}: line {number}: no SIP, TEL or URN identity", param, ctx)
        if not found:
            self.fail(f"{named}: no identity in it", param, ctx)
        return tuple(line for _, line in found)


@click.command()
@click.argument("captures", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="CAPTURE|TRACE...")
@click.option("--target", "named", type=_Targets(), multiple=True, help="Identity, or where to read some; repeatable.")
@click.option("--activate-at", type=float, metavar="S", help="Seconds after the first packet (default: throughout).")
@click.option("--deactivate-at", type=float, metavar="S", help="Seconds after the first packet (default: never).")
@click.option("--kms-keys", type=click.Path(path_type=Path), help="KEYS.toml of the KMS.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for what is made.")
@click.option("--warrant", type=click.Path(path_type=Path), help="Signed warrant: it has to cover all that is asked.")
@click.option("--trust", type=click.Path(path_type=Path), help="Trust list for --warrant.")
@click.option("--config", type=click.Path(path_type=Path), help="How product is handed over (TOML).")
@click.option("--deliver", metavar="HOST:PORT", help="Deliver to this LEMF instead of writing hi2.ber and hi3.ber.")
@click.option("--cert", type=click.Path(path_type=Path), help="Our certificate for --deliver (PEM).")
@click.option("--key", type=click.Path(path_type=Path), help="Its private key (PEM).")
@click.option("--ca", type=click.Path(path_type=Path), help="CA of the LEMF (PEM).")
@click.pass_context
def replay(
    context: click.Context,
    captures: tuple[Path, ...],
    named: tuple[tuple[str, ...], ...],
    activate_at: float | None,
    deactivate_at: float | None,
    kms_keys: Path | None,
    out: Path,
    warrant: Path | None,
    trust: Path | None,
    config: Path | None,
    deliver: str | None,
    cert: Path | None,
    key: Path | None,
    ca: Path | None,
) -> int:
    """Intercept the calls of a target in a capture, from a second in the middle of it on.

    Writes media.pcap, audio/*.wav, hi2.ber, hi3.ber and report.json to the folder of --out, and hi1.ber where --config
    wants notifications; with --deliver HI1, HI2 and HI3 go to an LEMF over mutual TLS instead.

    A TRACE that midcall run --record has written is run again with nothing but --out: hi2.ber and hi3.ber of each
    destination come out as they were handed over.
    """
    if any(trace.is_trace(each) for each in captures):
        _only_out(context)
        return traces.run(captures, out)
    if len(captures) > 1:
        raise click.UsageError(f"one capture at a time, not {len(captures)}; several are for traces")
    targets = tuple(each for some in named for each in some)
    if not targets:
        raise click.UsageError("Missing option '--target'.")
    if kms_keys is None:
        raise click.UsageError("Missing option '--kms-keys'.")
    capture = captures[0]
    window = _window(activate_at, deactivate_at)
    chosen = handing_over.settings(config, deliver, cert, key, ca)
    if warrant is not None and trust is not None:
        under = authority.checked(warrant, trust, capture, targets, window, chosen)
        return run(capture, targets, under.window, _keys(kms_keys), out, under.chosen, under)
    if warrant is not None or trust is not None:
        raise Failed(USAGE, "--warrant and --trust go together; nothing was done")
    store = _keys(kms_keys)
    under = authority.unchecked(window, chosen)
    return run(capture, targets, window, store, out, chosen, under)


def _only_out(context: click.Context) -> None:
    """A trace has all else in it."""
    for name in context.params:
        if name not in ("captures", "out") and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(each.opts[0] for each in context.command.params if each.name == name)
            raise Failed(USAGE, f"{option}: not with a trace, which has all that it needs in it; nothing was done")


def run(
    capture: Path,
    targets: tuple[str, ...],
    window: Window,
    store: KmsStore,
    out: Path,
    chosen: handing_over.Settings | None = None,
    under: authority.Authority | None = None,
) -> int:
    """Replay into ``out``; the exit status says whether there were errors."""
    chosen = chosen or handing_over.Settings()
    keys_to_lemf = chosen.config.warranted.keys == "keys-to-lemf"
    report = Report(authority.NO_AUTHORITY if under is None else under.name)
    with _opened(capture) as file:
        try:
            reader = pcap.Reader(file.read)
        except pcap.PcapError as error:
            raise Failed(UNREADABLE, f"{capture}: {error}") from None
        except OSError as error:
            raise Failed(UNREADABLE, f"{capture}: {reason(error)}") from None
        try:
            results.prepare(out, file.fileno())
            link_type = reader.link_type
            product = MediaCopy(lambda: FileProduct(out, link_type, keys_to_lemf=keys_to_lemf))
            with handing_over.opened(chosen, out) as (records, finish):
                with _bar(file) as bar:
                    Replay(reader, targets, window, Kms(store), product, report, bar, records).run()
                told, faults = finish()
                audio = product.close()  # last, so that it takes no room from what still waits
            if product.fault is not None:
                faults = [*faults, product.fault]
                told["faults"] = [*told.get("faults", []), product.fault]
            for fault in faults:
                report.capture_error(0, f"handover: {fault}")
            result = report.as_dict() | {"handover": told}
            if under is not None and under.told:
                result["warrant"] = under.told
            result |= {"audio": [str(path.relative_to(out)) for path in audio]}
        except OSError as error:
            raise Failed(UNREADABLE, f"{error.filename or out}: {reason(error)}") from None
    kept = _keep(result, out / results.REPORT)
    if report.frames == 0 and report.has_errors:
        raise Failed(UNREADABLE, f"{capture}: no frame could be read")
    _summary(report, result, product.packets, out, window)
    return DONE_WITH_ERRORS if report.has_errors or not kept else DONE


def _keep(result: dict[str, Any], path: Path) -> bool:
    """Write the report; False, and it is said, when that cannot be done: what was handed over stays handed over."""
    try:
        with owner_only.create(path) as written:
            written.write(json.dumps(result, indent=2, ensure_ascii=True).encode() + b"\n")
    except OSError as error:
        path.unlink(missing_ok=True)
        click.echo(shown(f"midcall: {path}: {reason(error)}; there is no report"), err=True)
        return False
    return True


def _window(activate_at: float | None, deactivate_at: float | None) -> Window:
    for name, value in (("--activate-at", activate_at), ("--deactivate-at", deactivate_at)):
        if value is not None and not 0 <= value <= MAX_SECONDS:
            raise Failed(USAGE, f"{name}: {value} is not a number of seconds from 0 to {MAX_SECONDS}")
    if activate_at is not None and deactivate_at is not None and deactivate_at <= activate_at:
        raise Failed(USAGE, "--deactivate-at: not after --activate-at")
    return Window(_ns(activate_at), _ns(deactivate_at))


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SECOND)


def _keys(path: Path) -> KmsStore:
    try:
        return keyfile.read(read_text(path, config_file.MAX_OCTETS))
    except config_file.ConfigError as error:
        raise Failed(USAGE, f"{path}: {error}") from None


def _opened(capture: Path) -> BinaryIO:
    try:
        if capture.is_dir():
            raise Failed(UNREADABLE, f"{capture}: is a folder, not a capture")
        return capture.open("rb", buffering=0)
    except OSError as error:
        raise Failed(UNREADABLE, f"{capture}: {reason(error)}") from None


class _bar:  # noqa: N801 - used as a context manager
    """A progress bar on a terminal's standard error, by octets read; nothing elsewhere."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._progress: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.fields[frames]} frames"), BarColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task("", total=os.fstat(file.fileno()).st_size, frames=0)

    def __enter__(self) -> _bar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, frames: int) -> None:
        if self._progress is not None:
            self._progress.update(self._task, completed=self._file.tell(), frames=frames)


def _why_nothing(result: dict[str, Any], window: Window) -> str:
    seconds = result["capture"]["seconds"]
    if window.start is not None and window.start > seconds * SECOND:
        return f"the capture ended, after {seconds:.0f} s, before the interception was to begin"
    return "no dialog of a target in its time; midcall inspect shows who called whom, and when"


def _summary(report: Report, result: dict[str, Any], packets: int, out: Path, window: Window) -> None:
    dialogs = result["dialogs"]
    intercepted = [dialog for dialog in dialogs if dialog["intercepted"]]
    click.echo(
        f"{report.frames} frames, {report.sip} SIP messages, {len(dialogs)} dialogs,"
        f" {len(intercepted)} intercepted, {packets} packets of content -> {out}"
    )
    told = result["handover"]
    if not intercepted and not told.get("hi2_pdus") and not told.get("hi2", {}).get("observed"):
        click.echo(f"midcall: nothing was intercepted: {_why_nothing(result, window)}", err=True)
    for dialog in intercepted:
        for error in dialog["errors"]:
            click.echo(shown(f"midcall: {dialog['call_id']}: {error}"), err=True)
    for error in result["errors"]:
        place = f"frame {error['frame']}: " if error["frame"] else ""
        click.echo(shown(f"midcall: {place}{error['reason']}"), err=True)
