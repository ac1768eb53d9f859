"""DF2: takes X2 events, reports them, has the KMS resolve tickets, plans what DF3 taps."""

from midcall.df2.communications import Communications
from midcall.df2.core import Failure, KeysFound, MediaClose, Mediation, Output

__all__ = ["Communications", "Failure", "KeysFound", "MediaClose", "Mediation", "Output"]
