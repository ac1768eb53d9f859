"""Dialogs as DF2 follows them, by themselves: what makes room for others, and what is told of failures."""

from __future__ import annotations

from msgspec import structs

from imswire import srtp
from midcall.base.bounded import BoundedTable
from midcall.df2 import MediaClose, Mediation
from midcall.df2.core import ASKED_TOO_MUCH
from midcall.events import (
    CROWDED_OUT,
    DialogId,
    DialogReleased,
    Failure,
    Instant,
    Kept,
    KeyAnswer,
    KeyQuery,
    MediaPlan,
    SessionKey,
    SessionReport,
    Side,
    Terms,
    TicketExchange,
)
from tests.imswire.mikey.vectors import SET1

NOW = Instant(10**9, 10**9)
INIT, RESP = (Kept(SET1[name], NOW, 0) for name in ("TRANSFER_INIT", "TRANSFER_RESP"))
EXCHANGE = TicketExchange(None, Side.CALLER, INIT, RESP)
REFUSED = "KMS: it is not there"
CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}"
KEYS = [
    CRYPTO.format(key)
    for key in (
        "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
        "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
    )
]


def dialog(number: int) -> DialogId:
    return DialogId(f"c{number}", "a", "b")


def message(first: str, *lines: str, call: str = "c0") -> Kept:
    secure = "SAVP" if lines else "AVP"
    body = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
    body += "".join(f"{each}\r\n" for each in (f"m=audio 4000 RTP/{secure} 0", *lines))
    head = (
        f"{first}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=a\r\nTo: <sip:c@d>;tag=b\r\n"
        f"Call-ID: {call}\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return Kept((head + body).encode(), NOW, 0)


def report(number: int, *exchanges: TicketExchange, lines: tuple[str, ...] = ()) -> SessionReport:
    offer = message("INVITE sip:c@d SIP/2.0", *lines, call=f"c{number}")
    answer = message("SIP/2.0 200 OK", *lines, call=f"c{number}")
    ends = (NOW, NOW, Side.CALLER, Side.CALLER, offer, answer)
    return SessionReport("x", "sip:a@b", number.to_bytes(8, "big"), dialog(number), *ends, exchanges)


def mediation(bound: int = 8) -> Mediation:
    df2 = Mediation()
    df2._dialogs = BoundedTable("df2.dialogs", bound)
    df2.order("x", Terms("L"))
    return df2


def released(number: int) -> DialogReleased:
    return DialogReleased("x", number.to_bytes(8, "big"), dialog(number), NOW, "BYE")


def of(kind: type, outputs: list) -> list:
    return [each for each in outputs if isinstance(each, kind)]


# Room


def test_the_dialog_that_makes_room_is_closed_and_its_agency_is_told():
    df2 = mediation(bound=2)
    assert [of(MediaClose, df2.x2(report(number))) for number in (1, 2)] == [[], []]
    close, told, plan = df2.x2(report(3))
    assert close == MediaClose("x", dialog(1), NOW, linger=False)
    assert told == Failure("x", bytes(7) + b"\1", dialog(1), NOW, 0, CROWDED_OUT, keys=False, missing=True)
    assert isinstance(plan, MediaPlan) and plan.dialog == dialog(3)
    assert df2.x2(released(1)) == [] and of(MediaClose, df2.x2(released(2)))


def test_nobody_waits_for_what_was_asked_for_a_dialog_that_makes_room():
    df2 = mediation(bound=1)
    (query,) = of(KeyQuery, df2.x2(report(1, EXCHANGE)))
    df2.x2(report(2))
    assert df2.asked_for(query.query) is None and df2.keys(KeyAnswer(query.query, (), (REFUSED,)), NOW) == []


def test_what_ends_takes_its_questions_along():
    for end in (lambda df2: df2.x2(released(1)), lambda df2: df2.end("x")):
        df2 = mediation()
        (query,) = of(KeyQuery, df2.x2(report(1, EXCHANGE)))
        assert df2.asked_for(query.query) == dialog(1)
        end(df2)
        assert df2.asked_for(query.query) is None


# Failures


def key(octet: int) -> SessionKey:
    master = srtp.MasterKey(bytes((octet,)) * 16, bytes(14))
    return SessionKey(1, 0, None, None, None, srtp.AES_CM_128_HMAC_SHA1_80, master, proved=True)


def answered(df2: Mediation, outputs: list, *keys: SessionKey) -> list[Failure]:
    (query,) = of(KeyQuery, outputs)
    answer = KeyAnswer(query.query, keys, () if keys else (REFUSED,))
    return of(Failure, df2.keys(answer, NOW))


def test_a_failure_is_told_again_when_keys_have_come_since():
    """Live no frame tells one message from another: the same words may be about the next bundle."""
    df2 = mediation()
    rest = [TicketExchange(media, Side.CALLER, INIT, RESP) for media in (1, 2, 3)]
    assert [each.after for each in answered(df2, df2.x2(report(0, EXCHANGE)))] == [0]
    assert answered(df2, df2.x2(report(0, rest[0]))) == [], "it is known"
    assert answered(df2, df2.x2(report(0, rest[1])), key(1)) == []
    assert [each.after for each in answered(df2, df2.x2(report(0, rest[2])))] == [1]


def test_keys_of_the_description_count_as_well():
    df2 = mediation()
    bad = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short"
    failed = [of(Failure, df2.x2(report(0, lines=(line,)))) for line in (bad, bad, KEYS[0], bad, bad, KEYS[1], bad)]
    assert [[each.after for each in some if each.keys] for some in failed[:3]] == [[0, 0], [], []]
    assert [bool(some) for some in failed] == [True, False, False, True, False, False, True]


def test_what_is_remembered_of_one_dialog_is_bounded():
    """Its ends may change their keys as often as they like: each state is asked about once, while it is remembered."""
    df2 = mediation()
    questions = 0
    for number in range(1, 1_000):
        init = structs.replace(INIT, octets=INIT.octets[:-4] + number.to_bytes(4, "big"))
        outputs = df2.x2(report(0, structs.replace(EXCHANGE, init=init)))
        for query in (each for each in outputs if isinstance(each, KeyQuery)):
            questions += 1
            df2.keys(KeyAnswer(query.query, (key(1),), (f"reason {number}",)), NOW)
        assert not [
            each for each in df2.x2(report(0, structs.replace(EXCHANGE, init=init))) if isinstance(each, KeyQuery)
        ]
    (followed,) = df2._dialogs.values()
    assert questions == 999 and len(df2._queries) == 0
    assert (len(followed.asked), len(followed.bundles)) == (256, 256)
    assert len(followed.failures) == 256 and len(followed.told) <= 4_096 and len(followed.contexts) <= 8


def test_so_many_questions_about_one_dialog_are_under_way():
    df2 = mediation()
    outputs = []
    for number in range(1, 200):
        init = structs.replace(INIT, octets=INIT.octets[:-4] + number.to_bytes(4, "big"))
        outputs += df2.x2(report(0, structs.replace(EXCHANGE, init=init)))
    queries = [each.query for each in outputs if isinstance(each, KeyQuery)]
    (told,) = (each for each in outputs if isinstance(each, Failure))
    assert len(queries) == 64 and told.reason == ASKED_TOO_MUCH
    df2.keys(KeyAnswer(queries[0], (), ()), NOW)
    assert [each for each in df2.x2(report(0, structs.replace(EXCHANGE, init=init))) if isinstance(each, KeyQuery)]
