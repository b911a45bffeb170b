"""KITTI raw: look-alikes written to its readme, a real drive, and what users get wrong."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError
from support.kitti_lookalike import (
    BASELINE,
    CAMERA_TEXT,
    DATE,
    DRIVE,
    FOCAL,
    LASER_TEXT,
    SHAPE,
    laser_point,
    write_calibration,
    write_picture,
    write_scan,
)

ID = f"{DATE}/{DRIVE}/image_02/data/{{:010d}}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two moments: pictures of both cameras, and a laser that sees one point."""
    write_calibration(tmp_path)
    for index in (3, 5):
        write_scan(tmp_path, index, [laser_point(20, 10, 8.0)])
        for camera in ("image_02", "image_03"):
            write_picture(tmp_path, index, camera=camera)
    return tmp_path


def opened(root: Path, split: str = "all", variant: str = "nearest", **named: Path) -> Dataset:
    return open_dataset("kitti-raw", root, split=split, variant=variant, **named)


def test_every_scan_is_an_image_with_depth_where_the_laser_met_something(root: Path) -> None:
    dataset = opened(root)
    assert dataset.ids == (ID.format(3), ID.format(5))
    sample = dataset[1]
    assert sample.image[0, 0].tolist() == [100, 5, 7]
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert np.argwhere(sample.depth_valid).tolist() == [[10, 20]]
    assert sample.depth[10, 20] == pytest.approx(8.0, rel=1e-6)
    assert sample.depth.shape == SHAPE


def test_the_right_camera_sees_a_point_further_left_by_the_baseline(root: Path) -> None:
    dataset = opened(root, "all_right")
    assert dataset.ids[0] == f"{DATE}/{DRIVE}/image_03/data/0000000003"
    valid = dataset.truth(dataset.ids[0]).depth_valid
    assert valid is not None
    # 50 px * 0.5 m / 8 m = 3.125 px.
    assert np.argwhere(valid).tolist() == [[10, round(20 - FOCAL * BASELINE / 8)]]
    assert dataset.image(dataset.ids[0])[0, 0, 0] == 200


def test_the_camera_is_that_of_the_rectified_pictures(root: Path) -> None:
    camera = opened(root)[0].camera
    assert camera is not None
    assert camera.K.tolist() == [[50, 0, 29], [0, 50, 21], [0, 0, 1]]


def test_the_default_variant_is_the_rule_that_papers_score_with(root: Path) -> None:
    truth = open_dataset("kitti-raw", root, split="all")[0]
    assert truth.depth_valid is not None
    assert np.argwhere(truth.depth_valid).tolist() == [[9, 19]]


def test_jpeg_pictures_are_taken_where_there_is_no_png(root: Path) -> None:
    png = root / f"{ID.format(3)}.png"
    Image.open(png).save(png.with_suffix(".jpg"))
    png.unlink()
    assert opened(root)[0].image.shape == (*SHAPE, 3)


def test_missing_partners_are_absent_with_the_path_that_was_expected(root: Path) -> None:
    (root / f"{ID.format(3)}.png").unlink()
    dataset = opened(root)
    assert dataset.ids == (ID.format(5),)
    (absent,) = dataset.absent
    assert absent.id == ID.format(3)
    assert absent.reason.endswith("image_02/data/0000000003.png is missing")


def test_a_date_without_calibration_is_absent_as_a_whole(root: Path) -> None:
    (root / DATE / "calib_velo_to_cam.txt").unlink()
    dataset = opened(root)
    assert dataset.ids == ()
    assert [each.reason.rsplit("/", 1)[1] for each in dataset.absent] == [
        "calib_velo_to_cam.txt is missing"
    ] * 2


