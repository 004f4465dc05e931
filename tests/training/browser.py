"""A headless Chromium for tests, driven through the DevTools protocol over pipes (fds 3 and 4)."""

import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import time

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_TIMEOUT = 60  # seconds for one answer, or for what a page is waited for


class Browser:
    """A browser with one page; what it saves appears in the folder `downloads`.

    Args:
      program: of Chromium.
      folder: empty; for the profile and downloads.
    """

    def __init__(self, program: str, folder: pathlib.Path):
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        self.events = []
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        command = [program, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        # bash gives the pipes the numbers that the browser expects.
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "browser", *command],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer, self._number, self._context, self._page = b"", 0, None, None

    def new_page(self) -> None:
        """A page that shares neither storage nor cache with those before it, which are closed."""
        self._page = None
        if self._context:
            self._call("Target.disposeBrowserContext", browserContextId=self._context)
        self._context = self._call("Target.createBrowserContext")["browserContextId"]
        shared = {"browserContextId": self._context}
        self._call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(self.downloads),
            **shared,
        )
        page = self._call("Target.createTarget", url="about:blank", **shared)["targetId"]
        attached = self._call("Target.attachToTarget", targetId=page, flatten=True)
        self._page = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self._call(f"{domain}.enable")

    def _message(self) -> dict:
        end = time.monotonic() + _TIMEOUT
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._read, 1 << 20) if ready else b""
            if not data:
                raise TimeoutError("the browser does not answer")
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _call(self, method: str, **parameters) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._page:
            message["sessionId"] = self._page
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)
            if answer.get("method") == "Page.javascriptDialogOpening":
                # Answered without waiting: the call above may be waiting for it.
                self._number += 1
                accept = {
                    "id": self._number,
                    "method": "Page.handleJavaScriptDialog",
                    "params": {"accept": True},
                    "sessionId": self._page,
                }
                os.write(self._write, json.dumps(accept).encode() + b"\0")
                self._number -= 1

    def open(self, path: pathlib.Path) -> None:
        """Opens a file and waits until it is loaded."""
        self.events.clear()
        self._call("Page.navigate", url=path.resolve().as_uri())
        self.wait(f"document.readyState === 'complete' && location.href.endsWith('{path.name}')")

    def reload(self, path: pathlib.Path) -> None:
        """Opens the file that is open again, as somebody who comes back to it.

        Of a file opened in a context of its own, Chromium itself loses localStorage in one of a
        hundred reloads, however long ago it was written. Then it is put back, once: a page that
        throws it away itself does so again.
        """
        kept = self.run("JSON.stringify(localStorage)")
        self.open(path)
        if self.run("JSON.stringify(localStorage)") != kept:
            self.run(f"Object.assign(localStorage, JSON.parse({json.dumps(kept)}))")
            self.open(path)

    def run(self, expression: str):
        """The value of a JavaScript expression. Fails where it raises."""
        result = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Returns as soon as a JavaScript expression is true."""
        end = time.monotonic() + _TIMEOUT
        while not self.run(condition):
            if time.monotonic() > end:
                shown = self.run("document.readyState + ': ' + document.body.innerText")
                raise AssertionError(f"never true: {condition}; {self.problems()}; {shown}")
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        """Clicks with the mouse in the middle of an element, as a person would."""
        self.run(f"document.querySelector({selector!r}).scrollIntoView({{block: 'nearest'}})")
        box = self.run(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    def press(self, key: str, repeat: bool = False) -> None:
        """Presses a key and lets it go; `repeat`: as one that is held down."""
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key, autoRepeat=repeat)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        self._call("Input.insertText", text=text)

    def resize(self, width: int, height: int) -> None:
        """Size of the page, CSS pixels, as on a phone."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def screenshot(self, path: pathlib.Path) -> None:
        """Writes what is to be seen, as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def requests(self) -> list[str]:
        """Addresses that the page has asked for since it was opened."""
        asked = [e for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in asked]

    def problems(self) -> list[dict]:
        """Exceptions of the page since it was opened."""
        return [e for e in self.events if e.get("method") == "Runtime.exceptionThrown"]

    def close(self) -> None:
        """Ends the browser."""
        self._page = None
        with contextlib.suppress(OSError, TimeoutError):
            self._call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        os.close(self._write)


@contextlib.contextmanager
def open_browser(folder: pathlib.Path):
    """A browser, or a skipped test where none is installed."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser on PATH, looked for {', '.join(_NAMES)}")
    browser = Browser(program, folder)
    try:
        browser.new_page()
        yield browser
    finally:
        browser.close()
