"""Session descriptions (RFC 4566, RFC 8866) with the attributes that key and place media.

Key management by RFC 4567 (session default, media override), RFC 4568 security descriptions, RTCP by RFC 3605
and RFC 5761, candidates by RFC 8839; offer and answer are paired by position (RFC 3264).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from itertools import zip_longest

from msgspec import Struct

from imswire.errors import WireError

MAX_OCTETS = 65_535
MAX_LINES = 2_000
MAX_MEDIA = 64
MAX_CANDIDATES = 32
MAX_KEY_MGMT = 8

DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
# Profiles whose media is SRTP keyed by the description itself (RFC 4567 1, RFC 5124).
SECURE_PROFILES = frozenset({"RTP/SAVP", "RTP/SAVPF"})
OPEN_PROFILES = frozenset({"RTP/AVP", "RTP/AVPF"})
DTLS_PROFILES = frozenset({"UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"})


class SdpError(WireError):
    """Octets that are no session description; ``line`` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class Endpoint(Struct, frozen=True, gc=False):
    """An address as written and a UDP port."""

    address: str
    port: int


class Codec(Struct, frozen=True, gc=False):
    """What a payload type stands for (a=rtpmap, or RFC 3551's fixed ones)."""

    name: str
    rate: int
    channels: int = 1


class Attribute(Struct, frozen=True, gc=False):
    """a=name or a=name:value."""

    name: str
    value: str | None


class KeyMgmt(Struct, frozen=True, gc=False):
    """a=key-mgmt (RFC 4567): protocol and decoded data; ``error`` says why it could not be read."""

    protocol: str
    data: bytes
    level: str
    error: str = ""


class Crypto(Struct, frozen=True, gc=False):
    """a=crypto (RFC 4568): the key parameters are keys, so they are not shown."""

    tag: int
    suite: str
    key_params: tuple[str, ...]
    session_params: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Crypto(tag={self.tag}, suite={self.suite!r}, key_params=<redacted>)"


class Media(Struct, frozen=True, gc=False):
    """One m-line with what holds for it: its own attributes first, else the session's.

    ``address`` is the connection address, ``rtcp`` where its RTCP goes (the same place with rtcp-mux agreed).
    """

    index: int
    kind: str
    port: int
    port_count: int
    proto: str
    formats: tuple[str, ...]
    address: str | None
    direction: str
    rtcp: Endpoint | None
    rtcp_mux: bool
    mid: str | None
    codecs: dict[int, Codec]
    candidates: tuple[Endpoint, ...]
    key_mgmt: tuple[KeyMgmt, ...]
    crypto: tuple[Crypto, ...]
    attributes: tuple[Attribute, ...]

    @property
    def rejected(self) -> bool:
        """Port 0: refused, or closed (RFC 3264 6, 8.2); in a bundle-only line it means neither (RFC 9143 6)."""
        return self.port == 0 and not any(each.name == "bundle-only" for each in self.attributes)

    @property
    def secure(self) -> bool:
        """Whether its media are SRTP: by its profile, or because its own lines have keys for them (RFC 8643).

        Of an offer without such a profile: if the answer has keys as well.
        """
        profile = self.proto.upper()
        keyed = bool(self.crypto) or any(each.level == "media" for each in self.key_mgmt)
        return profile in SECURE_PROFILES or (profile in OPEN_PROFILES and keyed)

    @property
    def endpoint(self) -> Endpoint | None:
        """Where its owner wants to receive; None: nowhere (refused, or on hold with a null address)."""
        if self.port == 0 or self.address is None or self.address in ("0.0.0.0", "::"):  # noqa: S104
            return None
        return Endpoint(self.address, self.port)


class SessionDescription(Struct, frozen=True, gc=False):
    """A whole description; ``octets`` as received."""

    octets: bytes
    origin: str
    connection: str | None
    attributes: tuple[Attribute, ...]
    media: tuple[Media, ...]


class MediaPair(Struct, frozen=True, gc=False):
    """m-lines at one position of offer and answer; ``live`` when both are there and neither is refused."""

    offer: Media | None
    answer: Media | None

    @property
    def live(self) -> bool:
        return (
            self.offer is not None and self.answer is not None and not self.answer.rejected and not self.offer.rejected
        )


def pair(offer: SessionDescription, answer: SessionDescription) -> tuple[MediaPair, ...]:
    """m-lines of offer and answer by position (RFC 3264 6)."""
    return tuple(MediaPair(*each) for each in zip_longest(offer.media, answer.media))


