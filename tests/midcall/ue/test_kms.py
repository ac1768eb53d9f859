"""A user agent at the door of a KMS service."""

from __future__ import annotations

import ssl

import pytest

from midcall.base.lab_pki import LabPki
from midcall.ue import lab
from midcall.ue.shell.kms import KmsAccess, UserRefused
from tests.midcall.kms import place
from tests.midcall.kms.place import USERS


@pytest.fixture
def made(tmp_path):
    place.make_pki(tmp_path / "pki")
    (tmp_path / "kms").mkdir()
    return place.Lab(tmp_path / "kms", tmp_path / "pki")


def test_both_ends_of_a_call_get_their_keys_over_https(made):
    with made.running() as door:
        ask = KmsAccess("127.0.0.1", door.port(USERS), made.pki / "ca.pem")
        seen, answered = place.exchange(made.users["alice"], made.users["bob"], ask, ask, made.clock().wall)
    assert seen.response is not None and set(answered.session_keys()) == {1, 2}


def test_a_user_whom_the_kms_does_not_know_is_refused(made):
    eve = lab.user("eve", lab.seeded("eve"))
    with made.running() as door:
        ask = KmsAccess("127.0.0.1", door.port(USERS), made.pki / "ca.pem")
        with pytest.raises(UserRefused) as refused:
            eve.request_ticket(ask, made.clock().wall, ("sip:bob@example.com",))
    assert refused.value.status >= 400


def test_a_kms_with_a_certificate_of_somebody_else_is_asked_nothing(made, tmp_path):
    LabPki(tmp_path / "other").make(())
    with made.running() as door:
        ask = KmsAccess("127.0.0.1", door.port(USERS), tmp_path / "other" / "ca.pem")
        with pytest.raises(ssl.SSLCertVerificationError):
            made.users["alice"].request_ticket(ask, made.clock().wall, ("sip:bob@example.com",))
