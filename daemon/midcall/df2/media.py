"""From offer and answer to the media of a dialog: what flows where, and by which keys (RFC 3264, RFC 4567)."""

from __future__ import annotations

from collections.abc import Iterator

from imswire import inet, sdp, sip
from imswire.sdp import Endpoint
from midcall.base.services import covers, of_line
from midcall.df2.sdes import OfferedKey, announced
from midcall.events import CryptoContext, Kept, MediaFlow, SessionReport, Side, TicketExchange

HEADER_VALUES = 4  # P-Asserted-Identity has two at most (RFC 3325 9.1)
PORT_PAIRS = 16  # of one line: layered codecs have a few
DTLS = "keyed by DTLS-SRTP, which only its two ends can open"


class SessionMedia:
    """The flows of a dialog, read from the messages of one report, and what is wrong with them.

    A fault is the frame, the reason, and whether it leaves media without keys. Without lines of other ``services``
    than those of its order.
    """

    def __init__(self, report: SessionReport, services: tuple[str, ...] | None = None) -> None:
        self.faults: list[tuple[int, str, bool]] = []
        self.parties: tuple[str, ...] = ()
        self.sdes: list[OfferedKey] = []
        self._report = report
        self._services = services
        self._offer = self._read(report.offer)
        self._answer = self._read(report.answer)
        self.flows = tuple(self._flows())

    @property
    def answered(self) -> bool:
        return self._report.answer is not None

    def is_of(self, media: int | None) -> bool:
        """Whether keys of an m-line (None: of all of them) are for any media that its order is for."""
        if self._services is None:
            return True
        return bool(self.flows) if media is None else any(flow.media == media for flow in self.flows)

    def _read(self, message: Kept | None) -> sdp.SessionDescription | None:
        if message is None:
            return None
        try:
            parsed = sip.parse(message.octets)
            self.parties = tuple(dict.fromkeys((*self.parties, *_parties(parsed))))
            body = parsed.sdp
            return None if body is None else sdp.parse(body)
        except (sip.SipError, sdp.SdpError) as error:
            self.faults.append((message.frame, f"SDP: {error}", False))
            return None

    def _flows(self) -> Iterator[MediaFlow]:
        report = self._report
        offered = () if self._offer is None else self._offer.media
        answered = () if self._answer is None else self._answer.media
        for line in offered:
            other = answered[line.index] if line.index < len(answered) else None
            if line.rejected or (self._answer is not None and (other is None or other.rejected)):
                continue
            if not line.proto.upper().endswith(("AVP", "AVPF")):
                continue
            if not covers(self._services, of_line(line.kind, line.proto)):
                continue
            decided = line if other is None else other
            if decided.proto.upper() in sdp.DTLS_PROFILES:
                assert report.offer is not None
                self.faults.append((report.offer.frame, f"SDP m-line {line.index + 1}: {DTLS}", True))
            if decided.secure:
                self._announced(line, other)
            yield self._flow(line, other, decided.secure, report.offerer.peer, report.offer)
            if other is not None:
                yield self._flow(other, line, decided.secure, report.offerer, report.answer)

    def _announced(self, line: sdp.Media, other: sdp.Media | None) -> None:
        """The keys that stand in the descriptions themselves."""
        report = self._report
        for each in announced(line, other, report.offerer):
            if isinstance(each, OfferedKey):
                self.sdes.append(each)
                continue
            side, error = each
            message = report.offer if side is report.offerer else report.answer
            frame = 0 if message is None else message.frame
            self.faults.append((frame, f"SDP m-line {line.index + 1}: a=crypto: {error}", True))

    def _flow(
        self, receiver: sdp.Media, peer: sdp.Media | None, secure: bool, sender: Side, message: Kept | None
    ) -> MediaFlow:
        """What ``sender`` sends to the owner of the line ``receiver``."""
        ports = _port_pairs(receiver)
        destinations = [*ports, *receiver.candidates]
        usable = tuple(dict.fromkeys(e for e in destinations if e is not None and self._numeric(e, message)))
        control = [receiver.rtcp] if receiver.rtcp is not None and usable else []
        if not receiver.rtcp_mux:
            control += [Endpoint(pair.address, pair.port + 1) for pair in ports[1:]]
        return MediaFlow(
            media=receiver.index,
            kind=receiver.kind,
            sender=sender,
            destinations=usable,
            control=tuple(each for each in control if self._numeric(each, message)),
            expected_source=_numeric(None if peer is None else peer.endpoint),
            codecs=receiver.codecs,
            secure=secure or receiver.proto.upper() in sdp.DTLS_PROFILES,
            control_source=_numeric(None if peer is None else peer.rtcp),
        )

    def _numeric(self, endpoint: Endpoint, message: Kept | None) -> bool:
        try:
            inet.pack(endpoint.address)
        except inet.InetError:
            frame = 0 if message is None else message.frame
            reason = f"SDP: {endpoint.address!r} is no IP address: the media cannot be found"
            self.faults.append((frame, reason, False))
            return False
        return True


def _numeric(endpoint: Endpoint | None) -> Endpoint | None:
    """None as well for a name: nobody can say what comes from there."""
    try:
        return None if endpoint is None or not inet.pack(endpoint.address) else endpoint
    except inet.InetError:
        return None


def _port_pairs(line: sdp.Media) -> list[Endpoint]:
    """Where the owner of a line receives: one port, or with a count (RFC 8866 5.14) every second one from there."""
    first = line.endpoint
    if first is None:
        return []
    ports = range(first.port, min(first.port + 2 * min(line.port_count, PORT_PAIRS), 65_535), 2)
    return [Endpoint(first.address, port) for port in ports]


def _parties(message: sip.SipMessage) -> Iterator[str]:
    """URIs of the users of a dialog, as one of its messages names them."""
    if message.request_uri is not None:
        yield message.request_uri
    for name in ("From", "To", "P-Asserted-Identity"):
        for value in message.values(name)[:HEADER_VALUES]:
            try:
                yield sip.parse_name_addr(value).uri
            except sip.SipError:
                continue


def place(exchange: TicketExchange, cs_id: int) -> tuple[int | None, Side]:
    """The m-line and sender that a CS ID most likely means (RFC 4567 7.1); the tag has the last word.

    m-line k, counted from 1, has CS ID 2k-1 for what the MIKEY initiator sends and 2k for the answers; a
    media-level bundle counts from 1 again.
    """
    sender = exchange.initiator if cs_id % 2 else exchange.initiator.peer
    if exchange.media is not None:
        return exchange.media, sender
    return (cs_id - 1) // 2 if cs_id else None, sender


def newest_last(contexts: list[CryptoContext]) -> tuple[CryptoContext, ...]:
    return tuple(sorted(contexts, key=lambda context: context.order))
