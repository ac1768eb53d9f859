"""SIP Digest: RFC 8760 with SHA-256 and MD5, answers that are good once, and nothing that tells who exists."""

from __future__ import annotations

import hashlib
import re

import pytest

from imswire import sip
from midcall.cscf.building import build
from midcall.cscf.digest import NONCE_LIFE, Digest, Secrets
from midcall.cscf.proxy import Proxy
from midcall.cscf.timers import MS
from tests.midcall.cscf.stage import ALICE, request
from tests.midcall.cscf.test_service import Site

HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}


def h(algorithm: str, text: str) -> str:
    return HASHES[algorithm](text.encode()).hexdigest()


SECRETS = Secrets({name: h(name, "alice:home.example:secret") for name in HASHES})
URI = "sip:bob@home.example"


def digest() -> Digest:
    return Digest("home.example", b"k" * 32, {"alice": SECRETS}.get)


def asked(desk: Digest, now: int = 0, proxy: bool = True) -> list[str]:
    verdict = desk.judge(sip.parse(request().encode()), now, proxy=proxy)
    assert verdict.user == ""
    return verdict.lines.decode().splitlines()


def nonce_of(lines: list[str]) -> str:
    found = re.search('nonce="([^"]+)"', lines[0])
    assert found is not None
    return found[1]


def answer(
    nonce: str, algorithm: str = "SHA-256", *, count: int = 1, user: str = "alice", password: str = "secret",
    uri: str = URI, method: str = "INVITE", **fields: str,
) -> str:  # fmt: skip
    ha1, ha2 = h(algorithm, f"{user}:home.example:{password}"), h(algorithm, f"{method}:{uri}")
    right = h(algorithm, f"{ha1}:{nonce}:{count:08x}:c:auth:{ha2}")
    said = {
        "username": f'"{user}"', "realm": '"home.example"', "nonce": f'"{nonce}"', "uri": f'"{uri}"',
        "response": f'"{right}"', "algorithm": algorithm, "cnonce": '"c"', "qop": "auth", "nc": f"{count:08x}",
        **fields,
    }  # fmt: skip
    return "Digest " + ", ".join(f"{name}={value}" for name, value in said.items())


def judged(desk: Digest, credentials: str, now: int = 0, **fields: str) -> str:
    message = sip.parse(request("INVITE", URI, f"Proxy-Authorization: {credentials}").encode())
    return desk.judge(message, now, proxy=True).user


def test_challenges_name_the_stronger_algorithm_first():
    one, two = asked(digest())
    assert one.startswith('Proxy-Authenticate: Digest realm="home.example", nonce="') and "algorithm=SHA-256" in one
    assert "algorithm=MD5" in two and nonce_of([one]) == nonce_of([two])
    assert asked(digest(), proxy=False)[0].startswith("WWW-Authenticate: ")


@pytest.mark.parametrize("algorithm", sorted(HASHES))
def test_a_right_answer_is_good_once(algorithm):
    desk = digest()
    nonce = nonce_of(asked(desk))
    credentials = answer(nonce, algorithm)
    assert judged(desk, credentials) == "alice"
    assert judged(desk, credentials) == ""
    assert judged(desk, answer(nonce, algorithm, count=2)) == "alice"


def test_a_nonce_of_another_worker_with_the_same_key_is_good():
    assert judged(digest(), answer(nonce_of(asked(digest())))) == "alice"
    assert judged(Digest("home.example", b"x" * 32, {"alice": SECRETS}.get), answer(nonce_of(asked(digest())))) == ""


