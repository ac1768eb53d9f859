"""Whole MIKEY messages: read strictly, kept as they came; MACs cover the octets as received (RFC 3830 5)."""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct

from imswire.mikey import values as v
from imswire.mikey.errors import MikeyError
from imswire.mikey.numbers import TGKS, DataType, ErrorNo, IdRole, PayloadType, RandRole, TsRole
from imswire.mikey.payloads import Placed, payload_type, read_chain, read_header, write_chain, write_header

MAX_MESSAGE = 65_535

# Payloads that may stand more than once in one chain; all others only once, those with a role once a role.
_REPEATED = frozenset(
    {
        PayloadType.SP,
        PayloadType.CERT,
        PayloadType.GENERAL_EXTENSION,
        PayloadType.KEY_DATA,
        PayloadType.ID,
        PayloadType.DH,
        PayloadType.ERR,  # RFC 3830 5.1.2: {ERR}
    }
)
# In TP Data: all applications and responders. In a request for private keys: all identities of the user.
_POLICY_ROLES = frozenset({IdRole.APPLICATION, IdRole.RESPONDER})
_KEY_REQUEST_ROLES = frozenset({IdRole.INITIATOR, IdRole.RESPONDER})
_KEY_REQUESTS = frozenset({DataType.REQUEST_KEY_PSK, DataType.REQUEST_KEY_PKE, DataType.REQUEST_KEY_RESP})

P = TypeVar("P")


class Peek(Struct, frozen=True, gc=False):
    """What stands at fixed places of the header: enough to tell bundles apart."""

    data_type: int
    csb_id: int
    expects_response: bool
    prf: int
    map_type: int


class MikeyMessage(Struct, frozen=True):
    """A message: its octets, header, and payloads in their places."""

    octets: bytes
    header: v.Header
    payloads: tuple[Placed, ...]

    def first(self, cls: type[P]) -> P | None:
        """The first payload of a kind."""
        for _, _, _, value in self.payloads:
            if isinstance(value, cls):
                return value
        return None

    def need(self, cls: type[P]) -> P:
        """The payload of a kind; MikeyError when there is none."""
        found = self.first(cls)
        if found is None:
            raise MikeyError("message", f"no {cls.__name__} payload in a {type_name(self.header.data_type)}")
        return found

    def all(self, cls: type[P]) -> tuple[P, ...]:
        return tuple([value for _, _, _, value in self.payloads if isinstance(value, cls)])

    def placed(self, number: int) -> Placed | None:
        return next((each for each in self.payloads if each.payload_type == number), None)

    def identity(self, role: IdRole) -> v.Idr | None:
        for _, _, _, value in self.payloads:
            if isinstance(value, v.Idr) and value.role == role:
                return value
        return None

    def rand(self, role: RandRole) -> bytes | None:
        for _, _, _, value in self.payloads:
            if isinstance(value, v.Randr) and value.role == role:
                return value.rand
        return None

    @property
    def policies(self) -> dict[int, v.Sp]:
        """Security policies by their number."""
        return {sp.policy: sp for sp in self.all(v.Sp)}


def type_name(data_type: int) -> str:
    """Name of a data type, its number when it has none."""
    try:
        return DataType(data_type).name
    except ValueError:
        return f"data type {data_type}"


def identity(identities: tuple[v.Idr, ...], role: IdRole) -> v.Idr | None:
    return next((each for each in identities if each.role == role), None)


def peek(octets: bytes) -> Peek:
    """What stands at fixed places, without reading further. MikeyError: too short, or not version 1."""
    if len(octets) < 10:
        raise MikeyError("HDR", f"{len(octets)} octets, a header has at least 10", offset=0)
    if octets[0] != 1:
        raise MikeyError("HDR", f"version {octets[0]}", field="version", offset=0)
    csb_id = int.from_bytes(octets[4:8], "big")
    return Peek(octets[1], csb_id, bool(octets[3] & 0x80), octets[3] & 0x7F, octets[9])


def parse(octets: bytes) -> MikeyMessage:
    """Read a message; MikeyError names payload, offset and field.

    Every length must fit, the chain must end with the message, and what may stand once must not stand twice.
    """
    if len(octets) > MAX_MESSAGE:
        raise MikeyError("message", f"longer than {MAX_MESSAGE} octets")
    peek(octets)
    header, first, offset = read_header(octets)
    chain = read_chain(octets, first, offset)
    _check_single(chain, "message", _KEY_REQUEST_ROLES if header.data_type in _KEY_REQUESTS else frozenset())
    return MikeyMessage(octets, header, chain)


