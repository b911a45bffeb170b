"""7-Scenes: scenes written to its layout, a real sequence, and what users get wrong."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.data.datasets.sets.seven_scenes import register_depth
from rilievo.errors import InputError
from rilievo.records.sample import Sample
from support.png_bytes import write_grey16, write_rgb8

SHAPE = (480, 640)
POSE = "0 -1 0 1\n1 0 0 2\n0 0 1 3\n0 0 0 1\n"


def write_frame(folder: Path, index: int, stored: np.ndarray | None = None) -> None:
    """Pixels alike, so that they are quick to write; the readers do not mind."""
    stem = f"frame-{index:06d}"
    write_rgb8(folder / f"{stem}.color.png", np.full((32, 32, 3), (index, 50, 60)))
    write_grey16(
        folder / f"{stem}.depth.png", np.full((32, 32), 2000) if stored is None else stored
    )
    (folder / f"{stem}.pose.txt").write_text(POSE)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Three sequences of one or two frames; the second and third are the test's."""
    scene = tmp_path / "redkitchen"
    for sequence, indices in (("seq-01", (0,)), ("seq-02", (0, 1)), ("seq-03", (0,))):
        for index in indices:
            write_frame(scene / sequence, index)
    (scene / "TestSplit.txt").write_text("sequence3\r\nsequence2\r\n")
    (scene / "TrainSplit.txt").write_text("sequence1\n")
    return scene


def opened(
    root: Path, split: str = "all", variant: str | None = None, list_file: Path | None = None
) -> Dataset:
    return open_dataset("seven-scenes", root, split=split, variant=variant, list_file=list_file)


def test_a_split_is_the_sequences_that_the_scene_lists(scene: Path) -> None:
    assert opened(scene, "test").ids == (
        "seq-03/frame-000000",
        "seq-02/frame-000000",
        "seq-02/frame-000001",
    )
    assert opened(scene, "train").ids == ("seq-01/frame-000000",)
    assert len(opened(scene, "all")) == 4


def test_several_scenes_are_read_by_name(scene: Path) -> None:
    write_frame(scene.parent / "chess" / "seq-05", 7)
    (scene.parent / "chess" / "TrainSplit.txt").write_text("sequence5\n")
    assert opened(scene.parent, "train").ids == (
        "chess/seq-05/frame-000007",
        "redkitchen/seq-01/frame-000000",
    )


def test_one_sequence_is_a_bare_folder_of_frames(scene: Path) -> None:
    assert opened(scene / "seq-02").ids == ("frame-000000", "frame-000001")
    with pytest.raises(InputError, match="has no split 'test'; choose the split 'all'"):
        opened(scene / "seq-02", "test")


def test_a_list_names_frames_below_the_root(scene: Path) -> None:
    mine = scene / "mine.txt"
    mine.write_text("seq-02/frame-000001\nseq-01/frame-000009\n")
    dataset = opened(scene, "test", list_file=mine)
    assert dataset.ids == ("seq-02/frame-000001",)
    assert [each.id for each in dataset.absent] == ["seq-01/frame-000009"]


def test_a_sequence_that_is_not_unpacked_is_absent(scene: Path) -> None:
    (scene / "TestSplit.txt").write_text("sequence2\nsequence4\n")
    dataset = opened(scene, "test")
    assert len(dataset) == 2
    assert [each.id for each in dataset.absent] == ["seq-04"]
    assert "extract its zip file" in dataset.absent[0].reason


@pytest.mark.parametrize("part", ["color", "depth"])
def test_frames_without_a_partner_are_absent(scene: Path, part: str) -> None:
    (scene / "seq-02" / f"frame-000000.{part}.png").unlink()
    dataset = opened(scene / "seq-02")
    assert dataset.ids == ("frame-000001",)
    assert dataset.absent[0].reason.endswith(f"frame-000000.{part}.png is missing")


def test_millimetres_become_metres_and_two_numbers_mean_unknown(tmp_path: Path) -> None:
    stored = np.full(SHAPE, 1500)
    stored[100, 200], stored[101, 201], stored[102, 202] = 0, 65535, 1
    write_frame(tmp_path, 0, stored)
    truth = opened(tmp_path, variant="raw").truth("frame-000000")
    assert truth.depth is not None
    assert truth.depth_valid is not None
    assert np.argwhere(~truth.depth_valid).tolist() == [[100, 200], [101, 201]]
    assert (truth.depth[0, 0], truth.depth[102, 202]) == (1.5, np.float32(0.001))
    assert truth.camera is not None
    assert truth.camera.K.tolist() == [[585, 0, 320], [0, 585, 240], [0, 0, 1]]


def test_the_pose_takes_the_camera_to_the_world(tmp_path: Path) -> None:
    write_frame(tmp_path, 0, np.full(SHAPE, 1500))
    truth = opened(tmp_path).truth("frame-000000")
    assert truth.world_T_cam is not None
    assert (truth.world_T_cam @ [1, 0, 0, 1]).tolist() == [1, 3, 3, 1]
    (tmp_path / "frame-000000.pose.txt").unlink()
    assert opened(tmp_path).truth("frame-000000").world_T_cam is None


