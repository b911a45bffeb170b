"""MoGe's bundle against its program's steps, written here with OpenCV and plain loops."""

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.sets import moge_bundle
from rilievo.data.datasets.sets.moge_bundle import SETS, BundleSet, read_log_depth
from rilievo.errors import InputError, OptionError
from support.moge_bundle_lookalike import LABELS, intrinsics, scene, write_bundle, write_log_depth

RAW = (48, 70)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A set that is scored at 30 x 40, its objects from 60 pixels on."""
    own = BundleSet(shape=(30, 40), has_objects=True)
    monkeypatch.setattr(moge_bundle, "SETS", {**SETS, "ETH3D": own})
    monkeypatch.setattr(moge_bundle, "_MIN_OBJECT_PIXELS", 60)
    write_bundle(tmp_path, "ETH3D", RAW)
    return tmp_path


def nearest_resized(depth: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> tuple:
    """Take the valid pixel of a cell's window that is nearest to the cell's centre."""
    height, width = mask.shape
    tall, wide = max(1, height / size[0]), max(1, width / size[1])
    result, known = np.zeros(size), np.zeros(size, bool)
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = (i + 0.5) * height / size[0], (j + 0.5) * width / size[1]
            top, left = round(y - tall / 2), round(x - wide / 2)
            best = math.inf
            for row in range(top, top + math.ceil(tall)):
                for column in range(left, left + math.ceil(wide)):
                    if not (0 <= row < height and 0 <= column < width and mask[row, column]):
                        continue
                    apart = (row + 0.5 - y) ** 2 + (column + 0.5 - x) ** 2
                    if apart < best:
                        best, result[i, j], known[i, j] = apart, depth[row, column], True
    return result, known


def published_steps(root: Path, name: str, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Image, depth, mask, objects and camera of one folder, step by step."""
    folder = root / name
    image = np.array(Image.open(folder / "image.jpg"))
    with Image.open(folder / "depth.png") as file:
        near, far = float(file.info["near"]), float(file.info["far"])
        stored = np.array(file).astype(np.float64)
    depth = near ** (1 - (stored - 1) / 65533) * far ** ((stored - 1) / 65533)
    depth[stored == 0], depth[stored == 65535] = np.nan, np.inf
    mask = np.isfinite(depth)
    depth = np.nan_to_num(depth, nan=1, posinf=1)
    K = np.array(json.loads((folder / "meta.json").read_text())["intrinsics"], np.float32)
    K = K.astype(np.float64)
    raw_h, raw_w = image.shape[:2]
    across, down = 1 / K[0, 0], 1 / K[1, 1]
    height, width = shape
    aspect = width / height
    own_across = min(across, down * aspect)
    own_down = own_across / aspect
    ray = np.linalg.inv(K) @ [0.5, 0.5, 1]
    axis = np.cross(ray, [0, 0, 1])
    angle = math.atan2(np.linalg.norm(axis), ray[2])
    unit = axis / np.linalg.norm(axis) if np.linalg.norm(axis) else axis
    R = cv2.Rodrigues(unit * angle)[0]
    corners = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 0, 1.0]]) @ np.linalg.inv(K).T @ R.T
    corners = corners[:, :2] / corners[:, 2:]
    fit_across, fit_down = across, down
    for i in range(4):
        (x1, y1), (x2, y2) = corners[i - 1], corners[i]
        for slope in (1 / aspect, -1 / aspect):
            # y = slope x meets the side's line.
            share = (y1 - slope * x1) / ((y1 - slope * x1) - (y2 - slope * x2))
            x, y = x1 + share * (x2 - x1), y1 + share * (y2 - y1)
            fit_across, fit_down = min(fit_across, 2 * abs(x)), min(fit_down, 2 * abs(y))
    own_across, own_down = min(own_across, fit_across), min(own_down, fit_down)
    own = np.array([[1 / own_across, 0, 0.5], [0, 1 / own_down, 0.5], [0, 0, 1]])
    wide = int(raw_w * (across / raw_w) / (own_across / width))
    tall = int(raw_h * (down / raw_h) / (own_down / height))
    image = np.array(Image.fromarray(image).resize((wide, tall), Image.Resampling.LANCZOS))
    depth, mask = nearest_resized(depth, mask, (tall, wide))

    def rays(K: np.ndarray, rows: int, columns: int) -> np.ndarray:
        u, v = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
        return np.stack([u, v, np.ones_like(u)], axis=2) @ np.linalg.inv(K).T

    distance = depth * np.linalg.norm(rays(K, tall, wide), axis=2)
    placed = rays(np.linalg.inv(K @ R.T @ np.linalg.inv(own)), height, width)
    column = (placed[..., 0] / placed[..., 2] * wide - 0.5).astype(np.float32)
    row = (placed[..., 1] / placed[..., 2] * tall - 0.5).astype(np.float32)
    seen = cv2.remap(image, column, row, cv2.INTER_LINEAR)
    far_off = cv2.remap(distance, column, row, cv2.INTER_NEAREST)
    known = cv2.remap(mask.astype(np.uint8), column, row, cv2.INTER_NEAREST) > 0
    objects = np.array(Image.open(folder / "segmentation.png"))
    objects = cv2.resize(objects, (wide, tall), interpolation=cv2.INTER_NEAREST)
    objects = cv2.remap(objects, column, row, cv2.INTER_NEAREST)
    depth = far_off / np.linalg.norm(rays(own, height, width), axis=2)
    known &= depth <= np.quantile(depth[known], 0.01) * 1000
    return {"image": seen, "depth": depth, "mask": known, "objects": objects, "K": own}


