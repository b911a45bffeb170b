"""Write docs/pictures/splats.jpg: ``python tools/write_splat_picture.py``.

A photograph, its mesh and its splats (``--save splat``, read back from the file) as seen from 12
degrees to the side. The splats are drawn as 3D Gaussian Splatting defines it, back to front: each
covariance is projected by the camera's derivative, and its Gaussian times the opacity covers what
lies behind.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import plyfile
from everyday_photographs import photograph
from PIL import Image

import rilievo
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.turning import GROUND, View, first_view, picture, scene_of

PICTURE = Path(__file__).parents[1] / "docs/pictures/splats.jpg"
_PHOTOGRAPH, _SIDE, _GAP = "hat", 420, 4
_YAW, _PITCH = 12.0, 3.0
_BACKING = 0.15
_REACH = 3
"""Pixels from its middle that a splat is drawn."""
_BLUR = 0.3
"""Variance [px^2] that viewers add to every splat, so that none falls between pixels."""


def splats_seen(path: Path, view: View, turn: np.ndarray, pivot: np.ndarray) -> np.ndarray:
    """Draw the splats of a file."""
    rows = plyfile.PlyData.read(path)["vertex"].data

    def columns(*names: str) -> np.ndarray:
        return np.stack([rows[name] for name in names]).astype(np.float64)

    x, y, z = turn @ (columns(*"xyz") - pivot[:, None]) + pivot[:, None]
    fx, fy, cx, cy = view.K[0, 0], view.K[1, 1], view.K[0, 2], view.K[1, 2]
    u, v = fx * x / z + cx, fy * y / z + cy
    axes = turn @ _rotations(*columns("rot_0", "rot_1", "rot_2", "rot_3"))
    scaled = axes * np.exp(columns("scale_0", "scale_1", "scale_2")).T[:, None, :]
    zero = np.zeros_like(z)
    slopes = np.array([[fx / z, zero, -fx * x / z**2], [zero, fy / z, -fy * y / z**2]])
    sides = np.moveaxis(slopes, 2, 0) @ scaled
    spread = sides @ sides.transpose(0, 2, 1) + _BLUR * np.eye(2)
    inverse = np.linalg.inv(spread)
    colours = (0.5 + columns("f_dc_0", "f_dc_1", "f_dc_2").T * 0.28209479177387814).clip(0, 1)
    opacity = 1 / (1 + np.exp(-rows["opacity"].astype(np.float64)))
    height, width = view.size
    canvas = np.tile(np.array(GROUND) / 255, (height * width, 1))
    order = np.argsort(-z)
    # Splats of one slice are drawn at once; slices go from back to front.
    for chosen in np.array_split(order, 400):
        light, cover = np.zeros((height * width, 3)), np.zeros(height * width)
        for down, right in np.ndindex(2 * _REACH + 1, 2 * _REACH + 1):
            a = np.rint(u[chosen]).astype(int) + right - _REACH
            b = np.rint(v[chosen]).astype(int) + down - _REACH
            off = np.stack([a - u[chosen], b - v[chosen]], axis=1)
            power = np.einsum("ni,nij,nj->n", off, inverse[chosen], off)
            share = opacity[chosen] * np.exp(-power / 2)
            inside = (a >= 0) & (a < width) & (b >= 0) & (b < height) & (share > 1 / 255)
            place = (b * width + a)[inside]
            np.add.at(light, place, share[inside, None] * colours[chosen][inside])
            np.add.at(cover, place, share[inside])
        there = cover > 0
        mean = light[there] / cover[there, None]
        shown = (1 - np.exp(-cover[there]))[:, None]
        canvas[there] += shown * (mean - canvas[there])
    return (canvas.reshape(height, width, 3) * 255).round().clip(0, 255).astype(np.uint8)


def _rotations(w: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    rows = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return np.moveaxis(rows, 2, 0)


def main() -> None:
    """Write the picture."""
    prediction = rilievo.predict(photograph(_PHOTOGRAPH))
    options = SaveOptions(backing=_BACKING)
    assert prediction.camera is not None
    assert prediction.photo is not None
    parts = (prediction, prediction.depth, prediction.camera, prediction.photo)
    scene = scene_of(*parts, options)
    view = replace(first_view(scene, _SIDE), yaw=_YAW, pitch=_PITCH)
    with TemporaryDirectory() as folder:
        path, _ = rilievo.save(prediction, Path(folder) / "photo", ["splat"], options)
        splats = splats_seen(path, view, view.rotation, scene.pivot)
    height, width = view.size
    photo = Image.fromarray(prediction.photo.pixels).resize((width, height))
    seen = (photo, Image.fromarray(picture(scene, view)), Image.fromarray(splats))
    sheet = Image.new("RGB", (3 * width + 2 * _GAP, height), "white")
    for number, cell in enumerate(seen):
        sheet.paste(cell, (number * (width + _GAP), 0))
    sheet.save(PICTURE, quality=85, optimize=True)


if __name__ == "__main__":
    main()
