"""The whole site as processes: POI, mediation functions, KMS and LEMF; SIP by HEP, media by a tap, tasks by X1."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from imswire import hep, hi, inet, sip, x1
from imswire.hi import eps, ipmm
from midcall.base.lab_pki import LabPki, uri
from midcall.base.x1_element.shell.client import X1Client
from midcall.cli.lab_lemf import LabLemf
from midcall.live.poi import clock
from midcall.ue import lab
from midcall.ue.call import Call
from midcall.ue.wire import Wire
from tests.midcall import warrants
from tests.midcall.base.tap.conftest import unable
from tests.midcall.base.x1_element import world as orders
from tests.midcall.base.x1_element.lab import context
from tests.midcall.kms import place as kms

LIMIT = 60
KEY = b"\x5a" * 32
LEMF, DF = "0d000000-0000-4000-8000-000000000001", "0d000000-0000-4000-8000-000000000002"
DAY = datetime.timedelta(days=1)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


class Site:
    """Files of POI and DF in one folder, and where they listen."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pki = folder, folder / "pki"
        self.x1 = {"poi": free_port(), "df": free_port()}
        self.x2, self.hep = free_port(), free_port()
        for name in ("seal", "identity", "correlation", "agent"):
            (self.pki / name).write_text(KEY.hex())
            (self.pki / name).chmod(0o600)
        far = {"valid_until": "9999-01-01T00:00:00Z", "valid_from": "2026-01-01T00:00:00Z"}
        approvers = [warrants.entry(name, **far) for name in (warrants.ANN, warrants.BEN)]
        (folder / "trust.toml").write_text(warrants.trust_text(*approvers))

    def write(self, kms_port: int) -> None:
        """The configurations, when it is known where the KMS listens."""
        folder = self.folder
        (folder / "poi.toml").write_text(
            self._process("poi")
            + f'[poi]\nnfid = "poi-1"\nipid = "sip-1"\nidentity_key = "identity"\ncorrelation_key = "correlation"\n'
            f'seal = "seal"\ncache = "{folder}/cache.db"\n'
            "[poi.tickets]\nkeep = true\nmax_age_hours = 1\n"
            + self._x1("poi")
            + f'[poi.x2]\nto = "127.0.0.1:{self.x2}"\npeers = ["{uri("df")}"]\njournal = "{folder}/x2.db"\n'
            + self._own("poi")
            + f'[poi.hep]\nudp = "127.0.0.1:{self.hep}"\n[[poi.hep.agent]]\naddress = "127.0.0.1"\nkey = "agent"\n'
        )
        (folder / "df.toml").write_text(
            self._process("df")
            + f'[df]\nseal = "seal"\nspool = "{folder}/spool"\nkeys = "{folder}/spool-keys"\n'
            + '[df.network]\noperator = "operator"\nelement = "df-1"\ncountry = "XX"\n'
            + f"[df.agency]\n{self._own('df')}"
            + self._x1("df")
            + f'[df.x2]\nlisten = "127.0.0.1:{self.x2}"\npeers = ["{uri("poi")}"]\n{self._own("df")}'
            + f'[df.kms]\nurl = "https://127.0.0.1:{kms_port}"\npeers = ["{uri("kms")}"]\n{self._own("df")}'
            + '[df.tap]\ninterfaces = ["lo"]\n'
        )

    def _process(self, role: str) -> str:
        return (
            f'[service]\ncredentials = "{self.pki}"\n[log]\nli = "{self.folder}/{role}-li.log"\n'
            f'[operator]\nlisten = "unix:{self.folder}/{role}.door"\n'
        )

    def _own(self, role: str) -> str:
        return f'certificate = "{self.pki}/{role}.pem"\nkey = "{role}.key"\nca = "{self.pki}/ca.pem"\n'

    def _x1(self, role: str) -> str:
        return (
            f'[{role}.x1]\nne = "{role}"\nelement = "{role}-1"\nadmf = "admf"\nlisten = "127.0.0.1:{self.x1[role]}"\n'
            f'store = "{self.folder}/{role}-x1.db"\ntrust = "{self.folder}/trust.toml"\n{self._own(role)}'
        )

    @contextlib.contextmanager
    def running(self, role: str) -> Iterator[subprocess.Popen[str]]:
        """``midcall run`` with one role, from when it says that it is ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(self.folder / f"{role}.notify"))
            manager.settimeout(LIMIT)
            command = [sys.executable, "-c", "from midcall.cli.main import main; main()", "run"]
            command += ["--config", str(self.folder / f"{role}.toml"), "--role", role]
            environment = os.environ | {"NOTIFY_SOCKET": str(self.folder / f"{role}.notify")}
            environment.pop("CREDENTIALS_DIRECTORY", None)
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
                try:
                    assert manager.recv(1_024) == b"READY=1"
                    yield process
                finally:
                    process.kill()

    def client(self, role: str) -> X1Client:
        return X1Client(f"https://127.0.0.1:{self.x1[role]}", context(self.pki, "admf"), "admf", role)

    def warrant(self, lemf_port: int) -> bytes:
        certificate = ssl.PEM_cert_to_DER_cert((self.pki / "lemf.pem").read_text())
        today = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        pinned = hashlib.sha256(certificate).hexdigest()
        made = warrants.make(
            elements=["poi-1", "df-1", kms.ELEMENT],
            start=(today - DAY).strftime("%Y-%m-%dT%H:%M:%SZ"),
            end=(today + 7 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ"),
            destinations=[{"host": "127.0.0.1", "port": lemf_port, "certificate": pinned}],
        )
        return warrants.signed(made)


class Copies:
    """Puts what simulated users send where POI and tap find it: SIP as HEP, media as frames on loopback."""

    def __init__(self, port: int) -> None:
        self._hep = ("127.0.0.1", port)
        self._sent = 0
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as why:
            self._udp.close()
            unable(why)
        self._raw.bind(("lo", 0))

    def __enter__(self) -> Copies:
        return self

    def __exit__(self, *_: object) -> None:
        self._udp.close()
        self._raw.close()

    def send(self, call: Call) -> None:
        """What has come on the wire of the call since the last time."""
        fresh, self._sent = call.wire.frames[self._sent :], len(call.wire.frames)
        for _, frame in fresh:
            datagram = inet.decode(inet.ETHERNET, frame)
            assert isinstance(datagram, inet.Datagram)
            if sip.looks_like_sip(datagram.payload):
                ends = (datagram.src, datagram.dst, datagram.sport, datagram.dport)
                self._udp.sendto(hep.build(hep.Hep(*ends, datagram.payload, time.time_ns(), key=KEY)), self._hep)
            else:
                self._raw.send(frame)


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for what other processes do."""
    end = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < end, f"not within {LIMIT} s: {what}"
        time.sleep(0.02)


