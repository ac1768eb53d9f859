"""How a KMS is given revocations, and versions of warrants that have begun, apart from a question for keys.

It can only take by that, and never give: whoever may place may ask for nothing.
"""

from __future__ import annotations

PATH = "/xk/v1/place"
KIND = "application/jose+json"
"""A warrant's file is a JWS (RFC 7515 9.2.1)."""
SECONDS = 5.0
MAX_ANSWER = 4_096
