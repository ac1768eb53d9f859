"""Configuration: one Struct a table, unknown keys refused, errors that name line and key.

A core: it is given the text of a TOML file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, structs

MAX_OCTETS = 1 << 20
KEY_OCTETS = range(16, 65)

T = TypeVar("T")
S = TypeVar("S", bound=Struct)
D = TypeVar("D", bound="DaemonConfig")

Operator = Annotated[str, Meta(min_length=1, max_length=16, pattern=r"^[\x20-\x7e]*$")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]
Liid = Annotated[str, Meta(min_length=1, max_length=25, pattern=r"^[A-Za-z0-9._-]+$")]
NetworkOperator = Annotated[str, Meta(min_length=1, max_length=5, pattern=r"^[\x20-\x7e]*$")]
Positive = Annotated[int, Meta(ge=1)]
Address = Annotated[str, Meta(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5}$")]
Door = Annotated[str, Meta(pattern=r"^(unix:.{1,100}|(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5})$")]
Names = Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1)]
Filled = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(gt=0)]
Sink = Annotated[str, Meta(pattern=r"^(fd:[0-9]{1,3}|(?!fd:).*)$")]
Credential = Annotated[str, Meta(min_length=1, title="credential")]
"""A secret: the name of a credential in the file of a daemon; the path of its file once it is ``placed``."""


class ConfigError(ValueError):
    """What is wrong in a TOML file; ``line`` counts from 1 (0: the file as a whole). Shows no value."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.line = line
        self.reason = reason


class Warranted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a warrant would say, for a replay without one (laboratories).

    ``liid``: up to 25 characters of a-z A-Z 0-9 - _ . (TS 102 232-1 5.2.2). ``scope``: ``iri`` gives events only,
    without any content, body or key. ``keys``: ``decrypt`` hands content over in clear, ``keys-to-lemf`` hands over
    the session keys and SRTP as captured. Without ``location`` the headers and bodies that tell it are left out.
    """

    liid: Liid = "LAB-1"
    scope: Literal["iri", "iri+cc"] = "iri+cc"
    keys: Literal["decrypt", "keys-to-lemf"] = "decrypt"
    location: bool = True


class Network(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who hands over: identifiers of TS 102 232-1 5.2.3 and 5.2.4, and of TS 33.108 Network-Identifier.

    ``correlation_key`` (hexadecimal, 16 to 64 octets) keys the correlation identifiers of this site; the
    default of a replay is 32 octets of zero.
    """

    operator: Operator = "midcall-lab"
    element: Operator | None = "poi-1"
    network_operator: NetworkOperator = "99999"
    country: Country | None = "XX"
    delivery_country: Country | None = None
    correlation_key: str = "00" * 32


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The forms that one agency receives.

    ``iri``: ``eps`` is TS 33.108 EPS in ePSIRI, ``ipmm`` TS 102 232-5, ``ts33128`` TS 33.128; what a form has no
    record for (start of interception in ``ipmm``; keys in ``ipmm`` and ``ts33128``) goes as ``eps``. ``cc``:
    ``ipmm`` is IPMMCC with RTP frames, ``voip`` Voip-CC-PDU of TS 33.108 B.12, ``ts33128`` IMSCCPDU. ``records``:
    ``report`` sends every record as REPORT, ``phases`` as BEGIN, CONTINUE, END and REPORT (TS 102 232-5 table 1).
    ``wrapping``: ``parameters`` puts IRI-Parameters into iRI-EPS-Parameters, ``content`` into epsIRIsContent.
    ``on_key_failure``: ``encrypted`` hands SRTP over as captured when no key opens it, ``hold`` nothing.
    ``ticket``: whether ``a=key-mgmt`` stays in the SDP of HI2 when content goes over in clear. ``cccsid``:
    ``cs`` is the CS ID in one octet, ``csb+cs`` the CSB ID in four octets before it, ``auto`` the first for the
    first bundle of a dialog and the second for all others. ``hi1`` sends
    notifications of activation and deactivation in the same stream. ``national``: octets (hexadecimal) for
    national-Parameters of every ``eps`` record.
    """

    iri: Literal["eps", "ipmm", "ts33128"] = "eps"
    cc: Literal["ipmm", "voip", "ts33128"] = "ipmm"
    records: Literal["report", "phases"] = "report"
    wrapping: Literal["parameters", "content"] = "parameters"
    on_key_failure: Literal["encrypted", "hold"] = "encrypted"
    ticket: Literal["keep", "remove"] = "keep"
    cccsid: Literal["auto", "cs", "csb+cs"] = "auto"
    hi1: bool = False
    national: Annotated[tuple[str, ...], Meta(max_length=40)] = ()


class Integrity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Integrity check PDUs (TS 102 232-1 7.2.3): a hash after so many PDUs or seconds, a signature over hashes.

    ``locate`` sends about log2(n) more hashes with each over n PDUs, by which a receiver names the one that is wrong.

    Signatures are sent when ``signing_key`` names a file with an Ed25519 private key (PEM).
    """

    enabled: bool = True
    locate: bool = False
    hash_pdus: Positive = 1_000
    hash_seconds: Positive = 1
    signature_hashes: Positive = 15
    signature_seconds: Positive = 300
    signing_key: str = ""


