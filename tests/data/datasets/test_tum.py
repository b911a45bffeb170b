"""TUM RGB-D: sequences written to its file formats, a real one, and what users get wrong."""

import math
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.data.datasets.sets.tum import associate, read_trajectory
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import CameraSource
from support.png_bytes import write_grey16, write_rgb8

SHAPE = (32, 40)


HALF = math.sqrt(0.5)


def write_sequence(
    folder: Path,
    *,
    colour: tuple[float, ...] = (10.0, 10.03),
    depth: tuple[float, ...] = (10.012, 10.031),
    path: str | None = "10.001 1 2 3 0 0 0 1\n10.035 4 5 6 0 0 0.7071 0.7071\n",
    bag: str = "rgbd_dataset_freiburg2_desk.bag",
) -> Path:
    """Depth of the picture at index i is i + 1 metres but for a hole."""
    head = f"# color images\n# file: '{bag}'\n# timestamp filename\n"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, times in (("rgb", colour), ("depth", depth)):
        lines = [f"{time:.6f} {kind}/{time:.6f}.png\n" for time in times]
        (folder / f"{kind}.txt").write_text(head + "".join(lines))
    for i, time in enumerate(colour):
        write_rgb8(folder / "rgb" / f"{time:.6f}.png", np.full((*SHAPE, 3), (i, 50, 60)))
    for i, time in enumerate(depth):
        stored = np.full(SHAPE, 5000 * (i + 1))
        stored[3, 4] = 0
        write_grey16(folder / "depth" / f"{time:.6f}.png", stored)
    if path is not None:
        (folder / "groundtruth.txt").write_text(head + path)
    return folder


def opened(root: Path, list_file: Path | None = None) -> Dataset:
    return open_dataset("tum", root, list_file=list_file)


def test_colour_goes_with_the_depth_nearest_in_time(tmp_path: Path) -> None:
    dataset = opened(write_sequence(tmp_path))
    assert dataset.ids == ("rgb/10.000000", "rgb/10.030000")
    sample = dataset[1]
    assert sample.image[0, 0].tolist() == [1, 50, 60]
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.depth[sample.depth_valid].tolist() == [2.0] * (32 * 40 - 1)
    assert not sample.depth_valid[3, 4]


