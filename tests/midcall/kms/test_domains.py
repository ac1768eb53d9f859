"""Two domains: a user's KMS asks the one that issued the ticket, a process of its own; what interception gets."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imswire import mikey
from imswire.mikey import values as v
from midcall.base.lab_pki import uri
from midcall.base.warrant import value
from midcall.events import Instant, Side, TicketExchange
from midcall.kms import keyfile
from midcall.ue import lab
from midcall.ue.ticket import TicketUser
from tests.midcall import warrants
from tests.midcall.kms.place import ELEMENT, Clock, Lab, Running, UserRefused, exchange, kept, secret

OTHER = "kms.other.example"
SHARED = b"S" * 32
ROOT = Path(__file__).parents[3]
BOB = "sip:bob@example.com"
CACHE = "[kms.cache]\nenabled = true\n"


class Issuer:
    """The KMS of alice's domain, in another process."""

    def __init__(self, folder: Path, pki: Path) -> None:
        folder.mkdir()
        draw = lab.seeded("issuer")
        self.pki = pki
        self.alice = TicketUser("sip:alice@other.example", b"psk-a", draw(16), OTHER, draw)
        entry = {"identity": self.alice.uri, "psk_id": "psk-a", "psk": self.alice.psk}
        (folder / "KEYS.toml").write_text(keyfile.example(OTHER, {"tpk-o": draw(16)}, [entry]))
        own = f'certificate = "{pki}/kms-other.pem"\nkey = "{pki}/kms-other.key"\n'
        text = (
            f'[kms]\nidentity = "{OTHER}"\nelement = "kms-9"\nstore = "{folder}/kms.db"\n'
            f'seal = "{secret(folder / "seal", draw(32))}"\nlab_keys = "{folder}/KEYS.toml"\n'
            f'[kms.users]\nlisten = "127.0.0.1:0"\n{own}'
            f'[kms.peers]\nlisten = "127.0.0.1:0"\n{own}ca = "{pki}/ca.pem"\n'
            f'[[kms.peers.peer]]\nidentity = "{lab.KMS_IDENTITY}"\nurl = "https://127.0.0.1:1"\n'
            f'name = "{uri("kms")}"\npsk_id = "between"\ncredential = "{secret(folder / "shared", SHARED)}"\n'
        )
        (folder / "kms.toml").write_text(text)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "midcall.kms.service", "--config", str(folder / "kms.toml")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.addresses = json.loads(self._process.stdout.readline())

    def stop(self) -> str:
        self._process.terminate()
        _, errors = self._process.communicate()
        assert self._process.returncode == 0
        return errors

    @property
    def running(self) -> Running:
        """Enough of a running service to ask it."""
        asker = Running.__new__(Running)
        asker.lab = self  # type: ignore[assignment]
        asker.port = lambda door: self.addresses[door][1]  # type: ignore[method-assign]
        return asker


@pytest.fixture(scope="module")
def issuer(tmp_path_factory, pki):
    issuer = Issuer(tmp_path_factory.mktemp("issuer") / "kms", pki)
    yield issuer
    assert "sip:" not in issuer.stop()


@pytest.fixture
def made(tmp_path, pki):
    """bob's domain; its clock is the real one, for two processes have no other in common."""
    made = Lab(tmp_path, pki, ("bob", "carol"))
    made.clock = Clock(Instant(time.time_ns(), 10**12))
    window = {"valid_from": moment(-1), "valid_until": moment(1)}
    (tmp_path / "trust.toml").write_text(
        warrants.trust_text(warrants.entry(warrants.ANN, **window), warrants.entry(warrants.BEN, **window))
    )
    return made


def moment(days: int) -> str:
    return value.as_moment(datetime.now(UTC).replace(microsecond=0) + timedelta(days=days))


