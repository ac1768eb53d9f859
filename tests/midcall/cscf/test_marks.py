"""Marks in Record-Route: who is given one sends in his dialog to whom that leads, and to nobody else."""

from __future__ import annotations

import pytest

from midcall.cscf.location import LocationTable
from midcall.cscf.marks import Seals, place_of
from midcall.cscf.overload import Overload
from midcall.cscf.trust import Peer, Peers, TrustGate
from midcall.cscf.values import Hop
from tests.midcall.cscf.stage import ALICE, BOB, CAROL, KEY, Stage, request, response

BOB_AT = "sip:b7@192.0.2.20:5066"


def guarded(*peers: Peer) -> Stage:
    """With a gate that knows nobody but these; Bob is a user."""
    stage = Stage()
    gate = TrustGate(
        Peers(peers), LocationTable(10), lambda host: host == "home.example", Overload(lambda _: 0), None,
        ("home.example",), stage.router.is_bound,
    )  # fmt: skip
    stage.gate.admit = gate.admit  # type: ignore[method-assign]
    return stage


class Dialog:
    """Of an INVITE of Alice's, whom nobody knows, that Bob's phone has answered: ``invite`` and ``answer`` as they come
    out of the proxy.
    """

    def __init__(self, stage: Stage, *of_invite: str, behind: str = "", status: int = 200) -> None:
        self.stage = stage
        self.count = 1
        text = request("INVITE", "sip:bob@home.example", "Contact: <sip:a7@192.0.2.10>", *of_invite)
        self.invite = next(each for _, each in stage.say(text, ALICE) if each.is_request)
        text = response(self.invite, status, f"Contact: <{BOB_AT}>")
        if behind:
            text = text.replace("Record-Route: ", f"Record-Route: {behind}\r\nRecord-Route: ", 1)
        self.said = text
        (self.answer,) = (each for _, each in stage.say(text, BOB) if each.status == status)

    def send(self, uri: str, *route: str, method: str = "BYE", source: Hop = ALICE) -> list[str]:
        """A request of the dialog: where it goes, or the status that it is answered."""
        self.count += 1
        text = request(
            method, uri, *(f"Route: {each}" for each in route), branch=f"z9hG4bK{self.count}", cseq=self.count,
            to_tag="b", via=f"SIP/2.0/UDP {source.host}:{source.port}",
        )  # fmt: skip
        return [
            f"{hop.host}:{hop.port}" if each.is_request else str(each.status)
            for hop, each in self.stage.say(text, source)
        ]


def test_each_side_reaches_the_other():
    dialog = Dialog(guarded())
    to_bob, to_alice = dialog.answer.values("Record-Route")[0], dialog.invite.values("Record-Route")[0]
    assert to_bob != to_alice
    assert dialog.send(BOB_AT, to_bob, method="ACK") == ["192.0.2.20:5066"]
    assert dialog.send(BOB_AT, to_bob, method="INFO") == ["192.0.2.20:5066"]
    assert dialog.send("sip:a7@192.0.2.10", to_alice, source=BOB) == ["192.0.2.10:5060"]


@pytest.mark.parametrize("status", [180, 200])
@pytest.mark.parametrize(
    "uri",
    [
        "sip:victim@198.51.100.9",
        "sip:b7@192.0.2.20",
        "sip:+49900@192.0.2.20:5066",
        BOB_AT + ";maddr=198.51.100.9",
        "tel:+49900",
    ],
)
def test_and_nobody_else(uri, status):
    """By the mark of a call of his own a stranger has nothing sent to anybody else, whatever he calls it."""
    dialog = Dialog(guarded(), status=status)
    for mark in (dialog.answer.values("Record-Route")[0], dialog.invite.values("Record-Route")[0]):
        for method in ("MESSAGE", "INVITE"):
            assert dialog.send(uri, mark, method=method) == ["403"]
            assert dialog.send(uri, mark, method=method, source=CAROL) == ["403"]
            assert dialog.send(BOB_AT, mark, f"<{uri};lr>", method=method) == ["403"]
        assert dialog.send(uri, mark, method="ACK") == []