def test_the_pose_takes_the_camera_to_the_world(tmp_path: Path) -> None:
    """A quarter turn about z takes x to y."""
    first, second = opened(write_sequence(tmp_path))
    assert first.world_T_cam is not None
    assert second.world_T_cam is not None
    np.testing.assert_allclose(first.world_T_cam @ [1, 0, 0, 1], [2, 2, 3, 1])
    np.testing.assert_allclose(second.world_T_cam @ [1, 0, 0, 1], [4, 6, 6, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("quaternion", "x_goes_to"),
    [
        ((HALF, 0, 0, HALF), (1, 0, 0)),
        ((0, HALF, 0, HALF), (0, 0, -1)),
        ((0.5, 0.5, 0.5, 0.5), (0, 1, 0)),
        ((0, 0, 1, 0), (-1, 0, 0)),
    ],
)
def test_quaternions_end_with_their_real_part(
    tmp_path: Path, quaternion: tuple[float, ...], x_goes_to: tuple[int, ...]
) -> None:
    numbers = " ".join(f"{number:.6f}" for number in quaternion)
    sample = opened(write_sequence(tmp_path, path=f"10.0 0 0 0 {numbers}\n"))[0]
    assert sample.world_T_cam is not None
    np.testing.assert_allclose(sample.world_T_cam[:3, 0], x_goes_to, atol=1e-5)


def hamilton(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The product of two quaternions (x, y, z, w)."""
    vector = p[3] * q[:3] + q[3] * p[:3] + np.cross(p[:3], q[:3])
    return np.append(vector, p[3] * q[3] - p[:3] @ q[:3])


@given(seed=st.integers(0, 2**32 - 1))
def test_a_pose_turns_vectors_as_its_quaternion_does(seed: int) -> None:
    q = np.random.default_rng(seed).normal(size=4)
    q /= np.linalg.norm(q)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "groundtruth.txt"
        path.write_text("10.0 0 0 0 " + " ".join(f"{number:.12f}" for number in q))
        pose = read_trajectory(path).nearest_pose(10.0)
    assert pose is not None
    for axis in np.eye(3):
        turned = hamilton(hamilton(q, np.append(axis, 0)), q * (-1, -1, -1, 1))
        np.testing.assert_allclose(pose[:3, :3] @ axis, turned[:3], atol=1e-9)


def test_moments_that_the_path_does_not_cover_have_no_pose(tmp_path: Path) -> None:
    dataset = opened(write_sequence(tmp_path, path="10.05 0 0 0 0 0 0 1\n9.99 0 0 0 0 0 0 1\n"))
    assert [dataset.truth(id).world_T_cam is None for id in dataset.ids] == [False, True]
    assert opened(write_sequence(tmp_path / "hidden", path=None))[0].world_T_cam is None


@pytest.mark.parametrize(
    ("bag", "folder", "fx", "source"),
    [
        ("rgbd_dataset_freiburg1_desk.bag", "x", 517.3, CameraSource.GIVEN),
        ("rgbd_dataset_freiburg2_desk.bag", "freiburg1", 520.9, CameraSource.GIVEN),
        ("rgbd_dataset_freiburg3_desk.bag", "x", 535.4, CameraSource.GIVEN),
        ("mine.bag", "tum_fr3_mine", 535.4, CameraSource.GIVEN),
        ("mine.bag", "mine", 525.0, CameraSource.ASSUMED),
    ],
)
def test_the_room_tells_the_camera(
    tmp_path: Path, bag: str, folder: str, fx: float, source: CameraSource
) -> None:
    camera = opened(write_sequence(tmp_path / folder, bag=bag))[0].camera
    assert camera is not None
    assert (camera.K[0, 0], camera.source) == (fx, source)


def test_colour_without_depth_near_in_time_is_absent(tmp_path: Path) -> None:
    dataset = opened(write_sequence(tmp_path, depth=(10.012,)))
    assert dataset.ids == ("rgb/10.000000",)
    (absent,) = dataset.absent
    assert absent.reason == "no unused depth map is within 0.02 s of this image"


def test_listed_files_that_are_not_there_are_absent(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path)
    (folder / "rgb" / "10.000000.png").unlink()
    (folder / "depth" / "10.031000.png").unlink()
    dataset = opened(folder)
    assert dataset.ids == ()
    assert [each.reason for each in dataset.absent] == [
        f"{folder}/rgb/10.000000.png is missing",
        f"{folder}/depth/10.031000.png is missing",
    ]


def test_a_folder_of_sequences_is_read_in_order(tmp_path: Path) -> None:
    write_sequence(tmp_path / "rgbd_dataset_freiburg3_b", bag="rgbd_dataset_freiburg3_b.bag")
    write_sequence(tmp_path / "rgbd_dataset_freiburg1_a", bag="rgbd_dataset_freiburg1_a.bag")
    dataset = opened(tmp_path)
    assert dataset.ids[0] == "rgbd_dataset_freiburg1_a/rgb/10.000000"
    assert [sample.camera.K[0, 0] for sample in dataset if sample.camera] == [517.3] * 2 + [
        535.4
    ] * 2


def test_a_list_as_associate_py_prints_it_replaces_our_association(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "freiburg1")
    mine = tmp_path / "mine.txt"
    pair = "10.03 {0}rgb/10.030000.png 10.012 {0}depth/10.012000.png"
    mine.write_text(pair.format("") + " 10.0 1 2 3 0 0 0 1\n")
    sample = opened(folder, mine)[0]
    assert sample.id == "rgb/10.030000"
    assert sample.depth is not None
    assert sample.depth[0, 0] == 1.0
    mine.write_text(pair.format("freiburg1/") + "\n")
    above = opened(tmp_path, mine)[0]
    assert above.id == "freiburg1/rgb/10.030000"
    assert above.world_T_cam is not None
    assert above.world_T_cam[:3, 3].tolist() == [4, 5, 6]


def test_a_wrong_root_says_what_was_expected_and_found(tmp_path: Path) -> None:
    write_sequence(tmp_path)
    with pytest.raises(InputError, match=r"a sequence with rgb.txt.*found 10.000000.png, 10.03"):
        opened(tmp_path / "rgb")


def test_a_sequence_without_its_depth_list_says_so(tmp_path: Path) -> None:
    (write_sequence(tmp_path) / "depth.txt").unlink()
    with pytest.raises(InputError, match=r"depth\.txt: no such file"):
        opened(tmp_path)


@pytest.mark.parametrize("line", ["rgb/10.png", "now rgb/10.png", "nan rgb/10.png", "1 a b"])
def test_a_line_of_a_list_that_makes_no_sense_is_named(tmp_path: Path, line: str) -> None:
    path = write_sequence(tmp_path) / "rgb.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError, match=r"rgb\.txt: line 6 is '"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "line", ["10 1 2 3 0 0 0", "10 1 2 3 0 0 0 nan", "10 1 2 3 0 0 0 0", "10 1 2 3 1 1 1 1"]
)
def test_a_pose_that_makes_no_sense_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"groundtruth\.txt: line 5 is '10 1 2 3"):
        opened(write_sequence(tmp_path, path=f"1 0 0 0 0 0 0 1\n{line}\n"))


def test_lists_do_not_lead_out_of_the_root(tmp_path: Path) -> None:
    (write_sequence(tmp_path / "s") / "rgb.txt").write_text("10.0 ../s/rgb/10.000000.png\n")
    with pytest.raises(InputError, match="must be a relative path"):
        opened(tmp_path / "s")


def test_depth_that_is_cut_short_is_said_in_one_line(tmp_path: Path) -> None:
    path = write_sequence(tmp_path) / "depth" / "10.012000.png"
    path.write_bytes(path.read_bytes()[:90])
    dataset = opened(tmp_path)
    with pytest.raises(InputError, match=r"10\.012000\.png: .* truncated"):
        dataset.truth(dataset.ids[0])


def exhaustive(colour: list[float], depth: list[float]) -> list[int | None]:
    """Take the nearest pair of all that are left, again and again."""
    partner: list[int | None] = [None] * len(colour)
    left = {(i, j) for i in range(len(colour)) for j in range(len(depth))}
    while left:
        i, j = min(left, key=lambda ij: (abs(colour[ij[0]] - depth[ij[1]]), colour[ij[0]]))
        if abs(colour[i] - depth[j]) >= 0.02:
            break
        partner[i] = j
        left = {(a, b) for a, b in left if a != i and b != j}
    return partner


@given(seed=st.integers(0, 2**32 - 1))
def test_association_takes_the_nearest_pair_that_is_left(seed: int) -> None:
    rng = np.random.default_rng(seed)
    colour, depth = (rng.uniform(0, 0.3, rng.integers(0, 14)).tolist() for _ in range(2))
    assert associate(colour, depth) == exhaustive(colour, depth)


def test_association_minds_no_order_of_the_depth_list() -> None:
    colour, depth = [1.0, 1.03, 1.06], [1.011, 1.019, 1.05]
    for order in permutations(range(3)):
        found = associate(colour, [depth[k] for k in order])
        assert [None if j is None else order[j] for j in found] == [0, 1, 2]


def test_twenty_milliseconds_are_already_too_far() -> None:
    assert associate([0.0], [0.02]) == [None]
    assert associate([0.02], [0.0]) == [None]
    assert associate([0.0], [0.0199]) == [0]
