"""The proxy: its core in memory, and its doors on loopback."""
