"""Octets of instructions, as RFC 9669 has them (here on a little-endian machine), and lines that are none."""

from __future__ import annotations

import sys

import pytest

from midcall.base.tap.assembler import AssemblyError, assemble

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the vectors are little-endian")

VECTORS = [
    (("mov", "r6", "r1"), "bf16000000000000"),
    (("mov", "r0", -1), "b7000000ffffffff"),
    (("add", "r2", "r7"), "0f72000000000000"),
    (("add", "r3", -12), "07030000f4ffffff"),
    (("and", "r0", 0x1FFF), "57000000ff1f0000"),
    (("lsh", "r8", 2), "6708000002000000"),
    (("rsh", "r0", 4), "7700000004000000"),
    (("stdw", "r10", -24, 0), "7a0ae8ff00000000"),
    (("sth", "r10", -6, "r1"), "6b1afaff00000000"),
    (("ldh", 12), "280000000c000000"),
    (("ldb", "r7", 9), "5070000009000000"),
    (("ldw", "r7", -2), "40700000feffffff"),
    (("xadd", "r0", 0, "r1"), "db10000000000000"),
    (("ldmap", "r1", 5), "18110000050000000000000000000000"),
    (("call", 26), "850000001a000000"),
    (("exit",), "9500000000000000"),
]


@pytest.mark.parametrize(("line", "octets"), VECTORS, ids=lambda value: str(value))
def test_an_instruction(line, octets):
    assert assemble([line]).hex() == octets


def test_jumps_count_instructions_from_the_one_behind_them():
    program = [
        "start:",
        ("jeq", "r0", 0x800, "end"),
        ("ldmap", "r1", 3),  # is two long
        ("jne", "r1", "r2", "start"),
        ("ja", "end"),
        "end:",
        ("exit",),
    ]
    octets = assemble(program)
    assert [octets[at : at + 8].hex() for at in (0, 24, 32)] == [
        "1500040000080000",
        "5d21fcff00000000",
        "0500000000000000",
    ]


@pytest.mark.parametrize(
    "program",
    [
        [("movv", "r0", 1)],
        [("mov", "r11", 1)],
        [("mov", "r01", 1)],
        [("mov", 0, 1)],
        [("mov", "r0")],
        [("mov", "r0", 1 << 31)],
        [("stb", "r10", 1 << 15, 0)],
        [("ja", "nowhere")],
        [("exit", 1)],
        [()],
        ["a:", "a:"],
        ["a"],
        [("ja", "far"), *([("exit",)] * 40_000), "far:", ("exit",)],
    ],
    ids=lambda program: str(program)[:30],
)
def test_what_is_no_program(program):
    with pytest.raises(AssemblyError):
        assemble(program)
