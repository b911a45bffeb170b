"""SUN RGB-D read from its original tree, whole or in part, and its bit-rotated depth."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.sets.sunrgbd import decode_metres, is_rotated
from rilievo.errors import InputError

NYU_1, NYU_2 = "kv1/NYUdata/NYU0001", "kv1/NYUdata/NYU0002"
KINECT_2 = "kv2/kinect2data/000002_2014-05-26_14-23-37_260595134347_rgbf000103-resize"
XTION = "xtion/sun3ddata/harvard_c5/hv_c5_1/2013_1/0000001-000000"
MILLIMETRES = np.arange(48 * 64).reshape(48, 64) * 3 + 500
MILLIMETRES[10:20, 5:9] = 0


def rotated(millimetres: np.ndarray) -> np.ndarray:
    """Three bits to the left in 16: what falls out on the left comes in on the right."""
    return (millimetres * 8 % 65536 + millimetres // 8192).astype(np.uint16)


def write_frame(folder: Path, *, intrinsics: str = "520 0 30\n0 521 20\n0 0 1\n") -> None:
    """Stems differ between the folders, as in the original."""
    for name in ("image", "depth", "depth_bfx", "extrinsics", "fullres"):
        (folder / name).mkdir(parents=True)
    pixels = np.indices((48, 64)).sum(0)[..., None] + np.array([0, 40, 80])
    Image.fromarray(pixels.astype(np.uint8)).save(folder / "image" / f"{folder.name}.jpg")
    Image.fromarray(rotated(MILLIMETRES)).save(folder / "depth" / f"{folder.name}_abs.png")
    filled = rotated(np.where(MILLIMETRES, MILLIMETRES, 700))
    Image.fromarray(filled).save(folder / "depth_bfx" / f"{folder.name}_abs.png")
    (folder / "intrinsics.txt").write_text(intrinsics)


def write_split(path: Path, *, train: list[str], test: list[str]) -> None:
    """Cell arrays of paths on the authors' machine, some with two slashes or one at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = {}
    for name, ids in (("alltrain", train), ("alltest", test)):
        cell = np.empty((1, len(ids)), dtype=object)
        for place, id in enumerate(ids):
            cell[0, place] = (
                f"/n/fs/sun3d/data{'/' * (1 + place % 2)}SUNRGBD/{id}{'/' * (place % 2)}"
            )
        cells[name] = cell
    scipy.io.savemat(path, cells)


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("download")
    for id in (XTION, KINECT_2, NYU_2, NYU_1):
        write_frame(root / "SUNRGBD" / id)
    write_split(
        root / "SUNRGBDtoolbox" / "traintestSUNRGBD" / "allsplit.mat",
        train=[NYU_2],
        test=[XTION, NYU_1, KINECT_2, "realsense/sa/2014_1"],
    )
    return root


def test_the_official_split_is_matched_whatever_its_paths_begin_with(download: Path) -> None:
    dataset = open_dataset("sunrgbd", download)
    assert dataset.ids == (NYU_1, KINECT_2, XTION)
    assert [each.id for each in dataset.absent] == ["realsense/sa/2014_1"]
    assert open_dataset("sunrgbd", download, split="train").ids == (NYU_2,)
    assert open_dataset("sunrgbd", download, split="all").ids == (NYU_1, NYU_2, KINECT_2, XTION)


@pytest.mark.parametrize(
    ("part", "split", "ids"),
    [
        ("SUNRGBD", "test", (NYU_1, KINECT_2, XTION)),
        ("SUNRGBD/kv1/NYUdata", "test", (NYU_1,)),
        ("SUNRGBD/kv1/NYUdata", "all", (NYU_1, NYU_2)),
        ("SUNRGBD/" + XTION, "test", (XTION,)),
    ],
)
def test_a_part_of_the_tree_has_its_part_of_the_split_under_the_same_ids(
    download: Path, part: str, split: str, ids: tuple[str, ...]
) -> None:
    dataset = open_dataset("sunrgbd", download / part, split=split)
    assert dataset.ids == ids
    assert all(each.id.startswith(part.removeprefix("SUNRGBD")) for each in dataset.absent)


def test_depth_is_filled_by_default_and_raw_when_asked_for(download: Path) -> None:
    sample = open_dataset("sunrgbd", download).sample(NYU_1)
    raw = open_dataset("sunrgbd", download, variant="raw").sample(NYU_1)
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert raw.depth is not None
    assert raw.depth_valid is not None
    assert sample.camera is not None
    assert sample.depth_valid.all()
    np.testing.assert_allclose(sample.depth[15, 7], 0.7, rtol=1e-6)
    np.testing.assert_array_equal(raw.depth_valid, MILLIMETRES > 0)
    # Up to 9.7 m: what is beyond 8 m is neither cut nor taken for near.
    assert MILLIMETRES.max() > 9600
    np.testing.assert_allclose(raw.depth * 1000, MILLIMETRES, atol=1e-3)
    np.testing.assert_array_equal(sample.camera.K, [[520, 0, 30], [0, 521, 20], [0, 0, 1]])
    assert sample.image.shape == (48, 64, 3)


