"""The link's state machine on a clock of its own (TS 102 232-1 6.3)."""

from __future__ import annotations

import pytest

from imswire import hi
from midcall.handover.link import FIRST_PDUS, FIRST_WINDOW, Link, LinkLost, TriNumbers
from midcall.handover.settings import LinkSettings
from tests.midcall.handover.world import SECOND, T0

CID = hi.CommunicationId(b"operator")
ACK = hi.Option.PDU_ACKNOWLEDGEMENT


def link(answered: bool = False, **settings: object) -> Link:
    return Link(LinkSettings(**settings), CID, TriNumbers(), answered)  # type: ignore[arg-type]


def tri(octets: bytes) -> hi.Payload:
    return hi.parse(octets).payload


def answer(octets: bytes, tri: hi.Tri, shift: int = 0) -> hi.PsPdu:
    header = hi.parse(octets).header
    return hi.PsPdu(hi.Header(header.liid, header.cid, header.sequence + shift), tri)


def test_the_option_is_asked_for_and_completed() -> None:
    made = link()
    request = made.start(0, T0)
    assert tri(request) == hi.OptionRequest((ACK,))
    assert hi.parse(request).header.liid == b"-"
    assert tri(made.received(answer(request, hi.OptionResponse((ACK,), ())), 1, T0)) == hi.OptionComplete()
    made.sent(1, 1_000, 2)
    assert tri(made.ask(2, T0)) == hi.AckRequest()


def test_when_it_is_declined_keep_alives_prove() -> None:
    made = link()
    request = made.start(0, T0)
    assert made.received(answer(request, hi.OptionResponse((), (ACK,))), 1, T0) == b""
    made.sent(1, FIRST_PDUS - 1, 2)
    assert made.ask(2, T0) == b""
    made.sent(2, 1, 2)
    question = made.ask(2, T0)
    assert tri(question) == hi.KeepAlive()
    made.sent(3, 5, 3)
    made.received(answer(question, hi.KeepAliveResponse()), 4, T0)
    assert made.released == 2


def test_questions_come_early_at_first_and_then_as_rarely_as_they_may() -> None:
    made = link()
    made.start(0, T0)
    asked, mark = [], 0
    for _ in range(8):
        pdus = 0
        while not (question := made.ask(mark, T0)):
            mark, pdus = mark + 1, pdus + 1
            made.sent(mark, 1, mark)
        asked.append(pdus)
        made.received(answer(question, hi.KeepAliveResponse()), mark, T0)
    assert asked == [32, 64, 128, 256, 512, 1_000, 1_000, 1_000]


def test_a_question_comes_a_second_after_the_first_pdu() -> None:
    made = link()
    made.start(0, T0)
    made.sent(1, 1, 10)
    assert made.next_deadline() == 10 + SECOND
    assert made.ask(10 + SECOND - 1, T0) == b""
    assert tri(made.ask(10 + SECOND, T0)) == hi.KeepAlive()


def test_an_answer_settles_earlier_questions_and_a_wrong_number_none() -> None:
    made = link(proof_pdus=1)
    made.start(0, T0)
    questions = []
    for mark in (1, 2, 3):
        made.sent(mark, 1, mark)
        questions.append(made.ask(mark, T0))
    made.received(answer(questions[0], hi.KeepAliveResponse(), 100), 5, T0)
    assert (made.released, made.strays) == (0, 1)
    made.received(answer(questions[1], hi.AckResponse()), 5, T0)
    assert (made.released, made.strays) == (0, 2)
    made.received(answer(questions[1], hi.KeepAliveResponse()), 5, T0)
    assert made.released == 2
    made.received(answer(questions[0], hi.KeepAliveResponse()), 5, T0)
    assert (made.released, made.strays) == (2, 3)


