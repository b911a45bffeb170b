"""Files of datasets that lie: found by the campaign, made small, and kept."""

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from lab.making.distil.frames.shards import read_shard
from rilievo.data.clips.pose_files import read_poses
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.colmap import read_images
from rilievo.data.datasets.mat_file import Hdf5MatFile, read_mat
from rilievo.data.datasets.pickled_arrays import read_gzip_pickle
from rilievo.data.datasets.sets.kitti_calibration import read_camera
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.training.sweep.sweep_config import read_sweep

HUGE = "9" * 30
SECRET = "what else lies on the disk"


def mat(path: Path) -> h5py.File:
    return h5py.File(path, "w", userblock_size=512)


def refusal_of_depths(path: Path) -> str:
    with pytest.raises(InputError) as whole:
        read_mat(path, "depths")
    with pytest.raises(InputError):
        Hdf5MatFile(path).slice("depths", 0)
    return str(whole.value)


def test_numbers_that_lie_in_another_file_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET * 10)
    with mat(tmp_path / "x.mat") as file:
        kept = [(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("depths", (2, 8), "u1", external=kept)
    assert "is stored in another file" in refusal_of_depths(tmp_path / "x.mat")


def test_a_link_to_another_file_is_not_followed(tmp_path: Path) -> None:
    with mat(tmp_path / "other.mat") as file:
        file["depths"] = np.ones((2, 8))
    with mat(tmp_path / "x.mat") as file:
        file["depths"] = h5py.ExternalLink("other.mat", "/depths")
    assert "is stored in another file" in refusal_of_depths(tmp_path / "x.mat")


def test_an_array_pieced_together_from_other_files_is_not_read(tmp_path: Path) -> None:
    with mat(tmp_path / "other.mat") as file:
        file["depths"] = np.ones((2, 8))
    layout = h5py.VirtualLayout((2, 8), "f8")
    layout[...] = h5py.VirtualSource(str(tmp_path / "other.mat"), "depths", (2, 8))
    with mat(tmp_path / "x.mat") as file:
        file.create_virtual_dataset("depths", layout)
    assert "is stored in another file" in refusal_of_depths(tmp_path / "x.mat")


def test_an_array_larger_than_any_memory_is_one_line(tmp_path: Path) -> None:
    with mat(tmp_path / "x.mat") as file:
        file.create_dataset("depths", (10, 20_000, 20_000), "f4", chunks=(1, 20, 20))
    with pytest.raises(InputError, match=r"would take 14\.9 GiB of memory"):
        read_mat(tmp_path / "x.mat", "depths")


def test_an_array_without_entries_and_a_group_are_one_line(tmp_path: Path) -> None:
    with mat(tmp_path / "x.mat") as file:
        file.create_dataset("depths", (0, 3), "f4")
        file.create_group("group")
    with pytest.raises(InputError, match=r"entry 0 of .* cannot be read"):
        Hdf5MatFile(tmp_path / "x.mat").slice("depths", 0)
    with pytest.raises(InputError, match="it is not an array"):
        Hdf5MatFile(tmp_path / "x.mat").whole("group")


@pytest.mark.parametrize("pose", ["0 0 0 0 0 0 5", "nan 0 0 0 0 0 5", "1 0 0 0 1e308 0 1e308"])
def test_a_pose_that_is_no_rotation_and_place_is_refused(tmp_path: Path, pose: str) -> None:
    (tmp_path / "images.txt").write_text(f"1 {pose} 3 A.JPG\n")
    with pytest.raises(InputError, match="line 1"):
        list(read_images(tmp_path / "images.txt"))


def test_a_focal_length_beyond_the_moon_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calib_cam_to_cam.txt").write_text(
        "S_rect_02: 60 40\nP_rect_02: 1e300 0 29 0 0 50 21 0 0 0 1 0\nR_rect_00: 1 0 0 0 1 0 0 0 1"
    )
    with pytest.raises(InputError, match="P_rect_02"):
        read_camera(tmp_path, "image_02")


def test_a_camera_of_no_width_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rilievo.yaml").write_text(
        "camera: {fx: 40, fy: 40, cx: 20, cy: 20, width: 0, height: 36}\n"
    )
    with pytest.raises(InputError, match="width and height must be positive"):
        open_dataset("folder", tmp_path)


