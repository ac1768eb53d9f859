"""The cryptographic transforms of RFC 3711 4 and RFC 7714, for one packet at a known index."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from imswire.srtp.keys import DirectionKeys, MasterKey, SessionKeys
from imswire.srtp.packet import header_length
from imswire.srtp.policy import Auth, Cipher, Policy

RTCP_HEADER = 8
E_BIT = 1 << 31
GCM_TAG = 16
BLOCK = 16


class _Direction:
    """Session keys of RTP or of RTCP, derived anew each period when the policy has a derivation rate."""

    __slots__ = ("_gcm", "_keys", "_master", "_of", "_period", "_policy")

    def __init__(
        self, policy: Policy, master: MasterKey, first: SessionKeys, of: Callable[[SessionKeys], DirectionKeys]
    ) -> None:
        self._policy = policy
        # A copy, kept only where it is needed again: the one given may be wiped.
        self._master = MasterKey(master.key, master.salt) if policy.derivation_rate else None
        self._of = of
        self._take(first, 0)

    def _take(self, keys: SessionKeys, period: int) -> None:
        self._keys = self._of(keys)
        self._gcm = AESGCM(self._keys.key) if self._policy.aead else None
        self._period = period

    def at(self, index: int) -> DirectionKeys:
        if self._master is not None and index // self._policy.derivation_rate != self._period:
            period = index // self._policy.derivation_rate
            self._take(SessionKeys(self._policy, self._master, period), period)
        return self._keys

    def gcm(self, index: int) -> AESGCM:
        self.at(index)
        assert self._gcm is not None
        return self._gcm


class Transform:
    """Session keys at work; stateless. Packets are without MKI."""

    __slots__ = ("_policy", "_rtcp", "_rtp")

    def __init__(self, policy: Policy, master: MasterKey) -> None:
        self._policy = policy
        keys = SessionKeys(policy, master)
        self._rtp = _Direction(policy, master, keys, lambda each: each.rtp)
        self._rtcp = _Direction(policy, master, keys, lambda each: each.rtcp)

    # RTP

    def unprotect_rtp(self, packet: bytes, index: int) -> bytes | None:
        """The packet in clear; None when it does not prove right. ``packet`` must have a whole header."""
        start = header_length(packet)
        if self._policy.aead:
            iv = self._gcm_rtp_iv(packet, index)
            try:
                clear = self._rtp.gcm(index).decrypt(iv, packet[start:], packet[:start])
            except (InvalidTag, ValueError):
                return None
            return packet[:start] + clear
        body, tag = self._cut(packet, self._policy.tag_length)
        if len(body) < start or not hmac.compare_digest(self.rtp_tag(body, index >> 16), tag):
            return None
        return body[:start] + self._rtp_payload(packet, index, body[start:])

    def protect_rtp(self, packet: bytes, index: int) -> bytes:
        start = header_length(packet)
        if self._policy.aead:
            iv = self._gcm_rtp_iv(packet, index)
            return packet[:start] + self._rtp.gcm(index).encrypt(iv, packet[start:], packet[:start])
        body = packet[:start] + self._rtp_payload(packet, index, packet[start:])
        return body + self.rtp_tag(body, index >> 16)

    def rtp_tag(self, body: bytes, roc: int) -> bytes:
        """Tag over header, ciphertext and rollover counter; empty without authentication."""
        if self._policy.auth is Auth.NULL:
            return b""
        roc &= 0xFFFFFFFF
        keys = self._rtp.at(roc << 16 | int.from_bytes(body[2:4], "big"))
        whole = hmac.digest(keys.auth, body + roc.to_bytes(4, "big"), hashlib.sha1)
        return whole[: self._policy.tag_length]

    def _rtp_payload(self, packet: bytes, index: int, payload: bytes) -> bytes:
        """Encrypted or decrypted: a key stream does both."""
        if not self._policy.encrypts_rtp:
            return payload
        keys = self._rtp.at(index)
        if self._policy.cipher is Cipher.AES_F8:
            iv = b"\0" + packet[1:12] + (index >> 16).to_bytes(4, "big")
            return aes_f8(keys.key, keys.salt, iv, payload)
        return self._cm(keys.key, _cm_iv(keys.salt, packet[8:12], index), payload)

    def _gcm_rtp_iv(self, packet: bytes, index: int) -> bytes:
        return _xor(b"\0\0" + packet[8:12] + index.to_bytes(6, "big"), self._rtp.at(index).salt)

    # RTCP

    def unprotect_rtcp(self, packet: bytes, tag_length: int) -> tuple[bytes, int] | None:
        """The packet in clear and its index; None when it does not prove right."""
        if self._policy.aead:
            return self._gcm_unprotect_rtcp(packet)
        body, tag = self._cut(packet, tag_length)
        if len(body) < RTCP_HEADER + 4:
            return None
        word = int.from_bytes(body[-4:], "big")
        index, content = word & ~E_BIT, body[RTCP_HEADER:-4]
        expected = hmac.digest(self._rtcp.at(index).auth, body, hashlib.sha1)[:tag_length]
        if not hmac.compare_digest(expected, tag):
            return None
        if word & E_BIT:
            content = self._rtcp_content(packet, word, content)
        return packet[:RTCP_HEADER] + content, index

    def _rtcp_content(self, packet: bytes, word: int, content: bytes) -> bytes:
        index = word & ~E_BIT
        keys = self._rtcp.at(index)
        if self._policy.cipher is Cipher.AES_F8:
            iv = bytes(4) + word.to_bytes(4, "big") + packet[:RTCP_HEADER]
            return aes_f8(keys.key, keys.salt, iv, content)
        return self._cm(keys.key, _cm_iv(keys.salt, packet[4:8], index), content)

    def _gcm_unprotect_rtcp(self, packet: bytes) -> tuple[bytes, int] | None:
        if len(packet) < RTCP_HEADER + GCM_TAG + 4:
            return None
        word = packet[-4:]
        index = int.from_bytes(word, "big") & ~E_BIT
        encrypted = bool(word[0] & 0x80)
        gcm, iv = self._rtcp.gcm(index), self._gcm_rtcp_iv(packet, index)
        try:
            if encrypted:
                aad = packet[:RTCP_HEADER] + word
                clear = gcm.decrypt(iv, packet[RTCP_HEADER:-4], aad)
                return packet[:RTCP_HEADER] + clear, index
            body, tag = packet[: -4 - GCM_TAG], packet[-4 - GCM_TAG : -4]
            gcm.decrypt(iv, tag, body + word)
        except InvalidTag:
            return None
        return body, index

    def protect_rtcp(self, packet: bytes, index: int) -> bytes:
        encrypted = self._policy.encrypts_rtcp
        number = index | (E_BIT if encrypted else 0)
        word = number.to_bytes(4, "big")
        if self._policy.aead:
            gcm, iv = self._rtcp.gcm(index), self._gcm_rtcp_iv(packet, index)
            if encrypted:
                aad = packet[:RTCP_HEADER] + word
                return packet[:RTCP_HEADER] + gcm.encrypt(iv, packet[RTCP_HEADER:], aad) + word
            return packet + gcm.encrypt(iv, b"", packet + word) + word
        body = packet
        if encrypted:
            body = packet[:RTCP_HEADER] + self._rtcp_content(packet, number, packet[RTCP_HEADER:])
        body += word
        tag = hmac.digest(self._rtcp.at(index).auth, body, hashlib.sha1)
        return body + tag[: self._policy.rtcp_tag_lengths[0]]

    def _gcm_rtcp_iv(self, packet: bytes, index: int) -> bytes:
        return _xor(b"\0\0" + packet[4:8] + b"\0\0" + index.to_bytes(4, "big"), self._rtcp.at(index).salt)

    # Both

    def _cm(self, key: bytes, iv: bytes, octets: bytes) -> bytes:
        if self._policy.cipher is Cipher.NULL:
            return octets
        return BlockCipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(octets)

    @staticmethod
    def _cut(packet: bytes, tag_length: int) -> tuple[bytes, bytes]:
        if not tag_length:
            return packet, b""
        return packet[:-tag_length], packet[-tag_length:]


def aes_f8(key: bytes, salt: bytes, iv: bytes, octets: bytes) -> bytes:
    """AES in f8-mode (RFC 3711 4.1.2); the salt may be shorter than the key."""
    mask = salt + b"\x55" * (len(key) - len(salt))
    first = BlockCipher(algorithms.AES(_xor(key, mask)), modes.ECB()).encryptor()  # noqa: S305 - as f8 is made
    start = int.from_bytes(first.update(iv), "big")
    encryptor = BlockCipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    stream: list[bytes] = []
    block = 0
    for counter in range(-(-len(octets) // BLOCK)):
        stream.append(encryptor.update((start ^ counter ^ block).to_bytes(BLOCK, "big")))
        block = int.from_bytes(stream[-1], "big")
    return _xor(octets, b"".join(stream)[: len(octets)])


def _cm_iv(salt: bytes, ssrc: bytes, index: int) -> bytes:
    """(k_s * 2^16) xor (SSRC * 2^64) xor (index * 2^16) (RFC 3711 4.1.1)."""
    return _xor(salt, b"\0\0\0\0" + ssrc + index.to_bytes(6, "big")) + b"\0\0"


def _xor(first: bytes, second: bytes) -> bytes:
    return (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).to_bytes(len(first), "big")
