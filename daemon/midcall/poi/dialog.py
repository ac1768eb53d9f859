"""A call (one initial INVITE) and its dialogs (one a fork), as the point of interception remembers them."""

from __future__ import annotations

import enum

from midcall.events import DialogId, Instant, Kept, Side
from midcall.poi.exchange import Ledger
from midcall.poi.limits import PoiLimits
from midcall.poi.offer_answer import Negotiation, Round, Transaction


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

    @property
    def side(self) -> Side | None:
        return None if self is Match.OTHER else Side(self.value)


class Dialog:
    """One fork: its negotiation, and the raw ticket exchange that came of it."""

    __slots__ = ("_ledger", "_rounds", "call", "callee_tag", "due", "identities", "negotiation", "state")

    def __init__(self, call: Call, callee_tag: str) -> None:
        self.call = call
        self.callee_tag = callee_tag
        self.state = State.EARLY
        self.identities: dict[bytes, Match] = {}
        # When it ends unless something happens before: monotonic ns, 0 for never.
        self.due = 0
        self.negotiation = Negotiation()
        self._rounds: list[Round] = []
        self._ledger = Ledger()

    @property
    def id(self) -> DialogId:
        return DialogId(self.call.call_id, self.call.caller_tag, self.callee_tag)

    def agreed(self, round_: Round, limits: PoiLimits) -> None:
        """Note a completed round; it is read when somebody has to know, or when too many wait."""
        if self._rounds and self._rounds[-1].transaction == round_.transaction:
            self._rounds.pop()
        self._rounds.append(round_)
        if len(self._rounds) > limits.rounds:
            self.ledger(limits)

    def ledger(self, limits: PoiLimits) -> Ledger:
        """The live bundles, with everything that was agreed until now read."""
        for round_ in self._rounds:
            self._ledger = self._ledger.enter(round_, limits.updates)
        self._rounds.clear()
        return self._ledger

    def forget_exchange(self) -> None:
        """With that of its call."""
        self._rounds.clear()
        self._ledger = Ledger()
        self.negotiation.forget()


class Call:
    """All that came of one initial INVITE: identities, offers, forks."""

    __slots__ = (
        "branches",
        "call_id",
        "caller_tag",
        "correlation",
        "dialogs",
        "diverting",
        "first_branch",
        "forked",
        "identities",
        "forgotten",
        "invited_at",
        "kept_at",
        "number",
        "octets",
        "offer",
    )

    def __init__(self, call_id: str, caller_tag: str, correlation: bytes, invite: Kept) -> None:
        self.call_id = call_id
        self.caller_tag = caller_tag
        self.correlation = correlation
        self.invited_at: Instant = invite.at
        self.number = 0
        # When something of it was kept last (monotonic ns), and whether that has gone again for its age.
        self.kept_at = invite.at.mono
        self.forgotten = False
        self.offer: tuple[Transaction, Kept] | None = None
        self.first_branch = ""
        self.forked = False
        self.identities: dict[bytes, Match] = {}
        # Who has diverted it, which most calls have nobody of.
        self.diverting: frozenset[bytes] = frozenset()
        self.branches: dict[str, tuple[bytes, ...]] = {}
        self.dialogs: dict[str, Dialog] = {}
        self.octets = len(invite.octets)

    @property
    def id(self) -> DialogId:
        """Its name before anybody answered."""
        return DialogId(self.call_id, self.caller_tag, "")

    def side(self, sender_tag: str) -> Side:
        return Side.CALLER if sender_tag == self.caller_tag else Side.CALLEE

    def fork(self, callee_tag: str, limits: PoiLimits) -> Dialog | None:
        """The dialog with this tag, opened when it is new; None when the call has too many forks."""
        dialog = self.dialogs.get(callee_tag)
        if dialog is None and len(self.dialogs) < limits.forks:
            self.forked = True
            dialog = self.dialogs[callee_tag] = Dialog(self, callee_tag)
            if self.offer is not None:
                dialog.negotiation.offer(*self.offer)
        return dialog

    def forget_exchange(self) -> None:
        """What was offered and agreed is too old to be kept (TS 33.107 7A.3.1); the call itself is still followed."""
        self.offer = None
        self.forgotten = True
        for dialog in self.dialogs.values():
            dialog.forget_exchange()

    @property
    def confirmed(self) -> bool:
        return any(dialog.state is not State.EARLY for dialog in self.dialogs.values())
