"""Security descriptions of a simulated party (RFC 4568): lines to offer, and the keys that they announce."""

from __future__ import annotations

from base64 import b64encode

from imswire import srtp
from imswire.srtp import sdes
from midcall.ue.lab import Draw
from midcall.ue.party import Party

# A suite that is offered first and never chosen, so that the answer's tag matters.
NOT_CHOSEN = "AES_CM_128_HMAC_SHA1_32"


class Announcement:
    """What one side says of one m-line: a=crypto values, and the key that its tag names."""

    def __init__(self, draw: Draw, suite: str, params: str = "", *, mki: bytes = b"", offers: bool = False) -> None:
        policy = sdes.SUITES[suite]
        octets = draw(policy.key_length + policy.salt_length)
        marked = f"|{int.from_bytes(mki, 'big')}:{len(mki)}" if mki else ""
        tag = 2 if offers else 1
        self.values = [f"{tag} {suite} inline:{b64encode(octets).decode()}{marked} {params}".rstrip()]
        if offers:
            other = b64encode(draw(30)).decode()
            self.values.insert(0, f"1 {NOT_CHOSEN} inline:{other}")
        (self.key,) = sdes.keys(suite, [self.values[-1].split()[2]], params.split())

    def answering(self, tag: int) -> list[str]:
        """The values with the tag of the offered line that they accept."""
        return [f"{tag} {self.values[-1].partition(' ')[2]}"]

    @property
    def material(self) -> tuple[srtp.Policy, srtp.MasterKey]:
        return self.key.policy, self.key.master


def announcements(party: Party, draw: Draw, suite: str, params: str = "", **options: object) -> list[Announcement]:
    """One for each m-line of ``party``."""
    return [Announcement(draw, suite, params, **options) for _ in party.senders]  # type: ignore[arg-type]


def use(party: Party, said: list[Announcement], *, mki: bool = False, roc: int = 0) -> None:
    """The party sends under what it announced."""
    for sender, each in zip(party.senders, said, strict=True):
        sender.key(*each.material, mki=mki, roc=roc)
