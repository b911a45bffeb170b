"""Write docs/pictures/fuse.jpg: ``python lab/studies/write_fuse_picture.py``.

Three frames of a rendered walk through a room, and what ``rilievo fuse`` makes of all of them with
their poses, seen from behind the walk. Takes about two minutes.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import plyfile
from PIL import Image
from scipy.spatial import KDTree

import rilievo
from rilievo.data.fuse.teaching.seen_surface import seen_depth
from rilievo.geometry.intrinsics import unproject
from rilievo.geometry.transforms import transform
from rilievo.io.outputs.formats.gltf import TriangleMesh

PICTURE = Path(__file__).parents[2] / "docs/pictures/fuse.jpg"
_WALK = ("--clips", "1", "--frames", "60", "--hand-held", "--kind", "rooms", "--seed", "14")
_SIZE, _SHOWN = (240, 320), (0, 30, 59)
_BEHIND, _ABOVE, _FOCAL = 0.8, 0.1, 380.0
"""Place of the view behind the mean of the cameras [m], and its focal length [px]."""
_VIEW = (480, 600)
_GAP, _QUALITY = 4, 80


def surface_of(path: Path) -> tuple[TriangleMesh, np.ndarray]:
    """Mesh of a PLY and the colours of its points."""
    file = plyfile.PlyData.read(path)
    rows, faces = file["vertex"].data, file["face"].data
    points = np.stack([rows[each] for each in "xyz"], axis=1).astype(np.float32)
    colours = np.stack([rows[each] for each in ("red", "green", "blue")], axis=1)
    triangles = np.stack(list(faces["vertex_indices"])).astype(np.int64)
    mesh = TriangleMesh(points=points, normals=np.zeros_like(points), triangles=triangles)
    return mesh, colours


def seen_from_behind(path: Path, poses: np.ndarray) -> Image.Image:
    """Surface of a file from behind the cameras' mean."""
    mesh, colours = surface_of(path)
    height, width = _VIEW
    K = np.array([[_FOCAL, 0, (width - 1) / 2], [0, _FOCAL, (height - 1) / 2], [0, 0, 1]])
    world_T_cam = poses[len(poses) // 2].copy()
    world_T_cam[:3, 3] = poses[:, :3, 3].mean(axis=0)
    world_T_cam[:3, 3] -= _BEHIND * world_T_cam[:3, 2] + _ABOVE * world_T_cam[:3, 1]
    depth = seen_depth(mesh, K, world_T_cam, _VIEW)
    seen = depth > 0
    points = transform(world_T_cam, unproject(depth, K))[:, seen].T
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[seen] = colours[KDTree(mesh.points).query(points)[1]]
    return Image.fromarray(picture)


def main() -> None:
    """Write the picture."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        command = [
            sys.executable,
            "-m",
            "lab.scenes",
            *_WALK,
            "--size",
            *map(str, _SIZE),
            "-o",
            name,
        ]
        subprocess.run(command, check=True)
        clip = folder / "clip-00000"
        lines = np.loadtxt(clip / "poses.txt").reshape(-1, 3, 4)
        poses = np.concatenate([lines, np.tile([[[0.0, 0, 0, 1]]], (len(lines), 1, 1))], axis=1)
        options = rilievo.FuseOptions(poses=clip / "poses.txt")
        rilievo.fuse_clip(clip, folder / "place.ply", options)
        surface = seen_from_behind(folder / "place.ply", poses)
        frames = [Image.open(path) for path in sorted((clip / "images").iterdir())]
        height = (_VIEW[0] - (len(_SHOWN) - 1) * _GAP) // len(_SHOWN)
        width = round(height * _SIZE[1] / _SIZE[0])
        sheet = Image.new("RGB", (width + _GAP + _VIEW[1], _VIEW[0]), "white")
        for row, each in enumerate(_SHOWN):
            small = frames[each].resize((width, height), Image.Resampling.LANCZOS)
            sheet.paste(small, (0, row * (height + _GAP)))
        sheet.paste(surface, (width + _GAP, 0))
    sheet.save(PICTURE, quality=_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