@contextmanager
def domain(
    made: Lab, issuer: Issuer, *more: str, name: str = "kms-other", psk_id: str = "between"
) -> Iterator[Running]:
    own = f'certificate = "{made.pki}/kms.pem"\nkey = "{made.pki}/kms.key"\nca = "{made.pki}/ca.pem"\n'
    peers = (
        f"[kms.peers]\n{own}deadline_seconds = 20.0\n"
        f'[[kms.peers.peer]]\nidentity = "{OTHER}"\nurl = "https://127.0.0.1:{issuer.addresses["peers"][1]}"\n'
        f'name = "{uri(name)}"\npsk_id = "{psk_id}"\ncredential = "{secret(made.folder / "shared", SHARED)}"\n'
    )
    with made.running(peers, *more) as running:
        yield running


def warrant(made: Lab) -> str:
    target = {"liid": "LI-1", "xid": warrants.XID, "identity": BOB}
    return made.warrant(targets=[target], start=moment(-1), end=moment(1), elements=[ELEMENT])


def call(issuer: Issuer, running: Running, flags: str):
    """alice, of the other domain, calls bob."""
    bob = running.lab.users["bob"]
    return exchange(issuer.alice, bob, issuer.running.ask, running.ask, time.time_ns(), flags)


@pytest.mark.parametrize("flags", ["DEFGHNO", "DEFGHINO"])
def test_a_call_between_domains(made, issuer, flags):
    with domain(made, issuer, CACHE) as running:
        authority = warrant(made)
        seen, bundle = call(issuer, running, flags)
        status, answer = running.get_keys(seen, identity=BOB, warrant=authority)
        assert status == 200 and [key["cs_id"] for key in answer["keys"]] == [1, 2]
        given = mikey_keys(answer)
        assert given == {cs_id: key.master_key for cs_id, key in bundle.session_keys().items()}
        # Another call under a ticket that nobody resolved here stays closed, and so does this one when it is old.
        alone = unresolved(issuer)
        assert running.get_keys(alone, identity=BOB, warrant=authority)[1]["code"] == "foreign"
        made.clock.go(4 * 3600)
        assert running.get_keys(seen, identity=BOB, warrant=authority)[1]["code"] == "foreign"


def mikey_keys(answer: dict) -> dict[int, bytes]:
    return {key["cs_id"]: b64decode(key["key"]) for key in answer["keys"]}


def unresolved(issuer: Issuer) -> TicketExchange:
    """A call of the other domain to bob whose ticket he has not resolved."""
    now = time.time_ns()
    ticket = issuer.alice.request_ticket(issuer.running.ask, now, (BOB,))
    offered = issuer.alice.offer(ticket, BOB, now, (), {})
    return TicketExchange(None, Side.CALLER, kept(offered.init, now), None)


def test_without_a_cache_a_foreign_ticket_stays_closed(made, issuer):
    with domain(made, issuer) as running:
        seen, _ = call(issuer, running, "DEFGHNO")
        status, answer = running.get_keys(seen, identity=BOB, warrant=warrant(made))
        assert (status, answer["code"]) == (422, "foreign")


def refusal(issuer: Issuer, running: Running) -> tuple[int, int]:
    with pytest.raises(UserRefused) as caught:
        call(issuer, running, "DEFGHNO")
    return caught.value.status, mikey.parse(caught.value.body).need(v.Err).error_no


def test_another_kms_in_its_place_is_asked_nothing(made, issuer):
    with domain(made, issuer, name="poi") as running:
        assert refusal(issuer, running)[0] == 504


def test_the_issuing_kms_wants_the_key_of_the_certificate(made, issuer):
    with domain(made, issuer, psk_id="another") as running:
        assert refusal(issuer, running) == (403, mikey.ErrorNo.INVALID_TICKET)


def test_a_kms_that_is_not_configured_is_not_asked(made, issuer):
    with made.running() as running:
        assert refusal(issuer, running) == (403, mikey.ErrorNo.INVALID_TICKET)


def test_who_is_no_peer_is_told_nothing(issuer):
    asker = issuer.running
    for role in ("df", "poi"):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            asker.post("peers", "/keymanagement?requesttype=ticketresolve", b"\x01", role=role)
    # A peer with something else than a Resolve of its own.
    assert asker.post("peers", "/elsewhere", b"", role="kms")[0] == 404
    assert asker.post("peers", "/keymanagement?requesttype=ticketresolve", b"\x01", role="kms")[0] == 400
