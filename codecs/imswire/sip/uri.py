"""URIs (RFC 3261 19.1, RFC 3966, RFC 8141) and the canonical form of public identities.

Two spellings of one identity give the same text, two identities never do: interception matches on it.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from imswire.sip.errors import SipError
from imswire.sip.grammar import number

MAX_URI = 4096
DEFAULT_PORTS = {"sip": 5060, "sips": 5061}
_MAX_PORT = 65_535

_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()")
# RFC 3261 25.1: characters that may stand in the user part as they are.
_USER = _UNRESERVED | frozenset("&=+$,;?/")
_SCHEME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.")
_HEX = frozenset("0123456789abcdefABCDEF")
_CANONICAL = [chr(octet) if chr(octet) in _USER else f"%{octet:02X}" for octet in range(256)]
_HOST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
_SEPARATORS = str.maketrans("", "", "-.()")
_DIGITS = frozenset("0123456789")
_LOCAL = frozenset("0123456789ABCDEF*#")
# As most are written: without escapes, port and parameters, the host in lower case.
_CANONICAL_SIP = re.compile(
    r"sips?:([A-Za-z0-9+_.!~*-]{1,128}@[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?){0,16})"
).fullmatch

Parameters = tuple[tuple[str, str | None], ...]


class SipUri(Struct, frozen=True, gc=False):
    """sip:user:password@host:port;parameters?headers, escapes as they came."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None
    params: Parameters = ()
    headers: str = ""

    def param(self, name: str) -> str | None:
        """Value of a parameter, "" when it has none, None when it is not there; without escapes (RFC 3261 19.1.4)."""
        for each, value in self.params:
            if _unescaped(each).lower() == name:
                return _unescaped(value or "")
        return None

    def __str__(self) -> str:
        user = ""
        if self.user is not None:
            user = self.user + ("" if self.password is None else f":{self.password}") + "@"
        port = "" if self.port is None else f":{self.port}"
        params = "".join(f";{n}" if v is None else f";{n}={v}" for n, v in self.params)
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{self.host}{port}{params}{headers}"


class TelUri(Struct, frozen=True, gc=False):
    """tel:number;parameters (RFC 3966), visual separators as they came."""

    number: str
    params: Parameters = ()

    def __str__(self) -> str:
        return f"tel:{self.number}" + "".join(f";{n}" if v is None else f";{n}={v}" for n, v in self.params)


class UrnUri(Struct, frozen=True, gc=False):
    """urn:namespace:string (RFC 8141)."""

    namespace: str
    string: str

    def __str__(self) -> str:
        return f"urn:{self.namespace}:{self.string}"


class OtherUri(Struct, frozen=True, gc=False):
    """A URI of a scheme that names no IMS identity."""

    scheme: str
    rest: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


Uri = SipUri | TelUri | UrnUri | OtherUri


def parse_uri(text: str) -> Uri:
    """Read a URI; SipError when it is none."""
    if len(text) > MAX_URI:
        raise SipError("URI", f"longer than {MAX_URI} characters", 414)
    scheme, colon, rest = text.partition(":")
    if not colon or not _is_scheme(scheme) or not rest or any(c in rest for c in " <>\t\r\n"):
        raise SipError("URI", "not scheme:rest")
    scheme = scheme.lower()
    if scheme in ("sip", "sips"):
        return _sip(scheme, rest)
    if scheme == "tel":
        number, params = _parameters(rest)
        return TelUri(number, params)
    if scheme == "urn":
        namespace, colon, string = rest.partition(":")
        if not namespace or not string:
            raise SipError("URI", "URN without namespace or string")
        return UrnUri(namespace, string)
    return OtherUri(scheme, rest)


def _is_scheme(text: str) -> bool:
    """scheme (RFC 3261 25.1): a letter, then letters, digits, +, - and dots."""
    return text[:1].isalpha() and _SCHEME.issuperset(text)


def _sip(scheme: str, rest: str) -> SipUri:
    user: str | None = None
    password: str | None = None
    # An @ stands nowhere but behind the user; a ? may stand in it (RFC 3261 25.1).
    info, at, tail = rest.partition("@")
    if at:
        user, colon, secret = info.partition(":")
        password = secret if colon else None
        _check_escapes(user)
        if not user:
            raise SipError("URI", "empty user")
    else:
        tail = rest
    tail, _, headers = tail.partition("?")
    hostport, params = _parameters(tail)
    host, port = _host_port(hostport)
    return SipUri(scheme, user, password, host, port, params, headers)


