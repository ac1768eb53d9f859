"""Sockets, clock and files of the proxy."""
