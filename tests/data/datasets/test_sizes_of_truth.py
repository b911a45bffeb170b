"""True depth of another size than its photograph: where it lies, and what the camera becomes."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.check_download import check_dataset
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.placement import PlacementNames, place_map
from rilievo.predicting.metres.sparse import read_sparse
from support.grids import mostly_slow

K = np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])
SIZE = (480, 640)
YAML_CAMERA = "camera: {fx: 500, cx: 319.5, cy: 239.5}\n"


def floor(shape: tuple[int, int] = SIZE, camera: np.ndarray = K) -> np.ndarray:
    """Depth [m] of a tilted plane, of which inverse depth is linear in the pixel."""
    v, u = np.mgrid[: shape[0], : shape[1]]
    x, y = (u - camera[0, 2]) / camera[0, 0], (v - camera[1, 2]) / camera[1, 1]
    return (1 / (0.3 + 0.05 * x + 0.2 * y)).astype(np.float32)


def smaller(shape: tuple[int, int]) -> np.ndarray:
    """The same plane at the pixel centres of a camera of another size."""
    return floor(shape, Camera(K=K).resized(size=SIZE, new_size=shape).needs_pinhole("a test"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "depth").mkdir()
    Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(tmp_path / "images/a.png")
    return tmp_path


def truth_of(root: Path, depth: np.ndarray, yaml: str = YAML_CAMERA) -> rilievo.Sample:
    np.save(root / "depth/a.npy", depth)
    (root / "rilievo.yaml").write_text(yaml)
    return open_dataset("folder", root).sample("a")


@pytest.mark.parametrize("shape", [(240, 320), (120, 160), (96, 128), (960, 1280)])
def test_a_whole_multiple_is_the_whole_photograph(root: Path, shape: tuple[int, int]) -> None:
    sample = truth_of(root, smaller(shape))
    assert sample.depth is not None
    step = max(1, SIZE[0] // shape[0])
    inner = np.s_[step:-step, step:-step]
    np.testing.assert_allclose(sample.depth[inner], floor()[inner], rtol=1e-5)
    assert sample.camera is not None
    np.testing.assert_allclose(sample.camera.needs_pinhole("a test"), K)
    [warning] = check_dataset(open_dataset("folder", root)).warnings
    assert f"depth is {shape[0]} x {shape[1]}" in warning
    assert "the photograph's 480 x 640" in warning


@pytest.mark.parametrize("shape", [(192, 256), (400, 534), (476, 630)])
def test_another_size_is_refused_until_the_line_says_resized(
    root: Path, shape: tuple[int, int]
) -> None:
    depth = smaller(shape)
    with pytest.raises(InputError, match=rf"{shape[0]} x {shape[1]}.*'crop: resized' in 'depth:'"):
        truth_of(root, depth)
    sample = truth_of(root, depth, YAML_CAMERA + "depth: {crop: resized}")
    assert sample.depth is not None
    np.testing.assert_allclose(sample.depth[8:-8, 8:-8], floor()[8:-8, 8:-8], rtol=1e-5)
    assert not check_dataset(open_dataset("folder", root)).warnings


@pytest.mark.parametrize("shape", [(224, 224), (518, 518), (270, 480)])
def test_a_map_of_other_proportions_is_not_only_resized(root: Path, shape: tuple[int, int]) -> None:
    depth = smaller(shape)
    with pytest.raises(InputError, match="'crop: stretched' in 'depth:'"):
        truth_of(root, depth)
    with pytest.raises(InputError, match=r"their proportions differ by 33%.*'crop: stretched'"):
        truth_of(root, depth, YAML_CAMERA + "depth: {crop: resized}")
    sample = truth_of(root, depth, YAML_CAMERA + "depth: {crop: stretched}")
    assert sample.depth is not None
    np.testing.assert_allclose(sample.depth[8:-8, 8:-8], floor()[8:-8, 8:-8], rtol=1e-5)
    assert not check_dataset(open_dataset("folder", root)).warnings


def test_rounded_sides_are_resized_and_a_note_says_how_much_they_stretch() -> None:
    names = PlacementNames(map="depth", picture="the photograph")
    # 375 x 1242 rounded down to multiples of 32, and half of 1216 x 1936 to multiples of 64.
    for size, picture, share in (((352, 1216), (375, 1242), 4.3), ((384, 640), (1216, 1936), 4.7)):
        place = place_map(size, picture, "resized", names)
        assert place.crop.shape == picture
        [note] = place.notes
        assert f"differ by {share}%" in note
    # A RealSense, and networks that round to multiples of 14 and of 8.
    for size in ((480, 848), (518, 924), (518, 910), (360, 640)):
        assert place_map(size, (720, 1280), "resized", names).notes == ()


def test_the_middle_of_a_smaller_picture_is_named_as_a_part(root: Path) -> None:
    """Programs for NYUv2 halve the picture and cut 228 x 304 out of its middle."""
    middle = smaller((240, 320))[6:-6, 8:-8]
    with pytest.raises(InputError, match=r"12,16,456,608.* centre after .* half of its size"):
        truth_of(root, middle)
    truth = truth_of(root, middle, "depth: {crop: [12, 16, 456, 608]}\n")
    assert truth.depth is not None
    assert truth.depth_valid is not None
    inside = np.zeros(SIZE, bool)
    inside[12:468, 16:624] = True
    np.testing.assert_array_equal(truth.depth_valid, inside)
    inner = np.s_[14:466, 18:622]
    np.testing.assert_allclose(truth.depth[inner], floor()[inner], rtol=1e-5)
    [warning] = notes_of_place((228, 304), SIZE, "resized")
    assert "12,16,456,608" in warning
    assert notes_of_place((224, 304), SIZE, "resized") == ()


def notes_of_place(size: tuple[int, int], picture: tuple[int, int], crop: str) -> tuple[str, ...]:
    return place_map(size, picture, crop, PlacementNames(map="depth", picture="it")).notes


@pytest.mark.parametrize(
    ("size", "picture", "slices"),
    [
        ((384, 1248), (375, 1242), "depth[:375, :1242] if .*, depth[4:379, 3:1245]"),
        ((490, 644), (480, 640), "depth[:480, :640] if .*, depth[5:485, 2:642]"),
        ((160, 160), (120, 160), "depth[:120, :160] if .*, depth[20:140, 0:160]"),
    ],
)
def test_a_padded_map_is_refused_with_the_way_to_cut_it(
    size: tuple[int, int], picture: tuple[int, int], slices: str
) -> None:
    names = PlacementNames(map="depth", picture="the photograph")
    with pytest.raises(InputError, match=re.escape(slices).replace(r"\.\*", ".*")):
        place_map(size, picture, None, names)


@pytest.mark.parametrize(
    ("size", "picture", "is_padded"),
    [
        ((384, 1248), (375, 1242), True),
        ((490, 644), (480, 640), True),
        ((476, 630), (480, 640), False),
        ((518, 686), (480, 640), False),
        ((192, 256), (480, 640), False),
    ],
)
def test_sides_that_padding_explains_are_resized_with_a_note(
    size: tuple[int, int], picture: tuple[int, int], is_padded: bool
) -> None:
    notes = notes_of_place(size, picture, "resized")
    assert any("was padded to this size" in note for note in notes) is is_padded


def padded(
    depth: np.ndarray, bands: tuple[int, int, int, int], mode: str, empty: float = 0
) -> np.ndarray:
    """Depth with lines above, below, on the left and on the right."""
    top, bottom, left, right = bands
    around = ((top, bottom), (left, right))
    if mode == "edge":
        return np.pad(depth, around, mode="edge")
    return np.pad(depth, around, constant_values=empty)


def rough(shape: tuple[int, int]) -> np.ndarray:
    noise = np.random.default_rng(3).random(shape, np.float32)
    return smaller(shape) * (1 + 0.01 * noise)


def notes_of_values(depth: np.ndarray, crop: str | None, picture: tuple[int, int]) -> str:
    names = PlacementNames(map="depth", picture="it")
    shape = (depth.shape[0], depth.shape[1])
    return "\n".join(place_map(shape, picture, crop, names, values=depth).notes)


@pytest.mark.parametrize(
    ("mode", "empty"), [("edge", 0), ("constant", 0), ("constant", math.nan), ("constant", -np.inf)]
)
@pytest.mark.parametrize(
    ("inside", "bands", "slices"),
    [
        ((180, 240), (6, 6, 8, 8), "depth[6:186, 8:248]"),
        ((180, 240), (0, 12, 0, 16), "depth[0:180, 0:240]"),
        ((180, 240), (1, 1, 6, 6), "depth[1:181, 6:246]"),
        ((180, 240), (0, 2, 0, 12), "depth[0:180, 0:240]"),
        ((240, 320), (8, 8, 0, 0), "depth[8:248, 0:320]"),
    ],
)
def test_bands_as_padding_adds_them_are_said(
    inside: tuple[int, int], bands: tuple[int, int, int, int], slices: str, mode: str, empty: float
) -> None:
    depth = padded(rough(inside), bands, mode, empty)
    notes = notes_of_values(depth, "resized", (480, 640))
    assert f"cut off the padding: {slices}" in notes
    assert "padding" not in notes_of_values(depth, "stretched", (480, 640))
    assert "padding" not in notes_of_values(rough(depth.shape), "resized", (480, 640))


@pytest.mark.parametrize(
    "depth",
    [
        # A column without depth at an edge, bands of a stereo camera, and rows at the horizon.
        padded(rough((240, 319)), (0, 0, 1, 0), "constant"),
        padded(rough((240, 310)), (0, 0, 10, 0), "constant"),
        padded(rough((200, 320)), (40, 0, 0, 0), "constant"),
        # Lines that repeat everywhere: enlarged maps, a wall, a floor.
        rough((120, 160)).repeat(2, 0).repeat(2, 1),
        rough((96, 128)).repeat(2, 0).repeat(2, 1),
        np.full((240, 320), 2.0),
        np.repeat(np.linspace(1, 2, 240)[:, None], 320, 1),
        np.zeros((240, 320)),
    ],
)
def test_bands_that_padding_does_not_explain_are_not_taken_for_it(depth: np.ndarray) -> None:
    assert "padding" not in notes_of_values(depth, "resized", (480, 640))


def test_a_padded_truth_is_noticed_in_a_folder_and_beside_a_photograph(root: Path) -> None:
    depth = padded(rough((180, 240)), (6, 6, 8, 8), "constant")
    truth_of(root, depth, YAML_CAMERA + "depth: {crop: resized}")
    [warning] = check_dataset(open_dataset("folder", root)).warnings
    assert "depth[6:186, 8:248]" in warning
    given = rilievo.Prediction.from_depth(
        root / "images/a.png", root / "depth/a.npy", 500, crop="resized", unit="m"
    )
    assert any("depth[6:186, 8:248]" in note for note in given.notes)
    half = padded(rough((234, 312)), (3, 3, 4, 4), "edge")
    given = rilievo.Prediction.from_depth(root / "images/a.png", half, 500, unit="m")
    assert any("depth[3:237, 4:316]" in note for note in given.notes)


def test_a_map_of_another_published_crop_is_refused_at_the_named_one() -> None:
    """Garg's and Eigen's crops of KITTI differ by a row in some pictures."""
    names = PlacementNames(map="depth", picture="the photograph")
    picture, garg, eigen = (374, 1238), (218, 1149), (217, 1149)
    assert place_map(garg, picture, "kitti_garg", names).crop.shape == garg
    assert place_map(eigen, picture, "kitti_eigen", names).crop.shape == eigen
    with pytest.raises(InputError, match="the size of the crop 'kitti_eigen'"):
        place_map(eigen, picture, "kitti_garg", names)
    with pytest.raises(InputError, match="the size of the crop 'kitti_garg'"):
        place_map(garg, picture, "kitti_eigen", names)


@pytest.mark.parametrize("crop", ["resized", "stretched", None])
@pytest.mark.parametrize("shape", [(640, 480), (256, 192), (320, 240), (630, 476), (640, 360)])
def test_a_map_that_stands_beside_a_picture_that_lies_is_turned(
    root: Path, shape: tuple[int, int], crop: str | None
) -> None:
    depth = smaller(shape)
    yaml = YAML_CAMERA + ("" if crop is None else f"depth: {{crop: {crop}}}")
    with pytest.raises(InputError, match="rotated by 90 degrees") as refusal:
        truth_of(root, depth, yaml)
    assert "resized" not in str(refusal.value)
    photo = np.full((*SIZE, 3), 90, np.uint8)
    with pytest.raises(InputError, match="rotated by 90 degrees"):
        rilievo.Prediction.from_depth(photo, depth, K, crop=crop)
    with pytest.raises(InputError, match="rotated by 90 degrees"):
        read_sparse(depth, SIZE, None, crop)


def test_an_upright_part_of_a_picture_that_lies_can_be_named(root: Path) -> None:
    with pytest.raises(InputError, match=r"rotated by 90 degrees.*'crop: \[TOP,LEFT"):
        truth_of(root, floor()[100:400, 50:250])
    sample = truth_of(root, floor()[100:400, 50:250], "depth: {crop: [100, 50, 300, 200]}")
    assert sample.depth is not None
    np.testing.assert_array_equal(sample.depth[100:400, 50:250], floor()[100:400, 50:250])


@pytest.mark.parametrize("crop", ["nyu_eigen", "[45, 41, 426, 560]", "[60, 80, 360, 480]"])
def test_a_map_as_large_as_the_picture_is_of_no_part(root: Path, crop: str) -> None:
    with pytest.raises(InputError, match=r"the full size of the photograph.*remove 'crop' from"):
        truth_of(root, floor(), f"depth: {{crop: {crop}}}")
    photo, place = np.full((*SIZE, 3), 90, np.uint8), crop.strip("[]").replace(" ", "")
    with pytest.raises(InputError, match=r"the full size of the photograph.*leave out crop"):
        rilievo.Prediction.from_depth(photo, floor(), K, crop=place)
    with pytest.raises(InputError, match=r"the full size of the photograph.*leave out sparse_crop"):
        read_sparse(floor(), SIZE, None, place)


def test_a_fraction_of_the_picture_at_a_named_part_is_doubted(root: Path) -> None:
    truth_of(root, smaller((240, 320)), YAML_CAMERA + "depth: {crop: nyu_eigen}")
    [warning] = check_dataset(open_dataset("folder", root)).warnings
    assert (
        "resized to its crop of 426 x 560; depth is also half of the photograph's 480 x 640"
        in warning
    )
    truth_of(root, smaller((180, 240)), YAML_CAMERA + "depth: {crop: [60, 80, 360, 480]}")
    [warning] = check_dataset(open_dataset("folder", root)).warnings
    assert "too" not in warning


def test_known_crops_and_named_ones_take_their_places(root: Path) -> None:
    sample = truth_of(root, floor()[45:471, 41:601])
    assert sample.depth is not None
    assert sample.depth_valid is not None
    np.testing.assert_array_equal(sample.depth[45:471, 41:601], floor()[45:471, 41:601])
    assert sample.depth_valid.sum() == 426 * 560
    [warning] = check_dataset(open_dataset("folder", root)).warnings
    assert "size of the crop 'nyu_eigen'" in warning
    for crop, part in (
        ("nyu_square", np.s_[:, 80:560]),
        ("centre", np.s_[40:440, 53:587]),
        ("[10, 20, 400, 534]", np.s_[10:410, 20:554]),
    ):
        sample = truth_of(root, floor()[part], YAML_CAMERA + f"depth: {{crop: {crop}}}")
        assert sample.depth is not None
        assert sample.depth_valid is not None
        np.testing.assert_array_equal(sample.depth[part], floor()[part])
        assert sample.depth_valid.sum() == floor()[part].size
        assert not check_dataset(open_dataset("folder", root)).warnings


def test_no_depth_arises_between_two_surfaces(root: Path) -> None:
    depth = np.full((192, 256), 2.0, np.float32)
    depth[:, 100:] = 5
    depth[50, 50] = 0
    sample = truth_of(root, depth, "depth: {crop: resized}")
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert set(np.unique(sample.depth[sample.depth_valid])) == {2, 5}
    assert 4 <= (~sample.depth_valid).sum() <= 9


def test_distance_along_the_ray_in_a_crop_has_the_rays_of_the_crop(root: Path) -> None:
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    ray = np.sqrt(((u - 319.5) / 500) ** 2 + ((v - 239.5) / 500) ** 2 + 1)
    yaml = YAML_CAMERA + "depth: {kind: distance, crop: [100, 50, 200, 300]}"
    sample = truth_of(root, (floor() * ray)[100:300, 50:350], yaml)
    assert sample.depth is not None
    part = np.s_[100:300, 50:350]
    np.testing.assert_allclose(sample.depth[part], floor()[part], rtol=1e-5)


def test_disparity_of_half_the_size_has_half_the_focal_length(root: Path) -> None:
    disparity = 250 * 0.1 / smaller((240, 320))
    yaml = YAML_CAMERA + "depth: {kind: disparity, baseline: 0.1}"
    sample = truth_of(root, disparity, yaml)
    assert sample.depth is not None
    np.testing.assert_allclose(sample.depth[2:-2, 2:-2], floor()[2:-2, 2:-2], rtol=1e-5)


def test_intrinsics_beside_depth_become_those_of_the_photograph(root: Path) -> None:
    small = Camera(K=K).resized(size=SIZE, new_size=(192, 256)).needs_pinhole("a test")
    np.savez(root / "depth/a.npz", depth=smaller((192, 256)), K=small)
    (root / "rilievo.yaml").write_text("depth: {crop: resized}")
    sample = open_dataset("folder", root).sample("a")
    assert sample.camera is not None
    np.testing.assert_allclose(sample.camera.needs_pinhole("a test"), K, rtol=1e-12)


def test_a_calibration_of_the_colour_camera_serves_depth_of_a_smaller_sensor(root: Path) -> None:
    np.savetxt(root / "K.txt", K)
    yaml = "camera: {file: K.txt, width: 640, height: 480}\ndepth: {crop: resized}"
    sample = truth_of(root, smaller((192, 256)), yaml)
    assert sample.camera is not None
    np.testing.assert_allclose(sample.camera.needs_pinhole("a test"), K)


def test_a_photograph_that_its_exif_turns_has_upright_depth(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (root / "images/a.png").unlink()
    Image.fromarray(np.zeros((640, 480, 3), np.uint8)).save(root / "images/a.jpg", exif=exif)
    assert truth_of(root, floor()).depth is not None
    with pytest.raises(InputError, match="rotated by 90 degrees"):
        truth_of(root, np.ascontiguousarray(floor().T))


# The picture as a sensor stores it, by EXIF's orientation, made by its upright form.
STORED = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def write_turned_photo(path: Path, orientation: int, shape: tuple[int, int]) -> None:
    """Photograph of noise that is upright by EXIF alone."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    stored = np.ascontiguousarray(STORED[orientation](upright))
    Image.fromarray(stored).save(path, exif=exif)


