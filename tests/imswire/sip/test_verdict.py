"""What a proxy does with a message: all torture messages, and the rules that they do not reach."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire.sip import SipError, parse
from imswire.sip import verdict as verdicts
from imswire.sip.verdict import Action, judge
from tests.imswire.sip.torture import TORTURE, VERDICTS, named

# Torture messages that are judged otherwise than the table says, with the reason. To stay empty.
DEVIATIONS: dict[str, str] = {}


def complaint(name: str, verdict: str, deviations: dict[str, str]) -> str:
    """What is wrong with the verdict on a message, or with the list that excuses it."""
    if verdict == VERDICTS[name]["datagram"]:
        return "no deviation any more: take it from the list" if name in deviations else ""
    return "" if name in deviations else f"{verdict} is not what the table says"


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_torture_message(name):
    assert complaint(name, named(judge((TORTURE / name).read_bytes())), DEVIATIONS) == ""


def test_a_deviation_is_found_and_a_stale_list_too():
    name = "rfc4475/badvers.dat"
    assert VERDICTS[name]["datagram"] == "505"
    assert complaint(name, "400", {}) and not complaint(name, "400", {name: "why"})
    assert complaint(name, "505", {name: "why"}) and not complaint(name, "505", {})


def test_the_list_of_deviations_names_messages_that_exist():
    assert set(DEVIATIONS) <= set(VERDICTS)
    files = {str(path.relative_to(TORTURE)) for path in TORTURE.rglob("*.dat")}
    assert files == set(VERDICTS) and len(files) == 64


def request(*headers: str, uri: str = "sip:bob@example.com", via: str = "SIP/2.0/UDP h;branch=z9hG4bK1") -> bytes:
    lines = [f"OPTIONS {uri} SIP/2.0", f"Via: {via}", "From: <sip:a@x>;tag=1", "To: <sip:b@x>", "Call-ID: c"]
    return "\r\n".join([*lines, "CSeq: 1 OPTIONS", *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (request(), "forward"),
        (request("Contact: *"), "forward"),
        (request("Contact: <mailto:any one@x>"), "400"),
        (request("Contact: <mailto:anyone@x>"), "forward"),
        (request("Contact: <sip:>"), "400"),
        (request("Route: <sip:p1;lr>, < sip:p2;lr>"), "400"),
        (request('Contact: "< a >" <sip:a@x>'), "forward"),
        (request("Max-Forwards: 1"), "forward"),
        (request("Max-Forwards: 0"), "483"),
        (request("Max-Forwards: 000"), "483"),
        (request("Max-Forwards: -1"), "400"),
        (request("Max-Forwards: 99999999999999999999999999"), "forward"),
        (request("Max-Forwards: 9", "Max-Forwards: 9"), "400"),
        (request("Content-Length: 0", "l: 0"), "400"),
        (request("Expires: 1", "Expires: 2"), "400"),
        (request("Proxy-Require: known"), "forward"),
        (request("Proxy-Require: known, other"), "420"),
        (request(uri="sip:bob@example.com?Subject=x"), "400"),
        (request(uri="tel:+123"), "forward"),
        (request(uri="urn:service:sos"), "forward"),
        (request(uri="http://x"), "416"),
        (request(via="SIP/2.0/UDP h;branch=z9hG4bK"), "400"),
        (request(via="SIP/2.0/UDP h;received=::1"), "forward"),
        (request(via="SIP/2.0/UDP h;received=[::1]"), "forward"),
        (request(via="SIP/2.0/UDP h;received"), "400"),
        (request(via="SIP/2.0/UDP h;received=here"), "400"),
        (request(via="SIP/2.0/UDP [2001:db8::1]:5060"), "forward"),
        (request(via="SIP/2.0/UDP [2001:db8:::1]"), "400"),
        (request(via="SIP/2.0/UDP a b"), "400"),
        (request("Odd Name: x"), "400"),
        (request(": x"), "400"),
        (request("Content-Length: 00000000000000000000"), "forward"),
        (request("Subject: x\r\n l: 9"), "forward"),
        (request('Contact: sip:a@x;+sip.instance="<urn:uuid:1>"'), "forward"),
        (request().replace(b"Via", b"X"), "400"),
        (request().replace(b"From", b"X"), "400"),
        (request().replace(b"To:", b"X:"), "400"),
        (b"\r\n" + request(), "forward"),
        (request().replace(b"From", b"\nFrom"), "400"),
        (request().replace(b"From", b" \r\nFrom"), "400"),
        (request().replace(b"\r\n", b"\n"), "forward"),
        (b"", "400"),
    ],
)
def test_requests(octets, expected):
    assert named(judge(octets, extensions=frozenset({"known"}))) == expected


def response(second: str) -> bytes:
    vias = ["SIP/2.0/UDP h;branch=z9hG4bK1", f"SIP/2.0/UDP {second};branch=z9hG4bK2"]
    lines = ["SIP/2.0 200 OK", *(f"Via: {via}" for via in vias), "From: <sip:a@x>;tag=1", "To: <sip:b@x>;tag=2"]
    return "\r\n".join([*lines, "Call-ID: c", "CSeq: 1 OPTIONS", "", ""]).encode()


@pytest.mark.parametrize("host", ["255.255.255.255", "224.0.1.75", "[ff02::1]"])
def test_responses_are_never_sent_to_many(host):
    assert judge(response(host)).action is Action.DROP


def test_responses_are_dropped_rather_than_answered():
    assert judge(response("10.0.0.1")).action is Action.FORWARD
    assert judge(response("10.0.0.1").replace(b"Call-ID", b"X")).action is Action.DROP


def test_unknown_extensions_are_named():
    verdict = judge((TORTURE / "rfc4475" / "bext01.dat").read_bytes())
    assert verdict.unsupported == ("noProxiesSupportThis", "norDoAnyProxiesSupportThis")


ADDRESSES = (
    "<sip:a@x>", "a <sip:x:99999>;tag=1", '"a b" <sips:a@x;lr>;p=q',
    "sip:a@x;tag=1", "<sip:a@x>;;", "<sip:>", "<sip:@x>",
    "< sip:a@x>", "<sip:a@-x>;tag=\xc3\xbc", "<tel:+49;x=y>", "<sip:a@x>;tag", "a<sip:%61@x>", "<sip:a@x:5060;p=>;q",
    "<sip:a.@x.y.>", "*", '"a"<sip:a@x>', "a  <sip:a@x>", "<sip:a@x;;lr>", "<sip:a@x:12345>", "<sip:a:b@x>",
    "<sip:a@[2001:db8::1]:5060;lr>", "<sip:[::]>", "<sip:a@[1:2:3:4:5:6:7:8:9]>", "<sip:a@[::1>", "<sip:a@[::1]x>",
)  # fmt: skip
VIAS = (
    "SIP/2.0/UDP h;branch=z9hG4bK1", "SIP/2.0/TCP h:5060;branch=z9hG4bK1;rport", "SIP/2.0/UDP [::1];branch=z9hG4bK1",
    "SIP / 2.0 / UDP h", "SIP/2.0/UDP h;received=x", "SIP/2.0/UDP h;branch=z9hG4bK", "SIP/2.0/UDP h:1:2", "",
    "SIP/2.0/TLS h;branch=z9hG4bKa;rport=77", "SIP/2.0/UDP h;branch=z9hG4bKa;rport=77777",
    "SIP/2.0/UDP [::1]:65536;branch=z9hG4bK1", "SIP/2.0/UDP [1::2::3];branch=z9hG4bK1",
    "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1;received=[::1]", "SIP/2.0/UDP h;branch=z9hG4bK1;received=[:::]",
)  # fmt: skip
URIS = (
    "sip:a@x",
    "sip:a@x?b=c",
    "http://x",
    "sip:a@x:99999",
    "tel:+1",
    "sips:x;lr",
    "sip:a@x;p=q",
    "sip:%zz@x",
    "sip:@x",
)
SHORT = ("_PLAIN_VIA", "_PLAIN_ADDRESS", "_PLAIN_REQUEST_URI")


@given(st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES), st.sampled_from(VIAS), st.sampled_from(URIS))
def test_what_is_beyond_doubt_is_right(address, contact, via, uri):
    """The short way says what the long one says."""
    octets = request(f"Contact: {contact}", f"Route: {contact}", uri=uri, via=via).replace(
        b"<sip:b@x>", address.encode()
    )
    short = judge(octets)
    with pytest.MonkeyPatch.context() as patch:
        for name in SHORT:
            patch.setattr(verdicts, name, lambda _: None)
        assert judge(octets) == short


@pytest.mark.parametrize("text", ["a", '"a', "a@", "a;" * 40 + ">", "<sip:" + "a" * 300, "<sip:a@" + "b." * 4_000])
def test_the_short_way_is_short(text):
    """Nothing that it cannot tell takes it long: each octet is looked at a bounded number of times."""
    assert judge(request(f"Contact: {text * 100}")).action is not None


USUAL = request(
    "Max-Forwards: 70",
    'Contact: "A B" <sip:a@10.0.0.1:50600;transport=tcp>;q=0.5',
    "Record-Route: <sip:p;lr>, <sip:q;lr>",
    "Route: <sip:p;lr>",
    "Route: <sip:q;lr>",
)


TOP = "SIP/2.0/UDP h;branch=z9hG4bK1"


def seen(octets: bytes) -> verdicts.Usual | None:
    """None too for what is no message, or wrong at first sight."""
    try:
        return verdicts.usual(parse(octets))
    except SipError:
        return None


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        (f"{TOP}", ("SIP/2.0/UDP h", "z9hG4bK1", False, False, "")),
        ("SIP/2.0/TCP h:65535;branch=z9hG4bK1;rport", ("SIP/2.0/TCP h:65535", "z9hG4bK1", True, False, "")),
        (f"{TOP};rport=7;x", ("SIP/2.0/UDP h", "z9hG4bK1", False, True, "")),
        (f"{TOP};rport;received=9.0.0.255", ("SIP/2.0/UDP h", "z9hG4bK1", True, True, "")),
        (f"{TOP};received=[2001:db8::9]", ("SIP/2.0/UDP h", "z9hG4bK1", False, True, "")),
        ("SIP/2.0/TCP [::1]:5060;branch=z9hG4bK1", ("SIP/2.0/TCP [::1]:5060", "z9hG4bK1", False, False, "")),
        (f"{TOP},SIP/2.0/UDP i;branch=z9hG4bK2", ("SIP/2.0/UDP h", "z9hG4bK1", False, False, "SIP/2.0/UDP i")),
        (
            f"{TOP}\r\nVia: SIP/2.0/TLS i:5;branch=z9hG4bK2;y=z\r\nVia: SIP/2.0/UDP j;branch=z9hG4bK3",
            ("SIP/2.0/UDP h", "z9hG4bK1", False, False, "SIP/2.0/TLS i:5"),
        ),
    ],
)
def test_what_is_usual_is_told_at_once(via, expected):
    routes = "Record-Route: <sip:p;lr>,<sip:q;lr>, <sip:[::1];lr>"
    for more in (("Max-Forwards: 70",), ("Route: <sip:p;lr>\r\nContact: <sip:a@x>", routes), ("Reply-To: <sip:a@x>",)):
        octets = request(*more, via=via)
        found = seen(octets)
        assert found is not None
        assert (found.sent_by, found.branch, found.rport, found.more, found.next_by) == expected


@pytest.mark.parametrize(
    "octets",
    [
        request("Max-Forwards: 0"),
        request("Proxy-Require: x"),
        request("User-Agent: a", "User-Agent: b"),
        request("Contact: *"),
        request("Contact: <sip:a@x> <sip:b@x>"),
        request("Contact: <sip:a@x>, "),
        request("Reply-To: <sip:a@x>, <sip:b@x>"),
        request().replace(b"<sip:b@x>", b"<sip:b@x>, <sip:b@x>"),
        request().replace(b"<sip:a@x>;tag=1", b"<sip:b@x>, <sip:b@x>"),
        request("Bad Name: x"),
        request("X: y\r\n z"),
        request("X: y\r\n\r"),
        request(uri="sip:a@x?b=c"),
        request(via="SIP/2.0/UDP h;branch=z9hG4bK"),
        request(via="SIP/2.0/UDP h:65536;branch=z9hG4bK1"),
        request(via="SIP/2.0/UDP h;branch=z9hG4bK1;received=256.0.0.1"),
        request(via="SIP/2.0/UDP h;branch=z9hG4bK1;Received=x"),
        request(via="SIP/2.0/UDP h;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP h;branch=1"),
        request().replace(b"Call-ID: c", b"Call-ID: c d"),
    ],
)
def test_what_is_not_usual_is_judged_in_full(octets):
    assert seen(octets) is None


def test_torture_messages_that_are_usual_go_on():
    usual = [name for name in VERDICTS if seen((TORTURE / name).read_bytes()) is not None]
    assert usual and {VERDICTS[name]["datagram"] for name in usual} == {"forward"}


GROUPS = st.sampled_from(("", "0", "1", "ab", "FfFf", "12345", "g", ":", "1.2.3.4"))


@given(st.lists(GROUPS, max_size=10))
def test_ipv6_addresses_of_the_short_way_are_addresses(groups):
    text = ":".join(groups)
    try:
        is_one = IPv6Address(text) is not None and "." not in text  # those with an IPv4 in them are read in full
    except AddressValueError:
        is_one = False
    assert (seen(request(via=f"SIP/2.0/UDP [{text}];branch=z9hG4bK1")) is not None) is is_one


USUAL_IPV6 = USUAL.replace(b"10.0.0.1", b"[2001:db8::10]").replace(b" h;", b" [::1]:5060;")


@given(
    st.sampled_from((USUAL, USUAL_IPV6)),
    st.integers(0, len(USUAL_IPV6)),
    st.integers(0, 12),
    st.text('\r\n\t :;,<>"=@?1[].', max_size=4),
)
def test_what_is_usual_would_be_forwarded(whole, place, length, put):
    octets = whole[:place] + put.encode() + whole[place + length :]
    if seen(octets) is not None:
        assert judge(octets).action is Action.FORWARD
