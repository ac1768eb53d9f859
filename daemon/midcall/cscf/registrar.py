"""The registrar (RFC 3261 10.3, RFC 3327, RFC 3608): REGISTER of the domains that are served here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from imswire import sip
from imswire.sip import NameAddr, SipError, SipMessage, SipUri
from midcall.cscf.location import SECOND, Binding, LocationTable
from midcall.cscf.values import Hop, Listener

DEFAULT_EXPIRES = 3_600
MAX_CONTACTS = 10
MAX_PATH = 8
MAX_BINDING = 4_096
"""Octets of text of one contact: URI, parameters, Path, Call-ID."""
SUPPORTED = frozenset({"path", "outbound", "gruu"})
"""Option tags that Require may name. GRUUs and flows of others are kept as they come."""


class Challenge(NamedTuple):
    """What authentication says: ``user`` is known, or ``status`` and ``extra`` are the answer.

    ``neighbour``: it came by a neighbour, who says which way back (RFC 3327 6.1); no user agent may.
    """

    user: str = ""
    status: int = 0
    extra: bytes = b""
    neighbour: bool = True


class Policy(NamedTuple):
    """Seconds of a registration, and how many contacts a user may have."""

    min_expires: int = 60
    max_expires: int = 7_200
    contacts: int = MAX_CONTACTS


Authenticate = Callable[[SipMessage, Hop, int], Challenge]
MayRegister = Callable[[str, str], bool]
"""Whether a user may register an address of record."""


class Registrar:
    """``authenticate`` tells whose request it is; its answer is sent when it is nobody's."""

    def __init__(
        self,
        location: LocationTable,
        listeners: Sequence[Listener],
        is_local: Callable[[str], bool],
        authenticate: Authenticate,
        may_register: MayRegister,
        policy: Policy = Policy(),  # noqa: B008 - immutable
    ) -> None:
        self._location = location
        self._listeners = listeners
        self._is_local = is_local
        self._authenticate = authenticate
        self._may_register = may_register
        self._policy = policy

    def register(self, message: SipMessage, source: Hop, listener: int, now: int) -> tuple[int, bytes] | None:
        """Status and lines of the answer; None: the domain is another's. SipError: what is wrong with it."""
        uri = sip.parse_uri(message.request_uri or "")
        if not isinstance(uri, SipUri) or not self._is_local(uri.host.strip("[]")):
            return None
        unknown = [tag for tag in message.values("Require") if tag.lower() not in SUPPORTED]
        if unknown:
            return 420, _line("Unsupported", ", ".join(unknown))
        challenge = self._authenticate(message, source, now)
        if challenge.status:
            return challenge.status, challenge.extra
        aor = self._address_of_record(message)
        if aor is None:
            return 404, b""
        if not self._may_register(challenge.user, aor):
            return 403, b""
        path = message.values("Path") if challenge.neighbour else ()
        return self._update(message, aor, path, source, listener, now)

    def _address_of_record(self, message: SipMessage) -> str | None:
        """The To URI in canonical form, of a domain that is served here (RFC 3261 10.3 5)."""
        text = message.to.uri
        uri = sip.parse_uri(text)
        aors = sip.identities(text)
        if not (isinstance(uri, SipUri) and self._is_local(uri.host.strip("[]")) and aors):
            return None
        _check_text([aors[0]])
        return aors[0]

    def _update(
        self, message: SipMessage, aor: str, path: tuple[str, ...], source: Hop, listener: int, now: int
    ) -> tuple[int, bytes]:
        """RFC 3261 10.3 6-8: all contacts of the request, or none."""
        had = {each.key: each for each in self._location.bindings(aor, now)}
        have = dict(had)
        values = message.values("Contact")
        if "*" in values:
            if len(values) > 1 or _number(message.first("Expires")) != 0:
                raise SipError("Contact", "* stands alone, with Expires: 0")
            if any(not _is_later(each, message) for each in have.values()):
                return 500, b""
            have.clear()
        else:
            for value in values:
                contact = sip.parse_name_addr(value, "Contact")
                seconds = self._expires(contact, message)
                if 0 < seconds < self._policy.min_expires:
                    return 423, _line("Min-Expires", str(self._policy.min_expires))
                binding = self._binding(contact, seconds, message, path, source, now)
                former = had.get(binding.key)
                if former is not None and not _is_later(former, message):
                    return 500, b""
                if seconds:
                    have[binding.key] = binding
                else:
                    have.pop(binding.key, None)
        if len(have) > self._policy.contacts:
            return 403, _line("Warning", '399 midcall "too many contacts"')
        if have and self._location.is_full and not self._location.is_known(aor):
            return 503, _line("Retry-After", "60")
        if values:
            self._location.put(aor, tuple(have.values()))
        return 200, self._answer(path, aor, tuple(have.values()), listener, now)

    def _expires(self, contact: NameAddr, message: SipMessage) -> int:
        """Seconds: of the contact, of the request, or ours (RFC 3261 10.3 7)."""
        said = next((value for name, value in contact.params if name.lower() == "expires"), None)
        seconds = _number(said if said is not None else message.first("Expires"))
        return min(DEFAULT_EXPIRES if seconds is None else seconds, self._policy.max_expires)

    def _binding(
        self, contact: NameAddr, seconds: int, message: SipMessage, path: tuple[str, ...], source: Hop, now: int
    ) -> Binding:
        uri = sip.parse_uri(contact.uri)
        if not isinstance(uri, SipUri):
            raise SipError("Contact", "no SIP URI")
        params = {name.lower(): value for name, value in contact.params}
        instance, reg_id = params.get("+sip.instance"), params.get("reg-id")
        key = f"{instance} {reg_id or ''}" if instance else _comparable(uri)
        if len(path) > MAX_PATH:
            raise SipError("Path", f"more than {MAX_PATH} values")
        for each in path:
            if not isinstance(sip.parse_uri(sip.parse_name_addr(each, "Path").uri), SipUri):
                raise SipError("Path", "no SIP URI")
        # Over a connection, or from behind a NAT, the way of the registration is the way back (RFC 5626 5.3).
        host = (uri.param("maddr") or uri.host).strip("[]")
        by_flow = not path and (source.connection != 0 or host != source.host)
        kept = tuple((name, value) for name, value in contact.params if name.lower() not in ("expires", "q"))
        _check_text([contact.uri, message.call_id, *path, *(text for pair in kept for text in pair if text)])
        return Binding(
            key,
            contact.uri,
            now + seconds * SECOND,
            message.call_id,
            message.cseq.number,
            path,
            weight(params.get("q")),
            None if path else source,
            by_flow,
            kept,
        )

    def _answer(self, path: tuple[str, ...], aor: str, bindings: Sequence[Binding], listener: int, now: int) -> bytes:
        lines = []
        for each in bindings:
            q = "" if each.q == 1_000 else f";q={each.q / 1_000:g}"
            params = "".join(f";{name}" if value is None else f";{name}={value}" for name, value in each.params)
            lines.append(_line("Contact", f"<{each.uri}>{params}{q};expires={each.left(now)}"))
        if bindings:
            lines += [_line("Path", each) for each in path]
            lines.append(_line("Service-Route", f"<{self._listeners[listener].uri}>"))
            lines.append(_line("P-Associated-URI", f"<{aor}>"))
        return b"".join(lines)


