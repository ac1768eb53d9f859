"""midcall warrant: from a template over two approvals to a file that holds, and every way in which it does not."""

from __future__ import annotations

import hashlib
import io
import re
import stat
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from midcall.base import warrant as warrants
from midcall.base.warrant import Revocation, Verified, Warrant, envelope, value
from midcall.events import Instant
from tests.midcall import warrants as lab
from tests.midcall.cli.test_commands import midcall

TEMPLATE = """\
country = "XX"
agency = "agency"
services = ["voice", "messaging"]
scope = "iri+cc"
keys = "decrypt"
location = false
start = 2026-01-01T00:00:00+01:00
end = 2026-03-01T00:00:00Z
elements = ["poi-1"]
[order]
authority = "court"
reference = "1 AB 23/26"
[[target]]
liid = "LI-1"
identity = "sip:alice@example.com"
[[target]]
liid = "LI-1"
identity = "tel:+49-30-123"
[[destination]]
host = "lemf.example.com"
port = 7443
certificate = "%s"
""" % ("00" * 32)


@pytest.fixture
def folder(tmp_path):
    """A template, its order's document, keys of two persons, and their trust list."""
    (tmp_path / "w.toml").write_text(TEMPLATE)
    (tmp_path / "order.pdf").write_bytes(b"an order")
    entries = [midcall("warrant", "keygen", "--key", tmp_path / f"{name}.key", "--person", name) for name in "AB"]
    assert all(done.returncode == 0 for done in entries)
    (tmp_path / "trust.toml").write_text("max_days = 90\n" + "".join(done.stdout for done in entries))
    return tmp_path


def draft(folder, *options: object, out: str = "w.json"):
    return midcall("warrant", "draft", *options, "--out", folder / out)


def drafted(folder, *options: object, out: str = "w.json"):
    done = draft(folder, folder / "w.toml", "--order", folder / "order.pdf", *options, out=out)
    assert done.returncode == 0, done.stderr
    return folder / out


def approve(folder, path, *names: str):
    for name in names:
        done = midcall("warrant", "approve", path, "--key", folder / f"{name}.key", "--yes")
        assert done.returncode == 0, done.stderr
    return path


def contents(path):
    return value.decode(envelope.read(path.read_bytes()).signed)


def test_the_template_that_is_printed_makes_a_draft(tmp_path):
    example = midcall("warrant", "draft", "--example")
    assert example.returncode == 0 and example.stdout.count("#") > 10
    (tmp_path / "w.toml").write_text(example.stdout)
    (tmp_path / "order.pdf").write_bytes(b"an order")
    without = draft(tmp_path, tmp_path / "w.toml")
    assert without.returncode == 2 and "give the document with --order" in without.stderr
    done = draft(tmp_path, tmp_path / "w.toml", "--order", tmp_path / "order.pdf")
    assert done.returncode == 0, done.stderr
    signed = contents(tmp_path / "w.json")
    assert isinstance(signed, Warrant) and signed.order.sha256 == hashlib.sha256(b"an order").hexdigest()


def test_a_draft_is_what_the_template_says(folder):
    path = drafted(folder)
    signed = contents(path)
    assert signed.start == "2025-12-31T23:00:00Z" and signed.version == 1 and signed.supersedes is None
    assert signed.order.sha256 == hashlib.sha256(b"an order").hexdigest()
    assert len({each.xid for each in signed.targets}) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = draft(folder, folder / "w.toml", "--order", folder / "order.pdf")
    assert again.returncode == 2 and "File exists" in again.stderr


def test_two_persons_make_it_hold(folder):
    path = drafted(folder)
    now = value.moment("2026-01-15T00:00:00Z")
    begun = re.sub("valid_from = .*", "valid_from = 2025-01-01T00:00:00Z", (folder / "trust.toml").read_text())
    trust = warrants.read_trust(begun)
    for name, holds in (("A", False), ("B", True)):
        approve(folder, path, name)
        outcome = warrants.verify(path.read_bytes(), trust, Instant(now, 0), "poi-1", {})
        assert isinstance(outcome, Verified) is holds
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_who_approves_sees_all_of_it_first(folder):
    path = drafted(folder)
    done = midcall("warrant", "approve", path, "--key", folder / "A.key", "--yes")
    for text in (
        "court", "1 AB 23/26", "agency", "events and content (iri+cc), decrypt", "location left out",
        "voice, messaging",
        "from 2025-12-31T23:00:00Z to before 2026-03-01T00:00:00Z (59.0417 days)", "sip:alice@example.com",
        "tel:+49-30-123 (matches tel:+4930123)", "LIID LI-1", "poi-1", "lemf.example.com port 7443", "00" * 32,
        contents(path).order.sha256, *(each.xid for each in contents(path).targets),
    ):  # fmt: skip
        assert text in done.stderr
    assert "1 signatures" in done.stdout


