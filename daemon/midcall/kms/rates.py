"""How often somebody may ask: ``midcall.base.rates``, which other entities use too."""

from midcall.base.rates import MINUTE, Rates

__all__ = ["MINUTE", "Rates"]