def received(folder: Path, name: str) -> list[hi.PsPdu]:
    path = folder / "liid-LI-1" / f"{name}.ber"
    pdus = hi.Splitter().feed(path.read_bytes()) if path.exists() else []
    return [each for each in map(hi.parse, pdus) if isinstance(each.payload, tuple)]


async def activate(site: Site, lemf_port: int) -> None:
    """As an ADMF does: the mediation functions first, the POI last."""
    signed = site.warrant(lemf_port)
    for role, destination, delivery in (
        ("df", orders.place(LEMF, "127.0.0.1", lemf_port), x1.DeliveryType.X2_AND_X3),
        ("poi", orders.place(DF, "127.0.0.1", site.x2), x1.DeliveryType.X2_ONLY),
    ):
        mediated = (orders.mediation(),) if role == "df" else ()
        details = orders.task(
            signed, delivery=delivery, destinations=x1.ListOfDids((destination.did,)), mediation=mediated
        )
        client = site.client(role)
        try:
            for kind, what in ((x1.CreateDestinationRequest, destination), (x1.ActivateTaskRequest, details)):
                answer = await client.ask(kind, what)
                assert not isinstance(answer, x1.ErrorResponse), (role, answer)
        finally:
            await client.close()


async def deactivate(site: Site) -> None:
    for role in ("poi", "df"):
        client = site.client(role)
        try:
            answer = await client.ask(x1.DeactivateTaskRequest, warrants.XID)
            assert not isinstance(answer, x1.ErrorResponse), (role, answer)
        finally:
            await client.close()


def test_a_site_hands_over_what_a_warrant_in_the_middle_of_a_call_covers(tmp_path):
    pki = tmp_path / "pki"
    LabPki(pki).make((*kms.ROLES, "admf", "lemf"))
    (tmp_path / "kms").mkdir()
    made = kms.Lab(tmp_path / "kms", pki)
    made.clock = clock  # the real one: so have the other processes
    with contextlib.ExitStack() as stack:
        lemf = stack.enter_context(LabLemf(tmp_path / "lemf", pki, lambda _: None))
        lemf_port = int(lemf.address.rpartition(":")[2])
        site = Site(tmp_path)
        shutil.copy(tmp_path / "trust.toml", tmp_path / "kms")
        door = stack.enter_context(made.running())
        site.write(door.port(kms.XK_DOOR))
        df, poi = (stack.enter_context(site.running(role)) for role in ("df", "poi"))
        network = stack.enter_context(Copies(site.hep))
        alice, bob = (lab.party(made.users[name], number) for number, name in enumerate(("alice", "bob"), 1))
        call = Call(Wire(), door.ask, alice, bob, "call-1@lab", time.time_ns())
        held = alice.user.request_ticket(door.ask, time.time_ns(), (bob.uri,), "DEFGHNO")
        call.establish(held)
        call.talk(1)
        network.send(call)
        before = len(call.sent)
        assert made.told == []

        asyncio.run(activate(site, lemf_port))
        until(lambda: len(received(tmp_path / "lemf", "hi2")) == 1, "the event of a call that ran already")
        call.talk(1)
        network.send(call)
        until(lambda: len(received(tmp_path / "lemf", "hi3")) >= len(call.sent) - before, "the content")
        call.hang_up()
        network.send(call)
        until(lambda: len(received(tmp_path / "lemf", "hi2")) == 3, "the end of the call")
        asyncio.run(deactivate(site))
        for process in (poi, df):
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=LIMIT)
            assert process.returncode == 0, errors
            assert [json.loads(line)["message"] for line in errors.splitlines()] == ["ready", "stopping", "stopped"]
    events = [eps.parse(pdu.payload[0].contents) for pdu in received(tmp_path / "lemf", "hi2")]
    assert [each.event for each in events] == [4, 1, 1]
    content = [ipmm.parse_cc(pdu.payload[0].contents).contents for pdu in received(tmp_path / "lemf", "hi3")]
    clear = [octets for _, _, octets in call.sent[before:]]
    for ssrc in {each[8:12] for each in clear}:
        assert [c for c in content if c[8:12] == ssrc] == [c for c in clear if c[8:12] == ssrc]
    assert len(content) == len(clear)
    assert (tmp_path / "lemf" / "findings.jsonl").read_text() == ""
    for log in tmp_path.glob("*-li.log"):
        assert "alice" not in log.read_text() and "10.0.0." not in log.read_text()
