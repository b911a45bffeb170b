"""A folder of one's own: layouts, units, kinds and axes, and what is wrong with it in one line."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError, OptionError

SIZE = (36, 48)


MILLIMETRES = np.arange(36 * 48, dtype=np.uint16).reshape(SIZE) + 500


def photograph(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def deep(path: Path, numbers: np.ndarray) -> None:
    """A 16-bit PNG, by OpenCV, whose colours are blue first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), numbers if numbers.ndim == 2 else numbers[..., ::-1])


def opened(root: Path, text: str | None = None, **asked: str) -> Dataset:
    if text is not None:
        (root / "rilievo.yaml").write_text(text)
    return open_dataset("folder", root, **asked)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    for name in ("b", "rooms/a"):
        photograph(tmp_path / "images" / f"{name}.png")
        deep(tmp_path / "depth" / f"{name}.png", MILLIMETRES)
    return tmp_path


def test_without_a_description_whole_numbers_are_millimetres(plain: Path) -> None:
    dataset = opened(plain)
    assert dataset.ids == ("b", "rooms/a")
    sample = dataset.sample("rooms/a")
    assert sample.depth is not None
    np.testing.assert_allclose(sample.depth, MILLIMETRES / 1000, rtol=1e-6)
    assert sample.camera is None
    assert pickle.loads(pickle.dumps(dataset)).ids == dataset.ids


@pytest.mark.parametrize("format", ["npy", "npz", "tif", "pfm", "exr"])
def test_floating_point_depth_is_metres_in_any_format(tmp_path: Path, format: str) -> None:
    metres = (MILLIMETRES / 1000).astype(np.float32)
    metres[0, :3] = (0, np.nan, np.inf)
    photograph(tmp_path / "images" / "a.jpg")
    path = tmp_path / "depth" / f"a.{format}"
    path.parent.mkdir()
    match format:
        case "npy":
            np.save(path, metres)
        case "npz":
            np.savez(path, metres)
        case "tif":
            Image.fromarray(metres).save(path)
        case "pfm":
            path.write_bytes(b"Pf\n48 36\n-1\n" + metres[::-1].astype("<f4").tobytes())
        case _:
            OpenEXR = pytest.importorskip("OpenEXR")
            header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
            with OpenEXR.File(header, {"Z": metres}) as file:
                file.write(str(path))
    truth = opened(tmp_path).truth("a")
    assert truth.depth is not None
    assert truth.depth_valid is not None
    assert not truth.depth_valid[0, :3].any()
    assert truth.depth_valid.sum() == metres.size - 3
    np.testing.assert_array_equal(truth.depth[1:], metres[1:])


def test_scale_offset_invalid_values_range_mask_and_sky_are_applied(tmp_path: Path) -> None:
    stored = np.full(SIZE, 100, np.uint16)
    stored[0, :6] = (0, 150, 65535, 10, 400, 200)
    photograph(tmp_path / "a.png")
    deep(tmp_path / "a_d.png", stored)
    mask = np.full(SIZE, 255, np.uint8)
    mask[5] = 0
    Image.fromarray(mask).save(tmp_path / "a_m.png")
    dataset = opened(
        tmp_path,
        """
        image: "{id}.png"
        depth: {file: "{id}_d.png", scale: 0.02, offset: 0.5, invalid: [0, 150], sky: [65535],
                min_depth: 1, max_depth: 8}
        valid: "{id}_m.png"
        """,
    )
    # Depth and mask fit the pattern of photographs too, and are none.
    assert dataset.ids == ("a",)
    assert not dataset.absent
    truth = dataset.truth("a")
    assert truth.depth is not None
    assert truth.depth_valid is not None
    assert truth.sky is not None
    assert truth.depth_valid[0, :7].tolist() == [False, False, False, False, False, True, True]
    assert not truth.depth_valid[5].any()
    np.testing.assert_allclose(truth.depth[0, 5:7], [4.5, 2.5])
    assert truth.sky.sum() == 1


