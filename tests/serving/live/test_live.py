"""Depth as it comes, on a page of this machine."""

import re
import socket
import subprocess
import sys
import threading
import time
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.io.map_pictures import colourise
from rilievo.io.outputs.formats.colour_files import picture_range
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.serving.live_page import LivePage
from support.clips import Clip, numbered, write_clip

_INTERRUPTED = """
import os, signal, sys, time
import rilievo.cli
from rilievo.serving.live_page import LivePage

def show(page, predictions, options):
    lost = []
    while True:
        try:
            if not lost:
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        except KeyboardInterrupt as error:
            if moment == "first line":
                raise
            lost.append(error)

LivePage.show = show
moment, clip = sys.argv[1:]
sys.argv = ["rilievo", "predict", "--live", clip, "-m", "rilievo/small"]
sys.exit(rilievo.cli.run())
"""
"""Program that is interrupted where it shows the first picture."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(3)))


def pictures(sent: bytes) -> list[np.ndarray]:
    """The pictures among everything that a browser was sent."""
    parts = sent.split(b"--frame\r\n")[1:-1]
    return [np.asarray(Image.open(BytesIO(part.split(b"\r\n\r\n", 1)[1]))) for part in parts]


def test_a_browser_sees_photographs_beside_their_depth(clip: Path) -> None:
    page, prediction = LivePage(), next(rilievo.stream(clip, model="rilievo/small"))
    try:
        with urlopen(page.address, timeout=60) as answer:
            assert b'<img src="frames"' in answer.read()
        with pytest.raises(HTTPError, match="404") as refused:
            urlopen(f"{page.address}etc/passwd", timeout=60)
        refused.value.close()
        with urlopen(f"{page.address}frames", timeout=60) as answer:
            assert "multipart/x-mixed-replace; boundary=frame" in answer.headers["Content-Type"]
            # The same one again and again, so that it has its own range of colours.
            page.show([prediction] * 3, SaveOptions())
            page.close()
            seen = pictures(answer.read())[-1].astype(int)
    finally:
        page.close()
    assert page.count == 3
    height, width = prediction.shape
    assert seen.shape == (height, 2 * width, 3)
    assert prediction.photo is not None
    depth = colourise(prediction.depth, limits=picture_range(prediction.depth, SaveOptions()))
    assert np.ptp(depth) > 50  # not one grey
    for part, expected in ((seen[:, :width], prediction.photo.pixels), (seen[:, width:], depth)):
        assert np.abs(part - expected).mean() < 4  # JPEG


def test_sixteen_readers_and_no_more_read_the_page() -> None:
    page = LivePage()
    try:
        readers = [urlopen(f"{page.address}frames", timeout=60) for _ in range(16)]
        with pytest.raises(HTTPError, match="429") as refused:
            urlopen(f"{page.address}frames", timeout=60)
        refused.value.close()
        readers.pop().close()
        # The place of one that leaves is free once the server has taken note of it.
        end = time.monotonic() + 60
        while len(readers) < 16:
            assert time.monotonic() < end
            try:
                readers.append(urlopen(f"{page.address}frames", timeout=60))
            except HTTPError as error:
                error.close()
        assert urlopen(page.address, timeout=60).status == 200, "the page itself is no reader"
        for reader in readers:
            reader.close()
    finally:
        page.close()


def test_a_reader_that_reads_nothing_is_cut_off_at_ctrl_c(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rilievo.serving.listener.http_server.GRACE_SECONDS", 300)
    monkeypatch.setattr("rilievo.serving.live_page._SEND_SECONDS", 300)
    page = LivePage()
    address = urlsplit(page.address)
    with socket.create_connection(("127.0.0.1", address.port or 0), 60) as reader:
        reader.sendall(f"GET {address.path}frames HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        reader.recv(20)
        for _ in range(100):  # more than the system holds for a connection
            page._newest_picture.put(bytes(300_000))
            time.sleep(0.01)
        page.close(at_once=True)
        for thread in threading.enumerate():
            if thread.name == "live page":
                thread.join(60)
                assert not thread.is_alive()


def test_every_page_has_a_path_of_its_own_and_nothing_beside_it() -> None:
    pages = [LivePage() for _ in range(2)]
    try:
        paths = [urlsplit(page.address).path for page in pages]
        assert paths[0] != paths[1]
        for path in ("", "frames", paths[1][1:], f"{paths[1][1:]}frames", paths[0][1:-2]):
            with pytest.raises(HTTPError, match="404") as refused:
                urlopen(urljoin(pages[0].address, f"/{path}"), timeout=60)
            refused.value.close()
    finally:
        for page in pages:
            page.close()


def test_the_command_says_where_it_is_and_ends_with_the_video(clip: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "rilievo", "predict", "--live", str(clip), "-m", "rilievo/small"],
        capture_output=True,
        text=True,
        check=False,
        cwd=clip.parent,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(
        r"live: http://127\.0\.0\.1:\d+/[\w-]{20,}/ \(press Ctrl-C to stop\)\n", ended.stdout
    )
    assert "3 frames, " in ended.stderr
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "moment", ["first line", pytest.param("lost in other code", marks=pytest.mark.slow)]
)
def test_ctrl_c_ends_it_wherever_it_comes(moment: str, clip: Path) -> None:
    """Moments: the first line after the address, and code that loses the exception."""
    ended = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, moment, str(clip)],
        capture_output=True,
        text=True,
        check=False,
        cwd=clip.parent,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ("0 frames, " in ended.stderr) is (moment == "first line")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to predict; give photographs"),
        (("a.jpg", "--live", "0"), "--live cannot be combined with inputs"),
        (("--live", "0", "--known", "1,2,3"), "--known applies to one photograph"),
        (
            ("--live", "0", "--save", "npy"),
            "combined with --save: a stream writes no files",
        ),
        (
            ("--live", "0", "--save", "colour"),
            "combined with --save: a stream writes no files",
        ),
        (
            ("--live", "0", "--workers", "2"),
            "combined with --workers: one process",
        ),
        (("--live", "0", "--json"), "combined with --json: the summary is about files"),
        (
            ("--live", "0", "--own-depth", "off"),
            "combined with --own-depth: frames contain no",
        ),
        (("--live", "97"), "camera 97: the source cannot be read"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from rilievo.cli import main

    assert main(["predict", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert len(said.splitlines()) == 1
