"""NAVI, on objects written in the layouts of both versions."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.sets.navi_crop import object_crop
from rilievo.errors import InputError
from support.original_files import cut_short, noise, write_png
from support.viewed_spheres import write_navi

SIZE = (60, 80)


def disparity(size: tuple[int, int] = SIZE, box: tuple[int, int, int, int] = (20, 30, 12, 17)):
    """An object of the given top, left, height and width; 16 bits, 0 around it."""
    top, left, height, width = box
    stored = np.zeros(size, np.uint16)
    stored[top : top + height, left : left + width] = 900 + np.arange(
        height * width, dtype=np.uint16
    ).reshape(height, width)
    return stored


def scene(folder: Path, count: int = 2, *, size: tuple[int, int] = SIZE, **camera: float) -> Path:
    annotations = []
    for i in range(count):
        name = f"{i:03}"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(size, i)).save(folder / "images" / f"{name}.jpg", quality=95)
        write_png(folder / "depth" / f"{name}.png", disparity(size))
        annotations.append(
            {
                "object_id": folder.parent.name,
                "camera": {
                    "q": [1, 0, 0, 0],
                    "t": [0, 0, 500],
                    "focal_length": camera.get("focal_length", 90.5),
                    "camera_model": "pixel_5",
                },
                "filename": f"{name}.jpg",
                "image_size": list(size),
                "scene_name": folder.name,
                "split": "train",
                "occluded": False,
            }
        )
    (folder / "annotations.json").write_text(json.dumps(annotations[::-1]))
    return folder


def test_depth_is_decoded_from_disparity(tmp_path: Path) -> None:
    """655350 / 900 is 728.1667 mm."""
    scene(tmp_path / "chair" / "wild_set")
    dataset = open_dataset("navi", tmp_path, split="wild")
    assert dataset.ids == ("chair/wild_set/000", "chair/wild_set/001")
    sample = dataset[0]
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.camera is not None
    assert sample.scene == "chair"
    np.testing.assert_allclose(sample.depth[20, 30], 0.7281667, rtol=1e-6)
    np.testing.assert_allclose(sample.depth[31, 46], 655.35 / (900 + 12 * 17 - 1), rtol=1e-6)
    np.testing.assert_array_equal(sample.depth_valid, disparity() > 0)
    np.testing.assert_allclose(sample.camera.K, [[90.5, 0, 39.5], [0, 90.5, 29.5], [0, 0, 1]])


def test_photographs_are_turned_by_their_exif(tmp_path: Path) -> None:
    folder = scene(tmp_path / "chair" / "wild_set", 1)
    tags = Image.Exif()
    tags[0x0112] = 6
    lying = Image.fromarray(np.rot90(noise(SIZE)).copy())
    lying.save(folder / "images" / "000.jpg", quality=95, exif=tags)
    sample = open_dataset("navi", tmp_path, split="wild")[0]
    assert sample.image.shape == (*SIZE, 3)


def test_relative_depth_goes_from_a_hundredth_to_one(tmp_path: Path) -> None:
    scene(tmp_path / "chair" / "wild_set")
    truth = open_dataset("navi", tmp_path, split="wild", variant="relative")[0]
    assert truth.depth is not None
    depth = np.zeros(SIZE)
    stored = disparity()
    depth[stored > 0] = 655.35 / stored[stored > 0]
    nearest, farthest = depth[stored > 0].min(), depth.max()
    expected = (depth - nearest) / max(0.01, farthest - nearest) * 0.99 + 0.01
    np.testing.assert_allclose(truth.depth[stored > 0], expected[stored > 0], rtol=1e-5)
    assert not truth.depth[stored == 0].any()
    np.testing.assert_allclose(
        [truth.depth[stored > 0].min(), truth.depth.max()], [0.01, 1], rtol=1e-6
    )


def versions(root: Path, dash: str) -> None:
    """Two objects of Probe3D's kind, one without a wild set, one without multiview."""
    for name in ("bottle", "duck"):
        for i in range(5):
            scene(root / name / f"multiview{dash}{i:02}{dash}pixel_5", 1 + i)
        scene(root / name / "wild_set", 5)
    scene(root / "lonely" / f"multiview{dash}00{dash}ipad", 1)
    scene(root / "roaming" / "wild_set", 2)
    scene(root / "duck" / "video-00-canon", 3)
    (root / "custom_splits").mkdir()


