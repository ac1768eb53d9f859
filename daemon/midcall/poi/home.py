"""Which identities are of this network: what nonLocalIdentifier asks for (TS 103 221-1 6.2.1.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imswire import sip


class Home:
    """``domains``: hosts of SIP URIs; ``numbers``: with which global numbers begin ("+4930")."""

    def __init__(self, domains: Iterable[str] = (), numbers: Iterable[str] = ()) -> None:
        self._hosts = frozenset(domain.lower().rstrip(".") for domain in domains)
        self._numbers = tuple(f"tel:{prefix}" for prefix in numbers)

    def owns(self, uri: str) -> bool:
        """Whether an identity is one of this network. An IMEI is nobody's."""
        return any(self._is_ours(form) for form in sip.identities(uri))

    def numbers_of(self, forms: Iterable[str]) -> Iterator[str]:
        """The global numbers that users of these domains have by name, also where a URI does not say user=phone: a
        proxy that routes by numbers finds them all the same.
        """
        for form in forms:
            user, at, host = form.removeprefix("sip:").partition("@")
            if at and host in self._hosts and user[:1] == "+" and user[1:].isascii() and user[1:].isdigit():
                yield f"tel:{user}"

    def _is_ours(self, form: str) -> bool:
        if form.startswith("tel:"):
            return form.startswith(self._numbers)
        return form.startswith("sip:") and form.rpartition("@")[2].partition(":")[0] in self._hosts
