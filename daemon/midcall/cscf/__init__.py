"""The SIP proxy of a CSCF (RFC 3261 16-18): it knows no target, no warrant and no key."""
