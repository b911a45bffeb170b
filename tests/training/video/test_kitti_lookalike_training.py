"""The paper's user: KITTI as it is downloaded, lists of a split, ``faithful``, KITTI's protocol."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rilievo.cli import main
from support.kitti_lookalike import (
    BASELINE,
    CAMERA_TEXT,
    DATE,
    DRIVE,
    write_calibration,
    write_scan,
)

SHAPE = (64, 208)
FOCAL, CENTRE = 120.0, (103.5, 31.5)
CAMERA = (
    CAMERA_TEXT.replace("6.000000e+01 4.000000e+01", "2.080000e+02 6.400000e+01")
    .replace("5.0e+01 0 2.9e+01", "1.2e+02 0 1.035e+02")
    .replace("0 5.0e+01 2.1e+01", "0 1.2e+02 3.15e+01")
    .replace(f"{-50 * BASELINE:e}", f"{-FOCAL * BASELINE:e}")
)
WALL = 12.0
"""Depth [m] of the wall that the car drives along."""
STEP = 0.2
"""Motion of the camera to the right from frame to frame [m]."""
FRAMES = 14
TESTED = (12, 13)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A drive past a wall, seen by both eyes, with lists of its split and scans for the test."""
    root = tmp_path / "kitti"
    write_calibration(root, camera=CAMERA)
    random = np.random.default_rng(0)
    height, width = SHAPE
    whole = width + 60
    coarse = random.integers(0, 256, (height // 8, whole // 8, 3), dtype=np.uint8)
    texture = np.asarray(Image.fromarray(coarse).resize((whole, height)))
    for eye, to_the_right in (("image_02", 0.0), ("image_03", BASELINE)):
        folder = root / DATE / DRIVE / eye / "data"
        folder.mkdir(parents=True)
        for frame in range(FRAMES):
            left = round((frame * STEP + to_the_right) * FOCAL / WALL)
            picture = Image.fromarray(texture[:, left : left + width])
            picture.save(folder / f"{frame:010d}.png")
    for frame in TESTED:
        write_scan(root, frame, scan(random))
    folder = root / "splits" / "eigen_zhou"
    folder.mkdir(parents=True)
    (folder / "train_files.txt").write_text(lines(range(1, 10)))
    (folder / "val_files.txt").write_text(lines((10, 11)))
    (tmp_path / "test_files.txt").write_text(lines(TESTED))
    return root


def lines(frames: range | tuple[int, ...]) -> str:
    return "".join(f"{DATE}/{DRIVE} {frame:010d} l\n" for frame in frames)


def scan(random: np.random.Generator) -> list[tuple[float, float, float]]:
    """Points of the wall, as the laser measures them."""
    columns, rows = random.uniform(0, SHAPE[1], 800), random.uniform(28, SHAPE[0], 800)
    right, down = (columns - CENTRE[0]) * WALL / FOCAL, (rows - CENTRE[1]) * WALL / FOCAL
    return [(WALL + 0.25, -x, -y) for x, y in zip(right, down, strict=True)]


@pytest.mark.slow
def test_kitti_is_trained_for_fifty_steps_and_scored(root: Path, tmp_path: Path) -> None:
    run, scores = tmp_path / "eigen", tmp_path / "scores"
    command = ["train", "video", str(root), "--kind", "kitti-raw", "--split", "eigen_zhou"]
    command += ["--preset", "faithful", "--stereo", "--pose", "none", "--encoder", "lite"]
    command += ["--start", "scratch", "--size", "64,192", "--steps", "50", "--batch-size", "3"]
    command += ["--learning-rate", "1e-3", "--workers", "1", "--device", "cpu", "-o", str(run)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # A wall is as deep everywhere, so no depth is better than a constant, which is 1.
    assert main(command) in (0, 1)
    torch.set_num_threads(threads)
    assert json.loads((run / "config.json").read_text())["data"]["published_camera"] is True
    with (run / "log.csv").open() as file:
        half, last = csv.DictReader(file)
    assert last["step"] == "50"
    assert float(last["loss"]) < 0.93 * float(half["loss"])

    command = ["evaluate", "--model", str(run), "--benchmark", "kitti-eigen", "--root", str(root)]
    command += ["--list", str(tmp_path / "test_files.txt"), "-o", str(scores), "--device", "cpu"]
    assert main(command) == 0
    found = json.loads((scores / "evaluation.json").read_text())
    assert (found["kind"], found["alignment"]) == ("metric", "none")
    assert [each["images"] for each in found["summaries"]] == [len(TESTED)] * len(
        found["summaries"]
    )
