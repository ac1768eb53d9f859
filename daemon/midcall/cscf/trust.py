"""Who may send what (RFC 3325; DESIGN: no relay for unknown peers): the gate that each new request passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

from imswire import sip
from imswire.sip import SipMessage, SipUri
from imswire.sip.edit import Editor
from midcall.base.bounded import BoundedTable
from midcall.base.remembered import remembered
from midcall.cscf import feedback
from midcall.cscf.digest import Digest
from midcall.cscf.location import LocationTable
from midcall.cscf.overload import Overload
from midcall.cscf.routing import Plan
from midcall.cscf.values import Admission, Hop

ASSERTED = ("p-asserted-identity", "p-preferred-identity")
_ASSERTED = frozenset(name.encode() for name in ASSERTED)
SOURCES = 65_536
ADMITTED = Admission()
REFUSED = Admission(403)


class Peer(Struct, frozen=True):
    """Neighbours by their network (``192.0.2.0/24``, ``2001:db8::1``), or by a name in their TLS certificate.

    ``trusted``: the identities that they assert are believed, and go on (RFC 3325 spec(T)). ``relay``: their requests
    go anywhere, not to users and routes of ours alone.
    """

    network: str = ""
    name: str = ""
    trusted: bool = False
    relay: bool = False


class Peers:
    """Finds the peer of a source; ``names`` gives the names in the certificate of a connection."""

    def __init__(
        self, peers: Iterable[Peer], names: Callable[[int], frozenset[str]] = lambda _connection: frozenset()
    ) -> None:
        self._networks: list[tuple[IPv4Network | IPv6Network, Peer]] = []
        self._named: dict[str, Peer] = {}
        for peer in peers:
            if peer.network:
                self._networks.append((ip_network(peer.network), peer))
            if peer.name:
                self._named[peer.name.lower()] = peer
        self._networks.sort(key=lambda each: -each[0].prefixlen)
        self._names = names
        self._found: BoundedTable[str, Peer | None] = BoundedTable("cscf.peers", SOURCES)
        self._known = self._found.reader()

    def of(self, source: Hop) -> Peer | None:
        """The peer that a message came from; None: nobody whom we know."""
        if source.transport == "tls" and self._named:
            for name in self._names(source.connection):
                if name in self._named:
                    return self._named[name]
        known = self._known(source.host)
        if known is not None or source.host in self._found:
            return known
        peer = self._look_up(source.host)
        self._found.put(source.host, peer)
        return peer

    def _look_up(self, host: str) -> Peer | None:
        address = ip_address(host.partition("%")[0])
        return next((peer for network, peer in self._networks if address in network), None)


class TrustGate:
    """Lets pass: what belongs to a dialog of ours, what a peer may send, what comes from or goes to a user of ours.

    ``digest``: users of ours who do not send from where they registered are asked who they are; None: nobody is asked.
    ``domains`` are ours. ``bound``: whether a request inside a dialog goes where that leads; in one of his own a
    stranger sends nowhere else.
    """

    def __init__(
        self,
        peers: Peers,
        location: LocationTable,
        is_local: Callable[[str], bool],
        overload: Overload,
        digest: Digest | None,
        domains: Iterable[str] = (),
        bound: Callable[[SipMessage, Plan], bool] = lambda _message, _plan: False,
    ) -> None:
        self._bound = bound
        self._domains = tuple(domains)
        self._peers = peers
        self._location = location
        self._is_local = is_local
        self._overload = overload
        self._digest = digest

    def believes(self, source: Hop) -> bool:
        """Whether what a neighbour asserts goes on (RFC 3325 spec(T))."""
        peer = self._peers.of(source)
        return peer is not None and peer.trusted

    def opens(self, source: Hop, place: Hop) -> bool:
        """Whether somebody at ``source`` may have a request sent to a place of his own choice: this host's inside is
        for those who are there, and for neighbours there that the configuration names.
        """
        return not is_inside(place.host) or is_inside(source.host) or self._peers.of(place) is not None

    def admit(self, message: SipMessage, plan: Plan, source: Hop, now: int) -> Admission:
        """Whether the request may pass, and what it asserts on its way."""
        peer = self._peers.of(source)
        if plan.inside:
            if peer is None and self._user_at(message, source, now) is None and not self._bound(message, plan):
                return REFUSED
            return ADMITTED if peer is not None and peer.trusted else _asserting(message, None)
        if self._overload.share > 0:
            hears = peer is not None and peer.trusted and _hears(message)
            stranger = peer is None and self._user_at(message, source, now) is None
            shed = self._overload.shed(message, hears=hears, stranger=stranger)
            if shed is not None:
                return shed
        if peer is not None and (peer.relay or not plan.outward):
            return ADMITTED if peer.trusted else _asserting(message, None)
        user = self._user_at(message, source, now)
        afar = user is None
        if user is None and self._digest is not None and self._claims_to_be_ours(message):
            said = self._digest.judge(message, now, proxy=True)
            if not said.user:
                return Admission(407, said.lines)
            user = _own(sip.identities(message.from_.uri), said.user)
            if user is None:
                return REFUSED  # From is somebody else's
        if user is None and plan.outward:
            return REFUSED
        admission = _asserting(message, user)
        if user is not None:
            if self._digest is not None:
                admission = _without_credentials(message, admission, self._digest)
            return admission._replace(afar=True) if afar else admission
        return admission._replace(stranger=True, who=self._location.only_one_from(source, now) or "", afar=True)

    def _user_at(self, message: SipMessage, source: Hop, now: int) -> str | None:
        """The address of record of a user who sends from where it registered."""
        return self._location.registered_from(source, now, sip.identities(message.from_.uri))

    def _claims_to_be_ours(self, message: SipMessage) -> bool:
        """By a URI of our domains, or by the number of a user there, whatever the domain (RFC 3261 19.1.6)."""
        uri = sip.parse_uri(message.from_.uri)
        if isinstance(uri, SipUri) and self._is_local(uri.host.strip("[]")):
            return True
        numbers = [form[4:] for form in sip.identities(message.from_.uri) if form.startswith("tel:+")]
        return any(self._location.is_known(f"sip:{each}@{domain}") for each in numbers for domain in self._domains)


def _hears(message: SipMessage) -> bool:
    """Whether the sender keeps to what it is told of our load."""
    return feedback.supports(sip.parse_via(message.values("Via")[0]).params)


def _is_inside(host: str) -> bool:
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    elif address.is_link_local or host == "255.255.255.255":
        return True
    return address.is_loopback or address.is_unspecified or address.is_multicast


is_inside = remembered(_is_inside, 4_096)
"""Whether an address is one of this host alone, of its link (IPv4), or of many."""


def unasserted(message: SipMessage) -> SipMessage:
    """A response of somebody who is not believed, without what it asserts (RFC 3325 5)."""
    if not message.has_any(_ASSERTED):
        return message
    editor = Editor(message)
    for name in ASSERTED:
        editor.remove(name)
    return sip.parse(editor.octets())


def _without_credentials(message: SipMessage, admission: Admission, digest: Digest) -> Admission:
    """Those for us are for nobody else, who could look for the password (RFC 3261 22.3); beside others they stay."""
    lines = message.lines("Proxy-Authorization")
    if len(lines) != 1 or not digest.asked_for(lines[0]):
        return admission
    return admission._replace(removed=(*admission.removed, "proxy-authorization"))


def _own(forms: Sequence[str], user: str) -> str | None:
    """The last of the forms of an identity, the most general one, if it is this user's."""
    return forms[-1] if forms and user_of(forms[-1]) == user else None


def user_of(aor: str) -> str:
    """Who has an address of record, by the name that is asked for a password."""
    return aor.partition(":")[2].partition("@")[0]


def _asserting(message: SipMessage, user: str | None) -> Admission:
    """Identities that a stranger asserts do not go on; that of a user of ours is asserted (RFC 3325 5)."""
    on_top = "" if user is None else f"P-Asserted-Identity: <{user}>\r\n"
    removed = tuple(name for name in ASSERTED if message.raws(name.encode()))
    return Admission(0, b"", on_top, removed) if on_top or removed else ADMITTED
