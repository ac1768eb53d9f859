"""Every payload: written and read back, by one declaration (RFC 3830 6, RFC 6043 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imswire import mikey
from imswire.mikey import payloads
from imswire.mikey import values as v
from imswire.mikey.numbers import PayloadType

octet = st.integers(0, 255)
short = st.binary(max_size=255)
long = st.binary(max_size=600)
validity = st.one_of(
    st.just(v.Validity()),
    st.builds(lambda spi: v.Validity(1, spi), short),
    st.builds(lambda a, b: v.Validity(2, b"", a, b), short, short),
)


def sized(cls, table):
    """A value whose octets are as long as its number says."""
    return st.sampled_from(sorted(table.items())).flatmap(
        lambda item: st.binary(min_size=item[1], max_size=item[1]).map(lambda octets: cls(item[0], octets))
    )


flags = st.builds(v.Flags, **{name: st.booleans() for name in v.Flags.__struct_fields__})
policy = st.builds(
    v.TicketPolicy, st.integers(0, 65535), octet, octet, st.integers(0, 127), flags, long, st.integers(0, 31)
)
PAYLOADS = st.one_of(
    st.builds(v.Kemac, octet, long),
    st.builds(lambda mac: v.Kemac(1, b"x", 2, mac), st.binary(min_size=32, max_size=32)),
    st.builds(v.Pke, st.integers(0, 3), long),
    st.builds(v.Dh, st.just(1), st.binary(min_size=96, max_size=96), validity),
    sized(v.Timestamp, {0: 8, 1: 8, 2: 4, 3: 4}),
    st.builds(v.Id, octet, long),
    st.builds(v.Cert, octet, long),
    sized(v.Chash, {0: 20, 1: 16, 2: 32}),
    sized(v.V, {0: 0, 1: 20, 2: 32}),
    st.builds(v.Sp, octet, octet, st.lists(st.tuples(octet, short), max_size=5).map(tuple)),
    st.builds(v.Rand, short),
    st.builds(v.Err, octet),
    st.builds(v.Tr, octet, st.just(3), st.binary(min_size=4, max_size=4)),
    st.builds(v.Idr, octet, octet, long),
    st.builds(v.Randr, octet, short),
    policy,
    st.builds(v.Ticket, policy, long, long),
    st.builds(v.KeyData, st.sampled_from([0, 2, 4, 6, 7]), long, st.just(b""), validity),
    st.builds(v.KeyData, st.sampled_from([1, 3, 5]), long, long, validity),
    st.builds(v.Extension, octet, long),
    st.builds(v.Ibake, long),
    st.builds(v.Esk, long),
    st.builds(v.Sk, st.integers(0, 15), long, validity),
    st.builds(v.Eccpt, st.just(8), st.binary(min_size=65, max_size=65), octet, st.integers(0, 65_535), validity),
    st.builds(v.Eccpt, st.just(14), st.binary(min_size=133, max_size=133), octet, st.just(0), validity),
    st.builds(v.Sakke, octet, octet, long),
)
SESSIONS = st.builds(
    v.GenericSession, octet, octet, st.booleans(), st.lists(octet, max_size=127).map(tuple), long, short
)


@given(st.lists(PAYLOADS, max_size=5), st.one_of(st.none(), st.builds(v.Sign, st.integers(0, 15), long)))
def test_chains_round_trip(values, signature):
    if signature is not None:
        values = [*values, signature]
    chain = payloads.write_chain(values)
    first = payloads.payload_type(values[0]) if values else PayloadType.LAST
    assert [placed.value for placed in payloads.read_chain(chain, first)] == values


@given(
    st.integers(0, 255),
    st.integers(0, 127),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.one_of(
        st.tuples(st.just(2), st.lists(SESSIONS, max_size=4).map(tuple)),
        st.tuples(
            st.just(0),
            st.lists(
                st.builds(v.SrtpSession, octet, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=4
            ).map(tuple),
        ),
        st.just((1, ())),
    ),
)
def test_headers_round_trip(data_type, func, csb_id, expects, mapped):
    header = v.Header(data_type, func, csb_id, *mapped, expects)
    octets = payloads.write_header(header, PayloadType.T)
    assert payloads.read_header(octets) == (header, PayloadType.T, len(octets))


@pytest.mark.parametrize(
    "value",
    [
        v.Kemac(1, b"", 1, b"short"),
        v.Kemac(1, b"", 9, b""),
        v.Timestamp(0, b""),
        v.Rand(bytes(256)),
        v.Idr(1, 1, bytes(65_536)),
        v.KeyData(0, b"k", b"salt"),
        v.Sp(1, 0, ((1, bytes(256)),)),
        v.Sp(1, 0, ((256, b""),)),
        v.Dh(0, b""),
    ],
)
def test_what_cannot_be_written(value):
    with pytest.raises(mikey.MikeyError):
        payloads.write_chain([value])


def test_what_cannot_be_read_is_named_without_its_octets():
    with pytest.raises(mikey.MikeyError) as caught:
        payloads.read_chain(b"\0\x09secret", PayloadType.V)
    error = caught.value
    assert (error.payload, error.field, error.offset, error.error_no) == ("V", "auth_alg", 0, mikey.ErrorNo.INVALID_MAC)
    assert "secret" not in str(error)
    with pytest.raises(mikey.MikeyError, match="KEY_DATA"):
        payloads.read_chain(b"\0\x03\0\0\0", PayloadType.KEY_DATA)
    with pytest.raises(mikey.MikeyError, match="unknown payload 99"):
        payloads.read_chain(b"", 99)


def test_srtp_id_map_cut_short():
    with pytest.raises(mikey.MikeyError, match="HDR"):
        payloads.read_header(bytes.fromhex("010005800000000102") + b"\0" + bytes(9))


def test_types():
    assert payloads.payload_type(v.Ibake(b"")) == PayloadType.IBAKE
    assert payloads.payload_type(v.Esk(b"")) == PayloadType.ESK


def test_points_end_on_a_boundary_of_32_bits():
    """RFC 6267 6.4: next payload, curve, 65 octets of a point on P-256, one of padding."""
    octets = payloads.write_payload(v.Eccpt(8, b"\4" + b"x" * 64, 1, 16), PayloadType.LAST)
    assert octets == b"\0\x08\4" + b"x" * 64 + b"\0" + b"\1\0\x10\0"
    with pytest.raises(mikey.MikeyError, match="ECCPT"):
        payloads.read_chain(b"\0\x11" + bytes(80), PayloadType.ECCPT)


def test_keys_inside_esk_do_not_show():
    assert "KKK" not in repr(v.Sk(1, b"KKKK"))


def test_reserved_bits_of_a_ticket_are_kept():
    """Res is ignored, but a ticket goes on octet for octet, and its MAC covers it (RFC 6043 6.10)."""
    octets = bytearray(payloads.write_chain([v.Ticket(v.TicketPolicy(1, 1, 1, 0, v.Flags(), b"\0"), b"data")]))
    octets[7] |= 0x15
    (placed,) = payloads.read_chain(bytes(octets), PayloadType.TICKET)
    assert placed.value.policy.reserved == 0x15 and payloads.write_chain([placed.value]) == octets


def test_counts_are_bounded():
    """Hostile messages of many tiny payloads or parameters end early."""
    with pytest.raises(mikey.MikeyError, match="more than 256 payloads"):
        payloads.read_chain(bytes((PayloadType.RAND, 0)) * 30_000, PayloadType.RAND)
    params = tuple((0, b"") for _ in range(33))
    with pytest.raises(mikey.MikeyError, match="SP") as caught:
        payloads.read_chain(payloads.write_chain([v.Sp(1, 0, params)]), PayloadType.SP)
    assert caught.value.field == "params"
    assert payloads.read_chain(payloads.write_chain([v.Sp(1, 0, params[1:])]), PayloadType.SP)
