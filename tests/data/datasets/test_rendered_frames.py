"""Rendered frames are read from the files that their card describes, without the renderer."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.datasets import find_dataset, open_dataset
from rilievo.errors import OptionError

LAYOUT = """
image: "images/{id}.png"
depth: {file: "truth/{id}.npz", array: depth, sky: [0]}
normals: {file: "truth/{id}.npz", array: normals}
camera: {file: "cameras/{id}.txt"}
splits: {test: test.txt}
"""


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    for name in ("images", "truth", "cameras"):
        (tmp_path / name).mkdir()
    for id in ("0000000001", "0000000002"):
        depth = np.full((32, 40), 2.5, np.float32)
        depth[0] = 0
        normals = np.where(depth[..., None] > 0, np.float32([0, 0, -1]), np.float32(0))
        Image.new("RGB", (40, 32), (9, 8, 7)).save(tmp_path / f"images/{id}.png")
        np.savez_compressed(tmp_path / f"truth/{id}.npz", depth=depth, normals=normals)
        (tmp_path / f"cameras/{id}.txt").write_text("5 0 2.5\n0 5 1.5\n0 0 1\n")
    (tmp_path / "rilievo.yaml").write_text(LAYOUT)
    (tmp_path / "test.txt").write_text("0000000002\n")
    return tmp_path


def test_depth_normals_sky_and_camera_are_read(frames: Path) -> None:
    dataset = open_dataset("synthetic", frames)
    assert dataset.ids == ("0000000001", "0000000002")
    assert open_dataset("synthetic", frames, split="test").ids == ("0000000002",)
    sample = dataset[0]
    assert sample.depth is not None
    assert sample.sky is not None
    assert sample.normals is not None
    assert sample.camera is not None
    np.testing.assert_array_equal(sample.sky, np.arange(32)[:, None] == np.zeros(40))
    np.testing.assert_array_equal(sample.depth_valid, ~sample.sky)
    np.testing.assert_array_equal(sample.normals_valid, ~sample.sky)
    np.testing.assert_array_equal(sample.depth, 2.5 * ~sample.sky)
    np.testing.assert_array_equal(sample.normals[2], -1.0 * ~sample.sky)
    np.testing.assert_array_equal(sample.camera.K, [[5, 0, 2.5], [0, 5, 1.5], [0, 0, 1]])


def test_its_card_says_how_frames_are_made() -> None:
    with pytest.raises(OptionError, match="'rilievo datasets synthetic' shows where to get"):
        open_dataset("synthetic")
    assert "python -m lab.scenes --files" in find_dataset("synthetic").card.layout


def test_no_renderer_is_loaded(frames: Path) -> None:
    code = (
        "import sys\n"
        "from rilievo.data.datasets import open_dataset\n"
        f"open_dataset('synthetic', {str(frames)!r})[0]\n"
        "print([name for name in ('lab', 'numba', 'cv2') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