def test_a_way_through_others():
    """Proxies before us and behind us have recorded their routes too."""
    before, behind = "<sip:192.0.2.41;lr>", "<sip:192.0.2.42:5070;lr>"
    dialog = Dialog(guarded(), f"Record-Route: {before}", behind=behind)
    first, own, last = dialog.answer.values("Record-Route")
    assert (first, last) == (behind, before)
    assert dialog.send(BOB_AT, own, behind) == ["192.0.2.42:5070"]
    assert dialog.send(BOB_AT, own, "<sip:198.51.100.9;lr>") == ["403"]
    assert dialog.send(BOB_AT, own) == ["403"]
    back = dialog.invite.values("Record-Route")[0]
    assert dialog.send("sip:a7@192.0.2.10", back, before, source=BOB) == ["192.0.2.41:5060"]
    assert dialog.send("sip:a7@192.0.2.10", back, source=BOB) == ["403"]


def test_a_peer_sends_where_its_dialogs_lead_it_and_gets_all_octets():
    """Its responses come as they were sent, but for our Via, and its routes may lead to where nobody has told us of."""
    dialog = Dialog(guarded(Peer("192.0.2.10", trusted=True)))
    assert dialog.answer.values("Record-Route") == dialog.invite.values("Record-Route")
    _, _, rest = dialog.said.partition(f"Via: {dialog.invite.values('Via')[0]}\r\n")
    assert dialog.answer.octets.decode().endswith(rest)
    assert dialog.send("sip:elsewhere@192.0.2.99", dialog.answer.values("Record-Route")[0]) == ["192.0.2.99:5060"]


@pytest.mark.parametrize(
    "contact", ["", "Contact: *", "Contact: <tel:+49>", "Contact: <sip:>", "Contact: <sip:b@192.0.2.20"]
)
def test_what_comes_without_a_place_leads_nowhere(contact):
    """A response that makes no dialog, or whose Contact is none."""
    stage = guarded()
    invite = next(each for _, each in stage.say(request(), ALICE) if each.is_request)
    lines = [contact] if contact else []
    for each in [each for _, each in stage.say(response(invite, 183, *lines), BOB) if each.status == 183]:
        for uri in ("sip:x@192.0.2.20", "sip:", "*", "tel:+49"):
            text = request("PRACK", uri, f"Route: {each.values('Record-Route')[0]}", branch="z9hG4bKp", to_tag="b")
            assert [answer.status for _, answer in stage.say(text, ALICE)] in ([400], [403], [416])


def test_a_mark_of_a_former_version_is_good_for_those_we_know():
    old = f"<sip:192.0.2.1:5060;lr;mc={Seals(KEY).of('call-1')}>"
    assert Dialog(guarded(Peer("192.0.2.10"))).send(BOB_AT, old) == ["192.0.2.20:5066"]
    assert Dialog(guarded()).send(BOB_AT, old) == ["403"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("sip:a@H.example", "sip:a@h.EXAMPLE;transport=tcp"), ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]")],
)
def test_one_place_in_two_spellings(one, other):
    assert place_of(one) == place_of(other) != ""


@pytest.mark.parametrize("text", ["", "tel:+49", "urn:service:sos", "sip:", "sip:a@[", "sip:a@b:99999"])
def test_no_place(text):
    assert place_of(text) == ""
    assert not Seals(KEY).leads(Seals(KEY).mark("c", ""), "c", "")


def test_the_bond_is_of_the_call_too():
    seals, place = Seals(KEY), place_of(BOB_AT)
    mark = seals.mark("one", place)
    assert seals.leads(mark, "one", place) and seals.fits(mark, "one")
    assert not seals.leads(mark, "two", place) and not seals.fits(mark, "two")
    mixed = seals.of("two") + mark[16:]
    assert not seals.leads(mixed, "two", place) and not seals.leads("ü" + mark[1:], "one", place)
