"""Finds the calls of an identity in constant time, among a million, by hash alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from midcall.poi.dialog import Call, Dialog, Match, Parties
from midcall.poi.heard import Heard
from midcall.poi.identity import Contact, Identities
from midcall.poi.limits import PoiLimits


class _Several(Struct, gc=False):
    """Calls of one identity. The collector need not look at them, nor then at the table that holds them."""

    calls: dict[Call, None]


class IdentityIndex:
    """Learns who takes part in each call, and answers which calls an identity takes part in.

    Identities of the call as a whole stand with the Call; what only one fork or one leg showed (the asserted
    identity of who answered, the Request-URI that a forking proxy sent) stands with that Dialog, so that the
    other forks are not taken for the target's.
    """

    def __init__(self, identities: Identities, limits: PoiLimits) -> None:
        self._identities = identities
        self._limits = limits
        # Most identities have one call at a time, which then needs no table of its own.
        self._calls: dict[bytes, Call | _Several] = {}

    def calls(self, hashed: bytes) -> tuple[Call, ...]:
        found = self._calls.get(hashed)
        if found is None:
            return ()
        return (found,) if isinstance(found, Call) else tuple(found.calls)

    def learn_opening(self, call: Call, heard: Heard, contacts: tuple[Contact, ...]) -> bool:
        """An initial INVITE: From, To, who asserted it, and the Request-URI of this leg; whether that was new."""
        message, before = heard.message, len(call.hashes)
        for hashes, match in self._identities.named(message):
            self._note(call, call, hashes, match)
        for hashes, match in self._identities.asserted(message, Match.CALLER, contacts, heard.seen.asserted):
            self._note(call, call, hashes, match)
        self._learn_leg(call, heard)
        diverting = self._identities.diverting(message) if heard.seen.asserted is None else None
        if diverting:
            call.diverting |= diverting
        return len(call.hashes) > before

    def learn_devices(self, call: Call, dialog: Dialog | None, hashes: Iterable[bytes], sender: Match) -> bool:
        """What registrations tell of the sender of a message; whether that was new."""
        known = call if dialog is None else dialog
        before = len(known.hashes)
        self._note(call, known, hashes, sender)
        return len(known.hashes) > before

    def _learn_leg(self, call: Call, heard: Heard) -> None:
        hashes = self._identities.requested(heard.message)
        if hashes and heard.branch not in call.legs:
            if call.leg_count >= self._limits.branches:
                self._forget_leg(call)
            call.legs += (heard.branch, *hashes)
            for hashed in hashes:
                self._enter(hashed, call)

    def _forget_leg(self, call: Call) -> None:
        """The oldest of those to whom most legs go: neither who is called last nor first is hidden behind others."""
        branches = [each for each in call.legs if isinstance(each, str)]
        legs = {branch: call.leg(branch) for branch in branches}
        (most, _), *_ = Counter(legs.values()).most_common(1)
        gone = next(branch for branch in branches if legs[branch] == most)
        place = call.legs.index(gone)
        call.legs = call.legs[:place] + call.legs[place + 1 + len(most) :]
        others = set(call.leg_hashes).union(call.hashes, *(dialog.hashes for dialog in call.dialogs))
        for hashed in most:
            if hashed not in others:
                self._drop(hashed, call)

    def learn(self, call: Call, dialog: Dialog, heard: Heard, sender: Match, contacts: tuple[Contact, ...]) -> bool:
        """Any message of a fork: what it asserts, and by which leg of the INVITE it answered; whether new."""
        before = len(dialog.hashes)
        for hashes, match in self._identities.asserted(heard.message, sender, contacts, heard.seen.asserted):
            self._note(call, dialog, hashes, match)
        if heard.status and heard.method == "INVITE":
            for hashed in call.leg(heard.branch):
                known = hashed in dialog.hashes or (hashed in call.hashes and call.names(hashed, Match.CALLEE))
                if not known:
                    dialog.add(hashed, Match.CALLEE)
        return len(dialog.hashes) > before

    def forget(self, call: Call) -> None:
        """The call is over."""
        for hashed in (*call.hashes, *call.leg_hashes):
            self._drop(hashed, call)

    def forget_fork(self, call: Call, dialog: Dialog) -> None:
        """One of its forks is over."""
        if not dialog.hashes:
            return
        others = (other.hashes for other in call.dialogs if other is not dialog)
        shared = set(call.leg_hashes).union(call.hashes, *others)
        for hashed in dialog.hashes:
            if hashed not in shared:
                self._drop(hashed, call)

    def __len__(self) -> int:
        return len(self._calls)

    def _note(self, call: Call, known: Parties, hashes: Iterable[bytes], match: Match) -> None:
        """Of a fork nothing is noted that its call says already."""
        for hashed in hashes:
            if hashed in known.hashes or (hashed in call.hashes and call.names(hashed, match)):
                continue
            if len(known.hashes) >= self._limits.identities:
                break
            known.add(hashed, match)
            self._enter(hashed, call)

    def _enter(self, hashed: bytes, call: Call) -> None:
        found = self._calls.setdefault(hashed, call)
        if found is call:
            return
        if isinstance(found, Call):
            self._calls[hashed] = _Several({found: None, call: None})
        else:
            found.calls[call] = None

    def _drop(self, hashed: bytes, call: Call) -> None:
        found = self._calls.get(hashed)
        if found is call:
            del self._calls[hashed]
        elif isinstance(found, _Several):
            found.calls.pop(call, None)
            if len(found.calls) == 1:
                (self._calls[hashed],) = found.calls
