"""AES key wrap (RFC 3394) with a salt as initial value, as MIKEY uses it (RFC 3830 4.2.3)."""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from imswire.mikey.errors import MikeyError
from imswire.mikey.numbers import ErrorNo


def key_wrap(key: bytes, initial: bytes, octets: bytes, *, wrap: bool) -> bytes:
    """RFC 3394 with the salt as initial value (RFC 3830 4.2.3); KEMAC data is a multiple of 64 bits then."""
    aes = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - the block cipher inside RFC 3394
    if len(octets) % 8 or len(octets) < (16 if wrap else 24):
        raise MikeyError("KEMAC", "not a multiple of 64 bits, as AES key wrap needs", field="encr_data")
    if wrap:
        blocks, register = [octets[i : i + 8] for i in range(0, len(octets), 8)], initial
        encryptor = aes.encryptor()
        for step in range(6 * len(blocks)):
            place = step % len(blocks)
            both = encryptor.update(register + blocks[place])
            register = (int.from_bytes(both[:8], "big") ^ (step + 1)).to_bytes(8, "big")
            blocks[place] = both[8:]
        return register + b"".join(blocks)
    register, blocks = octets[:8], [octets[i : i + 8] for i in range(8, len(octets), 8)]
    decryptor = aes.decryptor()
    for step in range(6 * len(blocks), 0, -1):
        place = (step - 1) % len(blocks)
        mixed = (int.from_bytes(register, "big") ^ step).to_bytes(8, "big")
        both = decryptor.update(mixed + blocks[place])
        register, blocks[place] = both[:8], both[8:]
    if not hmac.compare_digest(register, initial):
        raise MikeyError("KEMAC", "the wrapped keys do not prove right", error_no=ErrorNo.AUTH_FAILURE)
    return b"".join(blocks)
