"""The fast engine: pylibsrtp's libsrtp through its own binding, a session a stream, one buffer for all.

Rollover counters and AES-256 need functions of the library that pylibsrtp does not declare; they are looked up
in the same shared object and probed with a known answer. When the probe fails the reference serves alone.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from pylibsrtp import Session as _Initialised  # noqa: F401 - importing it initialises libsrtp
from pylibsrtp import _binding

from imswire.srtp.errors import Refusal, SrtpError
from imswire.srtp.index import WINDOW
from imswire.srtp.keys import MasterKey
from imswire.srtp.packet import header_length
from imswire.srtp.policy import Auth, Cipher, Policy
from imswire.srtp.reference import ReferenceStream

_ffi: Any = _binding.ffi
_lib: Any = _binding.lib
MAX_PACKET = 65_535
# srtp_err_status_t
_OK, _REPLAYED, _TOO_OLD, _AUTH_FAILED = 0, 9, 10, 7
# srtp_crypto_policy_t is six ints; this one is auth_tag_len.
_TAG_LENGTH_AT = 4

_buffer = bytearray(MAX_PACKET + 1)
_view = memoryview(_buffer)
_pointer = _ffi.from_buffer(_buffer)
_octets = _ffi.buffer(_pointer)
_size = memoryview(bytearray(4)).cast("i")
_length = _ffi.from_buffer("int *", _size)
_unprotect = _lib.srtp_unprotect


class _Symbols:
    """Functions of the shared object that the binding does not declare."""

    def __init__(self) -> None:
        library = ctypes.CDLL(_binding.__file__)

        def function(signature: str, name: str) -> Any:
            address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
            return _ffi.cast(signature, address)

        self.set_roc = function("int (*)(void *, uint32_t, uint32_t)", "srtp_set_stream_roc")
        self.get_roc = function("int (*)(void *, uint32_t, uint32_t *)", "srtp_get_stream_roc")
        self.setters = {
            (16, 10): function("void (*)(void *)", "srtp_crypto_policy_set_rtp_default"),
            (16, 4): function("void (*)(void *)", "srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32"),
            (32, 10): function("void (*)(void *)", "srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80"),
            (32, 4): function("void (*)(void *)", "srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32"),
        }


@cache
def _symbols() -> _Symbols | None:
    try:
        return _Symbols()
    except (AttributeError, OSError):
        return None


# RFC 3711's master key with a packet of counter 1, as libsrtp's own driver has it for counter 0.
_PROBE_KEY = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de4139")
_PROBE_SALT = bytes.fromhex("0ec675ad498afeebb6960b3aabe6")
_PROBE_PACKET = bytes.fromhex("800f1234decafbadcafebabe179265c8bf303e4c24e7279f739bb5a6f8b3916fd670057bf1dc")
_PROBE_CLEAR = bytes.fromhex("800f1234decafbadcafebabe" + "ab" * 16)


@cache
def probe() -> bool:
    """Whether the library does what this module expects of it, counters included."""
    if _symbols() is None:
        return False
    policy = Policy(Cipher.AES_CM, 16, 14, Auth.HMAC_SHA1, 10, (10,))
    try:
        stream = LibsrtpStream(policy, MasterKey(_PROBE_KEY, _PROBE_SALT), 0xCAFEBABE, 1)
    except SrtpError:
        return False
    right = stream.unprotect(_PROBE_PACKET) == _PROBE_CLEAR and stream.roc == 1
    stream.close()
    return right


def serves(policy: Policy) -> bool:
    """Whether the fast engine knows a policy: AES-CM with HMAC-SHA1, keys derived once."""
    return (
        policy.cipher is Cipher.AES_CM
        and policy.encrypts_rtp
        and policy.auth is Auth.HMAC_SHA1
        and not policy.derivation_rate
        and policy.key_length in (16, 32)  # the bundled build refuses AES-192
        and policy.tag_length in (10, 4)
    )


class LibsrtpStream:
    """One SSRC under one master key; packets come without MKI. SRTCP is left to the reference."""

    __slots__ = ("_key", "_policy", "_reference", "_roc", "_session", "_ssrc", "_start", "_tag")

    def __init__(self, policy: Policy, master: MasterKey, ssrc: int, roc: int) -> None:
        self._session = None
        symbols = _symbols()
        if symbols is None:
            raise SrtpError("the library lacks functions that are needed")
        self._reference: ReferenceStream | None = None
        self._policy = policy
        self._tag = policy.tag_length
        self._ssrc = ssrc
        self._start = roc
        self._roc = roc
        declared = _ffi.new("srtp_policy_t *")
        setter = symbols.setters[policy.key_length, policy.tag_length]
        setter(_ffi.addressof(declared, "rtp"))
        setter(_ffi.addressof(declared, "rtcp"))
        _ffi.cast("int *", _ffi.addressof(declared, "rtcp"))[_TAG_LENGTH_AT] = policy.rtcp_tag_lengths[0]
        declared.ssrc.type = _lib.ssrc_specific
        declared.ssrc.value = ssrc
        declared.window_size = WINDOW
        self._key = _ffi.new("unsigned char[]", master.key + master.salt)
        declared.key = self._key
        session = _ffi.new("srtp_t *")
        if _lib.srtp_create(session, declared) != _OK:
            raise SrtpError("libsrtp refuses the policy")
        self._session = session[0]
        if roc and symbols.set_roc(self._session, ssrc, roc) != _OK:
            raise SrtpError("libsrtp refuses the rollover counter")

    def unprotect(self, packet: bytes) -> bytes | Refusal:
        """The RTP packet in clear, or why not."""
        octets = len(packet)
        if octets > MAX_PACKET or self._session is None:
            return Refusal.MALFORMED if octets > MAX_PACKET else Refusal.AUTH_FAILED
        _view[:octets] = packet
        _size[0] = octets
        status = _unprotect(self._session, _pointer, _length)
        if status == _OK:
            clear: bytes = _octets[: octets - self._tag]
            return clear
        return self._refusal(status, packet)

    def _refusal(self, status: int, packet: bytes) -> Refusal:
        """libsrtp calls a forged copy of a packet repeated: only a right tag makes it a repetition."""
        length = header_length(packet)
        if not length or len(packet) < length + self._policy.tag_length:
            return Refusal.MALFORMED
        if status in (_REPLAYED, _TOO_OLD):
            seq = int.from_bytes(packet[2:4], "big")
            if self._proves(packet, seq):
                return Refusal.REPLAYED if status == _REPLAYED else Refusal.TOO_OLD
        return Refusal.AUTH_FAILED

    def _proves(self, packet: bytes, seq: int) -> bool:
        """Repeated packets are of the current counter, or of the one before it."""
        roc = self.roc
        reference = self._slow()
        return reference.authentic(packet, roc, seq) or (roc > 0 and reference.authentic(packet, roc - 1, seq))

    @property
    def roc(self) -> int:
        """The counter of the last packet; the one that was set before any proved right."""
        symbols = _symbols()
        if self._session is None or symbols is None:
            return self._roc
        out = _ffi.new("uint32_t *")
        symbols.get_roc(self._session, self._ssrc, out)
        # Until a packet has proved right, the library keeps the counter that was set to itself.
        self._roc = int(out[0]) or self._start
        return self._roc

    def unprotect_rtcp(self, packet: bytes) -> bytes | Refusal:
        return Refusal.AUTH_FAILED if self._session is None else self._slow().unprotect_rtcp(packet)

    def _slow(self) -> ReferenceStream:
        """For SRTCP, and to tell a repeated packet from a forged one: its keys take longer to derive than all else."""
        if self._reference is None:
            octets, length = bytes(_ffi.buffer(self._key)), self._policy.key_length
            master = MasterKey(octets[:length], octets[length : length + self._policy.salt_length])
            self._reference = ReferenceStream(self._policy, master, self._start)
            master.wipe()
        return self._reference

    def close(self) -> None:
        """Free the session and overwrite the key; afterwards nothing proves right any more."""
        if self._session is None:
            return
        self._roc = self.roc
        _lib.srtp_dealloc(self._session)
        self._session = None
        _ffi.memmove(self._key, bytes(len(self._key)), len(self._key))
        if self._reference is not None:
            self._reference.close()

    def __del__(self) -> None:
        self.close()
