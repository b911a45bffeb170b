"""Trajectories of clips: chained motions, files of KITTI and TUM, errors, what is refused."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from scipy.spatial.transform import Rotation

from rilievo.cli import main
from rilievo.data.clips.pose_files import read_poses_of_files
from rilievo.data.trajectories.motion_chain import MotionChain, fraction_of_motion
from rilievo.data.trajectories.records import (
    Trajectory,
    TrajectoryOptions,
    TrajectoryRecord,
    write_kitti,
    write_tum,
)
from rilievo.data.trajectories.run import estimate_trajectory
from rilievo.data.trajectories.scoring import score_trajectory
from rilievo.errors import InputError, ModelError, OptionError
from rilievo.io.json_record import from_json, to_json
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.network_motion import load_motion
from rilievo.training.adapters.run_models import VIDEO_FORMAT, VideoRunRecord
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.networks.video.video_networks import VideoNetworks, make_networks
from support.clips import Clip, write_clip
from support.footage import kitti_pose_lines, view, write_frames
from support.official_checkpoints import write_checkpoint

SIZE = (64, 96)
BLUEPRINT = VideoBlueprint(encoder="timm/test_resnet", pose=PoseKind.CNN, size=SIZE)
CPU = TrajectoryOptions(device="cpu")


def write_run(folder: Path, blueprint: VideoBlueprint = BLUEPRINT) -> VideoNetworks:
    """A run's folder with random weights, whose motion is not too small to tell apart."""
    networks = make_networks(blueprint, offsets=(-1, 1), seed=3)
    if networks.pose is not None:
        with torch.no_grad():
            networks.pose.pose_conv.weight.mul_(300)  # pyright: ignore[reportCallIssue]
    folder.mkdir()
    facts = VideoRunRecord(format=VIDEO_FORMAT, blueprint=blueprint)
    (folder / "config.json").write_text(to_json(facts))
    save_file(networks.state_dict(), folder / "weights.safetensors")
    return networks.eval()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run")
    return tmp_path / "run"


def true_motion(frames: list[Path], networks: VideoNetworks) -> np.ndarray:
    """The path by products of inverted matrices, two frames at a time."""
    pixels = [
        torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1)[None] / 255
        for path in frames
    ]
    pose, path = np.eye(4), [np.eye(4)]
    for one, other in itertools.pairwise(pixels):
        with torch.no_grad():
            turn, way = networks.pose(one, other)  # pyright: ignore[reportOptionalCall]
            unit = (0.01 + 9.99 * networks.depth(one)[0]).mean()
        motion = np.eye(4)
        motion[:3, :3] = Rotation.from_rotvec(turn[0].double().numpy()).as_matrix()
        motion[:3, 3] = (way[0] * unit).double().numpy()
        pose = pose @ np.linalg.inv(motion)
        path.append(pose)
    return np.stack(path)


def test_a_path_is_the_chain_of_the_networks_motions(tmp_path: Path) -> None:
    networks = write_run(tmp_path / "run")
    frames = write_frames(tmp_path / "clip", [0, 3, 6, 9, 12])
    found = estimate_trajectory(tmp_path / "run", tmp_path / "clip", CPU)
    expected = true_motion(frames, networks)
    assert np.abs(expected[-1] - np.eye(4)).max() > 1e-3
    np.testing.assert_allclose(found.poses, expected, atol=2e-6)
    assert found.names[1] == "000001.png"
    assert found.seconds.tolist() == [0, 1, 2, 3, 4]
    assert found.true is None


