"""Of what a tap brings at once the packets of one call are taken together, in the order in which they came."""

from __future__ import annotations

from msgspec import structs

from imswire.sdp import Endpoint
from midcall.config import Profile
from midcall.df3 import ContentMediation, ContentRecords
from midcall.events import Cc, DialogId, Instant, MediaPacket, Side, TapPacket, Terms
from tests.midcall.df3.test_core import SECOND, clear, context, flow, packets, plan, protected
from tests.midcall.df3.test_short import told

NOW = Instant(0, 0)
CALLS = 3


def ends(call: int) -> tuple[Endpoint, Endpoint]:
    return Endpoint(f"10.2.0.{call}", 4000), Endpoint(f"10.1.0.{call}", 4000)


def armed() -> tuple[ContentMediation, ContentRecords]:
    df3, records = ContentMediation(), ContentRecords()
    records.order("x", Terms("LI-x"), Profile())
    for call in range(CALLS):
        callee, caller = ends(call)
        flows = flow(to=callee), flow(sender=Side.CALLEE, to=caller)
        made = structs.replace(plan(context(), flows=flows), cin=call, dialog=DialogId(f"c{call}", "a", "b"))
        df3.plan(made, NOW)
    return df3, records


def mixed(count: int) -> list[MediaPacket]:
    """A packet of each stream after the other, as lines bring them."""
    streams = [
        packets(*protected(count), to=to, source=source.address)
        for call in range(CALLS)
        for to, source in (ends(call), ends(call)[::-1])
    ]
    rounds = [each for together in zip(*streams, strict=True) for each in together]
    return [each._replace(time=SECOND + number, frame=0) for number, each in enumerate(rounds)]


def of_calls(records: list[Cc]) -> dict[int, list[tuple[int, bytes]]]:
    found: dict[int, list[tuple[int, bytes]]] = {}
    for time, stream, payload in records:
        found.setdefault(stream.cin, []).append((time, payload))
    return found


def taken(*batches: list[TapPacket]) -> list[Cc]:
    df3, records = armed()
    return [record for batch in batches for record in df3.media(batch, records)]


def test_the_records_of_a_call_stand_together_each_with_its_time():
    batch = [told(each) for each in mixed(4)]
    made = taken(batch)
    assert [stream.cin for _, stream, _ in made] == [0] * 8 + [1] * 8 + [2] * 8
    times = [[time for time, _ in each] for each in of_calls(made).values()]
    assert all(each == sorted(each) for each in times), "both directions as they came"
    assert sorted(time for time, _, _ in made) == [time for time, *_ in batch]


def test_a_call_has_the_same_records_however_its_packets_come():
    given = [told(each) for each in mixed(6)]
    alone = [[each] for each in given]
    halves = [given[:17], given[17:]]
    assert of_calls(taken(given)) == of_calls(taken(*alone)) == of_calls(taken(*halves))
    df3, records = armed()
    assert of_calls(taken(given)) == of_calls(list(records.of(df3.packets(mixed(6)))))


def test_what_goes_elsewhere_is_left_out():
    stranger = packets(*protected(2), to=Endpoint("10.3.0.1", 4000))
    made = taken([told(each) for each in [*stranger, *mixed(1)]])
    assert len(made) == 2 * CALLS and {payload for *_, payload in made} == {clear(1)}


def test_a_place_that_nothing_is_wanted_from_any_more():
    df3, records = armed()
    for call in range(CALLS):
        df3.close("x", DialogId(f"c{call}", "a", "b"), NOW, linger=False)
    assert df3.media([told(each) for each in mixed(1)], records) == []
    assert df3._batches._calls == {} == df3._batches.short
