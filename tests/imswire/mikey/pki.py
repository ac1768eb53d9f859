"""A public-key infrastructure made by openssl's command line, as an operator's would be."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from imswire.mikey.exchange_pk import KmsIdentity, Signer

CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n"
USER = "basicConstraints=CA:FALSE\nauthorityKeyIdentifier=keyid\nsubjectAltName=URI:{name}\n"


class Pki:
    """``ca`` certifies ``inter``, which certifies the users; ``stranger`` is certified by nobody known."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._make("ca", CA, None)
        self._make("inter", CA + "authorityKeyIdentifier=keyid\n", "ca")
        self._make("alice", USER.format(name="sip:alice@example.com"), "inter")
        self._make("bob", USER.format(name="sip:bob@example.com"), "inter")
        self._make("kms", "basicConstraints=CA:FALSE\nsubjectAltName=DNS:kms.example.com\n", "ca")
        self._make("nobody", "basicConstraints=CA:FALSE\n", "ca")
        self._make("short", USER.format(name="sip:short@example.com"), "ca", bits=1024)
        self._make("elliptic", USER.format(name="sip:ec@example.com"), "ca", algorithm=("-algorithm", "EC"))
        self._make("notca", USER.format(name="sip:notca@example.com"), "ca")
        self._make("undernotca", USER.format(name="sip:alice@example.com"), "notca")
        self._make("strangeca", CA, None)
        self._make("stranger", USER.format(name="sip:alice@example.com"), "strangeca")

    def _make(
        self, name: str, extensions: str, issuer: str | None, bits: int = 2048, algorithm: tuple[str, ...] = ()
    ) -> None:
        if algorithm:
            options = [*algorithm, "-pkeyopt", "ec_paramgen_curve:P-256"]
        else:
            options = ["-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"]
        self._openssl("genpkey", *options, "-out", f"{name}.key")
        self._openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/O=lab/CN={name}", "-out", f"{name}.csr")
        (self.folder / f"{name}.ext").write_text(extensions)
        signer = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial"] if issuer else []
        if not issuer:
            signer = ["-signkey", f"{name}.key"]
        request = ["-req", "-in", f"{name}.csr", "-extfile", f"{name}.ext", "-days", "3650", "-sha256"]
        self._openssl("x509", *request, *signer, "-out", f"{name}.pem")

    def _openssl(self, *arguments: str) -> bytes:
        return subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True).stdout

    def openssl(self, *arguments: str, octets: bytes = b"") -> bytes:
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, input=octets)
        return done.stdout

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())

    def key(self, name: str):
        return load_pem_private_key((self.folder / f"{name}.key").read_bytes(), None)

    def signer(self, name: str, *issuers: str, **options) -> Signer:
        chain = tuple(self.certificate(each) for each in (name, *issuers))
        return Signer(self.key(name), chain, **options)

    def kms(self, **options) -> KmsIdentity:
        return KmsIdentity(self.key("kms"), self.certificate("kms"), (self.certificate("ca"),), **options)

    @property
    def now(self) -> int:
        """A wall time in ns at which the certificates hold."""
        return round(self.certificate("alice").not_valid_before_utc.timestamp() * 1e9) + 3600 * 10**9


@cache
def pki() -> Pki:
    """Made once a process: the keys take a second."""
    return Pki(Path(tempfile.mkdtemp(prefix="midcall-pki-")))
