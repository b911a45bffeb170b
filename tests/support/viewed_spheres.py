"""A coloured sphere seen from several sides, written in the layouts of NAVI and ScanNet."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from support.original_files import write_png

Seen = tuple[np.ndarray, np.ndarray]


def turned(degrees: float) -> np.ndarray:
    """Rotation about the y axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def seen_sphere(
    size: tuple[int, int], K: np.ndarray, cam_R_object: np.ndarray, distance: float, radius: float
) -> Seen:
    """Picture and depth [m] of a sphere on the optical axis; depth is 0 around it."""
    v, u = np.mgrid[: size[0], : size[1]]
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(size)], -1)
    # |z ray - centre| = radius, for the centre (0, 0, distance); the nearer solution.
    squared = (rays**2).sum(-1)
    root = distance**2 - squared * (distance**2 - radius**2)
    z = np.where(root > 0, (distance - np.sqrt(np.maximum(root, 0))) / squared, 0)
    on_object = (rays * z[..., None] - [0, 0, distance]) @ cam_R_object / radius
    waves = np.sin(on_object @ np.array([[9, 2, 4], [3, 8, -5], [2, -4, 7]]) + [0, 1, 2])
    picture = np.where(z[..., None] > 0, 128 + 100 * waves, 60)
    return picture.astype(np.uint8), z


def write_navi(folder: Path, angles: Sequence[float], size: tuple[int, int] = (120, 160)) -> None:
    """An object in the wild, seen from angles [degrees] about its upright axis."""
    annotations = []
    for number, angle in enumerate(angles):
        focal = 250.0
        K = np.array([[focal, 0, (size[1] - 1) / 2], [0, focal, (size[0] - 1) / 2], [0, 0, 1]])
        picture, depth = seen_sphere(size, K, turned(angle), 0.5, 0.06)
        name = f"{number:03}"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / "images" / f"{name}.jpg", quality=95)
        stored = np.where(depth > 0, 655.35 / np.maximum(depth, 0.1), 0).round().astype(np.uint16)
        stored[np.arange(size[0]) % 5 > 0] = 0  # Fewer points are matched in less time.
        write_png(folder / "depth" / f"{name}.png", stored)
        half = math.radians(angle) / 2
        pose = {"q": [math.cos(half), 0, math.sin(half), 0], "t": [0, 0, 500]}
        annotations.append(
            {
                "object_id": folder.parent.name,
                "camera": {**pose, "focal_length": focal, "camera_model": "pixel_5"},
                "filename": f"{name}.jpg",
                "image_size": list(size),
                "scene_name": folder.name,
                "split": "train",
                "occluded": False,
            }
        )
    (folder / "annotations.json").write_text(json.dumps(annotations))


SCANNET_K = np.array([[571.6, 0, 320.1], [0, 574.2, 241.5], [0, 0, 1]])


def write_scannet(root: Path, angles: Sequence[float], pairs: Sequence[tuple[int, int]]) -> None:
    """A scan of a sphere of 30 cm in the layout of LoFTR's test pairs, from angles [degrees]."""
    for number, angle in enumerate(angles):
        scan = root / "scene0707_00"
        picture, depth = seen_sphere((480, 640), SCANNET_K, turned(angle), 1.5, 0.3)
        for kind in ("color", "depth", "pose"):
            (scan / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(scan / "color" / f"{15 * number}.jpg", quality=95)
        write_png(scan / "depth" / f"{15 * number}.png", (1000 * depth).round().astype(np.uint16))
        cam_T_world = np.eye(4)
        cam_T_world[:3, :3], cam_T_world[2, 3] = turned(angle), 1.5
        lines = [" ".join(f"{x:.9f}" for x in row) for row in np.linalg.inv(cam_T_world)]
        (scan / "pose" / f"{15 * number}.txt").write_text("\n".join(lines))
    rows = [(707, 0, 15 * first, 15 * second) for first, second in pairs]
    np.savez(root / "test.npz", name=np.array(rows), rel_pose=np.zeros((len(rows), 12)))
    np.savez(root / "intrinsics.npz", scene0707_00=SCANNET_K)