@pytest.mark.parametrize("number", [0, 1])
def test_the_view_is_that_of_the_program(small: Path, number: int) -> None:
    data = open_dataset("moge-bundle", small, split="ETH3D")
    id = data.ids[number]
    assert id == f"room{number}/{number:04}"
    expected = published_steps(small / "ETH3D", id, (30, 40))
    truth = data.truth(id)
    assert truth.depth is not None
    assert truth.depth_valid is not None
    np.testing.assert_array_equal(truth.depth_valid, expected["mask"])
    valid = expected["mask"]
    np.testing.assert_allclose(truth.depth[valid], expected["depth"][valid], rtol=1e-6)
    gap = np.abs(data.image(id).astype(int) - expected["image"].astype(int))
    # OpenCV 4 places pixels to a thirty-second, and decoders of JPEG may differ.
    assert gap.max() <= 8
    assert gap.mean() < (0.01 if int(cv2.__version__.split(".")[0]) >= 5 else 1)
    assert truth.camera is not None
    K = expected["K"] * np.array([[40], [30], [1]]) - np.array(
        [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    )
    np.testing.assert_allclose(truth.camera.K, K, rtol=1e-6)


def test_objects_are_sorted_by_size_and_specks_and_sky_are_none(small: Path) -> None:
    data = open_dataset("moge-bundle", small, split="ETH3D")
    stored = published_steps(small / "ETH3D", data.ids[1], (30, 40))["objects"]
    objects = data.truth(data.ids[1]).objects
    assert objects is not None
    sizes = {name: int((stored == LABELS[name]).sum()) for name in ("wall", "chair")}
    first, second = sorted(sizes, key=lambda name: -sizes[name])
    np.testing.assert_array_equal(objects == 1, stored == LABELS[first])
    np.testing.assert_array_equal(objects == 2, stored == LABELS[second])
    assert objects.max() == 2
    assert (objects[stored == LABELS["sky"]] == 0).all()
    assert (objects[stored == LABELS["speck"]] == 0).all()


def test_depth_is_read_as_it_was_written(tmp_path: Path) -> None:
    _, depth, _ = scene((20, 30), 3)
    write_log_depth(tmp_path / "depth.png", depth)
    found = read_log_depth(tmp_path / "depth.png")
    finite = np.isfinite(depth)
    step = np.log(depth[finite].max() / depth[finite].min()) / 65533
    np.testing.assert_allclose(np.log(found[finite]), np.log(depth[finite]), atol=step)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(depth))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(depth))
    write_log_depth(tmp_path / "scaled.png", depth, unit=0.01)
    np.testing.assert_allclose(
        read_log_depth(tmp_path / "scaled.png")[finite], found[finite] / 100, rtol=1e-6
    )


def test_far_depth_does_not_count(small: Path) -> None:
    stored = read_log_depth(small / "ETH3D" / "room0/0000" / "depth.png")
    assert stored[np.isfinite(stored)].max() > 4000
    data = open_dataset("moge-bundle", small, split="ETH3D")
    truth = data.truth(data.ids[0])
    assert truth.depth is not None
    assert truth.depth.max() < 10


