"""DF2: takes X2 events, has the KMS resolve tickets, plans what DF3 taps."""

from midcall.df2.core import Failure, MediaClose, Mediation, Output

__all__ = ["Failure", "MediaClose", "Mediation", "Output"]
