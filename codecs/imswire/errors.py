"""The root of the error tree of all codecs."""

from __future__ import annotations


class WireError(ValueError):
    """Octets that are not what their standard says.

    Every codec has its own subclass. The text names the place and the rule, never the secret that stood there.
    """
