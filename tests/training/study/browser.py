"""A headless Chromium for tests, driven by Selenium: a participant's hands and eyes."""

import contextlib
import json
import pathlib
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_TIMEOUT = 60  # seconds that a page is waited for


class Browser:
    """A browser with one page; what it saves appears in the folder `downloads`.

    Args:
      program, driver: of Chromium and chromedriver.
      folder: empty; for the profile and downloads.
    """

    def __init__(self, program: str, driver: str, folder: pathlib.Path):
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"download.default_directory": str(self.downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # With its path given, Selenium looks for no driver and downloads none.
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(driver))

    def open(self, path: pathlib.Path) -> None:
        """Opens a file and waits until it is loaded."""
        self.driver.get_log("performance")  # the empty page's requests do not count
        self.driver.get(path.resolve().as_uri())

    def reload(self) -> None:
        """Loads the page again, as somebody who comes back to it."""
        kept = self.run("({...localStorage})")
        self.driver.refresh()
        if kept and not self.run("localStorage.length"):
            # Headless Chromium itself loses what a file:// page kept, now and then. A page that
            # drops it drops it once more.
            store = "Object.entries(arguments[0]).forEach(([name, value]) => localStorage.setItem(name, value))"
            self.driver.execute_script(store, kept)
            self.driver.refresh()

    def run(self, expression: str):
        """The value of JavaScript. Fails where it raises."""
        return self.driver.execute_script("return eval(arguments[0])", expression)

    def wait(self, condition: str) -> None:
        """Returns as soon as a JavaScript expression is true."""
        WebDriverWait(self.driver, _TIMEOUT, 0.02).until(lambda _: self.run(condition), f"never true: {condition}")

    def click(self, selector: str) -> None:
        """Clicks with the mouse in the middle of an element, as a person would."""
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def accept(self) -> None:
        """Answers the page's question with yes."""
        self.driver.switch_to.alert.accept()

    def press(self, key: str, repeat: bool = False) -> None:
        """Presses a key and lets it go; `repeat`: as one that is held down."""
        pressed = {"type": "keyDown", "key": key, "text": key, "autoRepeat": repeat}
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", pressed)
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp", "key": key})

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        self.driver.switch_to.active_element.send_keys(text)

    def resize(self, width: int, height: int) -> None:
        """Size of the page, CSS pixels, as on a phone."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        events = (json.loads(e["message"])["message"] for e in self.driver.get_log("performance"))
        asked = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in asked]

    def problems(self) -> list[dict]:
        """Exceptions of the page since the last call."""
        return [e for e in self.driver.get_log("browser") if e["source"] == "javascript"]


@contextlib.contextmanager
def open_browser(folder: pathlib.Path):
    """A browser, or a skipped test where none is installed."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        pytest.skip("no chromium and chromedriver on PATH (Debian: chromium, chromium-driver)")
    browser = Browser(*programs, folder)
    try:
        yield browser
    finally:
        browser.driver.quit()
