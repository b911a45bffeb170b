"""Depth and normals for a COLMAP model, at its scale, and a transforms.json for nerfstudio.

Usage: python colmap_priors.py MODEL IMAGES OUTPUT [NAME]

MODEL is a folder with cameras.txt, images.txt and points3D.txt (colmap model_converter writes
them), IMAGES that of the photographs, best undistorted (colmap image_undistorter); NAME a model of
rilievo's. Each photograph's depth is fitted to the points that COLMAP saw in it, so that all have
the scale of the reconstruction, which is metres only if you made it so.

OUTPUT gets depth/NAME.npy (float32, thousandths of COLMAP's unit, as nerfstudio reads depth; 0
where there is none), normals/NAME.npy (float32, h w 3, camera frame: x right, y down, z forward,
towards the camera) and transforms.json.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

import rilievo
from rilievo.data.datasets.colmap import ColmapCamera, ColmapImage, read_cameras, read_images

THOUSANDTHS = 1000


def read_points(path: Path) -> dict[int, np.ndarray]:
    """Places of the points of ``points3D.txt``, by id."""
    rows = (
        line.split()
        for line in path.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    return {int(row[0]): np.array(row[1:4], float) for row in rows if row}


def read_sightings(path: Path) -> Iterator[tuple[str, list[int]]]:
    """Every image's name in ``images.txt`` and the ids of the points that are seen in it."""
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    for about, points in zip(lines[::2], lines[1::2], strict=True):
        yield about.split(maxsplit=9)[9], [int(id) for id in points.split()[2::3] if id != "-1"]


def sparse_depth(image: ColmapImage, camera: ColmapCamera, points: np.ndarray) -> np.ndarray:
    """Depth map with the points in it, 0 elsewhere."""
    R, t = image.world_T_cam[:3, :3], image.world_T_cam[:3, 3]
    x, y, z = camera.K @ (R.T @ (points - t).T)
    depth = np.zeros((camera.height, camera.width), np.float32)
    for u, v, far in zip(x / z, y / z, z, strict=True):
        column, row = round(u), round(v)
        if far > 0 and 0 <= column < camera.width and 0 <= row < camera.height:
            depth[row, column] = far
    return depth


def frame_of(image: ColmapImage, camera: ColmapCamera, photo: Path, depth: Path) -> Mapping:
    """Entry of a photograph in transforms.json: OpenGL axes, pixels counted from the corner."""
    K = camera.K
    pose = image.world_T_cam @ np.diag([1.0, -1.0, -1.0, 1.0])
    numbers = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5}
    return {
        "file_path": str(photo.resolve()),
        "depth_file_path": str(depth.resolve()),
        "transform_matrix": pose.tolist(),
        "w": camera.width,
        "h": camera.height,
        **{name: float(number) for name, number in numbers.items()},
    }


def write_priors(model: Path, images: Path, output: Path, name: str) -> None:
    """Predict every photograph of the model."""
    cameras, points = read_cameras(model / "cameras.txt"), read_points(model / "points3D.txt")
    sightings, frames = dict(read_sightings(model / "images.txt")), []
    for image in read_images(model / "images.txt"):
        camera, photo = cameras[image.camera_id], images / image.name
        seen = np.array([points[id] for id in sightings[image.name]]).reshape(-1, 3)
        known = sparse_depth(image, camera, seen)
        try:
            prediction = rilievo.predict(photo, model=name, camera=camera.K, sparse=known)
        except (rilievo.CalibrationError, rilievo.InputError) as error:
            print(f"{image.name}: left out: {error}", file=sys.stderr)
            continue
        place = output / "depth" / f"{image.name}.npy"
        place.parent.mkdir(parents=True, exist_ok=True)
        depth = prediction.depth
        np.save(place, np.where(depth.valid, depth.values * THOUSANDTHS, np.float32(0)))
        if prediction.normals is not None:
            beside = output / "normals" / f"{image.name}.npy"
            beside.parent.mkdir(parents=True, exist_ok=True)
            np.save(beside, np.moveaxis(prediction.normals, 0, 2))
        frames.append(frame_of(image, camera, photo, place))
    content = {"camera_model": "OPENCV", "frames": frames}
    (output / "transforms.json").write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    model, images, output = map(Path, sys.argv[1:4])
    write_priors(model, images, output, sys.argv[4] if len(sys.argv) == 5 else "rilievo/small")
