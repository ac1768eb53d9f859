"""Mutual TLS: who is refused, before any application octet, and what is said of files that are wrong."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from midcall.base import tls
from midcall.base.lab_pki import LabPki, uri
from midcall.base.tls import Identity, PeerName, TlsError

BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
NAMED = x509.SubjectAlternativeName([x509.DNSName("localhost")])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    LabPki(folder).make(("df", "lemf", "gone"))
    LabPki(folder).revoke("gone")
    LabPki(folder / "other").make(("df",))
    return folder


def identity(pki: Path, role: str, ca: str = "ca.pem", crl: bool = False) -> Identity:
    return Identity(pki / f"{role}.pem", pki / f"{role}.key", pki / ca, pki / "crl.pem" if crl else None)


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def issued(pki: Path, folder: Path, **changes: object) -> Identity:
    """A certificate of the lab's CA that differs from a good one in ``changes``."""
    authority = x509.load_pem_x509_certificate((pki / "ca.pem").read_bytes())
    signer = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
    key = changes.get("key") or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.datetime.now(datetime.UTC)
    days = datetime.timedelta(days=1)
    issuer = authority.subject
    if changes.get("self_signed"):
        signer, issuer = key, name
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days * changes.get("begins", -2))
        .not_valid_after(now + days * changes.get("ends", 2))
    )
    public = signer.public_key()
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    usage, names = changes.get("usage", BOTH), changes.get("names", NAMED)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if names:
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    (folder / "x.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "x.key").write_bytes(pem(key))
    (folder / "x.key").chmod(0o600)
    return Identity(folder / "x.pem", folder / "x.key", pki / "ca.pem")


class Pair:
    """A client and a server joined in memory; what each does is tried until neither waits any more."""

    def __init__(self, client: ssl.SSLContext, server: ssl.SSLContext, host: str | None = "localhost") -> None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(to_client, to_server, server_hostname=host)
        self.server = server.wrap_bio(to_server, to_client, server_side=True)
        self.refused: dict[str, str] = {}

    def shake(self) -> Pair:
        waiting = {"client": self.client, "server": self.server}
        for _ in range(10):
            for name, side in list(waiting.items()):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                except ssl.SSLError as error:
                    self.refused[name] = str(error)
                del waiting[name]
        return self

    def says(self, octets: bytes) -> bytes:
        self.client.write(octets)
        return self.server.read(100)


def loose(pki: Path, role: str | None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client as no entity of ours is: it may have no certificate and speak old versions."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(pki / "ca.pem")
    if role is not None:
        context.load_cert_chain(pki / f"{role}.pem", pki / f"{role}.key")
    if version is not None:
        context.maximum_version = version
    return context


def test_the_two_sides_speak_tls_1_3_and_know_each_other(pki):
    pair = Pair(tls.client_context(identity(pki, "df")), tls.server_context(identity(pki, "lemf"))).shake()
    assert not pair.refused and pair.client.version() == "TLSv1.3"
    assert pair.says(b"octets") == b"octets"
    assert PeerName(uri("df")).check(pair.server) == uri("df")
    assert PeerName("LocalHost.").check(pair.client) == "localhost"
    assert PeerName("0:0:0:0:0:0:0:1").check(pair.client) == "::1"
    assert PeerName().check(pair.client) == uri("lemf")
    with pytest.raises(TlsError, match=r"the peer is urn:midcall:lab:df, .*, not urn:midcall:lab:kms"):
        PeerName(uri("kms")).check(pair.server)


def test_no_session_is_resumed(pki):
    pair = Pair(tls.client_context(identity(pki, "df")), tls.server_context(identity(pki, "lemf"))).shake()
    pair.server.write(b"x")
    pair.client.read(1)
    assert pair.client.session is None or not pair.client.session.has_ticket


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"self_signed": True}, "self-signed"),
        ({"ends": -1, "begins": -3}, "expired"),
        ({"begins": 1}, "not yet valid"),
        ({"usage": (ExtendedKeyUsageOID.SERVER_AUTH,)}, "purpose"),
        ({"usage": (ExtendedKeyUsageOID.TIME_STAMPING,)}, "purpose"),
    ],
)
def test_a_client_that_is_refused_gets_no_octet_through(pki, tmp_path, change, says):
    issued(pki, tmp_path, **change)
    client = loose(pki, None)
    client.load_cert_chain(tmp_path / "x.pem", tmp_path / "x.key")
    pair = Pair(client, tls.server_context(identity(pki, "lemf"))).shake()
    assert says in pair.refused["server"].lower().replace("self signed", "self-signed")
    with pytest.raises(ssl.SSLError):
        pair.says(b"octets")
    with pytest.raises(ssl.SSLError):  # TLS 1.3: the client learns of it at its first read
        pair.client.read(1)


def test_another_ca_is_refused_by_either_side(pki):
    stranger = Identity(pki / "other/df.pem", pki / "other/df.key", pki / "ca.pem")
    pair = Pair(tls.client_context(stranger), tls.server_context(identity(pki, "lemf"))).shake()
    assert "CERTIFICATE_VERIFY_FAILED" in pair.refused["server"]
    trusting_other = Identity(pki / "df.pem", pki / "df.key", pki / "other/ca.pem")
    pair = Pair(tls.client_context(trusting_other), tls.server_context(identity(pki, "lemf"))).shake()
    assert "CERTIFICATE_VERIFY_FAILED" in pair.refused["client"]


