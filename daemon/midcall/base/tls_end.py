"""One end of a link over TLS, whose files may be read anew while connections stand.

Whoever opens or takes a connection does so by the ``context`` of that moment, and has the other side admitted. A
connection that stands goes on under the files that it was made with, unless its peer is none any more.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from midcall.base.tls import (
    Identity,
    PeerName,
    TlsError,
    client_context,
    revocation_lists,
    server_context,
    user_context,
)

Check = Callable[[ssl.SSLObject], object]
"""Looks at who is there after the handshake; what it raises refuses."""


class Revocations:
    """The certificates that the lists in a file revoke; without a file none."""

    def __init__(self, path: Path | None = None) -> None:
        """TlsError."""
        found = [] if path is None else revocation_lists(path)
        self._lists = {each.issuer.public_bytes(): each for each in found}

    def check(self, connection: ssl.SSLObject) -> None:
        """TlsError: the peer's certificate is revoked."""
        octets = connection.getpeercert(binary_form=True)
        if octets is None or not self._lists:
            return
        certificate = x509.load_der_x509_certificate(octets)
        revoked = self._lists.get(certificate.issuer.public_bytes())
        if revoked is None:
            return
        entry = revoked.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            raise TlsError("the peer's certificate is revoked")


class TlsEnd:
    """``peers`` None: the other side has no certificate, or is looked at by the ``check`` of each connection."""

    def __init__(self, context: ssl.SSLContext, peers: PeerName | None, revocations: Revocations | None = None) -> None:
        self.context = context
        self.peers = peers
        self._revocations = revocations or Revocations()
        self._open: list[tuple[asyncio.WriteTransport, Check | None]] = []

    @classmethod
    def server(cls, identity: Identity, peers: PeerName, *, tls_1_2: bool = False) -> TlsEnd:
        """For a listener. TlsError."""
        return cls(server_context(identity, tls_1_2=tls_1_2), peers, Revocations(identity.crl))

    @classmethod
    def client(cls, identity: Identity, peers: PeerName | None) -> TlsEnd:
        """For a sender, who looks at names itself. TlsError."""
        return cls(client_context(identity, check_host=False), peers, Revocations(identity.crl))

    @classmethod
    def users(cls, certificate: Path, key: Path, *, tls_1_2: bool = False) -> TlsEnd:
        """For a listener of user equipment. TlsError."""
        return cls(user_context(certificate, key, tls_1_2=tls_1_2), None)

    def admit(self, transport: asyncio.WriteTransport, check: Check | None = None) -> str:
        """Who is at the other end after the handshake; "" where nobody asks for a name. TlsError.

        From now on the connection ends when the other side is admitted no more.
        """
        name = self._judge(transport, check)
        self._open = [each for each in self._open if not each[0].is_closing()]
        self._open.append((transport, check))
        return name

    def renew(self, other: TlsEnd) -> int:
        """Go on as ``other``, which nobody else uses; how many connections have ended, since it would refuse them."""
        self.context, self.peers, self._revocations = other.context, other.peers, other._revocations
        ended = 0
        for transport, check in self._open:
            if transport.is_closing():
                continue
            try:
                self._judge(transport, check)
            except TlsError:
                transport.abort()  # no farewell: nothing more goes to who is there
                ended += 1
        self._open = [each for each in self._open if not each[0].is_closing()]
        return ended

    def _judge(self, transport: asyncio.BaseTransport, check: Check | None) -> str:
        connection = transport.get_extra_info("ssl_object")
        if connection is None:
            raise TlsError("the connection has ended")
        self._revocations.check(connection)
        look = check or (None if self.peers is None else self.peers.check)
        return "" if look is None else str(look(connection))
