"""iBims-1, on files written in its layout."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError
from support.original_files import cut_short, noise, write_png

SIZE = (36, 48)
NAMES = ("corridor_01", "kitchen_02")


def stored(seed: int) -> np.ndarray:
    numbers = np.random.default_rng(seed).integers(1, 65536, SIZE).astype(np.uint16)
    numbers[0, 0] = 0
    return numbers


def mask(row: int) -> np.ndarray:
    found = np.full(SIZE, 255, np.uint8)
    found[row] = 0
    return found


def raw(root: Path) -> Path:
    folder = root / "ibims1_core_raw"
    for i, name in enumerate(NAMES):
        write_png(folder / "rgb" / f"{name}.png", noise(SIZE, i))
        write_png(folder / "depth" / f"{name}.png", stored(i))
        write_png(folder / "mask_invalid" / f"{name}.png", mask(5))
        write_png(folder / "mask_transp" / f"{name}.png", mask(7))
        (folder / "calib").mkdir(exist_ok=True)
        (folder / "calib" / f"{name}.txt").write_text("520.5,521.5,23.25,17.75\n")
    return folder


def test_depth_masks_and_camera_are_as_the_files_say(tmp_path: Path) -> None:
    raw(tmp_path)
    dataset = open_dataset("ibims", tmp_path)
    assert dataset.ids == NAMES
    sample = dataset[1]
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.camera is not None
    expected = stored(1).astype(float) * 50 / 65535
    known = np.ones(SIZE, bool)
    known[0, 0] = known[5] = known[7] = False
    np.testing.assert_array_equal(sample.depth_valid, known)
    np.testing.assert_allclose(sample.depth[known], expected[known], rtol=1e-6)
    np.testing.assert_array_equal(sample.image, noise(SIZE, 1))
    np.testing.assert_array_equal(
        sample.camera.K, [[520.5, 0, 23.25], [0, 521.5, 17.75], [0, 0, 1]]
    )


def test_the_list_gives_the_order_and_names_what_is_missing(tmp_path: Path) -> None:
    folder = raw(tmp_path)
    (tmp_path / "imagelist.txt").write_text("kitchen_02\noffice_04\ncorridor_01\n")
    for root in (tmp_path, folder):
        dataset = open_dataset("ibims", root)
        assert dataset.ids == ("kitchen_02", "corridor_01")
        assert [absent.id for absent in dataset.absent] == ["office_04"]
    (folder / "mask_transp" / "kitchen_02.png").unlink()
    reasons = {each.id: each.reason for each in open_dataset("ibims", tmp_path).absent}
    assert "mask_transp/kitchen_02.png" in reasons["kitchen_02"]


def test_broken_files_and_a_wrong_root_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected ibims1_core_raw/ with rgb/ and depth/, found"):
        open_dataset("ibims", tmp_path)
    folder = raw(tmp_path)
    cut_short(folder / "depth" / "corridor_01.png")
    with pytest.raises(InputError, match=r"depth/corridor_01\.png: this PNG file is truncated"):
        open_dataset("ibims", tmp_path).truth("corridor_01")
    write_png(folder / "mask_invalid" / "kitchen_02.png", mask(5)[:-1])
    with pytest.raises(
        InputError, match=r"the mask has the shape \(35, 48\), but the depth has \(36, 48\)"
    ):
        open_dataset("ibims", tmp_path).truth("kitchen_02")
    (folder / "calib" / "corridor_01.txt").write_text("520.5,521.5\n")
    write_png(folder / "depth" / "corridor_01.png", stored(0))
    with pytest.raises(
        InputError, match=r"expected 4 numbers \(fx fy cx cy\) or the 9 numbers of K, got 2"
    ):
        open_dataset("ibims", tmp_path).truth("corridor_01")