def test_distance_along_the_ray_becomes_depth(tmp_path: Path) -> None:
    """A wall 2 m ahead: the distance is 2 m times the length of the ray (x, y, 1)."""
    v, u = np.mgrid[0:36, 0:48]
    distance = 2 * np.sqrt(((u - 20) / 40) ** 2 + ((v - 10) / 50) ** 2 + 1)
    photograph(tmp_path / "images" / "a.png")
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "a.npy", distance)
    truth = opened(
        tmp_path, "depth: {kind: distance}\ncamera: {fx: 40, fy: 50, cx: 20, cy: 10}"
    ).truth("a")
    assert truth.depth is not None
    np.testing.assert_allclose(truth.depth, 2, rtol=1e-6)


def test_disparity_becomes_depth_and_K_follows_the_size_of_the_image(tmp_path: Path) -> None:
    """Twice as wide a calibration: f is 40 of the 80 px, so depth is 40 * 0.5 / (d + 3)."""
    photograph(tmp_path / "images" / "a.png")
    (tmp_path / "depth").mkdir()
    disparity = np.full(SIZE, 7.0)
    disparity[0, 0] = -3.0
    np.save(tmp_path / "depth" / "a.npy", disparity)
    truth = opened(
        tmp_path,
        """
        depth: {kind: disparity, offset: 3, baseline: 0.5, invalid: []}
        camera: {fx: 80, cx: 47.5, cy: 35.5, width: 96, height: 72}
        """,
    ).truth("a")
    assert truth.depth is not None
    assert truth.depth_valid is not None
    assert truth.camera is not None
    np.testing.assert_allclose(truth.depth[0, 1:], 2.0)
    assert not truth.depth_valid[0, 0]
    np.testing.assert_allclose(truth.camera.K, [[40, 0, 23.5], [0, 40, 17.5], [0, 0, 1]])


@pytest.mark.parametrize("form", ["txt4", "txt9", "npy"])
def test_intrinsics_come_from_a_file_of_each_image(plain: Path, form: str) -> None:
    K = np.array([[40.0, 0, 23], [0, 41, 17], [0, 0, 1]])
    for id in ("b", "rooms/a"):
        path = plain / "K" / f"{id}.{form[:3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "npy":
            np.save(path, K)
        elif form == "txt4":
            path.write_text("40, 41, 23, 17\n")
        else:
            path.write_text("40 0 23\n0 41 17\n0 0 1\n")
    truth = opened(plain, f'camera: {{file: "K/{{id}}.{form[:3]}"}}').truth("rooms/a")
    assert truth.camera is not None
    np.testing.assert_array_equal(truth.camera.K, K)


# What a program that uses the axes stores for a floor, which ours calls (0, -0.8, -0.6), and for a
# wall that faces right, which ours calls (0.6, 0, -0.8).
FLOOR_AND_WALL = {
    "opencv": ((0.0, -0.8, -0.6), (0.6, 0.0, -0.8)),
    "opengl": ((0.0, 0.8, 0.6), (0.6, 0.0, 0.8)),
    "dsine": ((0.0, 0.8, 0.6), (-0.6, 0.0, 0.8)),
}


@pytest.mark.parametrize("axes", FLOOR_AND_WALL)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_normals_of_each_convention_come_to_ours(tmp_path: Path, axes: str, kind: type) -> None:
    vectors = np.zeros((*SIZE, 3))
    vectors[:18], vectors[18:] = FLOOR_AND_WALL[axes]
    photograph(tmp_path / "images" / "a.png")
    (tmp_path / "normals").mkdir()
    if kind is np.float32:
        vectors[0, 0] = 0
        np.save(tmp_path / "normals" / "a.npy", vectors.astype(np.float32))
    else:
        full = np.iinfo(kind).max
        colours = np.round((vectors + 1) / 2 * full).astype(kind)
        colours[0, 0] = 0
        deep(tmp_path / "normals" / "a.png", colours)
    truth = opened(tmp_path, f"normals: {{axes: {axes}}}").truth("a")
    assert truth.normals is not None
    assert truth.normals_valid is not None
    assert not truth.normals_valid[0, 0]
    assert truth.normals_valid.sum() == vectors[..., 0].size - 1
    np.testing.assert_allclose(truth.normals[:, 5, 5], (0, -0.8, -0.6), atol=6e-3)
    np.testing.assert_allclose(truth.normals[:, 30, 5], (0.6, 0, -0.8), atol=6e-3)


