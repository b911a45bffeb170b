"""A static host of a folder, as any web server is one, and a visitor to its page."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from support.browser import unfold

PATIENCE = 120_000
"""Milliseconds that a busy machine may take."""


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Isolating(Quiet):
    """A host whose headers allow threads."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


@contextmanager
def hosted(folder: Path, handler: type[Quiet] = Quiet) -> Iterator[str]:
    """Serve a folder; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Visitor:
    """A tab with the page, and everything that it asked for and complained of."""

    def __init__(self, context: Any, address: str) -> None:
        context.set_default_timeout(PATIENCE)
        self.context, self.address = context, address
        self.page = context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        context.on("request", lambda each: self.asked.append(each.url))
        self.page.on("pageerror", lambda each: self.complaints.append(str(each)))
        self.page.on("console", self._hear)
        self.page.goto(address)
        self.wait_until_ready()

    def _hear(self, message: Any) -> None:
        # What Chromium says of a machine without a graphics card is no fault of the page.
        said = ("GPU stall", "No available adapters")
        if message.type in ("error", "warning") and not any(each in message.text for each in said):
            self.complaints.append(message.text)

    def wait_until_ready(self) -> None:
        """Wait for the first network, and for the example that it shows."""
        self.page.locator("html[data-ready]").wait_for()
        self.page.locator("body:not([aria-busy]) #result-title").wait_for()

    @property
    def state(self) -> str:
        """Text by which the page tells its state."""
        return self.page.locator("#state").inner_text()

    @property
    def notes(self) -> str:
        """Remarks on the result that is shown."""
        return self.page.locator("#notes").inner_text()

    def give(self, path: Path) -> None:
        """Choose a photograph and wait for its result, also where it is the one shown before."""
        for name in ("#result-title", "#state"):
            self.page.locator(name).evaluate("(part) => { part.textContent = ''; }")
        self.page.set_input_files("#photo-file", path)
        self.page.locator("#result-title", has_text=path.name).wait_for()
        self.page.locator("#state", has_text="Done").wait_for()

    def choose(self, name: str) -> None:
        """Choose a network of the page, and wait for what it says of the photograph shown."""
        unfold(self.page, "#settings")
        self.page.select_option("#model", name)
        self.page.locator("body:not([aria-busy]) #state", has_text="Done").wait_for()

    def give_network(self, path: Path, name: str) -> None:
        """Choose an ONNX file and wait until it is the one in use."""
        self.page.set_input_files("#model-file", path)
        self.page.locator("#state", has_text="Done").or_(
            self.page.locator("#state", has_text=f"{name} is ready")
        ).wait_for()

    def save(self, output: str, folder: Path) -> Path:
        """Press the button of a file; gives where it was put, under its own name."""
        unfold(self.page, "#files")
        with self.page.expect_download() as download:
            self.page.click(f"button[data-output={output}]")
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def depth(self, folder: Path) -> tuple[np.ndarray, np.ndarray]:
        """Depth and valid pixels, from the file of 16 bits."""
        return read_png16(self.save("png16", folder))


def read_png16(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and valid pixels of a PNG of 16 bits that says what its numbers are."""
    with Image.open(path) as image:
        stored = np.asarray(image).astype(np.float64)
        text = image.text  # type: ignore[attr-defined]
    return stored * float(text["scale"]) + float(text["offset"]), stored > 0
