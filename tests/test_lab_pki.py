"""scripts/lab-pki: what openssl and TS 33.310 6.1 say of the certificates."""

from __future__ import annotations

import datetime
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from midcall.base import lab_pki
from midcall.base.lab_pki import ROLES, LabPki, uri

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "pki"
    assert lab_pki.main([str(out), "--role", "approver-1", "--host", "lemf.lab", "--host", "192.0.2.1"]) == 0
    return out


@pytest.mark.parametrize("role", [*ROLES, "approver-1"])
def test_a_certificate_as_ts_33_310_wants_it(made, role):
    certificate = x509.load_pem_x509_certificate((made / f"{role}.pem").read_bytes())
    extension = certificate.extensions.get_extension_for_class
    assert certificate.version is x509.Version.v3
    assert 0 < certificate.serial_number < 1 << 160
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= datetime.timedelta(days=3 * 365)
    usage = extension(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature and not usage.value.key_cert_sign
    both = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert set(extension(x509.ExtendedKeyUsage).value) == both
    names = extension(x509.SubjectAlternativeName)
    assert names.critical and names.value.get_values_for_type(x509.UniformResourceIdentifier) == [uri(role)]
    assert {"localhost", "lemf.lab"} <= set(names.value.get_values_for_type(x509.DNSName))
    assert "192.0.2.1" in map(str, names.value.get_values_for_type(x509.IPAddress))
    assert extension(x509.AuthorityKeyIdentifier).value.key_identifier
    assert extension(x509.CRLDistributionPoints).value[0].full_name
    subject = {each.oid: each.value for each in certificate.subject}
    assert subject[NameOID.COUNTRY_NAME] and subject[NameOID.ORGANIZATION_NAME] and subject[NameOID.USER_ID] == role
    key = load_pem_private_key((made / f"{role}.key").read_bytes(), None)
    assert key.public_key() == certificate.public_key()


def test_only_the_owner_reads_a_key(made):
    keys = list(made.glob("*.key"))
    assert len(keys) == len(ROLES) + 4
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert not list(made.glob(".*"))


@pytest.mark.parametrize("name", ["integrity", "heads"])
def test_a_key_that_signs_is_a_pair(made, name):
    private = load_pem_private_key((made / f"{name}.key").read_bytes(), None)
    assert load_pem_public_key((made / f"{name}.pub").read_bytes()) == private.public_key()


@pytest.mark.peer
@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
def test_openssl_agrees(made, purpose):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", made / "ca.pem"]
    command += ["-crl_check", "-CRLfile", made / "crl.pem", *(made / f"{role}.pem" for role in ROLES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.count(": OK") == len(ROLES), done.stderr


def test_a_second_run_keeps_what_is_there_and_makes_what_is_missing(made, capsys):
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    (made / "kms.pem").unlink()
    assert lab_pki.main([str(made)]) == 0
    after = {path.name: path.read_bytes() for path in made.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"kms.pem", "kms.key"}
    assert "2 files made" in capsys.readouterr().out


def test_a_certificate_never_outlives_its_ca(made, monkeypatch):
    monkeypatch.setattr(lab_pki, "DAYS", 10_000)
    LabPki(made).make(("long",))
    long, ca = (x509.load_pem_x509_certificate((made / f"{name}.pem").read_bytes()) for name in ("long", "ca"))
    assert long.not_valid_after_utc == ca.not_valid_after_utc


def test_what_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "ca.pem").write_text("no PEM")
    for arguments in (
        [tmp_path / "file"],
        [tmp_path / "odd"],
        [tmp_path / "a", "--role", "../up"],
        [tmp_path / "a", "--role", "ca"],
    ):
        assert lab_pki.main(list(map(str, arguments))) == 3
        said = capsys.readouterr().err
        assert said.startswith("lab-pki: ") and said.count("\n") == 1


def test_the_script_is_valid_shell():
    script = ROOT / "scripts" / "lab-pki"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
