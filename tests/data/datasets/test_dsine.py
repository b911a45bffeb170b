"""DSINE's sets of normals, as their files are, and ScanNet as Marigold prepared it."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.scoring.score import score
from support.stored_answers import stored

SIZE = (40, 60)
K = np.array([[55.0, 0, 29.5], [0, 55.0, 19.5], [0, 0, 1]])


def outward(seed: int = 0) -> np.ndarray:
    """A wall seen head-on is (0, 0, 1) there."""
    chance = np.random.default_rng(seed)
    normals = chance.normal(0, 0.3, (*SIZE, 3))
    normals[..., 2] += 1
    return normals / np.linalg.norm(normals, axis=2, keepdims=True)


def put(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE[::-1], "gray").save(folder / f"{name}_img.png")
    np.save(folder / f"{name}_intrins.npy", K)


def write_exr(path: Path, normals: np.ndarray) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    pixels = np.ascontiguousarray(normals, dtype=np.float32)
    with OpenEXR.File(header, {"RGB": pixels}) as file:
        file.write(str(path))


@pytest.mark.parametrize("split", ["scannet", "nyuv2"])
def test_colours_are_normals_that_point_away(tmp_path: Path, split: str) -> None:
    folder = tmp_path / "dsine_eval" / split / "scene0532_00"
    put(folder, "000000")
    stored = np.rint((outward() + 1) / 2 * 255).astype(np.uint8)
    stored[:5] = 0
    Image.fromarray(stored).save(folder / "000000_normal.png")
    data = open_dataset("dsine", tmp_path, split=split)
    assert data.ids == ("scene0532_00/000000",)
    truth = data.truth(data.ids[0])
    assert truth.normals is not None
    assert truth.normals_valid is not None
    np.testing.assert_array_equal(truth.normals_valid, stored.sum(axis=2) > 0)
    expected = -(stored / 255 * 2 - 1)
    expected /= np.linalg.norm(expected, axis=2, keepdims=True)
    found = np.moveaxis(truth.normals, 0, 2)[5:]
    np.testing.assert_allclose(found, expected[5:], atol=1e-6)
    assert truth.normals[2, 20:].mean() < -0.8
    assert truth.camera is not None
    np.testing.assert_array_equal(truth.camera.K, K)
    assert truth.scene == ("scene0532_00" if split == "scannet" else None)


@pytest.mark.parametrize("split", ["ibims", "sintel"])
def test_numbers_of_exr_files_are_read(tmp_path: Path, split: str) -> None:
    put(tmp_path / split / "a", "frame_0001")
    normals = outward(1).astype(np.float32)
    normals[:7] = 0
    write_exr(tmp_path / split / "a" / "frame_0001_normal.exr", normals)
    data = open_dataset("dsine", tmp_path, split=split)
    truth = data.truth("a/frame_0001")
    assert truth.normals is not None
    assert truth.normals_valid is not None
    assert truth.normals_valid.sum() == (SIZE[0] - 7) * SIZE[1]
    np.testing.assert_allclose(np.moveaxis(truth.normals, 0, 2)[7:], -normals[7:], atol=1e-6)
    answer = stored(normals=truth.normals)
    assert score(BENCHMARKS[f"dsine-{split}"], answer, truth).score.values["mean"] == 0


def test_oasis_has_a_part_of_the_picture(tmp_path: Path) -> None:
    put(tmp_path / "oasis" / "val", "100_DT")
    part = outward(2)[4:20, 10:30].astype(np.float32)
    part[0, 0] = 0
    content = {"min_y": 4, "max_y": 19, "min_x": 10, "max_x": 29, "normal": part}
    path = tmp_path / "oasis" / "val" / "100_DT_normal.pkl"
    path.write_bytes(pickle.dumps(content))
    data = open_dataset("dsine", tmp_path / "oasis", split="oasis")
    truth = data.truth(data.ids[0])
    assert truth.normals is not None
    assert truth.normals_valid is not None
    assert truth.normals_valid.sum() == 16 * 20 - 1
    found = np.moveaxis(truth.normals, 0, 2)[4:20, 10:30]
    np.testing.assert_allclose(found[1:], (part * [1, 1, -1])[1:], atol=1e-6)
    path.write_bytes(pickle.dumps({**content, "max_y": 99}))
    with pytest.raises(InputError, match="is not a dictionary"):
        data.truth(data.ids[0])
    path.write_bytes(pickle.dumps(Path("x")))
    with pytest.raises(InputError, match="is not a valid pickle of arrays"):
        data.truth(data.ids[0])


def test_missing_files_are_told(tmp_path: Path) -> None:
    put(tmp_path / "scannet", "000000")
    data = open_dataset("dsine", tmp_path, split="scannet")
    assert [each.id for each in data.absent] == ["000000"]
    with pytest.raises(InputError, match="expected dsine_eval/sintel/"):
        open_dataset("dsine", tmp_path / "scannet", split="sintel").truth("x")


def test_marigolds_scannet_is_listed_in_pairs(tmp_path: Path) -> None:
    for number in (0, 1):
        for kind in ("color", "depth"):
            (tmp_path / f"scene000{number}_00" / kind).mkdir(parents=True)
        Image.new("RGB", (64, 48), "gray").save(tmp_path / f"scene000{number}_00/color/5.jpg")
    stored = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
    Image.fromarray(stored).save(tmp_path / "scene0001_00/depth/5.png")
    lines = [f"scene000{n}_00/color/5.jpg scene000{n}_00/depth/5.png" for n in (1, 0)]
    (tmp_path / "scannet_val_sampled_list_800_1.txt").write_text("\n".join(lines))
    data = open_dataset("marigold-scannet", tmp_path)
    assert data.ids == ("scene0001_00/color/5",)
    assert [each.id for each in data.absent] == ["scene0000_00/color/5"]
    truth = data.truth(data.ids[0])
    assert truth.depth is not None
    np.testing.assert_allclose(truth.depth, stored / 1000, rtol=1e-6)
    assert truth.scene == "scene0001_00"
    (tmp_path / "other.txt").write_text("one.jpg\n")
    with pytest.raises(InputError, match="expected the paths of a photograph"):
        open_dataset("marigold-scannet", tmp_path, list_file=tmp_path / "other.txt")
    with pytest.raises(InputError, match=r"absent\.txt: no such file"):
        open_dataset("marigold-scannet", tmp_path, list_file=tmp_path / "absent.txt")
    with pytest.raises(InputError, match="expected scannet_val"):
        open_dataset("marigold-scannet", tmp_path / "scene0001_00")