@pytest.mark.filterwarnings("ignore:the camera's principal point")
@pytest.mark.parametrize(("orientation", "shape"), mostly_slow([*STORED], [SIZE, (480, 480)]))
def test_depth_of_a_photograph_that_exif_turns_is_said_to_be_taken_as_upright(
    root: Path, orientation: int, shape: tuple[int, int]
) -> None:
    write_turned_photo(root / "images/a.png", orientation, shape)
    depth = floor(shape)
    truth_of(root, depth)
    warnings = [w for w in check_dataset(open_dataset("folder", root)).warnings if "EXIF" in w]
    # The size of depth that is not a square proves that it is turned by 90 degrees.
    is_doubtful = orientation < 5 or shape == (480, 480)
    notes = rilievo.Prediction.from_depth(root / "images/a.png", depth, K).notes
    of_hand = [note for note in notes if "assumed to be upright" in note]
    sparse = read_sparse(depth, shape, None, orientation=orientation)
    of_sparse = [doubt for doubt in sparse.reading.warnings if "assumed to be upright" in doubt]
    assert len(warnings) == len(of_hand) == len(of_sparse) == is_doubtful
    if is_doubtful:
        [way] = re.findall(r"for example with (.+)$", of_hand[0])
        stored = STORED[orientation](depth)
        upright = eval(way, {"numpy": np, "depth": stored})
        np.testing.assert_array_equal(upright, depth)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_depth_as_the_sensor_stored_it_is_refused_with_the_way_to_turn_it(
    root: Path, orientation: int
) -> None:
    shape = (640, 480)
    write_turned_photo(root / "images/a.png", orientation, shape)
    for stored_size in ((480, 640), (192, 256)):
        stored = STORED[orientation](floor((stored_size[1], stored_size[0])))
        with pytest.raises(InputError, match="rotated by 90 degrees") as refusal:
            truth_of(root, np.ascontiguousarray(stored), YAML_CAMERA + "depth: {crop: resized}")
        [way] = re.findall(r"for example with (.+) for EXIF orientation", str(refusal.value))
        upright = eval(way, {"numpy": np, "depth": stored})
        np.testing.assert_array_equal(upright, floor((stored_size[1], stored_size[0])))


