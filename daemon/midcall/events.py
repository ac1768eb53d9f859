"""What the functional entities tell each other.

Values, one direction: ``poi`` makes X2 events, ``df2`` makes key queries and media plans, ``df3`` makes
content. An event is complete and right when it exists; nobody downstream asks back.
"""

from __future__ import annotations

import enum
from typing import Literal, NamedTuple

from msgspec import Struct

from imswire.hi import CcForm
from imswire.inet import UDP, Datagram, endpoint
from imswire.sdp import Codec, Endpoint
from imswire.srtp import MasterKey, Policy


class Instant(Struct, frozen=True, gc=False):
    """A moment on both clocks, in nanoseconds: wall time since 1970 (UTC) and a monotonic count."""

    wall: int
    mono: int

    @classmethod
    def of_capture(cls, time_ns: int) -> Instant:
        """A capture has one clock; it serves as both."""
        return cls(time_ns, time_ns)


class Side(enum.IntEnum):
    """The two ends of a dialog: CALLER sent the initial INVITE."""

    CALLER = 0
    CALLEE = 1

    @property
    def peer(self) -> Side:
        return Side(1 - self)


class SipSeen(Struct, frozen=True, gc=False):
    """One SIP message as it passed: octets, addresses ("ip:port"), time, and the frame it came in (0: live).

    ``sent``: where it was received by a proxy that is asked for copies, each next hop and the request as it went there.
    ``authenticated`` False: the copy came over a way on which others can forge it (HEP without TLS).
    ``asserted``: the URI that the proxy asserts for a sender whose own assertions it does not believe (RFC 3325 5),
    "" for nobody's; None: what the message asserts is believed. ``heeded`` False: the proxy refused a request, or
    knew nothing that a response answers.
    """

    octets: bytes
    source: str
    destination: str
    at: Instant
    frame: int = 0
    sent: tuple[tuple[str, bytes], ...] = ()
    authenticated: bool = True
    asserted: str | None = None
    heeded: bool = True


class Task(Struct, frozen=True):
    """What X1 armed: one XID, and the identities (URIs) of its target, any of which matches.

    ``window`` is the warrant's: from its start on and before its end (wall ns; None: open). ``role`` and ``local`` are
    conditions of the match (TS 103 221-1 callPartyRole, nonLocalIdentifier; None: any): which part the target has in
    a call, and whether the identity is one of this network. ``services``: those that the task is for, of ``voice`` and
    ``messaging``; None: both.
    """

    xid: str
    targets: tuple[str, ...]
    start: int | None = None
    end: int | None = None
    role: Literal["originating", "terminating", "forwarded-to"] | None = None
    local: bool | None = None
    services: tuple[str, ...] | None = None


class Terms(Struct, frozen=True):
    """What a warrant allows under one XID: window in wall ns (None: open), and what may be disclosed in it.

    ``content`` False: events only, no content, body or key. ``keys_to_lemf``: the agency decrypts; else content
    is handed over in clear. ``encrypted``: SRTP that no key opens is handed over as captured. ``services``: those that
    it is for, of ``voice`` and ``messaging``; None: both.
    """

    liid: str
    start: int | None = None
    end: int | None = None
    content: bool = True
    keys_to_lemf: bool = False
    location: bool = True
    encrypted: bool = True
    services: tuple[str, ...] | None = None


class DialogId(Struct, frozen=True, gc=False):
    """Call-ID and both tags (RFC 3261 12); ``callee_tag`` is empty before anybody answered."""

    call_id: str
    caller_tag: str
    callee_tag: str


class Kept(Struct, frozen=True, gc=False):
    """Octets of a message that the cache keeps, with the time and the frame in which they were seen.

    ``authenticated``: as in :class:`SipSeen`.
    """

    octets: bytes
    at: Instant
    frame: int
    authenticated: bool = True


class Update(Struct, frozen=True, gc=False):
    """A CSB update (RFC 6043 6.1): started by ``by``, with the answer when one was seen."""

    by: Side
    init: Kept
    response: Kept | None


class TicketExchange(Struct, frozen=True, gc=False):
    """The MIKEY messages of one live crypto session bundle, raw, as one fork of the call saw them.

    ``media`` is the index of the m-line whose media-level attribute carried them, None for the session level.
    ``initiator`` is the side that sent TRANSFER_INIT: the offerer, not always the caller.
    """

    media: int | None
    initiator: Side
    init: Kept
    response: Kept | None
    updates: tuple[Update, ...] = ()


