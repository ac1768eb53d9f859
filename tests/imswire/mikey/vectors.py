"""The project's MIKEY-TICKET vectors: three complete exchanges with all values between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imswire import mikey
from imswire.mikey import exchange
from imswire.mikey import values as v
from imswire.mikey.exchange import SUITE_128, SUITE_256

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "mikey-ticket.json").read_text())


class Set:
    """One of the first two sets, by the names of the vectors."""

    def __init__(self, name: str) -> None:
        self.all = VECTORS[name]
        self.inputs = self.all["Inputs"]
        self.suite = SUITE_256 if name == "set2" else SUITE_128
        self.forked = "I" in self.all["flags set"]["text"].split(",")

    def __getitem__(self, name: str) -> Any:
        """A value by its name, wherever it stands."""
        for part in self.all.values():
            if isinstance(part, dict) and name in part:
                return _value(part[name])
        raise KeyError(name)

    def under(self, part: str, name: str) -> Any:
        return _value(self.all[part][name])

    def time(self, name: str) -> v.Timestamp:
        return v.Timestamp(0, self[f"T of {name}"])

    def csb(self, name: str) -> int:
        return int.from_bytes(self[f"CSB ID of Ticket {name}"], "big")

    @property
    def initiator(self) -> v.Idr:
        return exchange.uri(mikey.IdRole.INITIATOR, self["Identity_i"])

    @property
    def responder(self) -> v.Idr:
        return exchange.uri(mikey.IdRole.RESPONDER, self["Identity_r in TRANSFER_INIT / ticket"])

    @property
    def answering(self) -> v.Idr:
        return exchange.uri(mikey.IdRole.RESPONDER, self["Identity_r of the endpoint that answers"])

    @property
    def kms(self) -> v.Idr:
        return exchange.uri(mikey.IdRole.KMS, self["Identity_kms"])

    def session_keys(self) -> tuple[v.KeyData, ...]:
        salt = self["SALT"]
        kind = mikey.KeyType.TGK if salt is None else mikey.KeyType.TGK_SALT
        return (key(kind, self["TGK"], self["SPI/MKI of TGK"], salt or b""),)

    def mpk(self, name: str, value: bytes) -> v.KeyData:
        return key(mikey.KeyType.MPK, value, self[f"SPI of {name}"])

    @property
    def ticket(self) -> v.Ticket:
        return mikey.parse(self["REQUEST_RESP"]).need(v.Ticket)


def key(kind: mikey.KeyType, octets: bytes, spi: bytes, salt: bytes = b"") -> v.KeyData:
    return v.KeyData(kind, octets, salt, v.Validity(mikey.KvType.SPI, spi))


def _value(value: Any) -> Any:
    if isinstance(value, dict) and "text" in value:
        return value["text"]
    return bytes.fromhex(value) if isinstance(value, str) else value


SET1, SET2 = Set("set1"), Set("set2")
SETS = [SET1, SET2]
SET3 = {
    part: {n: _value(x) for n, x in values.items()}
    for part, values in VECTORS["set3"].items()
    if isinstance(values, dict) and "text" not in values
}


def every_message() -> dict[str, bytes]:
    """All messages of the three sets by a name of their own."""
    names = ("REQUEST_INIT_PSK", "REQUEST_RESP", "TRANSFER_INIT", "RESOLVE_INIT_PSK", "RESOLVE_RESP", "TRANSFER_RESP")
    messages = {f"{number}-{name}": each[name] for number, each in enumerate(SETS, 1) for name in names}
    for part, values in SET3.items():
        for name, octets in values.items():
            if name.startswith("TRANSFER_"):
                messages[f"3-{part}-{name}"] = octets
    return messages
