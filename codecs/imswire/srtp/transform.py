"""The cryptographic transforms of RFC 3711 4 and RFC 7714, for one packet at a known index."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from imswire.srtp.keys import MasterKey, SessionKeys
from imswire.srtp.packet import header_length
from imswire.srtp.policy import Auth, Cipher, Policy

RTCP_HEADER = 8
E_BIT = 1 << 31
GCM_TAG = 16


class Transform:
    """Session keys at work; stateless. Packets are without MKI."""

    __slots__ = ("_gcm_rtcp", "_gcm_rtp", "_keys", "_policy")

    def __init__(self, policy: Policy, master: MasterKey) -> None:
        self._policy = policy
        self._keys = SessionKeys(policy, master)
        self._gcm_rtp = AESGCM(self._keys.rtp_key) if policy.aead else None
        self._gcm_rtcp = AESGCM(self._keys.rtcp_key) if policy.aead else None

    # RTP

    def unprotect_rtp(self, packet: bytes, index: int) -> bytes | None:
        """The packet in clear; None when it does not prove right. ``packet`` must have a whole header."""
        start = header_length(packet)
        if self._gcm_rtp is not None:
            try:
                clear = self._gcm_rtp.decrypt(self._gcm_rtp_iv(packet, index), packet[start:], packet[:start])
            except (InvalidTag, ValueError):
                return None
            return packet[:start] + clear
        body, tag = self._cut(packet, self._policy.tag_length)
        if len(body) < start or not hmac.compare_digest(self.rtp_tag(body, index >> 16), tag):
            return None
        return body[:start] + self._cm(self._keys.rtp_key, self._rtp_iv(packet, index), body[start:])

    def protect_rtp(self, packet: bytes, index: int) -> bytes:
        start = header_length(packet)
        if self._gcm_rtp is not None:
            iv = self._gcm_rtp_iv(packet, index)
            return packet[:start] + self._gcm_rtp.encrypt(iv, packet[start:], packet[:start])
        body = packet[:start] + self._cm(self._keys.rtp_key, self._rtp_iv(packet, index), packet[start:])
        return body + self.rtp_tag(body, index >> 16)

    def rtp_tag(self, body: bytes, roc: int) -> bytes:
        """Tag over header, ciphertext and rollover counter; empty without authentication."""
        if self._policy.auth is Auth.NULL:
            return b""
        whole = hmac.digest(self._keys.rtp_auth, body + (roc & 0xFFFFFFFF).to_bytes(4, "big"), hashlib.sha1)
        return whole[: self._policy.tag_length]

    def _rtp_iv(self, packet: bytes, index: int) -> bytes:
        return _cm_iv(self._keys.rtp_salt, packet[8:12], index)

    def _gcm_rtp_iv(self, packet: bytes, index: int) -> bytes:
        return _xor(b"\0\0" + packet[8:12] + index.to_bytes(6, "big"), self._keys.rtp_salt)

    # RTCP

    def unprotect_rtcp(self, packet: bytes, tag_length: int) -> tuple[bytes, int] | None:
        """The packet in clear and its index; None when it does not prove right."""
        if self._gcm_rtcp is not None:
            return self._gcm_unprotect_rtcp(packet)
        body, tag = self._cut(packet, tag_length)
        if len(body) < RTCP_HEADER + 4:
            return None
        expected = hmac.digest(self._keys.rtcp_auth, body, hashlib.sha1)[:tag_length]
        if not hmac.compare_digest(expected, tag):
            return None
        word = int.from_bytes(body[-4:], "big")
        index, content = word & ~E_BIT, body[RTCP_HEADER:-4]
        if word & E_BIT:
            content = self._cm(self._keys.rtcp_key, _cm_iv(self._keys.rtcp_salt, packet[4:8], index), content)
        return packet[:RTCP_HEADER] + content, index

    def _gcm_unprotect_rtcp(self, packet: bytes) -> tuple[bytes, int] | None:
        assert self._gcm_rtcp is not None
        if len(packet) < RTCP_HEADER + GCM_TAG + 4:
            return None
        word = packet[-4:]
        index = int.from_bytes(word, "big") & ~E_BIT
        encrypted = bool(word[0] & 0x80)
        iv = self._gcm_rtcp_iv(packet, index)
        try:
            if encrypted:
                aad = packet[:RTCP_HEADER] + word
                clear = self._gcm_rtcp.decrypt(iv, packet[RTCP_HEADER:-4], aad)
                return packet[:RTCP_HEADER] + clear, index
            body, tag = packet[: -4 - GCM_TAG], packet[-4 - GCM_TAG : -4]
            self._gcm_rtcp.decrypt(iv, tag, body + word)
        except InvalidTag:
            return None
        return body, index

    def protect_rtcp(self, packet: bytes, index: int) -> bytes:
        encrypted = self._policy.encrypts_rtcp
        word = (index | (E_BIT if encrypted else 0)).to_bytes(4, "big")
        if self._gcm_rtcp is not None:
            iv = self._gcm_rtcp_iv(packet, index)
            if encrypted:
                aad = packet[:RTCP_HEADER] + word
                return packet[:RTCP_HEADER] + self._gcm_rtcp.encrypt(iv, packet[RTCP_HEADER:], aad) + word
            return packet + self._gcm_rtcp.encrypt(iv, b"", packet + word) + word
        body = packet
        if encrypted:
            iv = _cm_iv(self._keys.rtcp_salt, packet[4:8], index)
            body = packet[:RTCP_HEADER] + self._cm(self._keys.rtcp_key, iv, packet[RTCP_HEADER:])
        body += word
        return body + hmac.digest(self._keys.rtcp_auth, body, hashlib.sha1)[: self._policy.rtcp_tag_lengths[0]]

    def _gcm_rtcp_iv(self, packet: bytes, index: int) -> bytes:
        return _xor(b"\0\0" + packet[4:8] + b"\0\0" + index.to_bytes(4, "big"), self._keys.rtcp_salt)

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


def _cm_iv(salt: bytes, ssrc: bytes, index: int) -> bytes:
    """(k_s * 2^16) xor (SSRC * 2^64) xor (index * 2^16) (RFC 3711 4.1.1)."""
    return _xor(salt, b"\0\0\0\0" + ssrc + index.to_bytes(6, "big")) + b"\0\0"


def _xor(first: bytes, second: bytes) -> bytes:
    return (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).to_bytes(len(first), "big")
