"""Reference KMS: issues and resolves tickets, answers get_keys; keeps nothing about a user's tickets."""

from midcall.kms.core import Kms
from midcall.kms.foreign import ForeignKeys
from midcall.kms.store import AuthorisedNode, KmsStore, PeerKms, Subscriber, TicketProtectionKey
from midcall.kms.values import Asker, Forwarded, GetKeys, KmsRefusal, Question, Relayed, SessionKeyAnswer

__all__ = [
    "Asker",
    "AuthorisedNode",
    "ForeignKeys",
    "Forwarded",
    "GetKeys",
    "Kms",
    "KmsRefusal",
    "KmsStore",
    "PeerKms",
    "Question",
    "Relayed",
    "SessionKeyAnswer",
    "Subscriber",
    "TicketProtectionKey",
]
