"""Wire formats of an IMS network and of lawful interception: octets in, values out, and back.

Pure functions and frozen values. Nothing here opens a socket or a file, reads a clock or draws a random
number; whoever calls brings those along.
"""
