"""The KMS as a service: users by MIKEY over HTTPS, mediation functions by Xk, over real TLS on loopback."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl

import pytest
from msgspec import structs

from imswire import mikey, xk
from imswire.mikey import exchange as mikey_exchange
from imswire.mikey import values as v
from midcall.base import placing
from midcall.base.lab_pki import uri
from midcall.ue import lab
from tests.midcall import warrants
from tests.midcall.kms.place import ALICE, USERS, XID, XK_DOOR, Lab, Running, UserRefused, code, kept, make_pki

HOUR = 3600
OTHER_USER = "sip:carol@example.com"


@pytest.fixture(scope="module")
def house(tmp_path_factory, pki):
    """One service for all tests that do not change it."""
    made = Lab(tmp_path_factory.mktemp("kms"), pki, ("alice", "bob", "carol"))
    many = {f"users__per_{each}_burst": "100000" for each in ("address", "subscriber")}
    with made.running(users__request_seconds="0.2", xk__deadline_seconds="0.5", **many) as running:
        yield running


@pytest.fixture(scope="module")
def seen(house):
    """A call that was set up through the service, and the keys that its ends have."""
    return house.call()


# Users


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("flags", ["DEFGHNO", "DEFGHINO"])
def test_a_call_is_set_up_and_its_keys_are_given_to_who_may_ask(house, flags, text):
    seen, bundle = house.call(flags, text=text)
    status, answer = house.get_keys(seen)
    assert status == 200 and answer["kms"] == lab.KMS_IDENTITY and answer["failures"] == []
    own = bundle.session_keys()
    given = {each["cs_id"]: each for each in answer["keys"]}
    assert given.keys() == own.keys() == {1, 2}
    for cs_id, key in given.items():
        assert base64.b64decode(key["key"]) == own[cs_id].master_key
        assert base64.b64decode(key["salt"]) == own[cs_id].master_salt
        assert base64.b64decode(key["mki"]) == b"\x01" and key["generation"] == 0 and key["roc"] is None
        assert key["proved"] and base64.b64decode(key["policy"]["1"]) == b"\x10"
    assert (given[1]["ssrc"], given[2]["ssrc"]) == (0xA, 0xB)


def request(house: Running, who: str = "alice", psk: bytes | None = None) -> bytes:
    user = house.lab.users[who]
    asked: list[bytes] = []

    def note(octets: bytes) -> bytes:
        asked.append(octets)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        user.request_ticket(note, house.lab.clock().wall, ("sip:bob@example.com",))
    return asked[0] if psk is None else asked[0][:-20] + psk + bytes(4)


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        ("/keymanagement?requesttype=ticketrequest", b"\x01", "application/mikey", 400),
        ("/keymanagement?requesttype=ticketrequest", b"", "application/mikey", 400),
        ("/keymanagement?requesttype=ticketrequest", b"*no base64*", "application/mikey", 400),
        ("/keymanagement?requesttype=ticketrequest", b"\x01" + bytes(65_536), "application/mikey", 413),
        ("/keymanagement?requesttype=ticketrequest", b"A" * (1 << 17), "application/mikey", 413),
        ("/keymanagement?requesttype=ticketrequest", b"\x01", "text/html", 415),
        ("/keymanagement?requesttype=keys", b"\x01", "application/mikey", 400),
        ("/keymanagement", b"\x01", "application/mikey", 400),
        ("/keymanagement?requesttype=ticketrequest&requesttype=ticketresolve", b"\x01", "application/mikey", 400),
        ("/other", b"\x01", "application/mikey", 404),
        (xk.PATH, b"{}", "application/json", 404),
    ],
)
def test_what_is_no_request_of_a_user(house, path, body, kind, status):
    assert house.post(USERS, path, body, kind)[0] == status


def refused(house: Running, octets: bytes, **options: bool) -> tuple[int, int]:
    with pytest.raises(UserRefused) as caught:
        house.ask(octets, **options)
    body = caught.value.body
    message = mikey.parse(base64.b64decode(body) if options.get("text") else body)
    assert message.header.data_type == mikey.DataType.ERROR
    return caught.value.status, message.need(v.Err).error_no


@pytest.mark.parametrize("text", [False, True])
def test_refusals_are_mikey_error_messages(house, text):
    whole = request(house)
    assert refused(house, whole[:-1] + bytes((whole[-1] ^ 1,)), text=text) == (403, mikey.ErrorNo.AUTH_FAILURE)
    house.ask(whole)
    assert refused(house, whole, text=text) == (403, mikey.ErrorNo.INVALID_TS)
    seen, _ = house.call()
    assert refused(house, seen.init.octets, text=text) == (400, mikey.ErrorNo.UNSUPPORTED_MESSAGE)


def test_an_error_message_is_authentic_when_who_asks_is_known(house):
    whole = request(house)
    house.ask(whole)
    with pytest.raises(UserRefused) as caught:
        house.ask(whole)
    psk = house.lab.users["alice"].psk
    message = mikey.parse(caught.value.body)
    protection = mikey_exchange.kms_protection(mikey.parse(whole), psk, 1)
    mac = message.need(v.V)
    assert protection.proves(mac, caught.value.body[: len(caught.value.body) - len(mac.mac)])


def test_the_uri_and_the_message_have_to_agree(house):
    status, body = house.post(USERS, "/keymanagement?requesttype=ticketresolve", request(house))
    assert status == 400 and mikey.parse(body).need(v.Err).error_no == mikey.ErrorNo.INVALID_DT


def test_only_get_and_post_of_http_are_read_at_all(house):
    connection = house.connection(USERS)
    connection.request("GET", "/keymanagement?requesttype=ticketrequest")
    assert connection.getresponse().status == 405
    connection.close()


def test_a_subscriber_and_an_address_may_ask_so_often(made):
    with made.running(users__per_subscriber_burst="2", users__per_subscriber="60", users__per_address_burst="5") as few:
        few.ask(request(few))
        few.ask(request(few))
        with pytest.raises(UserRefused) as caught:
            few.ask(request(few))
        assert caught.value.status == 429
        few.ask(request(few, "bob"))
        made.clock.go(1)
        few.ask(request(few))
        statuses = [few.post(USERS, "/x", b"")[0] for _ in range(20)]
        assert statuses[0] == 404 and statuses[-1] == 429


def test_a_ticket_does_not_outlive_its_key(made):
    with made.running(kms__tpk="{ticket_hours = 1, rotate_hours = 1, keep_hours = 1}") as short:
        policy = mikey.parse(short.ask(request(short))).need(v.Ticket).policy
        assert policy.flags.k and mikey.PolicyData.read(policy).end.unix_ns <= short.lab.clock().wall + HOUR * 10**9


# Bodies


def raw(house: Running, door: str, octets: bytes, role: str | None = None) -> bytes:
    """What comes back until the service closes."""
    context = ssl.create_default_context(cafile=str(house.lab.pki / "ca.pem"))
    if role is not None:
        context.load_cert_chain(house.lab.pki / f"{role}.pem", house.lab.pki / f"{role}.key")
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", house.port(door)), 20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        contextlib.suppress(ssl.SSLError, ConnectionError),
    ):
        connection.sendall(octets)
        while piece := connection.recv(65_536):
            answer += piece
    return answer


POST = b"POST /keymanagement?requesttype=ticketrequest HTTP/1.1\r\nHost: k\r\nContent-Type: application/mikey\r\n"
POST_XK = b"POST /xk/v1/get_keys HTTP/1.1\r\nHost: k\r\nContent-Type: application/json\r\n"


def test_slow_huge_and_compressed_bodies_end_with_a_status(house):
    assert raw(house, USERS, POST + b"Content-Length: 9\r\n\r\n\x01").startswith(b"HTTP/1.1 408")
    assert raw(house, USERS, POST + b"Content-Length: 999999999\r\n\r\n\x01").startswith(b"HTTP/1.1 413")
    assert raw(house, USERS, POST + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\n\x01").startswith(
        b"HTTP/1.1 413"
    )
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + bytes(0x8000) + b"\r\n"
    assert raw(house, USERS, chunked + (b"8000\r\n" + bytes(0x8000) + b"\r\n") * 3).startswith(b"HTTP/1.1 413")
    assert b'"deadline"' in raw(house, XK_DOOR, POST_XK + b"Content-Length: 9\r\n\r\n{", "df")
    assert b'"too-large"' in raw(house, XK_DOOR, POST_XK + b"Content-Length: 999999999\r\n\r\n{", "df")


def test_what_is_no_http_is_told_nothing(house):
    for octets in (b"\x16\x03\x01 secret\r\n\r\n", b"GET / HTTP/9\r\n\r\n", POST[:-2] + b"\0secret: x\r\n\r\n"):
        answer = raw(house, USERS, octets)
        assert b" 400 " in answer[:14] and b"secret" not in answer and answer.endswith(b"\r\n\r\n")
    assert b"aiohttp" not in raw(house, USERS, b"GET / HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n")
    assert raw(house, XK_DOOR, b"garbage\r\n\r\n", "poi") == b""


# Who may ask on Xk


def test_the_matrix_of_certificates(house, seen, tmp_path, pki):
    question = house.question(seen[0])
    assert house.post_xk(question, "df")[0] == 200
    # None at all, or one of another CA: no application octet goes either way.
    with pytest.raises((ssl.SSLError, ConnectionError)):
        house.post_xk(question, None)
    make_pki(tmp_path / "foreign")
    house.lab.pki, own = tmp_path / "foreign", house.lab.pki
    try:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            house.post_xk(question, "df")
    finally:
        house.lab.pki = own


@pytest.mark.parametrize("role", ["poi", "kms-other", "kms"])
def test_who_is_not_listed_gets_no_octet_whatever_is_asked(house, seen, role):
    for octets, path in (
        (xk.write(house.question(seen[0])), xk.PATH),
        (xk.write(house.question(seen[0], warrant=None)), xk.PATH),
        (xk.write(house.question(seen[0], identity=OTHER_USER)), xk.PATH),
        (b"garbage", xk.PATH),
        (b"", "/elsewhere"),
    ):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            house.post_xk(octets, role, path)


# Under which authority


def test_without_a_warrant_nothing_is_given(house, seen):
    assert code(house.get_keys(seen[0], warrant=None)) == (403, "unsigned", "")


def tampered(text: str) -> str:
    """Another target under the same signatures."""
    file = json.loads(text)
    payload = file["payload"]
    octets = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).replace(b"alice", b"carol")
    file["payload"] = base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
    return json.dumps(file, separators=(",", ":"))


WRONG = {
    "one signature": (lambda lab: lab.warrant(warrants.ANN), "approvals"),
    "one person twice": (lambda lab: lab.warrant(warrants.ANN, warrants.ANN), "approvals"),
    "nobody's signature": (lambda lab: lab.warrant(warrants.ANN, warrants.EVE), "approvals"),
    "changed after signing": (lambda lab: tampered(lab.warrant()), "signature"),
    "another element": (lambda lab: lab.warrant(id="W-2", elements=["poi-1", "df2-1"]), "element"),
    "not begun": (lambda lab: lab.warrant(id="W-3", start="2026-07-03T00:00:00Z"), "not-begun"),
    "ended": (lambda lab: lab.warrant(id="W-4", start="2026-06-01T00:00:00Z", end="2026-07-01T00:00:00Z"), "ended"),
    "too long": (lambda lab: lab.warrant(id="W-5", end="2026-12-31T00:00:00Z"), "length"),
    "garbage": (lambda lab: "{}", "form"),
    "spelt otherwise": (lambda lab: lab.warrant().replace(":", ": ", 1), "form"),
}


@pytest.mark.parametrize("what", WRONG)
def test_every_wrong_warrant_is_refused(house, seen, what):
    make, rule = WRONG[what]
    assert code(house.get_keys(seen[0], warrant=make(house.lab))) == (403, "warrant", rule)


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({}, {"scope": "iri", "keys": None, "id": "W-iri"}),
        ({"xid": warrants.OTHER_XID}, {}),
        ({"identity": OTHER_USER}, {}),
        ({"identity": "sip:bob@example.com"}, {}),
        ({"identity": "tel:+1"}, {}),
    ],
)
def test_a_warrant_is_for_its_task_and_target_alone(house, seen, fields, changed):
    assert code(house.get_keys(seen[0], warrant=house.lab.warrant(**changed), **fields)) == (403, "target", "")


def targets(identity: str) -> dict:
    return {"targets": [{"liid": "LI-1", "xid": XID, "identity": identity}]}


def test_the_target_has_to_be_among_the_identities_of_the_ticket(house, seen):
    warrant = house.lab.warrant(id="W-carol", **targets(OTHER_USER))
    answer = house.get_keys(seen[0], warrant=warrant, identity=OTHER_USER, parties=(OTHER_USER,))
    assert code(answer) == (403, "not-of-target", "")
    warrant = house.lab.warrant(id="W-bob", **targets("sip:bob@example.com"))
    assert house.get_keys(seen[0], warrant=warrant, identity="SIP:bob@EXAMPLE.com")[0] == 200


def test_the_target_is_known_by_every_identity_of_the_subscription(made):
    number = "tel:+15550100"
    with made.running() as running:
        alice = running.do(lambda service: service.store.subscribers())
        record = next(each for each in alice if ALICE in each.identities)
        changed = structs.replace(record, identities=(ALICE, number))
        running.do(lambda service: service.store.put_subscribers((changed,)))
    with made.running(kms__lab_keys='""') as running:
        seen, _ = running.call()
        status, _ = running.get_keys(seen, warrant=made.warrant(**targets(number)), identity=number)
        assert status == 200


def test_a_ticket_counts_at_the_time_of_its_call(house, seen):
    made = house.lab
    exchange = seen[0]
    late = made.clock().wall + 48 * HOUR * 10**9
    # The messages' own time is in the ticket's window, however late it is asked; so is a call's that began in time.
    assert house.get_keys(structs.replace(exchange, init=kept(exchange.init.octets, late)))[0] == 200
    alice, bob = made.users["alice"], made.users["bob"]
    held = alice.request_ticket(house.ask, made.clock().wall, (bob.uri,))
    offered = alice.offer(held, bob.uri, late, (), {})
    expired = structs.replace(exchange, init=kept(offered.init, late), response=None)
    assert code(house.get_keys(expired)) == (422, "ticket", "")


def test_what_mikey_does_not_prove_gives_no_keys(house, seen):
    response = seen[0].response.octets
    forged = structs.replace(seen[0], response=kept(response[:-1] + bytes((response[-1] ^ 1,)), 0))
    assert code(house.get_keys(forged)) == (422, "exchange", "")
    assert code(house.get_keys(structs.replace(seen[0], init=kept(b"\x01" * 40, 0)))) == (422, "exchange", "")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"transaction":"t"}', b"[" * 10_000])
def test_what_is_no_question(house, body):
    status, answer = house.post_xk(body)
    assert status == 400 and json.loads(answer)["code"] == "form"
    assert house.post(XK_DOOR, xk.PATH, body, "text/plain", "df")[0] == 404
    assert house.post_xk(body, path="/xk/v2/get_keys")[0] == 404


def test_a_revocation_and_a_newer_version_end_what_was_before(made):
    with made.running() as running:
        seen, _ = running.call()
        first = made.warrant()
        assert running.get_keys(seen, warrant=first)[0] == 200
        second = made.warrant(version=2, supersedes=1)
        assert running.get_keys(seen, warrant=second)[0] == 200
        assert code(running.get_keys(seen, warrant=first)) == (403, "warrant", "version")
        revoked = warrants.signed(warrants.revocation(3)).decode()
        assert code(running.get_keys(seen, warrant=revoked)) == (403, "warrant", "revoked")
        assert code(running.get_keys(seen, warrant=second)) == (403, "warrant", "revoked")
    # A restart forgets none of it.
    with made.running() as running:
        assert code(running.get_keys(seen, warrant=second)) == (403, "warrant", "revoked")


def test_the_window_is_looked_at_each_time(made):
    with made.running() as running:
        seen, _ = running.call()
        warrant = made.warrant(end="2026-07-02T00:00:01Z")
        assert running.get_keys(seen, warrant=warrant)[0] == 200
        made.clock.go(0.999)
        assert running.get_keys(seen, warrant=warrant)[0] == 200
        made.clock.go(0.001)
        assert code(running.get_keys(seen, warrant=warrant)) == (403, "warrant", "ended")


def test_a_clock_that_jumps_opens_nothing(made):
    with made.running() as running:
        seen, _ = running.call()
        at = made.clock.instant
        made.clock.instant = structs.replace(at, wall=at.wall + 10**12)
        assert code(running.get_keys(seen)) == (403, "warrant", "clock")


def test_what_cannot_be_remembered_is_not_given(made):
    with made.running() as running:
        seen, _ = running.call()
        running.do(lambda service: service.store._database.execute("DROP TABLE warrants"))
        status, body = running.get_keys(seen)
        assert (status, body["code"]) == (500, "fault")


def test_unsigned_is_accepted_where_that_is_configured_and_loudly(made):
    with made.running(xk__unsigned='"accept"') as running:
        seen, _ = running.call()
        assert running.get_keys(seen, warrant=None)[0] == 200
        assert made.told[-1].unsigned and made.told[-1].outcome == "keys"
        # A warrant that is shown has to be right all the same, and the keys the target's.
        assert code(running.get_keys(seen, warrant=made.warrant(warrants.ANN)))[1] == "warrant"
        assert code(running.get_keys(seen, warrant=None, identity=OTHER_USER))[1] == "not-of-target"


def test_only_so_many_questions_at_once(made):
    with made.running(xk__in_flight="1", xk__deadline_seconds="20.0") as running:
        seen, _ = running.call()
        question = xk.write(running.question(seen))
        first = running.connection(XK_DOOR, "df")
        first.putrequest("POST", xk.PATH)
        first.putheader("Content-Type", "application/json")
        first.putheader("Content-Length", str(len(question)))
        first.endheaders(question[:1])
        while not running.do(lambda service: service._mediation._at_work):
            pass
        status, body = running.post_xk(question)
        assert status == 503 and json.loads(body)["code"] == "busy"
        first.send(question[1:])
        assert first.getresponse().status == 200
        first.close()


# Placed apart from a question


def test_an_admf_brings_revocations_and_asks_for_nothing(made):
    with made.running(xk__placers=f'["{uri("poi")}"]') as running:
        seen, _ = running.call()
        assert running.get_keys(seen)[0] == 200
        revoked = warrants.signed(warrants.revocation(2))
        status, body = running.post_xk(warrants.signed(warrants.revocation(2), warrants.ANN), "poi", placing.PATH)
        assert (status, json.loads(body)["rule"]) == (403, "approvals")
        assert running.get_keys(seen)[0] == 200
        assert running.post_xk(revoked, "poi", placing.PATH)[0] == 200
        assert code(running.get_keys(seen)) == (403, "warrant", "revoked")
        # Who asks does not place, and who places does not ask.
        assert running.post_xk(revoked, "df", placing.PATH)[0] == 404
        status, body = running.post_xk(running.question(seen), "poi")
        assert status == 403 and json.loads(body) == {"code": "refused"}
        assert running.post_xk(b"x" * 100_000, "poi", placing.PATH)[0] == 413
    with made.running() as running:
        assert code(running.get_keys(seen)) == (403, "warrant", "revoked"), "also when it starts again"
