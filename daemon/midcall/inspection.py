"""What inspect shows, as plain data: MIKEY messages field by field, and the dialogs of a capture as ladders."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from imswire import mikey, pcap, sdp, sip
from imswire.mikey import values as v
from imswire.mikey.numbers import PayloadType
from midcall.capture import FrameSorter
from midcall.events import SipSeen

MAX_DIALOGS = 10_000
MAX_MESSAGES = 500
MAX_ERRORS = 1_000
_NAMES: dict[str, type[Any]] = {
    "encr_alg": mikey.EncrAlg,
    "mac_alg": mikey.MacAlg,
    "auth_alg": mikey.MacAlg,
    "ts_type": mikey.TsType,
    "error_no": mikey.ErrorNo,
    "prf": mikey.PrfFunc,
    "map_type": mikey.MapType,
}


def mikey_message(octets: bytes) -> dict[str, Any]:
    """Header and payloads of a message with their offsets; MikeyError when it is none."""
    message = mikey.parse(octets)
    header = structs.asdict(message.header)
    header["sessions"] = [_session(number, each) for number, each in enumerate(message.header.sessions, 1)]
    header["csb_id"] = f"{message.header.csb_id:08x}"
    fields = {"data_type": mikey.type_name(header.pop("data_type")), **_named(header)}
    payloads = [{"offset": 0, "payload": "HDR", "fields": fields}]
    for placed in message.payloads:
        name = PayloadType(placed.payload_type).name
        payloads.append({"offset": placed.offset, "payload": name, "fields": _fields(placed.value)})
    return {"type": mikey.type_name(message.header.data_type), "octets": len(octets), "payloads": payloads}


def _session(number: int, session: v.CryptoSession) -> dict[str, Any]:
    if isinstance(session, v.SrtpSession):
        return {"cs_id": number, "policy": session.policy, "ssrc": f"{session.ssrc:08x}", "roc": session.roc}
    return {
        "cs_id": session.cs_id,
        "policies": list(session.policies),
        "ssrc": None if session.ssrc is None else f"{session.ssrc:08x}",
        "roc": session.roc,
        "spi": session.spi.hex(),
    }


def _fields(value: v.Payload) -> dict[str, Any]:
    if isinstance(value, v.TicketPolicy):
        return _policy(value)
    if isinstance(value, v.Ticket):
        return _policy(value.policy) | {
            "ticket_data": f"{len(value.ticket_data)} octets",
            "initiator_data": f"{len(value.initiator_data)} octets",
        }
    if isinstance(value, v.Kemac) and value.encr_alg == mikey.EncrAlg.NULL:
        # Not encrypted: what stands there may be keys.
        return _named({"encr_alg": 0, "encr_data": f"{len(value.encr_data)} octets", "mac_alg": value.mac_alg})
    if isinstance(value, v.Sp):
        params = {str(number): octets.hex() for number, octets in value.params}
        return {"policy": value.policy, "protocol": value.protocol, "params": params}
    return _named({name: _plain(each) for name, each in structs.asdict(value).items()})


def _policy(policy: v.TicketPolicy) -> dict[str, Any]:
    data = mikey.PolicyData.read(policy)
    return {
        "ticket_type": policy.ticket_type,
        "prf": policy.prf,
        "flags": str(policy.flags),
        "contradiction": mikey.contradiction(policy.flags),
        "kms": _identity(data.kms),
        "initiator": _identity(data.initiator),
        "responders": [_identity(each) for each in data.responders],
        "valid_from_unix_ns": None if data.start is None else data.start.unix_ns,
        "valid_to_unix_ns": None if data.end is None else data.end.unix_ns,
    }


def _identity(identity: v.Idr | None) -> str | None:
    return None if identity is None else _text(identity.data)


def _text(octets: bytes) -> str:
    text = octets.decode("utf-8", "replace")
    return text if text.isprintable() else octets.hex()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return _text(value) if value.startswith((b"sip:", b"sips:", b"tel:")) else value.hex()
    return value


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    """Numbers with their names where they have one."""
    for name, numbers in _NAMES.items():
        if name in fields:
            try:
                fields[name] = f"{fields[name]} ({numbers(fields[name]).name})"
            except ValueError:
                fields[name] = f"{fields[name]} (unknown)"
    return fields


class _Ladders:
    """Collects the messages of each Call-ID, within bounds."""

    def __init__(self) -> None:
        self.dialogs: dict[str, dict[str, Any]] = {}
        self.errors: list[dict[str, Any]] = []
        self.first: int | None = None
        self.unlisted = 0

    def fault(self, frame: int, reason: str) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append({"frame": frame, "reason": reason})

    def message(self, seen: SipSeen) -> None:
        try:
            message = sip.parse(seen.octets)
            call_id = message.call_id
            dialog = self.dialogs.get(call_id)
            if dialog is None:
                if len(self.dialogs) >= MAX_DIALOGS:
                    self.unlisted += 1
                    return
                dialog = {
                    "call_id": call_id,
                    "from": message.from_.uri,
                    "to": message.to.uri,
                    "messages": [],
                    "more": 0,
                }
                self.dialogs[call_id] = dialog
            if len(dialog["messages"]) >= MAX_MESSAGES:
                dialog["more"] += 1
                return
            dialog["messages"].append(self._line(message, seen))
        except sip.SipError as error:
            self.fault(seen.frame, f"SIP: {error}")

    def _line(self, message: sip.SipMessage, seen: SipSeen) -> dict[str, Any]:
        what = message.method if message.is_request else f"{message.status} {message.reason} ({message.method})"
        assert self.first is not None
        return {
            "frame": seen.frame,
            "seconds": (seen.at.wall - self.first) / 1e9,
            "source": seen.source,
            "destination": seen.destination,
            "what": what,
            "mikey": self._mikey(message, seen.frame),
        }

    def _mikey(self, message: sip.SipMessage, frame: int) -> list[str]:
        body = message.sdp
        if body is None:
            return []
        try:
            lines = sdp.parse(body).media
        except sdp.SdpError as error:
            self.fault(frame, f"SDP: {error}")
            return []
        carried: dict[str, None] = {}
        for line in lines:
            for attribute in line.key_mgmt:
                if attribute.protocol == "mikey":
                    carried.setdefault(self._one(attribute, line.index, frame))
        return list(carried)

    def _one(self, attribute: sdp.KeyMgmt, line: int, frame: int) -> str:
        where = "session" if attribute.level == "session" else f"m-line {line + 1}"
        try:
            if attribute.error:
                raise mikey.MikeyError("key-mgmt", attribute.error)
            message = mikey.parse(attribute.data)
        except mikey.MikeyError as error:
            self.fault(frame, f"MIKEY: {error}")
            return f"{where}: unreadable"
        ticket = message.first(v.Ticket)
        flags = "" if ticket is None else f", ticket flags {ticket.policy.flags}"
        header = message.header
        sessions = len(header.sessions)
        return f"{where}: {mikey.type_name(header.data_type)}, CSB {header.csb_id:08x}, {sessions} sessions{flags}"


def capture_dialogs(reader: pcap.Reader) -> dict[str, Any]:
    """The dialogs of a capture by Call-ID, in order of appearance, with what MIKEY their messages carry."""
    ladders = _Ladders()
    sorter = FrameSorter(reader.link_type)
    frame, time = 0, 0
    try:
        for batch in reader.batches():
            for time, octets, _ in batch:
                frame += 1
                if ladders.first is None:
                    ladders.first = time
                for found in sorter.sort(time, octets, frame):
                    if isinstance(found, SipSeen):
                        ladders.message(found)
    except pcap.PcapError as error:
        ladders.fault(frame, f"the capture ends here: {error}")
    for found in sorter.finish(time, frame):
        if isinstance(found, SipSeen):
            ladders.message(found)
    return {
        "frames": frame,
        "dialogs": list(ladders.dialogs.values()),
        "unlisted_dialogs": ladders.unlisted,
        "errors": ladders.errors,
    }
