"""Reference KMS: issues and resolves tickets, answers get_keys; keeps nothing about a user's tickets."""

from midcall.kms.core import Forwarded, GetKeys, Kms, KmsRefusal, SessionKeyAnswer
from midcall.kms.store import AuthorisedNode, KmsStore, PeerKms, Subscriber, TicketProtectionKey

__all__ = [
    "AuthorisedNode",
    "Forwarded",
    "GetKeys",
    "Kms",
    "KmsRefusal",
    "KmsStore",
    "PeerKms",
    "SessionKeyAnswer",
    "Subscriber",
    "TicketProtectionKey",
]