def test_no_certificate_is_refused(pki):
    pair = Pair(loose(pki, None), tls.server_context(identity(pki, "lemf"))).shake()
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in pair.refused["server"]
    with pytest.raises(ssl.SSLError):
        pair.says(b"octets")


def test_tls_1_2_is_spoken_where_configured_only(pki):
    old = loose(pki, "df", ssl.TLSVersion.TLSv1_2)
    pair = Pair(old, tls.server_context(identity(pki, "lemf"))).shake()
    assert "UNSUPPORTED_PROTOCOL" in pair.refused["server"]
    pair = Pair(old, tls.server_context(identity(pki, "lemf"), tls_1_2=True)).shake()
    assert not pair.refused and pair.client.version() == "TLSv1.2" and "GCM" in pair.client.cipher()[0]
    weak = loose(pki, "df", ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=1")
    pair = Pair(weak, tls.server_context(identity(pki, "lemf"), tls_1_2=True)).shake()
    assert "NO_SHARED_CIPHER" in pair.refused["server"]


def test_a_client_wants_the_name_it_connects_to(pki):
    server = tls.server_context(identity(pki, "lemf"))
    pair = Pair(tls.client_context(identity(pki, "df")), server, "elsewhere.example").shake()
    assert "Hostname mismatch" in pair.refused["client"]
    pair = Pair(tls.client_context(identity(pki, "df"), check_host=False), server, None).shake()
    assert not pair.refused and PeerName(uri("lemf")).check(pair.client) == uri("lemf")


def test_a_revoked_certificate_is_refused_where_a_crl_is_given(pki):
    gone = tls.client_context(identity(pki, "gone"))
    assert not Pair(gone, tls.server_context(identity(pki, "lemf"))).shake().refused
    pair = Pair(gone, tls.server_context(identity(pki, "lemf", crl=True))).shake()
    assert "certificate revoked" in pair.refused["server"]
    other = tls.client_context(identity(pki, "df"))
    assert not Pair(other, tls.server_context(identity(pki, "lemf", crl=True))).shake().refused


def test_a_peer_without_extended_key_usage_or_name_is_not_ours(pki, tmp_path):
    """OpenSSL lets a certificate without extendedKeyUsage do everything; TS 33.310 does not."""
    for change, says in (({"usage": ()}, "no extendedKeyUsage"), ({"names": None}, "no subjectAltName")):
        issued(pki, tmp_path, **change)
        client = loose(pki, None)
        client.load_cert_chain(tmp_path / "x.pem", tmp_path / "x.key")
        pair = Pair(client, tls.server_context(identity(pki, "lemf"))).shake()
        with pytest.raises(TlsError, match=says):
            PeerName().check(pair.server)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ends": -1, "begins": -3}, "x.pem: expired 20"),
        ({"begins": 1}, "x.pem: not valid before 20"),
        ({"usage": ()}, "x.pem: no extendedKeyUsage; serverAuth is needed"),
        ({"usage": (ExtendedKeyUsageOID.CLIENT_AUTH,)}, "x.pem: extendedKeyUsage is without serverAuth"),
        ({"names": None}, "x.pem: no subjectAltName"),
        ({"key": rsa.generate_private_key(65537, 1024)}, "x.pem: neither RSA of at least 2048 bits"),
        ({"key": ec.generate_private_key(ec.SECP192R1())}, "x.pem: neither RSA"),
    ],
)
def test_a_certificate_of_our_own_that_is_wrong(pki, tmp_path, change, says):
    with pytest.raises(TlsError, match=says):
        tls.server_context(issued(pki, tmp_path, **change))


def test_files_that_are_wrong(pki, tmp_path):
    good = identity(pki, "lemf")
    (tmp_path / "garbage").write_text("no PEM\n")
    (tmp_path / "garbage").chmod(0o600)
    (tmp_path / "open.key").write_bytes(good.key.read_bytes())
    (tmp_path / "open.key").chmod(0o644)
    key = serialization.load_pem_private_key(good.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"p")
    form = serialization.PrivateFormat.PKCS8
    (tmp_path / "locked.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, locked))
    (tmp_path / "locked.key").chmod(0o600)
    missing, garbage = tmp_path / "missing", tmp_path / "garbage"
    for files, says in (
        ((missing, good.key, good.ca), "missing: No such file or directory"),
        ((good.certificate, missing, good.ca), "missing: No such file or directory"),
        ((good.certificate, good.key, missing), "missing: No such file or directory"),
        ((garbage, good.key, good.ca), "garbage: no certificate in PEM form"),
        ((good.certificate, garbage, good.ca), "garbage: no private key in PEM form"),
        ((good.certificate, good.key, garbage), "garbage: no certificate in PEM form"),
        ((good.certificate, good.key, good.ca, garbage), "garbage: no revocation list in PEM form"),
        ((good.certificate, pki / "df.key", good.ca), r"df\.key: is not the key of .*lemf\.pem"),
        ((good.certificate, tmp_path / "open.key", good.ca), "others than its owner have access to this key"),
        ((good.certificate, tmp_path / "locked.key", good.ca), "the key is encrypted"),
        ((good.certificate, good.key, pki / "df.pem"), r"df\.pem: .*CN=midcall df.* is not a CA"),
        ((good.certificate, tmp_path, good.ca), "Is a directory"),
    ):
        for make in (tls.server_context, tls.client_context):
            with pytest.raises(TlsError, match=says) as caught:
                make(Identity(*files))
            assert "\n" not in str(caught.value) and "PRIVATE" not in str(caught.value)
