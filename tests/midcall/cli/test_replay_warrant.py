"""midcall replay --warrant: what it covers is done, on the capture's clock; everything else is refused beforehand."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from imswire import hi, pcap
from midcall.base import lab_pki
from midcall.base.warrant import value
from midcall.kms import keyfile
from midcall.ue import lab as ue
from tests.midcall import warrants as lab
from tests.midcall.cli.test_commands import midcall, payloads
from tests.midcall.cli.test_deliver import lemf, tls
from tests.scenarios.world import TPK_ID, World, truth

BEGIN = "2025-01-01T00:00:01Z"  # the capture's first packet
ALICE, OTHER = "sip:alice@example.com", "tel:+4930123"
TERMS = {"start": BEGIN, "end": "2025-01-02T00:00:01Z", "elements": ["poi-1"], "location": True}
VALID = {"valid_from": "2024-01-01T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"}
XIDS = [f"0a000000-0000-4000-8000-{n:012}" for n in range(4)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A capture of one call, its KEYS.toml, a trust list, certificates."""
    folder = tmp_path_factory.mktemp("warranted")
    world = World()
    call = world.call()
    call.establish(world.held())
    call.talk(3)
    call.hang_up()
    (folder / "calls.pcap").write_bytes(ue.write_capture(world.wire))
    users = [{"identity": u.uri, "psk_id": u.psk_id.decode(), "psk": u.psk} for u in world.users.values()]
    (folder / "KEYS.toml").write_text(keyfile.example(ue.KMS_IDENTITY, {TPK_ID.decode(): world.tpk}, users))
    (folder / "trust.toml").write_text(lab.trust_text(lab.entry(lab.ANN, **VALID), lab.entry(lab.BEN, **VALID)))
    (folder / "config.toml").write_text('[warranted]\nliid = "CONFIG"\n[delivery]\ngive_up_seconds = 3\n')
    lab_pki.main([str(folder / "pki")])
    return folder, call


def replay(made, out, *options, names=(lab.ANN, lab.BEN), target=ALICE, **changed):
    folder, _ = made
    path = out.with_suffix(".json")
    path.write_bytes(lab.signed(lab.make(**TERMS | changed), *names))
    trust = () if "--trust" in options else ("--trust", folder / "trust.toml")
    targets = [each for uri in ([target] if isinstance(target, str) else target) for each in ("--target", uri)]
    keys = ("--kms-keys", folder / "KEYS.toml", "--out", out, "--warrant", path)
    return midcall("replay", folder / "calls.pcap", *targets, *keys, *trust, *options)


def report(out):
    return json.loads((out / "report.json").read_text())


def headers(path):
    return [hi.parse(each).header for each in hi.Splitter().feed(path.read_bytes())]


def test_the_warrant_is_the_authority_and_its_terms_hold(made, tmp_path):
    folder, call = made
    out = tmp_path / "out"
    done = replay(made, out, "--config", folder / "config.toml", "--activate-at", 1, country="YY")
    assert done.returncode == 0 and done.stderr == ""
    told = report(out)
    assert told["authority"] == "W-1" and told["handover"]["liid"] == "LI-1"
    assert told["warrant"]["version"] == 1 and told["warrant"]["approvals"] == [
        lab.key_id(lab.ANN),
        lab.key_id(lab.BEN),
    ]
    assert told["window"] == {"start": 1.0, "end": 86_400.0}
    assert payloads(out / "media.pcap") == truth(call, 1.0)
    assert {(each.liid, each.country) for each in headers(out / "hi2.ber")} == {(b"LI-1", "YY")}


def test_nothing_from_before_its_start_or_from_its_end_on(made, tmp_path):
    _, call = made
    out = tmp_path / "out"
    window = {"start": "2025-01-01T00:00:02Z", "end": "2025-01-01T00:00:04Z"}
    done = replay(made, out, **window)
    assert done.returncode == 0 and done.stderr == ""
    assert report(out)["window"] == {"start": 1.0, "end": 3.0} and report(out)["dialogs"][0]["mid_call"]
    assert payloads(out / "media.pcap") == truth(call, 1.0, 3.0)
    wider = replay(made, tmp_path / "wider", "--activate-at", 0, "--deactivate-at", 100, **window)
    assert wider.returncode == 0 and "narrower than what was asked" in wider.stderr
    assert payloads(tmp_path / "wider" / "media.pcap") == truth(call, 1.0, 3.0)
    inside = replay(made, tmp_path / "in", "--activate-at", 1.5, "--deactivate-at", 2, **window)
    assert inside.returncode == 0 and inside.stderr == ""
    assert payloads(tmp_path / "in" / "media.pcap") == truth(call, 1.5, 2.0)