def test_what_rilievo_saved_of_a_photograph_that_exif_turns_is_upright(root: Path) -> None:
    write_turned_photo(root / "images/a.png", 3, SIZE)
    made = rilievo.Prediction.from_depth(root / "images/a.png", floor(), K)
    [path, *_] = made.save(root / "saved/a", "npz")
    notes = rilievo.Prediction.from_depth(root / "images/a.png", path).notes
    assert not [note for note in notes if "assumed to be upright" in note]


def test_doubts_of_several_kinds_are_each_said_once(root: Path) -> None:
    for name in "abc":
        write_turned_photo(root / f"images/{name}.png", 3, SIZE)
        np.save(root / f"depth/{name}.npy", smaller((240, 320)))
    warnings = check_dataset(open_dataset("folder", root)).warnings
    for words in ("half of the photograph's", "EXIF rotates or flips the photograph"):
        [warning] = [warning for warning in warnings if words in warning]
        assert warning.endswith("(applies to 3 of the 3 images sampled for this)")


def test_masks_and_normals_have_the_size_of_depth_or_of_the_photograph(root: Path) -> None:
    (root / "valid").mkdir()
    (root / "normals").mkdir()
    mask = np.zeros((240, 320), np.uint8)
    mask[:120] = 255
    normals = np.zeros((240, 320, 3), np.float32)
    normals[..., 2] = -1
    np.save(root / "normals/a.npy", normals)
    yaml = "valid: 'valid/{id}.png'"
    for stored in (mask, np.kron(mask, np.ones((2, 2), np.uint8))):
        Image.fromarray(stored).save(root / "valid/a.png")
        sample = truth_of(root, smaller((240, 320)), yaml)
        assert sample.depth_valid is not None
        assert sample.normals_valid is not None
        assert sample.depth_valid[:240].all()
        assert not sample.depth_valid[240:].any()
        assert sample.normals_valid[:240].all()