def parse(octets: bytes) -> SessionDescription:
    """Read a description; SdpError names the line.

    Lines may end with LF alone. Lines of unknown types are skipped, and an attribute that cannot be read costs
    no more than itself; a refused m-line may have lost its formats.
    """
    if len(octets) > MAX_OCTETS:
        raise SdpError(1, f"longer than {MAX_OCTETS} octets")
    lines = octets.decode("utf-8", "surrogateescape").replace("\r\n", "\n").rstrip("\n\0").split("\n")
    if len(lines) > MAX_LINES:
        raise SdpError(MAX_LINES, "too many lines")
    if lines[0].rstrip() != "v=0":
        raise SdpError(1, "not v=0")
    session = _Section(0, "")
    sections = [session]
    origin = ""
    for number, line in enumerate(lines[1:], 2):
        kind, equals, value = line.rstrip().partition("=")
        if not kind and not equals:
            continue
        if len(kind) != 1 or not equals:
            raise SdpError(number, "not of the form type=value")
        if kind == "m":
            if len(sections) > MAX_MEDIA:
                raise SdpError(number, f"more than {MAX_MEDIA} media")
            sections.append(_Section(number, value))
        elif kind == "c":
            sections[-1].addresses.append(_address(number, value))
        elif kind == "a":
            name, colon, text = value.partition(":")
            sections[-1].attributes.append(Attribute(name.strip(), text if colon else None))
        elif kind == "o":
            origin = value
    keys = _key_mgmt(session, "session")
    media = tuple(_media(place, section, session, keys) for place, section in enumerate(sections[1:]))
    return SessionDescription(octets, origin, session.address, tuple(session.attributes), media)


class _Section:
    """The session part or one media part, as it is read."""

    def __init__(self, line: int, value: str) -> None:
        self.line = line
        self.value = value
        self.addresses: list[str | None] = []
        self.attributes: list[Attribute] = []

    @property
    def address(self) -> str | None:
        return self.addresses[0] if self.addresses else None

    def first(self, name: str) -> Attribute | None:
        return next((each for each in self.attributes if each.name == name), None)

    def all(self, name: str) -> list[str]:
        return [each.value for each in self.attributes if each.name == name and each.value is not None]

    @property
    def direction(self) -> str | None:
        return next((each.name for each in self.attributes if each.name in DIRECTIONS), None)


def _address(line: int, value: str) -> str | None:
    """c=IN IP4 address[/ttl[/count]]; None: an address of another network (RFC 3108, RFC 7195)."""
    parts = value.split()
    if len(parts) < 3:
        raise SdpError(line, "c= is not network type, address type and address")
    if parts[0].upper() != "IN" or parts[1].upper() not in ("IP4", "IP6"):
        return None
    return parts[2].partition("/")[0]


def _port(line: int, text: str) -> int:
    significant = text.lstrip("0") or text[:1]
    if not text.isascii() or not text.isdigit() or len(significant) > 5 or int(significant) > 65535:
        raise SdpError(line, "the port is not a number from 0 to 65535")
    return int(significant)


def _media(index: int, section: _Section, session: _Section, keys: tuple[KeyMgmt, ...]) -> Media:
    parts = section.value.split()
    if len(parts) < 3:
        raise SdpError(section.line, "m= is not media, port, protocol and formats")
    port_text, slash, count = parts[1].partition("/")
    port = _port(section.line, port_text)
    if len(parts) < 4 and port:
        raise SdpError(section.line, "m= without formats")
    proto = parts[2]
    address = section.address if section.addresses else session.address
    secure = proto.upper() in SECURE_PROFILES
    own = _key_mgmt(section, "media")
    inherited = keys if secure and not own else ()
    mux = section.first("rtcp-mux") is not None
    return Media(
        index=index,
        kind=parts[0].lower(),
        port=port,
        port_count=_port(section.line, count) if slash else 1,
        proto=proto,
        formats=tuple(parts[3:]),
        address=address,
        direction=section.direction or session.direction or "sendrecv",
        rtcp=_rtcp(section, address, port, mux),
        rtcp_mux=mux,
        mid=next(iter(section.all("mid")), None),
        codecs=_codecs(section, parts[3:]),
        candidates=_candidates(section),
        key_mgmt=own or inherited,
        crypto=_crypto(section),
        attributes=tuple(section.attributes),
    )


