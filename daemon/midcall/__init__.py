"""midcall: lawful interception for IMS media keyed by MIKEY-TICKET, able to start in the middle of a call."""

__version__ = "0.1.0"
