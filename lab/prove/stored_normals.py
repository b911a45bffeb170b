"""One image of each of DSINE's sets, written as the set has it, with values at which readers part.

Normals point away from the camera there. Colours are all of (0, 0, 0), near it and grey; numbers
have lengths about 0.5, zero and NaN; a part of a picture ends at its border, and has normals with
one component alone.
"""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Vectors
from rilievo.errors import explain_missing_extra

SIZE = (41, 67)
K = np.array([[52.5, 0, 32.25], [0, 53.5, 20.75], [0, 0, 1]])
_SCENE, _NAME = "scene0532_00", "000000"
_PART = {"min_y": 3, "max_y": SIZE[0] - 1, "min_x": 11, "max_x": SIZE[1] - 1}


def write_set(split: str, root: Path) -> str:
    """Write a set of one image, and return the photograph's path in the set's folder."""
    folder = root / "dsine_eval" / split / _SCENE
    folder.mkdir(parents=True)
    chance = np.random.default_rng(len(split))
    photograph = chance.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(photograph).save(folder / f"{_NAME}_img.png")
    np.save(folder / f"{_NAME}_intrins.npy", K)
    normals = chance.normal(0, 0.4, (*SIZE, 3)) + np.array([0, 0, 1.0])
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    _WRITERS[split](folder / f"{_NAME}_normal", normals, chance)
    return f"{_SCENE}/{_NAME}_img.png"


def seeded_normals() -> Vectors:
    """Prediction for the image, towards the camera."""
    normals = np.random.default_rng(7).normal(0, 0.4, (3, *SIZE)) - np.array(
        [[[0]], [[0]], [[1.0]]]
    )
    return (normals / np.linalg.norm(normals, axis=0)).astype(np.float32)


def _colours(path: Path, normals: np.ndarray, chance: np.random.Generator) -> None:
    stored = np.rint((normals + 1) / 2 * 255).astype(np.uint8)
    stored[:4] = 0
    for place, colour in enumerate(((1, 0, 0), (0, 0, 1), (128, 128, 127), (255, 255, 255))):
        stored[4, place::9] = colour
    Image.fromarray(stored).save(path.with_suffix(".png"))


def _numbers(path: Path, normals: np.ndarray, chance: np.random.Generator) -> None:
    with explain_missing_extra("writing OpenEXR files", "formats"):
        import OpenEXR

    stored = (normals * chance.uniform(0.3, 2, (*SIZE, 1))).astype(np.float32)
    stored[:4], stored[4, ::3], stored[5, ::4] = 0, np.nan, (0.5, 0, 0)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"RGB": stored}) as file:
        file.write(str(path.with_suffix(".exr")))


def _part(path: Path, normals: np.ndarray, chance: np.random.Generator) -> None:
    rows = slice(_PART["min_y"], _PART["max_y"] + 1)
    part = normals[rows, _PART["min_x"] : _PART["max_x"] + 1].astype(np.float32)
    part[:4] = 0
    for axis in range(3):
        part[4 + axis] = np.eye(3)[axis] * (-1 if axis == 1 else 1)
    path.with_suffix(".pkl").write_bytes(pickle.dumps({**_PART, "normal": part}))


_WRITERS: Mapping[str, Callable[[Path, np.ndarray, np.random.Generator], None]] = {
    "scannet": _colours,
    "nyuv2": _colours,
    "ibims": _numbers,
    "sintel": _numbers,
    "oasis": _part,
}
