"""The app as a process of its own, for tests and benchmarks with a real browser."""

import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
FLAGS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
_PATIENCE = 90.0


class Served(NamedTuple):
    """A running app."""

    address: str
    pid: int
    folder: Path


def lacking() -> str | None:
    """Reason why no browser can test the app here; None if one can."""
    for package in ("gradio", "playwright"):
        if find_spec(package) is None:
            return f"{package} is not installed"
    return None if CHROMIUM else "there is no Chromium"


@contextmanager
def serving(temporary: Path, *options: str) -> Iterator[Served]:
    """Serve the app until the block ends; ``temporary`` is where it makes its folder."""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "rilievo", "app", "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            said: queue.Queue[str] = queue.Queue()
            threading.Thread(target=_listen, args=(process, said), daemon=True).start()
            yield Served(_address(said), process.pid, temporary)
        finally:
            process.terminate()
            process.wait(20)


def _listen(process: subprocess.Popen[str], said: "queue.Queue[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        said.put(line)
    said.put("")


def _address(said: "queue.Queue[str]") -> str:
    lines: list[str] = []
    while True:
        try:
            lines.append(said.get(timeout=_PATIENCE))
        except queue.Empty:
            raise AssertionError(f"the app did not start: {lines}") from None
        assert lines[-1], f"the app did not start: {''.join(lines)}"
        if lines[-1].startswith("the app: "):
            return lines[-1].split()[2].rstrip(";")