def test_what_lacks_its_partner_is_named_either_way(plain: Path) -> None:
    photograph(plain / "images" / "alone.png")
    deep(plain / "depth" / "orphan.png", MILLIMETRES)
    dataset = opened(plain)
    assert dataset.ids == ("b", "rooms/a")
    reasons = {absent.id: absent.reason for absent in dataset.absent}
    assert reasons.keys() == {"alone", "orphan"}
    assert reasons["alone"].startswith("no depth at ")
    assert reasons["orphan"].startswith("no photograph at ")


def test_splits_and_lists_choose_images_in_their_order(plain: Path) -> None:
    (plain / "mine.txt").write_text("rooms/a\n# a comment\nb\ngone\n")
    described = "splits: {test: mine.txt}"
    dataset = opened(plain, described, split="test")
    assert dataset.ids == ("rooms/a", "b")
    assert [absent.id for absent in dataset.absent] == ["gone"]
    assert opened(plain, list_file=str(plain / "mine.txt")).ids == ("rooms/a", "b")
    with pytest.raises(OptionError, match="no split 'train'; add its list of ids under 'splits'"):
        opened(plain, split="train")
    (plain / "mine.txt").write_text("b\nb\n")
    with pytest.raises(InputError, match=r"mine\.txt: the id 'b' occurs twice"):
        opened(plain, split="test")


def test_a_download_is_described_from_outside(
    plain: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = tmp_path_factory.mktemp("elsewhere") / "set.yaml"
    described.write_text("folder: ${SOME_FOLDER}\n")
    monkeypatch.setenv("SOME_FOLDER", str(plain))
    assert len(open_dataset("folder", described)) == 2
    monkeypatch.delenv("SOME_FOLDER")
    with pytest.raises(InputError, match=r"the environment variable \$\{SOME_FOLDER\} is not set"):
        open_dataset("folder", described)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dept: x", r"rilievo\.yaml: has no 'dept'; did you mean 'depth'"),
        ("scale: 0.001", r"has no 'scale'; 'scale' belongs under 'depth'$"),
        ("axes: opengl", r"has no 'axes'; 'axes' belongs under 'normals'$"),
        ("depth: {scene: 1}", r"has no 'depth.scene'; 'scene' belongs at the top$"),
        ("fx: 500", r"has no 'fx'; 'fx' belongs under 'camera'$"),
        ("array: z", r"'array' belongs under 'depth' or under 'normals'$"),
        ("depth: {scal: 1}", r"has no 'depth.scal'; did you mean 'scale'"),
        ("depth: {unit: mm}", r"has no 'depth.unit'; did you mean 'scale'\?"),
        ("unit: mm", r"has no 'unit'; 'scale' belongs under 'depth'$"),
        ("depth: {scale: big}", r'depth.scale is "big", expected a number'),
        ("depth: {kind: z}", 'depth.kind is "z", expected one of depth, distance, disparity'),
        ("normals: {axes: blender}", "expected one of opencv, opengl, dsine"),
        ("depth: {kind: distance}", "depth of kind 'distance' needs a camera"),
        (
            "depth: {kind: disparity}\ncamera: {fx: 1, cx: 1, cy: 1}",
            "add 'baseline' in metres",
        ),
        ("camera: {fx: 40}", "a camera with fx also needs cx and cy"),
        ("camera: {width: 3}", "exactly one of the keys 'file', 'lens' and 'fx'"),
        ("image: photo.png", "pattern 'photo.png' must contain {id}"),
        ("splits: {tset: x}", "has no split 'tset'; did you mean 'test'"),
        ("- a\n- b", "expected a mapping of keys to values"),
        ("a: [", "is not valid YAML"),
        ("folder: gone", "its folder .* does not exist"),
        ("!!python/object/apply:os.system ['true']", "is not valid YAML"),
    ],
)
def test_a_wrong_description_is_one_line(plain: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        opened(plain, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("scale: 1e-3", 0.001),
        ("scale: 1/1000", 0.001),
        ("scale: mm", 0.001),
        ("scale: 0.1mm", 0.0001),
        ("scale: um", 1e-6),
        ('scale: "0.001"', 0.001),
    ],
)
def test_a_scale_is_written_as_on_the_command_line(plain: Path, text: str, metres: float) -> None:
    depth = opened(plain, f"depth: {{{text}}}").truth("b").depth
    assert depth is not None
    np.testing.assert_allclose(depth, MILLIMETRES * metres, rtol=1e-6)


