"""Points in space of a lidar or a depth camera, from files, and beside the camera."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rilievo
from rilievo.errors import InputError, OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.spelling import read_spelling
from rilievo.io.depth.point_files import decompress_lzf, read_points
from rilievo.options.camera_forms import camera_for_size
from rilievo.predicting.metres.sparse import SparseDepth, read_sparse
from support.fixed_depth import FixedDepth

SIZE = (120, 160)
CAMERA = Camera(K=np.array([[90.0, 0, 79.5], [0, 90, 59.5], [0, 0, 1]]))
POINTS = np.array(
    [
        *([1.5, 2, 4], [1.5, 2, 4], [1.5, 2, 4], [1.5, -2, 8]),
        *([1.5, 0, 2], [1.5, 0, 1], [1.5, 0.25, 1], [1.5, 0.25, 3]),
    ]
)
LZF = bytes.fromhex(
    "040000c03f00e01403010040e0020300c0200ba00001803ea003201fc0030100412003400f20534003014040"
)
"""POINTS as float32, all x before all y before all z, as python-lzf 0.2.4 compresses them."""
CAM_T_LIDAR = np.array([[0.0, -1, 0, 0.05], [0, 0, -1, -0.1], [1, 0, 0, -0.25]])
"""Pose of a lidar, whose axes are forward, left and up, 25 cm behind the camera."""


def pcd_header(encoding: str, count: int = len(POINTS)) -> bytes:
    lines = (
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        *("FIELDS x y z", "SIZE 4 4 4", "TYPE F F F", "COUNT 1 1 1"),
        *(f"WIDTH {count}", "HEIGHT 1", "VIEWPOINT 0 0 0 1 0 0 0", f"POINTS {count}"),
        f"DATA {encoding}\n",
    )
    return "\n".join(lines).encode()


def rows_of_text(points: np.ndarray = POINTS) -> bytes:
    return "\n".join(" ".join(map(str, point)) for point in points.tolist()).encode()


def ply_header(encoding: str, *elements: str) -> bytes:
    return "\n".join(("ply", f"format {encoding} 1.0", *elements, "end_header\n")).encode()


VERTICES = ("element vertex 8", *(f"property float {axis}" for axis in "xyz"))
BEFORE = ("element camera 2", "property short row", "property double focal")
FILES: dict[str, tuple[str, bytes]] = {
    "PCD, ASCII": (".pcd", pcd_header("ascii") + rows_of_text()),
    "PCD, binary": (".pcd", pcd_header("binary") + POINTS.astype("<f4").tobytes()),
    "PCD, compressed": (
        ".pcd",
        pcd_header("binary_compressed") + struct.pack("<II", len(LZF), 96) + LZF,
    ),
    "PCD with paddings and further fields": (
        ".pcd",
        pcd_header("binary")
        .replace(b"x y z", b"_ z y x")
        .replace(b"4 4 4", b"1 8 8 8")
        .replace(b"F F F", b"U F F F")
        .replace(b"1 1 1", b"3 1 1 1")
        + b"".join(b"pad" + point[::-1].astype("<f8").tobytes() for point in POINTS),
    ),
    "PLY, ASCII": (".ply", ply_header("ascii", *VERTICES) + rows_of_text()),
    "PLY, ASCII, with rows before": (
        ".ply",
        ply_header("ascii", *BEFORE, *VERTICES) + b"1 2\n3 4\n" + rows_of_text(),
    ),
    "PLY, little endian, with faces": (
        ".ply",
        ply_header(
            "binary_little_endian",
            *("comment of Blender", *VERTICES),
            *("element face 1", "property list uchar int vertex_indices"),
        )
        + POINTS.astype("<f4").tobytes()
        + b"\x03"
        + bytes(12),
    ),
    "PLY, big endian, with rows before": (
        ".ply",
        ply_header("binary_big_endian", *BEFORE, *VERTICES)
        + bytes(20)
        + POINTS.astype(">f4").tobytes(),
    ),
    "text": (".xyz", b"x y z intensity # of a lidar\n" + rows_of_text(np.c_[POINTS, POINTS])),
    "text with commas": (".csv", rows_of_text().replace(b" ", b", ")),
}


@pytest.mark.parametrize(("suffix", "content"), FILES.values(), ids=FILES.keys())
def test_points_of_every_format_are_read(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"points{suffix}"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_points(path).points, POINTS)


def test_lzf_unpacks_what_other_programs_packed() -> None:
    # By python-lzf 0.2.4: a run that copies from itself, and a long one.
    assert decompress_lzf(bytes.fromhex("016161e0ff00e019000672696c6965766f"), 307) == (
        b"a" * 300 + b"rilievo"
    )
    for damaged in (LZF[:-1], LZF[:20], b"\x20\x05" + LZF, b"\xe0"):
        with pytest.raises(ValueError, match="other than 96 bytes"):
            decompress_lzf(damaged, 96)


@pytest.mark.parametrize(
    ("suffix", "content", "words"),
    [
        (".pcd", pcd_header("binary") + POINTS.astype("<f4").tobytes()[:-1], "states 8 points"),
        (".pcd", pcd_header("ascii") + b"1 2 3\n", "states 8 points and holds 1"),
        (".pcd", pcd_header("ascii") + b"1 2 x\n" * 8, "could not convert"),
        (".pcd", pcd_header("zip"), "expected ascii, binary or binary_compressed"),
        (".pcd", pcd_header("ascii").replace(b"x y z", b"x y i"), "no single number z"),
        (".pcd", pcd_header("ascii").replace(b"F F F", b"F F"), "not equally many"),
        (".pcd", pcd_header("binary", 10**9), "expected at most 10000000"),
        (".pcd", b"\x00" * 100, "no line 'DATA'"),
        (".pcd", pcd_header("binary_compressed") + b"\xff" * 8, "do not unpack"),
        (".pcd", pcd_header("binary_compressed") + struct.pack("<II", 44, 96), "holds 0"),
        (".pcd", pcd_header("binary", 0), "no points"),
        (".ply", b"obj\nend_header\n", "does not begin with 'ply'"),
        (".ply", ply_header("binary", *VERTICES), "no known format"),
        (".ply", ply_header("ascii", "element face 1"), "no element 'vertex'"),
        (".ply", ply_header("ascii", *VERTICES, "property list uchar int i"), "have lists"),
        (".ply", ply_header("binary_big_endian", *VERTICES) + bytes(9), "states 8 points"),
        (".ply", ply_header("ascii", *BEFORE, *VERTICES) + b"1 2\n", "states 8 points"),
        (".xyz", b"# nothing\n", "no line has numbers"),
        (".xyz", b"1 2\n", "column"),
    ],
)
def test_damaged_files_are_refused_in_one_line(
    tmp_path: Path, suffix: str, content: bytes, words: str
) -> None:
    path = tmp_path / f"points{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as refusal:
        read_points(path)
    assert "\n" not in str(refusal.value)


def lidar_points(pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Points that the camera sees at pixels and depths, in the frame of the lidar."""
    in_camera = np.stack(
        [(pixels[:, 0] - 79.5) / 90 * depth, (pixels[:, 1] - 59.5) / 90 * depth, depth], axis=1
    )
    # By hand: x_cam = 0.05 - y, y_cam = -0.1 - z, z_cam = x - 0.25.
    x, y, z = in_camera.T
    return np.stack([z + 0.25, 0.05 - x, -0.1 - y], axis=1)


