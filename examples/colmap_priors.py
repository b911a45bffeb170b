"""Depth and normals for a COLMAP model, at its scale, and a transforms.json for nerfstudio.

Usage: python colmap_priors.py MODEL IMAGES OUTPUT [NAME]

MODEL is a folder with cameras, images and points3D of COLMAP, as .bin or .txt, or one that holds
it as 0, sparse/0 or sparse; IMAGES that of the photographs; NAME a model of rilievo's. Each
photograph's depth is fitted to the points that COLMAP saw in it, so that all have the scale of the
reconstruction, which is metres only if you made it so.

OUTPUT gets depth/NAME.npy (float32, thousandths of COLMAP's unit along the optical axis, as
nerfstudio reads depth; 0 where there is none), normals/NAME.npy (float32, h w 3, camera frame: x
right, y down, z forward, towards the camera) and transforms.json, with the distortion of the lens.
"""

import json
import struct
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

import rilievo
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.cameras.fisheye import Fisheye
from rilievo.geometry.cameras.lens import Lens, Pinhole
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.geometry.transforms import invert, rigid, rotation_from_quaternion
from rilievo.io.cameras.colmap import colmap_lens

THOUSANDTHS = 1000
MODELS = {  # COLMAP's number of a camera model: its name and the number of its parameters
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
}


class Image(NamedTuple):
    """A photograph of the model: its pose, and the ids of the points that are seen in it."""

    name: str
    camera: int
    world_T_cam: np.ndarray
    points: list[int]


class Model(NamedTuple):
    """Lenses and places of points by id, and the photographs."""

    cameras: dict[int, SpelledLens]
    images: list[Image]
    points: dict[int, np.ndarray]