def test_numbers_without_a_point_are_numbers(tmp_path: Path) -> None:
    """YAML takes 1e+10 for a text."""
    photograph(tmp_path / "images" / "a.png")
    (tmp_path / "depth").mkdir()
    numbers = np.where(MILLIMETRES > 2000, 1e10, MILLIMETRES / 1000).astype(np.float32)
    np.save(tmp_path / "depth" / "a.npy", numbers)
    text = "depth: {invalid: 1e+10, min_depth: 1e-2}\ncamera: {fx: 4e2, cx: 3, cy: 2}"
    truth = opened(tmp_path, text).truth("a")
    np.testing.assert_array_equal(truth.depth_valid, numbers < 1e10)
    assert truth.camera is not None
    assert truth.camera.K is not None
    assert truth.camera.K[0, 0] == 400


def test_a_wrong_root_says_what_was_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(InputError, match=r"neither depth/ nor normals/.*found holiday"):
        opened(tmp_path)
    (tmp_path / "depth").mkdir()
    with pytest.raises(InputError, match=r"no photograph matches 'images/\{id\}\.\*'"):
        opened(tmp_path)


def test_two_files_of_one_id_are_refused(plain: Path) -> None:
    photograph(plain / "images" / "b.jpg")
    with pytest.raises(InputError, match=r"both match 'images/\{id\}\.\*' with the id 'b'"):
        opened(plain)


def test_broken_files_are_one_line_each(plain: Path) -> None:
    path = plain / "depth" / "b.png"
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(InputError, match=r"b\.png: this PNG file is truncated"):
        opened(plain).truth("b")
    deep(path, MILLIMETRES[:-1])
    # Tests check the shapes of records before the records themselves do.
    with pytest.raises((InputError, TypeCheckError), match="b"):
        opened(plain).sample("b")
    deep(path, (MILLIMETRES // 8).astype(np.uint8))
    with pytest.raises(InputError, match="has 8 bits, so it is probably a picture of depth"):
        opened(plain).truth("b")


def test_distances_of_a_panorama_stay_distances(tmp_path: Path) -> None:
    for part in ("images", "depth"):
        (tmp_path / part).mkdir()
    stored = np.linspace(1, 5, 64 * 128, dtype=np.float32).reshape(64, 128)
    np.save(tmp_path / "depth/room.npy", stored)
    Image.fromarray(np.full((64, 128, 3), 90, np.uint8)).save(tmp_path / "images/room.png")
    described = tmp_path / "rilievo.yaml"
    described.write_text(
        "depth: {file: 'depth/{id}.npy', kind: distance}\ncamera: {lens: equirect}\n"
    )
    [sample] = opened(tmp_path)
    np.testing.assert_allclose(sample.depth, stored)
    assert sample.camera.lens.name == "equirectangular"
    described.write_text("depth: 'depth/{id}.npy'\ncamera: {lens: equirect}\n")
    with pytest.raises(InputError, match="'kind: distance'"):
        list(opened(tmp_path))
    described.write_text("camera: {lens: 'equirect:400'}\n")
    with pytest.raises(InputError, match="up to 360 degrees"):
        list(opened(tmp_path))