@pytest.mark.parametrize(
    "line",
    [
        f"{DATE}/{DRIVE} 0000000005 l",
        f"{DATE}/{DRIVE} 5 l",
        f"{DATE}/{DRIVE} 5",
        f"{DATE}/{DRIVE}/image_02/data/0000000005.png",
        f"{DATE}/{DRIVE}/image_02/data/0000000005.jpg {DATE}/{DRIVE}/image_03/data/0000000005.jpg",
        f"{DATE}/{DRIVE}/image_02/data/0000000005.png None 721.5377",
        f"/{DATE}/{DRIVE}/image_02/data/0000000005.png {DRIVE}/proj_depth/groundtruth/image_02/"
        "0000000005.png 721.5377",
    ],
)
def test_lists_of_every_lineage_are_read(root: Path, line: str) -> None:
    list_file = root / "mine.txt"
    list_file.write_text(f"# frames of mine\n\n{line}\n")
    assert opened(root, "eigen", list_file=list_file).ids == (ID.format(5),)


def test_a_list_keeps_its_order_and_names_either_camera(root: Path) -> None:
    list_file = root / "mine.txt"
    list_file.write_text(f"{DATE}/{DRIVE} 5 r\n{DATE}/{DRIVE} 3 l\n{DATE}/{DRIVE} 9 l\n")
    dataset = opened(root, list_file=list_file)
    assert dataset.ids == (f"{DATE}/{DRIVE}/image_03/data/0000000005", ID.format(3))
    assert [each.id for each in dataset.absent] == [ID.format(9)]


def test_the_benchmark_split_of_a_list_leaves_out_lines_without_annotation(root: Path) -> None:
    list_file = root / "mine.txt"
    picture = f"{DATE}/{DRIVE}/image_02/data/{{:010d}}.png"
    list_file.write_text(
        f"{picture.format(3)} None 721.5377\n{picture.format(5)} some/depth.png 721.5377\n"
    )
    assert opened(root, "eigen_benchmark", list_file=list_file).ids == (ID.format(5),)
    assert len(opened(root, "eigen", list_file=list_file)) == 2


@pytest.mark.parametrize("line", [f"{DATE}/{DRIVE} 5 x", "test/image 7 l", "kitchen/0001", "5 l"])
def test_a_line_that_makes_no_sense_is_named_by_its_number(root: Path, line: str) -> None:
    list_file = root / "mine.txt"
    list_file.write_text(f"# frames\n{DATE}/{DRIVE} 5 l\n{line}\n")
    with pytest.raises(InputError, match=r"mine\.txt: line 3 is '"):
        opened(root, list_file=list_file)


def test_a_frame_listed_twice_is_refused(root: Path) -> None:
    list_file = root / "mine.txt"
    list_file.write_text(f"{DATE}/{DRIVE} 5 l\n{DATE}/{DRIVE} 0000000005 l\n")
    with pytest.raises(InputError, match=r"mine\.txt: the id .* occurs twice"):
        opened(root, list_file=list_file)


@pytest.mark.parametrize("place", ["splits/eigen/test_files.txt", "eigen_test_files_with_gt.txt"])
def test_the_list_of_a_split_is_found_in_the_download(root: Path, place: str) -> None:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{DATE}/{DRIVE} {index} l\n" for index in range(697)))
    dataset = opened(root, "eigen")
    assert (len(dataset), len(dataset.absent)) == (2, 695)


def test_a_list_that_was_found_must_have_the_length_of_its_split(root: Path) -> None:
    (root / "test_files.txt").write_text(f"{DATE}/{DRIVE} 5 l\n")
    with pytest.raises(InputError, match="lists 1 frames, but the split 'eigen' has 697"):
        opened(root, "eigen")


def test_a_split_without_its_list_says_where_it_looked(root: Path) -> None:
    with pytest.raises(
        InputError, match=r"no list for the split 'eigen' \(rilievo looked for splits/eigen"
    ):
        opened(root, "eigen")


def test_a_wrong_root_says_what_was_expected_and_found(root: Path) -> None:
    with pytest.raises(InputError, match=f"is not a KITTI raw folder.*found {DRIVE}, calib_cam"):
        opened(root / DATE)


