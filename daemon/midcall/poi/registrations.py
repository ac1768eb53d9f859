"""Which device registered which contact, of all users: an IMEI is known in calls that do not show it (TS 33.107 7A.8).

Only what the registrar has confirmed counts: the contacts of its 2xx, with their +sip.instance (RFC 5626 6).
"""

from __future__ import annotations

from collections.abc import Iterator

from imswire import sip
from midcall.base.bounded import BoundedTable
from midcall.poi.identity import HEADER_VALUES, IdentityHasher, instance

SECOND = 1_000_000_000
# RFC 3261 10.2.1.1: without another word a registration is for an hour.
HOUR = 3_600
MAX_SECONDS = 7 * 24 * HOUR


class Registrations:
    """Contacts, and the hashes of their devices. Bounded: what was registered longest ago goes first."""

    def __init__(self, hasher: IdentityHasher, bound: int) -> None:
        self._hasher = hasher
        self._devices: BoundedTable[bytes, tuple[tuple[bytes, ...], int]] = BoundedTable("poi.registrations", bound)

    def learn(self, message: sip.SipMessage, now: int) -> None:
        """A 2xx to a REGISTER at ``now`` (monotonic ns)."""
        general = _seconds(message.first("Expires"), HOUR)
        for contact in _contacts(message):
            device, key = instance(contact), self._key(contact.uri)
            if device is None or key is None:
                continue
            left = _seconds(dict(contact.params).get("expires"), general)
            self._devices.pop(key)
            if left > 0:
                self._devices.put(key, (self._hasher.of_uri(device), now + left * SECOND))

    def devices(self, message: sip.SipMessage, now: int) -> Iterator[bytes]:
        """Hashes of the device that sent a message which does not name it."""
        if not self._devices:
            return
        for contact in _contacts(message):
            key = self._key(contact.uri)
            found = None if key is None or instance(contact) is not None else self._devices.get(key)
            if found is not None and found[1] > now:
                yield from found[0]

    def _key(self, uri: str) -> bytes | None:
        """A contact by scheme, user, host and port, as a hash."""
        bare = uri.partition(";")[0].partition("?")[0].lower()
        return self._hasher.plain(bare) if bare.startswith(("sip:", "sips:")) else None


def _contacts(message: sip.SipMessage) -> Iterator[sip.NameAddr]:
    for value in message.values("Contact")[:HEADER_VALUES]:
        try:
            yield sip.parse_name_addr(value)
        except sip.SipError:
            continue


def _seconds(text: str | None, default: int) -> int:
    if text is None or not text.strip().isdecimal():
        return default
    return min(int(text.strip()[:10]), MAX_SECONDS)
