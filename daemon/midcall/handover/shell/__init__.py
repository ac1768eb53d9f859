"""Handover's I/O: the spool on disk, and the senders that empty it."""