class Delivery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How ``midcall replay --deliver`` sends.

    ``peer_name``: a name in the LEMF's certificate (DNS, address or URI of subjectAltName; default: the host
    of ``--deliver``). ``proof``: what counts as received (TS 102 232-1 6.3.6, 6.4.3): ``auto`` takes the best
    that the LEMF offers. ``connections``: one for both interfaces, or one each. ``give_up_seconds``: how long
    nothing may move before the rest is given up. ``tls_1_2``: allowed beside TLS 1.3.
    """

    peer_name: str = ""
    proof: Literal["auto", "acknowledgement", "keep-alive", "transport"] = "auto"
    connections: Literal["one", "each"] = "one"
    give_up_seconds: Positive = 30
    tls_1_2: bool = False


class ReplayConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``midcall replay --config``: how product is handed over, and what a warrant would say."""

    warranted: Warranted = Warranted()
    network: Network = Network()
    profile: Profile = Profile()
    integrity: Integrity = Integrity()
    delivery: Delivery = Delivery()


class KmsUsers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where users ask for tickets and resolve them.

    ``per_address`` and ``per_subscriber``: requests a minute that are answered, after a burst of as many as their
    ``_burst``. ``request_seconds``: in which a request has to be there. ``tls_1_2``: allowed beside TLS 1.3.
    """

    listen: Address
    certificate: Filled
    key: Credential
    tls_1_2: bool = False
    connections: Positive = 1_024
    request_seconds: Seconds = 5.0
    per_address: Positive = 600
    per_address_burst: Positive = 100
    per_subscriber: Positive = 60
    per_subscriber_burst: Positive = 20


class KmsNode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mediation function that resolves tickets as a node of its own; ``credential``: file with the shared key."""

    identity: Filled
    psk_id: Filled
    credential: Credential


class KmsXk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where mediation functions ask for session keys.

    ``clients``: names (URI, DNS, address) in the certificates of those that may. ``unsigned``: what becomes of
    questions without a warrant; ``accept`` leaves the authority to the mediation function, and is told loudly.
    ``trust``: this KMS's own trust list. ``in_flight``: questions that are answered at once; ``deadline_seconds``:
    in which each is. ``node`` asks by RFC 6043 Resolve, which has no room for a warrant: only with ``accept``.
    """

    listen: Address
    certificate: Filled
    key: Credential
    ca: Filled
    crl: str = ""
    clients: Names
    trust: Filled
    unsigned: Literal["refuse", "accept"] = "refuse"
    connections: Positive = 64
    in_flight: Positive = 64
    deadline_seconds: Seconds = 2.0
    node: tuple[KmsNode, ...] = ()


class KmsPeer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The KMS of another domain: where it is asked, what its certificate has to name, the key shared with it."""

    identity: Filled
    url: Annotated[str, Meta(pattern=r"^https://[^/\s]+$")]
    name: Filled
    psk_id: Filled
    credential: Credential


class KmsPeers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Between KMSs (RFC 6043 10). Without ``listen`` this one asks others, and is asked by none."""

    listen: Address | None = None
    certificate: Filled
    key: Credential
    ca: Filled
    crl: str = ""
    connections: Positive = 64
    deadline_seconds: Seconds = 3.0
    per_minute: Positive = 6_000
    peer: Annotated[tuple[KmsPeer, ...], Meta(min_length=1)]


class KmsTpk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ticket protection keys, in hours: a new one for new tickets, the longest ticket, how long an old one opens.

    ``keep_hours`` counts from the moment a key has a successor: until then, and no longer, intercepted calls under
    its tickets can be opened.
    """

    rotate_hours: Positive = 24
    ticket_hours: Positive = 24
    keep_hours: Positive = 720


