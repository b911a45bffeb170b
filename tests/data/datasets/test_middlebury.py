"""Middlebury 2014, on scenes written in its layout."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError
from support.original_files import cut_short, noise, write_pfm, write_png

CALIBRATION = """cam0=[3979.911 0 1244.772; 0 3979.911 1019.507; 0 0 1]
cam1=[3979.911 0 1369.115; 0 3979.911 1019.507; 0 0 1]
doffs=124.343
baseline=193.001
width=48
height=36
ndisp=280
isint=0
"""


def scene(folder: Path, *, disparity_name: str = "disp0.pfm") -> Path:
    write_png(folder / "im0.png", noise((36, 48)))
    disparity = np.full((36, 48), 75.657)
    disparity[2, 3] = 155.657
    disparity[35, 47] = np.inf
    write_pfm(folder / disparity_name, disparity)
    (folder / "calib.txt").write_text(CALIBRATION)
    return folder


def test_depth_is_worked_out_from_disparity_offset_and_baseline(tmp_path: Path) -> None:
    """3979.911 px * 0.193001 m / (75.657 + 124.343) px = 3.840634 m; 80 px more: 2.743310 m."""
    scene(tmp_path / "Motorcycle-perfect")
    dataset = open_dataset("middlebury", tmp_path)
    assert dataset.ids == ("Motorcycle-perfect",)
    sample = dataset[0]
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.camera is not None
    np.testing.assert_allclose(sample.depth[0, 0], 3979.911 * 0.193001 / 200, rtol=1e-6)
    np.testing.assert_allclose(sample.depth[2, 3], 2.743310, rtol=1e-5)
    assert not sample.depth_valid[35, 47]
    assert sample.depth_valid.sum() == 36 * 48 - 1
    assert sample.camera.K[0].tolist() == [3979.911, 0, 1244.772]
    np.testing.assert_array_equal(sample.image, noise((36, 48)))


def test_the_layout_of_the_evaluation_kit_and_a_scene_alone_are_read(tmp_path: Path) -> None:
    alone = scene(tmp_path / "trainingF" / "Piano", disparity_name="disp0GT.pfm")
    assert open_dataset("middlebury", tmp_path).ids == ("trainingF/Piano",)
    assert open_dataset("middlebury", alone).ids == ("Piano",)


def test_a_scene_without_its_disparity_is_absent(tmp_path: Path) -> None:
    scene(tmp_path / "Piano")
    (scene(tmp_path / "Shelves") / "disp0.pfm").unlink()
    dataset = open_dataset("middlebury", tmp_path)
    assert dataset.ids == ("Piano",)
    assert [absent.id for absent in dataset.absent] == ["Shelves"]
    assert "Shelves/disp0.pfm" in dataset.absent[0].reason


def test_broken_files_and_a_wrong_root_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has im0\.png and calib\.txt; found an empty folder"):
        open_dataset("middlebury", tmp_path)
    folder = scene(tmp_path / "Piano")
    cut_short(folder / "disp0.pfm")
    with pytest.raises(InputError, match=r"disp0\.pfm: this PGM or PFM file is truncated"):
        open_dataset("middlebury", tmp_path).truth("Piano")
    (folder / "calib.txt").write_text("cam0=[1 2; 3]\nbaseline=193\n")
    with pytest.raises(InputError, match=r"calib\.txt: expected cam0="):
        open_dataset("middlebury", tmp_path).truth("Piano")


def test_a_signalling_nan_is_a_hole_like_any_other(tmp_path: Path) -> None:
    folder = scene(tmp_path / "Piano")
    content = bytearray((folder / "disp0.pfm").read_bytes())
    content[-4:] = b"\x01\x00\x80\x7f"
    (folder / "disp0.pfm").write_bytes(content)
    truth = open_dataset("middlebury", tmp_path).truth("Piano")
    assert truth.depth_valid is not None
    assert (~truth.depth_valid).sum() == 2
