"""Keys of security descriptions (RFC 4568): they stand in the SDP itself, no KMS is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from imswire import sdp, srtp
from imswire.srtp import sdes
from midcall.events import CryptoContext, SessionKey, Side

# What a bundle of ticket keys has as its number, these have in common.
SDES_BUNDLE = -1
# Keys of one direction of one m-line that can still be in use: re-INVITEs bring new ones.
KEPT = 3


class OfferedKey(Struct, frozen=True):
    """A key that ``sender`` of an m-line has announced; ``tag`` is that of its a=crypto line."""

    media: int
    sender: Side
    tag: int
    key: srtp.SdesKey


class SdesKeys:
    """The announced keys of one dialog, each under the number that it got when it was first seen."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[int, Side], list[CryptoContext]] = {}

    @property
    def contexts(self) -> list[CryptoContext]:
        return [context for contexts in self._contexts.values() for context in contexts]

    def learn(self, keys: Iterable[OfferedKey], order: int) -> int:
        """Take in what a session description announces; returns the order of the newest context."""
        for each in keys:
            known = self._contexts.setdefault((each.media, each.sender), [])
            if any(_same(context.key, each) for context in known):
                continue
            order += 1
            policy, master = each.key.policy, each.key.master
            generation = known[-1].key.generation + 1 if known else 0
            session = SessionKey(each.tag, generation, None, None, None, policy, master, proved=True)
            known.append(CryptoContext(SDES_BUNDLE, order, each.media, each.sender, session))
            del known[:-KEPT]
        return order


def _same(key: SessionKey, offered: OfferedKey) -> bool:
    return key.policy == offered.key.policy and key.master == offered.key.master


def announced(
    offer: sdp.Media, answer: sdp.Media | None, offerer: Side
) -> Iterator[OfferedKey | tuple[Side, srtp.SrtpError]]:
    """What the two lines of one medium announce: each side's line keys what that side sends (RFC 4568 5.1).

    The answer's line has the tag of the offered line that it accepts; before it comes each offered one may be
    it. A key that cannot be used is given as the side whose line it is and why; of those merely offered the
    others are enough.
    """
    tags = None if answer is None or not answer.crypto else {each.tag for each in answer.crypto}
    if answer is not None and tags is None:
        return
    for sender, line in ((offerer, offer), (offerer.peer, answer)):
        for crypto in () if line is None else line.crypto:
            if tags is not None and crypto.tag not in tags:
                continue
            try:
                keys = sdes.keys(crypto.suite, crypto.key_params, crypto.session_params)
            except srtp.SrtpError as error:
                if tags is not None:
                    yield sender, error
                continue
            for key in keys[:KEPT]:
                yield OfferedKey(offer.index, sender, crypto.tag, key)