def read(folder: Path, points: np.ndarray, **options: Any) -> SparseDepth:
    path = folder / "scan.xyz"
    path.write_bytes(rows_of_text(points))
    transform = np.vstack([CAM_T_LIDAR, (0, 0, 0, 1)])
    return read_sparse(path, SIZE, None, **{"cam_T_sensor": transform, "camera": CAMERA, **options})


def test_points_beside_the_camera_get_their_pixels_and_depths(tmp_path: Path) -> None:
    pixels = np.array([[10.0, 20], [80.25, 59.5], [150, 110], [-0.4, 30]])
    depth = np.array([2.0, 3, 4, 5])
    seen = lidar_points(pixels, depth)
    behind = np.array([[-3.0, 0, 0], [0.2, 0.1, 0]])
    outside = lidar_points(np.array([[170.0, 50], [50, -1], [-40, 10]]), np.full(3, 2.0))
    nothing = np.array([[0.0, 0, 0], [np.nan, 1, 1]])
    sparse = read(tmp_path, np.concatenate([seen, behind, outside, nothing]))
    found = sorted((point.u, point.v, point.metres) for point in sparse.points)
    expected = sorted(zip(np.maximum(pixels[:, 0], 0), pixels[:, 1], depth, strict=True))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    [note] = sparse.notes
    assert "shows 4 of 9 points; 2 are behind the camera and 3 are outside" in note


