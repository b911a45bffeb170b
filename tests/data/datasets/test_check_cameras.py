"""``rilievo check`` names doubts about the cameras of a data set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main

KITTI = "P0: 450 0 319.5 0 0 450 239.5 0 0 0 1 0\nP2: 500 0 319.5 0 0 500 239.5 0 0 0 1 0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("images", "depth"):
        (tmp_path / name).mkdir()
    for n in range(2):
        pixels = random.integers(0, 255, (480, 640, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{n}.png")
        depth = random.integers(1000, 4000, (480, 640)).astype(np.uint16)
        Image.fromarray(depth).save(tmp_path / "depth" / f"{n}.png")
    (tmp_path / "calib.txt").write_text(KITTI)
    return tmp_path


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ("{fx: 500, fy: 500, cx: 319.5, cy: 239.5}", None),
        ("{fx: 500, cx: 290, cy: 260}", None),
        ("{file: calib.txt}", "rilievo uses P2 (the left colour camera) from its camera file"),
        ("{fx: 1000, fy: 1000, cx: 639.5, cy: 479.5}", "2 of 2 images: .* far from the middle"),
        ("{fx: 0.8, fy: 1.0, cx: 0.5, cy: 0.5}", "fractions of the width and the height"),
        ("{lens: 'opencv:500,500,319.5,239.5,-0.1,0,0,0'}", None),
        ("{lens: 'opencv:400,400,319.5,239.5,-0.6,0,0,0'}", "folds inside the picture"),
    ],
)
def test_doubts_about_cameras_are_warnings(
    camera: str, words: str | None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "rilievo.yaml").write_text(
        "image: images/{id}.png\ndepth:\n  file: depth/{id}.png\n  scale: 0.001\n"
        f"camera: {camera}\n"
    )
    assert main(["check", "folder", str(folder)]) == 0
    report = capsys.readouterr().out
    assert ("lens      distorted, fx=" in report) == ("lens" in camera)
    assert ("warning:" in report) == (words is not None)
    if words is not None:
        assert any(
            np.all([part in line for part in words.split(" .* ")]) for line in report.splitlines()
        )