def test_an_old_nonce_is_stale():
    desk = digest()
    nonce = nonce_of(asked(desk, 0))
    message = sip.parse(request("INVITE", URI, f"Proxy-Authorization: {answer(nonce)}").encode())
    verdict = desk.judge(message, NONCE_LIFE, proxy=True)
    assert verdict.user == "" and b"stale=true" in verdict.lines
    assert nonce_of(verdict.lines.decode().splitlines()) != nonce
    assert desk.judge(message, NONCE_LIFE - MS, proxy=True).user == "alice"


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "wrong"},
        {"user": "nobody"},
        {"uri": "sip:eve@home.example"},
        {"method": "BYE"},
        {"realm": '"far.example"'},
        {"qop": "auth-int"},
        {"nc": "1"},
        {"response": '"\u00fc"'},
        {"cnonce": '"d"'},
    ],
)
def test_wrong_answers(fields):
    desk = digest()
    nonce = nonce_of(asked(desk))
    assert judged(desk, answer(nonce, **fields)) == ""


def test_a_nonce_or_algorithm_of_nobody():
    desk = digest()
    right = answer(nonce_of(asked(desk)))
    for nonce in ("00", "0" * 44, "\u00fc" * 44):
        assert judged(desk, answer(nonce)) == ""
    assert judged(desk, right.replace("algorithm=SHA-256", "algorithm=SHA-512-256")) == ""
    assert judged(desk, right) == "alice"


def test_what_is_no_digest():
    desk = digest()
    for text in ("Basic YQ==", "Digest", "Digest a", 'Digest username="a', "Digest " + "a=b," * 40, "Digest ,", ""):
        assert judged(desk, text or "x") == ""


def test_an_unknown_user_and_a_wrong_password_are_asked_alike():
    desk = digest()
    nonce = nonce_of(asked(desk))
    lines = []
    for fields in ({"user": "nobody"}, {"password": "wrong"}):
        message = sip.parse(request("INVITE", URI, f"Proxy-Authorization: {answer(nonce, **fields)}").encode())
        lines.append(desk.judge(message, 0, proxy=True).lines)
    assert lines[0] == lines[1]


def test_secrets_show_nothing():
    assert "redacted" in repr(SECRETS) and SECRETS.by_algorithm["MD5"] not in repr(SECRETS)


@pytest.mark.parametrize("offered", [("MD5",), ("SHA-256",), ("MD5", "SHA-256")])
def test_what_is_asked_for_is_what_counts(offered):
    """Some phones give up at the name of an algorithm that they do not know: then there is one that they do."""
    desk = Digest("home.example", b"k" * 32, {"alice": SECRETS}.get, algorithms=offered)
    lines = asked(desk)
    assert [line.rpartition("algorithm=")[2] for line in lines] == list(offered)
    for number, algorithm in enumerate(("MD5", "SHA-256"), 1):
        said = answer(nonce_of(lines), algorithm, count=number)
        assert judged(desk, said) == ("alice" if algorithm in offered else "")


def test_an_answer_is_good_at_one_worker_alone(tmp_path):
    """Another one, or the next run, does not know what has been answered already."""
    site = Site(tmp_path)
    config = site.config(digest=True)

    def worker(run: str) -> Proxy:
        lent = {"choose": lambda _: 0, "names": lambda _: frozenset(), "kept": lambda *_: None, "alive": lambda _: True}
        return build(config, b"k" * 32, run, secrets={"alice": SECRETS}.get, **lent)[0].proxy

    def asks(proxy: Proxy, *headers: str, call_id: str = "1") -> sip.SipMessage:
        lines = ("Contact: <sip:alice@192.0.2.10>", *headers)
        text = request("REGISTER", "sip:home.example", *lines, call_id=call_id, branch=f"z9hG4bK{call_id}")
        (out,) = proxy.message(text.replace("To: <sip:bob@", "To: <sip:alice@").encode(), 0, ALICE, 10**12)
        return sip.parse(out.octets)

    one, two = worker("run1"), worker("run2")
    nonce = nonce_of([f"x: {asks(one).values('WWW-Authenticate')[0]}"])
    said = f"Authorization: {answer(nonce, uri='sip:home.example', method='REGISTER')}"
    assert asks(one, said, call_id="2").status == 200
    assert asks(one, said, call_id="3").status == 401
    assert asks(two, said, call_id="4").status == 401