def test_seconds_of_a_sequence_number_are_not_spent_on_its_digits(tmp_path: Path) -> None:
    (tmp_path / "seq-01").mkdir()
    (tmp_path / "seq-01" / "frame-000000.color.png").touch()
    (tmp_path / "TestSplit.txt").write_text(f"sequence{'9' * 5000}\n")
    with pytest.raises(InputError, match="line 1"):
        open_dataset("seven-scenes", tmp_path, split="test")


def test_a_pickle_that_promises_more_bytes_than_there_can_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl.gz"
    path.write_bytes(gzip.compress(b"\x80\x05\x8e" + b"\xff" * 8 + b"x."))
    with pytest.raises(InputError, match="not a valid gzip-compressed pickle"):
        read_gzip_pickle(path)


def test_numbers_too_large_for_depth_are_counted_not_warned_of(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((4, 5), 1e300))
    foreign = open_predictions(
        tmp_path,
        ["a"],
        value_encoding=ValueEncoding(number_kind=NumberKind.METRIC, scale=0.0),
        task=Task.DEPTH,
    )
    with pytest.raises(InputError, match="20 of 20 are NaN or infinite"):
        foreign.read("a")


def test_a_shard_whose_members_are_no_arrays_is_refused(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name in ("image", "log_depth", "normals"):
            archive.writestr(f"{name}.npy", b"no array")
    with pytest.raises(InputError, match="not a shard of rendered frames"):
        read_shard(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 50_000 + " = 1",
        "x = " + "[" * 50_000,
        "seeds = 2147483648",
        "x" * 200_000,
        "seeds = [1" + "0" * 5000 + "]",
    ],
)
def test_a_sweep_that_would_take_for_ever_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweep.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_sweep(tmp_path / "sweep.toml")
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


def test_an_archive_packed_by_a_method_that_its_bytes_are_not_of_is_refused(tmp_path: Path) -> None:
    """Method 14 is LZMA, whose errors are of a class of their own."""
    path = tmp_path / "a.npz"
    np.savez(path, depth=np.ones((4, 5)))
    content = bytearray(path.read_bytes())
    content[8] = content[content.rfind(b"PK\1\2") + 10] = 14
    path.write_bytes(content)
    foreign = open_predictions(
        tmp_path,
        ["a"],
        value_encoding=ValueEncoding(number_kind=NumberKind.METRIC),
        task=Task.DEPTH,
    )
    with pytest.raises(InputError, match=r"a\.npz: this npz file"):
        foreign.read("a")


@pytest.mark.parametrize("line", ["a.jpg a\0b/0.png", "a\0b/0.jpg a.png", ". a.png", "./ a.png"])
def test_a_list_may_name_what_no_file_is_called(line: str, tmp_path: Path) -> None:
    Image.new("RGB", (48, 36)).save(tmp_path / "a.jpg")
    (tmp_path / "list.txt").write_text(f"{line}\n")
    try:
        found = open_dataset("marigold-scannet", tmp_path, list_file=tmp_path / "list.txt")
    except InputError as error:
        assert str(error).startswith(str(tmp_path))  # noqa: PT017
    else:
        assert found.ids == ()


@pytest.mark.parametrize("row", [HUGE, f"-{HUGE}", "1e400", "1e30"])
def test_points_of_da2k_beyond_any_picture_are_refused(row: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (48, 36)).save(tmp_path / "images" / "a.jpg")
    pair = f'{{"point1": [{row}, 3], "point2": [6, 30], "closer_point": "point1"}}'
    (tmp_path / "annotations.json").write_text(f'{{"images/a.jpg": [{pair}]}}')
    with pytest.raises(InputError, match="point1, point2 and closer_point"):
        open_dataset("da2k", tmp_path)


@pytest.mark.parametrize("text", ["", '{"scannet": [', "[" * 100_000, "nothing"])
def test_a_list_of_videos_that_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "scannet_video.json").write_text(text)
    with pytest.raises(InputError, match=r"scannet_video\.json: "):
        open_dataset("vda-videos", tmp_path, split="scannet")


@pytest.mark.parametrize("place", [0, 5, 11])
def test_a_pose_of_numbers_beyond_all_floats_is_refused(place: int, tmp_path: Path) -> None:
    numbers = ["1", "0", "0", "0"] * 4
    numbers[place] = "9" * 400
    rows = ", ".join(f"[{', '.join(numbers[row : row + 4])}]" for row in (0, 4, 8, 12))
    path = tmp_path / "transforms.json"
    path.write_text(f'{{"frames": [{{"file_path": "0.png", "transform_matrix": [{rows}]}}]}}')
    with pytest.raises(InputError, match="4 x 4 finite numbers"):
        read_poses(path)