class Half(Struct, frozen=True, gc=False):
    """Offer or answer: the head of the message that carried it, up to its blank line, and the description."""

    head: bytes
    description: bytes | None


class StartOfInterception(Struct, frozen=True, gc=False):
    """The warrant began while this dialog was running (TS 33.107 7A.3.1, IMSevent 4).

    ``parties``, of a POI that gives no heads of messages: URIs of the caller, and that of the callee.
    ``authenticated``: whether both messages are.
    """

    xid: str
    identity: str
    correlation: bytes
    dialog: DialogId
    at: Instant
    offer: Half | None
    answer: Half | None
    target: Side | None = None
    parties: tuple[tuple[str, ...], str] | None = None
    authenticated: bool = True


class SipReport(Struct, frozen=True, gc=False):
    """A SIP message to, from or on behalf of the target (TS 33.107 7A.2)."""

    xid: str
    identity: str
    correlation: bytes | None
    dialog: DialogId | None
    seen: SipSeen
    target: Side | None = None


class SessionReport(Struct, frozen=True, gc=False):
    """Where the media of an intercepted dialog flow and the raw ticket exchange that keys them.

    For the own DF2 only, never product. ``pending`` says that more is to come: an offer waits for its answer,
    or the dialog is early, so that packets which fail under the keys known now may belong to others.
    """

    xid: str
    identity: str
    correlation: bytes
    dialog: DialogId
    at: Instant
    invited_at: Instant
    offerer: Side
    target: Side | None
    offer: Kept | None
    answer: Kept | None
    exchanges: tuple[TicketExchange, ...]
    pending: bool = False


class DialogReleased(Struct, frozen=True, gc=False):
    """The dialog ended, or the task did: nothing of it is content from ``at`` on."""

    xid: str
    correlation: bytes
    dialog: DialogId
    at: Instant
    reason: str


class DialogFault(Struct, frozen=True, gc=False):
    """Something in an intercepted dialog could not be read or honoured; the frame says where."""

    xid: str
    correlation: bytes
    dialog: DialogId
    at: Instant
    frame: int
    reason: str


X2Event = StartOfInterception | SipReport | SessionReport | DialogReleased | DialogFault


class KeyQuery(Struct, frozen=True, gc=False):
    """DF2 asks the KMS (TS 33.107 7A.7.2 get_keys): the identity that matched, and the raw exchange.

    ``parties`` are the URIs of the dialog's users: what a MAC may cover when MIKEY leaves the identities out.
    """

    query: int
    xid: str
    identity: str
    exchange: TicketExchange
    parties: tuple[str, ...] = ()


class SessionKey(Struct, frozen=True, gc=False):
    """The SRTP key of one crypto session of one generation (0: initial exchange, then one an update).

    ``rollover``/``sequence`` are those of the CS ID map when it carried them (S = 1).
    """

    cs_id: int
    generation: int
    ssrc: int | None
    rollover: int | None
    sequence: int | None
    policy: Policy
    master: MasterKey
    proved: bool


class KeyAnswer(Struct, frozen=True, gc=False):
    """What the KMS answered: session keys, and/or the reason why there are none (or not all)."""

    query: int
    keys: tuple[SessionKey, ...]
    failures: tuple[str, ...] = ()


class MediaFlow(Struct, frozen=True, gc=False):
    """One direction of one m-line: what is sent by ``sender`` to any of ``destinations``, RTCP to ``control`` as well.

    ``expected_source`` and ``control_source``: where the session says that the sender is, and that its RTCP comes from.
    """

    media: int
    kind: str
    sender: Side
    destinations: tuple[Endpoint, ...]
    control: tuple[Endpoint, ...]
    expected_source: Endpoint | None
    codecs: dict[int, Codec]
    secure: bool
    control_source: Endpoint | None = None


class CryptoContext(Struct, frozen=True, gc=False):
    """A session key together with where it is expected: m-line and sender by the map's order, any by the tag."""

    bundle: int
    order: int
    media: int | None
    sender: Side | None
    key: SessionKey


class MediaPlan(Struct, frozen=True, gc=False):
    """DF2 tells DF3 all that is to be tapped for one dialog; it replaces the former plan of that dialog.

    ``awaiting`` says that keys are still to come: packets that no key opens are held, within bounds. ``encrypted``:
    when none are to come, they are content as captured. ``cin`` numbers the communication in all its records.
    """

    xid: str
    cin: int
    correlation: bytes
    dialog: DialogId
    at: Instant
    start: int | None
    end: int | None
    invited_at: Instant
    target: Side | None
    flows: tuple[MediaFlow, ...]
    contexts: tuple[CryptoContext, ...]
    awaiting: bool
    encrypted: bool = False


