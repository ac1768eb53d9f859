"""midcall doctor: what it finds, what it says to do, and that it never looks at what a service stores."""

from __future__ import annotations

import datetime
import errno
import http.server
import json
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from midcall.base.lab_pki import LabPki
from midcall.cli.checks import host, papers, places, secrets, taps
from midcall.cli.checks.finding import State
from tests.midcall.cli.test_commands import midcall
from tests.midcall.installation import ROLES, Installation

Spoil = Callable[[Installation, str], None]


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
    monkeypatch.setattr(places, "FREE_OCTETS", 0)
    monkeypatch.setattr(places, "FREE_SHARE", 0)
    return Place(tmp_path, pki)


def test_nothing_to_mend(place):
    done = midcall("doctor", "--config", place.file)
    assert done.returncode == 0 and done.stderr == "", done.stdout
    assert done.stdout.endswith("nothing to mend\n") and "MEND" not in done.stdout


def test_instances_that_have_something_in_common(place):
    place.write(users="127.0.0.1:9998")
    other = place.file.with_name("kms@a.toml")
    other.write_text(place.file.read_text().replace("li.log", "a.log"))
    done = midcall("doctor", "--config", other)
    assert done.returncode == 1
    assert f"kms.users.listen: 127.0.0.1:9998: {place.file} has it too; give each instance its own" in done.stdout
    assert done.stdout.count("has it too") == 1, "KMSs may share a store"
    other.write_text(other.read_text().replace("9998", "9997"))
    done = midcall("doctor", "--config", other)
    assert f"{place.file}: another instance, which shares nothing with this one" in done.stdout


def wide_secret(place: Place) -> None:
    (place.secrets / "seal").chmod(0o644)


def no_secret(place: Place) -> None:
    (place.secrets / "seal").unlink()


def short_secret(place: Place) -> None:
    place.secret("seal", "5a" * 31)


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


