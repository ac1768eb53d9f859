"""A simulated call, step by step: each method is what happens next; time goes on with what is said and sent."""

from __future__ import annotations

from base64 import b64encode

from imswire import mikey
from imswire.mikey import values as v
from midcall.ue import sdes
from midcall.ue.lab import Draw
from midcall.ue.party import FRAME_NS, Party
from midcall.ue.ticket import AES_CM_128_80, AskKms, Bundle, Held, session, spi_key, srtp_key
from midcall.ue.wire import Wire

SECOND = 1_000_000_000
MILLI = 1_000_000


class Call:
    """One Call-ID between a caller and one callee; forks of it share ``call_id`` and the INVITE."""

    def __init__(
        self,
        wire: Wire,
        ask: AskKms,
        caller: Party,
        callee: Party,
        call_id: str,
        now: int,
        *,
        transport: str = "UDP",
        asserted: bool = True,
        session_level: bool = True,
    ) -> None:
        self.wire = wire
        self.ask = ask
        self.caller = caller
        self.callee = callee
        self.call_id = call_id
        self.now = now
        self.sent: list[tuple[int, Party, bytes]] = []
        self.params = AES_CM_128_80
        self.mki = False
        self.roc = 0
        self.bundles: list[Bundle] = []
        self.answers: list[Bundle] = []
        self.version = 1
        self._transport = transport
        self._asserted = asserted
        self._session_level = session_level
        self._cseq = {id(caller): 1, id(callee): 1}

    # SIP

    def _send(self, sender: Party, receiver: Party, octets: bytes) -> None:
        send = self.wire.tcp if self._transport == "TCP" else self.wire.udp
        send(self.now, sender.sip, receiver.sip, octets)
        self.now += MILLI

    def _other(self, party: Party) -> Party:
        return self.callee if party is self.caller else self.caller

    def request(
        self, method: str, sender: Party, body: str = "", *, initial: bool = False, number: int | None = None
    ) -> int:
        """Send a request; returns its CSeq number."""
        receiver = self._other(sender)
        if number is None:
            number = self._cseq[id(sender)]
            self._cseq[id(sender)] += 1
        to_tag = "" if initial else f";tag={receiver.tag}"
        lines = [
            f"{method} {receiver.uri} SIP/2.0",
            self._via(sender, f"{method}{number}"),
            "Max-Forwards: 70",
            f"From: <{sender.uri}>;tag={sender.tag}",
            f"To: <{receiver.uri}>{to_tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:{self._host(sender)}>",
        ]
        if self._asserted:
            lines.append(f"P-Asserted-Identity: <{sender.uri}>")
        self._send(sender, receiver, message(lines, body))
        return number

    def response(
        self, status: str, method: str, number: int, sender: Party, body: str = "", *, tag: bool = True
    ) -> None:
        """``sender`` answers a request of the other side."""
        asker = self._other(sender)
        to_tag = f";tag={sender.tag}" if tag else ""
        lines = [
            f"SIP/2.0 {status}",
            self._via(asker, f"{method}{number}"),
            f"From: <{asker.uri}>;tag={asker.tag}",
            f"To: <{sender.uri}>{to_tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:{self._host(sender)}>",
        ]
        if self._asserted:
            lines.append(f"P-Asserted-Identity: <{sender.uri}>")
        self._send(sender, asker, message(lines, body))

    def _via(self, party: Party, branch: str) -> str:
        name = self.call_id.partition("@")[0][:16]
        return f"Via: SIP/2.0/{self._transport} {self._host(party)};branch=z9hG4bK-{name}-{branch}"

    @staticmethod
    def _host(party: Party) -> str:
        host = f"[{party.address}]" if ":" in party.address else party.address
        return f"{host}:{party.sip[1]}"

    # Keys

    def offer(self, held: Held, offerer: Party | None = None, keys: tuple[v.KeyData, ...] = ()) -> list[str | None]:
        """New bundles with TRANSFER_INIT, one for the session or one a line; returns their base64."""
        offerer = offerer or self.caller
        self.bundles = []
        lines = range(len(offerer.senders))
        groups = [tuple(lines)] if self._session_level else [(line,) for line in lines]
        spis = [key.spi for key in keys]
        for group in groups:
            blocks = []
            for place, line in enumerate(group):
                # Of several keys in the ticket each line gets its own.
                first = spis[0] if spis else held.keys[line % len(held.keys)].spi if held.keys else b""
                second = spis[1] if len(spis) > 1 else first
                if not spis and not held.keys:
                    first = second = b""
                blocks.append(session(2 * place + 1, offerer.senders[line].ssrc, first))
                blocks.append(session(2 * place + 2, None, b"" if not spis else second))
            self.bundles.append(
                offerer.user.offer(held, self._other(offerer).uri, self.now, tuple(blocks), self.params, keys)
            )
        return [_text(bundle.init) for bundle in self.bundles]

    def accept(self, answerer: Party | None = None, keys: tuple[v.KeyData, ...] = ()) -> list[str | None]:
        """Resolve and answer every bundle on offer; returns the base64 of the answers."""
        answerer = answerer or self.callee
        offerer = self._other(answerer)
        lines = range(len(answerer.senders))
        groups = [tuple(lines)] if self._session_level else [(line,) for line in lines]
        self.answers = []
        spis = [key.spi for key in keys]
        for group, bundle in zip(groups, self.bundles, strict=True):
            offered = mikey.parse(bundle.init).header.sessions
            blocks = []
            for place, line in enumerate(group):
                offered_spi = getattr(offered[2 * place], "spi", b"\x01")
                first = spis[0] if spis else offered_spi
                second = spis[1] if len(spis) > 1 else (getattr(offered[2 * place + 1], "spi", b"") or first)
                blocks.append(session(2 * place + 1, offerer.senders[line].ssrc, first))
                blocks.append(session(2 * place + 2, answerer.senders[line].ssrc, second))
            answer = answerer.user.accept(self.ask, bundle.init, self.now, tuple(blocks), keys)
            bundle.response = answer.response
            self.answers.append(answer)
        return [None if answer.response is None else _text(answer.response) for answer in self.answers]

    def use_keys(self, offerer: Party | None = None) -> None:
        """Both ends switch to the newest keys, each by its own derivation."""
        offerer = offerer or self.caller
        answerer = self._other(offerer)
        per_bundle = len(offerer.senders) if self._session_level else 1
        for number, (offered, answered) in enumerate(zip(self.bundles, self.answers, strict=True)):
            mine, theirs = offered.session_keys(), answered.session_keys()
            for place in range(per_bundle):
                line = number * per_bundle + place
                for party, keys, cs_id in ((offerer, mine, 2 * place + 1), (answerer, theirs, 2 * place + 2)):
                    sender = party.senders[line]
                    policy, master = srtp_key(keys[cs_id])
                    if sender.protector is None:
                        sender.key(policy, master, roc=self.roc, mki=self.mki)
                    else:
                        sender.rekey(policy, master, mki=self.mki)

    # Whole steps

    def establish(self, held: Held, *, ringing: int = 500 * MILLI) -> None:
        """INVITE, 100, 180, 200, ACK with the ticket exchange in offer and answer."""
        number = self.request("INVITE", self.caller, self._sdp(self.caller, self.offer(held)), initial=True)
        self.response("100 Trying", "INVITE", number, self.callee, tag=False)
        self.response("180 Ringing", "INVITE", number, self.callee)
        self.now += ringing
        self.response("200 OK", "INVITE", number, self.callee, self._sdp(self.callee, self.accept()))
        self.request("ACK", self.caller, number=number)
        self.use_keys()

    def establish_sdes(self, draw: Draw, suite: str, params: str = "", *, mki: bytes = b"", **options: str) -> None:
        """INVITE, 180, 200, ACK with security descriptions in offer and answer; ``options`` as of Party.sdp."""
        offered = sdes.announcements(self.caller, draw, suite, params, mki=mki, offers=True)
        answered = sdes.announcements(self.callee, draw, suite, params, mki=mki)
        offer = self._sdp(self.caller, [], crypto=[each.values for each in offered], **options)
        number = self.request("INVITE", self.caller, offer, initial=True)
        self.response("180 Ringing", "INVITE", number, self.callee)
        self.now += 500 * MILLI
        answer = self._sdp(self.callee, [], crypto=[each.answering(2) for each in answered], **options)
        self.response("200 OK", "INVITE", number, self.callee, answer)
        self.request("ACK", self.caller, number=number)
        for party, said in ((self.caller, offered), (self.callee, answered)):
            sdes.use(party, said, mki=bool(mki), roc=self.roc)

    def rekey_sdes(self, draw: Draw, suite: str, params: str = "") -> None:
        """re-INVITE with new keys of both sides; the rollover counters begin anew with them."""
        offered = sdes.announcements(self.caller, draw, suite, params, offers=True)
        answered = sdes.announcements(self.callee, draw, suite, params)
        self.reinvite(
            self._sdp(self.caller, [], crypto=[each.values for each in offered]),
            self._sdp(self.callee, [], crypto=[each.answering(2) for each in answered]),
        )
        for party, said in ((self.caller, offered), (self.callee, answered)):
            sdes.use(party, said)

    def _sdp(
        self, party: Party, key_mgmt: list[str | None], crypto: list[list[str]] | None = None, **options: str
    ) -> str:
        level = self._session_level
        return party.sdp(key_mgmt, session_level=level, version=self.version, crypto=crypto, **options)

    def sdp(self, party: Party, key_mgmt: list[str | None], **options: str) -> str:
        """A session description of one side, at the level of this call."""
        return self._sdp(party, key_mgmt, None, **options)

    def rekey(self, tgk: bytes, salt: bytes, spi: bytes) -> None:
        """re-INVITE with a CSB update that brings a new TGK; both ends use it from the ACK on."""
        key = spi_key(mikey.KeyType.TGK_SALT, tgk, spi, salt)
        offers: list[str | None] = []
        answers: list[str | None] = []
        for offered, answered in zip(self.bundles, self.answers, strict=True):
            header = mikey.parse(offered.response or offered.init).header
            blocks = tuple(
                v.GenericSession(s.cs_id, s.protocol, s.has_roc, s.policies, s.session_data, spi)
                for s in header.sessions
                if isinstance(s, v.GenericSession)
            )
            update = offered.rekey(self.now, blocks, (key,))
            answered.updates.append(update)
            offers.append(_text(update.init))
            answers.append(None if update.response is None else _text(update.response))
        self.reinvite(self.sdp(self.caller, offers), self.sdp(self.callee, answers))
        self.use_keys()

    def reinvite(self, offer: str, answer: str, sender: Party | None = None) -> None:
        """re-INVITE, 200, ACK with the given descriptions."""
        sender = sender or self.caller
        self.version += 1
        number = self.request("INVITE", sender, offer)
        self.response("200 OK", "INVITE", number, self._other(sender), answer)
        self.request("ACK", sender, number=number)

    def talk(self, seconds: float, *, only: Party | None = None) -> None:
        """Both send a packet each 20 ms for a while."""
        for _ in range(round(seconds * 50)):
            for party in (self.caller, self.callee):
                if only is None or party is only:
                    self.say(party)
            self.now += FRAME_NS

    def say(self, party: Party) -> None:
        """One packet of each media line of ``party``."""
        other = self._other(party)
        for line, sender in enumerate(party.senders):
            clear, sent = sender.packet()
            self.sent.append((self.now, party, clear))
            self.wire.udp(self.now, party.rtp(line), other.rtp(line), sent)

    def hang_up(self, sender: Party | None = None) -> None:
        """BYE and its 200."""
        sender = sender or self.caller
        number = self.request("BYE", sender)
        self.response("200 OK", "BYE", number, self._other(sender))


def message(lines: list[str], body: str) -> bytes:
    """A SIP message of its start line, headers and body: none, or a session description."""
    if body:
        lines = [*lines, "Content-Type: application/sdp"]
    octets = body.encode()
    return ("\r\n".join([*lines, f"Content-Length: {len(octets)}"]) + "\r\n\r\n").encode() + octets


def _text(octets: bytes) -> str:
    return b64encode(octets).decode()
