"""SIP Digest (RFC 3261 22, RFC 8760): challenges that keep no state, and answers that are good once."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from imswire import sip
from imswire.sip import SipError, SipMessage
from midcall.base.bounded import BoundedTable
from midcall.cscf.timers import MS

NONCE_LIFE = 300_000 * MS
"""How long a nonce is answered to; then the answer is asked for again with stale=true."""
COUNTS = 65_536
ALGORITHMS: dict[str, Callable[[bytes], str]] = {
    "SHA-256": lambda octets: hashlib.sha256(octets).hexdigest(),
    "MD5": lambda octets: hashlib.md5(octets, usedforsecurity=False).hexdigest(),
}
"""The most preferred first (RFC 8760 2.4)."""
MAX_FIELDS = 32
_FIELD = re.compile(r'\s*([A-Za-z0-9_-]{1,32})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)')


class Secrets(NamedTuple):
    """H(username:realm:password) of a user, in hexadecimal, by algorithm. Shows nothing of it."""

    by_algorithm: dict[str, str]

    def __repr__(self) -> str:
        return "Secrets(<redacted>)"


class Verdict(NamedTuple):
    """``user`` is who sent the request; else ``lines`` are the challenges to send."""

    user: str
    lines: bytes = b""


Find = Callable[[str], Secrets | None]
"""The secrets of a user by name."""


class Digest:
    """One realm. ``key`` seals nonces; ``find`` gives secrets; ``former`` is the one that it replaces: what was
    answered to that is good no second time here. ``algorithms``: those that are asked for, in this order.
    """

    def __init__(
        self,
        realm: str,
        key: bytes,
        find: Find,
        former: Digest | None = None,
        algorithms: Sequence[str] = tuple(ALGORITHMS),
    ) -> None:
        self._algorithms = {name: ALGORITHMS[name] for name in algorithms}
        self._realm = realm
        self._blake = hashlib.blake2b(key=key, digest_size=16, person=b"midcall.nonce")
        self._find = find
        self._counts: BoundedTable[str, int] = (
            BoundedTable("cscf.nonce_counts", COUNTS) if former is None else former._counts
        )

    def judge(self, message: SipMessage, now: int, *, proxy: bool) -> Verdict:
        """Whose request it is (RFC 3261 22.2, 22.3); ``proxy``: by Proxy-Authorization, else by Authorization."""
        stale = False
        name = "Proxy-Authorization" if proxy else "Authorization"
        for value in message.lines(name):
            fields = _fields(value)
            if fields is None or fields.get("realm") != self._realm:
                continue
            user, stale = self._answered(fields, message, now)
            if user:
                return Verdict(user)
            break
        return Verdict("", self._challenges(now, stale, proxy=proxy))

    def asked_for(self, value: str) -> bool:
        """Whether credentials are for this realm."""
        fields = _fields(value)
        return fields is not None and fields.get("realm") == self._realm

    def _challenges(self, now: int, stale: bool, *, proxy: bool) -> bytes:
        header = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        nonce = self._nonce(now)
        said = ", stale=true" if stale else ""
        return "".join(
            f'{header}: Digest realm="{self._realm}", nonce="{nonce}", qop="auth", algorithm={algorithm}{said}\r\n'
            for algorithm in self._algorithms
        ).encode()

    def _nonce(self, now: int) -> str:
        time = f"{now // MS:012x}"
        return time + self._seal(time)

    def _seal(self, text: str) -> str:
        blake = self._blake.copy()
        blake.update(text.encode())
        return blake.hexdigest()

    def _answered(self, fields: dict[str, str], message: SipMessage, now: int) -> tuple[str, bool]:
        """The user when the answer is right; whether it would be, were its nonce not too old."""
        nonce, user = fields.get("nonce", ""), fields.get("username", "")
        if len(nonce) != 44 or not hmac.compare_digest(nonce[12:].encode(), self._seal(nonce[:12]).encode()):
            return "", False
        algorithm = fields.get("algorithm", "MD5").upper()
        hashed = self._algorithms.get(algorithm)
        secrets = self._find(user)
        ha1 = None if secrets is None or hashed is None else secrets.by_algorithm.get(algorithm)
        if hashed is None or ha1 is None or fields.get("qop") != "auth":
            return "", False
        count, uri = fields.get("nc", ""), fields.get("uri", "")
        if not re.fullmatch("[0-9a-fA-F]{8}", count) or not _names(uri, message):
            return "", False
        ha2 = hashed(f"{message.method}:{uri}".encode("utf-8", "surrogateescape"))
        text = ":".join((ha1, nonce, count, fields.get("cnonce", ""), "auth", ha2))
        right = hashed(text.encode("utf-8", "surrogateescape"))
        if not hmac.compare_digest(
            right.encode(), fields.get("response", "").lower().encode("utf-8", "surrogateescape")
        ):
            return "", False
        issued = int(nonce[:12], 16) * MS
        if not issued <= now < issued + NONCE_LIFE:
            return "", True
        return (user, False) if self._is_new(user, nonce, int(count, 16)) else ("", True)

    def _is_new(self, user: str, nonce: str, count: int) -> bool:
        """An answer is good once: its count rises (RFC 7616 3.4)."""
        key = f"{user} {nonce}"
        last = self._counts.get(key)
        if count <= (last or 0):
            return False
        self._counts.put(key, count)
        self._counts.touch(key)
        return True


def _names(uri: str, message: SipMessage) -> bool:
    """Whether the digest's URI is the request's, as far as an element on the way may not have changed it."""
    if uri == message.request_uri:
        return True
    try:
        return sip.identities(uri) == sip.identities(message.request_uri or "") != ()
    except SipError:
        return False


def _fields(value: str) -> dict[str, str] | None:
    """Fields of a Digest credential; None: another scheme, or not well formed."""
    scheme, _, text = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    fields: dict[str, str] = {}
    place = 0
    while place < len(text) and len(fields) < MAX_FIELDS:
        found = _FIELD.match(text, place)
        if found is None or found.end() == place:
            return None
        quoted, plain = found[2], found[3]
        fields[found[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        place = found.end()
    return fields
