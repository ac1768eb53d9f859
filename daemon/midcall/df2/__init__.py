"""DF2: takes X2 events, reports them, has the KMS resolve tickets, plans what DF3 taps."""

from midcall.df2 import notifications
from midcall.df2.communications import Communication, Communications
from midcall.df2.core import KeysFound, MediaClose, Mediation, Output
from midcall.df2.forms import Agency
from midcall.df2.iri import IriMediation

__all__ = [
    "Agency",
    "Communication",
    "Communications",
    "IriMediation",
    "KeysFound",
    "MediaClose",
    "Mediation",
    "Output",
    "notifications",
]
