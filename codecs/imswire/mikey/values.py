"""The payloads of MIKEY as values: what a message says, without lengths and next-payload octets.

Numbers stay plain integers, since a message may carry one that this library does not know; the enumerations of
:mod:`imswire.mikey.numbers` compare equal to them.
"""

from __future__ import annotations

from msgspec import Struct

from imswire.mikey.numbers import KvType, TsType

NTP_UNIX_OFFSET = 2_208_988_800  # seconds from 1900 to 1970
NTP_ERA = 1 << 32
_TOP_BIT = 1 << 31


class SrtpSession(Struct, frozen=True, gc=False):
    """Entry of an SRTP-ID map (RFC 3830 6.1.1); its CS ID is its place, from 1."""

    policy: int
    ssrc: int
    roc: int


class GenericSession(Struct, frozen=True, gc=False):
    """Block of a GENERIC-ID map (RFC 6043 6.1.1)."""

    cs_id: int
    protocol: int
    has_roc: bool
    policies: tuple[int, ...]
    session_data: bytes
    spi: bytes

    @property
    def ssrc(self) -> int | None:
        return int.from_bytes(self.session_data[:4], "big") if len(self.session_data) >= 4 else None

    @property
    def roc(self) -> int | None:
        """Rollover counter at the time of the message, when S = 1."""
        if not self.has_roc or len(self.session_data) < 10:
            return None
        return int.from_bytes(self.session_data[4:8], "big")

    @property
    def seq(self) -> int | None:
        """Sequence number at the time of the message, when S = 1."""
        if not self.has_roc or len(self.session_data) < 10:
            return None
        return int.from_bytes(self.session_data[8:10], "big")


CryptoSession = SrtpSession | GenericSession


class Header(Struct, frozen=True, gc=False):
    """The common header (RFC 3830 6.1); ``expects_response`` is flag V."""

    data_type: int
    prf: int
    csb_id: int
    map_type: int
    sessions: tuple[CryptoSession, ...] = ()
    expects_response: bool = False
    version: int = 1


class Validity(Struct, frozen=True, gc=False):
    """KV data of a key (RFC 3830 6.14): nothing, an SPI/MKI, or an interval."""

    kind: int = KvType.NULL
    spi: bytes = b""
    valid_from: bytes = b""
    valid_to: bytes = b""


class Kemac(Struct, frozen=True, gc=False):
    """KEMAC (RFC 3830 6.2)."""

    encr_alg: int
    encr_data: bytes
    mac_alg: int = 0
    mac: bytes = b""


class Pke(Struct, frozen=True, gc=False):
    """PKE (RFC 3830 6.3): envelope key; ``cache`` is field C."""

    cache: int
    data: bytes


class Dh(Struct, frozen=True, gc=False):
    """DH data (RFC 3830 6.4)."""

    group: int
    value: bytes
    validity: Validity = Validity()


class Sign(Struct, frozen=True, gc=False):
    """SIGN (RFC 3830 6.5): always last."""

    sign_type: int
    signature: bytes


