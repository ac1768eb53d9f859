"""aiosip 0.2.0 as a user agent, behind what it needs today: names that Python has taken away, and ways through a proxy.

It was written for Python 3.4. It has no transactions and no routes, and ruins received bodies: what it says itself is
its own, octet for octet.
"""

from __future__ import annotations

import asyncio
import collections
import collections.abc
import sys
import types
import warnings
from typing import Any

VERSION = "0.2.0"


def load() -> Any:
    """The module. ModuleNotFoundError: it is not installed."""
    asyncio.coroutine = types.coroutine  # type: ignore[attr-defined]
    collections.MutableMapping = collections.abc.MutableMapping  # type: ignore[attr-defined]
    if "pyquery" not in sys.modules:  # it reads XML bodies with it, of which there are none
        stand_in = types.ModuleType("pyquery")
        stand_in.PyQuery = None  # type: ignore[attr-defined]
        sys.modules["pyquery"] = stand_in
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its regular expressions
        import aiosip
    return aiosip


class Agent:
    """One user at one address; ``heard`` are the requests that came, ``answers`` the statuses of what it asked."""

    def __init__(self, name: str, domain: str, own: tuple[str, int], proxy: tuple[str, int]) -> None:
        aiosip = load()
        self.uri = f"sip:{name}@{domain}"
        self.heard: list[Any] = []
        self._contact = f"sip:{name}@{own[0]}:{own[1]}"
        self._own, self._proxy = own, proxy
        self._dialogs: list[Any] = []
        heard = self.heard

        class Udp(aiosip.UDP):  # type: ignore[misc, name-defined]
            """Several Vias are as many lines, and not written over."""

            def send_message(self, msg: Any) -> None:
                if isinstance(msg.headers["Via"], str):
                    msg.headers["Via"] = msg.headers["Via"].replace("%(protocol)s", "UDP")
                self.transport.sendto(str(msg).encode())

        class Dialog(aiosip.Dialog):  # type: ignore[misc, name-defined]
            """A response has the route that was recorded."""

            def receive_message(self, msg: Any) -> None:
                self.asked = msg
                if not hasattr(msg, "status_code"):
                    heard.append(msg)
                super().receive_message(msg)

            def send_reply(self, *values: Any, **named: Any) -> None:
                if "Record-Route" in self.asked.headers:
                    named["headers"]["Record-Route"] = self.asked.headers["Record-Route"]
                super().send_reply(*values, **named)

        class Application(aiosip.Application):  # type: ignore[misc, name-defined]
            """Whoever calls, the answer goes through the socket that there is."""

            def dispatch(app, protocol: Any, msg: Any, addr: Any) -> None:  # noqa: N805
                if msg.headers["Call-ID"] not in app._dialogs:
                    self._take(app, msg)
                super().dispatch(protocol, msg, addr)

        self._udp, self._dialog = Udp, Dialog
        self._app = Application(loop=asyncio.get_running_loop())

    async def _open(self, to: str) -> Any:
        opened = await self._app.start_dialog(
            self.uri,
            to,
            contact_uri=self._contact,
            protocol=self._udp,
            local_addr=self._own,
            remote_addr=self._proxy,
            dialog=self._dialog,
        )
        self._dialogs.append(opened)
        return opened

    def _take(self, app: Any, msg: Any) -> None:
        taken = self._dialog(
            app,
            self.uri,
            msg.headers["From"],
            msg.headers["Call-ID"],
            app._protocols[self._udp, self._own, self._proxy],
            contact_uri=self._contact,
            local_addr=self._own,
            remote_addr=self._proxy,
            loop=app.loop,
        )
        app._dialogs[msg.headers["Call-ID"]] = taken
        self._dialogs.append(taken)

    # What it does

    async def register(self) -> int:
        """The status of the answer."""
        dialog = await self._open(self.uri)
        return int((await dialog.register(expires=120)).status_code)

    async def call(self, to: str, sdp: str) -> tuple[int, int]:
        """INVITE, ACK, BYE: the statuses of the first and the last."""
        dialog = await self._open(to)
        headers = {"Content-Type": "application/sdp"}
        ok = await dialog.invite(headers=_many(headers), sdp=sdp)
        dialog.send_message("ACK", to_details=ok.to_details)
        bye = await dialog.send_message("BYE", to_details=ok.to_details)
        return int(ok.status_code), int(bye.status_code)

    def close(self) -> None:
        for transport in self._app._transports.values():
            transport.close()


def _many(headers: dict[str, str]) -> Any:
    from multidict import CIMultiDict

    return CIMultiDict(headers)