def test_values_worked_out_by_hand() -> None:
    """1430 mm = 1430 * 8; 9000 mm = 9000 * 8 - 65536 + 1."""
    stored = np.array([[11440, 6465, 0]], np.uint16)
    metres = decode_metres(stored, rotated=True)
    np.testing.assert_allclose(metres, [[1.43, 9.0, 0.0]], rtol=1e-6)
    plain = decode_metres(np.array([[1430]], np.uint16), rotated=False)
    np.testing.assert_allclose(plain, [[1.43]], rtol=1e-6)


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=40))
@settings(deadline=None)
def test_every_number_of_millimetres_survives_the_rotation(numbers: list[int]) -> None:
    stored = rotated(np.array([numbers]))
    metres = decode_metres(stored, rotated=True)
    np.testing.assert_array_equal(np.rint(metres * 1000), [numbers])


@given(seed=st.integers(0, 1000), far=st.floats(0, 0.4))
def test_files_that_are_decoded_already_are_told_from_rotated_ones(seed: int, far: float) -> None:
    dice = np.random.default_rng(seed)
    millimetres = dice.integers(500, 8000, (40, 50))
    millimetres[dice.random((40, 50)) < far] += 8192
    millimetres[dice.random((40, 50)) < 0.3] = 0
    assert is_rotated(rotated(millimetres))
    assert not is_rotated(millimetres.astype(np.uint16))


def test_a_frame_of_a_far_place_is_decoded_as_the_rest_of_its_tree(tmp_path: Path) -> None:
    for id in (NYU_1, NYU_2, KINECT_2):
        write_frame(tmp_path / id)
    (far,) = (tmp_path / NYU_2 / "depth_bfx").glob("*.png")
    Image.fromarray(rotated(np.full((48, 64), 57123))).save(far)
    (broken,) = (tmp_path / KINECT_2 / "depth_bfx").glob("*.png")
    broken.write_bytes(b"no picture")
    dataset = open_dataset("sunrgbd", tmp_path, split="all")
    assert dataset.truth(NYU_2).depth == pytest.approx(57.123)
    for id in (NYU_1, NYU_2):
        (file,) = (tmp_path / id / "depth_bfx").glob("*.png")
        Image.fromarray(MILLIMETRES.astype(np.uint16)).save(file)
    dataset = open_dataset("sunrgbd", tmp_path, split="all")
    np.testing.assert_allclose(dataset.truth(NYU_2).depth, MILLIMETRES / 1000, rtol=1e-6)


def test_a_decoded_frame_is_read_as_millimetres(tmp_path: Path) -> None:
    write_frame(tmp_path / NYU_1)
    path = tmp_path / NYU_1 / "depth" / "NYU0001_abs.png"
    Image.fromarray(MILLIMETRES.astype(np.uint16)).save(path)
    dataset = open_dataset("sunrgbd", tmp_path, split="all", variant="raw")
    depth = dataset.truth(NYU_1).depth
    assert depth is not None
    np.testing.assert_allclose(depth * 1000, MILLIMETRES, atol=1e-3)


def test_a_frame_without_one_of_its_files_is_absent_with_the_reason(tmp_path: Path) -> None:
    for id in (NYU_1, NYU_2, KINECT_2):
        write_frame(tmp_path / "SUNRGBD" / id)
    (tmp_path / "SUNRGBD" / NYU_1 / "image" / "NYU0001.jpg").unlink()
    second = tmp_path / "SUNRGBD" / NYU_2 / "depth_bfx"
    shutil.copy(second / "NYU0002_abs.png", second / "other.png")
    shutil.rmtree(tmp_path / "SUNRGBD" / KINECT_2 / "depth_bfx")
    dataset = open_dataset("sunrgbd", tmp_path, split="all")
    assert dataset.ids == ()
    reasons = {each.id: each.reason for each in dataset.absent}
    assert "image has no picture" in reasons[NYU_1]
    assert "depth_bfx has 2 pictures" in reasons[NYU_2]
    assert "depth_bfx has no picture" in reasons[KINECT_2]
    raw = open_dataset("sunrgbd", tmp_path, split="all", variant="raw")
    assert raw.ids == (NYU_2, KINECT_2)


