"""Packets under a new key that come a moment before the message that brought it."""

from __future__ import annotations

import pytest
from msgspec import structs

from imswire import srtp
from midcall.df3 import ContentMediation, Df3Limits
from midcall.events import CryptoContext, Instant
from tests.midcall.df3.test_core import SECOND, clear, context, packets, plan, protected

NEW_MASTER = b"n" * 16, b"s" * 14
MILLISECOND = 1_000_000


def newer() -> CryptoContext:
    key = structs.replace(context().key, master=srtp.MasterKey(*NEW_MASTER))
    return structs.replace(context(), order=2, key=key)


def under_new_key(first: int, count: int) -> list[bytes]:
    sender = srtp.Protector(srtp.AES_CM_128_HMAC_SHA1_80, srtp.MasterKey(*NEW_MASTER))
    return [sender.protect(clear(seq)) for seq in range(first, first + count)]


def tapped(encrypted: bool = False, limits: Df3Limits | None = None) -> ContentMediation:
    df3 = ContentMediation(limits)
    df3.plan(structs.replace(plan(context()), encrypted=encrypted), Instant(0, 0))
    assert len(df3.packets(packets(*protected(4)))) == 4
    return df3


def rekeyed(df3: ContentMediation, at: int, encrypted: bool = False, *, awaiting: bool = False) -> list[bytes]:
    contexts = (context(),) if awaiting else (context(), newer())
    changed = structs.replace(plan(*contexts, awaiting=awaiting), encrypted=encrypted)
    return [each.payload for each in df3.plan(changed, Instant(at, at))]


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_they_are_opened_when_it_has_been_read(encrypted, asked):
    df3 = tapped(encrypted)
    assert df3.packets(packets(*under_new_key(5, 3), at=2 * SECOND)) == []
    at = 2 * SECOND + 100 * MILLISECOND
    if asked:
        assert rekeyed(df3, at, encrypted, awaiting=True) == []
        at += SECOND
    assert rekeyed(df3, at, encrypted) == [clear(5), clear(6), clear(7)]
    assert [each.payload for each in df3.packets(packets(*under_new_key(8, 1), at=at))] == [clear(8)]
    assert df3.finish() == [] and df3.take_failures() == []
    (finished,) = df3.take_finished()
    (stream,) = finished.streams
    assert (stream.packets, stream.decrypted, stream.auth_failed, stream.encrypted) == (8, 8, 0, 0)


def test_one_that_came_too_long_before_stays_what_it_was():
    df3 = tapped()
    assert df3.packets(packets(*under_new_key(5, 1), at=2 * SECOND)) == []
    assert rekeyed(df3, 2 * SECOND + 201 * MILLISECOND) == []
    df3.finish()
    (failure,) = df3.take_failures()
    assert failure.missing and failure.reason.startswith("1 packets ")


def test_no_more_than_so_many_are_kept_and_what_is_forged_stays_out():
    df3 = tapped(limits=Df3Limits(early_packets=3))
    forged = [each[:-1] + bytes((each[-1] ^ 1,)) for each in under_new_key(5, 2)]
    early = under_new_key(5, 3)
    assert df3.packets(packets(early[0], forged[0], early[1], early[2], at=2 * SECOND)) == []
    assert rekeyed(df3, 2 * SECOND) == [clear(6), clear(7)]
    df3.finish()
    (finished,) = df3.take_finished()
    assert [(each.decrypted, each.auth_failed) for each in finished.streams] == [(6, 2)]


def test_what_went_over_as_captured_goes_over_once():
    df3 = tapped(encrypted=True, limits=Df3Limits(lost_after=2, doubted_of=3))
    wire = under_new_key(5, 3)
    assert [each.payload for each in df3.packets(packets(*wire, at=2 * SECOND))] == wire
    assert rekeyed(df3, 2 * SECOND, encrypted=True) == []
    assert df3.finish() == []


def test_where_no_key_has_opened_anything_nothing_waits():
    df3 = ContentMediation()
    df3.plan(plan(context()), Instant(0, 0))
    df3.packets(packets(*under_new_key(5, 3)))
    assert rekeyed(df3, SECOND) == []


def test_what_is_kept_is_bounded_in_all_and_let_go_with_its_place():
    df3 = tapped(limits=Df3Limits(early_octets_in_all=400))
    waiting = df3._waiting
    assert df3.packets(packets(*under_new_key(5, 3), at=2 * SECOND)) == []
    assert waiting.early == 2 * 182
    assert df3.packets(packets(*under_new_key(9, 1), at=3 * SECOND)) == [] and waiting.early == 182
    assert rekeyed(df3, 3 * SECOND) == [clear(9)] and waiting.early == 0
    assert df3.packets(packets(clear(99), at=3 * SECOND)) == [] and waiting.early > 0
    df3.finish()
    assert waiting.early == 0