def test_a_centred_camera_of_the_same_proportions_leaves_the_picture_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(moge_bundle, "SETS", {**SETS, "GSO": replace(SETS["GSO"], shape=(48, 64))})
    write_bundle(tmp_path, "GSO", (48, 64), count=1)
    data = open_dataset("moge-bundle", tmp_path / "GSO", split="GSO")
    truth = data.truth(data.ids[0])
    assert not truth.is_metric
    assert truth.camera is not None
    np.testing.assert_allclose(truth.camera.K[:2, 2], [31.5, 23.5], atol=1e-6)
    stored = np.array(Image.open(tmp_path / "GSO" / data.ids[0] / "image.jpg"))
    shown = data.image(data.ids[0])
    # A camera that is off by float32's rounding may lose the last row or column.
    assert np.abs(shown[2:-2, 2:-2].astype(int) - stored[2:-2, 2:-2]).mean() < 6


def test_every_set_is_a_split(tmp_path: Path) -> None:
    assert set(SETS) == set(open_splits())
    with pytest.raises(OptionError, match="has no split 'NYU'; did you mean"):
        open_dataset("moge-bundle", tmp_path, split="NYU")
    with pytest.raises(InputError, match=r"expected NYUv2/\.index\.txt"):
        open_dataset("moge-bundle", tmp_path, split="NYUv2")


def open_splits() -> tuple[str, ...]:
    return moge_bundle.MogeBundle.card.splits


def test_missing_and_broken_files_are_told(small: Path) -> None:
    folder = small / "ETH3D"
    (folder / "room0/0000/depth.png").unlink()
    data = open_dataset("moge-bundle", small, split="ETH3D")
    assert [each.id for each in data.absent] == ["room0/0000"]
    place = folder / "room1/0001"
    Image.fromarray(np.ones((48, 70), np.uint16)).save(place / "depth.png")
    with pytest.raises(InputError, match="must contain the numbers 'near' and 'far'"):
        data.truth("room1/0001")
    texts = PngInfo()
    texts.add_text("near", "0")
    texts.add_text("far", "2")
    Image.fromarray(np.ones((48, 70), np.uint16)).save(place / "depth.png", pnginfo=texts)
    with pytest.raises(InputError, match="'near' is 0; expected a positive number"):
        data.truth("room1/0001")
    Image.fromarray(np.ones((48, 70), np.uint8)).save(place / "depth.png")
    with pytest.raises(InputError, match="expected a 16-bit PNG"):
        data.truth("room1/0001")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", r"meta\.json: is not valid JSON \("),
        ("{}", r"meta\.json: has no 'intrinsics'; expected"),
        ("[1, 2]", "has no 'intrinsics'; expected"),
        ('{"intrinsics": null}', "its intrinsics must be a finite 3x3 matrix .*, got null"),
        ('{"intrinsics": "K"}', 'must be a finite 3x3 matrix .*, got "K"'),
        ('{"intrinsics": [[1, 2, 3], [4]]}', "its intrinsics must be a finite 3x3 matrix"),
        ('{"intrinsics": [["a", 0, 0], [0, 1, 0], [0, 0, 1]]}', "must be a finite 3x3 matrix"),
        ('{"intrinsics": [[1, 2], [3, 4]]}', "must be a finite 3x3 matrix"),
        ('{"intrinsics": [[0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]}', "must be a finite 3x3 matrix"),
        ('{"intrinsics": [[1, 0, 1e999], [0, 1, 0.5], [0, 0, 1]]}', "must be a finite 3x3 matrix"),
        ('{"intrinsics": [[1e-9, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]}', "do not fit the image"),
        ('{"intrinsics": [[1, 0, 0.5], [0, 1, 0.5], [0, 0, 0]]}', "do not fit the image"),
    ],
)
def test_a_broken_camera_is_one_line(small: Path, text: str, words: str) -> None:
    (small / "ETH3D" / "room0/0000" / "meta.json").write_text(text)
    data = open_dataset("moge-bundle", small, split="ETH3D")
    with pytest.raises(InputError, match=words):
        data.truth("room0/0000")


def test_a_camera_that_cannot_be_read_does_not_count_as_one_without_intrinsics(
    small: Path,
) -> None:
    place = small / "ETH3D" / "room1/0001" / "meta.json"
    data = open_dataset("moge-bundle", small, split="ETH3D")
    content = place.read_bytes()
    for broken, words in ((None, "no such file"), (b"\xff\xfe", "is not UTF-8 text")):
        place.unlink() if broken is None else place.write_bytes(broken)
        with pytest.raises(InputError, match=words) as refused:
            data.truth("room1/0001")
        assert "no intrinsics" not in str(refused.value)
    place.write_bytes(content)


def test_intrinsics_of_the_look_alike_are_square() -> None:
    K = intrinsics(RAW)
    assert K[0, 0] * RAW[1] == pytest.approx(K[1, 1] * RAW[0])