def test_a_capture_of_another_time(made, tmp_path):
    done = replay(made, tmp_path / "out", start="2025-02-01T00:00:00Z", end="2025-02-02T00:00:00Z")
    assert done.returncode == 0 and done.stderr.endswith("s, before the interception was to begin\n")


def test_events_only(made, tmp_path):
    out = tmp_path / "out"
    assert replay(made, out, scope="iri", keys=None).returncode == 0
    assert report(out)["handover"]["hi3_pdus"] == 0 and report(out)["handover"]["hi2_pdus"] > 0
    assert payloads(out / "media.pcap") == []


@pytest.mark.parametrize("service", ["voice", "messaging"])
def test_its_services_alone(made, tmp_path, service):
    out = tmp_path / "out"
    assert replay(made, out, services=[service, "data"]).returncode == 0
    assert (report(out)["handover"]["hi3_pdus"] > 0) is (payloads(out / "media.pcap") != []) is (service == "voice")
    assert (b"call-1@lab" in (out / "hi2.ber").read_bytes()) is (service == "voice")


def test_keys_for_the_agency(made, tmp_path):
    assert replay(made, tmp_path / "decrypt").returncode == 0
    assert replay(made, tmp_path / "keys", keys="keys-to-lemf").returncode == 0
    decrypt, keys = ((tmp_path / each / "hi3.ber").read_bytes() for each in ("decrypt", "keys"))
    assert len(keys) > len(decrypt) and report(tmp_path / "keys")["authority"] == "W-1"


@pytest.mark.parametrize(
    ("changed", "options", "says"),
    [
        ({"names": (lab.ANN,)}, (), "approvals: 1 of 2 persons have approved"),
        ({"names": (lab.ANN, lab.EVE)}, (), "approvals: 1 of 2 persons"),
        ({"target": "sip:bob@example.com"}, (), "--target sip:bob@example.com is not a target of it"),
        ({"target": (ALICE, "sip:bob@example.com")}, (), "is not a target of it"),
        ({"target": "sip:alice@example.com:5070"}, (), "is not a target of it"),
        ({"elements": ["poi-2"]}, (), "element: this element"),
        ({"services": ["data"]}, (), "lists neither voice nor messaging"),
        ({"end": "2025-12-31T00:00:00Z"}, (), "length: "),
        (
            {"start": "2024-12-31T00:00:00Z", "end": BEGIN},
            (),
            "ended: the window closed 2025-01-01T00:00:01Z; the capture",
        ),
        ({"end": "2025-01-01T00:00:03Z"}, ("--activate-at", 2), "ended: "),
        ({"start": "2025-01-01T00:00:03Z"}, ("--deactivate-at", 2), "begins when what is asked for is over"),
        ({}, ("--trust", "nothing.toml"), "nothing.toml: No such file"),
        ({}, ("--deliver", "127.0.0.1:9"), "--cert is missing"),
        (
            {
                "target": (ALICE, OTHER),
                "targets": [
                    {"liid": "LI-1", "xid": XIDS[0], "identity": ALICE},
                    {"liid": "LI-2", "xid": XIDS[1], "identity": OTHER},
                ],
            },
            (),
            "different LIIDs",
        ),
        (
            {"targets": [{"liid": f"LI-{n}", "xid": XIDS[n], "identity": ALICE} for n in (1, 2)]},
            (),
            "several LIIDs",
        ),
    ],
)
def test_what_it_does_not_cover_is_not_begun(made, tmp_path, changed, options, says):
    done = replay(made, tmp_path / "out", *options, **changed)
    assert done.returncode == 2 and says in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "out").exists()


