"""A tab of a real browser, with a real mouse: Chromium's own protocol over a websocket."""

from __future__ import annotations

import asyncio
import itertools
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from chromium import CHROMIUM, FLAGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Tab:
    """A page that is open, and what happened in it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.requested: list[str] = []
        """Addresses that were asked for, but those of data that the page itself holds."""
        self.said: list[object] = []
        """What the console shows: errors, warnings, refusals by the page's policy."""

    async def listen(self) -> None:
        """Take what the browser tells until it is gone."""
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif told["method"] == "Network.requestWillBeSent":
                self.requested.append(told["params"]["request"]["url"])
            elif told["method"] in {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}:
                self.said.append(told["params"])

    async def ask(self, method: str, **parameters: object) -> Any:
        """Send a command, and return its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        told = await answer
        assert "error" not in told, told
        return told["result"]

    async def value_of(self, expression: str) -> Any:
        """Evaluate JavaScript, wait for what it promises, and return it."""
        told = await self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Wait for a JavaScript expression to be something true, and return it."""
        look = f"() => {{ let v; try {{ v = {condition} }} catch {{}}; v ? done(v) : setTimeout(look, 20) }}"
        return await self.value_of(f"new Promise((done) => {{ const look = {look}; look(); }})")

    async def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """Move, press or release the mouse at a point of the window."""
        await self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    async def wheel(self, x: float, y: float, *, by: float) -> None:
        """Turn the wheel at a point of the window; below 0 is away from oneself."""
        await self.mouse("mouseWheel", x, y, deltaX=0, deltaY=by)

    async def press(self, key: str) -> None:
        """Press and release a key where the focus is."""
        text = {"text": key} if len(key) == 1 else {}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def click(self, x: float, y: float) -> None:
        """Click at a point of the window."""
        await self.mouse("mouseMoved", x, y)
        for kind in ("mousePressed", "mouseReleased"):
            await self.mouse(kind, x, y, button="left", clickCount=1)


@asynccontextmanager
async def open_tab(url: str, profile: Path) -> AsyncIterator[Tab]:
    """Open a page in a window of 1400 by 900 pixels."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = await asyncio.create_subprocess_exec(
        *(CHROMIUM or "chromium", *FLAGS, *sandbox, f"--user-data-dir={profile}"),
        *("--remote-debugging-port=0", "--remote-allow-origins=*", "--window-size=1400,900", "about:blank"),
        stderr=asyncio.subprocess.PIPE,
    )
    assert browser.stderr is not None
    try:
        heard = ""
        while "DevTools listening on ws://" not in heard:
            line = await browser.stderr.readline()
            assert line, "the browser ended"
            heard = line.decode()
        port = heard.split("ws://")[1].split("/")[0]
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            drain = group.create_task(browser.stderr.read())
            async with session.get(f"http://{port}/json") as answer:
                (address,) = [
                    each["webSocketDebuggerUrl"] for each in await answer.json() if each["type"] == "page"
                ]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                tab = Tab(socket)
                listening = group.create_task(tab.listen())
                for domain in ("Page", "Network", "Log", "Runtime"):
                    await tab.ask(f"{domain}.enable")
                await tab.ask("Page.navigate", url=url)
                yield tab
                listening.cancel()
            drain.cancel()
    finally:
        if browser.returncode is None:
            browser.kill()
            await browser.wait()
