"""Several KMSs over one store, and who administers it beside them: each goes by what the others have written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imswire import mikey
from imswire.mikey import values as v
from midcall.base.seal import SealKey
from midcall.base.warrant import Known
from midcall.kms import Subscriber
from midcall.kms.shell.sealed import SealedStore, StoreError
from midcall.ue import lab
from tests.midcall import warrants
from tests.midcall.kms.place import Lab, Running, UserRefused, code

HOUR = 3_600_000_000_000
LIMIT = 20
NO_LAB = {"kms__lab_keys": '""'}
SEAL = bytes(range(32))


@contextmanager
def store(made: Lab) -> Iterator[SealedStore]:
    """Opened by another process, as far as SQLite knows."""
    found = SealedStore(made.folder / "kms.db", SealKey(bytes.fromhex((made.folder / "seal").read_text())))
    try:
        yield found
    finally:
        found.close()


def until(running: Running, count: int) -> None:
    """The service has read as many subscribers."""
    ends = time.monotonic() + LIMIT
    while running.do(lambda service: len(service.desk.kms.store.subscribers)) != count:
        assert time.monotonic() < ends
        running.do(lambda service: service.look())


def test_a_ticket_of_one_is_opened_by_the_other_at_once(made: Lab) -> None:
    """The first has turned its keys over a moment ago; nobody has looked since."""
    hours = {"kms__tpk": "{ticket_hours = 24, rotate_hours = 24, keep_hours = 48}"}
    with made.running() as first, made.running(**NO_LAB, **hours) as second:
        with store(made) as admin:
            admin.turn(made.clock().wall, 0, 48 * HOUR)
        seen, _ = first.call()
        name = mikey.tpk_id(mikey.parse(seen.init.octets).need(v.Ticket))
        assert name is not None and name != b"tpk-1"
        assert second.get_keys(seen)[0] == 200
        made.users["bob"].accept(second.ask, seen.init.octets, made.clock().wall, ())


def test_two_who_turn_the_keys_over_make_one_new(made: Lab) -> None:
    with made.running():
        pass
    with store(made) as one, store(made) as other:
        at = made.clock().wall + 24 * HOUR
        assert one.turn(at, 24 * HOUR, 48 * HOUR) and other.turn(at, 24 * HOUR, 48 * HOUR)
        assert one.tpks == other.tpks and len(one.tpks) == 2
        assert not other.turn(at, 24 * HOUR, 48 * HOUR)


def test_subscribers_that_come_and_go_beside_a_kms_that_runs(made: Lab) -> None:
    dave = lab.user("dave", made.draw)
    made.users["dave"] = dave
    with made.running() as running:
        with pytest.raises(UserRefused):
            running.call(owner="dave")
        with store(made) as admin:
            admin.put_subscribers((Subscriber((dave.uri,), dave.psk_id, dave.psk),))
            until(running, 4)
            running.call(owner="dave")
            admin.remove_subscribers((Subscriber((dave.uri,), dave.psk_id, dave.psk),))
            until(running, 3)
        with pytest.raises(UserRefused):
            running.call(owner="dave")
        running.call()


def test_many_subscribers_are_read_a_few_at_a_time(made: Lab) -> None:
    many = [Subscriber((f"sip:user{number}@example.com",), b"psk-%d" % number, bytes(16)) for number in range(1_000)]
    with made.running() as running:
        with store(made) as admin:
            admin.put_subscribers(many)
        running.do(lambda service: service.look())
        assert running.do(lambda service: len(service.desk.kms.store.subscribers)) == 3, "the former ones are served"
        until(running, 1_003)


def test_what_one_has_seen_revoked_holds_at_the_other_at_once(made: Lab) -> None:
    with made.running() as first, made.running(**NO_LAB) as second:
        seen, _ = first.call()
        assert first.get_keys(seen)[0] == second.get_keys(seen)[0] == 200
        ends = warrants.signed(warrants.revocation(2)).decode()
        assert code(first.get_keys(seen, warrant=ends)) == (403, "warrant", "revoked")
        assert code(second.get_keys(seen)) == (403, "warrant", "revoked")


def test_a_version_is_never_noted_over_a_later_one(tmp_path: Path) -> None:
    one, other = (SealedStore(tmp_path / "kms.db", SealKey(SEAL)) for _ in range(2))
    one.note("W-1", Known(2, "b"))
    with pytest.raises(StoreError, match="a later version"):
        other.note("W-1", Known(1, "a"))
    other.note("W-1", Known(3, "c", revoked=True))
    with pytest.raises(StoreError, match="a later version"):
        one.note("W-1", Known(4, "d"))
    assert one.known["W-1"] == Known(3, "c", True) and list(other.known) == ["W-1"] and len(one.known) == 1
    assert one.known.get("W-2") is None
    one.close()
    other.close()
