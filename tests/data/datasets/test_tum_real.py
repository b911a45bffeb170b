"""TUM RGB-D on a real sequence."""

from pathlib import Path

import numpy as np

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset


def opened(root: Path, list_file: Path | None = None) -> Dataset:
    return open_dataset("tum", root, list_file=list_file)


def test_the_real_sequence_has_nine_of_its_613_pictures(data_folder: Path) -> None:
    dataset = opened(data_folder / "tum_fr1_desk_9")
    assert (len(dataset), len(dataset) + len(dataset.absent)) == (9, 613)
    for sample in dataset:
        assert sample.depth is not None
        assert sample.depth_valid is not None
        assert sample.camera is not None
        assert sample.world_T_cam is not None
        assert sample.camera.K[0].tolist() == [517.3, 0, 318.6]
        assert 0.5 < np.median(sample.depth[sample.depth_valid]) < 2.5
        assert 0.5 < sample.depth_valid.mean() < 0.95


def test_the_tools_own_list_agrees_with_our_association(data_folder: Path) -> None:
    root = data_folder / "tum_fr1_desk_9"
    ours = opened(root)
    theirs = opened(root, root / "associate.txt")
    assert len(theirs) == 2
    for id in theirs.ids:
        depth = theirs.truth(id).depth
        assert depth is not None
        np.testing.assert_array_equal(depth, ours.truth(id).depth)


def test_real_poses_lay_the_depth_of_two_moments_together(data_folder: Path) -> None:
    """Points of the first picture, seen from the last, meet its surface."""
    dataset = opened(data_folder / "tum_fr1_desk_9")
    first, last = dataset[0], dataset[8]
    assert first.depth is not None
    assert first.depth_valid is not None
    assert last.depth is not None
    assert last.depth_valid is not None
    assert first.world_T_cam is not None
    assert last.world_T_cam is not None
    assert first.camera is not None
    K = first.camera.K
    v, u = np.nonzero(first.depth_valid)
    z = first.depth[v, u]
    points = np.stack(
        [(u - K[0, 2]) / K[0, 0] * z, (v - K[1, 2]) / K[1, 1] * z, z, np.ones(len(z))]
    )
    errors = []
    for last_T_first in (np.linalg.inv(last.world_T_cam) @ first.world_T_cam, np.eye(4)):
        x, y, depth, _ = last_T_first @ points
        column, row = np.rint(K[0, 0] * x / depth + K[0, 2]), np.rint(K[1, 1] * y / depth + K[1, 2])
        seen = (depth > 0) & (column >= 0) & (column < 640) & (row >= 0) & (row < 480)
        r, c = row[seen].astype(int), column[seen].astype(int)
        known = last.depth_valid[r, c]
        errors.append(np.median(abs(last.depth[r, c] - depth[seen])[known]))
    assert errors[0] < 0.015
    assert errors[0] < errors[1] / 2