class Timestamp(Struct, frozen=True, gc=False):
    """T (RFC 3830 6.6), and the value of TR."""

    ts_type: int
    value: bytes

    @property
    def unix_ns(self) -> int | None:
        """Nanoseconds since 1970; None for a counter. Values with a clear top bit are of the era from 2036."""
        if self.ts_type == TsType.COUNTER:
            return None
        seconds = int.from_bytes(self.value[:4], "big")
        fraction = int.from_bytes(self.value[4:8].ljust(4, b"\0"), "big")
        if not seconds & _TOP_BIT:
            seconds += NTP_ERA
        return (seconds - NTP_UNIX_OFFSET) * 1_000_000_000 + fraction * 1_000_000_000 // NTP_ERA

    @classmethod
    def ntp_utc(cls, unix_ns: int) -> Timestamp:
        """NTP-UTC of a wall time in nanoseconds."""
        seconds, rest = divmod(unix_ns, 1_000_000_000)
        whole = (seconds + NTP_UNIX_OFFSET) % NTP_ERA
        return cls(TsType.NTP_UTC, whole.to_bytes(4, "big") + (rest * NTP_ERA // 1_000_000_000).to_bytes(4, "big"))

    @classmethod
    def ntp_utc_32(cls, unix_s: int) -> Timestamp:
        """NTP-UTC-32 (RFC 6043 6.6) of a wall time in seconds."""
        return cls(TsType.NTP_UTC_32, ((unix_s + NTP_UNIX_OFFSET) % NTP_ERA).to_bytes(4, "big"))

    @property
    def for_iv(self) -> bytes:
        """The 64 bits that enter an IV (RFC 3830 4.1.3, RFC 6043 6.6)."""
        if self.ts_type == TsType.COUNTER:
            return self.value.rjust(8, b"\0")
        return self.value.ljust(8, b"\0")


class Id(Struct, frozen=True, gc=False):
    """ID (RFC 3830 6.7)."""

    id_type: int
    data: bytes


class Cert(Struct, frozen=True, gc=False):
    """CERT (RFC 3830 6.7)."""

    cert_type: int
    data: bytes


class Chash(Struct, frozen=True, gc=False):
    """CHASH (RFC 3830 6.8)."""

    hash_func: int
    hash: bytes


class V(Struct, frozen=True, gc=False):
    """V (RFC 3830 6.9): MAC over the message."""

    auth_alg: int
    mac: bytes


class Sp(Struct, frozen=True, gc=False):
    """SP (RFC 3830 6.10): a security policy, parameters in the order in which they came."""

    policy: int
    protocol: int
    params: tuple[tuple[int, bytes], ...]

    @property
    def mapping(self) -> dict[int, bytes]:
        return dict(self.params)


class Rand(Struct, frozen=True, gc=False):
    """RAND (RFC 3830 6.11)."""

    rand: bytes


class Err(Struct, frozen=True, gc=False):
    """ERR (RFC 3830 6.12)."""

    error_no: int


class Tr(Struct, frozen=True, gc=False):
    """TR (RFC 6043 6.4): a timestamp with a role."""

    role: int
    ts_type: int
    value: bytes

    @property
    def timestamp(self) -> Timestamp:
        return Timestamp(self.ts_type, self.value)


class Idr(Struct, frozen=True, gc=False):
    """IDR (RFC 6043 6.6): an identity with a role."""

    role: int
    id_type: int
    data: bytes


class Randr(Struct, frozen=True, gc=False):
    """RANDR (RFC 6043 6.8): a random value with a role."""

    role: int
    rand: bytes


class Flags(Struct, frozen=True, gc=False, kw_only=True):
    """The policy flags D to O of a ticket (RFC 6043 6.10)."""

    d: bool = False
    e: bool = False
    f: bool = False
    g: bool = False
    h: bool = False
    i: bool = False
    j: bool = False
    k: bool = False
    l: bool = False  # noqa: E741
    m: bool = False
    n: bool = False
    o: bool = False

    @classmethod
    def of(cls, letters: str) -> Flags:
        """Flags named by their letters, such as "DEFGHNO"."""
        return cls(**{letter.lower(): True for letter in letters})

    def __str__(self) -> str:
        return "".join(name.upper() for name in self.__struct_fields__ if getattr(self, name))


class TicketPolicy(Struct, frozen=True, gc=False):
    """TP, and the part of TICKET that it shares (RFC 6043 6.10); ``tp_data`` with its first-payload octet."""

    ticket_type: int
    subtype: int
    version: int
    prf: int
    flags: Flags
    tp_data: bytes
    # The five bits behind the flags: ignored, but MACs cover them and tickets are passed on as they came.
    reserved: int = 0


class Ticket(Struct, frozen=True, gc=False):
    """TICKET (RFC 6043 6.10): policy, opaque Ticket Data, and what the Initiator added."""

    policy: TicketPolicy
    ticket_data: bytes
    initiator_data: bytes = b""


class KeyData(Struct, frozen=True, gc=False):
    """Key data (RFC 3830 6.13); the representation shows no key."""

    key_type: int
    key: bytes
    salt: bytes = b""
    validity: Validity = Validity()

    @property
    def spi(self) -> bytes:
        return self.validity.spi

    def __repr__(self) -> str:
        return f"KeyData(key_type={self.key_type}, octets={len(self.key)}, spi={self.spi.hex()!r}, <redacted>)"


class Extension(Struct, frozen=True, gc=False):
    """General extension (RFC 3830 6.15)."""

    extension: int
    data: bytes


class Ibake(Struct, frozen=True, gc=False):
    """IBAKE (RFC 6267 6.1): identities and points, encrypted to the receiver's identity."""

    data: bytes


class Esk(Struct, frozen=True, gc=False):
    """ESK (RFC 6267 6.2): a secret key for deferred delivery, encrypted to the receiver's identity."""

    data: bytes


class Sk(Struct, frozen=True, gc=False):
    """SK (RFC 6267 6.3), inside ESK; the representation shows no key."""

    key_type: int
    key: bytes
    validity: Validity = Validity()

    def __repr__(self) -> str:
        return f"Sk(key_type={self.key_type}, octets={len(self.key)}, <redacted>)"


class Eccpt(Struct, frozen=True, gc=False):
    """ECCPT (RFC 6267 6.4), inside IBAKE: a point as SEC 1 writes it, without padding."""

    curve: int
    point: bytes
    auth_alg: int
    tgk_length: int
    validity: Validity = Validity()


class Sakke(Struct, frozen=True, gc=False):
    """SAKKE (RFC 6509 4.2)."""

    params: int
    id_scheme: int
    data: bytes


Payload = (
    Kemac
    | Pke
    | Dh
    | Sign
    | Timestamp
    | Id
    | Cert
    | Chash
    | V
    | Sp
    | Rand
    | Err
    | Tr
    | Idr
    | Randr
    | TicketPolicy
    | Ticket
    | KeyData
    | Extension
    | Ibake
    | Esk
    | Sk
    | Eccpt
    | Sakke
)
