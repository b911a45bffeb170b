"""Small downloads of Sintel, KITTI, Bonn and ScanNet, as their authors describe the files.

Videos are of uneven length. What is written is returned as plain arrays, so that tests need no
reader.
"""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

DRIVES = "2011_09_26_drive_0002_sync", "2011_10_03_drive_0047_sync"
ROLL = 0.3
SINTEL_K = np.array([[70.0, 0, 30.5], [0, 71.0, 20.5], [0, 0, 1]])
SCANNET_K = np.array([[60.0, 0, 41.0, 0], [0, 61.0, 28.0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


@dataclass
class Written:
    """Contents of a download.

    Attributes:
        depth: Depth [m] of each frame that counts, by id, by video; 0 is unknown.
    """

    depth: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def add(self, video: str, id: str, depth: np.ndarray) -> None:
        self.depth.setdefault(video, {})[id] = depth


def scene_depth(shape: tuple[int, int], frame: int, *, farthest: float) -> np.ndarray:
    """Smooth depth that moves from frame to frame, to beyond the farthest that counts."""
    v, u = np.mgrid[: shape[0], : shape[1]]
    wave = 0.65 + 0.45 * np.sin(u / 20 + v / 15 + frame / 4) + 0.05 * np.cos(v / 3)
    return farthest * wave


def stored(depth: np.ndarray, factor: float, seed: int) -> np.ndarray:
    """Depth of 16 bits, with holes."""
    counts = np.round(np.clip(depth * factor, 0, 65535)).astype(np.uint16)
    counts[np.random.default_rng(seed).random(depth.shape) < 0.3] = 0
    return counts


def picture(shape: tuple[int, int], level: int) -> np.ndarray:
    """A photograph whose pixels tell their row and column."""
    v, u = np.mgrid[: shape[0], : shape[1]]
    return np.stack([v, u, np.full(shape, level)], axis=-1).astype(np.uint8)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    assert cv2.imwrite(str(path), colour)


def dpt(depth: np.ndarray) -> bytes:
    height, width = depth.shape
    head = np.float32(202021.25).tobytes() + np.int32([width, height]).tobytes()
    return head + depth.astype("<f4").tobytes()


def cam(K: np.ndarray, cam_T_world: np.ndarray) -> bytes:
    return np.float32(202021.25).tobytes() + K.tobytes() + cam_T_world[:3].tobytes()


def turned(frame: int) -> np.ndarray:
    """A rolled camera that moves right: cam_T_world."""
    c, s = np.cos(ROLL), np.sin(ROLL)
    return np.array([[c, -s, 0, 0.1 * frame], [s, c, 0, 0.2], [0, 0, 1, 0.3], [0, 0, 0, 1.0]])


def write_sintel(root: Path) -> Written:
    """Pictures and depth are two downloads beside each other."""
    written, shape = Written(), (42, 62)
    pictures = root / "MPI-Sintel-complete" / "training"
    depths = root / "MPI-Sintel-depth-training" / "training"
    for number, (video, count) in enumerate({"alley_1": 5, "market_6": 2, "temple_3": 3}.items()):
        for frame in range(1, count + 1):
            name = f"{video}/frame_{frame:04}"
            depth = scene_depth(shape, frame, farthest=70 * (1 + number) / 3).astype(np.float32)
            depth[:3] = 1e5
            for part, level in (("clean", 10), ("final", 20)):
                write(pictures / part / f"{name}.png", picture(shape, level + frame))
            for part, suffix, content in (
                ("depth", "dpt", dpt(depth)),
                ("camdata_left", "cam", cam(SINTEL_K, turned(frame))),
            ):
                path = depths / part / f"{name}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            written.add(video, f"clean/{name}", depth)
    (pictures / "clean" / "a_video_of_nobody").mkdir()
    return written


def write_kitti(root: Path, *, short: bool = True) -> Written:
    """Sides are odd; the first drive has more frames than the 110 that count (``short``)."""
    written, shape = Written(), (41, 61)
    for number, (drive, count) in enumerate(zip(DRIVES, (112, 3), strict=True)):
        truth = root / "data_depth_annotated" / "val" / drive / "proj_depth/groundtruth/image_02"
        for frame in range(5, 5 + count):
            name = f"{frame:010}.png"
            far = 80 * (1 + number) / 2
            counts = stored(scene_depth(shape, frame, farthest=far), 256, frame)
            write(truth / name, counts)
            photographs = root / "raw" / drive[:10] / drive / "image_02" / "data"
            write(photographs / name, picture(shape, frame))
            if not short or frame < 5 + 110:
                written.add(drive, f"{drive}/rgb/{name[:-4]}", counts / 256)
    # Pictures without depth are no part of a video.
    write(root / "raw" / DRIVES[0][:10] / DRIVES[0] / "image_02/data/0000000004.png", counts)
    return written


def write_bonn(root: Path, *, short: bool = True) -> Written:
    """Frames 30 to 139 count (``short``); of the second video the first depth map is missing."""
    written, shape = Written(), (44, 60)
    lengths = {"rgbd_bonn_crowd2": 144, "rgbd_bonn_synchronous": 33}
    for number, (video, count) in enumerate(lengths.items()):
        depths, names = [], []
        for frame in range(count):
            seconds = 1548339819.9 + frame / 30
            names.append(f"{seconds:.5f}")
            far = 10 * (1 + number) / 2
            depth = stored(scene_depth(shape, frame, farthest=far), 5000, frame)
            write(root / video / "rgb" / f"{names[-1]}.png", picture(shape, frame))
            if number != 1 or frame != 0:
                depths.append(depth / 5000)
                write(root / video / "depth" / f"{seconds + 0.004:.5f}.png", depth)
        taken = slice(30, 140) if short else slice(500)
        for name, depth in zip(names[taken], depths[taken], strict=False):
            written.add(video, f"{video}/rgb/{name}", depth)
    return written


def write_scannet(root: Path, *, short: bool = True) -> Written:
    """Every third frame counts (``short``), in the order of numbers, inside the margins."""
    written, shape = Written(), (56, 82)
    for number, (video, count) in enumerate({"scene0707_00": 14, "scene0710_00": 5}.items()):
        folder = root / "scans_test" / video
        for frame in range(count):
            far = 10 * (1 + number) / 2
            depth = stored(scene_depth(shape, frame, farthest=far), 1000, frame)
            write(folder / "color" / f"{frame}.jpg", picture(shape, frame))
            write(folder / "depth" / f"{frame}.png", depth)
            pose = np.full((4, 4), -np.inf) if frame == 3 else np.linalg.inv(turned(frame))
            for name, matrix in (
                (f"pose/{frame}", pose),
                ("intrinsic/intrinsic_depth", SCANNET_K),
            ):
                (folder / name).parent.mkdir(exist_ok=True)
                np.savetxt(folder / f"{name}.txt", matrix)
            if not short or frame % 3 == 0:
                written.add(video, f"{video}/color/{frame}", depth[8:-8, 11:-11] / 1000)
    return written
