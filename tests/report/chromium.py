"""Headless Chromium through its DevTools protocol, over a pipe: JSON messages that end in a zero byte.

No browser driver and no Python package is needed for it; https://chromedevtools.github.io/devtools-protocol/
lists the methods. `--remote-debugging-pipe` makes Chromium read file descriptor 3 and write 4.
"""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program() -> str | None:
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Page:
    """One page, with everything it logged and every request it made."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self.browser, self.session = browser, session
        self.messages: list[str] = []  # console errors and warnings, exceptions, refused requests
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, parameters, self.session)

    def open(self, path: pathlib.Path, ready: str, seconds: float = 300) -> float:
        """Opens a file and waits until the expression is true; returns the seconds that took."""
        start = time.monotonic()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.value(ready):
            if time.monotonic() - start > seconds:
                raise AssertionError(f"{path}: not ready after {seconds} s; the page said: {self.messages}")
            time.sleep(0.05)
        took = time.monotonic() - start
        self.settle()
        return took

    def settle(self) -> None:
        """Two frames: observers have run and what they changed is drawn."""
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def value(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def size(self, width: int, height: int, phone: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        self.settle()

    def media(self, kind: str = "", dark: bool = False) -> None:
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", media=kind,
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.settle()

    def screenshot(self, path: pathlib.Path, whole: bool = True) -> None:
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def pdf(self, path: pathlib.Path) -> None:
        document = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(document["data"]))

    def heard(self, event: dict[str, Any]) -> None:
        method, told = event["method"], event["params"]
        if method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.messages.append(f"console.{told['type']}: {told['args']}")
        elif method == "Runtime.exceptionThrown":
            self.messages.append(f"exception: {told['exceptionDetails']}")
        elif method == "Log.entryAdded":
            self.messages.append(f"log: {told['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])


class Browser:
    def __init__(self, path: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="shardrift-chromium-", ignore_cleanup_errors=True)
        to_browser, from_us = os.pipe()
        to_us, from_browser = os.pipe()
        # The shell gives the descriptors the numbers that Chromium expects.
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}', path, "--headless=new",
             "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-extensions", "--hide-scrollbars",
             f"--user-data-dir={self.folder.name}", "about:blank"],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.output, self.input = os.fdopen(from_us, "wb", buffering=0), os.fdopen(to_us, "rb", buffering=0)
        self.rest, self.number = b"", 0
        self.pages: dict[str, Page] = {}

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=300)
        self.output.close()
        self.input.close()
        self.folder.cleanup()

    def receive(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            part = self.input.read(1 << 16)
            if not part:
                raise AssertionError(f"Chromium ended with code {self.process.wait(timeout=300)}")
            self.rest += part
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self.output.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]
            page = self.pages.get(answer.get("sessionId", ""))
            if page is not None and "method" in answer:
                page.heard(answer)

    def page(self) -> Page:
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        self.pages[session] = page
        return page