def test_the_nearest_point_of_a_pixel_hides_the_others(tmp_path: Path) -> None:
    pixels, depth = np.array([[40.0, 30], [40.2, 30.1], [39.9, 29.8]]), np.array([5.0, 2, 3])
    [point] = read(tmp_path, lidar_points(pixels, depth)).points
    assert point.metres == pytest.approx(2)
    rows, columns = np.mgrid[10:70, 10:70]
    dense = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float)
    points = lidar_points(np.tile(dense, (2, 1)), np.repeat((3.0, 6.0), len(dense)))
    measured = read(tmp_path, points).measured
    assert measured is not None
    np.testing.assert_allclose(measured[10:70, 10:70], 3, rtol=1e-6)


def test_wide_lenses_get_distances_of_points_all_around(tmp_path: Path) -> None:
    panorama = camera_for_size(read_spelling("equirect"), (120, 240))
    points = np.array([[0.0, 0, 3], [0, 0, -2], [4, 0, 0]])
    path = tmp_path / "scan.xyz"
    path.write_bytes(rows_of_text(points))
    identity = np.eye(4)
    sparse = read_sparse(path, (120, 240), None, cam_T_sensor=identity, camera=panorama)
    assert {(round(point.u), point.metres) for point in sparse.points} >= {(120, 3), (180, 4)}
    assert sorted(point.metres for point in sparse.points) == [2, 3, 4]


@pytest.mark.parametrize("form", ["array", "rows", "numbers", "4x4", "file", "KITTI"])
def test_a_pose_has_the_same_effect_in_every_form(tmp_path: Path, form: str) -> None:
    numbers = ",".join(map(str, CAM_T_LIDAR.ravel()))
    rotation, translation = CAM_T_LIDAR[:, :3].ravel(), CAM_T_LIDAR[:, 3]
    texts = {
        "file": str(CAM_T_LIDAR) + "  # of the calibration\n",
        "KITTI": f"calib_time: 15-Mar-2012\nR: {' '.join(map(str, rotation))}\n"
        f"T: {' '.join(map(str, translation))}\n",
    }
    if form in texts:
        (tmp_path / "pose.txt").write_text(texts[form])
    pose = {
        "array": CAM_T_LIDAR,
        "rows": CAM_T_LIDAR.tolist(),
        "numbers": numbers,
        "4x4": f"{numbers},0,0,0,1",
    }.get(form, tmp_path / "pose.txt")
    pixels = np.random.default_rng(0).uniform(0, (159, 119), (30, 2))
    points = lidar_points(pixels, np.full(30, 2.5))
    (tmp_path / "scan.xyz").write_bytes(rows_of_text(points))
    prediction = rilievo.predict(
        np.zeros((*SIZE, 3), np.uint8),
        model=FixedDepth(np.ones(SIZE)),
        camera=CAMERA,
        trim=False,
        sparse=tmp_path / "scan.xyz",
        cam_T_sensor=pose,
    )
    np.testing.assert_allclose(prediction.depth.values, 2.5, rtol=1e-5)


