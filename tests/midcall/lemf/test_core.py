"""The receiving end's judgement: numbers, times, schema, integrity, answers; each finding names the PDU."""

from __future__ import annotations

from random import Random

import pytest

from imswire import hi
from imswire.hi import eps, ipmm
from imswire.hi.check import check
from midcall.lemf import Link, Rule, Rules, core, findings, integrity
from tests.midcall.lemf.deliverer import MILLI, NOW, Sender
from tests.midcall.lemf.memory import LATER, Lab, delivery


@pytest.mark.parametrize("form", ["ipmm", "voip", "33128"])
@pytest.mark.parametrize("piece", [1 << 16, 1_000, 7])
def test_a_delivery_in_order_is_stored_as_it_came_and_nothing_is_found(form, piece):
    sender, pdus = delivery(600, form)
    pdus += [sender.check(), sender.signature()]
    lab = Lab().take(pdus, piece=piece)
    assert lab.said() == []
    assert lab.stored == {"hi2": b"", "hi3": b"".join(pdus)}
    assert [packet for _, packet in lab.media] == [sender.rtp(n // 2, n % 2) for n in range(600)]
    assert [time for time, _ in lab.media] == [NOW + 20 * MILLI * n for n in range(600)]
    assert (lab.lemf.pdus, lab.lemf.checked, lab.lemf.uncovered) == (602, 600, 0)
    (call,) = lab.lemf.calls.values()
    assert (call.liid, call.cin, call.packets, len(call.streams)) == (b"LIID1", 1, 600, 2)
    assert call.seconds == pytest.approx(599 * 0.02)


def test_most_records_go_the_short_way(monkeypatch):
    _, pdus = delivery(600)
    lab = Lab()
    slow = []
    monkeypatch.setattr(Link, "_one", lambda self, octets, now, one=Link._one: slow.append(1) or one(self, octets, now))
    lab.take(pdus)
    assert len(lab.media) == 600 and len(slow) < 20


def test_iri_and_their_integrity_go_to_hi2():
    sender = Sender()
    pdus = [sender.iri(kind=hi.IriType.BEGIN), sender.iri(kind=hi.IriType.CONTINUE), sender.check(hi.DataType.IRI)]
    lab = Lab().take(pdus)
    assert lab.said() == [] and lab.stored == {"hi2": b"".join(pdus), "hi3": b""}
    (call,) = lab.lemf.calls.values()
    assert (call.state, call.event, call.keys) == ("running", "SIP BYE", False)
    assert lab.events == ["LIID LIID1 CIN 1: SIP BYE"] * 2


# Numbers (5.2.5)


def test_a_dropped_pdu_is_named():
    _, pdus = delivery()
    del pdus[41]
    assert Lab().take(pdus).said() == [("gap", "CC", 41)]


def test_several_dropped_pdus_are_one_range():
    _, pdus = delivery()
    del pdus[41:44]
    (found,) = Lab().take(pdus).end()
    assert (found.sequence, found.last, found.cin, found.liid) == (41, 43, 1, "LIID1")
    assert str(found) == "gap: LIID LIID1, CIN 1, CC 41 to 43: 3 of the sequence did not come"


def test_two_swapped_are_named():
    _, pdus = delivery()
    pdus[41], pdus[42] = pdus[42], pdus[41]
    assert Lab().take(pdus).said() == [("order", "CC", 41)]


def test_a_repeat_is_left_out_and_counted_apart():
    sender, pdus = delivery()
    lab = Lab().take([*pdus, *pdus[60:], sender.check(), *pdus[50:]])
    assert lab.said() == [] and lab.lemf.repeats == 90 and lab.lemf.doubled == 0
    assert lab.stored["hi3"].count(pdus[70]) == 1


def test_one_number_with_other_octets_is_doubled():
    sender, pdus = delivery()
    sender.numbers["CC"] = 50
    other = sender.cc(payload=b"\0" * 160)
    lab = Lab().take([*pdus, other])
    assert lab.said() == [("doubled", "CC", 50)]
    assert (lab.lemf.doubled, lab.lemf.repeats) == (1, 0)
    assert other in lab.stored["hi3"], "evidence of the fault"


def test_repeats_and_doubles_are_known_by_their_digests_when_the_octets_are_gone():
    sender = Sender()
    pdus = []
    for _ in range(20):
        pdus += [sender.cc() for _ in range(300)] + [sender.check()]
    lab = Lab().take(pdus)
    sender.numbers["CC"] = 5_000
    lab.take([pdus[5_020], sender.cc(payload=b"\0" * 160), pdus[5]])
    assert lab.lemf.repeats == 2
    assert lab.said() == [("doubled", "CC", 5_000)]


def test_a_sequence_begins_with_0():
    sender = Sender()
    sender.numbers["CC"] = 3
    (found,) = Lab().take(sender.cc()).end()
    assert (found.rule, found.sequence, found.last) == (Rule.GAP, 0, 2)


def test_iri_cc_and_tri_are_counted_apart_and_so_are_communications():
    one, two = Sender(cin=1), Sender(cin=2)
    nowhere = Sender(cin=None)
    pdus = [one.cc(), two.cc(), one.iri(), two.iri(), nowhere.iri(), one.check(), two.check()]
    assert Lab().take(pdus).said() == []


def test_numbers_wrap():
    sender = Sender()
    sender.numbers["CC"] = (1 << 32) - 3
    pdus = [sender.cc(time=NOW + n) for n in range(3)]
    sender.numbers["CC"] = 0
    pdus += [sender.cc(time=NOW + n) for n in range(3, 6)]
    pdus.append(sender.check())
    lab = Lab().take(pdus)
    found = lab.end()
    assert [each.rule for each in found] == [Rule.GAP] and found[0].last == (1 << 32) - 4
    assert lab.lemf.checked == 6


def test_a_cin_reset_lets_numbers_begin_anew():
    sender, pdus = delivery(5)
    reset = hi.build(hi.PsPdu(hi.Header(b"-", hi.CommunicationId(b"operator", None, 0), 0, NOW, "SE"), hi.CinReset()))
    again = Sender(begin=NOW + 10**9)
    lab = Lab().take([*pdus, reset, *(again.cc() for _ in range(5))])
    assert lab.said() == [] and lab.lemf.repeats == 0 and len(lab.media) == 10
    assert Lab().take([*pdus, *(Sender(begin=NOW + 10**9).cc() for _ in range(1))]).said() == [("doubled", "CC", 0)]
    assert sender.liid == again.liid


def test_integrity_checks_of_both_interfaces_may_overtake_each_other():
    sender = Sender()
    iri, cc = sender.iri(), sender.cc()
    first, second = sender.check(hi.DataType.CC), sender.check(hi.DataType.IRI)
    assert Lab().take([iri, cc, second, first]).said() == []


# Times (5.2.6)


def test_times_that_stand_out():
    sender = Sender()
    pdus = [sender.cc(time=NOW + each) for each in (0, 10**9, 10**9 // 2, 10**10, 10**9)]
    assert Lab().take(pdus).said() == [("time", "CC", 4)]
    sender = Sender()
    (found,) = Lab().take([sender.cc(time=LATER), sender.cc(time=LATER + 61 * 10**9)]).end()
    assert found.rule is Rule.TIME and found.sequence == 1 and "61.000 s before this receiver's clock" in found.text


# Schema


def test_a_record_that_breaks_the_module_is_named_and_kept():
    sender, pdus = delivery(10)
    at = pdus[6].index(b"\xa2", 60)  # payload
    pdus[6] = pdus[6][: at + 2] + b"\xb9" + pdus[6][at + 3 :]
    lab = Lab().take(pdus)
    assert lab.said() == [("schema", "payload [25]", 6), ("gap", "CC", 6)] or lab.said()[0][0] == "schema"
    assert lab.stored["hi3"] + lab.stored["hi2"] != b""
    assert sender.liid


def test_content_that_is_of_another_module_is_named():
    sender = Sender()
    good = sender.iri()
    oid = eps.build(eps.IriParameters(liid=b"LIID1", time=NOW, event=3))
    found = Lab().take([good, sender.iri(oid)]).end()
    assert [(each.rule, each.sequence) for each in found] == [(Rule.CONTENT, 1)]


def test_a_wrong_object_identifier_is_named():
    _, pdus = delivery(3)
    wrong = pdus[1].replace(bytes((5, 5, 13, 2)), bytes((5, 5, 13, 1)))
    assert wrong != pdus[1]
    found = Lab().take([pdus[0], wrong, pdus[2]]).end()
    assert {(each.payload, each.sequence) for each in found} == {("CC", 1)}


def test_a_stream_that_loses_its_boundaries_is_closed():
    _, pdus = delivery(5)
    lab = Lab().take([*pdus, b"\x31\x05hello"])
    assert "boundaries" in lab.closed
    (found,) = lab.end()
    assert (
        found.rule is Rule.FRAMING
        and "the last PS-PDU before: LIID LIID1, CIN 1, CC 4" in found.text
        and found.link == "df"
    )


def test_more_than_a_pdu_may_have_is_refused():
    lab = Lab().take(b"\x30\x84\x7f\xff\xff\xff" + bytes(100))
    assert lab.closed and lab.end()[0].rule is Rule.FRAMING


def test_indefinite_lengths_are_read_too():
    sender, pdus = delivery(3)
    outer = 4 if pdus[1][1] == 0x82 else 3
    loose = b"\x30\x80" + pdus[1][outer:] + b"\0\0"
    lab = Lab().take([pdus[0], loose, pdus[2]], piece=11)
    assert not lab.closed and len(lab.media) == 3
    assert {each.rule for each in lab.end()} <= {Rule.SCHEMA}
    assert sender.liid


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_comes_stops_the_receiver(seed):
    random = Random(seed)
    sender, pdus = delivery(60)
    pdus = [*pdus, sender.iri(), sender.check(), sender.signature(), sender.tri(hi.KeepAlive())]
    for _ in range(60):
        octets = bytearray(b"".join(pdus))
        for _ in range(3):
            octets[random.randrange(len(octets))] = random.randrange(256)
        Lab().take(bytes(octets), piece=random.choice((50, 5_000))).end()


# 6.3: keep-alive, options, acknowledgement


def test_answers_copy_the_number():
    sender, pdus = delivery(3)
    asked = [
        sender.tri(hi.OptionRequest((hi.Option.PDU_ACKNOWLEDGEMENT,)), 0),
        sender.tri(hi.OptionComplete(), 0),
        *pdus,
        sender.tri(hi.AckRequest(), 17),
        sender.tri(hi.KeepAlive(), 23),
    ]
    lab = Lab().take(asked)
    assert lab.said() == []
    assert [(type(each.payload), each.header.sequence) for each in lab.replies] == [
        (hi.OptionResponse, 0),
        (hi.AckResponse, 17),
        (hi.KeepAliveResponse, 23),
    ]
    assert lab.replies[0].payload == hi.OptionResponse((hi.Option.PDU_ACKNOWLEDGEMENT,), ())
    assert all(each.header.liid == b"LIID1" and each.header.time == LATER for each in lab.replies)
    assert lab.stored["hi3"] == b"".join(pdus), "what keeps a link going is not stored"


def test_an_option_may_be_declined():
    lab = Lab(Rules(acknowledge=False)).take(Sender().tri(hi.OptionRequest((hi.Option.PDU_ACKNOWLEDGEMENT,)), 0))
    assert lab.replies[0].payload == hi.OptionResponse((), (hi.Option.PDU_ACKNOWLEDGEMENT,))


def test_what_a_deliverer_is_not_to_send():
    sender = Sender()
    pdus = [
        sender.tri(hi.AckResponse(), 1),
        sender.tri(hi.KeepAlive(), 1),
        sender.tri(hi.KeepAlive(), 5),
        sender.tri(hi.TestPdu(), 4),
    ]
    found = Lab().take(pdus).end()
    assert [each.rule for each in found] == [Rule.LINK] * 3


def test_other_tri_are_taken():
    sender = Sender()
    message = hi.OperatorLeaMessage(hi.Priority.ERROR, b"maintenance\x1b[31m at 3")
    pdus = [sender.tri(each, 0) for each in (hi.TestPdu(), hi.Padding(b"xx"), message)]
    lab = Lab().take(pdus)
    assert lab.said() == [] and lab.events == ["message of the operator: maintenance\\x1b[31m at 3"]


# Bounds


def test_no_more_liids_than_the_table_has(monkeypatch):
    monkeypatch.setattr(core, "INTERCEPTS", 4)
    lab = Lab().take([Sender(b"L%d" % n).cc() for n in range(5)])
    assert lab.closed == "more than 3 LIIDs of one deliverer" and lab.end()[0].rule is Rule.LIMIT
    assert len(lab.lemf.intercepts) == 3


def test_a_sequence_that_had_to_go_is_told(monkeypatch):
    monkeypatch.setattr(core, "CONTEXTS", 3)
    lab = Lab().take([Sender(cin=n).cc() for n in range(5)])
    assert [each.rule for each in lab.end()] == [Rule.LIMIT] * 2
    assert len(lab.lemf.contexts) == 3


def test_a_flood_of_findings_is_cut_short():
    sender = Sender()
    pdus = []
    for _ in range(400):
        pdus.append(sender.cc())
        sender.numbers["CC"] += 1
    lab = Lab().take(pdus)
    told = lab.end()
    assert len(told) == 257 and "counted only" in told[-1].text and lab.lemf.findings.counts["gap"] == 399


def test_garbage_of_a_link_is_told_a_few_times_and_counted():
    lab = Lab().take(b"\x30\x00" * 201)  # the last one waits: so few octets may be the beginning of more
    assert lab.lemf.findings.counts == {"schema": 200}
    *told, last = lab.end()
    assert len(told) == findings.MAX_LINK and {each.link for each in (*told, last)} == {"df"}
    assert "counted only" in last.text


def test_a_link_that_sends_nothing_but_garbage_is_closed():
    lab = Lab().take(b"\x30\x00" * 400)
    assert lab.closed == "more than 256 PS-PDUs that cannot be read" and lab.lemf.findings.counts["schema"] == 256


@pytest.mark.parametrize("turn", [1, 3, 5, 1_000])
@pytest.mark.parametrize("loose", [False, True])
def test_turns_of_a_link_leave_nothing_out(turn, loose):
    pdus = [Sender(b"L%d" % number).cc() for number in range(10)]
    behind = b""
    if loose:
        outer = 2 if pdus[0][1] < 0x80 else 2 + pdus[0][1] - 0x80
        pdus[0] = b"\x30\x80" + pdus[0][outer:] + b"\0\0"
        behind = b"no PS-PDU"
    lemf = core.Lemf()
    link = Link(lemf, "df", turn=turn)
    kept: list[bytes] = []
    batch = link.receive(b"".join(pdus) + behind, LATER)
    while True:
        fresh = [each for intercept in batch.stored for each in intercept.hi3]
        assert len(fresh) <= turn
        kept += fresh
        for intercept in batch.stored:
            intercept.hi3.clear()
        if not batch.more:
            break
        batch = link.receive(b"", LATER)
    assert sorted(kept) == sorted(pdus) and lemf.pdus == 10
    assert bool(batch.close) is loose


def test_streams_beyond_the_bound_are_stored_but_are_no_media(monkeypatch):
    monkeypatch.setattr("midcall.lemf.calls.MAX_STREAMS", 2)
    sender = Sender()
    pdus = []
    for n in range(4):
        number = sender.numbers["CC"]
        contents = ipmm.build_cc(ipmm.IpmmCc(sender.rtp(n, 0), hi.FrameType.RTP, b"m=audio %d" % n))
        pdus.append(hi.build(hi.PsPdu(sender.header("CC"), (hi.Cc(0, contents),))))
        assert number == n
    lab = Lab().take(pdus)
    assert [each.rule for each in lab.end()] == [Rule.LIMIT] * 2
    assert len(lab.media) == 2 and lab.stored["hi3"] == b"".join(pdus)


def test_memory_of_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(core, "HELD_OCTETS", 10_000)
    _, pdus = delivery(100)
    lab = Lab().take(pdus)
    lab.lemf.deadline(LATER)
    assert lab.lemf.uncovered == 0
    assert [each[0] for each in lab.said()] == ["hash-unchecked"]


def test_a_block_is_bounded(monkeypatch):
    monkeypatch.setattr(integrity, "MAX_BLOCK", 20)
    sender, pdus = delivery(30)
    lab = Lab().take([*pdus, sender.check()])
    (context,) = [each for each in lab.lemf.contexts.values() if each.key.payload == "CC"]
    assert lab.said() == [] and not context.block


@pytest.mark.parametrize("form", ["ipmm", "voip", "33128"])
def test_what_goes_the_short_way_breaks_no_rule(monkeypatch, form):
    """A record after others of its stream, with octets changed: taken at speed only where nothing is wrong."""
    sender = Sender()
    before = [sender.cc(form=form) for _ in range(12)]
    last = sender.cc(form=form)
    slow: list[bytes] = []
    real = Link._one
    monkeypatch.setattr(Link, "_one", lambda self, octets, now: slow.append(octets) or real(self, octets, now))
    lab = Lab().take(before)
    (context,) = lab.lemf.contexts.values()
    random, short = Random(form), 0
    packet = range(last.index(b"SSR") - 8, last.index(b"SSR") + 164)
    for _ in range(600):
        changed = bytearray(last)
        for _ in range(random.choice((1, 1, 1, 2))):
            place = random.randrange(len(changed))
            while place in packet:
                place = random.randrange(len(changed))
            changed[place] ^= 1 << random.randrange(8)
        slow.clear()
        context.next, context.last_time, context.faulty, context.outlier = 12, 0, 0, None
        context.missing.clear()
        context.fresh.pop(12, None)
        link = Link(lab.lemf, "df")
        link.receive(bytes(changed), LATER)
        if not slow and link.pdus and not link.pending:
            short += 1
            header = hi.parse(bytes(changed)).header
            assert (header.liid, header.cid, header.sequence) == (b"LIID1", sender.cid, 12)
            assert [str(each) for each in check(bytes(changed))] == []
    assert short > 20


def test_other_widths_of_numbers_are_learnt_without_the_tables(monkeypatch):
    """Times in steps of 20 ms have three widths of microseconds, numbers up to three in an hour."""
    slow: list[bytes] = []
    real = Link._one
    monkeypatch.setattr(Link, "_one", lambda self, octets, now: slow.append(octets) or real(self, octets, now))
    _, pdus = delivery(1_000)
    assert Lab().take(pdus).said() == [] and len(slow) == 2


def test_a_stream_whose_records_are_all_faulty_is_told_and_then_taken_at_speed(monkeypatch):
    slow: list[bytes] = []
    real = Link._one
    monkeypatch.setattr(Link, "_one", lambda self, octets, now: slow.append(octets) or real(self, octets, now))
    _, pdus = delivery(1_000)
    wrong = [each.replace(bytes((5, 5, 13, 2)), bytes((5, 5, 13, 1))) for each in pdus]
    lab = Lab().take(wrong)
    found = [each for each in lab.end() if each.rule is Rule.CONTENT]
    assert len(found) == 257 and found[5].sequence == 5 and "counted only" in found[-1].text
    assert len(lab.media) == 1_000 and len(slow) < 300


@pytest.mark.parametrize("seed", range(2))
def test_records_of_any_form_changed_in_any_way(seed):
    """Records of three forms under one CIN, each changed within lengths that still hold."""
    random = Random(seed)
    sender = Sender()
    pdus = [sender.cc(form=form) for form in ("ipmm", "voip", "33128") for _ in range(8)]
    pdus += [sender.check(), sender.signature(), sender.iri(), sender.tri(hi.CinReset(), 0)]
    for _ in range(80):
        changed = list(pdus)
        for _ in range(random.choice((1, 2, 5))):
            place = random.randrange(len(pdus))
            octets = bytearray(changed[place])
            start = 2 if octets[1] < 0x80 else octets[1] - 0x80 + 2
            body = octets[start:]
            body[random.randrange(len(body))] = random.choice((0, 1, 0x7F, 0x80, 0x82, random.randrange(256)))
            if random.random() < 0.3:
                del body[random.randrange(len(body)) :]
            changed[place] = b"\x30\x82" + len(body).to_bytes(2, "big") + body
        Lab().take(changed, piece=random.choice((400, 1 << 16))).end()