def build(header: v.Header, payloads: list[v.Payload], last: int = PayloadType.LAST) -> bytes:
    """Octets of a message; ``last`` is what its last payload names as next, for one that is not whole yet."""
    first = payload_type(payloads[0]) if payloads else last
    return write_header(header, first) + write_chain(payloads, last)


def read_nested(octets: bytes, name: str) -> tuple[Placed, ...]:
    """TP Data and Initiator Data: an octet that names the first payload, then the chain."""
    if not octets:
        return ()
    return read_chain(octets, octets[0], 1, within=name)


def write_nested(payloads: list[v.Payload]) -> bytes:
    """The reverse of :func:`read_nested`."""
    if not payloads:
        return b"\0"
    return bytes((payload_type(payloads[0]),)) + write_chain(payloads)


class PolicyData(Struct, frozen=True):
    """TP Data (RFC 6043 6.10): who may use the ticket, and when."""

    kms: v.Idr | None = None
    initiator: v.Idr | None = None
    start: v.Timestamp | None = None
    end: v.Timestamp | None = None
    rekey: v.Timestamp | None = None
    kemac: v.Kemac | None = None
    applications: tuple[v.Idr, ...] = ()
    responders: tuple[v.Idr, ...] = ()

    @classmethod
    def read(cls, policy: v.TicketPolicy) -> PolicyData:
        """Read the TP Data of a policy; payloads that have no place in it are ignored."""
        chain = read_nested(policy.tp_data, "TP Data")
        _check_single(chain, "TP Data", _POLICY_ROLES)
        identities = tuple(each.value for each in chain if isinstance(each.value, v.Idr))
        times = {each.value.role: each.value.timestamp for each in chain if isinstance(each.value, v.Tr)}
        kemac = next((each.value for each in chain if isinstance(each.value, v.Kemac)), None)
        return cls(
            identity(identities, IdRole.KMS),
            identity(identities, IdRole.INITIATOR),
            times.get(TsRole.START),
            times.get(TsRole.END),
            times.get(TsRole.REKEY),
            kemac,
            tuple(each for each in identities if each.role == IdRole.APPLICATION),
            tuple(each for each in identities if each.role == IdRole.RESPONDER),
        )

    def write(self) -> bytes:
        """TP Data in the order of RFC 6043 6.10."""
        payloads: list[v.Payload] = [each for each in (self.kms, self.initiator) if each is not None]
        times = ((TsRole.START, self.start), (TsRole.END, self.end), (TsRole.REKEY, self.rekey))
        payloads += [v.Tr(role, each.ts_type, each.value) for role, each in times if each is not None]
        if self.kemac is not None:
            payloads.append(self.kemac)
        return write_nested([*payloads, *self.applications, *self.responders])

    def outside(self, unix_ns: int) -> str | None:
        """Why the ticket is not valid at a time; None when it is."""
        start = None if self.start is None else self.start.unix_ns
        end = None if self.end is None else self.end.unix_ns
        if start is not None and unix_ns < start:
            return "the ticket is not valid yet"
        if end is not None and unix_ns > end:
            return "the ticket has expired"
        return None


def contradiction(flags: v.Flags, keys: tuple[v.KeyData, ...] = ()) -> str | None:
    """The first dependency of RFC 6043 6.10 that the flags break, as text; None when they are consistent.

    ``keys`` are those in the ticket, where they are known: a TGK that is to be forked needs an answer.
    """
    rules = (
        (not flags.d and not flags.l, "D=0 needs L=1"),
        (flags.g and not flags.f, "G=1 needs F=1"),
        (not flags.g and not flags.h, "G=0 needs H=1"),
        (flags.i and not flags.e, "I=1 needs E=1"),
        (flags.k and not flags.d, "K=1 needs D=1"),
        (flags.m and not flags.f, "M=1 needs F=1"),
        (flags.i and not flags.f and any(key.key_type in TGKS for key in keys), "I=1 with a TGK needs F=1"),
    )
    return next((text for broken, text in rules if broken), None)


def _check_single(chain: tuple[Placed, ...], within: str, repeated_roles: frozenset[IdRole]) -> None:
    seen: set[tuple[int, int]] = set()
    for placed in chain:
        if placed.payload_type in _REPEATED:
            continue
        role = getattr(placed.value, "role", 0)
        if placed.payload_type == PayloadType.IDR and role in repeated_roles:
            continue
        if (placed.payload_type, role) in seen:
            raise MikeyError(
                PayloadType(placed.payload_type).name,
                f"a second time in the {within}",
                offset=placed.offset,
                error_no=ErrorNo.UNSPECIFIED,
            )
        seen.add((placed.payload_type, role))
