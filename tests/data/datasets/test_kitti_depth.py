"""KITTI's annotated depth: look-alikes of its layouts, real pairs, and what users get wrong."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError, OptionError
from support.kitti_lookalike import (
    CAMERA_TEXT,
    DATE,
    DRIVE,
    SHAPE,
    write_calibration,
    write_picture,
)
from support.png_bytes import write_grey16, write_rgb8

ID = f"{DATE}/{DRIVE}/image_02/data/{{:010d}}"
STORED = np.zeros(SHAPE, np.uint16)
STORED[10, 20], STORED[11, 21], STORED[12, 22] = 256, 1, 65535


def write_annotation(folder: Path, index: int, *, camera: str = "image_02") -> Path:
    path = folder / DRIVE / "proj_depth" / "groundtruth" / camera / f"{index:010d}.png"
    write_grey16(path, STORED)
    return path


def opened(root: Path, split: str, list_file: Path | None = None) -> Dataset:
    return open_dataset("kitti-depth", root, split=split, list_file=list_file)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Depth in both parts, and the pictures of KITTI raw beside it."""
    write_annotation(tmp_path / "data_depth_annotated" / "val", 5)
    write_annotation(tmp_path / "data_depth_annotated" / "val", 5, camera="image_03")
    write_annotation(tmp_path / "data_depth_annotated" / "train", 6)
    for index in (5, 6):
        write_picture(tmp_path / "raw", index)
    write_picture(tmp_path / "raw", 5, camera="image_03")
    write_calibration(tmp_path / "raw")
    return tmp_path


def test_stored_numbers_are_metres_times_256_and_zero_is_unknown(root: Path) -> None:
    sample = opened(root, "val")[0]
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.depth[sample.depth_valid].tolist() == [1.0, 1 / 256, 65535 / 256]
    assert np.argwhere(sample.depth_valid).tolist() == [[10, 20], [11, 21], [12, 22]]


def test_a_part_has_both_cameras_with_their_own_pictures(root: Path) -> None:
    dataset = opened(root, "val")
    assert dataset.ids == (ID.format(5), ID.format(5).replace("image_02", "image_03"))
    assert [dataset.image(id)[0, 0, 0] for id in dataset.ids] == [100, 200]
    assert opened(root, "train").ids == (ID.format(6),)


def test_the_camera_is_that_of_the_calibration(root: Path) -> None:
    camera = opened(root, "val")[0].camera
    assert camera is not None
    assert camera.K.tolist() == [[50, 0, 29], [0, 50, 21], [0, 0, 1]]


def test_a_list_finds_its_frames_in_either_part(root: Path) -> None:
    path = root / "splits" / "eigen_benchmark" / "test_files.txt"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{DATE}/{DRIVE} {index} l\n" for index in range(652)))
    dataset = opened(root, "eigen_benchmark")
    assert dataset.ids == (ID.format(5), ID.format(6))
    assert len(dataset.absent) == 650


def test_a_list_with_depth_paths_leaves_out_what_has_no_annotation(root: Path) -> None:
    mine = root / "mine.txt"
    picture = f"{DATE}/{DRIVE}/image_02/data/{{:010d}}.png"
    mine.write_text(f"{picture.format(4)} None 721.5\n{picture.format(6)} x/y.png 721.5\n")
    dataset = opened(root, "eigen_benchmark", mine)
    assert (dataset.ids, dataset.absent) == ((ID.format(6),), ())


@pytest.mark.parametrize("is_link", [False, True])
@pytest.mark.parametrize("what", ["data_depth_annotated/val", "raw"])
def test_missing_partners_are_absent(root: Path, what: str, is_link: bool) -> None:
    below = {"raw": ID.format(5), "data_depth_annotated/val": f"{DRIVE}/proj_depth/groundtruth/"}
    place = root / what / below[what]
    gone = place.with_suffix(".png") if what == "raw" else place / "image_02" / "0000000005.png"
    gone.unlink()
    if is_link:
        gone.symlink_to("nowhere")
    mine = root / "mine.txt"
    mine.write_text(f"{DATE}/{DRIVE} 5 l\n{DATE}/{DRIVE} 6 l\n")
    dataset = opened(root, "eigen_benchmark", mine)
    assert dataset.ids == (ID.format(6),)
    assert dataset.absent[0].reason == f"{gone} is missing"


