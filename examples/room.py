"""Render a walk through a small room, with exact depth, camera poses and camera matrix.

Usage: python examples/room.py FOLDER [FRAMES]

The folder then looks like a recording of an RGB-D camera:

    images/0000.png     the photographs, 480 x 360 pixels
    depth/0000.png      16-bit PNG, depth along the optical axis in millimetres
    poses.txt           the camera's path in KITTI's format: the first three rows of world_T_cam,
                        one line for each photograph, in metres
    camera.txt          the camera matrix K

The room is 5 m wide, 2.5 m high and 6 m long. In it stand three boxes, whose sizes ``BOXES`` gives.
Axes are those of OpenCV: x to the right, y down, z forward. The floor lies at y = 0.
"""

import sys
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

HEIGHT, WIDTH, FOCAL = 360, 480, 400.0
K = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
FRAMES = 60

# Corners (x, y, z) of the room and of the boxes in metres; y is negative above the floor.
ROOM = ((-2.5, -2.5, -1.0), (2.5, 0.0, 5.0))
BOXES = {
    "crate": ((-1.3, -0.6, 2.8), (-0.5, 0.0, 3.4)),  # 0.80 m wide, 0.60 m high, 0.60 m deep
    "carton": ((0.2, -0.4, 2.5), (0.7, 0.0, 2.9)),  # 0.50 m wide, 0.40 m high, 0.40 m deep
    "cabinet": ((1.0, -1.5, 3.8), (1.9, 0.0, 4.3)),  # 0.90 m wide, 1.50 m high, 0.50 m deep
}
# Texture of each surface, its contrast and its mean colour; a texture repeats every TILE metres.
TEXTURES = {
    "walls": ("gravel", 0.35, (205, 198, 180)),
    "floor": ("brick", 0.8, (150, 110, 75)),
    "crate": ("grass", 0.5, (190, 140, 80)),
    "carton": ("gravel", 0.6, (120, 150, 110)),
    "cabinet": ("brick", 0.6, (110, 130, 165)),
}
TILE = 1.6


def camera_pose(fraction: float) -> np.ndarray:
    """Pose ``world_T_cam`` (4, 4) at a fraction of the walk: sideways and a little forwards."""
    yaw, pitch = 0.1 - 0.2 * fraction, 0.16
    turn = np.array(
        [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    ) @ np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    pose = np.eye(4)
    pose[:3, :3] = turn
    pose[:3, 3] = -0.5 + 1.0 * fraction, -1.4 + 0.05 * np.sin(12 * fraction), 0.4 * fraction
    return pose


def entry_and_exit(
    origin: np.ndarray, rays: np.ndarray, corners: tuple
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where rays enter and leave a box, as multiples of the ray, and the axis of either face."""
    with np.errstate(divide="ignore"):
        first = (np.array(corners[0]) - origin) / rays
        second = (np.array(corners[1]) - origin) / rays
    near, far = np.minimum(first, second), np.maximum(first, second)
    return near.max(-1), far.min(-1), near.argmax(-1), far.argmin(-1)


def face_colours(points: np.ndarray, axes: np.ndarray, name: str) -> np.ndarray:
    """Colours (n, 3) of points on a solid whose faces are perpendicular to ``axes``."""
    texture, contrast, colour = TEXTURES[name]
    pixels = getattr(skimage.data, texture)() / 255
    brightness = 1 + contrast * (pixels - pixels.mean()) / pixels.mean()
    # A face spans the two axes to which it is not perpendicular.
    across = np.where(axes == 0, points[:, 2], points[:, 0])
    along = np.where(axes == 1, points[:, 2], points[:, 1])
    row = (along / TILE * pixels.shape[0]).astype(int) % pixels.shape[0]
    column = (across / TILE * pixels.shape[1]).astype(int) % pixels.shape[1]
    light = np.array([0.75, 1.0, 0.9])[axes]  # by the direction of the face
    return (brightness[row, column] * light)[:, None] * np.array(colour)


def render(pose: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours (height, width, 3) and depth (height, width) in metres, from one camera."""
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    u, v = columns * WIDTH / width - 0.5, rows * HEIGHT / height - 0.5
    # The third coordinate is 1, so a multiple of the ray is the depth of its point.
    in_camera = np.stack([(u - K[0, 2]) / FOCAL, (v - K[1, 2]) / FOCAL, np.ones_like(u)], -1)
    rays = in_camera.reshape(-1, 3) @ pose[:3, :3].T
    _, depth, _, axes = entry_and_exit(pose[:3, 3], rays, ROOM)
    names = np.where((axes == 1) & (rays[:, 1] > 0), "floor", "walls").astype("<U8")
    for name, corners in BOXES.items():
        enters, leaves, entered_axes, _ = entry_and_exit(pose[:3, 3], rays, corners)
        is_hit = (enters < leaves) & (enters > 0) & (enters < depth)
        depth = np.where(is_hit, enters, depth)
        axes = np.where(is_hit, entered_axes, axes)
        names[is_hit] = name
    points = pose[:3, 3] + depth[:, None] * rays
    colours = np.empty((len(rays), 3))
    for name in TEXTURES:
        seen = names == name
        colours[seen] = face_colours(points[seen], axes[seen], name)
    return colours.reshape(height, width, 3), depth.reshape(height, width)


def write_room(folder: Path, frames: int = FRAMES) -> None:
    """Write photographs, depth, poses and the camera matrix."""
    for name in ("images", "depth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(frames):
        pose = camera_pose(index / max(1, frames - 1))
        fine, _ = render(pose, 2 * HEIGHT, 2 * WIDTH)  # four rays a pixel, so that edges are smooth
        colours = fine.reshape(HEIGHT, 2, WIDTH, 2, 3).mean((1, 3))
        _, depth = render(pose, HEIGHT, WIDTH)
        Image.fromarray(colours.clip(0, 255).astype(np.uint8)).save(
            folder / f"images/{index:04d}.png"
        )
        millimetres = (1000 * depth).round().astype(np.uint16)
        Image.fromarray(millimetres).save(folder / f"depth/{index:04d}.png")
        lines.append(" ".join(f"{number:.6f}" for number in pose[:3].ravel()))
    (folder / "poses.txt").write_text("\n".join(lines) + "\n")
    np.savetxt(folder / "camera.txt", K, fmt="%.3f")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    write_room(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else FRAMES)
    print(f"{sys.argv[1]}: images, depth, poses.txt, camera.txt")
