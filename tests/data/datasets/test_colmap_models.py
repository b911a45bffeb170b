"""Models of COLMAP: the binary form is read as the text is, and what is broken is one line."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest

from rilievo.data.clips.pose_files import read_poses
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.datasets.colmap import read_cameras, read_images
from rilievo.errors import InputError
from rilievo.io.cameras.colmap import read_images_bin as binary_rows
from rilievo.io.cameras.lens_files import read_lens

# Number, name and parameters of each model, as https://colmap.github.io/cameras.html has them.
MODELS = (
    (0, "SIMPLE_PINHOLE", (500.25, 320.5, 239.5)),
    (1, "PINHOLE", (500.25, 501, 320.5, 239.5)),
    (2, "SIMPLE_RADIAL", (500.25, 320.5, 239.5, -0.125)),
    (3, "RADIAL", (500.25, 320.5, 239.5, -0.125, 0.0625)),
    (4, "OPENCV", (500.25, 501, 320.5, 239.5, -0.125, 0.0625, 0.001, 0.002)),
    (5, "OPENCV_FISHEYE", (300, 301, 320.5, 239.5, 0.01, -0.002, 0.001, 0)),
    (6, "FULL_OPENCV", (500, 501, 320, 240, -0.1, 0.05, 0.001, 0.002, 0.01, 0.02, 0.003, 0.001)),
    (7, "FOV", (300, 301, 320.5, 239.5, 0.9)),
    (8, "SIMPLE_RADIAL_FISHEYE", (300, 320.5, 239.5, 0.01)),
    (9, "RADIAL_FISHEYE", (300, 320.5, 239.5, 0.01, -0.002)),
    (10, "THIN_PRISM_FISHEYE", (300, 301, 320, 240, 0.01, 0, 0.001, 0.002, 0, 0, 0.01, 0.02)),
)
IMAGES = (
    (1, (1.0, 0.0, 0.0, 0.0), (0.5, -1.5, 2.0), "000000.png", ()),
    (2, (0.8, 0.0, 0.6, 0.0), (1.0, 2.0, 3.0), "a folder/ünder 3.png", ((1.5, 2.5, 7),)),
    (5, (0.5, -0.5, 0.5, 0.5), (-1e-3, 0.0, 250.125), "000002.png", ((3, 4, -1), (5, 6, 9))),
)
"""Number, quaternion and translation of ``cam_T_world``, name, points (x, y, number)."""


def binary_cameras(number: int = 1, numbers: tuple[float, ...] = MODELS[1][2]) -> bytes:
    camera = struct.pack(f"<IiQQ{len(numbers)}d", 3, number, 640, 480, *numbers)
    return struct.pack("<Q", 1) + camera


def binary_images() -> bytes:
    content = struct.pack("<Q", len(IMAGES))
    for id, q, t, name, points in IMAGES:
        content += struct.pack("<I7dI", id, *q, *t, 3) + name.encode() + b"\0"
        content += struct.pack("<Q", len(points))
        content += b"".join(struct.pack("<ddq", *point) for point in points)
    return content


def words(numbers: tuple[float, ...]) -> str:
    return " ".join(map(repr, numbers))


def write_text(folder: Path, name: str = "PINHOLE", numbers: tuple = MODELS[1][2]) -> Path:
    folder.mkdir()
    (folder / "cameras.txt").write_text(f"# cameras\n3 {name} 640 480 {words(numbers)}\n")
    lines = ["# images"]
    for id, q, t, file, points in IMAGES:
        lines += [f"{id} {words(q)} {words(t)} 3 {file}", " ".join(map(words, points))]
    (folder / "images.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_binary(folder: Path, number: int = 1, numbers: tuple = MODELS[1][2]) -> Path:
    folder.mkdir()
    (folder / "cameras.bin").write_bytes(binary_cameras(number, numbers))
    (folder / "images.bin").write_bytes(binary_images())
    return folder


@pytest.mark.parametrize(("number", "name", "numbers"), MODELS)
def test_binary_cameras_are_those_of_the_text(
    tmp_path: Path, number: int, name: str, numbers: tuple[float, ...]
) -> None:
    text = write_text(tmp_path / "text", name, numbers) / "cameras.txt"
    binary = write_binary(tmp_path / "binary", number, numbers) / "cameras.bin"
    [(id, camera)] = read_cameras(text).items()
    [(binary_id, binary_camera)] = read_cameras(binary).items()
    assert id == binary_id == 3
    for one in (camera, binary_camera):
        assert (one.model, one.width, one.height) == (name, 640, 480)
        one_focal = name.startswith(("SIMPLE", "RADIAL"))
        fy, (cx, cy) = (numbers[0], numbers[1:3]) if one_focal else (numbers[1], numbers[2:4])
        expected = [[numbers[0], 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]]
        np.testing.assert_array_equal(one.K, expected)
    if name != "THIN_PRISM_FISHEYE":
        assert read_lens(binary) == read_lens(text)
        return
    for path in (text, binary):
        with pytest.raises(InputError, match="COLMAP's camera model 'THIN_PRISM_FISHEYE'"):
            read_lens(path)


def test_binary_images_are_those_of_the_text(tmp_path: Path) -> None:
    text = list(read_images(write_text(tmp_path / "text") / "images.txt"))
    binary = list(read_images(write_binary(tmp_path / "binary") / "images.bin"))
    assert len(text) == len(binary) == len(IMAGES)
    for one, other, (_, _, t, name, _) in zip(text, binary, IMAGES, strict=True):
        assert (one.name, one.camera_id) == (other.name, other.camera_id) == (name, 3)
        np.testing.assert_array_equal(one.world_T_cam, other.world_T_cam)
        origin = np.linalg.inv(other.world_T_cam)[:3, 3]
        np.testing.assert_allclose(origin, t, atol=1e-12)


@pytest.mark.parametrize("place", [".", "sparse/0", "sparse/0/images.bin"])
def test_poses_and_camera_of_a_binary_model(tmp_path: Path, place: str) -> None:
    (tmp_path / "sparse").mkdir()
    folder = write_binary(tmp_path / "sparse" / "0")
    expected = read_poses(write_text(tmp_path / "text"))
    poses = read_poses(folder if place == "." else tmp_path / place)
    frames = [ClipFrame(index=k, name=f"{k:06d}.jpg", seconds=k) for k in (0, 2)]
    np.testing.assert_array_equal(
        poses.poses_of_frames(frames, 3), expected.poses_of_frames(frames, 3)
    )
    assert np.isfinite(poses.poses_of_frames(frames, 3)).all()
    assert poses.camera is not None
    assert poses.camera.shape == (480, 640)
    np.testing.assert_array_equal(poses.camera.K, [[500.25, 0, 320], [0, 501, 239], [0, 0, 1]])


def test_a_distorted_camera_of_a_binary_model_is_said(tmp_path: Path) -> None:
    [note] = read_poses(write_binary(tmp_path / "model", 4, MODELS[4][2])).notes
    assert "OPENCV" in note


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    read = read_cameras if path.name == "cameras.bin" else read_images
    with pytest.raises(InputError) as refused:
        list(read(path))
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)
    if path.name == "cameras.bin":
        with pytest.raises(InputError):
            read_lens(path)
    return str(refused.value)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
def test_a_binary_file_cut_anywhere_is_one_line(tmp_path: Path, name: str) -> None:
    content = binary_cameras() if name == "cameras.bin" else binary_images()
    for length in range(1, len(content)):
        assert "copy it again" in refusal(tmp_path / name, content[:length])


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
@pytest.mark.parametrize("count", [2, 4, 10**6, 2**63, 2**64 - 1])
def test_a_count_beyond_the_file_is_one_line(tmp_path: Path, name: str, count: int) -> None:
    content = binary_cameras() if name == "cameras.bin" else binary_images() + bytes(24)
    counted = struct.pack("<Q", count) + content[8:]
    message = refusal(tmp_path / name, counted)
    assert count < 10 or f"announces {count} {name.removesuffix('.bin')} at byte 0" in message


def test_a_count_of_points_beyond_the_file_is_one_line(tmp_path: Path) -> None:
    at = 8 + 64 + len(IMAGES[0][3]) + 1
    content = binary_images()
    for count in (2, 2**40, 2**64 - 1):
        wrong = content[:at] + struct.pack("<Q", count) + content[at + 8 :]
        message = refusal(tmp_path / "images.bin", wrong)
        assert count == 2 or f"announces {count} points at byte {at}" in message


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
def test_a_count_below_what_follows_is_one_line(tmp_path: Path, name: str) -> None:
    content = binary_cameras() if name == "cameras.bin" else binary_images()
    assert f"has {len(content) - 8} more bytes after" in refusal(
        tmp_path / name, bytes(8) + content[8:]
    )


@pytest.mark.parametrize("number", [-1, 11, 2**31 - 1])
def test_an_unknown_number_of_a_model_is_one_line(tmp_path: Path, number: int) -> None:
    message = refusal(tmp_path / "cameras.bin", binary_cameras(number))
    beginning = f"camera 3: the camera model with the number {number} is unknown; known models"
    assert f"{beginning} are 0 (SIMPLE" in message


def test_a_binary_pose_that_is_no_rotation_and_place_is_one_line(tmp_path: Path) -> None:
    content = binary_images()
    for wrong in (0.0, float("nan"), 1e300):
        pose = struct.pack("<7d", wrong, *[0.0] * 6)
        message = refusal(tmp_path / "images.bin", content[:12] + pose + content[68:])
        assert "image 1: the pose" in message


def test_long_names_cost_no_more_than_short_ones(tmp_path: Path) -> None:
    """Names of points: they were read byte by byte, 1.2 CPU seconds a megabyte."""
    images = b"".join(
        struct.pack("<I7dI", number, 1, 0, 0, 0, 0, 0, 0, 3)
        + b"x" * 395
        + b"%05d\0" % number
        + bytes(8)
        for number in range(4000)
    )
    (tmp_path / "images.bin").write_bytes(struct.pack("<Q", 4000) + images)
    before = time.process_time()
    names = [row.name for row in binary_rows(tmp_path / "images.bin")]
    assert time.process_time() - before < 0.3
    assert [len(names), {*map(len, names)}, names[-1][-5:]] == [4000, {400}, "03999"]


def test_a_name_without_end_or_of_no_text_is_one_line(tmp_path: Path) -> None:
    head = struct.pack("<Q", 1) + struct.pack("<I7dI", 1, 1, 0, 0, 0, 0, 0, 0, 3)
    path = tmp_path / "images.bin"
    assert "name is longer than 4096 bytes" in refusal(path, head + b"a" * 10_000)
    assert "UTF-8" in refusal(path, head + b"\xff\xfe\0" + bytes(8))


@pytest.mark.parametrize("form", ["txt", "bin"])
def test_a_camera_of_no_width_is_one_line(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"cameras.{form}"
    path.write_text("3 PINHOLE 0 480 500 501 320 240\n")
    if form == "bin":
        path.write_bytes(binary_cameras().replace(struct.pack("<Q", 640), bytes(8)))
    with pytest.raises(InputError, match="its images are 0x480, expected sides of 1"):
        read_cameras(path)


def test_a_file_of_no_camera_is_no_lens(tmp_path: Path) -> None:
    (tmp_path / "cameras.bin").write_bytes(bytes(8))
    assert read_cameras(tmp_path / "cameras.bin") == {}
    with pytest.raises(InputError, match="has no cameras"):
        read_lens(tmp_path / "cameras.bin")
