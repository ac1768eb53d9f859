"""Finds the calls of an identity in constant time, among a million, by hash alone."""

from __future__ import annotations

from collections.abc import Iterable

from imswire import sip
from midcall.poi.dialog import Call, Dialog, Match
from midcall.poi.identity import IdentityHasher, asserted, diverted_by, named
from midcall.poi.limits import PoiLimits


class IdentityIndex:
    """Learns who takes part in each call, and answers which calls an identity takes part in.

    Identities of the call as a whole stand with the Call; what only one fork or one leg showed (the asserted
    identity of who answered, the Request-URI that a forking proxy sent) stands with that Dialog, so that the
    other forks are not taken for the target's.
    """

    def __init__(self, hasher: IdentityHasher, matching: frozenset[str], limits: PoiLimits) -> None:
        self._hasher = hasher
        self._matching = matching
        self._limits = limits
        self._calls: dict[bytes, dict[Call, None]] = {}

    def calls(self, hashed: bytes) -> tuple[Call, ...]:
        return tuple(self._calls.get(hashed, ()))

    def learn_opening(self, call: Call, message: sip.SipMessage) -> bool:
        """An initial INVITE: From, To, who asserted it, and the Request-URI of this leg; whether that was new."""
        before = len(call.identities)
        for uri, match in named(message, self._matching):
            self._learn(call, call.identities, uri, match)
        for uri, match in asserted(message, self._matching, Match.CALLER):
            self._learn(call, call.identities, uri, match)
        self._learn_leg(call, message)
        diverting = frozenset(hashed for uri in diverted_by(message) for hashed in self._hasher.of(uri))
        if diverting:
            call.diverting |= diverting
        return len(call.identities) > before

    def learn_devices(self, dialog: Dialog | None, call: Call, hashes: Iterable[bytes], sender: Match) -> bool:
        """What registrations tell of the sender of a message; whether that was new."""
        known = call.identities if dialog is None else dialog.identities
        before = len(known)
        self._note(call, known, hashes, sender)
        return len(known) > before

    def _learn_leg(self, call: Call, message: sip.SipMessage) -> None:
        if "request-uri" not in self._matching or message.request_uri is None:
            return
        hashes = self._hasher.of_uri(message.request_uri)
        branch = message.top_branch or ""
        if hashes and branch not in call.branches and len(call.branches) < self._limits.branches:
            call.branches[branch] = hashes
            for hashed in hashes:
                self._calls.setdefault(hashed, {})[call] = None

    def learn(self, dialog: Dialog, message: sip.SipMessage, sender: Match) -> bool:
        """Any message of a fork: what it asserts, and by which leg of the INVITE it answered; whether new."""
        before = len(dialog.identities)
        for uri, match in asserted(message, self._matching, sender):
            self._learn(dialog.call, dialog.identities, uri, match)
        if not message.is_request and message.method == "INVITE":
            for hashed in dialog.call.branches.get(message.top_branch or "", ()):
                dialog.identities.setdefault(hashed, Match.CALLEE)
        return len(dialog.identities) > before

    def forget(self, call: Call) -> None:
        """The call is over."""
        for hashed in (*call.identities, *(h for hashes in call.branches.values() for h in hashes)):
            self._drop(hashed, call)

    def forget_fork(self, dialog: Dialog) -> None:
        call = dialog.call
        shared = {h for hashes in call.branches.values() for h in hashes} | set(call.identities)
        for other in call.dialogs.values():
            if other is not dialog:
                shared.update(other.identities)
        for hashed in dialog.identities:
            if hashed not in shared:
                self._drop(hashed, call)

    def __len__(self) -> int:
        return len(self._calls)

    def _learn(self, call: Call, known: dict[bytes, Match], uri: str, match: Match) -> None:
        self._note(call, known, self._hasher.of(uri), match)

    def _note(self, call: Call, known: dict[bytes, Match], hashes: Iterable[bytes], match: Match) -> None:
        for hashed in hashes:
            if hashed in known or len(known) >= self._limits.identities:
                continue
            known[hashed] = match
            self._calls.setdefault(hashed, {})[call] = None

    def _drop(self, hashed: bytes, call: Call) -> None:
        calls = self._calls.get(hashed)
        if calls is not None:
            calls.pop(call, None)
            if not calls:
                del self._calls[hashed]
