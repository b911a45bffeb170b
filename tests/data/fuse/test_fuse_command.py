"""The command from files to files: surfaces, units, axes, records, what is refused and said."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from rilievo.cli import main
from rilievo.data.clips.clip_reader import ClipReader
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.fuse import fuse_clip as fuse_run
from rilievo.data.fuse.clip_views import ClipView
from rilievo.data.fuse.frame_depth import choose_depth_source
from rilievo.data.fuse.fuse_clip import fuse_clip
from rilievo.data.fuse.fuse_options import FuseOptions
from rilievo.data.trajectories.records import write_kitti
from rilievo.errors import InputError, OptionError, OutputError
from rilievo.geometry.cameras.camera import Camera
from support.box_rooms import SIZE, distance_to_room, pose, room_view, walk
from support.clips import Clip, write_clip
from support.ply_files import read_ply
from support.slanted_rooms import room_depth

CAMERA = (80.0, 80.0, 47.5, 35.5)


def write_room(folder: Path, views: list[ClipView], *, factor: float = 1.0) -> Path:
    """Frames, their depth as npy files, and poses.txt."""
    (folder / "rgb").mkdir(parents=True)
    (folder / "depth").mkdir()
    for k, view in enumerate(views):
        Image.fromarray(view.pixels).save(folder / "rgb" / f"{k:06d}.png")
        np.save(folder / "depth" / f"{k:06d}.npy", view.depth * np.float32(factor))
    write_kitti(folder / "poses.txt", np.stack([view.world_T_cam for view in views]))
    return folder


def options(folder: Path, **changed: object) -> FuseOptions:
    given = {"depth": folder / "depth", "poses": folder / "poses.txt", "camera": CAMERA}
    return FuseOptions(**{**given, "voxel": 0.05, **changed})  # pyright: ignore[reportArgumentType]


def test_files_may_be_named_by_text(tmp_path: Path) -> None:
    names = {name: str(tmp_path / name) for name in ("depth", "poses", "camera_file", "teach")}
    said = FuseOptions(**names)  # pyright: ignore[reportArgumentType]
    assert all(getattr(said, name) == tmp_path / name for name in names)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_room(tmp_path_factory.mktemp("room") / "clip", walk(7, 0.12))


@pytest.mark.slow
def test_a_glb_holds_the_room_in_gltfs_axes(room: Path, tmp_path: Path) -> None:
    record = fuse_clip(room, tmp_path / "place.glb", options(room))
    assert record.unit == "that of the poses"
    assert (record.frames, record.left_out) == (7, 0)
    scene = trimesh.load(tmp_path / "place.glb")
    mesh = scene.to_geometry()
    assert len(mesh.faces) == record.triangles
    # y is up and the first camera, at the world's back, looks along -z.
    world = mesh.vertices @ np.array(_about(tmp_path / "place.glb")["gltf_R_world"])
    assert np.abs(np.asarray(distance_to_room(world))).mean() < 0.02
    assert np.quantile(distance_to_room(world), 0.99) < 0.1
    assert mesh.vertices[:, 2].mean() < -1
    written = json.loads((tmp_path / "place.glb.json").read_text())
    assert written["format"] == "rilievo-fuse/1"
    assert written["triangles"] == record.triangles


def _about(path: Path) -> dict:
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + length])["asset"]["extras"]["rilievo"]


@pytest.mark.slow
def test_a_ply_stays_in_the_world_of_the_poses(room: Path, tmp_path: Path) -> None:
    fuse_clip(room, tmp_path / "place.ply", options(room))
    data = read_ply(tmp_path / "place.ply")
    vertex = data["vertex"]
    points = np.stack([vertex[axis] for axis in "xyz"], axis=1)
    assert np.quantile(distance_to_room(points), 0.99) < 0.1
    assert np.ptp(vertex["red"]) > 100
    assert len(data["face"]) > 1000
    assert any("unit: that of the poses" in comment for comment in data.comments)
    assert max(map(len, data.comments)) < 1000, "longer lines end Open3D"
    pieces = [each.removeprefix("rilievo: ") for each in data.comments if "rilievo: " in each]
    assert "unit" in json.loads("".join(pieces))


@pytest.mark.slow
def test_the_unit_of_depth_is_brought_to_that_of_the_poses(tmp_path: Path) -> None:
    folder = write_room(tmp_path / "clip", walk(7, 0.12), factor=0.2)
    record = fuse_clip(folder, tmp_path / "place.ply", options(folder))
    assert record.scale * np.median(record.scales) == pytest.approx(5, rel=0.03)
    points = trimesh.load(tmp_path / "place.ply").vertices
    assert np.median(distance_to_room(np.asarray(points))) < 0.06


def test_given_poses_are_not_blamed_where_depth_disagrees(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuse_run, "_MAX_TRUSTED_DISAGREEMENT", 0.0)
    record = fuse_clip(room, tmp_path / "place.ply", options(room, voxel=0.2))
    [said] = [note for note in record.notes if "differs by a median" in note]
    assert said.startswith("with the given poses, the depth of neighbouring")
    assert "with the given poses" in said
    assert "poses are wrong" not in said


def test_depth_that_is_right_hardly_changes(room: Path, tmp_path: Path) -> None:
    record = fuse_clip(room, tmp_path / "place.ply", options(room))
    assert record.scale == 1
    assert record.scales == pytest.approx([1] * 7, abs=0.01)
    points = trimesh.load(tmp_path / "place.ply").vertices
    assert distance_to_room(np.asarray(points)).max() < 0.05


@pytest.mark.slow
def test_a_video_is_fused_without_poses(tmp_path: Path) -> None:
    views = walk(9, 0.06)
    folder = write_room(tmp_path / "clip", views)
    write_clip(
        tmp_path / "clip.mp4", Clip(pictures=[view.pixels for view in views], options={"crf": "8"})
    )
    asked = options(folder, poses=None, voxel=None)
    record = fuse_clip(tmp_path / "clip.mp4", tmp_path / "place.ply", asked)
    assert record.poses == "estimated"
    assert record.unit == "metre"
    points = np.asarray(trimesh.load(tmp_path / "place.ply").vertices)
    # The world is the first camera; scale and drift are those of tracked corners of few pixels.
    world = points @ views[0].world_T_cam[:3, :3].T + views[0].world_T_cam[:3, 3]
    assert np.median(distance_to_room(world)) < 0.1


@pytest.mark.slow
def test_after_a_cut_the_longest_part_is_fused_and_it_is_said(tmp_path: Path) -> None:
    other = [room_view(pose((0.05 * k, 0.4, 0.5), np.pi)) for k in range(4)]
    folder = write_room(tmp_path / "clip", [*walk(8, 0.06), *other])
    asked = options(folder, poses=None, voxel=None)
    record = fuse_clip(folder / "rgb", tmp_path / "place.ply", asked)
    assert record.frames == 8
    assert record.left_out == 4
    assert any("cut" in note and "8 of 12 frames" in note for note in record.notes)


def test_a_camera_that_only_turns_is_said(tmp_path: Path) -> None:
    folder = write_room(tmp_path / "clip", [room_view(pose((0, 0, 0), 0.02 * k)) for k in range(4)])
    record = fuse_clip(folder, tmp_path / "place.ply", options(folder))
    assert any("stands still or only rotates" in note for note in record.notes)
    points = np.asarray(trimesh.load(tmp_path / "place.ply").vertices)
    assert np.quantile(distance_to_room(points), 0.99) < 0.06


def test_blank_frames_are_refused(tmp_path: Path) -> None:
    folder = write_room(tmp_path / "clip", walk(4))
    for path in (folder / "rgb").iterdir():
        Image.new("RGB", SIZE[::-1], (200, 200, 200)).save(path)
    with pytest.raises(InputError, match="at least 3"):
        fuse_clip(folder, tmp_path / "place.ply", options(folder, poses=None))
    assert not (tmp_path / "place.ply").exists()


def test_broken_frames_and_missing_depth_are_passed_over(tmp_path: Path) -> None:
    folder = write_room(tmp_path / "clip", walk(7, 0.12))
    (folder / "rgb" / "000002.png").write_bytes(b"nothing")
    (folder / "depth" / "000004.npy").unlink()
    record = fuse_clip(folder, tmp_path / "place.ply", options(folder))
    assert (record.frames, record.left_out) == (5, 2)
    assert [each for each in record.notes if "000002.png" in each]
    assert [each for each in record.notes if "000004.png" in each]


def test_frames_named_by_times_have_depth_of_their_own(tmp_path: Path) -> None:
    folder = write_room(tmp_path / "clip", walk(3, 0.12))
    for kind, ending in (("rgb", "png"), ("depth", "npy")):
        for k in range(3):
            (folder / kind / f"{k:06d}.{ending}").rename(
                folder / kind / f"1305031102.{k + 1}.{ending}"
            )
    depth_of = choose_depth_source(options(folder))
    for k in range(3):
        true = np.load(folder / "depth" / f"1305031102.{k + 1}.npy")
        found = depth_of(
            ClipFrame(index=k, name=f"1305031102.{k + 1}.png", seconds=0),
            Camera(K=np.eye(3)),
            SIZE,
        )
        assert not isinstance(found, str)
        np.testing.assert_array_equal(found.values, true)


def test_depth_files_may_have_endings_in_capitals(tmp_path: Path) -> None:
    folder = write_room(tmp_path / "clip", walk(3, 0.12))
    for path in sorted((folder / "depth").iterdir()):
        millimetres = (1000 * np.load(path)).astype(np.uint16)
        Image.fromarray(millimetres).save(path.with_suffix(".PNG"))
        path.unlink()
    record = fuse_clip(folder, tmp_path / "place.ply", options(folder))
    assert record.frames == 3


def test_the_files_name_no_folders_of_the_machine(room: Path, tmp_path: Path) -> None:
    record = fuse_clip(room, tmp_path / "place.ply", options(room, frames=4))
    assert (record.clip, record.depth, record.poses) == ("clip", "depth", "poses.txt")
    for path in (tmp_path / "place.ply", tmp_path / "place.ply.json"):
        assert str(room).encode() not in path.read_bytes()


class Uncounted(ClipReader):
    """Frames of a video that does not tell their number."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # pyright: ignore[reportArgumentType]
        self.count = 0


