"""midcall lemf as a user starts it: what it says of wrong options, what it leaves, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from imswire import hi
from midcall.base import tls
from midcall.base.lab_pki import LabPki, uri
from tests.midcall.cli.test_commands import midcall
from tests.midcall.lemf.deliverer import Sender


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    LabPki(folder).make(("df", "lemf"))
    return folder


def options(pki: Path, folder: Path, **changes: object) -> list[object]:
    given = {
        "listen": "127.0.0.1:0",
        "out": folder,
        "cert": pki / "lemf.pem",
        "key": pki / "lemf.key",
        "ca": pki / "ca.pem",
    } | changes
    return ["lemf", *(word for name, value in given.items() for word in (f"--{name}", value))]


@contextmanager
def running(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """The command as a process of its own, and where it listens."""
    code = "from midcall.cli.main import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on 127.0.0.1:"), line + process.stderr.read()
            yield process, ("127.0.0.1", int(line.rsplit(":", 1)[1]))
        finally:
            process.kill()


def deliver(pki: Path, address: tuple[str, int], *pdus: bytes) -> hi.PsPdu:
    """Send, and wait for the acknowledgement."""
    context = tls.client_context(tls.Identity(pki / "df.pem", pki / "df.key", pki / "ca.pem"))
    plain = socket.create_connection(address, 20)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as link:
        return acknowledged(link, *pdus)


def acknowledged(link: ssl.SSLSocket, *pdus: bytes) -> hi.PsPdu:
    link.sendall(b"".join(pdus) + Sender().tri(hi.AckRequest(), 7))
    splitter, found = hi.Splitter(), []
    while not found:
        octets = link.recv(1 << 16)
        assert octets
        found = splitter.feed(octets)
    return hi.parse(found[0])


def test_without_files_of_media(pki, tmp_path):
    sender = Sender()
    pdus = [sender.iri(), *(sender.cc() for _ in range(20)), sender.check()]
    with running(*options(pki, tmp_path / "out"), "--no-media") as (process, address):
        deliver(pki, address, *pdus)
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=60)
    assert " 0 files of media " in told
    names = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {"hi2.ber", "hi3.ber", "deliverers.jsonl", "findings.jsonl"}


def test_a_delivery_from_start_to_end(pki, tmp_path):
    sender = Sender()
    pdus = [sender.iri(), *(sender.cc() for _ in range(20)), sender.check(), sender.signature()]
    arguments = options(pki, tmp_path / "out", peer=uri("df"), **{"integrity-key": pki / "integrity.pub"})
    with running(*arguments) as (process, address):
        assert deliver(pki, address, *pdus).header.sequence == 7
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    # The signer of these tests is not the lab's.
    assert process.returncode == 4 and err == ""
    assert "finding: signature: LIID LIID1, CIN 1, TRI integrityCheck 0: signature 1 fits none" in out
    assert "24 PS-PDUs, 23 stored, of 1 LIIDs over 1 connections (0 refused), 1 calls, 4 files of media" in out
    assert "20 under a verified hash, 1 not covered yet, 0 repeats left out, 0 doubled; findings: 1 hash-located" in out
    kept = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(kept) == 8 and not any(path.stat().st_mode & 0o077 for path in kept)
    findings = [json.loads(line) for line in (tmp_path / "out" / "findings.jsonl").read_text().splitlines()]
    rules = ["signature", "hash-located"]
    assert [(each["rule"], each["liid"], each["cin"]) for each in findings] == [(rule, "LIID1", 1) for rule in rules]
    assert all(each["link"].startswith(uri("df")) for each in findings)


def test_nothing_found_is_status_0(pki, tmp_path):
    with running(*options(pki, tmp_path / "out")) as (process, address):
        deliver(pki, address, Sender().cc())
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "findings: none" in out


def test_certificates_are_read_anew(tmp_path):
    pki = LabPki(tmp_path)
    pki.make(("df", "lemf"))
    crl = tmp_path / "crl.pem"
    good = crl.read_bytes()
    context = tls.client_context(tls.Identity(tmp_path / "df.pem", tmp_path / "df.key", tmp_path / "ca.pem"))

    def connect() -> ssl.SSLSocket:
        return context.wrap_socket(socket.create_connection(address, 20), server_hostname="localhost")

    with running(*options(tmp_path, tmp_path / "out", crl=crl)) as (process, address):
        with connect() as link:
            assert "connected" in process.stdout.readline()
            crl.write_text("no list")
            process.send_signal(signal.SIGHUP)
            kept = f"reload: {crl}: no revocation list in PEM form; what was read before stays in force\n"
            assert process.stdout.readline() == kept
            crl.write_bytes(good)
            before = link.getpeercert()["serialNumber"]
            (tmp_path / "lemf.pem").unlink()
            pki.make(("lemf",))
            process.send_signal(signal.SIGHUP)
            assert process.stdout.readline().endswith("read anew; 0 links ended by it\n")
            acknowledged(link, Sender().cc())  # what stood still stands
            with connect() as second:
                assert second.getpeercert()["serialNumber"] != before
            pki.revoke("df")
            process.send_signal(signal.SIGHUP)
            assert link.recv(1) == b""
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    assert "read anew; 1 links ended by it" in out and "2 PS-PDUs, 1 stored" in out


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"listen": "nowhere"}, 2, "--listen: 'nowhere' is not HOST:PORT"),
        ({"listen": "127.0.0.1:70000"}, 2, "is not HOST:PORT"),
        ({"listen": "192.0.2.1:1"}, 3, "192.0.2.1:1: "),
        ({"cert": "/nonexistent"}, 2, "/nonexistent: No such file"),
        ({"key": "PKI/df.key"}, 2, "is not the key of"),
        ({"ca": "PKI/lemf.pem"}, 2, "is not a CA"),
        ({"crl": "PKI/ca.pem"}, 2, "no revocation list"),
        ({"integrity-key": "PKI/ca.pem"}, 2, "no public key in PEM form"),
        ({"integrity-key": "PKI/none"}, 2, "No such file"),
        ({"misbehave": "no"}, 2, "--misbehave: 'no' is none of slow-read"),
        ({"limit-mb": 0}, 2, "limit-mb"),
        ({"out": "PKI/ca.pem"}, 3, "ca.pem: "),
    ],
)
def test_wrong_use(pki, tmp_path, changes, status, says):
    changes = {name: str(value).replace("PKI", str(pki)) for name, value in changes.items()}
    done = midcall(*options(pki, tmp_path / "out", **changes))
    assert done.returncode == status and says in done.stderr
    assert done.stderr.count("\n") == 1 or "Usage" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_kind_of_key(pki, tmp_path):
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "ec.pub").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    done = midcall(*options(pki, tmp_path / "out", **{"integrity-key": tmp_path / "ec.pub"}))
    assert done.returncode == 2 and "not an Ed25519 key" in done.stderr


def test_two_receivers_do_not_share_a_port(pki, tmp_path):
    with running(*options(pki, tmp_path / "one")) as (_, address):
        done = midcall(*options(pki, tmp_path / "two", listen=f"{address[0]}:{address[1]}"))
    assert done.returncode == 3 and "Address already in use" in done.stderr


def test_two_receivers_do_not_share_a_folder(pki, tmp_path):
    with running(*options(pki, tmp_path / "one")):
        done = midcall(*options(pki, tmp_path / "one"))
        assert done.returncode == 3 and done.stderr.endswith(
            "/one: another receiver stores there; give each a folder of its own\n"
        )
    with running(*options(pki, tmp_path / "one")):
        pass