def test_a_point_goes_from_the_laser_by_way_of_rectification_to_the_picture(root: Path) -> None:
    """A thirtieth turn about the optical axis, after the laser's frame, before the pinhole."""
    angle = np.pi / 15
    c, s = np.cos(angle), np.sin(angle)
    turn = f"R_rect_00: {c:.9f} {-s:.9f} 0 {s:.9f} {c:.9f} 0 0 0 1"
    text = CAMERA_TEXT.replace("R_rect_00: 1 0 0 0 1 0 0 0 1", turn)
    write_calibration(root, camera=text, laser=LASER_TEXT.replace("T: 0 0", "T: 0.5 -0.25"))
    write_scan(root, 3, [(8.25, -1.0, 0.5)])
    x, y, z = 1.0 + 0.5, -0.5 - 0.25, 8.25 - 0.25
    u, v = 50 * (c * x - s * y) / z + 29, 50 * (s * x + c * y) / z + 21
    valid = opened(root).truth(ID.format(3)).depth_valid
    assert valid is not None
    assert np.argwhere(valid).tolist() == [[round(v), round(u)]]


@pytest.mark.parametrize("missing", ["P_rect_02", "R_rect_00", "S_rect_02"])
def test_a_calibration_without_an_entry_names_it(root: Path, missing: str) -> None:
    write_calibration(root, camera=CAMERA_TEXT.replace(missing, "P_other"))
    dataset = opened(root)
    with pytest.raises(
        InputError, match=f"calib_cam_to_cam.txt: the entry '{missing}:' is missing"
    ):
        dataset.truth(dataset.ids[0])


def test_a_camera_that_is_none_is_told_with_its_file(root: Path) -> None:
    write_calibration(root, camera=CAMERA_TEXT.replace("P_rect_02: 5.0e+01", "P_rect_02: 0"))
    dataset = opened(root)
    with pytest.raises(InputError, match=r"calib_cam_to_cam\.txt: .*focal"):
        dataset.truth(dataset.ids[0])


def test_a_calibration_with_too_few_numbers_says_so(root: Path) -> None:
    write_calibration(root, laser=LASER_TEXT.replace("T: 0 0", "T: 0"))
    dataset = opened(root)
    with pytest.raises(
        InputError, match=r"calib_velo_to_cam\.txt: the entry 'T:' has 2 numbers, expected 3"
    ):
        dataset.truth(dataset.ids[0])


def test_a_scan_cut_short_stops_its_image_alone(root: Path) -> None:
    scan = root / DATE / DRIVE / "velodyne_points" / "data" / "0000000003.bin"
    scan.write_bytes(scan.read_bytes()[:-1])
    dataset = opened(root)
    with pytest.raises(InputError, match="15 bytes"):
        dataset.truth(ID.format(3))
    assert dataset.truth(ID.format(5)).depth is not None


def test_an_id_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(InputError, match="has no image 'kitchen'"):
        opened(root).truth("kitchen")


def test_it_can_be_sent_to_another_process(root: Path) -> None:
    dataset = opened(root)
    again = pickle.loads(pickle.dumps(dataset))
    assert again.ids == dataset.ids
    assert again.truth(again.ids[0]).id == dataset.ids[0]


def test_the_real_drive_has_five_scans_of_which_the_laser_fits_the_road(data_folder: Path) -> None:
    dataset = opened(data_folder / "kitti_raw")
    assert (len(dataset), dataset.absent) == (5, ())
    for sample in dataset:
        assert sample.depth is not None
        assert sample.depth_valid is not None
        assert sample.camera is not None
        near, far = np.percentile(sample.depth[sample.depth_valid], (0, 100))
        assert 2.5 < near < 4
        assert 70 < far < 80
        assert 0.03 < sample.depth_valid.mean() < 0.04
        # The road right before the car: y = (v - cy) z / fy is the camera's height, 1.65 m.
        v, u = np.nonzero(sample.depth_valid)
        low = (v > 340) & (abs(u - 609) < 100)
        K = sample.camera.K
        height = (v[low] - K[1, 2]) * sample.depth[v[low], u[low]] / K[1, 1]
        assert np.median(height) == pytest.approx(1.65, abs=0.1)