def test_dates_and_parts_may_lie_in_the_root_itself(tmp_path: Path) -> None:
    write_annotation(tmp_path / "val", 5)
    write_picture(tmp_path, 5)
    dataset = opened(tmp_path, "val")
    assert len(dataset) == 1
    assert dataset[0].camera is None, "there is no calibration, and 60 x 40 is no date's size"


@pytest.mark.parametrize(
    ("shape", "focal"),
    [
        ((375, 1242), 721.5377),
        ((370, 1224), 707.0493),
        ((374, 1238), 718.3351),
        ((370, 1226), 707.0912),
        ((376, 1241), 718.856),
    ],
)
def test_without_calibration_the_size_tells_the_date(
    tmp_path: Path, shape: tuple[int, int], focal: float
) -> None:
    write_grey16(tmp_path / "depth" / "a.png", np.zeros(shape, np.uint16))
    write_rgb8(tmp_path / "rgb" / "a.png", np.zeros((32, 32, 3), np.uint8))
    camera = opened(tmp_path, "pairs").truth("a").camera
    assert camera is not None
    assert camera.K[0, 0] == camera.K[1, 1] == focal


def test_pairs_without_a_partner_are_absent_on_either_side(tmp_path: Path) -> None:
    for name in "abc":
        write_grey16(tmp_path / "depth" / f"{name}.png", STORED)
        write_rgb8(tmp_path / "rgb" / f"{name}.png", np.zeros((*SHAPE, 3), np.uint8))
    (tmp_path / "depth" / "a.png").unlink()
    (tmp_path / "rgb" / "b.png").unlink()
    dataset = opened(tmp_path, "pairs")
    assert dataset.ids == ("c",)
    assert [each.reason for each in dataset.absent] == [
        f"{tmp_path}/depth/a.png is missing",
        f"{tmp_path}/rgb/b.png is missing",
    ]


@pytest.mark.parametrize("split", ["eigen_benchmark", "val", "train", "pairs"])
def test_a_wrong_root_says_what_was_expected_and_found(tmp_path: Path, split: str) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(InputError, match=r"expected.*found holiday"):
        opened(tmp_path, split)


def test_depth_without_pictures_says_so(tmp_path: Path) -> None:
    write_annotation(tmp_path / "val", 5)
    with pytest.raises(InputError, match="has no images: expected the folders of KITTI raw"):
        opened(tmp_path, "val")


def test_pairs_take_no_list(root: Path) -> None:
    with pytest.raises(OptionError, match="does not accept a list"):
        opened(root, "pairs", root / "mine.txt")


@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 3)])
def test_depth_that_somebody_turned_to_8_bits_is_refused(
    root: Path, shape: tuple[int, ...]
) -> None:
    path = next((root / "data_depth_annotated" / "train").rglob("*.png"))
    Image.fromarray(np.full(shape, 9, np.uint8)).save(path)
    with pytest.raises(InputError, match=r"has uint8 values .* expected 16-bit greyscale depth"):
        opened(root, "train")[0]


def test_depth_that_is_cut_short_is_said_in_one_line(root: Path) -> None:
    path = next((root / "data_depth_annotated" / "train").rglob("*.png"))
    path.write_bytes(path.read_bytes()[:80])
    dataset = opened(root, "train")
    with pytest.raises(InputError, match=r"0000000006\.png: .* truncated"):
        dataset.truth(dataset.ids[0])


def test_a_calibration_that_lacks_the_camera_is_no_reason_to_guess(root: Path) -> None:
    write_calibration(root / "raw", camera=CAMERA_TEXT.replace("P_rect_02", "P_old"))
    with pytest.raises(InputError, match="P_rect_02"):
        opened(root, "train")[0]


def test_real_pairs_are_read_with_the_camera_of_their_date(data_folder: Path) -> None:
    dataset = opened(data_folder / "kitti_depth_metric3d", "pairs")
    assert dataset.ids == ("0000000005", "0000000050", "0000000100")
    for sample in dataset:
        assert sample.depth is not None
        assert sample.depth_valid is not None
        assert sample.camera is not None
        assert sample.camera.K[0, 0] == 721.5377
        assert 0.15 < sample.depth_valid.mean() < 0.25
        assert sample.depth[sample.depth_valid].min() > 5
        assert sample.depth[sample.depth_valid].max() < 86
