"""Trajectories by geometry on the depth of any model: poses, files, notes, refusals."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.data.clips.clip_reader import ClipReader
from rilievo.data.clips.footage import ClipCamera
from rilievo.data.trajectories.errors import direction_errors
from rilievo.data.trajectories.records import TrajectoryOptions
from rilievo.data.trajectories.run import estimate_trajectory, write_trajectory
from rilievo.data.trajectories.walks import EstimatedPath, walk_by_depth
from rilievo.errors import MissingExtraError, ModelError, OptionError
from rilievo.training.adapters.run_models import predicts_motion
from support.fixed_depth import FixedDepth
from support.footage import texture, view, write_frames
from support.sliding_walls import STEP, write_walls

MODEL = "support.wall_depths:load"


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walls(tmp_path_factory.mktemp("walls") / "clip", frames=14)


def test_the_path_past_two_walls_is_found_in_metres(walls: Path) -> None:
    found = estimate_trajectory(MODEL, walls / "images", TrajectoryOptions(device="cpu", fov=61.93))
    assert found.metric
    assert found.estimated.all()
    np.testing.assert_allclose(found.poses[:, 0, 3], STEP * np.arange(14), atol=0.08)
    np.testing.assert_allclose(found.poses[:, 1:3, 3], 0, atol=0.12)


def test_the_command_needs_no_run_and_writes_files_and_errors(
    walls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cv2")
    command = ["trajectory", str(walls / "images"), "--model", MODEL, "--device", "cpu"]
    command += ["--poses", str(walls / "poses.txt"), "--camera", "80,80,47.5,31.5"]
    assert main([*command, "-o", str(tmp_path / "path")]) == 0
    assert "direction of motion between frames" in capsys.readouterr().out
    scores = json.loads((tmp_path / "path" / "trajectory.json").read_text())["scores"]
    assert scores["direction"] < 8
    assert scores["rmse_scale"] < 0.08
    assert scores["scale"] == pytest.approx(1, rel=0.1)
    assert np.loadtxt(tmp_path / "path" / "trajectory.txt").shape == (14, 8)
    assert main([*command, "-o", str(tmp_path / "one.txt")]) == 0
    assert np.loadtxt(tmp_path / "one.txt").shape == (14, 8)
    assert main([*command, "-o", str(tmp_path / "poses.txt")]) == 0
    assert np.loadtxt(tmp_path / "poses.txt").shape == (14, 12)


def test_a_broken_frame_lies_between_its_neighbours(tmp_path: Path) -> None:
    clip = write_walls(tmp_path / "clip", frames=9) / "images"
    (clip / "000004.png").write_bytes(b"nothing")
    found = estimate_trajectory(MODEL, clip, TrajectoryOptions(device="cpu", fov=61.93))
    assert found.estimated.tolist() == [True] * 4 + [False] + [True] * 4
    middle = (found.poses[3, :3, 3] + found.poses[5, :3, 3]) / 2
    np.testing.assert_allclose(found.poses[4, :3, 3], middle, atol=1e-3)


def walked(clip: Path, shape: tuple[int, int] = (64, 96)) -> EstimatedPath:
    model = FixedDepth(np.full(shape, 4.0))
    return walk_by_depth(ClipReader(clip, camera=ClipCamera(fov=62)), model, 1)


def notes(clip: Path, shape: tuple[int, int] = (64, 96)) -> tuple[str, ...]:
    return walked(clip, shape).notes


def test_footage_that_geometry_cannot_follow_is_said_in_a_line(tmp_path: Path) -> None:
    write_frames(tmp_path / "still", [0] * 5)
    [said] = notes(tmp_path / "still")
    assert "only rotates or stands still" in said
    blank = tmp_path / "blank"
    blank.mkdir()
    for k in range(4):
        Image.new("RGB", (96, 64), (90, 90, 90)).save(blank / f"{k:06d}.png")
    [said] = notes(blank)
    assert "too few corners" in said
    cut = tmp_path / "cut"
    write_frames(cut, [3 * k for k in range(8)])
    for k in range(8):
        Image.fromarray(view(3 * k, seed=50)).save(cut / f"{8 + k:06d}.png")
    [said] = notes(cut)
    assert "after a cut, at 000008.png" in said
    walk = walked(cut)
    assert walk.parts is not None
    assert walk.parts.tolist() == [0] * 8 + [1] * 8


def test_a_leap_of_the_camera_is_no_cut(tmp_path: Path) -> None:
    """Half of the width is farther than corners can be tracked, but features are found again."""
    for index, place in enumerate((0, 4, 8, 168, 172)):
        frame = texture(1, (480, 900))[:240, place : place + 320]
        (tmp_path / "clip").mkdir(exist_ok=True)
        Image.fromarray(frame).save(tmp_path / "clip" / f"{index:06d}.png")
    walk = walked(tmp_path / "clip", (240, 320))
    assert walk.parts is not None
    assert walk.parts.tolist() == [0] * 5


def test_depth_with_an_unknown_shift_gives_no_motion(walls: Path) -> None:
    with pytest.raises(ModelError, match="from which motion cannot be estimated"):
        estimate_trajectory("support.wall_depths:load_shifted", walls / "images")
    options = TrajectoryOptions(camera=(80.0, -80.0, 47.5, 31.5))
    with pytest.raises(OptionError, match="camera must be fx,fy,cx,cy"):
        estimate_trajectory(MODEL, walls / "images", options)


def test_only_folders_with_pose_networks_say_motion_themselves(tmp_path: Path) -> None:
    assert not predicts_motion(Path("rilievo/small"))
    assert not predicts_motion(tmp_path)


def test_directions_are_free_of_scale_and_of_earlier_errors() -> None:
    true = np.tile(np.eye(4), (4, 1, 1))
    true[:, 0, 3] = [0, 1, 2, 2.0001]
    found = true.copy()
    found[:, 0, 3] *= 7
    assert direction_errors(found, true).tolist() == pytest.approx([0, 0], abs=1e-5)
    found[1:, 2, 3] = 7
    assert direction_errors(found, true).tolist() == pytest.approx([45, 0], abs=1e-5)


def test_a_single_file_needs_no_folder(walls: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "path.txt"
    record = write_trajectory(MODEL, walls / "images", output, TrajectoryOptions(device="cpu"))
    assert record.frames == 14
    assert output.is_file()


def test_without_opencv_the_smallest_extra_that_is_enough_is_named(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    output = tmp_path / "path.txt"
    with pytest.raises(MissingExtraError, match=r"'rilievo\[fuse\]'"):
        write_trajectory(MODEL, walls / "images", output, TrajectoryOptions(device="cpu"))
    with pytest.raises(MissingExtraError, match=r"'rilievo\[fuse\]'"):
        estimate_trajectory(MODEL, walls / "images", TrajectoryOptions(device="cpu"))

    # Networks that predict motion need torch, too, which only the extra ``train`` brings.
    networks = tmp_path / "networks"
    networks.mkdir()
    for name in ("encoder.pth", "depth.pth", "pose.pth"):
        (networks / name).touch()
    with pytest.raises(MissingExtraError, match=r"'rilievo\[train\]'"):
        write_trajectory(networks, walls / "images", output)
