"""Foreign ASN.1 compilers over the modules of tests/data/asn1, and the modules that pycrate ships."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import asn1tools

MODULES = Path(__file__).parents[2] / "data" / "asn1"
FILES = ("LI-PS-PDU.asn", "EpsHI2Operations.asn", "VoIP-HI3-IMS.asn", "EpsAlias.asn")


@functools.cache
def asn1(codec: str = "der") -> Any:
    """PS-PDU and what it imports, by asn1tools."""
    return asn1tools.compile_files([str(MODULES / name) for name in FILES], codec)


@functools.cache
def asn1_33128(codec: str = "der") -> Any:
    """TS33128Payloads, by asn1tools."""
    return asn1tools.compile_files([str(MODULES / "TS33128Payloads.asn")], codec)


@functools.cache
def crate() -> ModuleType:
    """All of them, by pycrate's compiler."""
    from pycrate_asn1c.asnproc import compile_text, generate_modules
    from pycrate_asn1c.generator import PycrateGenerator

    texts = [(MODULES / name).read_text() for name in (*FILES, "TS33128Payloads.asn")]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile_text(texts)
            generate_modules(PycrateGenerator, str(Path(folder) / "hi_oracle.py"))
        spec = importlib.util.spec_from_file_location("hi_oracle", Path(folder) / "hi_oracle.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@functools.cache
def shipped() -> ModuleType:
    """EpsHI2Operations, VoIP-HI3-IMS and others in full, as pycrate ships them."""
    from pycrate_asn1dir import LI3GPP

    return LI3GPP


@functools.cache
def shipped_etsi() -> ModuleType:
    """HI1NotificationOperations in full, as pycrate ships it."""
    from pycrate_asn1dir import LIETSI

    return LIETSI


def crate_value(kind: Any, octets: bytes) -> Any:
    """What pycrate reads; all of the octets must be used."""
    kind.from_ber(octets)
    value = kind.get_val()
    assert kind.to_der() is not None
    return value
