"""Which identities are of this network: what nonLocalIdentifier asks for (TS 103 221-1 6.2.1.2)."""

from __future__ import annotations

from collections.abc import Iterable

from imswire import sip


class Home:
    """``domains``: hosts of SIP URIs; ``numbers``: with which global numbers begin ("+4930")."""

    def __init__(self, domains: Iterable[str] = (), numbers: Iterable[str] = ()) -> None:
        self._hosts = frozenset(domain.lower().rstrip(".") for domain in domains)
        self._numbers = tuple(f"tel:{prefix}" for prefix in numbers)

    def owns(self, uri: str) -> bool:
        """Whether an identity is one of this network. An IMEI is nobody's."""
        return any(self._is_ours(form) for form in sip.identities(uri))

    def _is_ours(self, form: str) -> bool:
        if form.startswith("tel:"):
            return form.startswith(self._numbers)
        return form.startswith("sip:") and form.rpartition("@")[2].partition(":")[0] in self._hosts
