"""Networks for the tap's tests. Where the machine does not permit them tests are skipped; in CI that is a failure."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NoReturn, Protocol, TypeVar

import pytest

from midcall.base.tap import NotPermitted
from midcall.base.tap.ebpf import HashMap
from scripts import netns

Wire = tuple[netns.Namespace, netns.Namespace]


def unable(why: object) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"the tap cannot be tested here: {why}")
    pytest.skip(f"not permitted here: {why}")


@pytest.fixture(scope="session")
def bpf() -> None:
    """The bpf system call."""
    try:
        HashMap.create(4, 8, 1).close()
    except NotPermitted as why:
        unable(why)


@contextmanager
def networks() -> Iterator[Wire]:
    """Two network namespaces with a wire between: packets are sent on the left and tapped on the right."""
    with ExitStack() as opened:
        try:
            ends = opened.enter_context(netns.wire())
        except (OSError, subprocess.CalledProcessError) as why:
            unable(why)
        yield ends


@pytest.fixture
def wire(bpf: None) -> Iterator[Wire]:
    with networks() as ends:
        yield ends


class Closes(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closes)


@pytest.fixture
def keep() -> Iterator[Callable[[C], C]]:
    """``keep(thing)`` gives it back, and closes it after the test."""
    with ExitStack() as kept:

        def keeping(thing: C) -> C:
            kept.callback(thing.close)
            return thing

        yield keeping
