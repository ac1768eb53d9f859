"""What is known by its octets of the records of one deliverer: whose they are, and what form they have."""

from __future__ import annotations

from typing import Final

from midcall.base.bounded import BoundedTable
from midcall.lemf.calls import MediaStream
from midcall.lemf.content import Form, Layout
from midcall.lemf.context import Context
from midcall.lemf.rows import Rows

ALIASES: Final = 1 << 17
"""Two for each sequence."""
MAX_LAYOUTS = 512
MAX_STREAMS = 256


class Alias:
    """The encoded beginning of a record's header, up to its communicationIdentifier: whose it is."""

    __slots__ = ("context", "forms", "layouts")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.layouts: dict[int, Layout] = {}
        self.forms: dict[int, Form] = {}

    def learn(self, place: int, layout: Layout, octets: bytes, stream: MediaStream) -> None:
        """A record that fits ``layout`` is of ``stream``, and so are those with the same octets around the packet."""
        known = self.layouts.get(place)
        if known is None or not known.like(layout) or len(known.streams) >= MAX_STREAMS:
            if len(self.layouts) >= MAX_LAYOUTS:
                self.layouts.clear()
            known = self.layouts[place] = layout
        known.streams[layout.tail(layout.read(octets))] = stream

    def learn_form(self, tail: int, form: Form, layout: Layout, octets: bytes, stream: MediaStream) -> None:
        """The same for records whose numbers have other widths; ``tail`` octets are behind the time stamp."""
        if len(self.forms) >= MAX_LAYOUTS:
            self.forms.clear()
        known = self.forms.get(tail)
        if known is None or known[:2] != form[:2] or len(known.streams) >= MAX_STREAMS:
            known = self.forms[tail] = form
        known.streams[layout.tail(layout.read(octets))] = stream


class Familiar:
    """All links of a deliverer share it, and no other deliverer does: nobody writes into another's sequence."""

    def __init__(self) -> None:
        self.aliases: BoundedTable[bytes, Alias] = BoundedTable("lemf.aliases", ALIASES)
        self.rows = Rows()

    def alias(self, prefix: bytes, context: Context) -> Alias:
        found = self.aliases.get(prefix)
        if found is None:
            found = Alias(context)
            context.aliases.append(prefix)
            gone = self.aliases.put(prefix, found)
            if gone is not None:
                gone.context.aliases.clear()
        return found

    def forget(self, context: Context) -> None:
        """A sequence that is let go of must not be found here either."""
        for prefix in context.aliases:
            self.aliases.pop(prefix)
        self.rows.clear()