CROWDED_PLACE = (
    "more sessions name one address and port for their media than are followed there: "
    "content of this one that goes there is not handed over"
)
CROWDED_OUT = "more sessions are intercepted at once than there is room for: content of this one is not handed over"


class Failure(Struct, frozen=True, gc=False):
    """Why a dialog, or a part of it, gives no content in clear; ``frame`` says where the cause stood (0: none).

    ``keys``: because keys are missing, which the agency is told (mediaSecFailureIndication, TS 33.107 7A.7.2).
    ``missing``: content is not handed over, which it is told too (ccUnavailable); ``reason`` is what it is told.
    ``after``: the newest key that the dialog had, by ``CryptoContext.order``; 0: none.
    """

    xid: str
    correlation: bytes
    dialog: DialogId
    at: Instant
    frame: int
    reason: str
    keys: bool
    missing: bool = False
    after: int = 0


TapPacket = tuple[int, bytes, bytes, bytes]
"""A UDP datagram as a tap tells of it: wall time in ns, where it goes and where it comes from (address and port in
network order each), payload."""


class MediaPacket(NamedTuple):
    """A UDP datagram as a tap sees it.

    Wall time in ns, where it goes (address and port in network order), and its number in the capture (0: live).
    """

    time: int
    place: bytes
    datagram: Datagram
    frame: int = 0

    @classmethod
    def of_tap(cls, packet: TapPacket) -> MediaPacket:
        """The same without the frame around it."""
        time, place, source, payload = packet
        src, dst = source[:-2], place[:-2]
        sport, dport = int.from_bytes(source[-2:], "big"), int.from_bytes(place[-2:], "big")
        return cls(time, place, Datagram(src, dst, UDP, sport, dport, payload, 0, 0, len(payload), b""))

    @property
    def payload(self) -> bytes:
        return self.datagram.payload

    @property
    def source(self) -> str:
        """Where it came from, "ip:port"."""
        return endpoint(self.datagram.src, self.datagram.sport)

    @property
    def origin(self) -> bytes:
        """The same, address and port in network order."""
        return self.datagram.src + self.datagram.sport.to_bytes(2, "big")


class Intercept(Struct, frozen=True):
    """One LIID: what stands in the header of all its records (TS 102 232-1 5.2), and where they go."""

    liid: str
    xid: str
    operator: str
    element: str | None
    country: str | None
    delivery_country: str | None
    destination: str


class IriRecord(Struct, frozen=True, gc=False):
    """A record for HI2, not numbered yet.

    ``kind``: 1 begin, 2 end, 3 continue, 4 report; ``at`` in wall ns; ``contents`` is the encoded choice of
    iRIContents; ``key`` the producer's running number, by which a repetition is known, or else ``mark``: what made the
    record, of a producer whose numbers do not outlive it. ``cin`` None: isolated. ``outlet``: where it goes; empty:
    where all records of the LIID go.
    """

    liid: str
    cin: int | None
    kind: int
    at: int
    contents: bytes
    key: int
    mark: bytes = b""
    outlet: str = ""


class Hi1Record(Struct, frozen=True, gc=False):
    """A notification for HI1, not numbered yet: that an interception began, ended, changed, or lacks something.

    ``kind`` is the alternative of HI1-Operation: 1 activated, 2 deactivated, 3 modified, 4 alarm; ``at`` in wall ns;
    ``contents`` is the encoded choice. ``outlet`` names where it goes, empty: where all records of the LIID go.
    """

    liid: str
    kind: int
    at: int
    contents: bytes
    outlet: str = ""


EventRecord = IriRecord | Hi1Record
"""What goes over before content, and stands with it in no order."""


class CcStream:
    """What all content records of one stream have in common; ``direction`` is a Direction of ``imswire.hi``."""

    __slots__ = ("cin", "direction", "form", "liid")

    def __init__(self, liid: str, cin: int, direction: int, form: CcForm) -> None:
        self.liid = liid
        self.cin = cin
        self.direction = direction
        self.form = form


Cc = tuple[int, CcStream, bytes]
"""A packet for HI3, not numbered yet: wall time in ns, what it is of, payload."""


class CcRecord(NamedTuple):
    """The same with names."""

    time: int
    stream: CcStream
    payload: bytes
