"""A small assembler for eBPF (RFC 9669): lines to octets, in the byte order of this machine.

A line is a label, ``"name:"``, or a tuple of a mnemonic and its operands: registers ``"r0"`` to ``"r10"``, numbers,
and, with jumps, the name of a label last. ``r10`` points behind the stack.

====================================  ==================================================================
``("mov", dst, src or number)``       likewise ``add``, ``and``, ``lsh``, ``rsh``, on 64 bits
``("stb", base, offset, src or n)``   memory at base + offset; ``sth``, ``stw``, ``stdw`` for 2, 4, 8 octets
``("xadd", base, offset, src)``       adds to 8 octets of memory, atomically
``("ldb", offset)``                   r0 = octet of the packet; ``ldh``, ``ldw`` for 2 and 4 in network order.
``("ldb", src, offset)``              The program ends with 0 when the packet is shorter. r1 to r5 are lost, r6 is
                                      the context (RFC 9669 5.5, legacy instructions)
``("ldmap", dst, descriptor)``        the address of a map
``("jeq", dst, src or number, to)``   likewise ``jne``, ``jgt``, ``jge``, ``jlt``, ``jset``
``("ja", to)``  ``("call", n)``       ``("exit",)``
====================================  ==================================================================
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from struct import Struct, error

Line = str | tuple[str | int, ...]

INSTRUCTION_OCTETS = 8
_INSTRUCTION = Struct("=BBhi").pack
_FROM_REGISTER = 0x08
_ARITHMETIC = {"mov": 0xB7, "add": 0x07, "and": 0x57, "lsh": 0x67, "rsh": 0x77}
_JUMPS = {"jeq": 0x15, "jgt": 0x25, "jge": 0x35, "jset": 0x45, "jne": 0x55, "jlt": 0xA5}
_STORES = {"stw": 0x62, "sth": 0x6A, "stb": 0x72, "stdw": 0x7A}
_STORE_FROM_REGISTER = 0x01
_PACKET = {"ldw": 0x20, "ldh": 0x28, "ldb": 0x30}
_INDIRECT = 0x20
_XADD, _LOAD_WIDE, _ALWAYS, _CALL, _EXIT = 0xDB, 0x18, 0x05, 0x85, 0x95
_MAP_DESCRIPTOR = 1
"""In the place of the source register: the number is the descriptor of a map (RFC 9669 5.4.1)."""
_LITTLE = sys.byteorder == "little"


class AssemblyError(ValueError):
    """A line that is no instruction; the message quotes it."""


def assemble(lines: Iterable[Line]) -> bytes:
    """The program. AssemblyError: an unknown mnemonic, label or operand, or one that does not fit."""
    program: list[tuple[str | int, ...]] = []
    labels: dict[str, int] = {}
    at = 0
    for line in lines:
        if isinstance(line, str):
            name = line.removesuffix(":")
            if name == line or name in labels:
                raise AssemblyError(f"label {line!r}: the form is 'name:', and each stands once")
            labels[name] = at
        else:
            program.append(line)
            at += _slots(line)
    octets = bytearray()
    for line in program:
        try:
            octets += _encode(line, labels, len(octets) // INSTRUCTION_OCTETS)
        except (KeyError, IndexError, ValueError, TypeError, error) as why:
            raise AssemblyError(f"{line!r}: {why!r}") from None
    return bytes(octets)


def _slots(line: tuple[str | int, ...]) -> int:
    return 2 if line[:1] == ("ldmap",) else 1


def _encode(line: tuple[str | int, ...], labels: dict[str, int], at: int) -> bytes:
    name, operands = str(line[0]), line[1:]
    if name in _ARITHMETIC:
        dst, value = operands
        return _with_source(_ARITHMETIC[name], _FROM_REGISTER, dst, 0, value)
    if name in _JUMPS:
        dst, value, label = operands
        return _with_source(_JUMPS[name], _FROM_REGISTER, dst, labels[str(label)] - at - 1, value)
    if name in _STORES:
        base, offset, value = operands
        return _with_source(_STORES[name], _STORE_FROM_REGISTER, base, int(offset), value)
    if name in _PACKET:
        if len(operands) == 1:
            return _octets(_PACKET[name], 0, 0, 0, int(operands[0]))
        index, offset = operands
        return _octets(_PACKET[name] + _INDIRECT, 0, _register(index), 0, int(offset))
    if name == "xadd":
        base, offset, src = operands
        return _octets(_XADD, _register(base), _register(src), int(offset), 0)
    if name == "ldmap":
        dst, descriptor = operands
        return _octets(_LOAD_WIDE, _register(dst), _MAP_DESCRIPTOR, 0, int(descriptor)) + bytes(INSTRUCTION_OCTETS)
    if name == "ja":
        (label,) = operands
        return _octets(_ALWAYS, 0, 0, labels[str(label)] - at - 1, 0)
    if name == "call":
        (number,) = operands
        return _octets(_CALL, 0, 0, 0, int(number))
    if name == "exit" and not operands:
        return _octets(_EXIT, 0, 0, 0, 0)
    raise ValueError("no such instruction")


def _with_source(code: int, from_register: int, dst: str | int, offset: int, value: str | int) -> bytes:
    if isinstance(value, str):
        return _octets(code | from_register, _register(dst), _register(value), offset, 0)
    return _octets(code, _register(dst), 0, offset, value)


def _octets(code: int, dst: int, src: int, offset: int, number: int) -> bytes:
    registers = src << 4 | dst if _LITTLE else dst << 4 | src
    return _INSTRUCTION(code, registers, offset, number)


def _register(name: str | int) -> int:
    number = int(str(name).removeprefix("r"))
    if name != f"r{number}" or not 0 <= number <= 10:
        raise ValueError("no register")
    return number
