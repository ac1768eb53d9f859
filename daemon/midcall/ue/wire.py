"""The network between simulated users, as a capture sees it: frames with their times."""

from __future__ import annotations

from imswire import inet

Timed = tuple[int, bytes]


class Wire:
    """Collects frames; each TCP connection keeps its sequence numbers."""

    def __init__(self, vlans: tuple[int, ...] = ()) -> None:
        self.frames: list[Timed] = []
        self._vlans = vlans
        self._next_seq: dict[tuple[bytes, int, bytes, int], int] = {}

    def udp(self, time: int, source: tuple[bytes, int], destination: tuple[bytes, int], payload: bytes) -> None:
        frame = inet.udp_frame(*source, *destination, payload, vlans=self._vlans)
        self.frames.append((time, frame))

    def tcp(self, time: int, source: tuple[bytes, int], destination: tuple[bytes, int], payload: bytes) -> None:
        """Send octets on a connection, opened at its first use, in segments of at most 1 400 octets."""
        key = (*source, *destination)
        back = (*destination, *source)
        if key not in self._next_seq:
            self._open(time, source, destination)
        for start in range(0, len(payload), 1400):
            piece = payload[start : start + 1400]
            seq = self._next_seq[key]
            frame = inet.tcp_frame(*source, *destination, piece, seq=seq, ack=self._next_seq[back], vlans=self._vlans)
            self.frames.append((time, frame))
            self._next_seq[key] = (seq + len(piece)) % (1 << 32)

    def _open(self, time: int, source: tuple[bytes, int], destination: tuple[bytes, int]) -> None:
        first, second = 1_000, 2_000
        for sender, receiver, seq, ack, flags in (
            (source, destination, first, 0, inet.SYN),
            (destination, source, second, first + 1, inet.SYN | inet.ACK),
            (source, destination, first + 1, second + 1, inet.ACK),
        ):
            frame = inet.tcp_frame(*sender, *receiver, b"", seq=seq, ack=ack, flags=flags, vlans=self._vlans)
            self.frames.append((time, frame))
        self._next_seq[(*source, *destination)] = first + 1
        self._next_seq[(*destination, *source)] = second + 1

    def in_order(self) -> list[Timed]:
        """Frames by time; those of one time in the order in which they were sent."""
        return sorted(self.frames, key=lambda timed: timed[0])
