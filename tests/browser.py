"""Pages as a reader's browser shows them: a Chromium without a window, started once for all tests of a process."""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import itertools
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

from absl.testing import absltest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 60  # For an answer; a browser that starts on a busy machine takes ten.
_PHONE = 600  # Pixels; below, a page is laid out as a phone lays it out.


@functools.cache
def _program() -> str | None:
    """A browser that runs. A name on PATH may be a stub that asks for another package."""
    for path in filter(None, map(shutil.which, _NAMES)):
        with contextlib.suppress(subprocess.TimeoutExpired):
            if not subprocess.run([path, "--version"], capture_output=True, timeout=_SECONDS).returncode:
                return path
    return None


needed = absltest.skipIf(_program() is None, f"no browser that runs is on PATH, one of {', '.join(_NAMES)}")


class _Browser:
    """Chromium under its DevTools protocol: JSON messages with a null byte behind each, over a socket.

    https://chromedevtools.github.io/devtools-protocol
    """

    def __init__(self):
        self._profile = tempfile.mkdtemp()
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_SECONDS)
        self._received = b""
        self._numbers = itertools.count()
        self._tab: dict[str, str] = {}
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        flags += [f"--user-data-dir={self._profile}", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND"]
        # It reads from descriptor 3 and writes to 4.
        connect = 'exec "$@" 3<&0 4>&0 </dev/null'
        self._process = subprocess.Popen(
            ["sh", "-c", connect, "sh", _program(), *flags],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        tab = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._tab = {"sessionId": self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]}

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._socket.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a method of the protocol, about the tab once there is one."""
        message = {"id": next(self._numbers), "method": method, "params": parameters, **self._tab}
        self._socket.sendall(json.dumps(message).encode() + b"\0")
        answer = next(found for found in self._messages() if found.get("id") == message["id"])
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            message, end, rest = self._received.partition(b"\0")
            if end:
                self._received = rest
                yield json.loads(message)
            elif part := self._socket.recv(1 << 16):
                self._received += part
            else:
                raise AssertionError("the browser has ended")


@functools.cache
def _browser() -> _Browser:
    browser = _Browser()
    atexit.register(browser.close)
    return browser


class Page:
    """A page that is loaded, until the next one is: the browser has one tab.

    Args:
      path: a file.
      width: of the window, in pixels; below 600 it is a phone's.
      dark: whether the reader prefers dark pages.
    """

    def __init__(self, path: pathlib.Path, width: int, *, dark: bool = False):
        self._width = width
        self._call = _browser().call
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        window = dict(width=width, height=800, deviceScaleFactor=1, mobile=width < _PHONE)
        self._call("Emulation.setDeviceMetricsOverride", **window)
        self._call("Page.navigate", url=path.absolute().as_uri())
        self.evaluate(
            "new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', done))"
        )

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, once it is there where it is a promise."""
        found = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise AssertionError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def scrolls_sideways(self) -> bool:
        """Whether anything is wider than the window.

        A phone would zoom out, so that its window seems wider than it is.
        """
        return self.evaluate(
            f"document.documentElement.scrollWidth > window.innerWidth || window.innerWidth !== {self._width}"
        )

    def screenshot(self) -> bytes:
        """The window's content, as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])
