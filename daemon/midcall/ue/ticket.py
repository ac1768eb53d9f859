"""A user agent's side of MIKEY-TICKET (RFC 6043): asks for tickets, offers, answers, rekeys; derives its keys."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from imswire import mikey, srtp
from imswire.mikey import exchange, prf
from imswire.mikey import values as v
from imswire.mikey.exchange import SUITE_128, Suite
from imswire.mikey.numbers import SALTED, ExtensionType, ProtType
from imswire.mikey.payloads import write_chain
from imswire.mikey.ticket import split_mpk

Draw = Callable[[int], bytes]
AskKms = Callable[[bytes], bytes]

SECOND = 1_000_000_000
TICKET_LIFE = 24 * 3600

# SP parameters of the profiles (RFC 3830 6.10.1, RFC 7714 14.2), in the order in which they are sent.
AES_CM_128_80 = {0: 1, 1: 16, 2: 1, 3: 20, 4: 14, 5: 0, 6: 0, 7: 1, 8: 1, 10: 1, 11: 10}
AES_CM_128_32 = AES_CM_128_80 | {11: 4, 18: 4, 19: 10}
AES_CM_192_80 = AES_CM_128_80 | {1: 24}
AES_CM_256_80 = AES_CM_128_80 | {1: 32}
AES_F8_128_80 = AES_CM_128_80 | {0: 2}
NULL_80 = AES_CM_128_80 | {0: 0}
AES_GCM_128 = {0: 6, 1: 16, 4: 12, 5: 0, 6: 0, 7: 1, 8: 1, 20: 16}
AES_GCM_256 = AES_GCM_128 | {1: 32}


def policy(number: int, params: dict[int, int]) -> v.Sp:
    """An SP payload of one-octet parameters."""
    return v.Sp(number, ProtType.SRTP, tuple((t, bytes((value,))) for t, value in params.items()))


def session(cs_id: int, ssrc: int | None, spi: bytes, policies: tuple[int, ...] = (1,)) -> v.GenericSession:
    """A block of the GENERIC-ID map; without SSRC for the responder to fill in."""
    data = b"" if ssrc is None else ssrc.to_bytes(4, "big")
    return v.GenericSession(cs_id, 0, False, policies, data, spi)


def spi_key(key_type: mikey.KeyType, key: bytes, spi: bytes, salt: bytes = b"") -> v.KeyData:
    """Key data with an SPI, as every key of MIKEY-TICKET has one."""
    return v.KeyData(key_type, key, salt, v.Validity(mikey.KvType.SPI, spi))


class Held(Struct, frozen=True):
    """A ticket in the hands of its owner."""

    ticket: v.Ticket
    mpki: bytes
    mpkr: bytes | None
    keys: tuple[v.KeyData, ...]

    def __repr__(self) -> str:
        return "Held(<redacted>)"


class TicketUser:
    """One user: identity, key shared with the KMS, and the state of the bundles it takes part in."""

    def __init__(self, uri: str, psk_id: bytes, psk: bytes, kms: str, draw: Draw, suite: Suite = SUITE_128) -> None:
        self.uri = uri
        self.psk_id = psk_id
        self.psk = psk
        self.suite = suite
        self._kms = exchange.uri(mikey.IdRole.KMS, kms)
        self._draw = draw

    def request_ticket(
        self,
        ask: AskKms,
        now: int,
        responders: tuple[str, ...],
        flags: str = "DEFGHNO",
        *,
        key_type: mikey.KeyType | None = mikey.KeyType.TGK_SALT,
        salt_octets: int = 14,
        keys: int = 1,
    ) -> Held:
        """Ticket Request: a ticket that ``responders`` may resolve, with so many keys; ``now`` in wall ns."""
        wish = self._wish(now, responders, flags, key_type, salt_octets, keys)
        asked = exchange.request_init(
            self.suite,
            self.psk,
            csb_id=self._number(),
            timestamp=v.Timestamp.ntp_utc(now),
            rand=self._draw(self.suite.octets),
            initiator=exchange.uri(mikey.IdRole.INITIATOR, self.uri),
            kms=self._kms,
            policy=wish,
            psk_id=self.psk_id,
        )
        answer = exchange.open_answer(ask(asked), asked, self.psk)
        return Held(answer.ticket, answer.mpki, answer.mpkr, answer.keys)

    def make_ticket(
        self, tpk_id: bytes, tpk: bytes, now: int, responders: tuple[str, ...], flags: str = "EFGHLNO"
    ) -> Held:
        """A ticket of the Initiator's own making (mode 3: the TPK is shared with the KMS)."""
        octets = self.suite.octets
        wish = self._wish(now, responders, flags, None, 0)
        rand, mpk = self._draw(octets), self._draw(octets)
        tgk = spi_key(mikey.KeyType.TGK_SALT, self._draw(octets), b"\x01", self._draw(14))
        ticket = mikey.seal_ticket(
            wish,
            tpk,
            (spi_key(mikey.KeyType.MPK, mpk, b"\x10"), tgk),
            timestamp=v.Timestamp.ntp_utc(now),
            rand=rand,
            encr_alg=self.suite.encr_alg,
            auth_alg=self.suite.mac_alg,
            tpk_id=tpk_id,
        )
        mpki, mpkr = split_mpk(mpk, wish.prf, rand)
        return Held(ticket, mpki, mpkr, (tgk,))

    def _wish(
        self,
        now: int,
        responders: tuple[str, ...],
        flags: str,
        key_type: mikey.KeyType | None,
        salt_octets: int,
        keys: int = 1,
    ) -> v.TicketPolicy:
        kemac = None
        if key_type is not None:
            salt = bytes(salt_octets) if key_type in SALTED else b""
            octets = bytes(self.suite.octets)
            wished: list[v.Payload] = [spi_key(key_type, octets, bytes((spi,)), salt) for spi in range(1, keys + 1)]
            kemac = v.Kemac(mikey.EncrAlg.NULL, write_chain(wished))
        data = mikey.PolicyData(
            kms=self._kms,
            initiator=exchange.uri(mikey.IdRole.INITIATOR, self.uri),
            start=v.Timestamp.ntp_utc_32(now // SECOND - 60),
            end=v.Timestamp.ntp_utc_32(now // SECOND + TICKET_LIFE),
            kemac=kemac,
            responders=tuple(exchange.uri(mikey.IdRole.RESPONDER, each) for each in responders),
        )
        return v.TicketPolicy(1, 1, 1, self.suite.prf, v.Flags.of(flags), data.write())

    def resolve(self, ask: AskKms, ticket: v.Ticket, now: int) -> exchange.Answered:
        """Ticket Resolve: the keys of a ticket that was offered to this user."""
        asked = exchange.resolve_init(
            self.suite,
            self.psk,
            csb_id=self._number(),
            timestamp=v.Timestamp.ntp_utc(now),
            rand=self._draw(self.suite.octets),
            responder=exchange.uri(mikey.IdRole.RESPONDER, self.uri),
            kms=self._kms,
            ticket=ticket,
            psk_id=self.psk_id,
        )
        return exchange.open_answer(ask(asked), asked, self.psk)

    def _number(self) -> int:
        return int.from_bytes(self._draw(4), "big")

    # Bundles

    def offer(
        self,
        held: Held,
        peer: str,
        now: int,
        sessions: tuple[v.GenericSession, ...],
        params: dict[int, int],
        keys: tuple[v.KeyData, ...] = (),
    ) -> Bundle:
        """TRANSFER_INIT of a new bundle."""
        init = exchange.transfer_init(
            self.suite,
            held.mpki,
            exchange.Offer(
                csb_id=self._number(),
                sessions=sessions,
                timestamp=v.Timestamp.ntp_utc(now),
                rand=self._draw(self.suite.octets),
                initiator=exchange.uri(mikey.IdRole.INITIATOR, self.uri),
                responder=exchange.uri(mikey.IdRole.RESPONDER, peer),
                policies=(policy(1, params),),
                extensions=(v.Extension(ExtensionType.SDP_IDS, b"mikey"),),
                ticket=held.ticket,
                keys=keys,
            ),
            mpkr=held.mpkr if held.ticket.policy.flags.i else None,
        )
        return Bundle(self.suite, init, mikey.Resolved(held.mpki, held.mpkr, held.keys))

    def accept(
        self,
        ask: AskKms,
        init: bytes,
        now: int,
        sessions: tuple[v.GenericSession, ...],
        keys: tuple[v.KeyData, ...] = (),
    ) -> Bundle:
        """Resolve the ticket of an offer and answer it with TRANSFER_RESP (none when flag F is 0)."""
        message = mikey.parse(init)
        ticket = message.need(v.Ticket)
        flags = ticket.policy.flags
        answer = self.resolve(ask, ticket, now)
        if flags.i:
            exchange.check_vi(message)
        mpk = answer.mpkr if flags.i and answer.mpkr is not None else answer.mpki
        resolved = mikey.Resolved(answer.mpki, answer.mpkr, answer.keys, forked=flags.i)
        bundle = Bundle(self.suite, init, resolved)
        if flags.f:
            bundle.response = exchange.transfer_resp(
                self.suite,
                mpk,
                init,
                sessions=sessions,
                timestamp=v.Timestamp.ntp_utc(now),
                rand=self._draw(self.suite.octets) if flags.g else None,
                responder=answer.responder or exchange.uri(mikey.IdRole.RESPONDER, self.uri),
                modifier=answer.modifier,
                keys=keys,
            )
        return bundle


class Bundle:
    """A crypto session bundle as one of its ends knows it."""

    def __init__(self, suite: Suite, init: bytes, resolved: mikey.Resolved) -> None:
        self.suite = suite
        self.init = init
        self.response: bytes | None = None
        self.updates: list[mikey.UpdateMessages] = []
        self._resolved = resolved

    def session_keys(self) -> dict[int, mikey.SessionKeys]:
        """The newest keys by CS ID; MikeyError when the exchange does not prove right."""
        derived = mikey.derive(self.init, self.response, self.updates, self._resolved)
        return {each.cs_id: each for each in derived}

    def rekey(
        self, now: int, sessions: tuple[v.GenericSession, ...], keys: tuple[v.KeyData, ...]
    ) -> mikey.UpdateMessages:
        """A CSB update with new keys, both its messages (RFC 6043 6.1)."""
        mpk = self._mpk()
        init = exchange.update_message(
            self.suite,
            mpk,
            self.init,
            self.response,
            data_type=mikey.DataType.TRANSFER_INIT,
            sessions=sessions,
            timestamp=v.Timestamp.ntp_utc(now),
            keys=keys,
        )
        response = exchange.update_message(
            self.suite,
            mpk,
            self.init,
            self.response,
            data_type=mikey.DataType.TRANSFER_RESP,
            sessions=sessions,
            timestamp=v.Timestamp.ntp_utc(now + SECOND // 2),
            tail=init,
        )
        update = mikey.UpdateMessages(init, response)
        self.updates.append(update)
        return update

    def _mpk(self) -> bytes:
        message = mikey.parse(self.init)
        ticket = message.need(v.Ticket)
        if not ticket.policy.flags.i or self.response is None or self._resolved.mpkr is None:
            return self._resolved.mpki
        if self._resolved.forked:
            return self._resolved.mpkr
        answer = mikey.parse(self.response)
        responder, modifier = answer.identity(mikey.IdRole.RESPONDER), answer.rand(mikey.RandRole.KMS)
        assert responder is not None and modifier is not None
        label = prf.fork_label(prf.FORKED_MPKR, responder.data, modifier)
        return prf.prf(ticket.policy.prf, self._resolved.mpkr, label, len(self._resolved.mpkr))


def srtp_key(keys: mikey.SessionKeys) -> tuple[srtp.Policy, srtp.MasterKey]:
    """Policy and master key of a crypto session."""
    return srtp.Policy.from_sp(keys.params), srtp.MasterKey(keys.master_key, keys.master_salt, keys.spi)
