"""ScanNet's test pairs, in the layout of LoFTR's archive."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import ViewPair
from rilievo.errors import InputError, OptionError
from support.viewed_spheres import SCANNET_K, turned, write_scannet

FIRST, SECOND, THIRD = (f"scene0707_00/{frame}" for frame in (0, 15, 30))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_scannet(tmp_path, (0, 20, 35), [(0, 1), (2, 1)])
    return tmp_path


def test_frames_have_depth_camera_and_pose(root: Path) -> None:
    dataset = open_dataset("scannet-pairs", root)
    assert dataset.ids == (FIRST, SECOND, THIRD)
    sample = dataset.sample(SECOND)
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.camera is not None
    assert sample.world_T_cam is not None
    # The front of a sphere of 30 cm, 1.5 m away; around it there is no depth.
    np.testing.assert_allclose(sample.depth[241, 320], 1.2, atol=1e-3)
    assert not sample.depth_valid[0, 0]
    np.testing.assert_allclose(sample.camera.K, SCANNET_K)
    np.testing.assert_allclose(sample.world_T_cam[:3, :3], turned(20).T, atol=1e-8)
    np.testing.assert_allclose(sample.world_T_cam[:3, 3], turned(20).T @ [0, 0, -1.5], atol=1e-8)
    assert sample.scene == "scene0707_00"


def test_pairs_are_those_of_the_list(root: Path) -> None:
    found = open_dataset("scannet-pairs", root).view_pairs()
    assert found.pairs == (
        ViewPair(first=FIRST, second=SECOND),
        ViewPair(first=THIRD, second=SECOND),
    )
    assert not found.absent


def test_pairs_with_missing_files_are_absent(root: Path) -> None:
    (root / "scene0707_00" / "depth" / "30.png").unlink()
    found = open_dataset("scannet-pairs", root).view_pairs()
    assert found.pairs == (ViewPair(first=FIRST, second=SECOND),)
    [absent] = found.absent
    assert absent.id == f"{THIRD} {SECOND}"
    assert "30.png is missing" in absent.reason


def test_photographs_of_another_size_are_resized(root: Path) -> None:
    path = root / "scene0707_00" / "color" / "0.jpg"
    Image.fromarray(np.full((968, 1296, 3), 90, np.uint8)).save(path)
    assert open_dataset("scannet-pairs", root).sample(FIRST).image.shape == (480, 640, 3)


def test_a_lost_camera_has_no_pose(root: Path) -> None:
    (root / "scene0707_00" / "pose" / "0.txt").write_text("-inf " * 16)
    assert open_dataset("scannet-pairs", root).truth(FIRST).world_T_cam is None


def test_broken_files_are_named(root: Path) -> None:
    depth = root / "scene0707_00" / "depth" / "0.png"
    Image.fromarray(np.ones((240, 320), np.uint16)).save(depth)
    with pytest.raises(InputError, match="320x240 pixels"):
        open_dataset("scannet-pairs", root).truth(FIRST)
    np.savez(root / "intrinsics.npz", scene0000_00=SCANNET_K)
    with pytest.raises(InputError, match=r"intrinsics\.npz"):
        open_dataset("scannet-pairs", root).truth(SECOND)
    np.savez(root / "intrinsics.npz", scene0707_00=SCANNET_K[:2])
    with pytest.raises(InputError, match=r"shape \(2, 3\)"):
        open_dataset("scannet-pairs", root).truth(SECOND)
    np.savez(root / "test.npz", name=np.zeros((4, 3), int))
    with pytest.raises(InputError, match="rows of four integers"):
        open_dataset("scannet-pairs", root)
    (root / "test.npz").unlink()
    with pytest.raises(InputError, match=r"expected test\.npz"):
        open_dataset("scannet-pairs", root)


def test_other_datasets_have_no_pairs(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "depth").mkdir()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "images" / "0.png")
    Image.fromarray(np.full((32, 32), 2000, np.uint16)).save(tmp_path / "depth" / "0.png")
    with pytest.raises(OptionError, match="'folder' has no pairs of views"):
        open_dataset("folder", tmp_path).view_pairs()