def no_store(place: Place) -> None:
    place.file.write_text(place.file.read_text().replace("/kms.db", "/none/kms.db"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (wide_secret, "MEND kms.seal: {secrets}/seal: others than its owner have access; chmod 600 {secrets}/seal"),
        (no_secret, "MEND kms.seal: {secrets}/seal: No such file or directory; "),
        (short_secret, "MEND kms.seal: {secrets}/seal: 31 octets, not 32 to 32; openssl rand -hex 32 makes a good one"),
        (no_store, "MEND kms.store: {folder}/none: No such file or directory; make it for the role's user alone"),
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
    monkeypatch.setattr(papers, "SOON", datetime.timedelta(days=1_000))
    done = midcall("doctor", "--config", place.file)
    assert done.returncode == 1 and "fits its key; renew it" in done.stdout


def test_a_full_disk(place, monkeypatch):
    monkeypatch.setattr(places, "FREE_OCTETS", 1 << 62)
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


# The other roles, with the files of config/


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(host, "findings", lambda: [host.python((3, 11, 2))])
    monkeypatch.setattr(places, "FREE_OCTETS", 0)
    monkeypatch.setattr(places, "FREE_SHARE", 0)
    # Secrets and the keys of the spool are on disks of their own; at a tap's door somebody listens.
    monkeypatch.setattr(places, "STATE", tmp_path / "var/lib/midcall")
    monkeypatch.setattr(places, "LOGS", tmp_path / "var/log/midcall")
    site = Installation(tmp_path)
    apart = {"credentials", "df-keys"}
    monkeypatch.setattr(places, "_on_one_disk", lambda _, other: not apart & set(other.parts))
    door = tmp_path / "run/midcall/tap-1/door"
    audit = tmp_path / "run/midcall/audit-1/door"
    kind = socket.AF_UNIX, socket.SOCK_SEQPACKET
    with socket.socket(*kind) as listener, socket.socket(*kind) as listening:
        for each, path in ((listener, door), (listening, audit)):
            path.parent.mkdir(parents=True, exist_ok=True)
            each.bind(str(path))
        listening.listen(16)
        monkeypatch.setattr(taps, "PROC", tmp_path / "proc")
        (tmp_path / "proc/net").mkdir(parents=True)
        (tmp_path / "proc/net/unix").write_text(f"Num\n0000: 2 0 0 5 1 9 {door}\n")
        (tmp_path / "proc/self").mkdir()
        (tmp_path / "proc/self/status").write_text("Name:\tx\nCapEff:\t000001ffffffffff\n")
        monkeypatch.setattr(taps, "_doors_above", lambda path: [path.parent])
        door.parent.chmod(0o711)
        yield site


def look(site: Installation, role: str) -> list[str]:
    done = midcall("doctor", "--config", site.file(role))
    assert done.stderr == ""
    return list(done.stdout.splitlines())


@pytest.mark.parametrize("role", ROLES)
def test_nothing_to_mend_at_any_role(site, role):
    lines = look(site, role)
    assert lines[-1] == "nothing to mend", lines
    assert not any(line.startswith("note") for line in lines), lines


@pytest.mark.parametrize("role", ROLES)
def test_what_is_intercepted_changes_nothing(site, role):
    """What services with a hundred targets have on their disks and in their logs."""
    before = look(site, role)
    for number in range(100):
        folder = site.folder / f"var/lib/midcall/df/spool/did-{number}"
        folder.mkdir(parents=True)
        (folder / "iri.db").write_bytes(bytes(1_000))
        (site.folder / f"var/lib/midcall/df-keys/did-{number}.db").write_bytes(bytes(1_000))
    for role_of_it in ROLES:
        for name in ("x1.db", "x2.db", "cache.db"):
            (site.folder / f"var/lib/midcall/{role_of_it}").mkdir(exist_ok=True)
            (site.folder / f"var/lib/midcall/{role_of_it}/{name}").write_bytes(bytes(1 << 20))
        (site.folder / f"var/log/midcall/{role_of_it}/li.log").write_text("task armed\n" * 100)
    assert look(site, role) == before


def edited(*changes: tuple[str, str]) -> Spoil:
    return lambda site, role: site.edit(role, *changes)


def no_trust(site: Installation, role: str) -> None:
    (site.etc / f"trust/{role}.toml").unlink()


def odd_trust(site: Installation, role: str) -> None:
    path = site.etc / f"trust/{role}.toml"
    path.write_text(path.read_text() + "colour = 1\n")


def open_trust(site: Installation, role: str) -> None:
    (site.etc / f"trust/{role}.toml").chmod(0o666)


def no_crl(site: Installation, role: str) -> None:
    site.edit(role, (f'crl = "{site.etc}/tls/li-ca.crl"\n', ""))


def old_crl(site: Installation, _role: str) -> None:
    pki = LabPki(site.folder / "pki")
    pki._now -= datetime.timedelta(days=4_000)
    key, certificate = pki._authority([])
    ends = pki._now + datetime.timedelta(days=1)
    builder = x509.CertificateRevocationListBuilder().issuer_name(certificate.subject)
    crl = builder.last_update(pki._now).next_update(ends).sign(key, hashes.SHA256())
    (site.etc / "tls/li-ca.crl").write_bytes(crl.public_bytes(serialization.Encoding.PEM))


def short_salt(site: Installation, role: str) -> None:
    site.edit(
        role,
        ("[poi.x2]", '[[poi.x1.hash_context]]\nobject_id = "1"\nalgorithm = "sha-256"\nsalt = "poi_salt"\n[poi.x2]'),
    )
    path = site.secrets(role) / "salt"
    path.write_text("5a" * 7)
    path.chmod(0o600)


def no_tap(site: Installation, _role: str) -> None:
    (site.folder / "run/midcall/tap-1/door").unlink()


def stale_tap(site: Installation, _role: str) -> None:
    (site.folder / "proc/net/unix").write_text("Num\n")


def shut_tap(site: Installation, _role: str) -> None:
    (site.folder / "run/midcall/tap-1").chmod(0o700)


def own_tap(site: Installation, role: str) -> None:
    text = site.file(role).read_text()
    site.file(role).write_text(re.sub(r"^door = .*$", 'interfaces = ["lo"]', text, flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("role", "spoil", "said"),
    [
        ("poi", edited(('ne = "poi-1"', 'ne = "poi-2"')), "MEND poi.x1.ne: {etc}/tls/poi.pem: bound to another "),
        ("poi", no_crl, "note poi.x1.crl: none; without a list "),
        ("poi", no_trust, "MEND poi.x1.trust: {etc}/trust/poi.toml: No such file or directory; "),
        ("df", odd_trust, "MEND df.x1.trust: {etc}/trust/df.toml: line "),
        ("kms", open_trust, "MEND kms.xk.trust: {etc}/trust/kms.toml: others than its owner may change it; chmod 644 "),
        ("df", old_crl, "MEND df.kms.certificate: {etc}/tls/li-ca.crl: this revocation list was to be renewed "),
        ("poi", short_salt, "MEND poi.x1.hash_context.salt: {etc}/credentials/poi/salt: 7 octets, not 8 to 64; "),
        ("poi", edited(("[poi.x2]", 'placed = "/none"\n[poi.x2]')), "MEND poi.x1.placed: /none: no folder; "),
        ("poi", edited(("/midcall/poi/x2.db", "/midcall/other/x2.db")), "MEND poi.x2.journal: {lib}/other: No such "),
        ("poi", edited(("/midcall/poi/x2.db", "/x2.db")), "note poi.x2.journal: {folder}/var/lib: is not "),
        ("poi", edited(("/poi/x2.db", "/poi/new/x2.db")), "note poi.x2.journal: {lib}/poi/new: not there yet; "),
        ("df", edited(('/midcall/df-keys"', '/midcall/df/keys"')), "note df.spool: on one disk with the keys "),
        ("df", no_tap, "MEND df.tap.door: {tap}/door: No such file or directory; start the role tap"),
        ("df", stale_tap, "MEND df.tap.door: {tap}/door: nobody listens there; start the role tap"),
        ("df", shut_tap, "MEND df.tap.door: {tap}: other users may not enter it; chmod o+x "),
        ("df", own_tap, "MEND df.tap.interfaces: its unit has no rights to interfaces; name the door of the role tap"),
        ("admf", edited(('admf = "admf-1"', 'admf = "admf-2"')), "MEND admf.admf: {etc}/tls/admf.pem: bound to "),
        ("admf", edited(('"Ben Example"', '"Bea Example"')), "MEND admf.people: 1 approvers are not in the trust list"),
        ("admf", edited(('"administrator"', '"auditor"')), "MEND admf.people: 0 with the role administrator; 1 are "),
        ("tap", edited(('"lo"', '"none0"')), "MEND tap.interfaces: none0: there is none of that name; "),
        ("tap", edited(("media = [", 'media = ["nobody-is-called-so", ')), "MEND tap: there is no user nobody-is"),
    ],
)  # fmt: skip
def test_what_is_wrong_at_the_other_roles(site, role, spoil, said):
    names = {"etc": site.etc, "folder": site.folder, "lib": site.folder / "var/lib/midcall"}
    names["tap"] = site.folder / "run/midcall/tap-1"
    spoil(site, role)
    wanted = said.format(**names)
    assert any(line.startswith(wanted) for line in look(site, role)), look(site, role)


def test_ports_of_hep(site):
    with (
        socket.create_server(("127.0.0.1", 0)) as stream,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(("127.0.0.1", 0))
        udp, tcp = datagrams.getsockname()[1], stream.getsockname()[1]
        table = f'[poi.hep]\nudp = "127.0.0.1:{udp}"\ntcp = "127.0.0.1:{tcp}"\n[poi.hep.tls]'
        site.edit("poi", ("[poi.hep.tls]", table))
        lines = look(site, "poi")
    assert f"MEND poi.hep.udp: 127.0.0.1:{udp}: Address already in use" in "\n".join(lines)
    assert f"MEND poi.hep.tcp: 127.0.0.1:{tcp}: Address already in use" in "\n".join(lines)


def test_a_secret_that_is_encrypted_to_the_host(site, monkeypatch):
    monkeypatch.setattr(secrets, "CREDSTORE", site.folder)
    (site.secrets("poi") / "seal").rename(site.folder / "poi_seal")
    lines = look(site, "poi")
    assert "ok   poi.seal: encrypted to this host" in lines
    assert "ok   poi.cache: its keys are encrypted to this host" in lines


def test_a_laboratory_may_open_a_tap_itself(site):
    own_tap(site, "df")
    site.edit("df", ("[log]", f'[service]\nlab = true\ncredentials = "{site.handed_over("df")}"\n[log]'))
    assert "ok   df.tap.interfaces: with the rights to open it" in look(site, "df")
    (site.folder / "proc/self/status").write_text("CapEff:\t0000000000002000\n")
    assert any(line.startswith("MEND df.tap.interfaces: without CAP_BPF; ") for line in look(site, "df"))


@pytest.mark.parametrize(
    ("kind", "state", "found"),
    [("1", "up", State.GOOD), ("772", "unknown", State.GOOD), ("1", "down", State.NOTE), ("776", "up", State.MEND)],
)
def test_interfaces(tmp_path, monkeypatch, kind, state, found):
    monkeypatch.setattr(taps, "NETWORK", tmp_path)
    (tmp_path / "eth1").mkdir()
    (tmp_path / "eth1/type").write_text(kind)
    (tmp_path / "eth1/operstate").write_text(state)
    assert taps.interface("tap.interfaces", "eth1").state is found


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
        (host.kernel("6.1.0-28-amd64"), State.GOOD, "6.1.0-28-amd64"),
        (host.kernel("5.19"), State.GOOD, "5.19"),
        (host.kernel("5.18.9"), State.NOTE, "5.18.9"),
        (host.kernel("unknown"), State.NOTE, "unknown"),
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
