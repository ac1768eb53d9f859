"""midcall doctor: what it finds, what it says to do, and that it never looks at what a service stores."""

from __future__ import annotations

import datetime
import errno
import http.server
import json
import socket
import threading
from pathlib import Path

import pytest

from midcall.base.lab_pki import LabPki
from midcall.cli.checks import host, installed
from midcall.cli.checks.finding import State
from tests.midcall.cli.test_commands import midcall


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    LabPki(folder).make(("kms",))
    return folder


class Place:
    """An installation of a KMS under one folder, as scripts/install lays it out."""

    def __init__(self, folder: Path, pki: Path) -> None:
        self.folder = folder
        self.secrets = folder / "credentials/kms"
        self.secrets.mkdir(parents=True, mode=0o700)
        self.secret("seal", "5a" * 32)
        self.secret("tls.key", (pki / "kms.key").read_text())
        self.certificate = folder / "kms.pem"
        self.certificate.write_text((pki / "kms.pem").read_text())
        self.file = folder / "kms.toml"
        self.write()

    def secret(self, name: str, text: str) -> None:
        (self.secrets / name).write_text(text)
        (self.secrets / name).chmod(0o600)

    def write(self, operator: str = "127.0.0.1:0", users: str = "127.0.0.1:0", lab: str = "true") -> None:
        self.file.write_text(
            f'[service]\nlab = {lab}\n[log]\nli = "{self.folder}/li.log"\n[operator]\nlisten = "{operator}"\n'
            f'[kms]\nidentity = "sip:kms.example.com"\nelement = "kms-1"\nstore = "{self.folder}/kms.db"\n'
            f'seal = "kms_seal"\n[kms.users]\nlisten = "{users}"\ncertificate = "{self.certificate}"\n'
            'key = "kms_tls.key"\n'
        )


@pytest.fixture
def place(tmp_path, pki, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    # What this host's clock, kernel and disk are like is no matter of these tests.
    monkeypatch.setattr(host, "findings", lambda: [host.python((3, 11, 2))])
    monkeypatch.setattr(installed, "FREE_OCTETS", 0)
    monkeypatch.setattr(installed, "FREE_SHARE", 0)
    return Place(tmp_path, pki)


def test_nothing_to_mend(place):
    done = midcall("doctor", "--config", place.file)
    assert done.returncode == 0 and done.stderr == "", done.stdout
    assert done.stdout.endswith("nothing to mend\n") and "MEND" not in done.stdout


def wide_secret(place: Place) -> None:
    (place.secrets / "seal").chmod(0o644)


def no_secret(place: Place) -> None:
    (place.secrets / "seal").unlink()


def wide_folder(place: Place) -> None:
    place.secrets.chmod(0o755)


def foreign_key(place: Place) -> None:
    LabPki(place.folder / "other").make(("kms",))
    place.secret("tls.key", (place.folder / "other/kms.key").read_text())


def no_certificate(place: Place) -> None:
    place.certificate.unlink()


def open_file(place: Place) -> None:
    place.file.chmod(0o666)


def one_disk(place: Place) -> None:
    place.write(lab="false")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (wide_secret, "MEND kms.seal: {secrets}/seal: others than its owner have access; chmod 600 {secrets}/seal"),
        (no_secret, "MEND kms.seal: {secrets}/seal: No such file or directory; "),
        (wide_folder, "MEND credentials: {secrets}: not a folder for its owner alone; chmod 700 {secrets}"),
        (foreign_key, "MEND kms.users.certificate: {secrets}/tls.key: is not the key of {folder}/kms.pem; "),
        (no_certificate, "MEND kms.users.certificate: {folder}/kms.pem: No such file or directory; "),
        (open_file, "MEND {folder}/kms.toml: everybody may change it; chmod o-w {folder}/kms.toml"),
        (one_disk, "MEND kms.store: on one disk with its keys; "),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(place, spoil, said):
    spoil(place)
    done = midcall("doctor", "--config", place.file)
    wanted = said.format(secrets=place.secrets, folder=place.folder)
    assert done.returncode == 1
    assert any(line.startswith(wanted) for line in done.stdout.splitlines()), done.stdout
    assert done.stdout.endswith("1 to mend\n") and "5a5a" not in done.stdout


def test_a_certificate_that_ends_soon(place, monkeypatch):
    monkeypatch.setattr(installed, "SOON", datetime.timedelta(days=1_000))
    done = midcall("doctor", "--config", place.file)
    assert done.returncode == 1 and "fits its key; renew it" in done.stdout


def test_a_full_disk(place, monkeypatch):
    monkeypatch.setattr(installed, "FREE_OCTETS", 1 << 62)
    assert f"MB free; give {place.folder} more room" in midcall("doctor", "--config", place.file).stdout


def test_a_port_that_somebody_has(place):
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        place.write(users=listen)
        done = midcall("doctor", "--config", place.file)
    assert f"MEND kms.users.listen: {listen}: Address already in use" in done.stdout


def test_ports_of_the_service_that_runs_are_good(place):
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"service": "midcall", "status": "ok"}).encode())

        def log_message(self, *_: object) -> None: ...

    with (
        http.server.HTTPServer(("127.0.0.1", 0), Health) as operator,
        socket.create_server(("127.0.0.1", 0)) as users,
    ):
        thread = threading.Thread(target=operator.serve_forever)
        thread.start()
        place.write(f"127.0.0.1:{operator.server_port}", f"127.0.0.1:{users.getsockname()[1]}")
        done = midcall("doctor", "--config", place.file)
        operator.shutdown()
        thread.join()
    assert done.returncode == 0 and done.stdout.count("is in use, and the service runs") == 2


