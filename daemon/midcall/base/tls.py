"""TLS between entities: always mutual, one trust anchor a link, the profile of TS 33.210 6.2 and TS 33.310.

TLS 1.3; TLS 1.2 by configuration only, with ECDHE and AEAD suites. There is no plaintext mode. Every mistake in
the files is one ``TlsError`` before a socket is opened. A TLS 1.3 client without a certificate learns of the
refusal at its first read, not in its handshake (RFC 8446 4.4.2.4): a sender is to wait for an answer.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import ssl
import stat
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec import Struct

SUITES_1_2 = (
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
)
"""Forward secrecy and AEAD only (RFC 9325 4.2, the outcome of TS 33.210 6.2.3)."""
MIN_RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")
MAX_FILE = 1 << 20
# A key that others may read is nobody's; a group may (credentials of a service manager are such files).
_FOREIGN = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)
_ROLES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


class TlsError(Exception):
    """What is wrong with a file or a peer, in one line; no key material."""


class Identity(Struct, frozen=True):
    """PEM files of one side: its certificate (chain), its key, the CAs that it trusts, and the CRL of each.

    With a CRL a peer whose certificate is revoked, or a CRL that has run out, is refused.
    """

    certificate: Path
    key: Path
    ca: Path
    crl: Path | None = None


class PeerName:
    """Who may be at the other end: DNS names, addresses or URIs of subjectAltName; none given: all of the CA."""

    def __init__(self, *names: str) -> None:
        self._names = frozenset(map(canonical, names))

    def check(self, connection: ssl.SSLObject | ssl.SSLSocket) -> str:
        """The name the peer has shown, after the handshake; TlsError when it is none of those allowed."""
        octets = connection.getpeercert(binary_form=True)
        if octets is None:
            raise TlsError("the peer has shown no certificate")
        certificate = x509.load_der_x509_certificate(octets)
        _require_usage(certificate, "client" if connection.server_side else "server", "the peer's certificate")
        shown = _names(certificate)
        if not shown:
            raise TlsError("the peer's certificate has no subjectAltName")
        if not self._names:
            return shown[0]
        for name in shown:
            if canonical(name) in self._names:
                return name
        raise TlsError(f"the peer is {', '.join(shown[:4])}, not {', '.join(sorted(self._names))}")


def server_context(identity: Identity, *, tls_1_2: bool = False) -> ssl.SSLContext:
    """For a listener; a client without a certificate of the CA gets no application octet. TlsError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity, tls_1_2)
    context.verify_mode = ssl.CERT_REQUIRED
    # Nothing resumes: each connection is authenticated and checked against the CRL anew.
    context.num_tickets = 0
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def client_context(identity: Identity, *, tls_1_2: bool = False, check_host: bool = True) -> ssl.SSLContext:
    """For a sender, who names the host as ``server_hostname``. TlsError.

    ``check_host`` False leaves the name to a ``PeerName`` (a URI, or another name than the one connected to).
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, identity, tls_1_2)
    context.check_hostname = check_host
    return context


def user_context(certificate: Path, key: Path, *, tls_1_2: bool = False) -> ssl.SSLContext:
    """For a listener of user equipment, which has no certificate and proves itself in what it sends. TlsError.

    The one link that is not mutual: MIKEY messages to a KMS carry their own proof (RFC 6043 4.2).
    """
    _check_own(certificate, key, "server")
    context = _bare(ssl.PROTOCOL_TLS_SERVER, certificate, key, tls_1_2)
    context.num_tickets = 0
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _context(protocol: int, identity: Identity, tls_1_2: bool) -> ssl.SSLContext:
    role = "server" if protocol == ssl.PROTOCOL_TLS_SERVER else "client"
    _check(identity, role)
    context = _bare(protocol, identity.certificate, identity.key, tls_1_2)
    try:
        context.load_verify_locations(identity.ca)
        if identity.crl is not None:
            context.load_verify_locations(identity.crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except (ssl.SSLError, OSError) as error:
        raise TlsError(f"{identity.certificate}: {error.strerror or error}") from None
    return context


def _bare(protocol: int, certificate: Path, key: Path, tls_1_2: bool) -> ssl.SSLContext:
    """The profile, with a certificate of our own and no trust yet."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if tls_1_2 else ssl.TLSVersion.TLSv1_3
    context.set_ciphers(f"{SUITES_1_2}:@SECLEVEL=2")  # a peer's chain has keys of 112 bits of security at least, too
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        # A password is never asked for at a terminal: an encrypted key has been refused before.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        raise TlsError(f"{certificate}: {error.strerror or error}") from None
    return context


