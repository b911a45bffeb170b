"""Chromium, Firefox and WebKit behind one interface: run a script, and hand over a file."""

import base64
import glob
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 180.0
"""Seconds that a busy machine may take."""
FIREFOX = "/usr/bin/firefox-esr"
_WEBKIT = "/usr/bin/WebKitWebDriver"
_INSTALL = "`make test-browsers` says how to install it"
_NEWEST_PLAYWRIGHT = (1, 65)
"""Version from which on Playwright sends Firefox a command that it does not know."""

# Hands a file to the page as a browser does when something is dropped.
_DROP = """(name, kind, content) => {
  const files = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
  files.items.add(new File([bytes], name, { type: kind }));
  dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));
}"""
# Presses a button, and gives in base64 the file that the page makes of it.
_SAVED = """(selector) => new Promise((done) => {
  const make = URL.createObjectURL;
  URL.createObjectURL = (blob) => {
    URL.createObjectURL = make;
    const reader = new FileReader();
    reader.onload = () => done(reader.result.replace(/^[^,]*,/, ""));
    reader.readAsDataURL(blob);
    return make.call(URL, blob);
  };
  document.querySelector(selector).click();
})"""


class Tab:
    """A window of an engine. ``run`` calls a function of JavaScript, and gives what it returns."""

    def __init__(self, run: Callable[..., Any], go: Callable[[str], None]) -> None:
        self.run, self.go = run, go

    def wait(self, function: str, *arguments: Any) -> Any:
        """Wait until a function gives something true; gives it back."""
        until = time.monotonic() + PATIENCE
        while not (value := self.run(function, *arguments)):
            assert time.monotonic() < until, f"{function} {arguments}: {self.state()}"
            time.sleep(0.2)
        return value

    def state(self) -> str:
        """Text by which the page tells its state."""
        return self.run("() => document.getElementById('state')?.textContent ?? ''")

    def drop(self, path: Path, kind: str) -> None:
        """Drop a photograph, and wait for its depth and surface."""
        self.run(_DROP, path.name, kind, base64.b64encode(path.read_bytes()).decode())
        self.wait(
            "(name) => document.getElementById('result-title')?.textContent === name", path.name
        )
        self.wait_until_done()

    def wait_until_done(self) -> None:
        """Wait for a finished result."""
        self.wait(
            "() => document.getElementById('state').textContent.startsWith('Done')"
            " && document.getElementById('surface-state').hidden"
        )

    def saved(self, output: str) -> bytes:
        """A file that the page writes."""
        return base64.b64decode(self.run(_SAVED, f"button[data-output={output}]"))


@contextmanager
def engine(name: str, preferences: Mapping[str, object] | None = None) -> Iterator[Tab]:
    """A window of ``chromium``, ``firefox`` or ``webkit``; skipped where it is not installed."""
    with ExitStack() as stack:
        opened = {"chromium": _chromium, "firefox": _firefox, "webkit": _webkit}[name]
        yield opened(stack, preferences or {})


def _chromium(stack: ExitStack, preferences: Mapping[str, object]) -> Tab:
    from support.browser import chromium

    return _of_playwright(stack, stack.enter_context(chromium()))


def _firefox(stack: ExitStack, preferences: Mapping[str, object]) -> Tab:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    from playwright._repo_version import version

    if not Path(FIREFOX).is_file():
        pytest.skip(f"Firefox ESR is not installed: {_INSTALL}")
    if tuple(map(int, version.split(".")[:2])) >= _NEWEST_PLAYWRIGHT:
        pytest.skip(f"playwright {version} does not drive Firefox, 1.64 does: {_INSTALL}")
    stack.enter_context(_display())
    running = stack.enter_context(sync_api.sync_playwright())
    browser = running.firefox.launch(
        channel="moz-firefox",
        executable_path=FIREFOX,
        headless=False,  # which has no WebGL 2
        firefox_user_prefs={"ui.prefersReducedMotion": 1, **preferences},
    )
    stack.callback(browser.close)
    return _of_playwright(stack, browser)


def _of_playwright(stack: ExitStack, browser: Any) -> Tab:
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(1000 * PATIENCE)

    def run(function: str, *arguments: Any) -> Any:
        return page.evaluate(f"(list) => ({function})(...list)", list(arguments))

    return Tab(run, lambda address: page.goto(address) and None)


def _webkit(stack: ExitStack, preferences: Mapping[str, object]) -> Tab:
    if not Path(_WEBKIT).is_file():
        pytest.skip(f"WebKitGTK is not installed: {_INSTALL}")
    pytest.importorskip("selenium", reason=f"selenium is not installed: {_INSTALL}")
    from selenium import webdriver
    from selenium.webdriver.webkitgtk.options import Options
    from selenium.webdriver.webkitgtk.service import Service

    stack.enter_context(_display())
    options = Options()
    options.binary_location = glob.glob("/usr/lib/*/webkit2gtk-4.1/MiniBrowser")[0]
    options.add_argument("--automation")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # selenium warns of itself
        driver = webdriver.WebKitGTK(options=options, service=Service(_WEBKIT))
    stack.callback(driver.quit)
    driver.set_script_timeout(PATIENCE)
    driver.set_window_rect(0, 0, 1280, 900)

    def run(function: str, *arguments: Any) -> Any:
        text = (
            "const done = arguments[arguments.length - 1], list = [...arguments].slice(0, -1);"
            f" Promise.resolve(({function})(...list)).then(done);"
        )
        return driver.execute_async_script(text, *arguments)

    return Tab(run, driver.get)


@contextmanager
def _display() -> Iterator[None]:
    """A screen in memory, without which neither engine draws WebGL."""
    if shutil.which("Xvfb") is None:
        pytest.skip(f"Xvfb is not installed: {_INSTALL}")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        before = os.environ.get("DISPLAY")
        try:
            with os.fdopen(reading) as pipe:
                os.environ["DISPLAY"] = ":" + pipe.readline().strip()
            yield
        finally:
            server.terminate()
            os.environ.pop("DISPLAY")
            if before is not None:
                os.environ["DISPLAY"] = before