def _rtcp(section: _Section, address: str | None, port: int, mux: bool) -> Endpoint | None:
    """a=rtcp:port [IN IP4 address] (RFC 3605), else the next port; with rtcp-mux the peer may use either."""
    if port == 0 or address is None:
        return None
    for value in section.all("rtcp"):
        parts = value.split()
        if parts and parts[0].isascii() and parts[0].isdigit() and len(parts[0]) <= 5:
            other = parts[3] if len(parts) >= 4 else address
            if 0 < int(parts[0]) < 65536:
                return Endpoint(other, int(parts[0]))
    if mux and section.first("rtcp-mux-only") is not None:
        return Endpoint(address, port)
    return Endpoint(address, port + 1) if port < 65535 else None


def _codecs(section: _Section, formats: list[str]) -> dict[int, Codec]:
    codecs = {
        int(each): _STATIC[int(each)]
        for each in formats
        if each.isascii() and each.isdigit() and len(each) <= 3 and int(each) in _STATIC
    }
    for value in section.all("rtpmap"):
        number, _, mapping = value.strip().partition(" ")
        name, _, rest = mapping.strip().partition("/")
        rate, _, channels = rest.partition("/")
        if not (number.isascii() and number.isdigit() and len(number) <= 3 and int(number) < 128):
            continue
        if not (rate.isascii() and rate.isdigit() and 0 < len(rate) <= 7 and int(rate)):
            continue
        many = int(channels) if channels.isascii() and channels.isdigit() and len(channels) <= 2 else 1
        codecs[int(number)] = Codec(name, int(rate), many)
    return codecs


def _candidates(section: _Section) -> tuple[Endpoint, ...]:
    """UDP candidates of component 1 (RFC 8839 5.1): foundation component transport priority address port typ."""
    found: list[Endpoint] = []
    for value in section.all("candidate")[:MAX_CANDIDATES]:
        parts = value.split()
        if len(parts) < 8 or parts[1] != "1" or parts[2].upper() != "UDP":
            continue
        if parts[5].isascii() and parts[5].isdigit() and len(parts[5]) <= 5 and 0 < int(parts[5]) < 65536:
            found.append(Endpoint(parts[4], int(parts[5])))
    return tuple(found)


def _key_mgmt(section: _Section, level: str) -> tuple[KeyMgmt, ...]:
    """RFC 4567 3.1: protocol, one blank, base64; a blank behind the colon is legal, padding may be missing."""
    return tuple(_one_key_mgmt(value, level) for value in section.all("key-mgmt")[:MAX_KEY_MGMT])


def _one_key_mgmt(value: str, level: str) -> KeyMgmt:
    protocol, blank, text = value.strip().partition(" ")
    if not blank:
        return KeyMgmt(protocol, b"", level, "no data behind the protocol")
    try:
        octets = text.strip().encode("ascii")
        return KeyMgmt(protocol, b64decode(octets + b"=" * (-len(octets) % 4), validate=True), level)
    except (binascii.Error, UnicodeEncodeError):
        return KeyMgmt(protocol, b"", level, "the data is not base64")


def _crypto(section: _Section) -> tuple[Crypto, ...]:
    """RFC 4568 9.1: tag, suite, key parameters joined by ;, session parameters."""
    found: list[Crypto] = []
    for value in section.all("crypto")[:MAX_KEY_MGMT]:
        parts = value.split()
        if len(parts) < 3 or not parts[0].isascii() or not parts[0].isdigit() or len(parts[0]) > 9:
            continue
        found.append(Crypto(int(parts[0]), parts[1], tuple(parts[2].split(";")), tuple(parts[3:])))
    return tuple(found)


# RFC 3551 6, those of constant rate that are in use.
_STATIC = {
    0: Codec("PCMU", 8000),
    3: Codec("GSM", 8000),
    4: Codec("G723", 8000),
    5: Codec("DVI4", 8000),
    6: Codec("DVI4", 16000),
    7: Codec("LPC", 8000),
    8: Codec("PCMA", 8000),
    9: Codec("G722", 8000),
    10: Codec("L16", 44100, 2),
    11: Codec("L16", 44100),
    12: Codec("QCELP", 8000),
    13: Codec("CN", 8000),
    14: Codec("MPA", 90000),
    15: Codec("G728", 8000),
    18: Codec("G729", 8000),
    25: Codec("CelB", 90000),
    26: Codec("JPEG", 90000),
    28: Codec("nv", 90000),
    31: Codec("H261", 90000),
    32: Codec("MPV", 90000),
    33: Codec("MP2T", 90000),
    34: Codec("H263", 90000),
}
