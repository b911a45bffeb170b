"""DIODE, on scans written in its layout."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError
from support.original_files import cut_short, noise, write_npy, write_png

SIZE = (768, 1024)
INDOORS = "indoors/scene_00019/scan_00183/00019_00183_indoors_000_010"
OUTDOOR = "outdoor/scene_00022/scan_00193/00022_00193_outdoor_010_020"
# Of a floor ahead and of a wall that faces left and away from it: towards the camera.
FLOOR, WALL = np.array([0.1, -0.9, -0.3]), np.array([-0.6, 0.2, -0.7])


def planes() -> tuple[np.ndarray, np.ndarray]:
    """Depth and normals [ours] of two planes, the floor in the lower half."""
    v, u = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    rays = np.stack([(u - 511.5) / 886.81, (v - 383.5) / 927.06, np.ones(SIZE)])
    lower = v >= 400
    normals = np.where(lower, FLOOR[:, None, None], WALL[:, None, None])
    normals = normals / np.linalg.norm(normals, axis=0)
    return -3 / np.sum(normals * rays, axis=0), normals


def scan(root: Path, stem: str, *, signs: tuple[int, int, int] | None = None) -> Path:
    depth, normals = planes()
    path = root / "val" / stem
    write_png(path.with_name(path.name + ".png"), noise(SIZE))
    write_npy(path.with_name(path.name + "_depth.npy"), depth[..., None].astype("<f4"))
    mask = np.ones(SIZE, "<f4")
    mask[:30] = 0
    write_npy(path.with_name(path.name + "_depth_mask.npy"), mask)
    if signs is not None:
        stored = np.moveaxis(normals * np.reshape(signs, (3, 1, 1)), 0, 2).astype("<f4")
        stored[:, :40] = 0
        write_npy(path.with_name(path.name + "_normal.npy"), np.ascontiguousarray(stored))
    return path


def test_depth_is_read_where_its_mask_is_one(tmp_path: Path) -> None:
    scan(tmp_path, INDOORS)
    dataset = open_dataset("diode", tmp_path)
    assert dataset.ids == (INDOORS,)
    sample = dataset[0]
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert not sample.depth_valid[:30].any()
    assert sample.depth_valid[30:].all()
    np.testing.assert_allclose(sample.depth[30:], planes()[0][30:], rtol=1e-6)
    assert sample.normals is None


def test_splits_are_the_places_and_the_root_may_be_the_part(tmp_path: Path) -> None:
    scan(tmp_path, INDOORS)
    scan(tmp_path, OUTDOOR)
    assert open_dataset("diode", tmp_path).ids == (INDOORS, OUTDOOR)
    assert open_dataset("diode", tmp_path, split="val-indoors").ids == (INDOORS,)
    assert open_dataset("diode", tmp_path / "val", split="val-outdoor").ids == (OUTDOOR,)
    with pytest.raises(InputError, match="expected train/ with indoors or outdoor inside"):
        open_dataset("diode", tmp_path, split="train")


@pytest.mark.slow
@pytest.mark.parametrize("signs", [(1, 1, 1), (1, -1, -1), (-1, -1, -1), (1, 1, -1)])
def test_normals_of_any_signs_come_to_ours(tmp_path: Path, signs: tuple[int, int, int]) -> None:
    scan(tmp_path, INDOORS, signs=signs)
    truth = open_dataset("diode", tmp_path, variant="normals").truth(INDOORS)
    assert truth.normals is not None
    assert truth.normals_valid is not None
    assert not truth.normals_valid[:, :40].any()
    assert truth.normals_valid[:, 40:].all()
    np.testing.assert_allclose(truth.normals[:, :, 40:], planes()[1][:, :, 40:], atol=1e-6)


def test_normals_that_are_not_of_the_depth_are_refused(tmp_path: Path) -> None:
    path = scan(tmp_path, INDOORS, signs=(1, 1, 1))
    turned = np.zeros((*SIZE, 3), "<f4")
    turned[..., 0] = 1
    write_npy(path.with_name(path.name + "_normal.npy"), turned)
    with pytest.raises(
        InputError, match="the mean cosine between its normals and those of the depth"
    ):
        open_dataset("diode", tmp_path, variant="normals").truth(INDOORS)


def test_missing_partners_are_absent(tmp_path: Path) -> None:
    scan(tmp_path, INDOORS)
    path = scan(tmp_path, OUTDOOR)
    path.with_name(path.name + ".png").unlink()
    dataset = open_dataset("diode", tmp_path)
    assert dataset.ids == (INDOORS,)
    assert [absent.id for absent in dataset.absent] == [OUTDOOR]
    absent = open_dataset("diode", tmp_path, variant="normals").absent
    assert "_normal.npy" in absent[0].reason


def test_broken_files_are_one_line(tmp_path: Path) -> None:
    path = scan(tmp_path, INDOORS)
    cut_short(path.with_name(path.name + "_depth.npy"))
    with pytest.raises(InputError, match=r"_depth\.npy: this npy file is truncated"):
        open_dataset("diode", tmp_path).truth(INDOORS)
    write_npy(path.with_name(path.name + "_depth.npy"), np.ones((10, 20), "<f4"))
    with pytest.raises(
        InputError, match=r"the mask has the shape \(768, 1024\), but the depth has \(10, 20\)"
    ):
        open_dataset("diode", tmp_path).truth(INDOORS)
