"""What the proxy is given and what it gives back: messages with where they come from and where they go."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

Transport = Literal["udp", "tcp", "tls"]

PORTS: dict[Transport, int] = {"udp": 5_060, "tcp": 5_060, "tls": 5_061}
"""RFC 3261 18.1.1, 19.1.2."""


class Hop(NamedTuple):
    """The next element, or the last: a numeric address, and of streams the connection that leads there.

    ``connection`` 0: any that is open, or a new one. RFC 5923: a connection serves both ways.
    """

    transport: Transport
    host: str
    port: int
    connection: int = 0

    def is_beside(self, other: Hop) -> bool:
        """Whether both are one place, over different transports or connections."""
        return self[1:3] == other[1:3]


class Listener(Struct, frozen=True):
    """A door of the proxy, and how it names itself there: ``host`` stands in Via and Record-Route."""

    transport: Transport
    host: str
    port: int
    ipv6: bool = False

    @property
    def sent_by(self) -> str:
        """host:port, as in Via; IPv6 addresses in brackets."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def uri(self) -> str:
        """What stands in Record-Route, Path and Service-Route, without <> (RFC 3261 16.6 4, 19.1.1)."""
        transport = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{self.sent_by}{transport};lr"

    @property
    def secure_uri(self) -> str:
        """The same of a TLS door, for requests that must not leave TLS (RFC 3261 16.6 4); of others :attr:`uri`."""
        return f"sips:{self.sent_by};lr" if self.transport == "tls" else self.uri


class Out(Struct, frozen=True, gc=False):
    """Octets to send: through which listener, and where to.

    ``branch`` is told when that fails ("": nobody cares). ``onward``: it is a request on its way, sent for the first
    time. ``name`` is what the certificate at the other end has to say.
    """

    listener: int
    hop: Hop
    octets: bytes
    branch: str = ""
    onward: bool = False
    name: str = ""


class Resolve(NamedTuple):
    """Where a name leads is wanted (RFC 3263); the answer comes with :meth:`Proxy.resolved`.

    ``transports``: those that can be used, the best first. ``services``: NAPTR and SRV say where it is; else it is at
    ``port`` of its addresses, 0 being the one of the first transport.
    """

    host: str
    transports: tuple[Transport, ...] = ("udp",)
    port: int = 0
    services: bool = True


class Spot(NamedTuple):
    """Where a service is: lower ``priority`` first, among equals by ``weight``; ``hops`` are its addresses."""

    priority: int
    weight: int
    hops: tuple[Hop, ...]


class Found(NamedTuple):
    """Where a name leads, and for how many seconds that holds."""

    spots: tuple[Spot, ...]
    seconds: int


class Admission(NamedTuple):
    """Whether a request may pass: ``status`` 0, or the answer with its further lines.

    ``on_top`` and ``removed``: lines that it gets and headers that it loses on the way (RFC 3325). ``stranger``: nobody
    knows who sends it, so it does not take the room of those who are known. ``who`` it is all the same, where it is
    not said: somebody anonymous, by the place from which only one has registered. ``afar``: it comes neither from a
    peer nor from where a user has registered.
    """

    status: int = 0
    extra: bytes = b""
    on_top: str = ""
    removed: tuple[str, ...] = ()
    stranger: bool = False
    who: str = ""
    afar: bool = False


class Alias(NamedTuple):
    """Who came by a connection takes requests there too, as ``host`` and ``port`` of its Via (RFC 5923 7)."""

    hop: Hop
    host: str
    port: int


Outs = list[Out | Resolve | Alias]


def bracketed(host: str) -> str:
    """An address as it stands in a URI or Via."""
    return f"[{host}]" if ":" in host else host
