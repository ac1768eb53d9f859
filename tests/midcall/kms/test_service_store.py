"""What a KMS keeps: TPKs that turn over, a sealed store, logs without identities, configuration and files."""

from __future__ import annotations

import base64

import pytest
from msgspec import structs

from imswire import mikey, xk
from imswire.mikey import values as v
from midcall import config
from midcall.base.lab_pki import uri
from midcall.config import ConfigError
from midcall.kms import Subscriber
from midcall.kms.service import KmsService, ServiceError
from midcall.kms.shell.desk import Disclosure, tell
from tests.midcall.kms.place import Running, code

HOUR = 3600
OTHER_USER = "sip:carol@example.com"


def subscribers(service: KmsService) -> tuple[Subscriber, ...]:
    return service.store.subscribers()


# Keys and time


def test_tickets_outlive_rotation_as_long_as_is_configured(made):
    hours = "{ticket_hours = 24, rotate_hours = 24, keep_hours = 48}"
    with made.running(kms__tpk=hours) as running:
        seen, _ = running.call()
        end = {"end": "2026-07-31T00:00:00Z"}
        made.clock.go(24 * HOUR)
        running.do(lambda service: service.look())
        again, _ = running.call()
        names = [mikey.tpk_id(mikey.parse(each.init.octets).need(v.Ticket)) for each in (seen, again)]
        assert names[0] == b"tpk-1" and names[1] != names[0]
        assert running.get_keys(seen, warrant=made.warrant(**end))[0] == 200
        assert running.get_keys(again, warrant=made.warrant(**end))[0] == 200
    # The lab's file is read no more: its TPK stands in the store, and is destroyed when its time is over.
    with made.running(kms__tpk=hours, kms__lab_keys='""') as running:
        assert running.get_keys(seen, warrant=made.warrant(**end))[0] == 200
        made.clock.go(48 * HOUR)
        running.do(lambda service: service.look())
        assert code(running.get_keys(seen, warrant=made.warrant(**end))) == (422, "ticket", "")


def test_a_restart_with_the_sealed_store(made):
    with made.running() as running:
        seen, bundle = running.call()
    stored = b"".join(path.read_bytes() for path in made.folder.glob("kms.db*"))
    for secret in (made.users["alice"].psk, b"alice", b"psk-alice", b"tpk-1"):
        assert secret not in stored
    with made.running(kms__lab_keys='""') as running:
        status, answer = running.get_keys(seen)
        assert status == 200
        assert base64.b64decode(answer["keys"][0]["key"]) == bundle.session_keys()[1].master_key
        running.call()
    (made.folder / "seal").write_text("00" * 32)
    with pytest.raises(ServiceError, match="sealed with another key"), made.running(kms__lab_keys='""'):
        pass


def test_what_is_told_goes_to_the_li_plane_alone(caplog):
    tell(Disclosure("urn:df", "keys", "", "t-1", "ab" * 32, 2))
    tell(Disclosure("urn:df", "warrant", "ended", "t-2"))
    tell(Disclosure("urn:df", "keys", "", "t-3", keys=2, unsigned=True))
    tell(Disclosure("", "refused"))
    assert {each.name for each in caplog.records} == {"midcall.li.kms"}
    texts = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert texts == [
        "get_keys t-2 from urn:df: warrant (ended), 0 keys",
        "get_keys t-3 from urn:df: keys, 2 keys, WITHOUT A WARRANT (xk.unsigned = accept)",
        "get_keys - from nobody who is listed: refused, 0 keys",
    ]


def test_nothing_that_is_told_or_shown_has_a_key_in_it(made, caplog):
    with made.running(xk__unsigned='"accept"') as running, caplog.at_level(0):
        seen, bundle = running.call()
        request = running.question(seen)
        status, body = running.post_xk(request)
        running.get_keys(seen, warrant=None, identity=OTHER_USER)
        shown = caplog.text + repr(made.told) + repr(request) + repr(xk.read_keys(body))
        shown += running.do(lambda service: repr(vars(service)) + repr(service.store.subscribers()))
    assert status == 200
    for key in bundle.session_keys().values():
        for secret in (key.master_key, key.master_salt):
            assert secret.hex() not in shown and base64.b64encode(secret).decode() not in shown
            assert repr(secret)[2:-1] not in shown
    assert "alice" not in caplog.text and "carol" not in caplog.text


# Files


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kms__seal_": "x"}, "unknown field"),
        ({"users__listen_": '"x"'}, "unknown field"),
        ({"xk__unsigned": '"perhaps"'}, "xk.unsigned"),
        ({"kms__tpk": "{ticket_hours = 48, keep_hours = 24}"}, "less than ticket_hours"),
    ],
)
def test_what_is_wrong_in_the_configuration(made, change, reason):
    text = {k: v if v != "x" else '"x"' for k, v in change.items()}
    with pytest.raises(ConfigError, match=reason), made.running(**text):
        pass


def test_a_node_shows_no_warrant_and_is_refused_by_default(made):
    node = '[[kms.xk.node]]\nidentity = "df2.example.com"\npsk_id = "psk-df2"\ncredential = "x"\n'
    with pytest.raises(ConfigError, match="shows no warrant"), made.running(node):
        pass


def test_a_door_that_cannot_be_opened(made):
    with made.running() as running:
        settings = config.kms(made.text())
        users = structs.replace(settings.users, listen=f"127.0.0.1:{running.port('users')}")
        store = str(made.folder / "other.db")
        with pytest.raises(ServiceError, match="cannot listen: "):
            Running(made, structs.replace(settings, users=users, store=store))


def test_subscribers_come_and_go(made):
    with made.running() as running:
        carol = next(each for each in running.do(subscribers) if "sip:carol@example.com" in each.identities)
        running.do(lambda service: service.store.remove_subscribers((carol,)))
    with made.running(kms__lab_keys='""') as running:
        assert len(running.do(subscribers)) == 2


def test_what_is_wrong_in_the_files(made):
    for name, text, reason in (
        ("seal", "zz", "not hexadecimal"),
        ("seal", "00", "1 octets"),
        ("trust.toml", "x = 1", "trust.toml"),
        ("KEYS.toml", "x = 1", "KEYS.toml"),
    ):
        before = (made.folder / name).read_text()
        (made.folder / name).write_text(text)
        with pytest.raises(ServiceError, match=reason), made.running():
            pass
        (made.folder / name).write_text(before)
    (made.folder / "seal").chmod(0o644)
    with pytest.raises(ServiceError, match="chmod 600"), made.running():
        pass
    assert uri("df") not in (made.folder / "trust.toml").read_text()