@pytest.mark.slow
def test_a_stride_uses_every_so_many_frames(run: Path, tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", [0, 3, 6, 9, 12])
    write_frames(tmp_path / "other", [0, 6, 12])
    found = estimate_trajectory(run, tmp_path / "clip", TrajectoryOptions(device="cpu", stride=2))
    other = estimate_trajectory(run, tmp_path / "other", CPU)
    np.testing.assert_array_equal(found.poses, other.poses)
    assert found.names == ("000000.png", "000002.png", "000004.png")


def test_a_broken_frame_is_one_line_and_lies_between_its_neighbours(
    run: Path, tmp_path: Path
) -> None:
    frames = write_frames(tmp_path / "clip", [0, 3, 6, 9])
    frames[1].write_bytes(b"nothing")
    found = estimate_trajectory(run, tmp_path / "clip", CPU)
    assert found.estimated.tolist() == [True, False, True, True]
    [note] = found.notes
    assert note.startswith("skipped: ")
    assert "000001.png" in note
    whole = found.poses[2]
    half = np.linalg.inv(found.poses[0]) @ found.poses[1]
    np.testing.assert_allclose(half[:3, 3], whole[:3, 3] / 2, atol=1e-12)
    np.testing.assert_allclose(half[:3, :3] @ half[:3, :3], whole[:3, :3], atol=1e-7)


def test_a_video_says_when_its_frames_were_taken(run: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", Clip(pictures=[view(3 * k) for k in range(5)]))
    (tmp_path / "true.txt").write_text(kitti_pose_lines([(k, 0, 0) for k in range(5)]))
    asked = TrajectoryOptions(device="cpu", stride=2, poses=tmp_path / "true.txt")
    found = estimate_trajectory(run, tmp_path / "clip.mp4", asked)
    np.testing.assert_allclose(found.seconds, [0, 2 / 30, 4 / 30], atol=1e-6)
    assert found.true is not None
    assert found.true[:, 0, 3].tolist() == [0, 2, 4]


@given(st.integers(0, 1000), st.floats(0, 1))
def test_two_parts_of_a_turn_make_the_whole(seed: int, share: float) -> None:
    motion = np.eye(4)
    motion[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    turns = [fraction_of_motion(motion, part) for part in (share, 1 - share)]
    np.testing.assert_allclose(turns[0] @ turns[1], motion, atol=1e-9)


def test_frames_missing_at_both_ends_stand_where_the_path_does() -> None:
    chain, motion = MotionChain(), np.eye(4)
    motion[2, 3] = -1.0
    chain.add_unusable_frame()
    chain.add_usable_frame(None)
    chain.add_usable_frame(motion)
    chain.add_unusable_frame()
    assert chain.poses[:, 2, 3].tolist() == [0, 0, 1, 1]
    assert chain.estimated.tolist() == [False, True, True, False]


def some_path(frames: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3] = Rotation.random(frames, random_state=seed).as_matrix()
    poses[:, :3, 3] = random.normal(size=(frames, 3)) * 100
    return poses


def test_files_come_back_by_the_formats_own_readers(tmp_path: Path) -> None:
    poses = some_path(6)
    poses[0] = np.eye(4)
    names = [Path(f"{k + 0.25:.6f}.png") for k in range(6)]
    write_kitti(tmp_path / "poses.txt", poses)
    write_tum(tmp_path / "trajectory.txt", np.arange(6) + 0.25, poses)
    np.testing.assert_allclose(read_poses_of_files(tmp_path / "poses.txt", names), poses, atol=1e-6)
    np.testing.assert_allclose(
        read_poses_of_files(tmp_path / "trajectory.txt", names), poses, atol=1e-6
    )
    rows = np.loadtxt(tmp_path / "trajectory.txt")
    np.testing.assert_allclose(
        Rotation.from_quat(rows[:, 4:]).as_matrix(), poses[:, :3, :3], atol=1e-7
    )
    assert np.loadtxt(tmp_path / "poses.txt").shape == (6, 12)


def told(poses: np.ndarray, true: np.ndarray | None, *, metric: bool = False) -> Trajectory:
    count = len(poses)
    return Trajectory(
        names=("frame",) * count,
        seconds=np.arange(count, dtype=np.float64),
        poses=poses,
        estimated=np.ones(count, dtype=bool),
        metric=metric,
        true=true,
    )


def test_a_path_right_up_to_scale_has_no_error_but_in_metres() -> None:
    true = some_path(8)
    true = np.linalg.inv(true[0]) @ true
    half = true.copy()
    half[:, :3, 3] /= 2
    scores = score_trajectory(told(half, true))
    assert scores is not None
    assert scores.scale == pytest.approx(2)
    assert scores.snippets == 4
    assert scores.snippet_mean == pytest.approx(0, abs=1e-9)
    assert scores.rmse_scale == pytest.approx(0, abs=1e-9)
    assert scores.frame_translation == pytest.approx(0, abs=1e-9)
    assert scores.part_translation == pytest.approx(0, abs=1e-9)
    assert scores.rmse_origin is None
    in_metres = score_trajectory(told(half, true, metric=True))
    assert in_metres is not None
    assert in_metres.rmse_origin == pytest.approx(np.sqrt(np.mean(half[:, :3, 3] ** 2) * 3))
    assert in_metres.part_translation is not None
    assert in_metres.part_translation > 0.3


def test_parts_between_cuts_are_scored_each_with_its_own_scale() -> None:
    """Each part is right up to a scale and a pose of its own; as one path it is far off."""
    true = some_path(20)
    true = np.linalg.inv(true[0]) @ true
    poses = true.copy()
    poses[:8, :3, 3] /= 2
    poses[8:] = np.linalg.inv(true[8]) @ true[8:]
    poses[8:, :3, 3] /= 5
    parts = np.repeat([0, 1, 2], [8, 10, 2])
    scores = score_trajectory(replace(told(poses, true), parts=parts))
    assert scores is not None
    assert (scores.pieces, scores.frames) == (2, 18)
    assert scores.scale == pytest.approx(5)
    assert scores.snippets == 4 + 6
    # Fitted from its first pose, a part has no error wherever it begins.
    for error in (scores.rmse_similarity, scores.snippet_mean, scores.frame_translation):
        assert error == pytest.approx(0, abs=1e-6)
    assert scores.direction == pytest.approx(0, abs=1e-4)
    whole = score_trajectory(told(poses, true))
    assert whole is not None
    assert (whole.pieces, whole.frames) == (1, 20)
    assert whole.rmse_similarity > 10


def test_without_truth_or_motion_there_are_no_scores() -> None:
    path = some_path(4)
    assert score_trajectory(told(path, None)) is None
    assert score_trajectory(told(path, np.tile(np.eye(4), (4, 1, 1)))) is None
    unknown = np.full((4, 4, 4), np.nan)
    unknown[0] = np.eye(4)
    assert score_trajectory(told(path, unknown)) is None


@pytest.mark.slow
def test_the_command_writes_poses_a_picture_and_errors(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_frames(tmp_path / "clip", [0, 3, 6, 9, 12, 15])
    (tmp_path / "clip" / "poses.txt").write_text(
        kitti_pose_lines([(0.1 * k, 0.0, 7.0) for k in range(6)])
    )
    out = tmp_path / "out"
    command = ["trajectory", str(tmp_path / "clip"), "--model", str(run), "-o", str(out)]
    command += ["--device", "cpu"]
    code = main(command)
    printed = capsys.readouterr().out
    assert "ground truth: 6 frames over 0.50 m" in printed
    assert "ATE-5 of positions: " in printed
    assert "over 2 snippets" in printed
    assert "ATE-5 as Monodepth2 computes it: " in printed
    assert "over 5 snippets" in printed
    assert "segments of 100" not in printed
    record = from_json(TrajectoryRecord, (out / "trajectory.json").read_text())
    assert record.scores is not None
    # A path that goes the other way says so, with an exit code of its own.
    assert code == (1 if record.scores.scale < 0 else 0)
    assert ("the estimate is mirrored" in printed) is (record.scores.scale < 0)
    assert record.scores.snippets == 2
    assert len((out / "poses.txt").read_text().splitlines()) == 6
    with Image.open(out / "trajectory.png") as picture:
        assert picture.width == picture.height


@pytest.mark.slow
def test_a_mirrored_path_is_said_to_be_one(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same frames with truth that goes to either side: one of both is mirrored."""
    write_frames(tmp_path / "clip", [0, 3, 6, 9, 12, 15])
    codes, scales = [], []
    for sign in (1, -1):
        lines = kitti_pose_lines([(sign * 0.1 * k, 0.0, 7.0) for k in range(6)])
        (tmp_path / "clip" / "poses.txt").write_text(lines)
        out = tmp_path / f"out{sign}"
        command = ["trajectory", str(tmp_path / "clip"), "--model", str(run), "-o", str(out)]
        codes.append(main([*command, "--device", "cpu"]))
        record = from_json(TrajectoryRecord, (out / "trajectory.json").read_text())
        assert record.scores is not None
        scales.append(record.scores.scale)
        assert ("the estimate is mirrored" in capsys.readouterr().out) is (scales[-1] < 0)
    assert scales[0] * scales[1] < 0
    assert sorted(codes) == [0, 1]


def test_a_sequence_of_kitti_odometry_finds_its_own_poses(run: Path, tmp_path: Path) -> None:
    sequence = tmp_path / "odometry" / "sequences" / "09"
    write_frames(sequence / "image_2", [0, 3, 6])
    row = "80 0 47.5 {} 0 80 31.5 0 0 0 1 0"
    (sequence / "calib.txt").write_text(f"P2: {row.format(4.8)}\nP3: {row.format(-38)}\n")
    (tmp_path / "odometry" / "poses").mkdir()
    (tmp_path / "odometry" / "poses" / "09.txt").write_text(
        kitti_pose_lines([(0, 0, 0), (0, 0, 1), (0, 0, 2)])
    )
    found = estimate_trajectory(run, sequence, CPU)
    assert found.true is not None
    assert found.true[:, 2, 3].tolist() == pytest.approx([0, 1, 2])


@pytest.mark.slow
def test_official_checkpoints_say_motion_and_stereo_ones_in_metres(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "mono", size=SIZE)
    write_checkpoint(tmp_path / "both", size=SIZE, stereo=True)
    write_frames(tmp_path / "clip", [0, 3, 6])
    mono, both = (
        estimate_trajectory(tmp_path / name, tmp_path / "clip", CPU) for name in ("mono", "both")
    )
    assert (mono.metric, both.metric) == (False, True)
    np.testing.assert_allclose(both.poses[:, :3, 3], 5.4 * mono.poses[:, :3, 3], rtol=1e-5)


@pytest.mark.slow
def test_folders_without_motion_are_refused_in_a_line(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "stereo", size=SIZE, stereo=True, pose=None)
    with pytest.raises(
        ModelError, match=r"stereo: has no pose\.pth, because it was trained on stereo"
    ):
        load_motion(tmp_path / "stereo")
    known = VideoBlueprint(
        encoder="timm/test_resnet", pose=PoseKind.NONE, size=SIZE, kind=DepthKind.METRIC
    )
    write_run(tmp_path / "known", known)
    with pytest.raises(ModelError, match="the run has no pose network"):
        load_motion(tmp_path / "known")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="expected the folder of a 'rilievo train video' run"):
        load_motion(tmp_path / "empty")
    write_run(tmp_path / "begun")
    (tmp_path / "begun" / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no weights\.safetensors yet"):
        load_motion(tmp_path / "begun")


def test_clips_that_are_none_or_several_are_refused(run: Path, tmp_path: Path) -> None:
    write_frames(tmp_path / "one" / "a", [0])
    with pytest.raises(InputError, match="only 1 of 1 frame can be used at a stride of 1"):
        estimate_trajectory(run, tmp_path / "one" / "a", CPU)
    write_frames(tmp_path / "two" / "a", [0, 3, 6])
    write_frames(tmp_path / "two" / "b", [0, 3, 6])
    with pytest.raises(InputError, match="contains 2 clips, such as two/a and two/b"):
        estimate_trajectory(run, tmp_path / "two", CPU)
    (tmp_path / "poses.txt").write_text(kitti_pose_lines([(0, 0, 0)]))
    asked = TrajectoryOptions(device="cpu", poses=tmp_path / "poses.txt")
    with pytest.raises(InputError, match="has 1 pose, but the clip has 3 frames"):
        estimate_trajectory(run, tmp_path / "two" / "a", asked)
    with pytest.raises(OptionError, match="stride must be 1 or more, got 0"):
        TrajectoryOptions(stride=0)
