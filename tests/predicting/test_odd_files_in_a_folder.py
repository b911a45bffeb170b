"""What a folder may hold besides photographs: a line for each, and the photographs are done."""

import os
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WAIT = 120
"""Seconds after which a command hangs."""
VIDEO_PIPE = "is a pipe" if find_spec("av") else "needs the extra 'video'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photograph among a pipe, a socket, links, a folder named like a photograph, and more."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)).save(folder / "a.jpg")
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe.mp4")
    # The path of a socket has 107 bytes at most, so it is bound by a name in its folder.
    descriptor = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(folder)
    try:
        descriptor.bind("socket.png")
    finally:
        os.chdir(before)
        descriptor.close()
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "lost.jpg").symlink_to("nowhere")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "empty.jpg").touch()
    (folder / "folder.jpg").mkdir()
    (folder / "text.jpg").write_text("no photograph")
    shutil.copy(folder / "a.jpg", folder / "cut.jpg")
    os.truncate(folder / "cut.jpg", 200)
    return folder


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
@pytest.mark.parametrize("extra", [(), ("--resume",), ("--workers", "2")])
def test_each_odd_file_is_a_line_and_the_photograph_is_done(
    folder: Path, tmp_path: Path, extra: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "rilievo", "predict", str(folder), "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--model", "rilievo/small", "--save", "npz", *extra],
        capture_output=True,
        encoding="utf-8",
        timeout=WAIT,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert (tmp_path / "out" / "a.npz").is_file()
    lines = [line for line in said.splitlines() if f"{folder}{os.sep}" in line]
    for name, reason in {
        "pipe.jpg": "is a pipe",
        "pipe.mp4": VIDEO_PIPE,
        "socket.png": "is a socket",
        "device.jpg": "is a device",
        "lost.jpg": "is a link to 'nowhere', which does not exist",
        "loop.jpg": "cannot be reached",
        "empty.jpg": "is empty",
        "text.jpg": "",
        "cut.jpg": "",
    }.items():
        [line] = [line for line in lines if f"{os.sep}{name}:" in line]
        assert reason in line
