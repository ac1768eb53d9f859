"""Maps and programs in the kernel of this machine, and what is said where it refuses them."""

from __future__ import annotations

import errno

import pytest

from midcall.base.tap import MapFull, NotPermitted, ProgramRefused, TapError, ebpf
from midcall.base.tap.assembler import assemble
from midcall.base.tap.ebpf import HashMap, load_socket_filter


@pytest.fixture
def table(bpf):
    table = HashMap.create(4, 8, 3, "test")
    yield table
    table.close()


def test_entries_come_and_go(table):
    assert table.add(b"aaaa", b"11111111")
    assert not table.add(b"aaaa", b"22222222")
    assert table.get(b"aaaa") == b"11111111"
    table.put(b"aaaa", b"33333333")
    table.put(b"bbbb", b"44444444")
    assert dict(table.items()) == {b"aaaa": b"33333333", b"bbbb": b"44444444"}
    assert table.pop(b"aaaa") == b"33333333"
    assert table.pop(b"aaaa") is None
    assert table.delete(b"bbbb")
    assert not table.delete(b"bbbb")
    assert table.get(b"bbbb") is None
    assert list(table) == []


def test_a_full_map_says_so(table):
    for key in (b"aaaa", b"bbbb", b"cccc"):
        table.put(key, bytes(8))
    with pytest.raises(MapFull):
        table.add(b"dddd", bytes(8))
    table.put(b"aaaa", b"11111111")
    assert sorted(table) == [b"aaaa", b"bbbb", b"cccc"]


def test_sizes_are_those_of_the_map(table):
    for wrong in (b"aaa", b"aaaaa"):
        with pytest.raises(ValueError, match="key"):
            table.get(wrong)
    with pytest.raises(ValueError, match="value"):
        table.put(b"aaaa", b"1")
    table.close()
    table.close()
    with pytest.raises(TapError, match="closed"):
        table.get(b"aaaa")


def test_a_map_of_no_size_is_an_error(bpf):
    with pytest.raises(TapError, match="map"):
        HashMap.create(0, 8, 1)


def test_the_verifier_tells_why(bpf):
    with pytest.raises(ProgramRefused, match="R0 !read_ok") as refused:
        load_socket_filter(assemble([("exit",)]))
    assert "exit" in refused.value.log


@pytest.mark.parametrize(
    ("code", "missing"), [(errno.EPERM, "CAP_BPF"), (errno.ENOSYS, "CONFIG_BPF_SYSCALL")], ids=["EPERM", "ENOSYS"]
)
def test_what_is_missing_is_named(monkeypatch, code, missing):
    def refuse(command, attributes):
        raise OSError(code, "no")

    monkeypatch.setattr(ebpf, "_bpf", refuse)
    with pytest.raises(NotPermitted, match=missing):
        HashMap.create(4, 8, 1)
    with pytest.raises(NotPermitted, match=missing):
        load_socket_filter(assemble([("exit",)]))


def test_a_machine_whose_call_has_no_number_here(monkeypatch):
    monkeypatch.setattr(ebpf.platform, "machine", lambda: "vax")
    with pytest.raises(NotPermitted, match="bpf system call"):
        HashMap.create(4, 8, 1)