def test_a_list_of_ones_own_may_have_ids_or_the_authors_paths(
    download: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text(f"{XTION}\n/n/fs/sun3d/data/SUNRGBD/{NYU_2}/\nkv1/NYUdata/NYU0099\n")
    dataset = open_dataset("sunrgbd", download, list_file=mine)
    assert dataset.ids == (NYU_2, XTION)
    assert [each.id for each in dataset.absent] == ["kv1/NYUdata/NYU0099"]
    mine.write_text(f"{XTION}\n\nNYU0001\n")
    with pytest.raises(InputError, match=r"mine\.txt:3: there is no frame 'NYU0001'"):
        open_dataset("sunrgbd", download, list_file=mine)
    mine.write_text(f"{XTION}\n{XTION}\n")
    with pytest.raises(InputError, match="occurs twice"):
        open_dataset("sunrgbd", download, list_file=mine)


def test_a_tree_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    for copy in ("a", "b"):
        write_frame(tmp_path / copy / "SUNRGBD" / NYU_1)
    with pytest.raises(InputError, match="exists twice"):
        open_dataset("sunrgbd", tmp_path, split="all")


def test_a_split_file_that_is_missing_broken_or_strange_is_told(tmp_path: Path) -> None:
    write_frame(tmp_path / "SUNRGBD" / NYU_1)
    with pytest.raises(InputError, match=r"allsplit\.mat is neither in this folder nor beside it"):
        open_dataset("sunrgbd", tmp_path)
    split = tmp_path / "deep" / "down" / "allsplit.mat"
    write_split(split, train=[NYU_2], test=["NYU0001"])
    with pytest.raises(InputError, match=r"contains '.*NYU0001', expected a path such as"):
        open_dataset("sunrgbd", tmp_path)
    with pytest.raises(
        InputError, match=r"none of its frames \(1\) is in the official 'train' split"
    ):
        open_dataset("sunrgbd", tmp_path, split="train")
    write_split(split, train=[NYU_2], test=[NYU_1, NYU_1])
    with pytest.raises(InputError, match="'kv1/NYUdata/NYU0001' occurs twice"):
        open_dataset("sunrgbd", tmp_path)
    split.write_bytes(split.read_bytes()[:300])
    with pytest.raises(InputError, match="MATLAB file is") as told:
        open_dataset("sunrgbd", tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("intrinsics", "said"),
    [
        ("520 0 30 0 521 20 0 0 1", None),
        ("520 0 30\n0 521 20\n", "expected 4 numbers .* or the 9 numbers of K, got 6"),
        ("520 0 30\n0 five 20\n0 0 1", "not a list of numbers"),
        ("-520 0 30\n0 521 20\n0 0 1", r"intrinsics\.txt: focal lengths must be positive"),
    ],
)
def test_intrinsics_are_nine_numbers_on_one_line_or_three(
    tmp_path: Path, intrinsics: str, said: str | None
) -> None:
    write_frame(tmp_path / "img_0063", intrinsics=intrinsics)
    dataset = open_dataset("sunrgbd", tmp_path / "img_0063", split="all")
    assert dataset.ids == ("img_0063",)
    if said is not None:
        with pytest.raises(InputError, match=said):
            dataset.truth("img_0063")
        return
    camera = dataset.truth("img_0063").camera
    assert camera is not None
    assert camera.K[1].tolist() == [0, 521, 20]
    (tmp_path / "img_0063" / "intrinsics.txt").unlink()
    assert dataset.truth("img_0063").camera is None


def test_a_cut_or_converted_depth_map_is_told_in_one_line(tmp_path: Path) -> None:
    write_frame(tmp_path / NYU_1)
    path = tmp_path / NYU_1 / "depth_bfx" / "NYU0001_abs.png"
    dataset = open_dataset("sunrgbd", tmp_path, split="all")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"NYU0001_abs\.png") as told:
        dataset.truth(NYU_1)
    assert "\n" not in str(told.value)
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(path)
    with pytest.raises(InputError, match="16-bit greyscale"):
        dataset.truth(NYU_1)
    with pytest.raises(InputError, match="no image 'kv1/none'"):
        dataset.image("kv1/none")


def test_a_wrong_root_says_what_was_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / "holiday.doc").write_text("sun")
    with pytest.raises(
        InputError, match=r"folders with image/ and either depth/.*found holiday\.doc"
    ):
        open_dataset("sunrgbd", tmp_path, split="all")


def test_it_can_be_sent_to_another_process(download: Path) -> None:
    dataset = pickle.loads(pickle.dumps(open_dataset("sunrgbd", download)))
    assert dataset.truth(NYU_1).depth.shape == (48, 64)


@pytest.mark.parametrize(("variant", "holes"), [("bfx", 0.0), ("raw", 0.3234)])
def test_a_recorded_frame_is_read(data_folder: Path, variant: str, holes: float) -> None:
    root = data_folder / "sunrgbd_original"
    dataset = open_dataset("sunrgbd", root, split="all", variant=variant)
    assert dataset.ids == ("img_0063",)
    sample = dataset[0]
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.camera is not None
    inside = sample.depth[sample.depth_valid]
    assert 1.4 < inside.min() < inside.max() < 2.6
    assert 1 - sample.depth_valid.mean() == pytest.approx(holes, abs=1e-4)
    assert sample.camera.K[0].tolist() == [520.532, 0.0, 277.9258]
