"""The tamper-evident log of what is done to warrants, tasks, keys, deliveries and configuration, and of what is read.

The core is pure: a ledger that gives lines, a checker that reads them, Merkle trees as in RFC 9162. The shell keeps the
files and listens.
"""