@pytest.mark.parametrize("dash", ["_", "-"])
def test_splits_are_those_of_probe3d_in_both_versions(tmp_path: Path, dash: str) -> None:
    versions(tmp_path, dash)
    ids = {
        split: open_dataset("navi", tmp_path, split=split).ids
        for split in ("test", "train", "valid", "probe3d-test", "multiview", "wild", "video")
    }
    assert {split: len(found) for split, found in ids.items()} == {
        "test": 10,
        "train": 2 * (1 + 2 + 3 + 4),
        "valid": 2 * 5,
        "probe3d-test": 3,
        "multiview": 2 * 15 + 1,
        "wild": 12,
        "video": 3,
    }
    assert ids["probe3d-test"] == (
        "bottle/wild_set/000",
        "bottle/wild_set/004",
        "duck/wild_set/003",
    )
    assert all(f"multiview{dash}04{dash}" in id for id in ids["valid"])
    trainval = open_dataset("navi", tmp_path, split="probe3d-trainval").ids
    assert trainval[1] == f"bottle/multiview{dash}02{dash}pixel_5/001"


def probe3d_views(pixels: np.ndarray, metres: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Photograph, depth and least depth by the programs that Probe3D calls, step by step."""
    import torch

    width, height = pixels.shape[1], pixels.shape[0]
    factor = 1024.0 / min(width, height)
    kept = (int(width * factor), int(height * factor))
    image = np.asarray(Image.fromarray(pixels).resize(kept, 2))
    depth = np.asarray(Image.fromarray(metres.astype(np.float32)).resize(kept, 0))
    nearest = depth[depth > 0].min()
    short = min(kept)
    size = [512 if side == short else int(512 * side / short) for side in kept[::-1]]
    maps = torch.from_numpy(np.dstack([image, depth]).astype(np.float32)).permute(2, 0, 1)
    maps = torch.nn.functional.interpolate(maps[None], size=size, mode="nearest")[0]
    top, left = (round((side - 512) / 2.0) for side in size)
    maps = maps[:, top : top + 512, left : left + 512]
    mask = (maps[3] > 0).nonzero()
    first, last = mask.min(dim=0).values, mask.max(dim=0).values
    box = last - first
    spare = box.max() - box
    corner = first - spare // 2
    if not ((corner >= 0).all() and (corner + box.max() <= 512).all()):
        corner = (first - spare).clip(min=0)
    maps = maps[:, corner[0] : corner[0] + box.max(), corner[1] : corner[1] + box.max()]
    crop = maps.permute(1, 2, 0).numpy()
    if crop.shape[:2] != (512, 512):
        crop = cv2.resize(crop, (512, 512), interpolation=cv2.INTER_NEAREST)
    return crop[..., :3].astype(np.uint8), crop[..., 3], float(nearest)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((60, 80), (20, 30, 12, 17)),
        ((90, 61), (40, 10, 20, 31)),
        ((64, 64), (0, 0, 64, 64)),
        ((50, 70), (0, 12, 9, 40)),
        ((300, 411), (250, 200, 50, 130)),
        # Here the nearest pixel of the object is not among those that the copy on disk keeps.
        ((1100, 1500), (473, 683, 12, 17)),
    ],
)
def test_the_object_crop_is_that_of_probe3d_pixel_by_pixel(
    tmp_path: Path, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    folder = scene(tmp_path / "chair" / "wild_set", 1, size=size)
    stored = disparity(size, box)
    write_png(folder / "depth" / "000.png", stored)
    metres = np.where(stored > 0, 655.35 / np.maximum(stored, 1), 0)
    with Image.open(folder / "images" / "000.jpg") as image:
        picture, expected, nearest = probe3d_views(np.asarray(image), metres)
    sample = open_dataset("navi", tmp_path, split="wild", variant="metric-crop")[0]
    assert sample.depth is not None
    np.testing.assert_array_equal(sample.image, picture)
    np.testing.assert_allclose(sample.depth, expected, rtol=1e-6)
    relative = open_dataset("navi", tmp_path, split="wild", variant="relative-crop").truth(
        "chair/wild_set/000"
    )
    scaled = (expected - nearest) / max(0.01, expected.max() - nearest) * 0.99 + 0.01
    scaled[expected == 0] = 0
    np.testing.assert_allclose(relative.depth, scaled, atol=1e-5)


def test_normals_of_a_board_seen_head_on_point_at_the_camera(tmp_path: Path) -> None:
    folder = scene(tmp_path / "chair" / "wild_set", 1, size=(60, 80))
    stored = np.zeros((60, 80), np.uint16)
    stored[20:40, 30:60] = 800
    write_png(folder / "depth" / "000.png", stored)
    truth = open_dataset("navi", tmp_path, split="wild", variant="normals-crop")[0]
    assert truth.normals is not None
    assert truth.normals_valid is not None
    assert truth.normals_valid.sum() > 100_000
    np.testing.assert_allclose(truth.normals[:, truth.normals_valid].T - [0, 0, -1], 0, atol=1e-4)


def test_K_of_the_crop_sees_the_same_rays() -> None:
    """A pixel block of the crop lies where its block of the photograph does."""
    known = np.zeros((60, 80), bool)
    known[20:33, 30:43] = True
    crop = object_crop(known)
    assert crop is not None
    K = np.array([[90.0, 0, 39.5], [0, 90.0, 29.5], [0, 0, 1]])
    cropped = crop.K(K)
    columns = crop.crop_map(np.broadcast_to(np.arange(80.0), (60, 80)))[0]
    rays = (np.arange(512) - cropped[0, 2]) / cropped[0, 0]
    # Within the block of a pixel the ray runs on, and each choice of pixels may miss by one.
    assert np.abs(rays - (columns - 39.5) / 90).max() < 1 / 90


def test_what_lacks_a_file_or_its_annotation_is_absent(tmp_path: Path) -> None:
    folder = scene(tmp_path / "chair" / "wild_set", 3)
    (folder / "depth" / "001.png").unlink()
    Image.fromarray(noise(SIZE)).save(folder / "images" / "077.jpg")
    Image.fromarray(noise(SIZE)).save(folder / "images" / "downsampled_000.jpg")
    dataset = open_dataset("navi", tmp_path, split="wild")
    assert dataset.ids == ("chair/wild_set/000", "chair/wild_set/002")
    assert [absent.id for absent in dataset.absent] == [
        "chair/wild_set/001",
        "chair/wild_set/077",
    ]


@pytest.mark.parametrize("size", [[0, 0], [0, 64], [-1, 64]])
def test_a_picture_without_pixels_is_refused_in_a_line(tmp_path: Path, size: list[int]) -> None:
    path = scene(tmp_path / "chair" / "wild_set") / "annotations.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps([{**each, "image_size": size} for each in said]))
    dataset = open_dataset("navi", tmp_path, split="wild")
    with pytest.raises(InputError, match=r"states an image size of|rotated by 90 degrees"):
        dataset.truth("chair/wild_set/000")


def test_broken_files_and_a_wrong_root_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected object folders with multiview_"):
        open_dataset("navi", tmp_path)
    folder = scene(tmp_path / "chair" / "wild_set")
    dataset = open_dataset("navi", tmp_path, split="wild")
    cut_short(folder / "depth" / "000.png")
    with pytest.raises(InputError, match=r"depth/000\.png: this PNG file is truncated"):
        dataset.truth("chair/wild_set/000")
    write_png(folder / "depth" / "000.png", disparity().T.copy())
    with pytest.raises(InputError, match="one of the two is rotated by 90 degrees"):
        dataset.truth("chair/wild_set/000")
    write_png(folder / "depth" / "000.png", np.zeros(SIZE, np.uint16))
    with pytest.raises(InputError, match="no pixel has depth, so there is no object"):
        open_dataset("navi", tmp_path, split="wild", variant="metric-crop").truth(
            "chair/wild_set/000"
        )
    cut_short(folder / "annotations.json")
    with pytest.raises(InputError, match=r"annotations\.json: not valid JSON"):
        open_dataset("navi", tmp_path, split="wild")
    (folder / "annotations.json").write_text('[{"filename": "000.jpg", "image_size": [60]}]')
    with pytest.raises(
        InputError, match=r"images\[0\]\.image_size is \[60\], expected a list of 2"
    ):
        open_dataset("navi", tmp_path, split="wild")


def test_poses_take_the_camera_to_the_object(tmp_path: Path) -> None:
    """q and t [mm] take the object to the camera; 90 degrees about y, and 0.5 m away."""
    folder = scene(tmp_path / "chair" / "wild_set", 1)
    pose = open_dataset("navi", tmp_path, split="wild")[0].world_T_cam
    np.testing.assert_allclose(pose, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -0.5], [0, 0, 0, 1]])
    path = folder / "annotations.json"
    root_half = 0.7071067811865476
    path.write_text(path.read_text().replace("[1, 0, 0, 0]", f"[{root_half}, 0, {root_half}, 0]"))
    pose = open_dataset("navi", tmp_path, split="wild", variant="metric-crop")[0].world_T_cam
    expected = [[0, 0, -1, 0.5], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(pose, expected, atol=1e-12)
    path.write_text(path.read_text().replace(f"[{root_half}, 0, {root_half}, 0]", "[0, 0, 0, 0]"))
    with pytest.raises(InputError, match="no valid pose"):
        open_dataset("navi", tmp_path, split="wild").truth("chair/wild_set/000")


def test_pairs_are_other_images_of_the_scene_up_to_120_degrees_away(tmp_path: Path) -> None:
    angles = (0, 100, 119, 230, 359)
    write_navi(tmp_path / "duck" / "wild_set", angles)
    write_navi(tmp_path / "swan" / "wild_set", (0, 180))
    write_navi(tmp_path / "duck" / "multiview_00_pixel_5", (0,))
    dataset = open_dataset("navi", tmp_path, split="wild")
    found = dataset.view_pairs()
    assert [pair.first for pair in found.pairs] == [f"duck/wild_set/{i:03}" for i in range(5)]
    for pair in found.pairs:
        first, second = (angles[int(image_id[-3:])] for image_id in (pair.first, pair.second))
        assert pair.first != pair.second
        assert pair.second.startswith("duck/wild_set/")
        assert min(abs(first - second), 360 - abs(first - second)) <= 120
    assert [absent.id for absent in found.absent] == ["swan/wild_set/000", "swan/wild_set/001"]
    assert "within 120 degrees" in found.absent[0].reason
    assert dataset.view_pairs() == found


def test_a_split_of_every_fourth_image_has_the_same_pairs(tmp_path: Path) -> None:
    """Their second images may be any others, which can be read."""
    write_navi(tmp_path / "duck" / "wild_set", range(0, 90, 10))
    write_navi(tmp_path / "duck" / "multiview_00_pixel_5", (0,))
    every_pair = open_dataset("navi", tmp_path, split="test").view_pairs().pairs
    dataset = open_dataset("navi", tmp_path, split="probe3d-test")
    assert dataset.view_pairs().pairs == every_pair[::4]
    others = {pair.second for pair in every_pair[::4]} - set(dataset.ids)
    assert others
    assert all(dataset.truth(image_id).depth is not None for image_id in others)
