"""A headless Chromium, driven through its debugging pipe with the standard library alone."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 120.0


def find_browser() -> str | None:
    """The program, where there is one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """One page of a browser."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._ids = itertools.count(1)
        self._buffer = b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        """What the browser told, in order."""

    def call(self, method: str, **arguments: Any) -> Any:
        """The result of a command of the DevTools protocol."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": arguments}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            received = self._receive()
            if received.get("id") == number:
                assert "error" not in received, received["error"]
                return received["result"]
            self.events.append(received)
        raise TimeoutError(method)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            received = os.read(self._from, 1 << 20)
            assert received, "the browser ended"
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def open(self, address: str) -> None:
        """Open an address in a new page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.go(address)

    def go(self, address: str) -> None:
        """Have the page show another address; what was told of the one before is forgotten."""
        self.events.clear()
        self.call("Page.navigate", url=address)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def resize(self, width: int, height: int, *, touch: bool = False) -> None:
        """Give the window another size; that of a phone where `touch`."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)

    def prefer(self, scheme: str) -> None:
        """`light` or `dark`, and no animation."""
        features = [("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]
        self.call("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features])

    def click(self, x: float, y: float) -> None:
        """Press and let go of the mouse's left button there."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, *fingers: tuple[tuple[float, float], tuple[float, float]], steps: int = 4) -> None:
        """Touch with each finger where it begins, move all at once to where they end, and let go."""
        places = np.array(fingers, float)  # (F, 2, 2)
        for step in range(steps + 1):
            now = places[:, 0] + (places[:, 1] - places[:, 0]) * step / steps
            points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(now.tolist())]
            self.call("Input.dispatchTouchEvent", type="touchMove" if step else "touchStart", touchPoints=points)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def press(self, key: str, code: int = 0) -> None:
        """Press and let go of a key; `code` is its virtual key code, where what it does depends on it."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript, once it is settled."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8: the canvas of the page."""
        return decode(self.run("recon.picture()").partition(",")[2])

    def screenshot(self) -> np.ndarray:
        """(H, W, 3) uint8: the whole window."""
        return decode(self.call("Page.captureScreenshot", format="png")["data"])

    @property
    def errors(self) -> list[str]:
        """What the console shows of errors and warnings."""
        found = []
        for event in self.events:
            name, values = event.get("method"), event.get("params", {})
            if name == "Runtime.exceptionThrown":
                found.append(json.dumps(values["exceptionDetails"]))
            elif name == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning"):
                found.append(json.dumps(values["args"]))
            elif name == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
                found.append(values["entry"]["text"])
        return found

    @property
    def requests(self) -> list[str]:
        """Every address that was asked for."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]


def decode(text: str) -> np.ndarray:
    """Pixels of a PNG in base64."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


@contextlib.contextmanager
def browse(address: str, folder: Path, size: tuple[int, int] = (1000, 700)) -> Iterator[Page]:
    """A page of a new browser that shows `address`, in a window of that width and height; `folder` is for its files."""
    program = find_browser()
    assert program is not None
    browser_reads, to_browser = os.pipe()
    from_browser, browser_writes = os.pipe()
    command = [
        program,
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--remote-debugging-pipe",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={folder}",
        f"--window-size={size[0]},{size[1]}",
        "about:blank",
    ]

    def give_pipes() -> None:
        reads, writes = os.dup(browser_reads), os.dup(browser_writes)
        os.dup2(reads, 3)
        os.dup2(writes, 4)

    process = subprocess.Popen(
        command,
        preexec_fn=give_pipes,
        pass_fds=(3, 4, browser_reads, browser_writes),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(browser_reads)
    os.close(browser_writes)
    try:
        page = Page(to_browser, from_browser)
        page.open(address)
        yield page
        page._session = None
        page.call("Browser.close")
    finally:
        os.close(to_browser)
        os.close(from_browser)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
