"""What the receiving end has to say of a delivery: one value a finding, naming the PDU."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from midcall.base.bounded import BoundedTable

MAX_EACH = 256
"""Findings of one rule in one sequence of numbers that are told one by one; the rest is counted."""
MAX_LINK = 8
"""The same of one link, where no sequence can be named: they say little more than that such octets came."""
PLACES = 16_384


class Rule(StrEnum):
    """The rule that is broken; the clauses are those of TS 102 232-1."""

    FRAMING = "framing"  # no PS-PDU where one should begin (6.2)
    SCHEMA = "schema"  # annex A, and what prose adds (5.2)
    CONTENT = "content"  # the modules inside: TS 33.108, TS 33.128, TS 102 232-5
    TIME = "time"  # 5.2.6
    GAP = "gap"  # 5.2.5: a number that did not come
    ORDER = "order"  # 5.2.5: a number that came behind a later one, or far ahead of the others
    DOUBLED = "doubled"  # 5.2.5: one number, two different records
    REPEAT = "repeat"  # a number that came before, too long ago to compare the octets
    HASH = "hash"  # 7.2.3
    LOCATED = "hash-located"  # 7.2.3: what is left of a range under suspicion
    UNCHECKED = "hash-unchecked"  # 7.2.3: a check that cannot be made, or data without one
    SIGNATURE = "signature"  # 7.2.3
    DELIVERER = "deliverer"  # of an interception that another deliverer has begun
    LINK = "link"  # 6.3: keep-alive, options, acknowledgement
    LIMIT = "limit"  # a bound of this receiver
    STORE = "store"  # disk


class Finding(Struct, frozen=True, omit_defaults=True):
    """``sequence`` to ``last`` of a class of payload of a communication; ``at`` is when it was found (wall ns).

    ``link`` is that whose octets it came of, or, where it is found without any, the deliverer.
    """

    rule: Rule
    text: str
    at: int
    link: str = ""
    liid: str = ""
    operator: str = ""
    element: str | None = None
    cin: int | None = None
    country: str | None = None
    payload: str = ""
    sequence: int | None = None
    last: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: members that say nothing are left out."""
        members = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in members.items() if value not in ("", None)}

    def __str__(self) -> str:
        place = [f"LIID {self.liid}"] if self.liid else []
        if self.cin is not None:
            place.append(f"CIN {self.cin}")
        if self.payload:
            number = "" if self.sequence is None else f" {self.sequence}"
            place.append(f"{self.payload}{number}{'' if self.last in (None, self.sequence) else f' to {self.last}'}")
        return f"{self.rule}: {', '.join(place)}{': ' if place else ''}{self.text}"


class Findings:
    """Where findings gather until the shell takes them; floods of one kind are cut short and counted."""

    def __init__(self) -> None:
        self._fresh: list[Finding] = []
        self._told: BoundedTable[tuple[str, object], int] = BoundedTable("lemf.findings", PLACES)
        self.counts: dict[str, int] = {}
        self.quiet = False

    def add(self, finding: Finding) -> None:
        if self.quiet:
            return
        self.counts[finding.rule] = self.counts.get(finding.rule, 0) + 1
        sequence = (finding.liid, finding.operator, finding.element, finding.cin, finding.payload)
        place = (finding.rule, sequence if finding.liid else finding.link)
        most = MAX_EACH if finding.liid else MAX_LINK
        told = (self._told.get(place) or 0) + 1
        self._told.put(place, told)
        if told <= most:
            self._fresh.append(finding)
        if told == most:
            self._fresh.append(
                Finding(
                    finding.rule,
                    "more findings of this kind are counted only",
                    finding.at,
                    link=finding.link,
                    liid=finding.liid,
                    cin=finding.cin,
                    payload=finding.payload,
                )
            )

    def take(self) -> list[Finding]:
        fresh, self._fresh = self._fresh, []
        return fresh