def _check(identity: Identity, role: str) -> None:
    """Everything that can be wrong in the files, with the file's name."""
    now = datetime.datetime.now(datetime.UTC)
    _check_own(identity.certificate, identity.key, role)
    for authority in certificates(identity.ca):
        _require_valid(authority, now, str(identity.ca))
        _require_authority(authority, str(identity.ca))
    if identity.crl is not None:
        _check_crl(identity.crl, now)


def _check_own(path: Path, key: Path, role: str) -> None:
    """Our own certificate and its key."""
    certificate, where = certificates(path)[0], str(path)
    _require_valid(certificate, datetime.datetime.now(datetime.UTC), where)
    _require_usage(certificate, role, where)
    _require_strong(certificate.public_key(), where)
    if not _names(certificate):
        raise TlsError(f"{where}: no subjectAltName that names its holder")
    if _key(key) != certificate.public_key():
        raise TlsError(f"{key}: is not the key of {path}")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_FILE + 1)
    except OSError as error:
        raise TlsError(f"{path}: {error.strerror or type(error).__name__}") from None
    if len(octets) > MAX_FILE:
        raise TlsError(f"{path}: longer than {MAX_FILE} octets")
    return octets


def certificates(path: Path) -> list[x509.Certificate]:
    """Those in a PEM file. TlsError."""
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError:
        raise TlsError(f"{path}: no certificate in PEM form") from None


def _key(path: Path) -> object:
    """The public half of a key file."""
    octets = _read(path)
    if path.stat().st_mode & _FOREIGN:
        raise TlsError(f"{path}: others than its owner have access to this key; chmod 600 it")
    try:
        key = load_pem_private_key(octets, None)
    except TypeError:
        raise TlsError(f"{path}: the key is encrypted; give it in the clear, readable by its owner alone") from None
    except (ValueError, UnsupportedAlgorithm):
        raise TlsError(f"{path}: no private key in PEM form") from None
    return key.public_key()


def _require_valid(certificate: x509.Certificate, now: datetime.datetime, where: str) -> None:
    if now < certificate.not_valid_before_utc:
        raise TlsError(f"{where}: not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    if now > certificate.not_valid_after_utc:
        raise TlsError(f"{where}: expired {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")


def _require_usage(certificate: x509.Certificate, role: str, where: str) -> None:
    """TS 33.310 6.1: extendedKeyUsage is there and says what the entity does."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise TlsError(f"{where}: no extendedKeyUsage; {role}Auth is needed") from None
    if _ROLES[role] not in usage:
        raise TlsError(f"{where}: extendedKeyUsage is without {role}Auth")


def _require_strong(key: object, where: str) -> None:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES:
        return
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return
    raise TlsError(f"{where}: neither RSA of at least {MIN_RSA_BITS} bits, nor ECDSA on P-256 or better, nor EdDSA")


def _require_authority(certificate: x509.Certificate, where: str) -> None:
    try:
        if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return
    except x509.ExtensionNotFound:
        pass
    raise TlsError(f"{where}: {certificate.subject.rfc4514_string()} is not a CA")


def revocation_lists(path: Path) -> list[x509.CertificateRevocationList]:
    """Those in a PEM file, one a CA. TlsError: it has none, or cannot be read."""
    try:
        found = [x509.load_pem_x509_crl(each) for each in _CRL.findall(_read(path))]
    except ValueError:
        found = []
    if not found:
        raise TlsError(f"{path}: no revocation list in PEM form")
    return found


def _check_crl(path: Path, now: datetime.datetime) -> None:
    for crl in revocation_lists(path):
        if crl.next_update_utc is not None and now > crl.next_update_utc:
            raise TlsError(f"{path}: this revocation list was to be renewed {crl.next_update_utc:%Y-%m-%d %H:%M} UTC")


def _names(certificate: x509.Certificate) -> list[str]:
    """URIs first: they name the entity, the others its host."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    found = names.get_values_for_type(x509.UniformResourceIdentifier) + names.get_values_for_type(x509.DNSName)
    return found + [str(address) for address in names.get_values_for_type(x509.IPAddress)]


def canonical(name: str) -> str:
    """One form of a name of subjectAltName, by which two are compared."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name if ":" in name else name.lower().rstrip(".")