def test_nothing_is_signed_without_a_yes(folder, monkeypatch):
    path = drafted(folder)
    before = path.read_bytes()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    done = midcall("warrant", "approve", path, "--key", folder / "A.key")
    assert done.returncode == 2 and "nobody is there to confirm" in done.stderr and path.read_bytes() == before

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for answer, status, signatures in (("n\n", 2, 0), ("\n", 2, 0), ("", 130, 0), ("y\n", 0, 1)):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        done = midcall("warrant", "approve", path, "--key", folder / "A.key")
        assert done.returncode == status, done.stderr
        assert len(envelope.read(path.read_bytes()).signatures) == signatures


def test_one_key_approves_once(folder):
    path = approve(folder, drafted(folder), "A")
    done = midcall("warrant", "approve", path, "--key", folder / "A.key", "--yes")
    assert done.returncode == 2 and "has approved it already" in done.stderr


def other_key(folder):
    path = folder / "other.key"
    path.touch(0o600)
    made = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_keys_that_are_not_taken(folder):
    path = drafted(folder)
    before = path.read_bytes()
    (folder / "text").write_text("no key")
    (folder / "text").chmod(0o600)
    for key, says in (
        (folder / "none", "No such file"),
        (folder / "text", "no private key"),
        (folder, "directory"),
        (other_key(folder), "not an Ed25519 key"),
    ):
        done = midcall("warrant", "approve", path, "--key", key, "--yes")
        assert done.returncode == 2 and says in done.stderr and len(done.stderr.splitlines()) == 1
    for mode in (0o640, 0o604, 0o660, 0o610):
        (folder / "A.key").chmod(mode)
        done = midcall("warrant", "approve", path, "--key", folder / "A.key", "--yes")
        assert done.returncode == 2 and "chmod 600" in done.stderr and "BEGIN" not in done.stderr
    assert path.read_bytes() == before
    done = midcall("warrant", "keygen", "--key", folder / "A.key", "--person", "A")
    assert done.returncode == 2 and "File exists" in done.stderr
    assert midcall("warrant", "keygen", "--key", folder / "C.key", "--person", "\u202e").returncode == 2
    assert not (folder / "C.key").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("iri+cc", "everything"), "line 4: scope"),
        (('keys = "decrypt"\n', ""), "keys: given with scope iri+cc"),
        (("location = false\n", ""), "location"),
        (("2026-03-01T00:00:00Z", "2026-03-01T00:00:00"), "line 8: end"),
        (("2026-03-01T00:00:00Z", "2025-03-01T00:00:00Z"), "end: not after start"),
        (("2026-03-01T00:00:00Z", "2026-03-01T00:00:00.5Z"), "whole seconds"),
        (("sip:alice", "alice"), "no SIP, TEL or URN identity"),
        (("tel:+49-30-123", "sip:alice@EXAMPLE.com"), "targets: identity: named twice"),
        (("[order]", "[court]"), "court"),
        (("country", "# country"), "country"),
        (("port = 7443", "port = 0"), "destination.port"),
        (('"court"', '"co\\u202ert"'), "do not show"),
        (("= [", "= ("), "no TOML"),
    ],
)
def test_wrong_templates(folder, change, says):
    assert change[0] in TEMPLATE
    (folder / "w.toml").write_text(TEMPLATE.replace(*change))
    done = draft(folder, folder / "w.toml", "--order", folder / "order.pdf")
    assert done.returncode == 2 and says in done.stderr and len(done.stderr.splitlines()) == 1
    assert "alice" not in done.stderr.lower() and not (folder / "w.json").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "give a TEMPLATE"),
        (("w.toml", "--revoke", "w.json"), "give a TEMPLATE"),
        (("--revoke", "w.json"), "--reference goes with --revoke"),
        (("w.toml", "--reference", "x"), "--reference goes with --revoke"),
        (("w.toml",), "order.sha256: missing"),
        (("w.toml", "--order", "nothing"), "No such file"),
        (("--revoke", "nothing", "--reference", "x"), "No such file"),
    ],
)
def test_wrong_use_of_draft(folder, monkeypatch, options, says):
    monkeypatch.chdir(folder)
    done = midcall("warrant", "draft", *options, "--out", "new.json")
    assert done.returncode in (2, 3) and says in done.stderr and not (folder / "new.json").exists()
    assert midcall("warrant", "draft", "w.toml", "--order", "order.pdf").returncode == 2


def test_the_digest_is_that_of_the_document(folder):
    (folder / "w.toml").write_text(TEMPLATE.replace("[[target]]", f'sha256 = "{"ab" * 32}"\n[[target]]', 1))
    done = draft(folder, folder / "w.toml", "--order", folder / "order.pdf")
    assert done.returncode == 2 and "not that of" in done.stderr


