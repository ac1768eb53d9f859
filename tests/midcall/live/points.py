"""Points of a call at which a warrant may come into force: real calls on loopback, step by step.

A point is a generator: it brings its call to the point, yields once where the task is to be activated and once where
it is to be ended, and hangs up. What it yields keeps the call going meanwhile; None: nothing is said.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import NamedTuple

from midcall.ue import lab, sdes
from midcall.ue.party import Party
from midcall.ue.ticket import srtp_key
from tests.midcall.live.scene import Line, Scene

Steps = Iterator[Callable[[], None] | None]
LATE = 65_480  # a sequence number that soon comes round
SUITE = "AES_CM_128_HMAC_SHA1_80"


class Point(NamedTuple):
    """``starts``: offer and answer of each event of the start, as method and status with method.

    ``targets``: 0 the caller, 1 the callee of the first line, each with its keys mode. ``asks``: whether the KMS is.
    """

    steps: Callable[[Scene], Steps]
    starts: tuple[tuple[str, str | None], ...]
    targets: tuple[tuple[int, str], ...]
    asks: bool
    opened: bool

    @property
    def name(self) -> str:
        return self.steps.__name__


POINTS: list[Point] = []
_ANSWERED = ("INVITE", "200 INVITE")
_CALLER = ((0, "decrypt"),)


def point(
    *starts: tuple[str, str | None],
    targets: tuple[tuple[int, str], ...] = _CALLER,
    asks: bool = True,
    opened: bool = True,
) -> Callable[[Callable[[Scene], Steps]], Callable[[Scene], Steps]]:
    def register(steps: Callable[[Scene], Steps]) -> Callable[[Scene], Steps]:
        POINTS.append(Point(steps, starts, targets, asks, opened))
        return steps

    return register


def goes_on(line: Line) -> Steps:
    """The rest of a call at whose point both talk."""
    yield line.talking
    line.talk(0.2)
    yield line.talking
    line.talk(0.1)
    line.hang_up()


# Before the answer


@point(("INVITE", None))
def nobody_has_answered(scene: Scene) -> Steps:
    line = scene.line()
    number = line.invite()
    line.response("100 Trying", "INVITE", number, line.callee, tag=False)
    yield None
    line.answer("180 Ringing", number, body="")
    line.answer("200 OK", number)
    line.request("ACK", line.caller, number=number)
    line.talk(0.2)
    yield line.talking
    line.hang_up()


@point(("INVITE", None), ("INVITE", None))
def two_forks_ring(scene: Scene) -> Steps:
    line = scene.line()
    number = _to_both(scene, line)
    other = scene.fork(line, scene.carol)
    line.answer("180 Ringing", number, body="")
    other.answer("180 Ringing", number, body="")
    yield None
    other.answer("200 OK", number)
    other.request("ACK", other.caller, number=number)
    other.talk(0.2)
    yield other.talking
    other.hang_up()


@point(("INVITE", "183 INVITE"))
def early_media(scene: Scene) -> Steps:
    line = scene.line()
    number = line.invite()
    line.answer("183 Session Progress", number)
    line.talk(0.1, only=line.callee)
    yield lambda: line.talk(0.02, only=line.callee)
    line.answer("200 OK", number, body="")
    line.request("ACK", line.caller, number=number)
    line.talk(0.2)
    yield line.talking
    line.hang_up()


@point(("INVITE", "183 INVITE"), ("INVITE", "183 INVITE"))
def early_media_of_two_forks(scene: Scene) -> Steps:
    line = scene.line()
    number = _to_both(scene, line)
    other = scene.fork(line, scene.carol)
    for each in (line, other):
        answer = each.sdp(each.callee, each.accept())
        each.callee.senders[0].key(*srtp_key(each.answers[0].session_keys()[2]))
        each.response("183 Session Progress", "INVITE", number, each.callee, answer)

    def both() -> None:
        for each in (line, other):
            each.talk(0.02, only=each.callee)

    both()
    yield both
    line.answer("200 OK", number, body="")
    line.request("ACK", line.caller, number=number)
    line.caller.senders[0].key(*srtp_key(line.bundles[0].session_keys()[1]))
    line.talk(0.2)
    yield line.talking
    line.hang_up()


def _to_both(scene: Scene, line: Line) -> int:
    """INVITE with a ticket that Bob and Carol may resolve."""
    offer = line.offer(line.ticket("DEFGHINO", scene.bob.uri, scene.carol.uri))
    return line.request("INVITE", line.caller, line.sdp(line.caller, offer), initial=True)


@point(("INVITE", "183 INVITE"))
def a_reliable_answer_before_its_prack(scene: Scene) -> Steps:
    line = scene.line()
    number = line.invite()
    line.answer("183 Session Progress", number)
    yield None
    prack = line.request("PRACK", line.caller)
    line.answer("200 OK", prack, "PRACK", body="")
    line.talk(0.1)
    line.answer("200 OK", number, body="")
    line.request("ACK", line.caller, number=number)
    line.talk(0.1)
    yield line.talking
    line.hang_up()


@point(("UPDATE", "200 UPDATE"))
def an_update_before_the_answer(scene: Scene) -> Steps:
    """The early session is moved by UPDATE (RFC 3311)."""
    line = scene.line()
    number = line.invite()
    line.answer("183 Session Progress", number)
    prack = line.request("PRACK", line.caller)
    line.answer("200 OK", prack, "PRACK", body="")
    _moved(scene, line, "UPDATE", line.caller)
    line.talk(0.1)
    yield line.talking
    line.answer("200 OK", number, body="")
    line.request("ACK", line.caller, number=number)
    line.talk(0.1)
    yield line.talking
    line.hang_up()


def _moved(scene: Scene, line: Line, method: str, sender: Party) -> None:
    """``sender`` takes its media to another port."""
    receiver = line.callee if sender is line.caller else line.caller
    sender.rtp_port = scene.wire.open(sender.address, even=True)
    line.version += 1
    number = line.request(method, sender, line.sdp(sender, []))
    line.response("200 OK", method, number, receiver, line.sdp(receiver, []))
    if method == "INVITE":
        line.request("ACK", sender, number=number)


# After the answer


@point(_ANSWERED)
def answered_without_an_ack_yet(scene: Scene) -> Steps:
    line = scene.line()
    number = line.invite()
    line.answer("200 OK", number)
    yield None
    line.request("ACK", line.caller, number=number)
    line.talk(0.2)
    yield line.talking
    line.hang_up()


@point(_ANSWERED)
def both_talk(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.2)
    yield from goes_on(line)


@point(_ANSWERED, targets=((1, "decrypt"),))
def the_callee_is_the_target(scene: Scene) -> Steps:
    line = scene.line()
    line.connect("DEFGHINO")
    line.talk(0.2)
    yield from goes_on(line)


@point(_ANSWERED, targets=((0, "decrypt"), (1, "decrypt")))
def both_parties_are_targets(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.2)
    yield from goes_on(line)


@point(_ANSWERED, targets=((0, "decrypt"), (0, "keys-to-lemf")))
def two_tasks_on_one_target(scene: Scene) -> Steps:
    """Of which one is for an agency that decrypts."""
    line = scene.line()
    line.connect()
    line.talk(0.2)
    yield from goes_on(line)


@point(("200 INVITE", "ACK"))
def the_callee_has_offered(scene: Scene) -> Steps:
    """INVITE without an offer (RFC 3261 13.2.1): the callee starts the ticket exchange."""
    line = scene.line()
    number = line.request("INVITE", line.caller, initial=True)
    held = line.ticket("DEFGHNO", line.caller.uri, owner=line.callee)
    line.response("200 OK", "INVITE", number, line.callee, line.sdp(line.callee, line.offer(held, line.callee)))
    line.request("ACK", line.caller, line.sdp(line.caller, line.accept(line.caller)), number=number)
    line.use_keys(line.callee)
    line.talk(0.1)
    yield from goes_on(line)


# Changes of a session


@point(_ANSWERED)
def on_hold(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    line.reinvite(line.sdp(line.caller, [], direction="sendonly"), line.sdp(line.callee, [], direction="recvonly"))
    yield line.caller_talks
    line.reinvite(line.sdp(line.caller, []), line.sdp(line.callee, []))
    line.talk(0.2)
    yield line.talking
    line.hang_up()


@point(_ANSWERED)
def on_hold_without_an_address(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    line.reinvite(line.sdp(line.caller, [], address="0.0.0.0"), line.sdp(line.callee, [], direction="inactive"))
    yield None
    line.reinvite(line.sdp(line.caller, []), line.sdp(line.callee, []))
    line.talk(0.2)
    yield line.talking
    line.hang_up()


@point(_ANSWERED)
def a_session_that_was_refreshed(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    line.reinvite(line.sdp(line.caller, []), line.sdp(line.callee, []))
    yield from goes_on(line)


@point(_ANSWERED)
def an_offer_that_waits_for_its_answer(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    line.version += 1
    number = line.request("INVITE", line.caller, line.sdp(line.caller, []))
    yield line.talking
    line.answer("200 OK", number, body=line.sdp(line.callee, []))
    line.request("ACK", line.caller, number=number)
    line.talk(0.1)
    yield line.talking
    line.hang_up()


@point(_ANSWERED)
def rekeyed_by_an_update_of_the_bundle(scene: Scene) -> Steps:
    line = scene.line()
    line.mki = True
    line.connect("DEFGHLMNO")
    line.talk(0.1)
    line.rekey(bytes(range(16)), bytes(range(14)), b"\x02")
    line.talk(0.1)
    yield from goes_on(line)


@point(_ANSWERED)
def rekeyed_by_another_bundle(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    _rekeyed(line)
    line.talk(0.1)
    yield from goes_on(line)


@point(_ANSWERED)
def rekeyed_under_the_task(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    yield line.talking
    _rekeyed(line, scene.settle)
    line.talk(0.2)
    yield line.talking
    line.hang_up()


@point(_ANSWERED)
def rekeyed_under_the_task_within_a_moment(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    yield line.talking
    _rekeyed(line)
    line.talk(0.2)
    yield line.talking
    line.hang_up()


def _rekeyed(line: Line, travel: Callable[[], None] = lambda: None) -> None:
    """``travel``: what it takes an offer to be answered; the new key may be used as soon as that is done."""
    line.offer(line.ticket())
    offers: list[str | None] = [b64encode(each.init).decode() for each in line.bundles]
    line.version += 1
    number = line.request("INVITE", line.caller, line.sdp(line.caller, offers))
    travel()
    line.answer("200 OK", number)
    line.request("ACK", line.caller, number=number)


@point(_ANSWERED)
def a_counter_that_has_come_round(scene: Scene) -> Steps:
    line = scene.line(scene.party(scene.alice, seq=LATE), scene.party(scene.bob, seq=LATE))
    line.connect()
    while line.caller.senders[0].seq > 10_000:
        line.talk(0.02)
    yield from goes_on(line)


@point(_ANSWERED)
def media_moved_by_a_reinvite(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    _moved(scene, line, "INVITE", line.callee)
    line.talk(0.1)
    yield from goes_on(line)


@point(("UPDATE", "200 UPDATE"))
def media_moved_by_an_update(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    _moved(scene, line, "UPDATE", line.caller)
    line.talk(0.1)
    yield from goes_on(line)


@point(_ANSWERED)
def media_moved_under_the_task(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    yield line.talking
    _moved(scene, line, "INVITE", line.callee)
    scene.settle()
    line.talk(0.2)
    yield line.talking
    line.hang_up()


@point(_ANSWERED, _ANSWERED, targets=((1, "decrypt"),))
def a_call_that_is_transferred(scene: Scene) -> Steps:
    """REFER (RFC 3515): Bob, the target, talks with Carol while the call with Alice is held."""
    first = scene.line()
    first.connect()
    first.talk(0.1)
    refer = first.request("REFER", first.caller)
    first.answer("202 Accepted", refer, "REFER", body="")
    second = scene.line(scene.party(scene.bob), scene.party(scene.carol))
    second.connect()
    second.talk(0.1)
    yield second.talking
    notify = first.request("NOTIFY", first.callee)
    first.response("200 OK", "NOTIFY", notify, first.caller)
    first.hang_up()
    second.talk(0.2)
    yield second.talking
    second.hang_up()


# Other media, other keys


@point(_ANSWERED)
def voice_and_video(scene: Scene) -> Steps:
    parties = (scene.party(user, video=True) for user in (scene.alice, scene.bob))
    line = scene.line(*parties)
    line.connect()
    line.talk(0.1)
    yield from goes_on(line)


@point(_ANSWERED)
def voice_and_video_with_keys_of_their_own(scene: Scene) -> Steps:
    parties = (scene.party(user, video=True) for user in (scene.alice, scene.bob))
    line = scene.line(*parties, session_level=False)
    line.connect()
    line.talk(0.1)
    yield from goes_on(line)


@point(_ANSWERED)
def over_ipv6(scene: Scene) -> Steps:
    line = scene.line(*(scene.party(user, address="::1") for user in (scene.alice, scene.bob)))
    line.connect()
    line.talk(0.1)
    yield from goes_on(line)


@point(_ANSWERED, asks=False)
def keyed_by_the_description(scene: Scene) -> Steps:
    """a=crypto (RFC 4568), which this site's POI keeps in memory."""
    line = scene.line()
    line.establish_sdes(lab.seeded("crypto"), SUITE)
    line.talk(0.1)
    yield from goes_on(line)


@point(_ANSWERED, asks=False)
def media_in_clear(scene: Scene) -> Steps:
    line = scene.line()
    line.in_clear()
    line.talk(0.1)
    yield from goes_on(line)


@point(_ANSWERED, asks=False, opened=False)
def encrypted_without_a_ticket(scene: Scene) -> Steps:
    """Keys that nobody here can know: the agency is told, and gets media as captured."""
    line = scene.line()
    line.described({"proto": "RTP/SAVP"})
    for party in (line.caller, line.callee):
        sdes.use(party, sdes.announcements(party, lab.seeded(party.uri), SUITE))
    line.talk(0.1)
    yield from goes_on(line)


# No running call


@point()
def a_call_that_begins_under_the_task(scene: Scene) -> Steps:
    line = scene.line()
    yield None
    line.connect()
    line.talk(0.2)
    yield line.talking
    line.hang_up()


@point(asks=False)
def a_call_that_is_over(scene: Scene) -> Steps:
    line = scene.line()
    line.connect()
    line.talk(0.1)
    line.hang_up()
    yield None
    yield None