def _check_escapes(user: str) -> None:
    place = user.find("%")
    while place >= 0:
        if len(user) < place + 3 or user[place + 1] not in _HEX or user[place + 2] not in _HEX:
            raise SipError("URI", "bad escape in the user")
        place = user.find("%", place + 3)


def _parameters(text: str) -> tuple[str, Parameters]:
    head, *pieces = text.split(";")
    params: list[tuple[str, str | None]] = []
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if not name:
            raise SipError("URI", "empty parameter name")
        params.append((name, value if equals else None))
    return head, tuple(params)


def _host_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        inside, bracket, tail = text[1:].partition("]")
        if not bracket:
            raise SipError("URI", "IPv6 address without closing bracket")
        try:
            IPv6Address(inside)
        except (AddressValueError, ValueError):
            raise SipError("URI", "bad IPv6 address") from None
        host, colon, port = f"[{inside}]", tail[:1], tail[1:]
        if colon not in ("", ":"):
            raise SipError("URI", "octets behind the IPv6 address")
    else:
        host, colon, port = text.partition(":")
        if not host or not _HOST.issuperset(host):
            raise SipError("URI", "bad host")
    if not colon:
        return host, None
    value = number(port, _MAX_PORT)
    if value is None:
        raise SipError("URI", "bad port")
    return host, value


def identities(uri: str) -> tuple[str, ...]:
    """Canonical forms of a public identity: equal identities share one, different ones share none.

    A SIP URI with user=phone and a global number gives its TEL form as well (RFC 3261 19.1.6). Parameters,
    headers and a password do not name a user and are dropped, as is the default port; another port stays.
    sip and sips name the same user. Empty when ``uri`` names nobody.
    """
    canonical = _CANONICAL_SIP(uri)
    if canonical is not None:
        return (f"sip:{canonical[1]}",)
    try:
        parsed = parse_uri(uri)
    except SipError:
        return ()
    if isinstance(parsed, SipUri):
        return _sip_identities(parsed)
    if isinstance(parsed, TelUri):
        number = _tel(parsed)
        return () if number is None else (number,)
    if isinstance(parsed, UrnUri):
        urn = _urn(parsed)
        return () if urn is None else (urn,)
    return ()


def _sip_identities(uri: SipUri) -> tuple[str, ...]:
    if uri.user is None:
        return ()
    host = _host(uri.host)
    port = "" if uri.port in (None, DEFAULT_PORTS[uri.scheme]) else f":{uri.port}"
    user = _user(uri.user)
    if (uri.param("user") or "").lower() == "phone":
        digits, _, params = user.partition(";")
        tel = _tel_in_user(digits, params)
        if tel is not None and digits.startswith("+"):
            return f"sip:{tel[4:]}@{host}{port}", tel
        if tel is not None:
            return f"sip:{user}@{host}{port}", tel
    return (f"sip:{user}@{host}{port}",)


def _tel_in_user(digits: str, params: str) -> str | None:
    """The identity of a telephone-subscriber in the user part (RFC 3261 19.1.6), local ones by their context."""
    try:
        return _tel(TelUri(digits, _parameters(f";{params}")[1] if params else ()))
    except SipError:
        return None


def _user(user: str) -> str:
    """Escapes of characters that may stand as they are are undone; all others are escaped, in capital hex digits."""
    if user.isascii() and user.isalnum():
        return user
    octets = unquote_to_bytes(user.encode("utf-8", "surrogateescape"))
    return "".join([_CANONICAL[octet] for octet in octets])


def _unescaped(text: str) -> str:
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _host(host: str) -> str:
    if host.startswith("["):
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    return host.lower().rstrip(".")


def _is_global(digits: str) -> bool:
    return len(digits) > 1 and digits[0] == "+" and _DIGITS.issuperset(digits[1:])


def _tel(uri: TelUri) -> str | None:
    digits = _unescaped(uri.number).translate(_SEPARATORS)  # a number sign may stand in a URI only so (RFC 3986 2.2)
    if _is_global(digits):
        return f"tel:{digits}"
    digits = digits.upper()
    if not digits or not _LOCAL.issuperset(digits):
        return None
    for name, value in uri.params:
        value = _unescaped(value or "")
        if _unescaped(name).lower() == "phone-context" and value:
            context = value.translate(_SEPARATORS) if value.startswith("+") else value.lower().rstrip(".")
            return f"tel:{digits};phone-context={context}"
    return None


def _urn(uri: UrnUri) -> str | None:
    namespace = uri.namespace.lower()
    string = uri.string.partition("?")[0].partition("#")[0]
    if not string:
        return None
    if namespace in ("uuid", "gsma", "service"):
        string = string.lower()
    return f"urn:{namespace}:{string}"