class Binary:
    """Numbers of a file of COLMAP, one after another."""

    def __init__(self, path: Path) -> None:
        self.content, self.at = path.read_bytes(), 0

    def take(self, form: str) -> tuple:
        """Read the next numbers, in the form of ``struct``."""
        found = struct.unpack_from(f"<{form}", self.content, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def count(self) -> range:
        """Read how many entries follow."""
        return range(self.take("Q")[0])

    def name(self) -> str:
        """Read a text that ends in a zero."""
        end = self.content.index(b"\0", self.at)
        name, self.at = self.content[self.at : end].decode(), end + 1
        return name


def find_model(folder: Path) -> Path:
    """Folder of a COLMAP model: this one, or one in it."""
    for inner in ("", "0", "sparse/0", "sparse"):
        place = folder / inner
        if any((place / f"images{suffix}").is_file() for suffix in (".bin", ".txt")):
            return place
    raise rilievo.InputError(
        f"{folder}: has no images.bin or images.txt, nor do 0, sparse/0 and sparse in it: name the "
        "folder of COLMAP's model"
    )


def read_model(folder: Path) -> Model:
    """Read a model; of both forms the binary one, as COLMAP does.

    Raises:
        InputError: If it is none.
    """
    suffix = ".bin" if (folder / "images.bin").is_file() else ".txt"
    readers = _BINARY if suffix == ".bin" else _TEXT
    parts = []
    for name, read in readers.items():
        path = folder / f"{name}{suffix}"
        try:
            parts.append(read(path))
        except rilievo.InputError:
            raise
        except FileNotFoundError:
            raise rilievo.InputError(f"{path}: is not there, and the model needs it") from None
        except (OSError, ValueError, LookupError, ArithmeticError, struct.error) as error:
            raise rilievo.InputError(
                f"{path}: is no file of COLMAP, or damaged ({str(error)[:60]!r}): export it again"
            ) from error
    return Model(*parts)


def _image(name: str, camera: int, q: tuple, t: tuple, points: list[int]) -> Image:
    rotation, place = np.array(q, float), np.array(t, float)
    fits = np.abs(place).max() < 1e9 and np.abs(rotation).max() < 2
    if not (fits and 0.5 < np.linalg.norm(rotation) < 2):
        raise ValueError(f"{name} has no rotation and place")
    return Image(name, camera, invert(rigid(rotation_from_quaternion(rotation), place)), points)


def _binary_cameras(path: Path) -> dict[int, SpelledLens]:
    file, cameras = Binary(path), {}
    for _ in file.count():
        id, model, width, height = file.take("iiQQ")
        name, count = MODELS.get(model, (f"number {model}", 0))
        cameras[id] = colmap_lens(name, width, height, file.take(f"{count}d"), f"{path}, {id}")
    return cameras


def _binary_images(path: Path) -> list[Image]:
    file, images = Binary(path), []
    for _ in file.count():
        _, *pose, camera = file.take("i7di")
        name, points = file.name(), []
        for _ in file.count():
            points.append(file.take("ddq")[2])
        images.append(_image(name, camera, pose[:4], pose[4:], [id for id in points if id >= 0]))
    return images


def _binary_points(path: Path) -> dict[int, np.ndarray]:
    file, points = Binary(path), {}
    for _ in file.count():
        id, *place = file.take("Q3d")
        *_, seen = file.take("3BdQ")
        file.at += 8 * seen
        points[id] = np.array(place)
    return points


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _text_cameras(path: Path) -> dict[int, SpelledLens]:
    cameras = {}
    for line in filter(str.strip, _lines(path)):
        id, name, width, height, *numbers = line.split()
        numbers = [float(number) for number in numbers]
        cameras[int(id)] = colmap_lens(name, int(width), int(height), numbers, f"{path}, {id}")
    return cameras


def _text_images(path: Path) -> list[Image]:
    lines, images = _lines(path), []
    # A photograph without points has an empty line for them.
    for about, seen in zip(lines[::2], [*lines[1::2], ""], strict=False):
        if not about.strip():
            continue
        _, *pose, camera, name = about.split(maxsplit=9)
        points = [int(id) for id in seen.split()[2::3] if id != "-1"]
        images.append(_image(name.strip(), int(camera), pose[:4], pose[4:], points))
    return images


def _text_points(path: Path) -> dict[int, np.ndarray]:
    rows = (line.split() for line in _lines(path))
    return {int(row[0]): np.array(row[1:4], float) for row in rows if row}


_BINARY = {"cameras": _binary_cameras, "images": _binary_images, "points3D": _binary_points}
_TEXT = {"cameras": _text_cameras, "images": _text_images, "points3D": _text_points}


def form_of(spelled: SpelledLens, place: str) -> str:
    """Camera model of a lens in transforms.json.

    Raises:
        InputError: If it has none.
    """
    lens = spelled.lens(spelled.size or (2, 2))
    if isinstance(lens, Fisheye):
        return "OPENCV_FISHEYE"
    if isinstance(lens, Pinhole) or (isinstance(lens, Distorted) and not any(lens.k[3:])):
        return "OPENCV"
    raise rilievo.InputError(
        f"{place}: a lens of the kind '{spelled.name}' with these numbers has no form in "
        "transforms.json: undistort the photographs with 'colmap image_undistorter'"
    )


def sparse_depth(image: Image, lens: Lens, size: tuple[int, int], places: np.ndarray) -> np.ndarray:
    """Depth map with the points in it, 0 elsewhere.

    Depth of a fisheye is the distance along the ray, that of other lenses lies along the axis.
    """
    R, t = image.world_T_cam[:3, :3], image.world_T_cam[:3, 3]
    points = R.T @ (places - t).T
    depth = np.zeros(size, np.float32)
    depths = np.linalg.norm(points, axis=0) if isinstance(lens, Fisheye) else points[2]
    for u, v, z, far in zip(*lens.project(points), points[2], depths, strict=True):
        if z > 0 and -0.5 < u < size[1] - 0.5 and -0.5 < v < size[0] - 0.5:
            depth[round(float(v)), round(float(u))] = far
    return depth


def frame_of(image: Image, lens: Lens, size: tuple[int, int], photo: Path, depth: Path) -> Mapping:
    """Entry of a photograph in transforms.json: OpenGL axes, pixels counted from the corner."""
    camera = rilievo.Camera(lens=lens)
    numbers = {"fl_x": camera.fx, "fl_y": camera.fy, "cx": camera.cx + 0.5, "cy": camera.cy + 0.5}
    if isinstance(lens, Fisheye):
        numbers |= {f"k{place}": k for place, k in enumerate(lens.k, 1)}
    elif isinstance(lens, Distorted):
        numbers |= {f"k{place}": k for place, k in enumerate(lens.k[:3], 1)}
        numbers |= {f"p{place}": p for place, p in enumerate(lens.p, 1)}
    return {
        "file_path": str(photo.resolve()),
        "depth_file_path": str(depth.resolve()),
        "transform_matrix": (image.world_T_cam @ np.diag([1.0, -1.0, -1.0, 1.0])).tolist(),
        "w": size[1],
        "h": size[0],
        **numbers,
    }


def write_priors(model: Model, images: Path, output: Path, name: str) -> tuple[str, list[Mapping]]:
    """Predict every photograph of the model; returns the camera model and the frames."""
    used = {image.camera for image in model.images}
    if missing := used - {*model.cameras}:
        raise rilievo.InputError(f"camera {min(missing)} of a photograph is not in cameras")
    forms = {form_of(model.cameras[id], f"camera {id}") for id in sorted(used)}
    if len(forms) > 1:
        raise rilievo.InputError(
            "transforms.json is of fisheyes or of other lenses, and this model has both: "
            "undistort the photographs with 'colmap image_undistorter'"
        )
    frames = []
    for image in model.images:
        spelled, photo = model.cameras[image.camera], images / image.name
        seen = [model.points[id] for id in image.points if id in model.points]
        size = spelled.size or (2, 2)
        known = sparse_depth(image, spelled.lens(size), size, np.array(seen).reshape(-1, 3))
        try:
            if PurePosixPath(image.name).is_absolute() or ".." in PurePosixPath(image.name).parts:
                raise rilievo.InputError("its name leads out of the folder")
            with warnings.catch_warnings(record=True) as notes:
                warnings.simplefilter("always", UserWarning)
                prediction = rilievo.predict(photo, model=name, camera=spelled, sparse=known)
        except (rilievo.CalibrationError, rilievo.InputError) as error:
            print(f"{image.name}: left out: {error}", file=sys.stderr)
            continue
        for note in notes:
            print(f"{image.name}: {note.message}", file=sys.stderr)
        place = output / "depth" / f"{image.name}.npy"
        place.parent.mkdir(parents=True, exist_ok=True)
        camera, depth = prediction.known_camera, prediction.depth
        along = camera.points(np.where(depth.valid, depth.values, np.float32(0)))[2]
        np.save(place, np.where(along > 0, along * THOUSANDTHS, np.float32(0)))
        if prediction.normals is not None:
            beside = output / "normals" / f"{image.name}.npy"
            beside.parent.mkdir(parents=True, exist_ok=True)
            np.save(beside, np.moveaxis(prediction.normals, 0, 2))
        lens = spelled.lens(prediction.shape)
        frames.append(frame_of(image, lens, prediction.shape, photo, place))
    return "".join(forms), frames


def main(model: Path, images: Path, output: Path, name: str) -> None:
    """Write depth, normals and transforms.json, and say so."""
    try:
        place = find_model(model)
        content = read_model(place)
        form, frames = write_priors(content, images, output, name)
        count = f"{len(frames)} of {len(content.images)} photographs of {place}"
        if not frames:
            raise rilievo.InputError(f"{count} have depth: nothing is written")
        whole = {"camera_model": form, "frames": frames}
        (output / "transforms.json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
    except (rilievo.RilievoError, OSError) as error:
        sys.exit(f"colmap_priors: {error}")
    print(f"{output}: depth, normals and transforms.json ({form}) of {count}")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:4]), sys.argv[4] if len(sys.argv) == 5 else "rilievo/small")
