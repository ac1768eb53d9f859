"""The signed warrant: nothing is intercepted, mediated or decrypted but under one.

POI, DF2 and KMS each verify it on their own, with a trust list of their own.
"""

from midcall.base.warrant.clock import ClockGuard
from midcall.base.warrant.envelope import MAX_OCTETS, Envelope
from midcall.base.warrant.register import Register
from midcall.base.warrant.trust import TrustList
from midcall.base.warrant.trust import read as read_trust
from midcall.base.warrant.value import Destination, FormError, Order, Revocation, Target, Warrant
from midcall.base.warrant.verify import Known, Outcome, Refused, Revoked, Rule, Verified, verify

__all__ = [
    "ClockGuard",
    "Destination",
    "Envelope",
    "FormError",
    "Known",
    "MAX_OCTETS",
    "Order",
    "Outcome",
    "Refused",
    "Register",
    "Revocation",
    "Revoked",
    "Rule",
    "Target",
    "TrustList",
    "Verified",
    "Warrant",
    "read_trust",
    "verify",
]
