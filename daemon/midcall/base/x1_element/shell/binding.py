"""Whose certificate is at the other end: one that is bound to an identifier on X1 (TS 103 221-1 8.2.4, annex G)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from midcall.base.tls import PeerName, TlsError
from midcall.base.x1_element.peer import Peer

Role = Literal["admf", "ne"]


class BoundName(PeerName):
    """A peer whose certificate is bound to ``identifier``; with ``names`` it has to show one of them as well."""

    def __init__(self, role: Role, identifier: str, *names: str) -> None:
        super().__init__(*names)
        self._role: Role = role
        self._identifier = identifier

    def check(self, connection: ssl.SSLObject | ssl.SSLSocket) -> str:
        name = super().check(connection)
        der = connection.getpeercert(binary_form=True)
        if der is None or not is_bound(der, self._role, self._identifier):
            raise TlsError(f"the peer's certificate is not bound to the {self._role} identifier that was expected")
        return name


def is_bound(der: bytes, role: Role, identifier: str) -> bool:
    """Whether the holder of a certificate may call itself so."""
    try:
        return Peer.of(der).is_bound(role, identifier)
    except ValueError:
        return False


def require_own(certificate: Path, role: Role, identifier: str) -> None:
    """Our own certificate has to be bound to our identifier, or every peer would refuse it. TlsError."""
    try:
        found = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    except (OSError, ValueError):
        raise TlsError(f"{certificate}: no certificate in PEM form") from None
    if not is_bound(found.public_bytes(Encoding.DER), role, identifier):
        raise TlsError(f"{certificate}: bound to another identifier on X1 than {identifier}")