def test_two_targets_under_one_liid(made, tmp_path):
    targets = [{"liid": "LI-1", "xid": XIDS[n], "identity": each} for n, each in enumerate((ALICE, OTHER))]
    done = replay(made, tmp_path / "out", targets=targets, target=("SIP:alice@EXAMPLE.com;x=y", "tel:+49-30-123"))
    assert done.returncode == 0, done.stderr
    assert report(tmp_path / "out")["dialogs"][0]["intercepted"]


def test_one_spoiled_octet(made, tmp_path):
    folder, _ = made
    octets = bytearray(lab.signed(lab.make(**TERMS)))
    octets[40] ^= 1
    (tmp_path / "w.json").write_bytes(octets)
    base = ("replay", folder / "calls.pcap", "--target", ALICE, "--kms-keys", folder / "KEYS.toml")
    trust = ("--trust", folder / "trust.toml")
    done = midcall(*base, "--out", tmp_path / "out", "--warrant", tmp_path / "w.json", *trust)
    assert done.returncode == 2 and "signature: " in done.stderr and not (tmp_path / "out").exists()
    for alone in (("--warrant", tmp_path / "w.json"), trust):
        done = midcall(*base, "--out", tmp_path / "out", *alone)
        assert done.returncode == 2 and "go together" in done.stderr and not (tmp_path / "out").exists()
    (tmp_path / "w.json").write_bytes(lab.signed(lab.revocation(2)))
    done = midcall(*base, "--out", tmp_path / "out", "--warrant", tmp_path / "w.json", *trust)
    assert done.returncode == 2 and "revoked" in done.stderr


@pytest.mark.parametrize(
    ("octets", "says"), [(b"", "pcap"), (None, "No such file"), ("folder", "has to be a file"), ("empty", "no frame")]
)
def test_a_capture_that_has_no_first_packet(made, tmp_path, octets, says):
    folder, _ = made
    (tmp_path / "w.json").write_bytes(lab.signed(lab.make(**TERMS)))
    capture = tmp_path / "c.pcap"
    if octets == "folder":
        capture.mkdir()
    elif octets == "empty":
        capture.write_bytes((folder / "calls.pcap").read_bytes()[:24])
    elif octets is not None:
        capture.write_bytes(octets)
    keys = ("--kms-keys", folder / "KEYS.toml", "--out", tmp_path / "out")
    warrant = ("--warrant", tmp_path / "w.json", "--trust", folder / "trust.toml")
    done = midcall("replay", capture, "--target", ALICE, *keys, *warrant)
    assert done.returncode == 3 and says in done.stderr and len(done.stderr.splitlines()) == 1


def test_an_element_without_a_name_has_no_warrant(made, tmp_path):
    (tmp_path / "c.toml").write_text('[network]\nelement = ""\n')
    done = replay(made, tmp_path / "out", "--config", tmp_path / "c.toml")
    assert done.returncode == 2


def test_content_goes_to_the_destination_that_the_warrant_names_and_to_no_other(made, tmp_path):
    folder, call = made
    certificate = x509.load_pem_x509_certificate((folder / "pki" / "lemf.pem").read_bytes())
    pin = sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    patience = ("--config", folder / "config.toml")
    with lemf(folder, tmp_path / "lemf") as address:
        port = int(address.rpartition(":")[2])
        for name, place, says in (
            ("elsewhere", {"host": "127.0.0.1", "port": port ^ 1, "certificate": pin}, "is not a destination"),
            ("stranger", {"host": "127.0.0.1", "port": port, "certificate": lab.DIGEST}, "were not delivered"),
            ("right", {"host": "127.0.0.1", "port": port, "certificate": pin}, ""),
        ):
            options = ("--deliver", address, *tls(folder, "df"), *patience)
            done = replay(made, tmp_path / name, *options, destinations=[place])
            assert says in done.stderr and (done.returncode == 0) is (name == "right"), done.stderr
            stored = list((tmp_path / "lemf").glob("liid-LI-1"))
            assert bool(stored) is (name == "right")
    assert report(tmp_path / "right")["handover"]["hi3"]["delivered"] == len(truth(call, 0.0))


def test_the_times_above_are_those_of_the_first_packet(made):
    with (made[0] / "calls.pcap").open("rb") as file:
        batch = next(iter(pcap.Reader(file.read).batches()))
    assert batch[0][0] == value.moment(BEGIN)
