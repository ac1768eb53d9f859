"""The host: Python, packages, kernel, clock, randomness."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import re
import socket
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from midcall.cli.checks.finding import Finding, good, mend, note

PYTHON = (3, 11)
KERNEL = (5, 19)
"""Before, kernel.unprivileged_bpf_disabled keeps maps also from a process that was given one."""
OPTMEM = 131_072
"""Octets of socket options: room for a fixed filter of 168 addresses; Debian 12 gives 20 480."""
_TIME_ERROR, _UNSYNCHRONISED = 5, 0x40
_NAME = re.compile(r"[A-Za-z0-9._-]+")
PROC = Path("/proc/sys")


def findings() -> list[Finding]:
    return [
        python(sys.version_info[:3]),
        packages(metadata.requires("midcall") or ()),
        clock(*_adjtimex()),
        randomness(),
        kernel(platform.release()),
        packet_sockets(_packet_socket()),
        bpf(_number(PROC / "kernel/unprivileged_bpf_disabled")),
        option_memory(_number(PROC / "net/core/optmem_max")),
    ]


def python(version: tuple[int, ...]) -> Finding:
    text = ".".join(map(str, version))
    if version < PYTHON:
        return mend("Python", text, "3.11 or newer is needed")
    return good("Python", text)


def packages(required: Iterable[str]) -> Finding:
    """Whether what is needed at run time is there; exact versions where one is asked for."""
    wrong = []
    wanted = [each for each in required if "extra ==" not in each]
    for each in wanted:
        found = _NAME.match(each)
        name = found[0] if found else each
        exact = re.search(r"==\s*([^\s;,]+)", each)
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if exact and version != exact[1]:
            wrong.append(f"{name} {version} is not {exact[1]}")
    if wrong:
        return mend("packages", ", ".join(wrong), "install the locked ones of requirements/run.txt")
    return good("packages", f"{len(wanted)} there")


def clock(state: int, status: int) -> Finding:
    if state == _TIME_ERROR or status & _UNSYNCHRONISED:
        return mend("clock", "not synchronised", "run chrony or another NTP client: windows of time depend on it")
    return good("clock", "synchronised")


def _adjtimex() -> tuple[int, int]:
    """State and status of the kernel's clock (adjtimex(2)), of which nothing is changed."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(512)
    state = libc.adjtimex(timex)
    # modes, then three longs, then status; modes is padded to a long.
    place = 4 * ctypes.sizeof(ctypes.c_long) + ctypes.sizeof(ctypes.c_long)
    return state, ctypes.c_int.from_buffer(timex, place).value


def randomness() -> Finding:
    try:
        os.getrandom(32, os.GRND_NONBLOCK)
    except BlockingIOError:
        return mend("randomness", "the kernel's generator is not ready", "give the host a source, such as virtio-rng")
    return good("randomness", "ready")


def kernel(release: str) -> Finding:
    found = re.match(r"(\d+)\.(\d+)", release)
    if found is None or (int(found[1]), int(found[2])) < KERNEL:
        return note("kernel", release, "a tap that is given to another process needs 5.19 or newer")
    return good("kernel", release)


def _packet_socket() -> int:
    """The error of opening one; 0: none."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def packet_sockets(error: int) -> Finding:
    if error == errno.EPERM:
        return note("packet sockets", "not for this user", "a tap needs CAP_NET_RAW, which its unit gives")
    if error:
        return note("packet sockets", os.strerror(error), "a tap needs a kernel with CONFIG_PACKET")
    return good("packet sockets", "can be opened")


def bpf(unprivileged_disabled: int | None) -> Finding:
    if unprivileged_disabled is None:
        return note("bpf", "the kernel is without it", "a tap needs CONFIG_BPF_SYSCALL; other inputs do not")
    return good("bpf", "in the kernel")


def option_memory(octets: int | None) -> Finding:
    if octets is not None and octets < OPTMEM:
        advice = f"sysctl net.core.optmem_max={OPTMEM} where a tap has a fixed filter"
        return note("option memory of sockets", f"{octets} octets", advice)
    return good("option memory of sockets", f"{octets} octets" if octets else "as the kernel has it")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
