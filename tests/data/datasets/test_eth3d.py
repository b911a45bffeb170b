"""ETH3D, on scenes written in its layout."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError
from support.original_files import cut_short, noise

SIZE = (40, 60)


def scene(root: Path, name: str = "pipes", *, depth_root: Path | None = None) -> Path:
    """Two photographs; the second lies with its camera a quarter turn about the vertical."""
    folder = root / name
    images = folder / "images" / "dslr_images"
    depths = (depth_root or root) / name / "ground_truth_depth" / "dslr_images"
    calibration = folder / "dslr_calibration_jpg"
    for each in (images, depths, calibration):
        each.mkdir(parents=True)
    for i in (1, 2):
        tags = Image.Exif()
        tags[0x0112] = 6
        Image.fromarray(noise(SIZE, i)).save(images / f"DSC_000{i}.JPG", quality=95, exif=tags)
        numbers = [1.0 + 0.01 * k for k in range(SIZE[0] * SIZE[1])]
        numbers[0] = float("inf")
        (depths / f"DSC_000{i}.JPG").write_bytes(struct.pack(f"<{len(numbers)}f", *numbers))
    (calibration / "cameras.txt").write_text(
        "# Camera list\n"
        "0 THIN_PRISM_FISHEYE 60 40 34.1 34.2 30.5 20.5 0.2 0.1 0 0 0.1 -0.1 0 0\n"
        "3 PINHOLE 60 40 30 31 29.5 19.5\n"
    )
    half = 0.5**0.5
    (calibration / "images.txt").write_text(
        "# Image list with two lines of data per image\n"
        f"1 {half} 0 {half} 0 1 2 3 3 dslr_images/DSC_0002.JPG\n"
        "\n"
        "2 1 0 0 0 0 0 5 0 dslr_images/DSC_0001.JPG\n"
        "12.5 30.25 -1 40.5 2.5 77 1 2 3\n"
    )
    return folder


def test_depth_camera_and_pose_are_as_the_files_say(tmp_path: Path) -> None:
    scene(tmp_path)
    dataset = open_dataset("eth3d", tmp_path)
    assert dataset.ids == ("pipes/DSC_0001", "pipes/DSC_0002")
    first, second = dataset
    assert first.depth is not None
    assert first.depth_valid is not None
    assert first.camera is not None
    assert not first.depth_valid[0, 0]
    assert first.depth_valid.sum() == 40 * 60 - 1
    np.testing.assert_allclose(first.depth[2, 7], 1 + 0.01 * (2 * 60 + 7), rtol=1e-6)
    # COLMAP counts from the corner of the first pixel.
    np.testing.assert_allclose(first.camera.K, [[34.1, 0, 30], [0, 34.2, 20], [0, 0, 1]])
    assert first.world_T_cam is not None
    np.testing.assert_allclose(first.world_T_cam[:3, 3], [0, 0, -5])
    assert second.world_T_cam is not None
    # A quarter turn about y takes the world's z to the camera's x; the inverse takes it back.
    np.testing.assert_allclose(second.world_T_cam[:3, :3] @ [1, 0, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(second.world_T_cam @ [1, 2, 3, 1], [0, 0, 0, 1], atol=1e-12)


def test_photographs_are_not_turned_by_their_exif(tmp_path: Path) -> None:
    scene(tmp_path)
    image = open_dataset("eth3d", tmp_path).image("pipes/DSC_0001")
    assert image.shape == (*SIZE, 3)


def test_archives_unpacked_side_by_side_are_read_together(tmp_path: Path) -> None:
    scene(
        tmp_path / "multi_view_training_dslr_jpg",
        depth_root=tmp_path / "multi_view_training_dslr_depth",
    )
    for root in (tmp_path, tmp_path / "multi_view_training_dslr_jpg"):
        dataset = open_dataset("eth3d", root)
        assert len(dataset) == 2
        assert dataset.truth("pipes/DSC_0001").depth is not None


def test_a_photograph_without_its_depth_is_absent(tmp_path: Path) -> None:
    folder = scene(tmp_path)
    (folder / "ground_truth_depth" / "dslr_images" / "DSC_0002.JPG").unlink()
    dataset = open_dataset("eth3d", folder)
    assert dataset.ids == ("pipes/DSC_0001",)
    assert [absent.id for absent in dataset.absent] == ["pipes/DSC_0002"]


def test_broken_files_and_a_wrong_root_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="contains no ETH3D scene, which has dslr_calibration_jpg/"
    ):
        open_dataset("eth3d", tmp_path)
    folder = scene(tmp_path)
    cut_short(folder / "ground_truth_depth" / "dslr_images" / "DSC_0001.JPG")
    with pytest.raises(InputError, match=r"has 5760 bytes, expected 9600 \(float32 for 60 x 40"):
        open_dataset("eth3d", tmp_path).truth("pipes/DSC_0001")
    cameras = folder / "dslr_calibration_jpg" / "cameras.txt"
    cameras.write_text("0 THIN_PRISM_FISHEYE 60 40 34.1\n")
    with pytest.raises(InputError, match=r"cameras\.txt, line 1: .* expected CAMERA_ID MODEL"):
        open_dataset("eth3d", tmp_path)
    cameras.write_text("0 PINHOL 60 40 30 30 30 20\n")
    with pytest.raises(InputError, match="unknown camera model 'PINHOL'; did you mean"):
        open_dataset("eth3d", tmp_path)
    cameras.write_text("0 PINHOLE 60 40 30 30 30 20\n")
    with pytest.raises(InputError, match=r"images\.txt refers to camera 3"):
        open_dataset("eth3d", tmp_path)
    (folder / "dslr_calibration_jpg" / "images.txt").write_text("1 1 0 0 0 DSC.JPG\n")
    with pytest.raises(InputError, match=r"images\.txt, line 1: .* expected IMAGE_ID"):
        open_dataset("eth3d", tmp_path)
