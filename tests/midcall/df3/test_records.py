"""Content as records: form, direction and communication; in clear or as captured."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import hi
from midcall.config import Profile
from midcall.df3 import ContentMediation, ContentRecords
from midcall.events import Instant, Side, Terms
from tests.midcall.df3.test_core import clear, context, packets, plan, protected

NOW = Instant(0, 0)


def content(*contexts, encrypted=False, target=Side.CALLER, count=3):
    df3 = ContentMediation()
    df3.plan(structs.replace(plan(*contexts), encrypted=encrypted, target=target, cin=7), NOW)
    return df3.packets(packets(*protected(count)))


def records(content, terms=None, profile=None):
    made = ContentRecords()
    made.order("x", terms or Terms("LI-1"), profile or Profile())
    return made.of(content)


def test_in_clear():
    made = records(content(context()))
    assert [record.payload for record in made] == [clear(1), clear(2), clear(3)]
    assert len({id(record.stream) for record in made}) == 1
    stream = made[0].stream
    assert (stream.liid, stream.cin, stream.direction) == ("LI-1", 7, hi.Direction.FROM_TARGET)
    assert isinstance(stream.form, hi.IpmmStream) and stream.form.frame_type == hi.FrameType.RTP
    assert b"m=audio" in stream.form.identifier and b"RTP/AVP" in stream.form.identifier


def test_as_captured_when_the_agency_decrypts():
    made = records(content(context()), Terms("LI-1", keys_to_lemf=True))
    assert [record.payload for record in made] == protected(3)
    assert b"RTP/SAVP" in made[0].stream.form.identifier


@pytest.mark.parametrize(
    ("target", "direction"), [(Side.CALLEE, hi.Direction.TO_TARGET), (None, hi.Direction.INDETERMINATE)]
)
def test_direction_is_seen_from_the_target(target, direction):
    assert records(content(context(), target=target))[0].stream.direction == direction


@pytest.mark.parametrize(("cc", "form"), [("voip", hi.VoipStream), ("ts33128", hi.Ts33128Stream)])
def test_forms(cc, form):
    made = records(content(context()), profile=Profile(cc=cc))
    assert isinstance(made[0].stream.form, form)


def test_without_any_key_as_captured_when_the_profile_says_so():
    held_back = content(encrypted=False)
    assert held_back == []
    passed = content(encrypted=True)
    assert [each.encrypted for each in passed] == [True] * 3
    assert [record.payload for record in records(passed)] == protected(3)
    stream = passed[0].stream
    assert (stream.packets, stream.unopened, stream.encrypted, stream.decrypted) == (3, 3, 3, 0)


def test_a_forged_packet_is_never_passed_on():
    df3 = ContentMediation()
    df3.plan(structs.replace(plan(context()), encrypted=True), NOW)
    good = df3.packets(packets(*protected(2)))
    assert len(good) == 2
    assert df3.packets(packets(clear(3))) == []
    assert good[0].stream.auth_failed == 1 and good[0].stream.encrypted == 0


def test_without_a_key_only_the_expected_source_is_content():
    df3 = ContentMediation()
    df3.plan(structs.replace(plan(), encrypted=True), NOW)
    assert len(df3.packets(packets(*protected(2)))) == 2
    assert df3.packets(packets(*protected(2), source="10.9.9.9")) == []


def test_content_of_a_task_without_an_order_gives_nothing():
    assert ContentRecords().of(content(context())) == []
