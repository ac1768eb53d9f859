"""A site on loopback for demo and tests: secrets, a trust list, the configurations of KMS, POI and DF, a warrant."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pwd
import secrets
import socket
import ssl
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from imswire import inet
from midcall.admf.plan import At
from midcall.base import owner_only, tls
from midcall.base.lab_pki import LabPki, uri
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.base.warrant import envelope, value
from midcall.base.x2_link import TlsPeer
from midcall.cli import activate, drafting, secret
from midcall.cli.lab_process import LabRole
from midcall.cli.lab_x3 import X3Node
from midcall.cli.warrant import trust_entry
from midcall.ue import lab
from midcall.ue.shell.kms import KmsAccess

HOST = "127.0.0.1"
ADMF = "admf"
MEDIA_NODE = "media"
ROLES = ("kms", "df", "poi")
"""In the order in which they begin; they end the other way round, so that each still has where to send to."""
AUDIT = "audit"
"""Begins before all of them, where there is one."""
CSCF = "cscf"
"""The proxy of the users, behind all of them."""
USERS = "127.0.1.0/24"
"""Where the users are, who have no passwords here."""
DOMAIN = "example.com"
SOCKET_OCTETS = 107
"""Of the path of a Unix socket."""
ELEMENTS = {"kms": "kms-1", "poi": "poi-1", "df": "df-1"}
"""Their names in warrants."""
PERSONS = ("first approver", "second approver")
SECRET_OCTETS = 32
DAYS = 7

_TEMPLATE = """\
country = "XX"
agency = "agency of the laboratory"
services = ["voice", "messaging"]
scope = "iri+cc"
keys = "{keys}"
location = false
start = {start}
end = {end}
elements = {elements}

[order]
authority = "court of the laboratory"
reference = "1 LAB 1"
sha256 = "{order}"

[[target]]
liid = "{liid}"
identity = {identity}

