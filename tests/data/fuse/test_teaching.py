"""Labels of frames: the surface as a camera sees it, agreement, and folders of labels."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_fuse_command import options, write_room

from rilievo.cli import main
from rilievo.data.fuse.frame_labels import (
    FrameLabel,
    check_labels_folder,
    read_label,
    read_labels_record,
    render_label,
    write_labels,
)
from rilievo.data.fuse.fuse_clip import fuse_clip
from rilievo.data.fuse.fused_surface import fuse_views
from rilievo.data.fuse.surface_rendering import surface_depth
from rilievo.errors import InputError, OptionError, OutputError
from rilievo.geometry.intrinsics import rays
from rilievo.io.outputs.formats.gltf import TriangleMesh
from support.box_rooms import SIZE, K, pose, room_view, walk


def sheet(corners: np.ndarray) -> TriangleMesh:
    """Two triangles between four corners in order."""
    return TriangleMesh(
        points=corners.astype(np.float32),
        normals=np.zeros((4, 3), np.float32),
        colours=np.zeros((4, 3), np.uint8),
        triangles=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
    )


def wall(z: float, side: float = 20.0) -> TriangleMesh:
    x, y = side * np.array([-1, 1, 1, -1]), side * np.array([-1, -1, 1, 1])
    return sheet(np.stack([x, y, np.full(4, z)], axis=1))


def both(one: TriangleMesh, other: TriangleMesh) -> TriangleMesh:
    return replace(
        one,
        points=np.concatenate([one.points, other.points]),
        normals=np.concatenate([one.normals, other.normals]),
        colours=np.concatenate([one.colours, other.colours]),
        triangles=np.concatenate([one.triangles, other.triangles + len(one.points)]),
    )


def test_a_slanted_plane_is_seen_at_its_exact_depth_from_anywhere() -> None:
    # z = 3 + 0.4 x - 0.2 y in the world, seen by a camera that stands aside and is turned.
    corners = np.array([[-4, -5, 0], [9, -5, 0], [9, 5, 0], [-4, 5, 0]], float)
    corners[:, 2] = 3 + 0.4 * corners[:, 0] - 0.2 * corners[:, 1]
    world_T_cam = pose((0.5, -0.3, -1.0), 0.1)
    normal, offset = np.array([-0.4, 0.2, 1.0]), 3.0
    directions = np.einsum("ij,jhw->ihw", world_T_cam[:3, :3], rays(K, *SIZE))
    along = np.einsum("i,ihw->hw", normal, directions)
    expected = (offset - normal @ world_T_cam[:3, 3]) / along
    depth = surface_depth(sheet(corners), K, world_T_cam, SIZE)
    np.testing.assert_allclose(depth, expected, rtol=1e-5)


def test_the_nearest_of_two_walls_is_seen_and_nothing_behind_the_camera() -> None:
    near, far = wall(2.0, side=0.5), wall(4.0)
    depth = surface_depth(both(far, near), K, np.eye(4), SIZE)
    row, column = round(K[1, 2]), round(K[0, 2])
    assert depth[row, column] == pytest.approx(2)
    assert depth[0, 0] == pytest.approx(4)
    half = 0.5 * K[0, 0] / 2
    assert np.count_nonzero(np.isclose(depth, 2)) == pytest.approx((2 * half) ** 2, rel=0.1)
    assert not surface_depth(wall(-2.0), K, np.eye(4), SIZE).any()


def test_many_small_triangles_leave_no_gap() -> None:
    mesh = fuse_views(walk(7), voxel=0.05).mesh
    view = walk(7)[3]
    depth = surface_depth(mesh, view.K, view.world_T_cam, SIZE)
    inner = depth[6:-6, 6:-6]
    assert (inner > 0).mean() > 0.995


def test_labels_of_a_perfect_scene_are_its_true_depth() -> None:
    views = walk(7)
    mesh = fuse_views(views, voxel=0.04).mesh
    label = render_label(mesh, views, 3)
    known = label.weight > 0
    apart = np.abs(label.depth[known] / views[3].depth[known] - 1)
    assert known.mean() > 0.9
    assert apart.mean() < 0.004
    assert np.quantile(label.weight, 0.3) > 0.95


def test_what_no_frame_agrees_with_weighs_nothing() -> None:
    views = walk(7)
    wrong = [replace(view, depth=view.depth * np.float32(1.2)) for view in views]
    label = render_label(fuse_views(views, voxel=0.04).mesh, wrong, 3)
    assert label.depth.any()
    assert (label.weight > 0).mean() < 0.02


def test_a_frame_that_is_wrong_alone_is_outvoted_by_its_neighbours() -> None:
    views = walk(7)
    mesh = fuse_views(views, voxel=0.04).mesh
    views[3] = replace(views[3], depth=views[3].depth * np.float32(1.2))
    label = render_label(mesh, views, 3)
    true = walk(7)[3].depth
    assert np.median(np.abs(label.depth / true - 1)) < 0.01
    assert 0.7 < np.median(label.weight) < 0.95


def test_a_single_frame_is_no_agreement() -> None:
    views = [walk(7)[3]]
    label = render_label(fuse_views(walk(7), voxel=0.04).mesh, views, 0)
    assert label.weight.max() == pytest.approx(1 / 3)


def some_labels(count: int = 3) -> tuple[list, list[FrameLabel]]:
    views = [room_view(pose((0.1 * k, 0, -1)), f"{k:06d}.color.png") for k in range(count)]
    weight = np.linspace(0, 1, views[0].depth.size, dtype=np.float32).reshape(SIZE)
    return views, [FrameLabel(depth=view.depth, weight=weight) for view in views]


def written(folder: Path) -> Path:
    views, labels = some_labels()
    write_labels(folder, views, iter(labels), clip="clip", unit="metre")
    return folder


def test_a_folder_of_labels_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder, (views, labels) = written(tmp_path / "labels"), some_labels()
    record = read_labels_record(folder)
    assert record.names == ("000000", "000001", "000002")
    assert record.size == SIZE
    assert record.camera == (80, 80, 47.5, 35.5)
    for name, label, view in zip(record.names, labels, views, strict=True):
        found = read_label(folder, name, record)
        np.testing.assert_array_equal(found.depth, label.depth)
        np.testing.assert_array_equal(found.weight, label.weight)
        np.testing.assert_array_equal(
            np.load(folder / f"{name}.npz")["world_T_cam"], view.world_T_cam
        )


def test_a_folder_of_labels_is_whole_or_not_there(tmp_path: Path) -> None:
    views, labels = some_labels()

    def cut_short() -> Iterator[FrameLabel]:
        yield labels[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_labels(tmp_path / "labels", views, cut_short(), clip="clip", unit="metre")
    assert not list(tmp_path.iterdir())


def test_folders_of_others_are_never_replaced_and_labels_if_asked(tmp_path: Path) -> None:
    check_labels_folder(tmp_path / "new", overwrite=False)
    (tmp_path / "mine").mkdir()
    check_labels_folder(tmp_path / "mine", overwrite=False)
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="does not contain labels from rilievo fuse"):
        check_labels_folder(tmp_path / "mine", overwrite=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="does not replace it"):
        check_labels_folder(tmp_path / "file", overwrite=True)
    folder = written(tmp_path / "labels")
    with pytest.raises(OutputError, match="overwrite"):
        check_labels_folder(folder, overwrite=False)
    check_labels_folder(folder, overwrite=True)
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"besides its labels, such as thesis\.txt"):
        check_labels_folder(folder, overwrite=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "rilievo-labels/9"}, "its format is"),
        ({"size": [0, 96]}, "positive numbers"),
        ({"camera": [80, 80, 47.5]}, "is damaged"),
        ({"names": []}, "names of the frames"),
        ({"names": "000000"}, "is damaged"),
    ],
)
def test_a_damaged_record_is_one_line(tmp_path: Path, changes: dict, said: str) -> None:
    record = written(tmp_path / "labels") / "labels.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))
    with pytest.raises(InputError, match=said) as error:
        read_labels_record(record.parent)
    assert "\n" not in str(error.value)


def test_a_torn_or_missing_record_is_one_line(tmp_path: Path) -> None:
    record = written(tmp_path / "labels") / "labels.json"
    record.write_bytes(record.read_bytes()[:40])
    with pytest.raises(InputError, match="is damaged"):
        read_labels_record(record.parent)
    record.unlink()
    with pytest.raises(InputError, match=r"not a folder of labels.*--teach"):
        read_labels_record(record.parent)
    with pytest.raises(InputError, match="not a folder of labels"):
        read_labels_record(tmp_path / "none")


@pytest.mark.parametrize(
    ("depth", "weight", "said"),
    [
        (np.full(SIZE, np.nan), np.ones(SIZE), "finite"),
        (np.full(SIZE, -1.0), np.ones(SIZE), "not negative"),
        (np.ones(SIZE), np.full(SIZE, 2.0), "between 0 and 1"),
        (np.ones(SIZE), np.full(SIZE, np.nan), "between 0 and 1"),
        (np.ones((4, 4)), np.ones(SIZE), "labels.json says"),
        (np.ones((2, *SIZE)), np.ones(SIZE), "one value per pixel"),
    ],
)
def test_numbers_that_no_label_has_are_refused(
    tmp_path: Path, depth: np.ndarray, weight: np.ndarray, said: str
) -> None:
    folder = written(tmp_path / "labels")
    np.savez_compressed(folder / "000001.npz", depth=depth, weight=weight)
    record = read_labels_record(folder)
    with pytest.raises(InputError, match=said):
        read_label(folder, "000001", record)


def test_broken_files_and_names_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "labels")
    record = read_labels_record(folder)
    (folder / "000001.npz").write_bytes((folder / "000001.npz").read_bytes()[:100])
    with pytest.raises(InputError, match="000001"):
        read_label(folder, "000001", record)
    (folder / "000002.npz").unlink()
    with pytest.raises(InputError, match="000002"):
        read_label(folder, "000002", record)
    (folder / "000000.npz").rename(tmp_path / "outside.npz")
    with pytest.raises(InputError, match="outside"):
        read_label(folder, "../outside", record)


def test_the_command_writes_labels_of_all_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = write_room(tmp_path / "clip", walk(7, 0.12))
    words = ["fuse", str(room), "-o", str(tmp_path / "a.ply"), "--poses", str(room / "poses.txt")]
    words += ["--depth", str(room / "depth"), "--camera", "80,80,47.5,35.5", "--voxel", "0.05"]
    words += ["--teach", str(tmp_path / "labels")]
    assert main(words) == 0
    assert f"{tmp_path / 'labels'}: labels for 7 frames" in capsys.readouterr().out
    folder = tmp_path / "labels"
    record = read_labels_record(folder)
    assert record.names == tuple(f"{k:06d}" for k in range(7))
    written_record = json.loads((tmp_path / "a.ply.json").read_text())
    assert written_record["labels"] == record.weight > 0.7
    for name, true in zip(record.names, walk(7, 0.12), strict=True):
        label = read_label(folder, name, record)
        assert np.median(np.abs(label.depth / true.depth - 1)) < 0.01
    # Nothing is computed before labels that are in the way are refused.
    assert main([*words[:3], str(tmp_path / "b.ply"), *words[4:]]) == 2
    said = capsys.readouterr().err
    assert "--overwrite" in said
    assert "depth:" not in said
    assert main([*words, "--overwrite"]) == 0


def test_labels_and_surface_have_places_of_their_own(tmp_path: Path) -> None:
    room = write_room(tmp_path / "clip", walk(3, 0.12))
    with pytest.raises(OutputError, match="does not replace it"):
        fuse_clip(room, tmp_path / "a.ply", options(room, teach=room / "rgb"))
    with pytest.raises(OptionError, match="cannot have the same name"):
        fuse_clip(room, tmp_path / "a.ply", options(room, teach=tmp_path / "a.ply"))