def test_the_next_version_keeps_the_tasks_that_go_on(folder):
    first = contents(approve(folder, drafted(folder), "A", "B"))
    text = TEMPLATE.replace("tel:+49-30-123", "tel:+49-30-124").replace("2026-03-01", "2026-02-01")
    (folder / "w.toml").write_text(text)
    second = contents(drafted(folder, "--supersede", folder / "w.json", out="w2.json"))
    assert (second.id, second.version, second.supersedes) == (first.id, 2, 1)
    assert second.targets[0] == first.targets[0] and second.targets[1].xid != first.targets[1].xid
    (folder / "w.toml").write_text('id = "W-other"\n' + text)
    done = draft(folder, folder / "w.toml", "--order", folder / "order.pdf", "--supersede", folder / "w.json", out="n")
    assert done.returncode == 2 and "not that of the warrant" in done.stderr


def test_a_revocation_takes_two_persons_too(folder):
    path = approve(folder, drafted(folder), "A", "B")
    assert draft(folder, "--revoke", path, "--reference", "2 AB", out="r.json").returncode == 0
    signed = contents(folder / "r.json")
    assert isinstance(signed, Revocation) and signed.version == 2
    approve(folder, folder / "r.json", "A")
    assert midcall("warrant", "show", folder / "r.json", "--trust", folder / "trust.toml").returncode == 4
    approve(folder, folder / "r.json", "B")
    done = midcall("warrant", "show", folder / "r.json", "--trust", folder / "trust.toml")
    assert done.returncode == 0 and "REVOCATION" in done.stdout and "nothing under this warrant holds" in done.stdout
    done = draft(folder, folder / "w.toml", "--order", folder / "order.pdf", "--supersede", folder / "r.json", out="n")
    assert done.returncode == 2 and "is a revocation" in done.stderr


def test_show_says_which_approvals_count_and_why_it_does_not_hold(folder):
    path = approve(folder, drafted(folder), "A")
    plain = midcall("warrant", "show", path)
    assert plain.returncode == 0 and "verified:      no (no trust list given)" in plain.stdout
    done = midcall("warrant", "show", path, "--trust", folder / "trust.toml")
    assert done.returncode == 4 and ": A, counts" in done.stdout and "approvals: 1 of 2" in done.stdout
    approve(folder, path, "B")
    done = midcall("warrant", "show", path, "--trust", folder / "trust.toml")
    assert done.returncode == 4 and "verified:      no: ended" in done.stdout
    revoked = (folder / "trust.toml").read_text().replace("revoked = false", "revoked = true", 1)
    (folder / "trust.toml").write_text(revoked)
    done = midcall("warrant", "show", path, "--trust", folder / "trust.toml")
    assert ": A, revoked, does not count" in done.stdout
    assert midcall("warrant", "show", path, "--element", "x").returncode == 2
    path.write_bytes(path.read_bytes().replace(b'"signature":"', b'"signature":"A', 1))
    done = midcall("warrant", "show", path, "--trust", folder / "trust.toml")
    assert done.returncode == 4


def test_files_that_are_no_warrants_or_trust_lists(folder):
    path = approve(folder, drafted(folder), "A", "B")
    for octets, says in ((b"{}", "payload"), (b"x" * (1 << 20), "longer than"), (b"\xff", "not JSON")):
        (folder / "x").write_bytes(octets)
        for command in (("show", folder / "x"), ("approve", folder / "x", "--key", folder / "A.key", "--yes")):
            done = midcall("warrant", *command)
            assert done.returncode == 3 and says in done.stderr and len(done.stderr.splitlines()) == 1
    (folder / "trust.toml").chmod(0o666)
    done = midcall("warrant", "show", path, "--trust", folder / "trust.toml")
    assert done.returncode == 2 and "can write this trust list" in done.stderr
    assert midcall("warrant", "show", path, "--trust", folder / "none").returncode == 2
    (folder / "t").write_text("max_days = 1\n")
    done = midcall("warrant", "show", path, "--trust", folder / "t")
    assert done.returncode == 2 and "approver" in done.stderr


def test_an_extra_key_signs_but_does_not_count(folder):
    path = drafted(folder)
    assert midcall("warrant", "keygen", "--key", folder / "C.key", "--person", "C").returncode == 0
    approve(folder, path, "A", "C")
    done = midcall("warrant", "show", path, "--trust", folder / "trust.toml")
    assert done.returncode == 4 and "not listed, does not count" in done.stdout
    assert "1 by a key that is not listed" in done.stdout


def test_what_was_signed_by_hand_is_shown_as_text(tmp_path):
    path = tmp_path / "w.json"
    path.write_bytes(lab.signed(lab.make(agency="Größe")))
    assert "Größe" in midcall("warrant", "show", path).stdout


def test_a_file_that_is_drafted_already_is_no_template(folder):
    draft(folder, folder / "w.toml", "--order", folder / "order.pdf")
    again = draft(folder, folder / "w.json", out="other.json")
    assert again.returncode == 2 and "w.json: is no template (TOML), but a draft that was made already" in again.stderr
    midcall("warrant", "approve", folder / "w.json", "--key", folder / "A.key", "--yes")
    again = draft(folder, folder / "w.json", out="other.json")
    assert "a warrant's file with 1 signatures" in again.stderr and "draft --supersede" in again.stderr
    assert not (folder / "other.json").exists()
