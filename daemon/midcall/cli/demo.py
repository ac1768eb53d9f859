"""midcall demo: the live system on loopback, and a warrant in the middle of a call; then a replay of the same call."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import click

from imswire import inet, pcap
from midcall.base import owner_only
from midcall.base.tap import Source, Tap, TapError
from midcall.cli import authority, handing_over, replay
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, USAGE, Failed, reason, shown
from midcall.cli.lab_calls import Users
from midcall.cli.lab_live import LIID, Live, Outcome
from midcall.cli.lab_site import ELEMENTS
from midcall.config import Network, ReplayConfig
from midcall.kms import keyfile
from midcall.replay import Window

LOOPBACK = "lo"
MAX_CALLS = 100
# What stands in folders of a former run, by which they are known: its numbers would meet those of this one.
FORMER = {"lemf": "findings.jsonl", "site": "trust.toml"}


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True)
@click.option("--calls", type=click.IntRange(1, MAX_CALLS), default=3, show_default=True, help="One is the target's.")
def demo(out: Path, calls: int) -> int:
    """Run KMS, POI, DF and LEMF on loopback; users call each other; a warrant begins in the middle of one call.

    Prints what happens when, and leaves what the LEMF got, a capture of the calls, and a replay of that capture.
    """
    with handing_over.orderly_end():
        return _Demo(out, calls).run()


class _Demo:
    """One run."""

    def __init__(self, out: Path, calls: int) -> None:
        self._out = out
        self._users = Users(calls)
        self._begun = time.monotonic()

    def run(self) -> int:
        """The exit status."""
        out, keys = self._out, self._out / "KEYS.toml"
        try:
            owner_only.make_folder(out)
            for folder, known in FORMER.items():
                if (out / folder / known).exists():
                    shutil.rmtree(out / folder)
            owner_only.write(keys, self._users.key_file().encode())
            live = Live(out, self._users, keys, self._may_tap(), self._say).run()
            owner_only.write(out / "calls.pcap", live.capture)
        except OSError as error:
            raise Failed(USAGE, f"{error.filename or out}: {reason(error)}") from None
        self._say(f"the capture of these calls is replayed under the same warrant: {out / 'calls.pcap'}")
        status = self._replay(live)
        self._compare(live)
        for fault in live.faults:
            click.echo(shown(f"midcall: {fault}"), err=True)
        self._files()
        return status or (DONE_WITH_ERRORS if live.faults else DONE)

    def _may_tap(self) -> bool:
        try:
            Tap(Source((LOOPBACK,))).open().close()
        except TapError as why:
            self._say(f"loopback cannot be tapped here, media come by X3 instead: {why}")
            return False
        return True

    def _replay(self, live: Outcome) -> int:
        capture, targets = self._out / "calls.pcap", (self._users.pairs[0][0].uri,)
        network = Network(element=ELEMENTS["df"])
        chosen = handing_over.Settings(ReplayConfig(network=network))
        window = Window(live.asked - live.begun)
        under = authority.checked(live.warrant, live.trust, capture, targets, window, chosen)
        store = keyfile.read(self._users.key_file())
        return replay.run(capture, targets, under.window, store, self._out, under.chosen, under)

    def _compare(self, live: Outcome) -> None:
        """What the LEMF got live, beside what the replay makes of the same call."""
        replayed = _rtp(self._out / "media.pcap")
        found = set(replayed)
        if live.content and found.issuperset(live.content):
            early = len(replayed) - len(live.content)
            self._say(f"the replay has the {len(live.content)} packets that the LEMF got live, octet for octet,")
            self._say(f"and {early} that passed between ActivateTask and the moment from which media were copied")
        else:
            live.faults.append("the replay has other content than the LEMF got live")

    def _files(self) -> None:
        self._say("site/ has the configurations and the warrant, lemf/ what the agency got; listen to:")
        for folder in (self._out / "lemf" / f"liid-{LIID}", self._out / "audio"):
            for path in sorted(folder.glob("*.wav")):
                click.echo(f"          {path}")

    def _say(self, text: str) -> None:
        click.echo(f"{time.monotonic() - self._begun:8.2f} s  {text}")


def _rtp(path: Path) -> list[bytes]:
    """The payloads of the datagrams in a capture."""
    with path.open("rb", buffering=0) as file:
        frames = [frame for batch in pcap.Reader(file.read).batches() for _, frame, *_ in batch]
    found = map(inet.decoder(inet.ETHERNET), frames)
    return [each.payload for each in found if isinstance(each, inet.Datagram)]