def _check_text(texts: Sequence[str]) -> None:
    """That it can be kept: it goes into a file, and to other workers. SipError."""
    try:
        octets = sum(len(each.encode()) for each in texts)
    except UnicodeEncodeError:
        raise SipError("REGISTER", "octets that are no UTF-8") from None
    if octets > MAX_BINDING:
        raise SipError("REGISTER", f"more than {MAX_BINDING} octets to keep of one contact")


def _is_later(former: Binding, message: SipMessage) -> bool:
    """Whether a request is newer than the one that made a binding (RFC 3261 10.3 7)."""
    return former.call_id != message.call_id or message.cseq.number > former.cseq


def _comparable(uri: SipUri) -> str:
    """The same text for URIs that are equal in what names a device (RFC 3261 19.1.4)."""
    names = ("user", "ttl", "method", "maddr", "transport")
    kept = [f"{name}={uri.param(name)}".lower() for name in names if uri.param(name) is not None]
    return f"{uri.scheme}:{uri.user or ''}@{uri.host.lower()}:{uri.port or ''};{';'.join(kept)}"


def _number(text: str | None) -> int | None:
    """delta-seconds; None: none, or no number (RFC 3261 20.19: then as if it were 3600)."""
    return min(int(text[-10:]), 2**32 - 1) if text and text.isascii() and text.isdigit() and len(text) <= 10 else None


def weight(text: str | None) -> int:
    """qvalue in thousandths (RFC 3261 25.1); 1 without one."""
    head, _, tail = (text or "1").partition(".")
    if head not in ("0", "1") or not (tail.isdigit() or not tail) or len(tail) > 3 or not tail.isascii():
        raise SipError("Contact", "q is no number from 0 to 1 of three digits")
    return min(1_000, int(head) * 1_000 + int((tail + "000")[:3]))


def _line(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")
