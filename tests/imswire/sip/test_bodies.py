"""Session descriptions in bodies: alone, coded, as one part of several, and where there is none."""

from __future__ import annotations

import gzip
import zlib

import pytest

from imswire import sip


def multipart(body: bytes, kind: bytes = b'multipart/mixed;boundary="b 1"') -> sip.SipMessage:
    head = b"INVITE sip:x SIP/2.0\r\nContent-Type: " + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
    return sip.parse(head + body)


def test_session_description_in_a_multipart_body():
    part = b"--b 1\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    part += b"--b 1\r\nContent-Type:\r\n application/sdp\r\n\r\nv=0\r\n\r\n--b 1--\r\n"
    assert multipart(b"preamble\r\n" + part).sdp == b"v=0\r\n"
    nested = b'--o\r\nContent-Type: multipart/x;boundary="b 1"\r\n\r\n' + part + b"\r\n--o--"
    assert multipart(nested, b"multipart/mixed;boundary=o").sdp == b"v=0\r\n"
    assert multipart(b"--b 1\r\nX: y\r\n\r\nv=0\r\n--b 1--").sdp is None
    assert multipart(part, b"multipart/mixed").sdp is None
    assert multipart(part, b"multipart/mixed;=").sdp is None
    assert multipart(part, b"text/plain").sdp is None
    assert multipart(b"").sdp is None


def test_an_encoded_body_is_not_looked_into():
    head = b"INVITE sip:x SIP/2.0\r\nc: application/sdp\r\n"
    assert sip.parse(head + b"e: gzip\r\n\r\nv=0\r\n").sdp is None
    assert sip.parse(head + b"e: identity\r\n\r\nv=0\r\n").sdp is not None


def test_deep_and_wide_multipart_is_bounded():
    body = b"v=0"
    for depth in range(50):
        body = (
            b"--%d\r\nContent-Type: multipart/x;boundary=%d\r\n\r\n" % (depth, depth - 1) + body + b"\r\n--%d--" % depth
        )
    assert multipart(body, b"multipart/x;boundary=49").sdp is None
    wide = (
        b"--b 1\r\nContent-Type: text/x\r\n\r\n\r\n" * 100
        + b"--b 1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b 1--"
    )
    assert multipart(wide).sdp is None


def _raw_deflate(octets: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(octets) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body", "expected"),
    [
        ("gzip", gzip.compress(b"v=0\r\n", mtime=0), b"v=0\r\n"),
        ("X-GZIP", gzip.compress(b"v=0\r\n", mtime=0), b"v=0\r\n"),
        ("deflate", zlib.compress(b"v=0\r\n"), b"v=0\r\n"),
        ("deflate", _raw_deflate(b"v=0\r\n"), b"v=0\r\n"),
        ("identity", b"v=0\r\n", b"v=0\r\n"),
        ("br", b"v=0\r\n", None),
        ("gzip", b"v=0\r\n", None),
        ("gzip", gzip.compress(b"v=0\r\n", mtime=0)[:-9], None),
        ("gzip", gzip.compress(bytes(65_536), mtime=0), None),
    ],
)
def test_compressed_bodies(encoding, body, expected):
    head = f"OPTIONS sip:x SIP/2.0\r\nContent-Type: application/sdp\r\ne: {encoding}\r\n\r\n"
    assert sip.parse(head.encode() + body).sdp == expected


PART = "--b\r\nContent-Type: application/sdp\r\n"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ("", PART + "Content-Transfer-Encoding: BASE64\r\n\r\ndj0w\r\nDQo=\r\n--b--", b"v=0\r\n"),
        ("", PART + "Content-Transfer-Encoding: base64\r\n\r\ndj0wDQo\r\n--b--", None),
        ("", PART + "Content-Transfer-Encoding: binary\r\n\r\nv=0\r\n--b--", b"v=0"),
        ("", PART + "Content-Disposition: early-session\r\n\r\nv=1\r\n" + PART + "\r\nv=0\r\n--b--", b"v=0"),
        ("", PART + "Content-Disposition: Session;handling=required\r\n\r\nv=0\r\n--b--", b"v=0"),
        ("Content-Disposition: early-session;handling=optional\r\n", PART + "\r\nv=0\r\n--b--", None),
        ("", (PART + "\r\nv=0\r\no=x\r\n--b--").replace("\r", ""), b"v=0\no=x"),
        ("", PART + "Content-Transfer-Encoding: Quoted-Printable\r\n\r\nv=3D0=\r\n1\r\n--b--", b"v=01"),
        ("", PART + "Content-Disposition: render\r\n\r\nv=1\r\n" + PART + "\r\nv=0\r\n--b--", b"v=0"),
        ("", PART + "\r\nv=0\r\n" + PART + "Content-Disposition: session\r\n\r\nv=1\r\n--b--", b"v=0"),
        ("", PART + "Content-Disposition: icon\r\n\r\nv=1\r\n--b--", b"v=1"),
    ],
)
def test_parts_of_a_body(headers, body, expected):
    head = f"INVITE sip:x SIP/2.0\r\nContent-Type: multipart/mixed;boundary=b\r\n{headers}\r\n"
    assert sip.parse((head + body).encode()).sdp == expected
