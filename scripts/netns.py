"""Network namespaces for tests and benchmarks: two of them with a wire between, far from the host's own network.

They have no names: the kernel takes them back when the last descriptor is closed, however the process ends. Needs
CAP_SYS_ADMIN, CAP_NET_ADMIN and iproute2.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

_NEW_NETWORK = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

ADDRESSES = (("192.0.2.1", "2001:db8::1"), ("192.0.2.2", "2001:db8::2"))
"""Of the two ends."""
INTERFACE = "wire"
"""What the wire is called at both ends."""


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Namespace:
    """One network namespace; owns its descriptor."""

    def __init__(self) -> None:
        """A new one with nothing but a loopback interface, which is up. PermissionError."""
        self._descriptor = _in_thread(_unshared)
        self.run("ip", "link", "set", "lo", "up")

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This thread, its new sockets and child processes are in the namespace meanwhile."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(self._descriptor, _NEW_NETWORK))
            try:
                yield
            finally:
                _check(_libc.setns(before, _NEW_NETWORK))
        finally:
            os.close(before)

    def run(self, *command: str) -> None:
        """A program in the namespace. CalledProcessError, FileNotFoundError."""
        with self.inside():
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - the caller's own words

    def close(self) -> None:
        os.close(self._descriptor)


@contextmanager
def wire() -> Iterator[tuple[Namespace, Namespace]]:
    """Two namespaces, and between them an Ethernet whose ends have ADDRESSES."""
    with ExitStack() as opened:
        ends = []
        for _ in ADDRESSES:
            ends.append(Namespace())
            opened.callback(ends[-1].close)
        left, right = ends
        left.run("ip", "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns", right.path)
        for end, (ipv4, ipv6) in zip(ends, ADDRESSES, strict=True):
            end.run("ip", "address", "add", f"{ipv4}/24", "dev", INTERFACE)
            end.run("ip", "address", "add", f"{ipv6}/64", "dev", INTERFACE, "nodad")
            end.run("ip", "link", "set", INTERFACE, "up")
        yield left, right


def _unshared() -> int:
    _check(_libc.unshare(_NEW_NETWORK))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _in_thread(work: Callable[[], int]) -> int:
    """The result of ``work`` in a thread of its own, which takes its changed namespace with it."""
    results: list[int | OSError] = []

    def run() -> None:
        try:
            results.append(work())
        except OSError as why:
            results.append(why)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result = results[0]
    if isinstance(result, OSError):
        raise result
    return result
