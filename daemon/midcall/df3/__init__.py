"""DF3: taps the media of intercepted dialogs, decrypts them, counts everything."""

from midcall.df3.core import ContentMediation, Finished, Tapped
from midcall.df3.limits import Df3Limits
from midcall.df3.passed import PassedContent
from midcall.df3.records import ContentRecords
from midcall.df3.stream import Content, Stream

__all__ = [
    "Content",
    "ContentMediation",
    "ContentRecords",
    "Df3Limits",
    "Finished",
    "PassedContent",
    "Stream",
    "Tapped",
]
