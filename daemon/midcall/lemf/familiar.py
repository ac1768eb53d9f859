"""What is known by its octets of the records of one deliverer: whose they are, and what form they have."""

from __future__ import annotations

from typing import Final

from midcall.base.bounded import BoundedTable
from midcall.lemf import content
from midcall.lemf.calls import MediaStream
from midcall.lemf.content import Content, Form, Layout
from midcall.lemf.context import Context
from midcall.lemf.rows import Rows

ALIASES: Final = 1 << 17
"""Two for each sequence."""
MAX_LAYOUTS = 512
MAX_STREAMS = 256
MAX_LEARNT = 1 << 28
"""Octets of all that is known of a deliverer; behind that it is learnt anew."""
_STARTS = {0x81: 3, 0x82: 4}
"""Where the header begins, by the first length octet of a PS-PDU."""
_EACH = 1 << 10
"""What a layout or a form takes beside the octets that it has."""


class Alias:
    """The encoded beginning of a record's header, up to its communicationIdentifier: whose it is."""

    __slots__ = ("context", "forms", "layouts", "prefix")

    def __init__(self, prefix: bytes, context: Context) -> None:
        self.prefix = prefix
        self.context = context
        self.layouts: dict[int, Layout] = {}
        self.forms: dict[int, Form] = {}

    def learn(self, place: int, layout: Layout, octets: bytes, stream: MediaStream) -> int:
        """A record that fits ``layout`` is of ``stream``, and so are those with the same octets around the packet.

        Returns how many octets that takes.
        """
        known = self.layouts.get(place)
        fits = known is not None and known.like(layout) and len(known.streams) < MAX_STREAMS
        if known is None or not fits:
            if len(self.layouts) >= MAX_LAYOUTS:
                self.layouts.clear()
            known = self.layouts[place] = layout
        tail = layout.tail(layout.read(octets))
        known.streams[tail] = stream
        return len(tail) + (0 if fits else _EACH + len(layout.head))

    def learn_form(self, tail: int, form: Form, layout: Layout, octets: bytes, stream: MediaStream) -> int:
        """The same for records whose numbers have other widths; ``tail`` octets are behind the time stamp."""
        if len(self.forms) >= MAX_LAYOUTS:
            self.forms.clear()
        known = self.forms.get(tail)
        if known is None or known[:2] != form[:2] or len(known.streams) >= MAX_STREAMS:
            known = self.forms[tail] = form
        around = layout.tail(layout.read(octets))
        known.streams[around] = stream
        return len(around) + _EACH


class Familiar:
    """All links of a deliverer share it, and no other deliverer does: nobody writes into another's sequence."""

    def __init__(self) -> None:
        self.aliases: BoundedTable[bytes, Alias] = BoundedTable("lemf.aliases", ALIASES)
        self.rows = Rows()
        self.prefixes = bytearray(256)
        """By the length of a header, how long the beginning was that the last one of it was known by."""
        self._learnt = 0

    def learn(self, octets: bytes, found: Content, context: Context, stream: MediaStream) -> None:
        """A content record that was judged in full: the next of its kind go the short way."""
        start = 2 if octets[1] < 0x80 else _STARTS.get(octets[1])
        prefix = content.prefix_length(octets)
        layout = content.layout(octets, found)
        if start is None or prefix is None or layout is None:
            return
        at = start + 2 + prefix
        alias = self._alias(octets[start + 2 : at], context)
        alias.context = context
        spent = alias.learn((len(octets) - start) << 3 | octets[at + 1] & 7, layout, octets, stream)
        if layout.voip_base < 0 and (form := content.form(octets, found)) is not None:
            spent += alias.learn_form(*form, layout, octets, stream)
        self._spend(spent)
        self.prefixes[octets[start + 1]] = prefix

    def widths(self, alias: Alias, octets: bytes, start: int, prefix: int) -> bool:
        """A record of a known stream whose numbers have other widths: learnt without the tables of the module."""
        at = start + 2 + prefix
        found = content.familiar(octets, start, at, alias.forms)
        if found is not None:
            self._spend(alias.learn((len(octets) - start) << 3 | octets[at + 1] & 7, found[0], octets, found[1]))
        return found is not None

    def _spend(self, octets: int) -> None:
        self._learnt += octets
        if self._learnt > MAX_LEARNT:
            self._learnt = 0
            while (gone := self.aliases.evict()) is not None:
                gone.context.aliases.clear()

    def _alias(self, prefix: bytes, context: Context) -> Alias:
        found = self.aliases.get(prefix)
        if found is None:
            found = Alias(prefix, context)
            context.aliases.add(prefix)
            gone = self.aliases.put(prefix, found)
            if gone is not None:
                gone.context.aliases.discard(gone.prefix)
        return found

    def forget(self, context: Context) -> None:
        """A sequence that is let go of must not be found here either."""
        for prefix in context.aliases:
            self.aliases.pop(prefix)
        self.rows.clear()
