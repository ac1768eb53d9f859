"""Exchanges of one's own making, so that anything can be varied: set 1's users and suite, fixed keys."""

from __future__ import annotations

from msgspec import structs

from imswire import mikey
from imswire.mikey import exchange, prf
from imswire.mikey import values as v
from tests.imswire.mikey.vectors import SET1, key

ALICE, BOB = SET1.initiator, SET1.responder
CAROL = exchange.uri(mikey.IdRole.RESPONDER, "sip:carol@example.com")


class Made:
    """An exchange with a ticket of one's own making (set 1's TPK), so that anything can be varied."""

    def __init__(self, flags: str, keys: tuple[v.KeyData, ...] = (), **offer) -> None:
        tgk = keys or (key(mikey.KeyType.TGK, b"T" * 16, b"\x01"),)
        policy = structs.replace(SET1.ticket.policy, flags=mikey.Flags.of(flags))
        mpk = key(mikey.KeyType.MPK, b"M" * 16, b"\x10")
        ticket = mikey.seal_ticket(
            policy, bytes(16), (mpk, *tgk), timestamp=v.Timestamp(0, bytes(8)), rand=bytes(16), encr_alg=1, auth_alg=1
        )
        self.keys = mikey.open_ticket(ticket, bytes(16))
        fields = {
            "csb_id": 7,
            "sessions": offer.pop("sessions", (session(1), session(2))),
            "timestamp": v.Timestamp(0, b"\xeb" + bytes(7)),
            "rand": b"I" * 16,
            "initiator": SET1.initiator,
            "responder": SET1.responder,
            "policies": (),
            "ticket": ticket,
        }
        self.init = exchange.transfer_init(SET1.suite, self.keys.mpki, exchange.Offer(**fields | offer))
        self.resolved = mikey.Resolved(self.keys.mpki, self.keys.mpkr, self.keys.keys)

    def answer(self, sessions, rand: bytes | None = b"R" * 16, **options) -> bytes:
        return exchange.transfer_resp(
            SET1.suite,
            self.keys.mpki,
            self.init,
            sessions=sessions,
            timestamp=v.Timestamp(0, b"\xec" + bytes(7)),
            rand=rand,
            **{"responder": SET1.responder} | options,
        )

    def derive(self, response: bytes | None = None):
        return mikey.derive(self.init, response, [], self.resolved)


def session(
    cs_id: int, spi: bytes = b"\x01", policies: tuple[int, ...] = (), data: bytes = b"\0\0\0\x05", roc: bool = False
):
    return v.GenericSession(cs_id, 0, roc, policies, data, spi)


def tek(cs_id: int, randi: bytes | None, randr: bytes | None) -> bytes:
    return prf.prf(0, b"T" * 16, prf.session_label(prf.TEK, cs_id, randi, randr), 16)


class Updated:
    """An exchange with an answer, and updates of every making."""

    def __init__(self) -> None:
        self.made = Made("DEFGHLMNO")
        self.response = self.made.answer((session(1), session(2)))

    def update(self, response: bytes | None = None, **options) -> bytes:
        fields = {
            "data_type": mikey.DataType.TRANSFER_INIT,
            "sessions": (session(1, b"\x02"), session(2, b"\x02")),
            "timestamp": v.Timestamp(0, b"\xed" + bytes(7)),
            "keys": (key(mikey.KeyType.TGK_SALT, b"U" * 16, b"\x02", b"S" * 14),),
            "wants_response": False,
        }
        mpki, init = self.made.keys.mpki, self.made.init
        return exchange.update_message(SET1.suite, mpki, init, response or self.response, **fields | options)

    def run(self, *updates: bytes, answers: tuple[bytes | None, ...] = ()):
        read = mikey.Exchange.read(self.made.init, self.response)
        derivation = mikey.Derivation(read, self.made.resolved)
        answers = answers or (None,) * len(updates)
        pairs = [mikey.UpdateMessages(i, r) for i, r in zip(updates, answers, strict=True)]
        derived = derivation.run(pairs)
        return [each for each in derived if each.generation], [str(failure) for failure in derivation.failures]
