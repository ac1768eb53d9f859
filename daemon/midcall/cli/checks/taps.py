"""What a tap needs: interfaces, rights or the door of who has them, users that may ask."""

from __future__ import annotations

import pwd
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from midcall.cli.checks.finding import Finding, good, mend, note
from midcall.config import TapConfig
from midcall.config.live_tables import MirrorTable, TapTable

NETWORK = Path("/sys/class/net")
PROC = Path("/proc")
_ETHERNET, _LOOPBACK = 1, 772
_RIGHTS = {"CAP_NET_RAW": 13, "CAP_BPF": 39}


def findings(name: str, table: Struct, lab: bool) -> Iterator[Finding]:
    """Those of one table."""
    if isinstance(table, TapTable | MirrorTable) and table.door:
        yield door(f"{name}.door", Path(table.door))
    elif isinstance(table, TapConfig | TapTable | MirrorTable):
        for each in table.interfaces:
            yield interface(f"{name}.interfaces", each)
        if lab:
            yield rights(f"{name}.interfaces", _effective())
        elif not isinstance(table, TapConfig):
            said = "its unit has no rights to interfaces"
            yield mend(f"{name}.interfaces", said, "name the door of the role tap instead")
    if isinstance(table, TapConfig):
        for each in dict.fromkeys((*table.media, *table.sip)):
            yield user(name, each)


def interface(name: str, interface: str) -> Finding:
    try:
        kind = int((NETWORK / interface / "type").read_text())
        state = (NETWORK / interface / "operstate").read_text().strip()
    except (OSError, ValueError):
        return mend(name, f"{interface}: there is none of that name", "ip link shows those that there are")
    if kind not in (_ETHERNET, _LOOPBACK):
        return mend(name, f"{interface}: is not Ethernet", "choose another one; a tap reads nothing else")
    if state == "down":
        return note(name, f"{interface}: is down", f"ip link set {interface} up")
    return good(name, f"{interface} is there")


def rights(name: str, effective: int) -> Finding:
    """Of who asks, for a role that opens a tap in a process of its own making."""
    missing = [each for each, bit in _RIGHTS.items() if not effective >> bit & 1]
    if missing:
        return mend(name, f"without {' and '.join(missing)}", "run it as root, or leave the tap to the role tap")
    return good(name, "with the rights to open it")


def _effective() -> int:
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", (PROC / "self/status").read_text(), re.MULTILINE)
    return int(found[1], 16) if found else 0


def _doors_above(path: Path) -> Iterable[Path]:
    """The folders that who asks has to come through."""
    return path.parents


def user(name: str, user: str) -> Finding:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return mend(name, f"there is no user {user}", "scripts/install makes those of the roles")
    return good(name, f"user {user} is there")


def door(name: str, path: Path) -> Finding:
    """Whether a tap is asked there. It is not asked: it would tell."""
    try:
        mode = path.stat().st_mode
        bound = (PROC / "net/unix").read_text()
    except OSError as error:
        return mend(name, f"{path}: {error.strerror}", "start the role tap of this host first")
    if not stat.S_ISSOCK(mode) or not any(line.endswith(f" {path}") for line in bound.splitlines()):
        return mend(name, f"{path}: nobody listens there", "start the role tap of this host first")
    shut = next((each for each in _doors_above(path) if not each.stat().st_mode & stat.S_IXOTH), None)
    if shut is not None:
        return mend(name, f"{shut}: other users may not enter it", f"chmod o+x {shut}")
    return good(name, "a tap is asked there")