def test_an_array_of_points_and_its_unit_are_read(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).uniform(0, (159, 119), (30, 2))
    points = 1000 * lidar_points(pixels, np.full(30, 2.5))
    options: dict[str, Any] = {"cam_T_sensor": np.vstack([CAM_T_LIDAR, (0, 0, 0, 1)])}
    sparse = read_sparse(points, SIZE, 0.001, camera=CAMERA, **options)
    assert [point.metres for point in sparse.points] == pytest.approx([2.5] * 30)
    # Without the unit, the lidar stands 1000 times as far from the points.
    doubts = read_sparse(points, SIZE, None, camera=CAMERA, **options).sensor_doubts
    assert any("probably not in metres" in doubt for doubt in doubts)


@pytest.mark.parametrize(
    ("pose", "words"),
    [
        ("1,0,0,0,0,2,0,0,0,0,1,0", "no rigid|not a rigid transform"),
        ("1,0,0,0,0,1,0,0,0,0,-1,0", "not a rigid transform"),
        ("1,0,0,0,0,1,0,0,0,0,1,0,0,0,1,1", "not a rigid transform"),
        ("1,0,0,nan,0,1,0,0,0,0,1,0", "no such file"),
        ("1,0,0", "has 3 numbers, expected a rotation"),
        (np.eye(3), "has 9 numbers"),
        (np.eye(4).reshape(2, 8), "has 16 numbers"),
        (3, "cam_T_sensor"),
        ("absent.txt", "no such file"),
    ],
)
def test_what_is_no_pose_is_refused(pose: Any, words: str) -> None:
    with pytest.raises((OptionError, InputError), match=words) as refusal:
        rilievo.PredictOptions(sparse="a.pcd", cam_T_sensor=pose)
    assert "\n" not in str(refusal.value)


def test_a_pose_in_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for text in ("[1 0 0]", "camera: 5", "R: 1 2 3\nT: 1 2 3"):
        (tmp_path / "pose.txt").write_text(text)
        with pytest.raises(InputError, match=r"pose\.txt: "):
            rilievo.PredictOptions(sparse="a.pcd", cam_T_sensor=tmp_path / "pose.txt")


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    points = lidar_points(np.array([[10.0, 20], [80, 60]]), np.array([2.0, 3]))
    with pytest.raises(OptionError, match="the camera of the photograph is unknown; give camera"):
        read(tmp_path, points, camera=None)
    with pytest.raises(OptionError, match="sparse_kind only applies"):
        read(tmp_path, points, kind="metric")
    with pytest.raises(OptionError, match="sparse_crop"):
        read(tmp_path, points, crop="resized")
    with pytest.raises(InputError, match="shows none of its 2 points because 2 are behind the"):
        read(tmp_path, points - (9, 0, 0))
    with pytest.raises(InputError, match="all of its points are NaN"):
        read(tmp_path, np.zeros((3, 3)))
    np.save(tmp_path / "map.npy", np.ones(SIZE))
    with pytest.raises(OptionError, match="is a depth map"):
        read_sparse(tmp_path / "map.npy", SIZE, None, cam_T_sensor=np.eye(4), camera=CAMERA)
    with pytest.raises(InputError, match=r"expected points \(n, 3\)"):
        read_sparse(np.ones(SIZE), SIZE, None, cam_T_sensor=np.eye(4), camera=CAMERA)
    with pytest.raises(OptionError, match="cam_T_sensor only applies to sparse"):
        rilievo.PredictOptions(cam_T_sensor=CAM_T_LIDAR)


def test_points_that_rilievo_saved_need_an_error(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    rilievo.predict(photo, camera=CAMERA).save(tmp_path / "surface", "ply")
    [path] = tmp_path.glob("*.ply")
    with pytest.raises(InputError, match="a surface that rilievo saved"):
        read_sparse(path, SIZE, None, camera=CAMERA)
    assert read_sparse(path, SIZE, None, camera=CAMERA, is_error_stated=True).points