NEW_SENDER = 0xBEEF


def from_new_sender(first: int, count: int) -> list[bytes]:
    """Its key and its SSRC are new."""
    sender = srtp.Protector(srtp.AES_CM_128_HMAC_SHA1_80, srtp.MasterKey(*NEW_MASTER))
    return [sender.protect(clear(seq, NEW_SENDER)) for seq in range(first, first + count)]


def of_new_sender(df3: ContentMediation):
    df3.finish()
    (finished,) = df3.take_finished()
    return next(each for each in finished.streams if each.ssrc == NEW_SENDER)


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("late", [100 * MILLISECOND, 5 * SECOND])
def test_a_new_sender_waits_for_its_key_and_nothing_of_it_goes_over_encrypted(asked, late):
    """RFC 3711 3.2.3: another SSRC is another context. What a key may still open does not go over as captured."""
    df3 = tapped(encrypted=True)
    wire = from_new_sender(7, 20)
    assert df3.packets(packets(*wire, at=2 * SECOND)) == []
    at = 2 * SECOND + late
    if asked:
        assert rekeyed(df3, at, encrypted=True, awaiting=True) == []
    given = structs.replace(newer(), key=structs.replace(newer().key, ssrc=None))
    changed = structs.replace(plan(context(), given), encrypted=True)
    assert [each.payload for each in df3.plan(changed, Instant(at, at))] == [clear(n, NEW_SENDER) for n in range(7, 27)]
    assert df3.take_failures() == []
    stream = of_new_sender(df3)
    assert (stream.packets, stream.decrypted, stream.auth_failed, stream.encrypted) == (20, 20, 0, 0)


def test_a_new_sender_whose_key_does_not_come_goes_over_as_captured_after_so_many():
    df3 = tapped(encrypted=True, limits=Df3Limits(lost_after=5, doubted_of=8))
    wire = from_new_sender(7, 8)
    assert [each.payload for each in df3.packets(packets(*wire[:4], at=2 * SECOND))] == []
    other = structs.replace(newer(), key=structs.replace(newer().key, master=srtp.MasterKey(b"o" * 16, b"s" * 14)))
    changed = structs.replace(plan(context(), other), encrypted=True)
    assert df3.plan(changed, Instant(3 * SECOND, 3 * SECOND)) == [], "the key of another sender"
    assert [each.payload for each in df3.packets(packets(*wire[4:7], at=3 * SECOND))] == wire[:7]
    (failure,) = df3.take_failures()
    assert failure.reason.startswith("none of the session's keys opens the media")
    given = structs.replace(newer(), order=3, key=structs.replace(newer().key, ssrc=None))
    changed = structs.replace(plan(context(), other, given), encrypted=True)
    assert df3.plan(changed, Instant(4 * SECOND, 4 * SECOND)) == [], "once is enough"
    assert [each.payload for each in df3.packets(packets(wire[7], at=4 * SECOND))] == [clear(14, NEW_SENDER)]
    stream = of_new_sender(df3)
    assert (stream.packets, stream.decrypted, stream.encrypted) == (8, 1, 7)


def test_the_few_packets_of_a_new_sender_go_over_at_the_end():
    df3 = tapped(encrypted=True)
    wire = from_new_sender(7, 3)
    assert df3.packets(packets(*wire, at=2 * SECOND)) == []
    assert [each.payload for each in df3.finish()] == wire


def test_what_its_key_does_not_open_of_a_new_sender_goes_over_as_it_came():
    """As without waiting: here a packet that was damaged on its way."""
    df3 = tapped(encrypted=True)
    wire = from_new_sender(7, 3)
    wire[1] = wire[1][:-1] + bytes((wire[1][-1] ^ 1,))
    assert df3.packets(packets(*wire, at=2 * SECOND)) == []
    given = structs.replace(newer(), key=structs.replace(newer().key, ssrc=None))
    changed = structs.replace(plan(context(), given), encrypted=True)
    found = [each.payload for each in df3.plan(changed, Instant(2 * SECOND, 2 * SECOND))]
    assert sorted(found) == sorted([clear(7, NEW_SENDER), wire[1], clear(9, NEW_SENDER)])