class KmsCache(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Session keys of foreign tickets that own users resolved (TS 33.107 7A.7.3); in memory."""

    enabled: bool = False
    entries: Positive = 10_000
    max_age_seconds: Positive = 4 * 3600


class KmsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[kms]``: the key management service.

    ``identity`` is its name in MIKEY, ``element`` its name in warrants. ``store`` is a database sealed with the key
    in the file ``seal`` (32 octets in hexadecimal). ``lab_keys`` imports a KEYS.toml at start: laboratories only.
    """

    identity: Filled
    element: Filled
    store: Filled
    seal: Credential
    lab_keys: str = ""
    users: KmsUsers | None = None
    xk: KmsXk | None = None
    peers: KmsPeers | None = None
    tpk: KmsTpk = KmsTpk()
    cache: KmsCache = KmsCache()


class ServiceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[service]``: the process that a role runs in.

    ``lab``: keys from files of a laboratory and ``--record`` are allowed, the log of the LI plane may stand in the
    operator's. ``credentials``: folder of the secrets where no service manager hands them over
    (``$CREDENTIALS_DIRECTORY``). ``stop_seconds``: how long a role may take to stop.
    """

    lab: bool = False
    credentials: str = ""
    stop_seconds: Seconds = 10.0


class LogConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[log]``: where the two planes write, as a file or ``fd:N`` for an open descriptor.

    ``operator``: empty is standard error. ``li``: what concerns interception; empty only in a laboratory.
    """

    level: Literal["info", "warning", "error"] = "info"
    operator: Sink = ""
    li: Sink = ""


class OperatorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[operator]``: where metrics and health are asked.

    ``listen``: an address, where instance N listens N - 1 ports further up; or ``unix:`` and the path of a socket,
    which is one in ``$RUNTIME_DIRECTORY`` when it does not begin with a slash.
    """

    listen: Door = "127.0.0.1:9464"


class DaemonConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of ``midcall run``: the process, and one table a role."""

    service: ServiceConfig = ServiceConfig()
    log: LogConfig = LogConfig()
    operator: OperatorConfig = OperatorConfig()
    kms: KmsConfig | None = None


PROCESS = ("service", "log", "operator")
"""The tables that are no role's."""


def daemon(text: str, kind: type[D]) -> D:
    """Read the file of a daemon, as ``DaemonConfig`` or one with more roles; ConfigError names line and key."""
    found = read(text, kind)
    if not roles(found):
        raise ConfigError(0, "there is no role's table in it")
    if not found.log.li and not found.service.lab:
        raise ConfigError(line_of(text, "$.log"), "log.li: missing; only a laboratory (service.lab) does without")
    for path, name in _credentials(found, "$"):
        if "/" in name or name in (".", ".."):
            raise ConfigError(line_of(text, path), f"{named(path)}a path; secrets are given as names of credentials")
    if found.kms is not None:
        _check_kms(text, found.kms)
        if found.kms.lab_keys and not found.service.lab:
            raise ConfigError(line_of(text, "$.kms.lab_keys"), "kms.lab_keys: only in a laboratory (service.lab)")
    return found


def roles(config: DaemonConfig) -> tuple[str, ...]:
    """The roles whose tables are there."""
    names = (name for name in config.__struct_fields__ if name not in PROCESS)
    return tuple(name for name in names if getattr(config, name) is not None)


def placed(config: S, place: Callable[[str], str]) -> S:
    """The same, with the paths that ``place`` knows for the names of credentials."""
    changes: dict[str, Any] = {}
    for field in structs.fields(config):
        held = getattr(config, field.name)
        if isinstance(held, Struct):
            changes[field.name] = placed(held, place)
        elif isinstance(held, tuple):
            changes[field.name] = tuple(placed(each, place) if isinstance(each, Struct) else each for each in held)
        elif field.type == Credential:
            changes[field.name] = place(held)
    return structs.replace(config, **changes)


def _credentials(value: Struct, path: str) -> Iterator[tuple[str, str]]:
    """Path and name of every credential in it."""
    for field in structs.fields(value):
        held, here = getattr(value, field.name), f"{path}.{field.name}"
        if isinstance(held, Struct):
            yield from _credentials(held, here)
        elif isinstance(held, tuple):
            for number, each in enumerate(held):
                if isinstance(each, Struct):
                    yield from _credentials(each, f"{here}[{number}]")
        elif field.type == Credential:
            yield here, held


class _KmsFile(Struct, frozen=True, forbid_unknown_fields=True):
    kms: KmsConfig


def kms(text: str) -> KmsConfig:
    """Read a file with ``[kms]`` alone, whose secrets are paths; ConfigError names line and key."""
    found = read(text, _KmsFile).kms
    _check_kms(text, found)
    return found


def _check_kms(text: str, found: KmsConfig) -> None:
    if found.tpk.keep_hours < found.tpk.ticket_hours:
        raise ConfigError(line_of(text, "$.kms.tpk.keep_hours"), "kms.tpk.keep_hours: less than ticket_hours")
    if found.users is None and found.xk is None and found.peers is None:
        raise ConfigError(line_of(text, "$.kms"), "kms: neither users nor xk nor peers: nobody could ask it")
    if found.xk is not None and found.xk.node and found.xk.unsigned == "refuse":
        raise ConfigError(line_of(text, "$.kms.xk.node[0]"), "kms.xk.node: shows no warrant; needs unsigned = accept")


def address(text: str) -> tuple[str, int]:
    """Host and port of an ``Address``."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def replay(text: str) -> ReplayConfig:
    """Read the file of ``--config``; ConfigError names line and key."""
    config = read(text, ReplayConfig)
    hexadecimal(text, "$.network.correlation_key", config.network.correlation_key, KEY_OCTETS)
    for place, value in enumerate(config.profile.national):
        hexadecimal(text, f"$.profile.national[{place}]", value, range(1, 257))
    return config


def read(text: str, kind: type[T]) -> T:
    """A TOML file as a value of ``kind``; ConfigError names line and key, never a value."""
    if len(text) > MAX_OCTETS:
        raise ConfigError(0, f"longer than {MAX_OCTETS} characters")
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(error, text) from None
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        path = path.rstrip("`")
        unknown = re.search(r"unknown field `([^`]*)`", message)
        line = line_of(text, f"{path or '$'}.{unknown[1]}" if unknown else path)
        raise ConfigError(line, f"{named(path)}{message}") from None


def hexadecimal(text: str, path: str, value: str, octets: range | tuple[int, ...]) -> bytes:
    """A value written in hexadecimal; ConfigError when it is none or has another length than ``octets`` allows."""
    try:
        decoded = bytes.fromhex(value)
    except ValueError:
        raise ConfigError(line_of(text, path), f"{named(path)}not hexadecimal") from None
    if len(decoded) not in octets:
        allowed = f"{octets[0]} to {octets[-1]}" if isinstance(octets, range) else " or ".join(map(str, octets))
        raise ConfigError(line_of(text, path), f"{named(path)}{len(decoded)} octets, not {allowed}")
    return decoded


def _syntax(error: tomllib.TOMLDecodeError, text: str) -> ConfigError:
    found = re.search(r"\(at line (\d+), column \d+\)", str(error))
    reason = re.sub(r"\s*\(at [^)]*\)$", "", str(error))
    # The parser may quote the octet that it stumbled over, never a value.
    return ConfigError(int(found[1]) if found else max(len(text.splitlines()), 1), f"no TOML: {reason}")


def named(path: str) -> str:
    """`$.subscriber[1].psk` as `subscriber.psk: `."""
    name = re.sub(r"\[\d*\]|\[\.\.\.\]", "", path).removeprefix("$").lstrip(".")
    return f"{name}: " if name else ""


def line_of(text: str, path: str) -> int:
    """The line of the entry that a path names: the n-th table of that name, and the key in it; 0: none is found."""
    steps = re.findall(r"\.(\w+)(?:\[(\d+)\])?", path)
    best = 0
    for depth in range(len(steps), 0, -1):
        table = ".".join(name for name, _ in steps[:depth])
        wanted = int(steps[depth - 1][1] or 0)
        key = steps[depth][0] if depth < len(steps) else ""
        best = best or _in_table(text, table, wanted, key)
    return best or _in_table(text, "", 0, steps[0][0] if steps else "")


def _in_table(text: str, table: str, wanted: int, key: str) -> int:
    """The line of ``key`` in the table, or of the table's head."""
    inside, count, head = not table, 0 if not table else -1, 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped.partition("]")[0].strip("[ ") == table
            count += inside
            if inside and count == wanted:
                head = number
        elif inside and count == wanted and key and re.match(rf"{re.escape(key)}\s*=", stripped):
            return number
    return head
