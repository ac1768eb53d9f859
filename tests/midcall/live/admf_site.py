"""The ADMF of a site as a process of its own, and the four people who ask it."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from pathlib import Path

from imswire import x1
from midcall.admf import wire
from midcall.admf.roles import Command
from midcall.base import owner_only, tls
from midcall.base.lab_pki import LabPki, uri
from midcall.base.warrant import Revocation, Warrant, envelope
from midcall.base.x1_element.shell.client import X1Client
from midcall.cli.at_admf import Service
from midcall.cli.lab_process import LabRole
from midcall.cli.lab_site import ADMF, ELEMENTS, HOST, PERSONS, _free_ports
from tests.midcall.live.live_site import LiveSite, until

PEOPLE = {"lea": ("Lea", "administrator"), "first": (PERSONS[0], "approver"), "second": (PERSONS[1], "approver")}

_CONFIG = """\
[service]
lab = true
credentials = {pki}
[log]
li = {li}
[operator]
listen = "{host}:{operator}"
[admf]
admf = "admf"
seal = "seal"
store = {store}
trust = {trust}
reconcile_seconds = 1
{element}[admf.x1]
listen = "{host}:{reports}"
{own}[admf.people]
listen = "{host}:{people}"
per_minute = 6000
burst = 600
{own}{person}"""

_ELEMENT = """\
[[admf.element]]
role = "{role}"
ne = "{ne}"
element = "{element}"
url = "https://{host}:{port}"
{x2}"""

_PERSON = """\
[[admf.people.person]]
name = "{name}"
peer = "{peer}"
role = "{role}"
"""

_WARRANTS = """\
[warrants]
url = "https://{host}:{port}"
peers = ["{admf}"]
certificate = {certificate}
key = {key}
ca = {ca}
"""


class AdmfSite:
    """Of a site that runs; it has begun when this is made, and ends with the ``stack`` of the site."""

    def __init__(self, live: LiveSite) -> None:
        self.live, site = live, live.site
        LabPki(site.pki).make(tuple(PEOPLE))
        self.folder = live.folder / "admf"
        owner_only.make_folder(self.folder)
        self.operator, self.reports, self.people = _free_ports(3)
        self._write("admf.toml", self._config())
        for who in PEOPLE:
            self._write(f"{who}.toml", self._person(who))
        self.begin()

    def begin(self) -> None:
        """It begins, or begins anew."""
        role = LabRole(ADMF, self.folder / "admf.toml", self.folder / "li.log")
        self.role = self.live._stack.enter_context(role)
        self.role.wait()

    def kill(self) -> None:
        """As a crash does."""
        self.role.kill()

    def let_report(self, role: str) -> None:
        """POI or DF begins anew, and knows where to report."""
        path = self.live.site.folder / f"{role}.toml"
        url = f"https://{HOST}:{self.reports}"
        path.write_text(path.read_text().replace(f"[{role}.x1]\n", f'[{role}.x1]\nadmf_url = "{url}"\n'))
        self.live.kill(role)
        self.live.begin(role)

    # People

    def at(self, who: str) -> Service:
        return Service(self.folder / f"{who}.toml")

    def approved(self, signed: Warrant | Revocation) -> None:
        """Lea drafts it; the two approve what the ADMF shows them."""
        self.at("lea").draft(signed)
        for who, key in zip(("first", "second"), self.live.site._approvers, strict=True):
            found, read, seen = self.at(who).shown(signed.id)
            assert seen == signed and found.version == signed.version
            made = envelope.sign(read, key).signatures[-1]
            self.at(who).approve(signed, sha256(read.signed).hexdigest(), made)

    def warrant(self, identity: str, liid: str) -> Warrant:
        path, drafted = self.live.site.draft(identity, liid, self.live.lemf.address)
        path.unlink()
        return drafted

    def act(self, command: Command, identifier: str) -> None:
        self.at("lea").act(command, identifier)

    def status(self, identifier: str) -> str:
        rows = self.at("lea").ask(Command.LIST, wire.Nothing(), wire.Listed).warrants
        return next(each.status for each in rows if each.id == identifier)

    def until(self, identifier: str, status: str) -> None:
        until(lambda: self.status(identifier) == status, f"{identifier} is {status}")

    def alarms(self) -> list[str]:
        """Kinds of those that are, or were."""
        return [each.kind for each in self.at("lea").ask(Command.ALARMS, wire.Nothing(), wire.Alarmed).alarms]

    def held(self) -> list[str]:
        """XIDs of the tasks that POI and DF hold."""
        return asyncio.run(self._held())

    async def _held(self) -> list[str]:
        pki = self.live.site.pki
        own = tls.Identity(pki / f"{ADMF}.pem", pki / f"{ADMF}.key", pki / "ca.pem")
        context, found = tls.client_context(own, check_host=False), []
        for role in ("df", "poi"):
            client = X1Client(f"https://{HOST}:{self.live.site._ports[f'x1 {role}']}", context, ADMF, role)
            response = await client.ask(x1.ListAllDetailsRequest)
            await client.close()
            assert isinstance(response, x1.ListAllDetailsResponse)
            found += response.xids
        return found

    # Files

    def _config(self) -> str:
        site = self.live.site
        ports = site._ports
        elements = "".join(self._element(*each) for each in self._elements(ports))
        people = "".join(_PERSON.format(name=name, peer=uri(who), role=role) for who, (name, role) in PEOPLE.items())
        own = f'certificate = {_text(site.pki / "admf.pem")}\nkey = "admf.key"\nca = {_text(site.pki / "ca.pem")}\n'
        own += f"crl = {_text(site.pki / 'crl.pem')}\n"
        return _CONFIG.format(
            pki=_text(site.pki),
            li=_text(self.folder / "li.log"),
            host=HOST,
            operator=self.operator,
            store=_text(self.folder / "admf.db"),
            trust=_text(site.trust),
            element=elements,
            reports=self.reports,
            people=self.people,
            person=people,
            own=own,
        )

    def _elements(self, ports: dict[str, int]) -> list[tuple[str, str, int, int | None]]:
        """Role, identifier, port of X1; and of X2, where the element has to be given one."""
        return [("df", "df", ports["x1 df"], None), ("poi", "poi", ports["x1 poi"], ports["x2"])]

    def _element(self, role: str, ne: str, port: int, x2: int | None) -> str:
        given = "" if x2 is None else f'x2 = "{HOST}:{x2}"\n'
        return _ELEMENT.format(role=role, ne=ne, element=ELEMENTS[role], host=HOST, port=port, x2=given)

    def _person(self, who: str) -> str:
        pki = self.live.site.pki
        return _WARRANTS.format(
            host=HOST,
            port=self.people,
            admf=uri(ADMF),
            certificate=_text(pki / f"{who}.pem"),
            key=_text(pki / f"{who}.key"),
            ca=_text(pki / "ca.pem"),
        )

    def _write(self, name: str, text: str) -> None:
        owner_only.write(self.folder / name, text.encode())


def _text(path: Path) -> str:
    return json.dumps(str(path))
