"""Write docs/pictures/fuse.jpg: ``python lab/studies/write_fuse_picture.py``.

Three frames of a rendered walk through a room, and what ``rilievo fuse`` makes of all of them with
their poses, seen from behind the walk. Takes about two minutes.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import trimesh
from picture_grid import GAP, grid
from PIL import Image
from scipy.spatial import KDTree

import rilievo
from rilievo.data.clips.pose_files import read_poses_of_files
from rilievo.data.fuse.surface_rendering import surface_depth
from rilievo.geometry.intrinsics import unproject
from rilievo.geometry.transforms import transform
from rilievo.io.outputs.formats.gltf import TriangleMesh

PICTURE = Path(__file__).parents[2] / "docs/pictures/fuse.jpg"
_WALK = ("--clips", "1", "--frames", "60", "--hand-held", "--kind", "rooms", "--seed", "14")
_SIZE, _SHOWN = (240, 320), (0, 30, 59)
_BEHIND, _ABOVE, _FOCAL = 0.8, 0.1, 380.0
"""Place of the view behind the mean of the cameras [m], and its focal length [px]."""
_VIEW = (480, 600)
QUALITY = 80


def surface_of(path: Path) -> tuple[TriangleMesh, np.ndarray]:
    """Mesh of a PLY and the colours of its points."""
    file = trimesh.load_mesh(path, process=False)
    assert isinstance(file, trimesh.Trimesh)
    points = np.asarray(file.vertices, np.float32)
    triangles = np.asarray(file.faces, np.int64)
    mesh = TriangleMesh(points=points, normals=np.zeros_like(points), triangles=triangles)
    visual = file.visual
    assert isinstance(visual, trimesh.visual.ColorVisuals)
    return mesh, np.asarray(visual.vertex_colors)[:, :3]


def seen_from_behind(path: Path, poses: np.ndarray) -> Image.Image:
    """Surface of a file from behind the cameras' mean."""
    mesh, colours = surface_of(path)
    height, width = _VIEW
    K = np.array([[_FOCAL, 0, (width - 1) / 2], [0, _FOCAL, (height - 1) / 2], [0, 0, 1]])
    world_T_cam = poses[len(poses) // 2].copy()
    world_T_cam[:3, 3] = poses[:, :3, 3].mean(axis=0)
    world_T_cam[:3, 3] -= _BEHIND * world_T_cam[:3, 2] + _ABOVE * world_T_cam[:3, 1]
    depth = surface_depth(mesh, K, world_T_cam, _VIEW)
    seen = depth > 0
    points = transform(world_T_cam, unproject(depth, K))[:, seen].T
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[seen] = colours[KDTree(mesh.points).query(points)[1]]
    return Image.fromarray(picture)


def beside(surface: Image.Image, paths: Sequence[Path]) -> Image.Image:
    """Frames of 4:3 above one another, and the surface at their right."""
    height = (surface.height - (len(paths) - 1) * GAP) // len(paths)
    size = (round(height * 4 / 3), height)
    frames = [Image.open(path).resize(size, Image.Resampling.LANCZOS) for path in paths]
    return grid([[grid([[frame] for frame in frames]), surface]])


def main() -> None:
    """Write the picture."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        size = ("--size", *map(str, _SIZE))
        command = [sys.executable, "-m", "lab.scenes", *_WALK, *size, "-o", name]
        subprocess.run(command, check=True)
        clip = folder / "clip-00000"
        options = rilievo.FuseOptions(poses=clip / "poses.txt")
        rilievo.fuse_clip(clip, folder / "place.ply", options)
        paths = sorted((clip / "images").iterdir())
        surface = seen_from_behind(
            folder / "place.ply", read_poses_of_files(clip / "poses.txt", paths)
        )
        beside(surface, [paths[number] for number in _SHOWN]).save(
            PICTURE, quality=QUALITY, optimize=True
        )


if __name__ == "__main__":
    main()
