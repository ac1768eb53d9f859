"""The dialogs of a capture as ladders: who sent what to whom and when, and what MIKEY it carried."""

from __future__ import annotations

from typing import Any

from imswire import mikey, pcap, sdp, sip
from imswire.mikey import values as v
from imswire.mikey.numbers import PayloadType
from midcall.base.capture import FrameSorter
from midcall.events import SipSeen
from midcall.inspection.message import missing

MAX_DIALOGS = 10_000
MAX_MESSAGES = 500
MAX_ERRORS = 1_000


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
            "keys": self._keys(message, seen.frame),
        }

    def _keys(self, message: sip.SipMessage, frame: int) -> list[dict[str, Any]]:
        """What keys the media of a description: MIKEY messages, and that there are security descriptions."""
        body = message.sdp
        if body is None:
            return []
        try:
            lines = sdp.parse(body).media
        except sdp.SdpError as error:
            self.fault(frame, f"SDP: {error}")
            return []
        found: dict[tuple[str, bytes], dict[str, Any]] = {}
        for line in lines:
            place = f"m-line {line.index + 1}"
            for attribute in line.key_mgmt:
                where = "session" if attribute.level == "session" else place
                if attribute.protocol == "mikey" and (where, attribute.data) not in found:
                    found[where, attribute.data] = {"at": where} | self._mikey(attribute, frame)
            suites = [crypto.suite for crypto in line.crypto]
            if suites:
                found[place, b"a=crypto"] = {"at": place, "type": "SDES", "suites": suites}
        return list(found.values())

    def _mikey(self, attribute: sdp.KeyMgmt, frame: int) -> dict[str, Any]:
        try:
            if attribute.error:
                raise mikey.MikeyError("key-mgmt", attribute.error)
            message = mikey.parse(attribute.data)
        except mikey.MikeyError as error:
            self.fault(frame, f"MIKEY: {error}")
            return {"type": "unreadable", "reason": str(error)}
        header = message.header
        found: dict[str, Any] = {
            "type": mikey.type_name(header.data_type),
            "csb_id": f"{header.csb_id:08x}",
            "sessions": [_session(number, each) for number, each in enumerate(header.sessions, 1)],
            "identities": [each.data.decode("utf-8", "backslashreplace") for each in message.all(v.Idr)],
            "payloads": [PayloadType(each.payload_type).name for each in message.payloads],
            "missing": missing(message),
        }
        ticket = message.first(v.Ticket)
        if ticket is not None:
            found["ticket_flags"] = str(ticket.policy.flags)
        return found


def _session(number: int, session: v.CryptoSession) -> dict[str, Any]:
    if isinstance(session, v.SrtpSession):
        return {"cs_id": number, "ssrc": f"{session.ssrc:08x}", "spi": ""}
    ssrc = None if session.ssrc is None else f"{session.ssrc:08x}"
    return {"cs_id": session.cs_id, "ssrc": ssrc, "spi": session.spi.hex()}


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
                for found in sorter.sort(time, octets, frame, batch.link_type):
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
