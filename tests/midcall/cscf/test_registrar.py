"""The registrar: RFC 3261 10.3, RFC 3327, RFC 3608, and its bounds."""

from __future__ import annotations

import pytest

from imswire import sip
from imswire.sip import SipError
from midcall.cscf.location import SECOND, Binding, LocationTable
from midcall.cscf.registrar import Challenge, Policy, Registrar
from midcall.cscf.values import Hop
from tests.midcall.cscf.stage import ALICE, DOORS

AOR = "sip:alice@home.example"


class Office:
    """One registrar; ``ask`` gives status and lines of its answer."""

    def __init__(self, bound: int = 100, policy: Policy = Policy()) -> None:  # noqa: B008
        self.written: list[tuple[str, int]] = []
        self.table = LocationTable(bound, kept=lambda aor, each: self.written.append((aor, len(each))))
        self.challenge = Challenge("alice")
        self.now = 0
        self.cseq = 0
        self.registrar = Registrar(
            self.table,
            DOORS,
            lambda host: host == "home.example",
            lambda *_: self.challenge,
            lambda user, aor: aor == f"sip:{user}@home.example",
            policy,
        )

    def ask(
        self,
        *headers: str,
        uri: str = "sip:home.example",
        to: str = f"<{AOR}>",
        call_id: str = "r1",
        cseq: int = 0,
        source: Hop = ALICE,
    ) -> tuple[int, list[str]]:
        self.cseq = cseq or self.cseq + 1
        lines = [
            f"REGISTER {uri} SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1",
            f"From: {to};tag=1",
            f"To: {to}",
        ]
        lines += [f"Call-ID: {call_id}", f"CSeq: {self.cseq} REGISTER", *headers]
        message = sip.parse(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"))
        answer = self.registrar.register(message, source, 0, self.now)
        assert answer is not None
        return answer[0], answer[1].decode().splitlines()

    def uris(self) -> list[str]:
        return [each.uri for each in self.table.contacts(AOR, self.now)]


def test_a_contact_is_bound_and_told():
    office = Office()
    status, lines = office.ask("Contact: <sip:alice@192.0.2.10:5062>;expires=600;+sip.ice")
    assert status == 200 and "Contact: <sip:alice@192.0.2.10:5062>;+sip.ice;expires=600" in lines
    assert "Service-Route: <sip:192.0.2.1:5060;lr>" in lines and f"P-Associated-URI: <{AOR}>" in lines
    (contact,) = office.table.contacts(AOR, 0)
    assert contact.flow is None  # the contact's own address is where it came from
    office.now = 599 * SECOND
    assert office.ask()[1][0].endswith("expires=1")
    office.now = 600 * SECOND
    assert office.ask() == (200, []) and office.uris() == []
    assert office.written == [(AOR, 1)]


def test_a_contact_that_stands_twice_is_bound_once():
    office = Office()
    status, _ = office.ask("Contact: <sip:alice@192.0.2.10>;expires=600", "Contact: <sip:alice@192.0.2.10>;expires=90")
    assert status == 200 and office.uris() == ["sip:alice@192.0.2.10"]
    assert office.table.bindings(AOR, 0)[0].left(0) == 90


@pytest.mark.parametrize("header", ["Contact: <sip:\udcff@192.0.2.10>", 'Contact: <sip:a@192.0.2.10>;x="\udcff"'])
def test_what_cannot_be_kept_is_refused(header):
    """Octets that are no UTF-8, and more of them than a contact has."""
    for wrong in (header, "Contact: <sip:a@192.0.2.10>;x=" + "y" * 5_000):
        office = Office()
        with pytest.raises(SipError):
            office.ask(wrong)
        assert office.uris() == []
    with pytest.raises(SipError):
        Office().ask("Contact: <sip:a@192.0.2.10>", call_id="a\udcffb")


def test_expiry_of_contact_request_and_ours():
    office = Office()
    assert office.ask("Contact: <sip:a@192.0.2.10>", "Expires: 300")[1][0].endswith("expires=300")
    assert office.ask("Contact: <sip:b@192.0.2.10>")[1][-3].endswith("expires=3600")
    assert office.ask("Contact: <sip:c@192.0.2.10>;expires=99999999999")[0] == 200
    assert office.ask("Contact: <sip:d@192.0.2.10>;expires=999999999")[1][-3].endswith("expires=7200")


def test_too_short():
    assert Office().ask("Contact: <sip:a@192.0.2.10>;expires=59") == (423, ["Min-Expires: 60"])


def test_contacts_go_one_by_one_and_all_at_once():
    office = Office()
    office.ask("Contact: <sip:a@192.0.2.10>, <sip:b@192.0.2.10>;q=0.5")
    assert office.uris() == ["sip:a@192.0.2.10", "sip:b@192.0.2.10"]
    assert [each.q for each in office.table.contacts(AOR, 0)] == [1_000, 500]
    office.ask("Contact: <sip:a@192.0.2.10>;expires=0")
    assert office.uris() == ["sip:b@192.0.2.10"]
    with pytest.raises(SipError):
        office.ask("Contact: *")
    with pytest.raises(SipError):
        office.ask("Contact: *, <sip:x@y>", "Expires: 0")
    assert office.ask("Contact: *", "Expires: 0") == (200, [])
    assert office.written[-1] == (AOR, 0)


def test_an_older_request_changes_nothing():
    """10.3 7: same Call-ID, CSeq not higher; all or nothing."""
    office = Office()
    office.ask("Contact: <sip:a@192.0.2.10>", cseq=5)
    assert office.ask("Contact: <sip:b@192.0.2.10>, <sip:a@192.0.2.10>;expires=0", cseq=5)[0] == 500
    assert office.ask("Contact: *", "Expires: 0", cseq=4)[0] == 500
    assert office.uris() == ["sip:a@192.0.2.10"]
    assert office.ask("Contact: <sip:a@192.0.2.10>;expires=0", cseq=1, call_id="r2") == (200, [])


def test_one_device_has_one_binding():
    """RFC 5626 6: by instance and reg-id, whatever its contact is."""
    office = Office()
    instance = '+sip.instance="<urn:uuid:1>"'
    office.ask(f"Contact: <sip:a@192.0.2.10:1>;{instance};reg-id=1")
    status, lines = office.ask(f"Contact: <sip:a@192.0.2.10:2>;{instance};reg-id=1")
    assert office.uris() == ["sip:a@192.0.2.10:2"] and f"{instance};reg-id=1" in lines[0]
    office.ask(f"Contact: <sip:a@192.0.2.10:3>;{instance};reg-id=2")
    assert len(office.uris()) == 2


def test_equal_contacts_are_one():
    office = Office()
    office.ask("Contact: <sip:a@HOST.example:5060;transport=TCP;x=1>")
    office.ask("Contact: <sip:a@host.example:5060;transport=tcp;x=2>")
    assert office.uris() == ["sip:a@host.example:5060;transport=tcp;x=2"]


def test_path_is_kept_and_goes_before_the_contact():
    """RFC 3327 5."""
    office = Office()
    path = "<sip:p1@192.0.2.40;lr>", "<sip:p2@192.0.2.41;lr>"
    status, lines = office.ask("Contact: <sip:a@10.0.0.1>", f"Path: {', '.join(path)}", "Require: path")
    assert status == 200 and [f"Path: {each}" for each in path] == lines[1:3]
    (contact,) = office.table.contacts(AOR, 0)
    assert contact.path == path and contact.flow is None
    with pytest.raises(SipError):
        office.ask("Contact: <sip:a@10.0.0.1>", "Path: " + ", ".join(["<sip:p>"] * 9))


def test_from_behind_a_nat_and_over_a_connection_the_way_of_the_registration_is_the_way_back():
    office = Office()
    office.ask("Contact: <sip:a@10.0.0.1>")
    connection = Hop("tcp", "192.0.2.10", 40_000, 9)
    office.ask("Contact: <sip:b@192.0.2.10;transport=tcp>", source=connection)
    assert [each.flow for each in office.table.contacts(AOR, 0)] == [ALICE, connection]
    assert office.table.registered_from(connection, 0, (AOR,)) == AOR
    assert office.table.registered_from(ALICE, 0, (AOR,)) == AOR
    assert office.table.registered_from(ALICE._replace(port=1), 0, (AOR,)) is None
    assert office.table.registered_from(connection._replace(connection=8), 0, (AOR,)) is None


def test_who_may_not():
    office = Office()
    assert office.ask(to="<sip:bob@home.example>")[0] == 403
    assert office.ask(to="<sip:alice@far.example>")[0] == 404
    assert office.ask(to="<tel:+49301>")[0] == 404
    assert office.ask("Require: foo, path") == (420, ["Unsupported: foo"])
    office.challenge = Challenge(status=401, extra=b"WWW-Authenticate: x\r\n")
    assert office.ask() == (401, ["WWW-Authenticate: x"])


def test_another_domain_is_not_ours():
    message = sip.parse(
        b"REGISTER sip:far.example SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\n"
        b"CSeq: 1 REGISTER\r\n\r\n"
    )
    assert Office().registrar.register(message, ALICE, 0, 0) is None


@pytest.mark.parametrize("contact", ["<tel:+1>", "<sip:a@x>;q=2.5", "<sip:a@x>;q=0.1234", "<sip:a@x>;q=x"])
def test_contacts_that_cannot_be(contact):
    office = Office()
    with pytest.raises(SipError):
        office.ask(f"Contact: {contact}")
    assert office.uris() == []


def test_bounds():
    office = Office(bound=1, policy=Policy(contacts=2))
    assert office.ask("Contact: " + ", ".join(f"<sip:a@192.0.2.10:{port}>" for port in (1, 2, 3)))[0] == 403
    assert office.ask("Contact: <sip:a@192.0.2.10>")[0] == 200
    office.challenge = Challenge("bob")
    status, lines = office.ask("Contact: <sip:b@192.0.2.10>", to="<sip:bob@home.example>")
    assert status == 503 and lines == ["Retry-After: 60"] and len(office.table) == 1


def test_the_table_lets_go_of_what_is_over():
    table = LocationTable(10, frozenset({"sip:known@x"}))
    table.recall(AOR, [Binding("k", "sip:a@x", 5, "c", 1)])
    assert table.is_known(AOR) and table.is_known("sip:known@x") and not table.is_known("sip:other@x")
    assert table.expire(4) == 0 and table.expire(5) == 1 and len(table) == 0