def test_what_a_service_has_stored_changes_nothing(place):
    before = midcall("doctor", "--config", place.file).stdout
    (place.folder / "kms.db").write_bytes(bytes(1 << 20))
    (place.folder / "li.log").write_text("task armed\n" * 100)
    assert midcall("doctor", "--config", place.file).stdout == before


def test_a_file_that_cannot_be_read(place):
    assert midcall("doctor", "--config", place.folder / "none.toml").returncode == 2
    place.file.write_text("[kms]\n")
    done = midcall("doctor", "--config", place.file)
    assert done.returncode == 2 and f"{place.file}: line 1: kms: " in done.stderr


# The host


def test_this_host_can_be_looked_at():
    findings = host.findings()
    assert [each.subject for each in findings][:3] == ["Python", "packages", "clock"]
    assert findings[0].state is State.GOOD and findings[3].state is State.GOOD


@pytest.mark.parametrize(
    ("finding", "state", "said"),
    [
        (host.python((3, 10, 4)), State.MEND, "3.10.4"),
        (host.packages(["click>=8", "rich>=13; extra == 'x'"]), State.GOOD, "1 there"),
        (host.packages(["midcall-is-not-there>=1", "click==0.1"]), State.MEND, "midcall-is-not-there is missing"),
        (host.packages(["click==0.1"]), State.MEND, "is not 0.1"),
        (host.clock(0, 0), State.GOOD, "synchronised"),
        (host.clock(5, 0), State.MEND, "not synchronised"),
        (host.clock(0, 0x40), State.MEND, "not synchronised"),
        (host.packet_sockets(0), State.GOOD, "can be opened"),
        (host.packet_sockets(errno.EPERM), State.NOTE, "not for this user"),
        (host.packet_sockets(errno.EAFNOSUPPORT), State.NOTE, "Address family not supported"),
        (host.bpf(2), State.GOOD, "in the kernel"),
        (host.bpf(None), State.NOTE, "without it"),
        (host.option_memory(20_480), State.NOTE, "20480 octets"),
        (host.option_memory(131_072), State.GOOD, "131072 octets"),
        (host.option_memory(None), State.GOOD, "as the kernel has it"),
    ],
)
def test_findings_of_a_host(finding, state, said):
    assert finding.state is state and said in finding.found
    assert (state is State.GOOD) == (not finding.advice)


def test_the_clock_is_read_as_the_kernel_tells_it():
    state, status = host._adjtimex()
    assert 0 <= state <= 5
    assert state == 5 or not status & 0x40
