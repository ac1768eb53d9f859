"""What is fuzzed of Xk: questions, answers, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from imswire import xk
from imswire.errors import WireError

SEEN = xk.Seen(octets=b"\x01\x0e", at=1)


def messages(octets: bytes) -> None:
    """Whatever is read is written and read again as the same; a reader raises its own error alone."""
    with suppress(WireError):
        request = xk.read_request(octets)
        assert xk.read_request(xk.write(request)) == request
    with suppress(WireError):
        response = xk.read_keys(octets)
        assert xk.read_keys(xk.write_keys(response)) == response
    refusal = xk.read_refusal(octets)
    assert xk.read_refusal(xk.write(refusal)) == refusal


def written() -> Iterator[bytes]:
    """One of each kind."""
    update = xk.Update(init=SEEN, response=SEEN)
    yield xk.write(
        xk.Request(
            transaction="t", xid="x", identity="sip:a@b", init=SEEN, response=SEEN, updates=(update,), warrant="{}"
        )
    )
    key = xk.Key(
        cs_id=1,
        generation=0,
        ssrc=1,
        roc=None,
        seq=None,
        key=b"k",
        salt=b"s",
        mki=b"",
        policy={0: b"\x01"},
        proved=True,
    )
    yield bytes(xk.write_keys(xk.Response(transaction="t", kms="k", keys=(key,), failures=("none",))))
    yield xk.write(xk.Refusal(code=xk.Code.WARRANT, reason="r", rule="ended", transaction="t"))
