"""Several tasks at one place: each gets what its own warrant and keys give, and nothing of the others."""

from __future__ import annotations

from msgspec import structs

from imswire import srtp
from midcall.df3 import ContentMediation
from midcall.events import CryptoContext, DialogId, Instant
from tests.midcall.df3.test_core import SECOND, clear, context, packets, plan, protected

NOW = Instant(0, 0)
OTHER = DialogId("other@lab", "o1", "o2")


def under(xid: str, *contexts: CryptoContext, **changes):
    return structs.replace(plan(*contexts), xid=xid, **changes)


def by_task(content) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for each in content:
        found.setdefault(each.stream.xid, []).append(each.payload)
    return found


def test_two_tasks_on_one_call_get_the_same_content_apart():
    df3 = ContentMediation()
    df3.plan(under("a", context()), NOW)
    df3.plan(under("b", context(), cin=2), NOW)
    content = df3.packets(packets(*protected(3)))
    assert by_task(content) == {"a": [clear(1), clear(2), clear(3)], "b": [clear(1), clear(2), clear(3)]}
    assert {each.stream.cin for each in content} == {1, 2}
    df3.finish()
    for finished in df3.take_finished():
        (stream,) = finished.streams
        assert (stream.packets, stream.decrypted, stream.auth_failed) == (3, 3, 0)


def test_each_window_is_its_own():
    df3 = ContentMediation()
    df3.plan(under("a", context(), end=2 * SECOND), NOW)
    df3.plan(under("b", context(), start=2 * SECOND), NOW)
    first = df3.packets(packets(*protected(2), at=SECOND))
    later = df3.packets(packets(*protected(4)[2:], at=3 * SECOND))
    assert by_task(first) == {"a": [clear(1), clear(2)]}
    assert by_task(later) == {"b": [clear(3), clear(4)]}


def test_a_task_without_keys_gets_nothing_from_another_that_has_them():
    df3 = ContentMediation()
    df3.plan(under("a", context()), NOW)
    df3.plan(under("b"), NOW)
    assert by_task(df3.packets(packets(*protected(2)))) == {"a": [clear(1), clear(2)]}
    df3.plan(under("b", context()), NOW)
    assert by_task(df3.packets(packets(*protected(3)[2:]))) == {"a": [clear(3)], "b": [clear(3)]}


def test_what_waits_for_the_keys_of_one_task_is_held_for_it_alone():
    df3 = ContentMediation()
    df3.plan(under("a", context()), NOW)
    df3.plan(under("b", awaiting=True), NOW)
    assert by_task(df3.packets(packets(*protected(2)))) == {"a": [clear(1), clear(2)]}
    assert by_task(df3.plan(under("b", context()), NOW)) == {"b": [clear(1), clear(2)]}


def test_two_calls_at_one_place_under_two_tasks_do_not_fail_each_other():
    other = srtp.MasterKey(b"\1" * 16, b"\2" * 14)
    theirs = structs.replace(context(), key=structs.replace(context().key, master=other, ssrc=None))
    df3 = ContentMediation()
    df3.plan(under("a", context()), NOW)
    df3.plan(under("b", theirs, dialog=OTHER), NOW)
    sender = srtp.Protector(srtp.AES_CM_128_HMAC_SHA1_80, other)
    mixed = [*protected(2), sender.protect(clear(7, 99)), sender.protect(clear(8, 99))]
    content = df3.packets(packets(*mixed))
    assert by_task(content) == {"a": [clear(1), clear(2)], "b": [clear(7, 99), clear(8, 99)]}
    df3.packets(packets(b"\x80\0\0\5" + bytes(4) + b"\0\0\0\7" + bytes(60)))
    df3.finish()
    failed = {f.xid: sum(s.auth_failed for s in f.streams) for f in df3.take_finished()}
    assert failed == {"a": 1, "b": 1}, "a packet of neither counts with both, one of the other with none"


def test_the_end_of_one_task_is_not_that_of_another():
    df3 = ContentMediation()
    df3.plan(under("a", context()), NOW)
    df3.plan(under("b", context()), NOW)
    df3.packets(packets(*protected(1)))
    df3.close("a", plan().dialog, NOW, linger=False)
    assert by_task(df3.packets(packets(*protected(2)[1:]))) == {"b": [clear(2)]}
    df3.close("b", plan().dialog, NOW, linger=False)
    assert df3.packets(packets(*protected(3)[2:])) == [] and not df3.tapped(packets(b"")[0].place)


def test_plain_rtp_at_a_place_of_two_calls_is_refused():
    """Without a tag nobody can say whose it is."""
    plain = structs.replace(plan().flows[0], secure=False, expected_source=None)
    df3 = ContentMediation()
    df3.plan(under("a", flows=(plain,)), NOW)
    df3.plan(under("b", flows=(plain,), dialog=OTHER), NOW)
    assert df3.packets(packets(clear(1), source="10.7.7.7")) == []
