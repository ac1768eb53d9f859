"""Which records of a range break off from their neighbours: RTP, or times, that do not go on as they should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from imswire import hi
from midcall.lemf.content import StreamKey, content

_RTP = Struct("!BBHII").unpack_from
_RTP_OCTETS = 12
_MARKER = 0x80
_FEW = 3
"""So many have no usual form."""


class _Packet(NamedTuple):
    number: int
    form: tuple[int, int, int]  # first octet, payload type, SSRC
    sequence: int
    timestamp: int


def odd(octets_by_number: dict[int, bytes]) -> list[int]:
    """Numbers of records that cannot be read, or whose RTP header does not fit between those beside it."""
    found: list[int] = []
    streams: dict[tuple[StreamKey, int], list[_Packet]] = {}
    by_stream: dict[StreamKey, list[_Packet]] = {}
    for number, octets in octets_by_number.items():
        record = content(octets)
        if record is None:
            found.append(number)
            continue
        if record.packet.end - record.packet.start >= _RTP_OCTETS:
            first, second, sequence, timestamp, ssrc = _RTP(octets, record.packet.start)
            form = (first, second & ~_MARKER, ssrc)
            by_stream.setdefault(record.stream, []).append(_Packet(number, form, sequence, timestamp))
    if found == list(octets_by_number):
        return []  # signalling: nothing here that could go on
    rare_streams = [packets for packets in by_stream.values() if len(packets) == 1 < len(octets_by_number) // 4]
    found += [packets[0].number for packets in rare_streams]
    for key, packets in by_stream.items():
        usual = Counter(packet.form for packet in packets)
        for packet in packets:
            # One packet of its own kind among many: a second source would have sent more of them.
            if usual[packet.form] == 1 and len(packets) > 3:
                found.append(packet.number)
            else:
                streams.setdefault((key, packet.form[2]), []).append(packet)
    for packets in streams.values():
        found += _breaks(packets)
    return sorted(set(found))


def _breaks(packets: list[_Packet]) -> Iterable[int]:
    for before, packet, after in zip(packets, packets[1:], packets[2:], strict=False):
        if (after.sequence - before.sequence) % 65_536 == 2 and (
            (packet.sequence - before.sequence) % 65_536 != 1
            or _far(before.timestamp, packet.timestamp, after.timestamp)
        ):
            yield packet.number


def _far(before: int, timestamp: int, after: int) -> bool:
    """Neither between its neighbours nor equal to one of them."""
    return (timestamp - before) % (1 << 32) > (after - before) % (1 << 32)


def odd_checks(octets_by_number: dict[int, bytes]) -> list[int]:
    """Numbers of hash PDUs whose header is not like that of the others, or whose time does not go on."""
    headers = {number: hi.parse(octets).header for number, octets in octets_by_number.items()}
    forms = {number: (each.country, each.qualifier, each.version) for number, each in headers.items()}
    usual = Counter(forms.values())
    found = [number for number, form in forms.items() if usual[form] == 1 and len(forms) > _FEW]
    times = [(number, each.time) for number, each in headers.items() if each.time is not None]
    for (_, before), (number, time), (_, after) in zip(times, times[1:], times[2:], strict=False):
        if before <= after and not before <= time <= after:
            found.append(number)
    return sorted(set(found))