def test_registered_depth_is_read_where_the_rays_of_colour_meet_it(tmp_path: Path) -> None:
    """Every 40th pixel by its ray: (u - 320) / 535 of colour is (x - 320) / 585 of depth."""
    stored = np.arange(480 * 640, dtype=np.int64).reshape(SHAPE) % 65000 + 1
    write_frame(tmp_path, 0, stored)
    truth = opened(tmp_path).truth("frame-000000")
    assert truth.camera is not None
    assert truth.depth is not None
    assert truth.depth_valid is not None
    assert truth.camera.K.tolist() == [[535, 0, 320], [0, 535, 240], [0, 0, 1]]
    for v in range(0, 480, 40):
        for u in range(0, 640, 40):
            row, column = (v - 240) / 535 * 585 + 240, (u - 320) / 535 * 585 + 320
            inside = -0.5 < row < 479.5 and -0.5 < column < 639.5
            assert truth.depth_valid[v, u] == inside
            if inside:
                expected = stored[int(row + 0.5), int(column + 0.5)] / 1000
                assert truth.depth[v, u] == pytest.approx(expected, rel=1e-6)


def test_registering_keeps_the_middle_and_loses_the_sides_of_colour() -> None:
    stored = np.full(SHAPE, 700, np.uint16)
    stored[240, 320] = 900
    registered = register_depth(stored)
    assert registered[240, 320] == 900
    # 27.4 of 320 columns are more than the depth camera sees, as 535 / 585 is 0.9145.
    assert np.flatnonzero(registered[240]).tolist() == list(range(27, 613))
    assert not registered[20, 320]


def test_a_wrong_root_says_what_was_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / "chess.zip").touch()
    with pytest.raises(InputError, match=r"expected scenes .*seq-01.*found chess\.zip"):
        opened(tmp_path)


def test_a_scene_without_the_list_of_a_split_says_so(scene: Path) -> None:
    (scene / "TestSplit.txt").unlink()
    with pytest.raises(InputError, match=r"TestSplit\.txt: no such file"):
        opened(scene, "test")


def test_a_line_of_a_split_that_makes_no_sense_is_named(scene: Path) -> None:
    (scene / "TestSplit.txt").write_text("sequence2\nthe rest\n")
    with pytest.raises(
        InputError, match=r"TestSplit\.txt: line 2 is 'the rest'; expected a name such as 'seq"
    ):
        opened(scene, "test")


@pytest.mark.parametrize(
    "text", ["1 0 0 0", POSE.replace("3", "nan"), POSE.replace("-1", "-2"), "a pose"]
)
def test_a_pose_that_is_none_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    write_frame(tmp_path, 0, np.full(SHAPE, 1500))
    (tmp_path / "frame-000000.pose.txt").write_text(text)
    with pytest.raises(InputError, match=r"pose\.txt: contains '.*a pose as a 4x4 matrix"):
        opened(tmp_path).truth("frame-000000")


def test_depth_of_another_size_is_refused(scene: Path) -> None:
    with pytest.raises(InputError, match=r"has the shape \(32, 32\), expected \(480, 640\)"):
        opened(scene).truth("seq-01/frame-000000")


def test_depth_that_is_cut_short_is_said_in_one_line(scene: Path) -> None:
    path = scene / "seq-01" / "frame-000000.depth.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"frame-000000\.depth\.png: .* truncated"):
        opened(scene).truth("seq-01/frame-000000")


def warped_difference(first: Sample, second: Sample) -> float:
    """Mean difference of grey levels between the first picture and the second, warped onto it."""
    assert first.depth is not None
    assert first.depth_valid is not None
    assert first.camera is not None
    assert first.world_T_cam is not None
    assert second.world_T_cam is not None
    K = first.camera.K
    v, u = np.nonzero(first.depth_valid)
    z = first.depth[v, u]
    points = np.stack(
        [(u - K[0, 2]) / K[0, 0] * z, (v - K[1, 2]) / K[1, 1] * z, z, np.ones(len(z))]
    )
    x, y, depth, _ = np.linalg.inv(second.world_T_cam) @ first.world_T_cam @ points
    c, r = np.rint(K[0, 0] * x / depth + K[0, 2]), np.rint(K[1, 1] * y / depth + K[1, 2])
    seen = (depth > 0.1) & (c >= 0) & (c < 640) & (r >= 0) & (r < 480)
    there = second.image[r[seen].astype(int), c[seen].astype(int)].mean(axis=1)
    return float(abs(there - first.image[v[seen], u[seen]].mean(axis=1)).mean())


@pytest.mark.slow
def test_on_real_frames_registered_depth_explains_the_next_picture_better(
    data_folder: Path,
) -> None:
    root = data_folder / "7scenes_redkitchen"
    registered, raw = opened(root), opened(root, variant="raw")
    assert (len(registered), registered.absent) == (80, ())
    differences = np.array(
        [
            [warped_difference(of[i], of[i + 15]) for of in (registered, raw)]
            for i in (0, 15, 30, 45, 60)
        ]
    )
    assert (differences[:, 0] < differences[:, 1]).sum() >= 4
    assert differences[:, 0].mean() < 0.95 * differences[:, 1].mean()
