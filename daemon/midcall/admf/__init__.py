"""The ADMF: holds warrants, and orders what they allow over X1, and nothing else (DESIGN 8)."""