def test_frames_are_spread_and_those_beyond_the_limit_are_said(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = options(room, frames=4)
    spread = fuse_clip(room, tmp_path / "a.ply", asked)
    assert spread.names == tuple(f"{k:06d}.png" for k in (0, 2, 4, 6))
    pictures = [view.pixels for view in walk(7, 0.12)]
    write_clip(tmp_path / "clip.mp4", Clip(pictures=pictures, options={"crf": "8"}))
    monkeypatch.setattr(fuse_run, "ClipReader", Uncounted)
    record = fuse_clip(tmp_path / "clip.mp4", tmp_path / "b.ply", asked)
    assert record.names == tuple(f"{k:06d}" for k in range(4))
    assert any("3 frames at the end" in note for note in record.notes)


def test_a_wrong_field_of_view_is_said(tmp_path: Path) -> None:
    views = [room_view(pose((0.1 * k, 0, -1), 0.12 * k)) for k in range(7)]
    folder = write_room(tmp_path / "clip", views)
    asked = options(folder, camera=(200.0, 200.0, 47.5, 35.5))
    record = fuse_clip(folder, tmp_path / "place.ply", asked)
    assert any("fov" in note for note in record.notes)


def test_files_of_others_and_earlier_results_are_not_replaced(room: Path, tmp_path: Path) -> None:
    asked = options(room, frames=4)
    (tmp_path / "mine.ply").write_text("mine")
    with pytest.raises(OutputError, match=r"mine\.ply.*did not write"):
        fuse_clip(room, tmp_path / "mine.ply", replace(asked, overwrite=True))
    fuse_clip(room, tmp_path / "place.ply", asked)
    with pytest.raises(OutputError, match="overwrite"):
        fuse_clip(room, tmp_path / "place.ply", asked)
    first = (tmp_path / "place.ply").read_bytes()
    fuse_clip(room, tmp_path / "place.ply", replace(asked, overwrite=True))
    assert (tmp_path / "place.ply").read_bytes() == first
    (tmp_path / "place.ply.json").unlink()
    with pytest.raises(OutputError, match="overwrite"):
        fuse_clip(room, tmp_path / "place.ply", asked)
    fuse_clip(room, tmp_path / "place.ply", replace(asked, overwrite=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mine.ply",
        "place.ply",
        "place.ply.json",
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"frames": 2}, "frames must be 3 to"),
        ({"side": 10}, "side must be 64 to"),
        ({"voxel": 0.0}, "voxel must be a positive"),
        ({"model": "rilievo/small"}, "cannot be combined"),
        ({"fov": 60.0}, "cannot be combined"),
    ],
)
def test_impossible_options_are_refused(room: Path, changed: dict, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        options(room, **changed)


def test_the_command_prints_what_it_did(
    room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fuse", str(room), "-o", str(tmp_path / "a.ply"), "--poses", str(room / "poses.txt")]
    words += ["--depth", str(room / "depth"), "--camera", "80,80,47.5,35.5", "--voxel", "0.05"]
    assert main(words) == 0
    said, progress = capsys.readouterr()
    for step in ("depth: 1 ", "fusing: 1 of 7 frames"):
        assert step in progress
    assert "7 frames" in said
    assert "MB of memory" in said
    assert str(tmp_path / "a.ply") in said
    assert main([*words[:3], str(tmp_path / "a.obj"), *words[4:]]) == 2
    assert ".glb or .ply" in capsys.readouterr().err


def test_a_camera_that_stands_still_needs_no_poses(tmp_path: Path) -> None:
    folder = write_room(tmp_path / "clip", [room_view(pose((0, 0, 0)), str(k)) for k in range(4)])
    record = fuse_clip(folder / "rgb", tmp_path / "place.ply", options(folder, poses=None))
    assert record.frames == 4
    assert any("stands still" in note for note in record.notes)
    points = np.asarray(trimesh.load(tmp_path / "place.ply").vertices)
    assert np.quantile(distance_to_room(points), 0.99) < 0.06


def frame_depth(folder: Path, stored: np.ndarray, **changed: Any) -> tuple[Any, Sequence[str]]:
    """Depth of the only file of a folder, and notes on it."""
    folder.mkdir(exist_ok=True)
    if stored.ndim == 3 or stored.dtype.kind == "u":
        Image.fromarray(stored).save(folder / "000000.png")
    else:
        np.save(folder / "000000.npy", stored)
    source = choose_depth_source(FuseOptions(depth=folder, **changed))
    height, width = stored.shape[:2]
    black = np.zeros((height, width, 3), np.uint8)
    frame = ClipFrame(index=0, seconds=0.0, name="000000.png", pixels=black)
    depth = source(frame, Camera(K=np.eye(3)), (height, width))
    return depth, source.notes


def test_where_depth_of_another_size_was_put_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "000000.npy", np.full((20, 30), 2.0, np.float32))
    source = choose_depth_source(FuseOptions(depth=tmp_path))
    frame = ClipFrame(
        index=0, seconds=0.0, name="000000.png", pixels=np.zeros((40, 60, 3), np.uint8)
    )
    source(frame, Camera(K=np.eye(3)), (40, 60))
    [note] = source.notes
    assert "depth is 20 x 30 (height x width), half of the frame's 40 x 60" in note


TRUE = np.linspace(1.0, 4.0, 40 * 60).reshape(40, 60)


@pytest.mark.parametrize(
    ("stored", "encoding"),
    [
        (np.rint(TRUE * 1000).astype(np.uint16) << 3, "bits=3,13 scale=0.001"),
        (np.rint(TRUE * 5000).astype(np.uint16), "scale=0.0002"),
        (np.rint((TRUE - 0.5) * 1000).astype(np.uint16), "scale=0.001 offset=0.5"),
        (
            np.stack([np.rint(TRUE * 1000).astype(np.uint16) & 255] * 3, -1).astype(np.uint8)
            * np.uint8([1, 0, 0])
            + np.stack([np.rint(TRUE * 1000).astype(np.uint16) >> 8] * 3, -1).astype(np.uint8)
            * np.uint8([0, 1, 0]),
            "channels=1,256,0 scale=0.001",
        ),
        (np.where(TRUE > 3.5, 4.2, TRUE).astype(np.float32), "max_depth=3.5"),
    ],
    ids=["bits", "scale", "offset", "channels", "limit"],
)
def test_depth_files_are_read_as_their_encoding_declares(
    stored: np.ndarray, encoding: str, tmp_path: Path
) -> None:
    depth, notes = frame_depth(tmp_path / "depth", stored, depth_encoding=encoding)
    expected = TRUE <= 3.5 if "max_depth" in encoding else np.ones(TRUE.shape, bool)
    np.testing.assert_array_equal(depth.valid, expected)
    assert np.abs(depth.values - TRUE)[depth.valid].max() < 6e-4
    assert not notes


def test_numbers_that_are_no_depth_are_noticed(tmp_path: Path) -> None:
    stored = np.rint(TRUE * 1000).astype(np.uint16)
    stored[:, :20] = 60000  # a background
    _, notes = frame_depth(tmp_path / "depth", stored)
    assert any("60000" in note or "60 m" in note for note in notes), notes
    _, notes = frame_depth(tmp_path / "depth", stored, depth_encoding="invalid=0,60000")
    assert not notes


def test_inverse_depth_of_frames_is_noticed(tmp_path: Path) -> None:
    room = room_depth(240, 320).astype(np.float32)
    _, notes = frame_depth(tmp_path / "depth", 1 / room)
    assert any("as in inverse depth" in note for note in notes)
    _, notes = frame_depth(tmp_path / "depth", room)
    assert not notes


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "--encoding scale=0.001",
            "--depth-encoding only applies to depth files, but you gave none",
        ),
        (
            "--depth d --encoding skale=1",
            "--depth-encoding does not accept 'skale'; did you mean 'scale'",
        ),
        (
            "--depth d --encoding unit=mm",
            "--depth-encoding does not accept 'unit'; did you mean 'scale'?",
        ),
        ("--depth d --encoding mm", "--depth-encoding has 'mm', which is not a pair"),
        (
            "--depth d --encoding scale=1 --depth-unit 1",
            "both state the unit; give only one of them",
        ),
    ],
)
def test_an_encoding_that_cannot_be_is_one_line(
    line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fuse", "clip", "-o", str(tmp_path / "place.glb"), *line.split()]) == 2
    assert words in capsys.readouterr().err
