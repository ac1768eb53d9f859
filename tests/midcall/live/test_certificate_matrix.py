"""Each LI door of a running site against each wrong certificate: not one octet of an application comes back."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from imswire import hi, x2x3
from midcall.base.lab_pki import LabPki
from midcall.base.tls import Identity
from midcall.cli.lab_calls import Users
from midcall.cli.lab_site import HOST
from tests.midcall.base.test_tls import issued
from tests.midcall.lemf.deliverer import Sender
from tests.midcall.live.admf_site import AdmfSite
from tests.midcall.live.live_site import LiveSite

POST = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/xml\r\nContent-Length: 2\r\n\r\n{}"
DOORS = ("x1 poi", "x1 df", "x1 admf", "x2", "xk", "hi", "people")
FIRST = {
    "x1 poi": POST % b"/X1/NE",
    "x1 df": POST % b"/X1/NE",
    "x1 admf": POST % b"/X1/ADMF",
    "xk": POST % b"/xk/v1/get_keys",
    "people": POST % b"/admf/v1/list",
}
RIGHT = {"x1 poi": "admf", "x1 df": "admf", "x1 admf": "poi", "x2": "poi", "xk": "df", "hi": "df", "people": "lea"}
WRONG = (
    "none", "another CA", "self-signed", "expired", "not yet valid", "no clientAuth", "no name", "weak key",
    "another role", "revoked", "TLS 1.2", "plain text",
)  # fmt: skip
# Who one is on X1 is said in each message, and answered with an error of its own (x1_element/test_service).
MATRIX = [(door, wrong) for door in DOORS for wrong in WRONG if not (wrong == "another role" and door.startswith("x1"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    folder = tmp_path_factory.mktemp("site")
    pki = LabPki(folder / "pki")
    pki.make(("admf", "poi", "df", "kms", "lemf", "gone"))
    pki.revoke("gone")
    LabPki(folder / "other").make(("admf", "poi", "df", "lea"))
    with contextlib.ExitStack() as stack:
        live = LiveSite(folder, stack, Users(1), tap=False)
        admf = AdmfSite(live)
        live.site._ports |= {"x1 admf": admf.reports, "people": admf.people}
        yield live


def port(site: LiveSite, door: str) -> int:
    return int(site.lemf.address.rpartition(":")[2]) if door == "hi" else site.site._ports[door]


def shown(site: LiveSite, door: str, wrong: str, folder: Path) -> Identity | None:
    pki = site.folder / "pki"

    def of(role: str, place: Path = pki) -> Identity:
        return Identity(place / f"{role}.pem", place / f"{role}.key", pki / "ca.pem")

    changes: dict[str, dict[str, object]] = {
        "self-signed": {"self_signed": True},
        "expired": {"ends": -1},
        "not yet valid": {"begins": 1},
        "no clientAuth": {"usage": (ExtendedKeyUsageOID.SERVER_AUTH,)},
        "no name": {"names": None},
        "weak key": {"key": rsa.generate_private_key(65537, 1024)},
    }
    if wrong in changes:
        return issued(pki, folder, **changes[wrong])
    if wrong == "another role":
        return of("poi" if door == "xk" else "kms")
    others = {"none": None, "another CA": of(RIGHT[door], site.folder / "other"), "revoked": of("gone")}
    return others.get(wrong, of(RIGHT[door]))


def first(door: str) -> bytes:
    """What one says first at a door."""
    if door == "x2":
        return x2x3.build(x2x3.keepalive(0))
    return FIRST.get(door) or Sender(b"LAB-1").tri(hi.KeepAlive(), 0)


def answer(site: LiveSite, door: str, identity: Identity | None, version: ssl.TLSVersion | None = None) -> bytes:
    """What comes back to one who sends what belongs to the door, until the connection ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version is not None:
        context.maximum_version = version
    if identity is not None:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_cert_chain(identity.certificate, identity.key)
    with contextlib.suppress(ssl.SSLError, ConnectionError), contextlib.ExitStack() as stack:
        raw = stack.enter_context(socket.create_connection((HOST, port(site, door)), 10))
        sock = stack.enter_context(context.wrap_socket(raw))
        sock.settimeout(10)
        sock.sendall(first(door))
        return sock.recv(1 << 16)
    return b""


@pytest.mark.proof
@pytest.mark.parametrize(("door", "wrong"), MATRIX)
def test_a_wrong_certificate_gets_not_one_octet(site: LiveSite, door: str, wrong: str, tmp_path: Path) -> None:
    if wrong == "plain text":
        got = b""
        with contextlib.suppress(ConnectionError), socket.create_connection((HOST, port(site, door)), 10) as raw:
            raw.settimeout(10)
            raw.sendall(FIRST.get(door, bytes(64)))
            while piece := raw.recv(1 << 16):
                got += piece
        assert got[:1] in (b"", b"\x15"), "an alert of TLS at most"
        return
    version = ssl.TLSVersion.TLSv1_2 if wrong == "TLS 1.2" else None
    got = answer(site, door, shown(site, door, wrong, tmp_path), version)
    assert got == b""


@pytest.mark.proof
@pytest.mark.parametrize("door", DOORS)
def test_the_right_certificate_is_answered_after_all_of_them(site: LiveSite, door: str, tmp_path: Path) -> None:
    assert answer(site, door, shown(site, door, "", tmp_path))
