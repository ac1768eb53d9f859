"""Who is at the other end of X1: the identifiers that a certificate is bound to (TS 103 221-1 8.2.4, annex G)."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal
from urllib.parse import unquote

from cryptography import x509
from cryptography.x509.oid import NameOID
from msgspec import Struct

BINDING = "urn:etsi:li:103221-1:cert-binding:"
MAX_NAMES = 64


class Peer(Struct, frozen=True):
    """What stands in a certificate: UIDs of the subject, and bindings as (role, identifier) of subjectAltName.

    A certificate with bindings says itself which role its holder has; its UID then counts for that role alone.
    ``mark``: SHA-256 of the certificate.
    """

    uids: frozenset[str] = frozenset()
    bindings: frozenset[tuple[str, str]] = frozenset()
    mark: bytes = b""

    @classmethod
    def of(cls, der: bytes) -> Peer:
        """Of a certificate that TLS has verified. ValueError: cannot be read."""
        certificate = x509.load_der_x509_certificate(der)
        uids = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.USER_ID)]
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        except x509.ExtensionNotFound:
            uris = []
        if len(uids) > MAX_NAMES or len(uris) > MAX_NAMES:
            raise ValueError("more names than a certificate of X1 has")
        return cls(frozenset(uids), frozenset(map(_binding, filter(_binds, uris))), sha256(der).digest())

    def is_bound(self, role: Literal["admf", "ne"], identifier: str) -> bool:
        """Whether its holder may call itself so."""
        if (role, identifier) in self.bindings:
            return True
        return identifier in self.uids and all(bound == role for bound, _ in self.bindings)


def _binds(uri: str) -> bool:
    return uri.lower().startswith(BINDING)


def _binding(uri: str) -> tuple[str, str]:
    role, _, identifier = uri[len(BINDING) :].partition(":")
    return role.lower(), unquote(identifier)
