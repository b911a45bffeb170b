"""Middlebury Stereo 2014: disparity from structured light."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Matrix
from rilievo.data.datasets.dataset import Request, own_card
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, MaskedValues
from rilievo.data.datasets.text_files import contents_text, text_lines, walk
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.cameras.lens_checks import camera_from_K
from rilievo.io.numbers import read_map

_MAX_NUMBER = 1e6  # of a calibration [m, px]; larger ones are damage


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calibration:
    """Calibration of a scene.

    Attributes:
        K: Intrinsics of the left camera [px].
        baseline: Distance of the cameras [m].
        doffs: Difference of the two principal points, which is added to disparity [px].
    """

    K: Matrix
    baseline: float
    doffs: float


class Middlebury(DepthSet):
    """Left photographs of the scenes, with depth of their disparity."""

    card = own_card("middlebury")

    def __init__(self, request: Request) -> None:
        self.request = request
        scenes = _find_scenes(request.root)
        if not scenes:
            raise InputError(
                f"{request.root}: no folder below holds im0.png and calib.txt, which a scene of "
                f"Middlebury 2014 does; it holds {contents_text(request.root)}"
            )
        self._set_entries_of_list(scenes, request.list_file)


def _read_depth(path: Path, *, calibration: Path) -> MaskedValues:
    """Read depth [m], which is f · baseline / (disparity + doffs)."""
    camera = _read_calibration(calibration)
    # A signalling NaN in the file counts as unknown too.
    with np.errstate(invalid="ignore"):
        disparity = read_map(path).astype(np.float64) + camera.doffs
    valid = np.isfinite(disparity) & (disparity > 0)

    with np.errstate(over="ignore"):
        depth = camera.K[0, 0] * camera.baseline / np.where(valid, disparity, 1)
        depth = depth.astype(np.float32)
    # A tiny disparity is at the horizon, where other files have infinity.
    valid &= np.isfinite(depth)
    return MaskedValues(np.where(valid, depth, np.float32(0)), valid)


def _left_camera(_: tuple[int, int], *, calibration: Path) -> Camera:
    return Camera(K=_read_calibration(calibration).K)


def _find_scenes(root: Path) -> dict[str, DepthFiles]:
    scenes = {}
    for parent, _, names in walk(root):
        if {"im0.png", "calib.txt"} <= set(names):
            folder, calibration = Path(parent), Path(parent, "calib.txt")
            # Scenes of the evaluation have another name of the disparity than those for training.
            disparity = "disp0GT.pfm" if "disp0GT.pfm" in names else "disp0.pfm"
            id = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
            scenes[id] = DepthFiles(
                image=folder / "im0.png",
                depth=folder / disparity,
                read=partial(_read_depth, calibration=calibration),
                camera=partial(_left_camera, calibration=calibration),
                needs=(calibration,),
            )
    return dict(sorted(scenes.items()))


def _read_calibration(path: Path) -> _Calibration:
    values = {}
    for line in text_lines(path):
        key, _, value = line.text.partition("=")
        values[key.strip()] = value.strip()
    try:
        entries = [float(word) for word in re.findall(r"[^\s;\[\]]+", values["cam0"])]
        K = np.array(entries).reshape(3, 3)
        baseline, doffs = float(values["baseline"]) / 1000, float(values.get("doffs", 0))
        if not (
            0 < baseline < _MAX_NUMBER and abs(doffs) < _MAX_NUMBER and abs(K).max() < _MAX_NUMBER
        ):
            raise ValueError(f"baseline is {values['baseline']}, doffs {doffs:g}")
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: expected cam0=[f 0 cx; 0 f cy; 0 0 1] and baseline=MILLIMETRES ({error})"
        ) from error
    return _Calibration(K=camera_from_K(K, path).K, baseline=baseline, doffs=doffs)
