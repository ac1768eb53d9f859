"""The raw ticket exchange of a dialog: which MIKEY messages key its media now (RFC 4567, RFC 6043 6.1).

Session descriptions are read here, MIKEY messages are not: data type and CSB ID stand at fixed places, the
rest stays as it came until a warrant asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, structs

from imswire import mikey, sdp, sip
from midcall.events import Kept, Side, TicketExchange, Update
from midcall.poi.offer_answer import Round

# Faults that are remembered of one dialog: a hostile one can make a new one with each re-INVITE.
FAULTS = 16


class Fault(Struct, frozen=True, gc=False):
    """Why a part of an offer or answer could not be used, and the frame in which it stands."""

    frame: int
    reason: str


class Ledger(Struct, frozen=True, gc=False):
    """The live bundles of a dialog, one for each level that carries its own, and what was wrong on the way."""

    exchanges: tuple[TicketExchange, ...] = ()
    faults: tuple[Fault, ...] = ()

    def enter(self, round_: Round, limit: int) -> Ledger:
        """The ledger after ``round_``; an unanswered round shows what its offer alone would bring.

        ``limit`` bounds the updates that are kept of one bundle.
        """
        faults: list[Fault] = []
        offer = _description(round_.offer, faults)
        answer = None if round_.answer is None else _description(round_.answer, faults)
        if offer is None or (round_.answer is not None and answer is None):
            return self._with(self.exchanges, faults)
        live = {exchange.media: exchange for exchange in self.exchanges}
        for refused in _dropped(offer, answer):
            live.pop(refused, None)
        for scope, init, response in _carried(round_, offer, answer, faults):
            entered = _enter(live.get(scope), scope, round_.offerer, init, response, limit, faults)
            if entered is not None:
                live[scope] = entered
        return self._with(tuple(live.values()), faults)

    def _with(self, exchanges: tuple[TicketExchange, ...], faults: list[Fault]) -> Ledger:
        return Ledger(exchanges, (*self.faults, *faults)[-FAULTS:])


def _description(message: Kept, faults: list[Fault]) -> sdp.SessionDescription | None:
    try:
        body = sip.parse(message.octets).sdp
        if body is not None:
            return sdp.parse(body)
        faults.append(Fault(message.frame, "no session description in the message"))
    except (sip.SipError, sdp.SdpError) as error:
        faults.append(Fault(message.frame, f"SDP: {error}"))
    return None


def _dropped(offer: sdp.SessionDescription, answer: sdp.SessionDescription | None) -> Iterator[int]:
    """m-lines that the accepted answer refused or closed: their own bundles are gone."""
    if answer is None:
        return
    for pair in sdp.pair(offer, answer):
        if pair.offer is not None and not pair.live:
            yield pair.offer.index


def _carried(
    round_: Round,
    offer: sdp.SessionDescription,
    answer: sdp.SessionDescription | None,
    faults: list[Fault],
) -> Iterator[tuple[int | None, Kept, Kept | None]]:
    """Level, TRANSFER_INIT and TRANSFER_RESP of each bundle on offer, once a level."""
    seen: set[int | None] = set()
    answers = () if answer is None else answer.media
    for line in offer.media:
        accepted = answers[line.index] if line.index < len(answers) else None
        if not line.secure or line.rejected or (accepted is not None and accepted.rejected):
            continue
        offered = _mikey(line, round_.offer.frame, faults)
        if offered is None:
            continue
        scope = None if offered.level == "session" else line.index
        if scope in seen:
            continue
        seen.add(scope)
        response = None
        if accepted is not None and round_.answer is not None:
            answered = _mikey(accepted, round_.answer.frame, faults)
            response = None if answered is None else _kept(round_.answer, answered.data)
        yield scope, _kept(round_.offer, offered.data), response


def _mikey(line: sdp.Media, frame: int, faults: list[Fault]) -> sdp.KeyMgmt | None:
    for attribute in line.key_mgmt:
        if attribute.error:
            faults.append(Fault(frame, f"SDP m-line {line.index + 1}: key-mgmt: {attribute.error}"))
        elif attribute.protocol == "mikey":
            return attribute
    return None


def _kept(message: Kept, octets: bytes) -> Kept:
    return Kept(octets, message.at, message.frame)


def _enter(
    live: TicketExchange | None,
    scope: int | None,
    offerer: Side,
    init: Kept,
    response: Kept | None,
    limit: int,
    faults: list[Fault],
) -> TicketExchange | None:
    bundle = _bundle(init, mikey.DataType.TRANSFER_INIT, faults)
    if bundle is None:
        return None
    if response is not None:
        answered = _bundle(response, mikey.DataType.TRANSFER_RESP, faults)
        if answered is None:
            response = None
        elif answered != bundle:
            faults.append(Fault(response.frame, "MIKEY: the answer's CSB ID is not that of the offer"))
            response = None
    if live is None or _bundle(live.init, mikey.DataType.TRANSFER_INIT, []) != bundle:
        return TicketExchange(scope, offerer, init, response)
    return _continue(live, offerer, init, response, limit, faults)


def _continue(
    live: TicketExchange, offerer: Side, init: Kept, response: Kept | None, limit: int, faults: list[Fault]
) -> TicketExchange:
    """A message of a bundle that lives: the same once more, the same with another answer, or an update."""
    if init.octets == live.init.octets:
        if response is None or (live.response and live.response.octets == response.octets):
            return live
        return structs.replace(live, response=response)
    for place, update in enumerate(live.updates):
        if update.init.octets == init.octets:
            if response is None or (update.response and update.response.octets == response.octets):
                return live
            renewed = structs.replace(update, response=response)
            return structs.replace(live, updates=(*live.updates[:place], renewed, *live.updates[place + 1 :]))
    if len(live.updates) >= limit:
        faults.append(Fault(init.frame, f"MIKEY: more than {limit} updates of one CSB"))
        return live
    return structs.replace(live, updates=(*live.updates, Update(offerer, init, response)))


def _bundle(message: Kept, expected: mikey.DataType, faults: list[Fault]) -> int | None:
    """The CSB ID of a MIKEY message of the expected type."""
    try:
        seen = mikey.peek(message.octets)
    except mikey.MikeyError as error:
        faults.append(Fault(message.frame, f"MIKEY: {error}"))
        return None
    if seen.data_type != expected:
        faults.append(Fault(message.frame, f"MIKEY: data type {seen.data_type} where {expected.name} is expected"))
        return None
    return seen.csb_id