[[destination]]
host = "{host}"
port = {port}
certificate = "{certificate}"
"""

_PROCESS = """\
[service]
lab = true
credentials = {pki}
[log]
li = {li}
[operator]
listen = "{host}:{operator}"
"""

_KMS = """\
[kms]
identity = "{identity}"
element = "{element}"
store = {store}
seal = "seal"
lab_keys = {keys}
[kms.users]
listen = "{host}:{users}"
certificate = {certificate}
key = "kms.key"
per_address_burst = 1000  # all users of the laboratory have one address
[kms.xk]
listen = "{host}:{xk}"
{own}clients = ["{df}"]
trust = {trust}
"""

_POI = """\
[poi]
nfid = "{element}"
ipid = "sip-1"
identity_key = "identity"
correlation_key = "correlation"
seal = "seal"
cache = {cache}
[poi.tickets]
keep = true
max_age_hours = 1
{x1}[poi.x2]
to = "{host}:{x2}"
peers = ["{df}"]
journal = {journal}
{own}[poi.hep]
udp = "{host}:{hep}"
[[poi.hep.agent]]
address = "{host}"
key = "agent"
"""

_COPIES = """\
[poi.copies]
socket = {copies}
"""

_CSCF = """\
[cscf]
domains = ["{domain}"]
seal = "seal"
[[cscf.listen]]
transport = "udp"
address = "{host}:{port}"
[[cscf.peer]]
network = "{users}"
trusted = true
[cscf.copies]
to = [{copies}]
"""

_DF = """\
[df]
seal = "seal"
signing_key = "integrity.key"
spool = {spool}
keys = {keys}
[df.network]
operator = "midcall-lab"
element = "{element}"
country = "XX"
[df.profile]
hi1 = true
[df.agency]
{own}{x1}[df.x2]
listen = "{host}:{x2}"
peers = {peers}
{own}[df.kms]
url = "https://{host}:{xk}"
peers = ["{kms}"]
{own}"""

_TAP = '[df.tap]\ninterfaces = ["{interface}"]\n'
_BEHIND_DOOR = "[df.tap]\ndoor = {door}\n"
_DOOR = """\
[tap]
interfaces = ["{interface}"]
door = {door}
media = ["{user}"]
"""

_AUDIT = """\
[audit]
store = {store}
key = "heads.key"
socket = {socket}
anchors = [{anchor}]
anchor_seconds = 1
look_seconds = 1
{writers}"""
_AUDITED = """\
[{role}.audit]
socket = {socket}
salt = "salt"
"""

_X1 = """\
[{role}.x1]
ne = "{role}"
element = "{element}"
admf = "{admf}"
listen = "{host}:{port}"
store = {store}
trust = {trust}
{own}"""


class LabSite:
    """Files of a site in ``folder``, certificates and secrets in ``pki``; ``keys`` is the KEYS.toml of its KMS.

    Each role is a process of ``midcall run``. With ``tap`` the DF takes media from ``interface``, without it by X3
    from the laboratory's media node; with ``door`` it has its tap from the role ``tap``. With ``audit`` there is one to
    which all of them write; with ``proxy`` one for the users, at ``self.proxy``.
    """

    def __init__(
        self,
        folder: Path,
        pki: Path,
        keys: Path,
        *,
        tap: bool = True,
        interface: str = "lo",
        door: bool = False,
        audit: bool = False,
        proxy: bool = False,
    ) -> None:
        """Draw secrets and ports, and write everything down. OSError."""
        self.folder, self.pki = folder.absolute(), pki.absolute()
        self.trust = self.folder / "trust.toml"
        owner_only.make_folder(self.folder)
        LabPki(self.pki).make((*ROLES, ADMF, MEDIA_NODE, "lemf"))
        for name in ("seal", "identity", "correlation", "salt"):
            self._secret(name)
        self.agent = self._secret("agent")
        self._approvers = [Ed25519PrivateKey.generate() for _ in PERSONS]
        names = ["users", "xk", "x2", "hep", "sip", "operator tap", f"operator {AUDIT}", f"operator {CSCF}"]
        names += [f"{kind} {role}" for kind in ("x1", "operator") for role in ROLES]
        self._ports = dict(zip(names, _free_ports(len(names)), strict=True))
        self.hep = self._ports["hep"]
        self.proxy = inet.pack(HOST), self._ports["sip"]
        begins = datetime.now(UTC).replace(microsecond=0)
        entries = [
            trust_entry(person, each.public_key(), begins, begins + timedelta(days=DAYS))
            for person, each in zip(PERSONS, self._approvers, strict=True)
        ]
        _write(self.trust, "\n".join([f"max_days = {2 * DAYS}", *entries, ""]))
        own, place = pwd.getpwuid(os.getuid()).pw_name, self._file("tap")
        media = _BEHIND_DOOR.format(door=place) if door else _TAP.format(interface=interface) if tap else ""
        texts = {"kms": self._kms(keys.absolute()), "poi": self._poi(), "df": self._df(media)}
        if audit:
            texts = {role: text + self._audited(role) for role, text in texts.items()}
            texts[AUDIT] = self._audit()
        if proxy:
            texts["poi"] += _COPIES.format(copies=self._copies())
            texts[CSCF] = self._cscf()
        texts["tap"] = _DOOR.format(interface=interface, door=place, user=own)
        for role, text in texts.items():
            _write(self.folder / f"{role}.toml", self._process(role) + text)

    def role(self, role: str, record: Path | None = None) -> LabRole:
        """The process of a role; ``record``: where it writes down what it is given."""
        return LabRole(role, self.folder / f"{role}.toml", self.li_log(role), record)

    @property
    def audit_log(self) -> Path:
        """The folder of the audit's log; its public key is ``heads.pub`` of the certificates'."""
        return self.folder / AUDIT

    @property
    def anchor(self) -> Path:
        """Where the heads of the audit are kept."""
        return self.folder / "anchor"

    def operator(self, role: str) -> int:
        """The port where a role's metrics are asked for."""
        return self._ports[f"operator {role}"]

    def li_log(self, role: str) -> Path:
        """What a role says of interception."""
        return self.folder / f"{role}-li.log"

    def kms(self) -> KmsAccess:
        """The KMS as users ask it."""
        return KmsAccess(HOST, self._ports["users"], self.pki / "ca.pem")

    # Warrants

    def draft(self, identity: str, liid: str, lemf: str, keys: str = "decrypt") -> tuple[Path, value.Warrant]:
        """A warrant from now on, for product to go to the LEMF at that address; nobody has approved it yet.

        ``keys``: its keys mode.
        """
        template = self.folder / "warrant.toml"
        host, _, port = lemf.rpartition(":")
        certificate = ssl.PEM_cert_to_DER_cert((self.pki / "lemf.pem").read_text())
        begins = datetime.now(UTC).replace(microsecond=0)
        text = _TEMPLATE.format(
            start=value.as_moment(begins),
            end=value.as_moment(begins + timedelta(days=DAYS)),
            elements=json.dumps(list(ELEMENTS.values())),
            order=hashlib.sha256(b"the order").hexdigest(),
            liid=liid,
            keys=keys,
            identity=json.dumps(identity),
            host=host,
            port=port,
            certificate=hashlib.sha256(certificate).hexdigest(),
        )
        _write(template, text)
        drafted = drafting.warrant(template, None, None)
        path = self.folder / "warrant.json"
        secret.write_new(path, envelope.write(envelope.draft(value.encode(drafted))))
        return path, drafted

    def approve(self, path: Path) -> tuple[str, ...]:
        """Both persons sign; returns the identifiers of their keys."""
        signed = envelope.read(path.read_bytes())
        for key in self._approvers:
            signed = envelope.sign(signed, key)
        secret.replace(path, envelope.write(signed))
        return tuple(envelope.key_id(key.public_key()) for key in self._approvers)

    def order(self, path: Path) -> activate.Order:
        """What ``midcall warrant activate`` makes of a warrant for this site: the DF, then the POI."""
        elements = tuple(At(role, role, f"https://{HOST}:{self._ports[f'x1 {role}']}") for role in ("df", "poi"))
        own = tls.Identity(self.pki / f"{ADMF}.pem", self.pki / f"{ADMF}.key", self.pki / "ca.pem")
        return activate.order(path, elements, f"{HOST}:{self._ports['x2']}", own, ADMF)

    def media_node(self, xid: str) -> X3Node:
        """The media node, for the packets of a task."""
        own = tls.Identity(self.pki / f"{MEDIA_NODE}.pem", self.pki / f"{MEDIA_NODE}.key", self.pki / "ca.pem")
        end = TlsEnd.client(own, PeerName(uri("df")))
        return X3Node(TlsPeer(HOST, self._ports["x2"], end), xid)

    # Configurations

    def _process(self, role: str) -> str:
        operator = self._ports[f"operator {role}"]
        return _PROCESS.format(pki=_text(self.pki), li=_text(self.li_log(role)), host=HOST, operator=operator)

    def _kms(self, keys: Path) -> str:
        return _KMS.format(
            identity=lab.KMS_IDENTITY,
            element=ELEMENTS["kms"],
            store=self._file("kms.db"),
            keys=_text(keys),
            host=HOST,
            users=self._ports["users"],
            certificate=_text(self.pki / "kms.pem"),
            xk=self._ports["xk"],
            own=self._own("kms"),
            df=uri("df"),
            trust=_text(self.trust),
        )

    def _poi(self) -> str:
        return _POI.format(
            element=ELEMENTS["poi"],
            cache=self._file("cache.db"),
            x1=self._x1("poi"),
            host=HOST,
            x2=self._ports["x2"],
            df=uri("df"),
            journal=self._file("x2.db"),
            own=self._own("poi"),
            hep=self.hep,
        )

    def _cscf(self) -> str:
        port = self._ports["sip"]
        return _CSCF.format(domain=DOMAIN, host=HOST, port=port, users=USERS, copies=self._copies())

    def _copies(self) -> str:
        """The socket between proxy and POI. OSError: nobody could open it."""
        path = self.folder / "copies"
        if len(os.fsencode(path)) > SOCKET_OCTETS:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
        return _text(path)

    def _df(self, tap: str) -> str:
        text = _DF.format(
            spool=self._file("spool"),
            keys=self._file("spool-keys"),
            element=ELEMENTS["df"],
            own=self._own("df"),
            x1=self._x1("df"),
            host=HOST,
            x2=self._ports["x2"],
            peers=json.dumps([uri("poi")] if tap else [uri("poi"), uri(MEDIA_NODE)]),
            xk=self._ports["xk"],
            kms=uri("kms"),
        )
        return text + tap

    def _audit(self) -> str:
        writers = "".join(f'[[audit.writer]]\nrole = "{role}"\n' for role in ROLES)
        return _AUDIT.format(
            store=_text(self.audit_log), socket=self._file("door"), anchor=_text(self.anchor), writers=writers
        )

    def _audited(self, role: str) -> str:
        return _AUDITED.format(role=role, socket=self._file("door"))

    def _x1(self, role: str) -> str:
        return _X1.format(
            role=role,
            element=ELEMENTS[role],
            admf=ADMF,
            host=HOST,
            port=self._ports[f"x1 {role}"],
            store=self._file(f"{role}-x1.db"),
            trust=_text(self.trust),
            own=self._own(role),
        )

    def _own(self, role: str) -> str:
        certificate, ca, crl = (_text(self.pki / f"{name}.pem") for name in (role, "ca", "crl"))
        return f'certificate = {certificate}\nkey = "{role}.key"\nca = {ca}\ncrl = {crl}\n'

    def _file(self, name: str) -> str:
        return _text(self.folder / name)

    def _secret(self, name: str) -> bytes:
        octets = secrets.token_bytes(SECRET_OCTETS)
        _write(self.pki / name, octets.hex())
        return octets


def _write(path: Path, text: str) -> None:
    owner_only.write(path, text.encode())


def _text(path: Path) -> str:
    """A path as a TOML string."""
    return json.dumps(str(path), ensure_ascii=False)


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has at the moment."""
    with ExitStack() as bound:
        found = [bound.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in found]
