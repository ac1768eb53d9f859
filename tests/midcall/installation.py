"""An installation under a folder, from the files of config/, with certificates and secrets of a laboratory."""

from __future__ import annotations

import getpass
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from midcall import config
from midcall.base.lab_pki import LabPki
from midcall.cli.warrant import trust_entry
from midcall.config import DaemonConfig

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "config").glob("*.toml"))
ROLES = tuple(path.stem for path in SHIPPED if path.stem != "midcall")
CERTIFICATES = {"poi": "poi-1", "df": "df-1", "kms": "kms", "admf": "admf-1"}
"""The identifiers on X1 that the files give, to which certificates have to be bound."""


def decided(text: str) -> str:
    """A file with what it leaves to its operator: the national option."""
    return re.sub(r"^# (keep|max_age_hours) = ", r"\1 = ", text, flags=re.MULTILINE)


class Installation:
    """As scripts/install and docs/how-to/install.md lay it out; what is absolute lies in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pki = LabPki(folder / "pki")
        pki.make(tuple(CERTIFICATES.values()))
        self.etc = folder / "etc/midcall"
        for name in ("tls", "trust", "credentials"):
            (self.etc / name).mkdir(parents=True)
        for name in ("li-ca", "agencies-ca", "agents-ca"):
            (self.etc / f"tls/{name}.pem").write_bytes((folder / "pki/ca.pem").read_bytes())
            (self.etc / f"tls/{name}.crl").write_bytes((folder / "pki/crl.pem").read_bytes())
        for role in ROLES:
            self._role(role)
        for name in ("df/spool", "df-keys"):
            (folder / "var/lib/midcall" / name).mkdir()

    def file(self, role: str) -> Path:
        return self.etc / f"{role}.toml"

    def config(self, role: str) -> DaemonConfig:
        return config.daemon(self.file(role).read_text(), DaemonConfig)

    def edit(self, role: str, *changes: tuple[str, str]) -> None:
        text = self.file(role).read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.file(role).write_text(text)

    def secrets(self, role: str) -> Path:
        return self.etc / "credentials" / role

    def handed_over(self, role: str) -> Path:
        """What a service manager makes of the folder of secrets."""
        folder = self.folder / "handed over" / role
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        for path in self.secrets(role).iterdir():
            (folder / f"{role}_{path.name}").write_bytes(path.read_bytes())
            (folder / f"{role}_{path.name}").chmod(0o600)
        return folder

    def second(self, role: str, name: str, identifier: str) -> None:
        """Certificate and secrets of an instance with a name; ``identifier``: what its certificate is bound to."""
        LabPki(self.folder / "pki").make((identifier,))
        own = self.folder / "pki" / identifier
        (self.etc / f"tls/{role}-{name}.pem").write_bytes(own.with_suffix(".pem").read_bytes())
        for path in list(self.secrets(role).iterdir()):
            self._write(self.secrets(role) / f"{name}_{path.name}", path.read_text())
        self._write(self.secrets(role) / f"{name}_tls.key", own.with_suffix(".key").read_text())

    def _role(self, role: str) -> None:
        text = decided((ROOT / f"config/{role}.toml").read_text())
        # Ports that nobody has, an interface and a user that every host has.
        text = re.sub(r'^((?:listen|address) = )"[^"]+:\d+"', r'\1"127.0.0.1:0"', text, flags=re.MULTILINE)
        text = text.replace('"eth1"', '"lo"')
        text = re.sub(r'"midcall-[a-z]+"', f'"{getpass.getuser()}"', text)
        text = re.sub(r'"(/(?:etc|var|run)/)', rf'"{self.folder}\1', text)
        self.file(role).write_text(text)
        for path in re.findall(r'"(/[^"]+/(?:var|run)/[^"]+)"', text):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.secrets(role).mkdir(mode=0o700)
        for name in set(re.findall(rf'"{role}_([^"]+)"', text)):
            if name == "heads.key":
                self._write(self.secrets(role) / name, (self.folder / "pki/heads.key").read_text())
            elif name != "tls.key":
                self._write(self.secrets(role) / name, secrets.token_hex(32))
        if role in CERTIFICATES:
            own = self.folder / "pki" / CERTIFICATES[role]
            (self.etc / f"tls/{role}.pem").write_bytes(own.with_suffix(".pem").read_bytes())
            self._write(self.secrets(role) / "tls.key", own.with_suffix(".key").read_text())
            (self.etc / f"trust/{role}.toml").write_text(trust_list())
            (self.etc / f"trust/{role}.toml").chmod(0o644)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)


def trust_list() -> str:
    begins = datetime.now(UTC).replace(microsecond=0)
    ends = begins + timedelta(days=1)
    entries = [
        trust_entry(each, Ed25519PrivateKey.generate().public_key(), begins, ends)
        for each in ("Ann Example", "Ben Example")
    ]
    return "\n".join(["max_days = 7", *entries, ""])