@pytest.mark.parametrize("shape", [(192, 256), (400, 534), (360, 480)])
def test_sparse_depth_and_depth_at_hand_follow_the_same_rule(shape: tuple[int, int]) -> None:
    photo = np.full((*SIZE, 3), 90, np.uint8)
    depth = smaller(shape)
    with pytest.raises(InputError, match="crop='resized'"):
        rilievo.Prediction.from_depth(photo, depth, K)
    with pytest.raises(InputError, match="sparse_crop='resized'"):
        rilievo.predict(photo, sparse=depth)
    made = rilievo.Prediction.from_depth(photo, depth, K, crop="resized")
    np.testing.assert_allclose(made.depth.values[8:-8, 8:-8], floor()[8:-8, 8:-8], rtol=2e-3)
    points = read_sparse(depth, SIZE, None, "resized").points
    inner = [point for point in points if 8 < point.u < 630 and 8 < point.v < 470]
    assert len(inner) > 100
    for point in inner:
        x, y = (point.u - 319.5) / 500, (point.v - 239.5) / 500
        assert point.metres == pytest.approx(1 / (0.3 + 0.05 * x + 0.2 * y), rel=1e-5)


def test_a_part_of_sparse_depth_lies_where_it_is_said() -> None:
    depth = floor()[40:440, 30:564]
    for crop, stored in (("40,30,400,534", depth), ("40,30,400,534", depth[::2, ::2])):
        sparse = read_sparse(np.ascontiguousarray(stored), SIZE, None, crop)
        for point in sparse.points:
            x, y = (point.u - 319.5) / 500, (point.v - 239.5) / 500
            assert point.metres == pytest.approx(1 / (0.3 + 0.05 * x + 0.2 * y), rel=1e-2)
            assert 30 <= point.u < 564
            assert 40 <= point.v < 440


def test_the_place_of_normals_is_said_too(root: Path) -> None:
    (root / "depth").rmdir()
    (root / "normals").mkdir()
    normals = np.zeros((240, 320, 3), np.float32)
    normals[..., 2] = -1
    np.save(root / "normals/a.npy", normals)
    warnings = check_dataset(open_dataset("folder", root)).warnings
    [warning] = [warning for warning in warnings if "the map of normals" in warning]
    assert "is 240 x 320 (height x width), half of the photograph's 480 x 640" in warning
