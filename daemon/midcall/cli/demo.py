"""midcall demo: simulated users talk under MIKEY-TICKET, and a warrant begins in the middle of their call."""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path

import click
from msgspec import structs

from midcall.base import owner_only
from midcall.cli import handing_over, replay
from midcall.cli.fail import USAGE, Failed, reason
from midcall.cli.lab_lemf import LabLemf
from midcall.kms import Kms, KmsStore, Subscriber, TicketProtectionKey, keyfile
from midcall.replay import Window
from midcall.ue import lab
from midcall.ue.call import SECOND, Call
from midcall.ue.wire import Wire

CALL_SECONDS = 12
ACTIVATE_AT = 6.0
MAX_CALLS = 100
TPK_ID = "tpk-demo"
FINDINGS = "findings.jsonl"


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True)
@click.option("--calls", type=click.IntRange(1, MAX_CALLS), default=3, show_default=True, help="One is the target's.")
def demo(out: Path, calls: int) -> int:
    """Make a capture of calls, intercept one of them from its middle on, deliver it to an LEMF.

    Leaves WAV files, what was handed over, and what the LEMF stored.
    """
    begun = time.monotonic()
    capture, keys, store = out / "calls.pcap", out / "KEYS.toml", _Lab(calls)
    try:
        owner_only.make_folder(out)
        if (out / "lemf" / FINDINGS).exists():
            # Of the last run: its numbers would meet those of this one.
            shutil.rmtree(out / "lemf")
        for path, octets in ((capture, store.capture()), (keys, store.key_file().encode())):
            with owner_only.create(path) as file:
                file.write(octets)
    except OSError as error:
        raise Failed(USAGE, f"{error.filename or out}: {reason(error)}") from None
    _say(begun, f"{calls} calls of {CALL_SECONDS} s with Ticket Request, Transfer and Resolve -> {capture}")
    _say(begun, f"the warrant for {store.target} begins {ACTIVATE_AT:g} s after the first packet")
    window = Window(round(ACTIVATE_AT * SECOND))
    with LabLemf(out / "lemf", out / "pki", lambda line: _say(begun, f"LEMF: {line}")) as lemf:
        _say(begun, f"an LEMF listens on {lemf.address}, mutual TLS")
        chosen = handing_over.settings(None, lemf.address, *lemf.credentials())
        chosen = structs.replace(chosen, files=True)
        status = replay.run(capture, (store.target,), window, keyfile.read(store.key_file()), out, chosen)
    _say(begun, "report.json, media.pcap and audio/ hold the call from that second on, hi2.ber and hi3.ber what the")
    _say(begun, "agency got, lemf/ what it made of it; see `midcall inspect` of either; listen to:")
    for path in sorted((out / "audio").glob("*.wav")):
        click.echo(f"          {path}")
    return status or lemf.status


def _say(begun: float, text: str) -> None:
    click.echo(f"{time.monotonic() - begun:8.2f} s  {text}")


class _Lab:
    """Users, their KMS, and a capture of their calls; every run has other keys."""

    def __init__(self, calls: int) -> None:
        self._draw = secrets.token_bytes
        self._users = [lab.user(name, self._draw) for i in range(calls) for name in (f"alice{i}", f"bob{i}")]
        self._tpk = TicketProtectionKey(TPK_ID.encode(), self._draw(16))
        subscribers = tuple(Subscriber((u.uri,), u.psk_id, u.psk) for u in self._users)
        self._kms = Kms(KmsStore(lab.KMS_IDENTITY, (self._tpk,), subscribers))
        self.target = self._users[0].uri

    def capture(self) -> bytes:
        wire = Wire()
        for number in range(0, len(self._users), 2):
            alice, bob = self._users[number : number + 2]
            begin = lab.BEGIN + number * SECOND // 10

            def ask(octets: bytes, now: int = begin) -> bytes:
                return self._kms.answer(octets, now, self._draw)

            held = alice.request_ticket(ask, begin, (bob.uri,))
            call = Call(
                wire,
                ask,
                lab.party(alice, number + 1),
                lab.party(bob, number + 2),
                f"demo-{number // 2 + 1}@example.com",
                begin,
            )
            call.establish(held)
            call.talk(CALL_SECONDS)
            call.hang_up()
        return lab.write_capture(wire)

    def key_file(self) -> str:
        users = [{"identity": u.uri, "psk_id": u.psk_id.decode(), "psk": u.psk} for u in self._users]
        return keyfile.example(lab.KMS_IDENTITY, {TPK_ID: self._tpk.key}, users)