def test_an_idle_link_is_probed_after_time1_and_dropped_after_time3() -> None:
    made = link(answered=True)
    made.start(0, T0)
    assert made.next_deadline() == 120 * SECOND
    assert made.ask(120 * SECOND - 1, T0) == b""
    assert tri(made.ask(120 * SECOND, T0)) == hi.KeepAlive()
    made.tick(149 * SECOND, True)
    assert not made.late
    assert made.next_deadline() == 150 * SECOND
    made.tick(150 * SECOND, True)
    assert made.late
    assert made.next_deadline() == 180 * SECOND
    with pytest.raises(LinkLost, match="no answer within 60 s"):
        made.tick(180 * SECOND, True)


def test_an_acknowledgement_has_timers_of_its_own() -> None:
    made = link(proof="acknowledgement", time4=1.0, time5=2.0, time6=5.0)
    assert made.start(0, T0) == b""
    made.sent(1, 1, 0)
    assert made.next_deadline() == 5 * SECOND
    question = made.ask(5 * SECOND, T0)
    assert tri(question) == hi.AckRequest()
    made.tick(6 * SECOND, True)
    assert made.late
    with pytest.raises(LinkLost):
        made.tick(7 * SECOND, True)
    made.received(answer(question, hi.AckResponse()), 7 * SECOND, T0)
    assert made.released == 1


def test_a_lemf_that_never_answers_anything_is_served_by_tcps_word() -> None:
    made = link()
    made.start(0, T0)
    made.sent(1, 1_000, 0)
    made.ask(0, T0)
    made.tick(20 * SECOND, False)
    made.tick(20 * SECOND - 1, True)
    assert made.mode == "keep-alive"
    made.tick(20 * SECOND, True)
    assert (made.mode, made.unproved, made.released) == ("transport", True, 1)
    made.sent(2, 1, 61 * SECOND)
    assert made.ask(62 * SECOND, T0) == b""
    made.tick(62 * SECOND, False)
    assert made.released == 1
    made.tick(63 * SECOND, True)
    assert made.released == 2
    probe = made.ask(400 * SECOND, T0)
    assert tri(probe) == hi.KeepAlive()
    made.received(answer(probe, hi.KeepAliveResponse()), 400 * SECOND, T0)
    assert (made.mode, made.unproved) == ("keep-alive", False)


@pytest.mark.parametrize(("answered", "acked"), [(True, True), (False, False)])
def test_silence_of_one_who_has_answered_or_whose_host_is_gone_is_a_lost_link(answered: bool, acked: bool) -> None:
    made = link(answered)
    made.start(0, T0)
    made.sent(1, 1_000, 0)
    made.ask(0, T0)
    with pytest.raises(LinkLost):
        made.tick(60 * SECOND, acked)


def test_the_window_opens_with_answers_in_time() -> None:
    made = link(proof_pdus=1, window_octets=3 * FIRST_WINDOW)
    made.start(0, T0)
    for mark, late, expected in ((1, 29, 1), (2, 1, 2), (3, 1, 3)):
        made.sent(mark, 1, 0)
        question = made.ask(0, T0)
        made.received(answer(question, hi.KeepAliveResponse()), late * SECOND, T0)
        assert made.window == expected * FIRST_WINDOW


def test_a_talkative_lemf_is_cut_off() -> None:
    made = link(answers=3)
    request = made.start(0, T0)
    for _ in range(3):
        made.received(answer(request, hi.OperatorLeaMessage(1, b"x")), 1, T0)
    with pytest.raises(LinkLost, match="answer nothing"):
        made.received(answer(request, hi.KeepAlive()), 1, T0)


def test_at_the_end_a_question_is_asked_at_once() -> None:
    made = link()
    made.start(0, T0)
    assert made.urge(1, T0) == b""
    made.sent(1, 1, 1)
    assert tri(made.urge(1, T0)) == hi.KeepAlive()


def test_each_kind_of_tri_counts_on_over_connections() -> None:
    numbers = TriNumbers()
    settings = LinkSettings(proof_pdus=1)
    seen = []
    for _ in range(2):
        made = Link(settings, CID, numbers, True)
        seen.append(hi.parse(made.start(0, T0)).header.sequence)
        made.sent(1, 1, 0)
        seen.append(hi.parse(made.ask(0, T0)).header.sequence)
    assert seen == [0, 0, 1, 1]
