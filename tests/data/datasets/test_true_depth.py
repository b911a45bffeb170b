"""True depth beside the frames of a clip."""

from pathlib import Path

import numpy as np

from rilievo.data.datasets.true_depth import read_true_depth
from support.sliding_walls import FAR, NEAR, SIZE, write_walls


def test_depth_of_a_described_folder_is_found_beside_its_frames(tmp_path: Path) -> None:
    walls = write_walls(tmp_path / "walls", frames=2)
    depth = read_true_depth(walls / "images/000001.png")
    assert depth is not None
    assert depth.shape == SIZE
    assert (depth[0, 0], depth[-1, -1]) == (FAR, NEAR)
    (walls / "rilievo.yaml").unlink()
    assert read_true_depth(walls / "images/000001.png") is None


def test_depth_beside_frames_of_7_scenes_and_kitti_is_found(data_folder: Path) -> None:
    room = read_true_depth(data_folder / "7scenes_redkitchen/frame-000005.color.jpg")
    assert room is not None
    assert 0.5 < np.median(room[room > 0]) < 5
    scan = min((data_folder / "kitti_raw").rglob("*.bin"))
    frames = scan.parents[2] / "image_02/data"
    street = read_true_depth(min(frames.glob(f"{scan.stem}.*")))
    assert street is not None
    assert 4 < np.median(street[street > 0]) < 40
    photo = min((data_folder / "photos_kodak24").iterdir())
    assert read_true_depth(photo) is None
