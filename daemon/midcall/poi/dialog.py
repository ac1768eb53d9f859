"""A call (one initial INVITE) and its dialogs (one a fork), as the point of interception remembers them.

There can be a million of them: they are small, and nothing in them refers back, so that the collector need not look
at any.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct, field

from midcall.events import DialogId, Instant, Kept, Side
from midcall.poi.exchange import Ledger
from midcall.poi.limits import PoiLimits
from midcall.poi.offer_answer import Negotiation, Round, transaction


class State(enum.Enum):
    """RFC 3261 12: a dialog is early, then confirmed; ENDING is a BYE that waits for its answer."""

    EARLY = "early"
    CONFIRMED = "confirmed"
    ENDING = "ending"
    ENDED = "ended"


class Match(enum.Enum):
    """Where a matched identity stood: the side it names, or neither (a diverting party)."""

    CALLER = Side.CALLER
    CALLEE = Side.CALLEE
    OTHER = None

    __hash__ = object.__hash__  # by name, as those of enumerations are, it is slow

    @property
    def side(self) -> Side | None:
        return None if self is Match.OTHER else Side(self.value)


# Most calls have the same few.
@lru_cache(maxsize=1_024)
def _shared(matches: tuple[Match, ...]) -> tuple[Match, ...]:
    return matches


class Parties(Struct, eq=False, gc=False):
    """Who takes part: hashes of identities, and where each stood first."""

    hashes: tuple[bytes, ...] = ()
    matches: tuple[Match, ...] = ()

    def add(self, hashed: bytes, match: Match) -> None:
        self.hashes += (hashed,)
        self.matches = _shared((*self.matches, match))

    def names(self, hashed: bytes, match: Match) -> bool:
        """Whether an identity that is known has just this part."""
        return self.matches[self.hashes.index(hashed)] is match

    @property
    def identities(self) -> Iterator[tuple[bytes, Match]]:
        return zip(self.hashes, self.matches, strict=True)


_NO_LEDGER = Ledger()


class Dialog(Parties, eq=False, gc=False):
    """One fork: its negotiation, and the raw ticket exchange that came of it.

    ``due``: when it ends unless something happens before (monotonic ns, 0 for never).
    """

    callee_tag: str = ""
    state: State = State.EARLY
    due: int = 0
    negotiation: Negotiation = field(default_factory=Negotiation)
    _rounds: Round | tuple[Round, ...] = ()  # most have one, which then needs no tuple
    _ledger: Ledger = _NO_LEDGER

    def agreed(self, round_: Round, limits: PoiLimits) -> None:
        """Note a completed round; it is read when somebody has to know, or when too many wait."""
        waiting = self.waiting_rounds
        if waiting and waiting[-1].transaction == round_.transaction:
            waiting = waiting[:-1]
        self._rounds = (*waiting, round_) if waiting else round_
        if len(waiting) >= limits.rounds:
            self.ledger(limits)

    @property
    def waiting_rounds(self) -> tuple[Round, ...]:
        """Those that nobody has read yet."""
        return (self._rounds,) if isinstance(self._rounds, Round) else self._rounds

    def ledger(self, limits: PoiLimits) -> Ledger:
        """The live bundles, with everything that was agreed until now read."""
        for round_ in self.waiting_rounds:
            self._ledger = self._ledger.enter(round_, limits.updates)
        self._rounds = ()
        return self._ledger

    def kept(self, limits: PoiLimits) -> Iterator[Kept]:
        """What it keeps of messages, when everything that was agreed is read."""
        exchanges = self.ledger(limits).exchanges
        yield from self.negotiation.kept
        for exchange in exchanges:
            yield from (exchange.init, *(update.init for update in exchange.updates))
            responses = exchange.response, *(update.response for update in exchange.updates)
            yield from (each for each in responses if each is not None)

    def forget_exchange(self) -> None:
        """With that of its call."""
        self._rounds = ()
        self._ledger = _NO_LEDGER
        self.negotiation.forget()


class Call(Parties, eq=False, gc=False, kw_only=True):
    """All that came of one initial INVITE: identities, offers, forks.

    ``number`` is the CSeq of its latest initial INVITE, ``offer`` what that offered. ``kept_at``: when something of it
    was kept last (monotonic ns); ``forgotten``: that has gone again for its age. ``diverting``: who has diverted it.
    ``legs``: the branch of each leg of the INVITE, and behind it the hashes of its Request-URI. ``mark`` is the
    journal's.
    """

    call_id: str
    caller_tag: str
    correlation: bytes
    invited_at: Instant
    octets: int
    number: int = 0
    kept_at: int = 0
    forgotten: bool = False
    forked: bool = False
    offer: Kept | None = None
    first_branch: str = ""
    diverting: frozenset[bytes] = frozenset()
    legs: tuple[str | bytes, ...] = ()
    dialogs: tuple[Dialog, ...] = ()
    mark: object = None

    def side(self, sender_tag: str) -> Side:
        return Side.CALLER if sender_tag == self.caller_tag else Side.CALLEE

    def dialog(self, callee_tag: str) -> Dialog | None:
        """The fork with this tag."""
        for dialog in self.dialogs:
            if dialog.callee_tag == callee_tag:
                return dialog
        return None

    def fork(self, callee_tag: str, limits: PoiLimits) -> Dialog | None:
        """A new dialog with this tag; None when the call has too many."""
        if len(self.dialogs) >= limits.forks:
            return None
        dialog = Dialog(callee_tag=callee_tag)
        self.forked = True
        self.dialogs += (dialog,)
        if self.offer is not None:
            dialog.negotiation.offer(transaction(Side.CALLER, "INVITE", self.number), self.offer)
        return dialog

    def leg(self, branch: str) -> tuple[bytes, ...]:
        """Hashes of the Request-URI of a leg of the INVITE."""
        if branch not in self.legs:
            return ()
        found: list[bytes] = []
        for each in self.legs[self.legs.index(branch) + 1 :]:
            if isinstance(each, str):
                break
            found.append(each)
        return tuple(found)

    @property
    def leg_hashes(self) -> tuple[bytes, ...]:
        """Those of all legs."""
        return tuple(each for each in self.legs if isinstance(each, bytes))

    @property
    def leg_count(self) -> int:
        return len(self.legs) - len(self.leg_hashes)

    def forget_exchange(self) -> None:
        """What was offered and agreed is too old to be kept (TS 33.107 7A.3.1); the call itself is still followed."""
        self.offer = None
        self.forgotten = True
        for dialog in self.dialogs:
            dialog.forget_exchange()

    def kept_octets(self, limits: PoiLimits) -> int:
        """Of messages, and parts of them, that are kept now."""
        found = {id(each): len(each.octets) for dialog in self.dialogs for each in dialog.kept(limits)}
        if self.offer is not None:
            found[id(self.offer)] = len(self.offer.octets)
        return sum(found.values())

    @property
    def confirmed(self) -> bool:
        return any(dialog.state is not State.EARLY for dialog in self.dialogs)


class Subject(NamedTuple):
    """What can be intercepted: a fork of a call, or, before anybody answered, the call."""

    call: Call
    dialog: Dialog | None = None

    @property
    def id(self) -> DialogId:
        tag = "" if self.dialog is None else self.dialog.callee_tag
        return DialogId(self.call.call_id, self.call.caller_tag, tag)

    @property
    def is_named(self) -> bool:
        """Whether events name it: a call only until its first fork, which they name instead."""
        return self.dialog is not None or not self.call.forked

    @property
    def identities(self) -> Iterator[tuple[bytes, Match]]:
        """Who takes part; a fork has the identities of its call and its own."""
        yield from self.call.identities
        if self.dialog is not None:
            yield from self.dialog.identities

    @property
    def current(self) -> Round | None:
        """What was agreed last; before that, what is on offer."""
        if self.dialog is not None:
            return self.dialog.negotiation.current or self.dialog.negotiation.pending
        offer = self.call.offer
        if offer is None:
            return None
        return Round(transaction(Side.CALLER, "INVITE", self.call.number), Side.CALLER, offer, None)


def subjects(call: Call) -> list[Subject]:
    """A call and its forks."""
    return [Subject(call), *(Subject(call, dialog) for dialog in call.dialogs)]
