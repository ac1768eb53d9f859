"""Which device registered which contact, of all users: an IMEI is known in calls that do not show it (TS 33.107 7A.8).

Only what the registrar has confirmed counts: the contacts of its 2xx, with their +sip.instance (RFC 5626 6).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imswire import sip
from midcall.base.bounded import BoundedTable
from midcall.poi.identity import Contact, Hashes, Identities, name_addrs

SECOND = 1_000_000_000
# RFC 3261 10.2.1.1: without another word a registration is for an hour.
HOUR = 3_600
MAX_SECONDS = 7 * 24 * HOUR


class Registrations:
    """Contacts, and the hashes of their devices. Bounded: what was registered longest ago goes first."""

    def __init__(self, identities: Identities, bound: int) -> None:
        self._identities = identities
        self._devices: BoundedTable[bytes, tuple[Hashes, int]] = BoundedTable("poi.registrations", bound)

    def learn(self, message: sip.SipMessage, now: int) -> None:
        """A 2xx to a REGISTER at ``now`` (monotonic ns)."""
        general = _seconds(message.first("Expires"), HOUR)
        for contact in name_addrs(message.values("Contact")):
            device, place = self._identities.device(contact), self._identities.place(contact.uri)
            if device is None or place is None:
                continue
            left = _seconds(dict(contact.params).get("expires"), general)
            self._devices.pop(place)
            if left > 0:
                self._devices.put(place, (device, now + left * SECOND))

    def devices(self, contacts: Iterable[Contact], now: int) -> Iterator[bytes]:
        """Hashes of the device that sent a message with these contacts, if they do not name it."""
        for contact in contacts:
            if contact.device is not None or contact.place is None:
                continue
            found = self._devices.get(contact.place)
            if found is not None and found[1] > now:
                yield from found[0]


def _seconds(text: str | None, default: int) -> int:
    if text is None or not text.strip().isdecimal():
        return default
    return min(int(text.strip()[:10]), MAX_SECONDS)
