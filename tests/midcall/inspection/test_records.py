"""Files of PS-PDUs, record by record."""

from __future__ import annotations

import io

import pytest

from imswire import hi
from imswire.hi import eps, hi1, ipmm
from midcall.inspection import Broken, as_json, records

HEAD = hi.Header(b"LI-1", hi.CommunicationId(b"op", b"ne", 7, None), 3, 1_700_000_000_000_000_000)


def event(**members) -> bytes:
    return eps.build(eps.IriParameters(liid=b"LI-1", time=1_700_000_000_000_000_000, **members))


def file(*payloads) -> bytes:
    return b"".join(hi.build(hi.PsPdu(HEAD, payload)) for payload in payloads)


def test_what_each_is():
    content = hi.Cc(hi.Direction.TO_TARGET, ipmm.build_cc(ipmm.IpmmCc(b"\x80" * 12)))
    payloads = ((hi.Iri(hi.IriType.REPORT, event(event=4)),), hi.KeepAlive(), (content,))
    found = list(records(io.BytesIO(file(*payloads)).read))
    assert [each.what for each in found] == ["IRI report", "KeepAlive", "CC to target"]
    assert [each.content for each in found] == [False, False, True]
    assert (found[0].liid, found[0].cin, found[0].sequence, found[0].offset) == ("LI-1", 7, 3, 0)
    assert found[1].offset == found[0].octets
    assert as_json(found[0])["members"][0]["path"] == "pSHeader.li-psDomainId"


def test_a_notification_is_named_and_shown():
    told = hi1.Notification(kind=hi1.NotificationKind.ACTIVATED, liid=b"LI-1", time=1_700_000_000_000_000_000)
    broken = hi.Hi1(b"\xae" + hi1.build(told)[1:])
    found, unread = records(io.BytesIO(file(hi.Hi1(hi1.build(told)), broken)).read)
    assert (found.what, found.content, found.findings) == ("HI1 liActivated", False, [])
    member = "payload.hI1-Operation.liActivated.lawfulInterceptionIdentifier"
    assert [value for _, path, value in found.members if path == member] == ["LI-1"]
    assert unread.what == "HI1 ?" and unread.findings


def test_keys_are_not_shown():
    keys = (eps.CcKeyInfo(b"\1", b"K" * 16, b"S" * 14),)
    sdp = b"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\r\n"
    (found,) = records(io.BytesIO(file((hi.Iri(4, event(event=3, keys=keys, sdp_offer=sdp)),))).read)
    text = str(as_json(found))
    assert "KKKK" not in text and "4b4b4b" not in text and "WVNfX19" not in text and "inline:<withheld>" in text


def test_a_rule_that_is_broken_is_named():
    octets = hi.build(hi.PsPdu(hi.Header(b"L", hi.CommunicationId(b"op"), 1), (hi.Iri(None, event(event=1)),)))
    (found,) = records(io.BytesIO(octets).read)
    assert found.findings and found.what == "IRI ?"


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_file_that_is_cut_short(cut):
    octets = file(hi.KeepAlive(), hi.KeepAlive())
    read = records(io.BytesIO(octets[:-cut]).read)
    assert next(read).what == "KeepAlive"
    with pytest.raises(Broken, match="cut short"):
        next(read)


def test_garbage_behind_a_record():
    octets = file(hi.KeepAlive())
    read = records(io.BytesIO(octets + b"\xff" * 10).read)
    next(read)
    with pytest.raises(Broken) as caught:
        next(read)
    assert caught.value.offset == len(octets)


def test_octets_that_are_no_record():
    (found,) = records(io.BytesIO(b"\x30\x02\x05\x00").read)
    assert found.what == "unreadable" and found.findings
