"""Sends numbered datagrams, as a process of its own: ``sender.py ADDRESS COUNT STEP PORT...``; each port gets them all.

With a STEP it waits after so many for an octet on its input, so that it cannot be ahead of the test for long.
"""

from __future__ import annotations

import socket
import sys


def main() -> None:
    address, count, step, *ports = sys.argv[1:]
    wait = int(step) or int(count) + 1
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    send = socket.socket(family, socket.SOCK_DGRAM).sendto
    targets = [(address, int(port)) for port in ports]
    padding = bytes(168)
    for number in range(int(count)):
        payload = number.to_bytes(4, "big") + padding
        for target in targets:
            send(payload, target)
        if number % wait == wait - 1:
            sys.stdin.buffer.read(1)


if __name__ == "__main__":
    main()
