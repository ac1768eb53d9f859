"""hi2.ber and hi3.ber of whole replays, read by decoders that are not ours: asn1tools, pycrate, openssl."""

from __future__ import annotations

import subprocess

import pytest

from imswire import hi
from midcall.config import Profile, ReplayConfig, Warranted
from tests.imswire.hi import oracles
from tests.scenarios.world import World

LI_PS = "0.4.0.2.2.5.1.43"
EPS = "0.4.0.2.2.4.8.16.1"


@pytest.fixture(scope="module")
def world():
    world = World()
    for number in (1, 2):
        call = world.call(call_id=f"call-{number}@lab")
        call.establish(world.held())
        call.talk(2)
        call.hang_up()
    return world


PROFILES = [
    Profile(),
    Profile(iri="ts33128", cc="ts33128"),
    Profile(iri="ipmm", cc="voip", records="phases"),
    Profile(wrapping="content", national=("0102",)),
]


@pytest.mark.parametrize("keys", ["decrypt", "keys-to-lemf"])
@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: f"{p.iri}-{p.cc}-{p.wrapping}")
def test_every_record_of_a_replay(world, tmp_path, profile, keys):
    config = ReplayConfig(profile=profile, warranted=Warranted(keys=keys))
    world.replay(tmp_path, start=1.0, config=config)
    asn1 = oracles.asn1("ber")
    crate = oracles.crate()
    counts = {"hi2": 0, "hi3": 0}
    for name in counts:
        for octets in hi.Splitter().feed((tmp_path / f"{name}.ber").read_bytes()):
            value = asn1.decode("PS-PDU", octets)
            assert asn1.encode("PS-PDU", value) is not None
            header = value["pSHeader"]
            assert header["li-psDomainId"] == LI_PS and header["lawfulInterceptionIdentifier"] == b"LAB-1"
            assert (
                "microSecondTimeStamp" in header and "communicationIdentityNumber" in header["communicationIdentifier"]
            )
            kind, payload = value["payload"]
            if counts[name] < 20:
                oracles.crate_value(crate.LI_PS_PDU.PS_PDU, octets)
            if kind == "tRIPayload":
                assert payload[0] == "integrityCheck"
                continue
            counts[name] += 1
            (record,) = payload
            if name == "hi2":
                assert record["iRIType"].startswith("iRI-")
                _iri(*record["iRIContents"])
            else:
                assert record["payloadDirection"] in ("fromTarget", "toTarget")
                assert record["cCContents"][0] in ("iPMMCC", "voipCC-CC-PDU", "threeGPP33128DefinedCC")
    assert counts["hi2"] > 4 and counts["hi3"] > 100


def _iri(kind, contents):
    if kind == "ePSIRI":
        parameters = contents[1][1] if contents[0] == "epsIRIsContent" else contents[1]
        if contents[0] == "epsIRIsContent":
            parameters = parameters[1]
        assert parameters["hi2epsDomainId"] == EPS and "iMSevent" in parameters and "timeStamp" in parameters
    elif kind == "threeGPP33128DefinedIRI":
        event = oracles.asn1_33128().decode("IRIPayload", contents)["event"]
        assert event[0] in ("iMSMessage", "startOfInterceptionForActiveIMSSession")
    else:
        assert kind == "iPMMIRI" and contents["iPMMIRIContents"][0] == "sIPMessage"


@pytest.mark.peer
def test_openssl_reads_the_structure(world, tmp_path, peer):
    program = peer("openssl")
    world.replay(tmp_path, start=1.0)
    for name in ("hi2", "hi3"):
        (first, *_) = hi.Splitter().feed((tmp_path / f"{name}.ber").read_bytes())
        (tmp_path / "one.ber").write_bytes(first)
        command = [str(program), "asn1parse", "-inform", "DER", "-i", "-in", str(tmp_path / "one.ber")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "SEQUENCE" in done.stdout, done.stderr
