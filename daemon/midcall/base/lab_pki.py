"""Certificates of all roles for labs and tests, in the form of TS 33.310 6.1 (the table of network functions).

``scripts/lab-pki OUT`` runs it. One CA signs everything; what is there already stays, what is missing is made.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROLES = ("cscf", "poi", "tap", "df", "kms", "admf", "audit", "lemf")
HOSTS = ("localhost", "127.0.0.1", "::1")
CRL_URL = "http://crl.midcall.example/lab.crl"
COUNTRY, ORGANISATION = "XX", "midcall lab"
CA_DAYS = 3 * 365
DAYS = 365
"""Both within the three years of TS 33.310; a leaf never outlives its CA."""
# A clock that is a little behind must not refuse what was made a moment ago.
_BACKDATED = datetime.timedelta(minutes=5)
_SIGNING = ("integrity", "heads")
"""Ed25519 keys: of integrity PDUs (TS 102 232-1 7.2.3), whose public half is for the LEMF, and of the audit's heads."""


class LabPki:
    """The files in ``folder``: ca.pem, ca.key, crl.pem, ROLE.pem, ROLE.key; integrity and heads, each .key and .pub."""

    def __init__(self, folder: Path, hosts: Sequence[str] = HOSTS, crl_url: str = CRL_URL) -> None:
        self.folder = folder
        self._hosts = tuple(hosts)
        self._crl_url = crl_url
        self._now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)

    def make(self, roles: Sequence[str] = ROLES) -> list[Path]:
        """Make what is missing; returns the new files. OSError, ValueError when an old CA cannot be read."""
        for role in roles:
            if not role.replace("-", "").isalnum() or not role.isascii():
                raise ValueError(f"{role!r} is no role's name: letters, digits and hyphens")
            if role in ("ca", "crl", *_SIGNING):
                raise ValueError(f"{role!r} is the name of another file")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made: list[Path] = []
        key, certificate = self._authority(made)
        if not (self.folder / "crl.pem").exists():
            made.append(self._write("crl.pem", revocations(certificate, key, (), self._now), 0o644))
        for role in roles:
            if not (self.folder / f"{role}.pem").exists():
                made += self._issue(role, certificate, key)
        for name in _SIGNING:
            if not (self.folder / f"{name}.key").exists():
                made += self._signing(name)
        return made

    def revoke(self, *roles: str) -> None:
        """A new crl.pem with these roles' certificates, and only these, in it."""
        key, certificate = self._authority([])
        serials = [x509.load_pem_x509_certificate((self.folder / f"{r}.pem").read_bytes()).serial_number for r in roles]
        self._write("crl.pem", revocations(certificate, key, serials, self._now), 0o644)

    def _authority(self, made: list[Path]) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        if (self.folder / "ca.pem").exists():
            certificate = x509.load_pem_x509_certificate((self.folder / "ca.pem").read_bytes())
            key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
                raise ValueError(f"{self.folder / 'ca.key'}: is not the key of ca.pem")
            return key, certificate
        key = ec.generate_private_key(ec.SECP256R1())
        name = _subject("midcall lab CA", None)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        certificate = (
            self._builder(name, name, key.public_key(), self._now + datetime.timedelta(days=CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        made.append(self._write("ca.key", _private(key), 0o600))
        made.append(self._write("ca.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644))
        return key, certificate

    def _issue(self, role: str, authority: x509.Certificate, signer: ec.EllipticCurvePrivateKey) -> list[Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(self._now + datetime.timedelta(days=DAYS), authority.not_valid_after_utc)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(self._crl_url)], None, None, None)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        )
        certificate = (
            self._builder(_subject(f"midcall {role}", role), authority.subject, key.public_key(), end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(both, critical=False)
            .add_extension(x509.SubjectAlternativeName(self._names(role)), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(x509.CRLDistributionPoints([point]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        # The key first: a certificate without its key would look finished to the next run.
        written = [self._write(f"{role}.key", _private(key), 0o600)]
        return [*written, self._write(f"{role}.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)]

    def _signing(self, name: str) -> list[Path]:
        key = ed25519.Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        written = [self._write(f"{name}.pub", public, 0o644)]
        return [*written, self._write(f"{name}.key", _private(key), 0o600)]

    def _names(self, role: str) -> list[x509.GeneralName]:
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(uri(role)),
            x509.DNSName(f"{role}.midcall.example"),
        ]
        for host in self._hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        return names

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, end: datetime.datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _BACKDATED)
            .not_valid_after(end)
        )

    def _write(self, name: str, octets: bytes, mode: int) -> Path:
        """Whole or not at all, never readable by others for a moment."""
        path, half = self.folder / name, self.folder / f".{name}.new"
        half.unlink(missing_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(octets)
        half.replace(path)
        return path


def uri(role: str) -> str:
    """The name of a role in its certificate, for ``PeerName``."""
    return f"urn:midcall:lab:{role}"


def revocations(
    authority: x509.Certificate, key: ec.EllipticCurvePrivateKey, serials: Sequence[int], now: datetime.datetime
) -> bytes:
    """A CRL in PEM form, good as long as its CA."""
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now - _BACKDATED)
        .next_update(authority.not_valid_after_utc)
        .add_extension(issuer, critical=False)
        .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - _BACKDATED).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _subject(name: str, role: str | None) -> x509.Name:
    parts = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, COUNTRY),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ]
    if role is not None:
        # TS 103 221-1 8.2: the UID is the identifier of an ADMF or network element on X1.
        parts.append(x509.NameAttribute(NameOID.USER_ID, role))
    return x509.Name(parts)


def _private(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="lab-pki", description="Make a CA and the certificates of all roles, for labs."
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the files; what is there already stays")
    parser.add_argument("--role", action="append", default=[], metavar="NAME", help="one more role (repeatable)")
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="one more DNS name or address")
    parser.add_argument("--crl-url", default=CRL_URL, metavar="URL", help="cRLDistributionPoints of all certificates")
    given = parser.parse_args(arguments)
    try:
        made = LabPki(given.out, (*HOSTS, *given.host), given.crl_url).make((*ROLES, *given.role))
    except (OSError, ValueError) as error:
        print(f"lab-pki: {error}", file=sys.stderr)
        return 3
    print(f"{len(made)} files made in {given.out}; keep ca.key off every machine that takes part")
    return 0


if __name__ == "__main__":
    sys.exit(main())
