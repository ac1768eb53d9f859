"""Identities of MIKEY payloads, as the KMS compares them."""

from __future__ import annotations

from imswire import mikey, sip
from imswire.mikey import values as v


def forms(identity: v.Idr) -> set[str]:
    """Canonical forms of an identity; a network access identifier is a SIP URI without its scheme."""
    named = text(identity)
    return set(sip.identities(f"sip:{named}" if identity.id_type == mikey.IdType.NAI else named))


def text(identity: v.Idr) -> str:
    return identity.data.decode("utf-8", "surrogateescape")
