"""Reference KMS: issues and resolves tickets, answers get_keys; keeps nothing about a user's tickets."""

from midcall.kms.core import GetKeys, Kms, KmsRefusal, SessionKeyAnswer
from midcall.kms.store import AuthorisedNode, KmsStore, Subscriber, TicketProtectionKey

__all__ = [
    "AuthorisedNode",
    "GetKeys",
    "Kms",
    "KmsRefusal",
    "KmsStore",
    "SessionKeyAnswer",
    "Subscriber",
    "TicketProtectionKey",
]
