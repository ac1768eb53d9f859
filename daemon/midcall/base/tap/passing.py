"""Descriptors from the privileged process to one that may nothing: one message on a Unix seqpacket socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import Struct

from midcall.base.tap.errors import TapError
from midcall.base.tap.ring import Geometry
from midcall.base.tap.rings import MAX_INTERFACES

_MAX_DESCRIPTORS = MAX_INTERFACES + 2
_MAX_OCTETS = 8_192


class Offer(Struct, frozen=True, forbid_unknown_fields=True):
    """What the descriptors are: one ring an interface, then ``maps`` of ``entries`` each; or why there are none."""

    kind: str
    interfaces: tuple[str, ...] = ()
    geometry: Geometry = Geometry()
    maps: int = 0
    entries: int = 0
    error: str = ""


class Opened(Protocol):
    """What is passed on: its descriptors, which are closed with it."""

    def descriptors(self) -> list[int]: ...

    def close(self) -> None: ...


def hand_over(connection: socket.socket, offer: Offer, opening: Callable[[], Opened]) -> None:
    """Open something and pass it on; nothing of it stays open here.

    TapError: it cannot be opened, which the other side is told too, or nobody is there to take it.
    """
    try:
        opened = opening()
    except TapError as why:
        _send(connection, Offer(offer.kind, error=str(why)), [])
        raise
    try:
        _send(connection, offer, opened.descriptors())
    finally:
        opened.close()


def refuse(connection: socket.socket, offer: Offer) -> None:
    """Say why there is nothing to take. TapError: nobody is there to hear it."""
    _send(connection, offer, [])


def _send(connection: socket.socket, offer: Offer, descriptors: list[int]) -> None:
    try:
        socket.send_fds(connection, [msgspec.json.encode(offer)], descriptors)
    except OSError as why:
        raise TapError(f"the descriptors of the tap cannot be passed on: {why.strerror}") from None


def take(connection: socket.socket, kind: str) -> tuple[Offer, list[int]]:
    """The offer and its descriptors, which are the caller's from now on. TapError: it is none, or of another kind."""
    try:
        octets, descriptors, flags, _ = socket.recv_fds(
            connection, _MAX_OCTETS, _MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
    except OSError as why:
        raise TapError(f"the tap passes no descriptors: {why.strerror or why}") from None
    try:
        return _checked(octets, flags, kind, len(descriptors)), descriptors
    except TapError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _checked(octets: bytes, flags: int, kind: str, count: int) -> Offer:
    if not octets:
        raise TapError("the tap has hung up")
    try:
        offer = msgspec.json.decode(octets, type=Offer)
    except msgspec.MsgspecError:
        raise TapError("what the tap sends is no offer of descriptors") from None
    if offer.error:
        raise TapError(f"the tap has nothing to give: {offer.error}")
    if offer.kind != kind:
        raise TapError(f"the tap offers {offer.kind!r}, {kind!r} is wanted here")
    if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC) or count != len(offer.interfaces) + offer.maps:
        raise TapError("the offer of the tap came without all of its descriptors")
    return offer
