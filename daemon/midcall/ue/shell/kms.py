"""A user agent's way to its KMS: Ticket Request and Ticket Resolve in HTTPS (RFC 6043 over HTTP, TS 33.328 6)."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path

from imswire import mikey
from imswire.mikey import DataType

SECONDS = 20.0
MAX_ANSWER = 1 << 16
KIND = "application/mikey"
PATH = "/keymanagement?requesttype="
_RESOLVE = {DataType.RESOLVE_INIT_PSK, DataType.RESOLVE_INIT_PK}


def is_resolve(octets: bytes) -> bool:
    """Whether a message is a Ticket Resolve, rather than a Ticket Request. MikeyError."""
    return mikey.peek(octets).data_type in _RESOLVE


class UserRefused(Exception):
    """The KMS's answer to a user, without keys."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"the KMS answers with status {status}")
        self.status = status
        self.body = body


class KmsAccess:
    """Asks the KMS at an address whose certificate ``ca`` vouches for; a connection a question. From any thread."""

    def __init__(self, host: str, port: int, ca: Path) -> None:
        self._host, self._port = host, port
        self._context = ssl.create_default_context(cafile=ca)

    def __call__(self, octets: bytes) -> bytes:
        """The MIKEY message that answers ``octets``. UserRefused, OSError, http.client.HTTPException."""
        path = PATH + ("ticketresolve" if is_resolve(octets) else "ticketrequest")
        connection = http.client.HTTPSConnection(self._host, self._port, context=self._context, timeout=SECONDS)
        try:
            connection.request("POST", path, octets, {"Content-Type": KIND})
            answer = connection.getresponse()
            body = answer.read(MAX_ANSWER)
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise UserRefused(answer.status, body)
        return body
