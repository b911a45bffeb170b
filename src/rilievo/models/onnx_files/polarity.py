"""Test of a stated kind of depth, by near and far regions."""

import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.errors import ModelError, OutputError, RilievoError
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.files.atomic import make_folder
from rilievo.io.photographs.photo import read_photo
from rilievo.messages import Note, for_terminal
from rilievo.models.base import Model
from rilievo.models.network_files import cache_directory
from rilievo.terminal import fitted
from rilievo.types import Camera, CameraSource, DepthKind, DepthMap

_FOLDER = Path(__file__).parents[1] / "near_and_far"
_FOV = 55.0  # degrees; only used by networks that need a focal length


_Region = tuple[float, float, float, float]
SCENES: Mapping[str, tuple[_Region, _Region]] = {
    "street.jpg": ((0.8, 1.0, 0.3, 0.9), (0.1, 0.28, 0.58, 0.72)),
    "rock.jpg": ((0.55, 0.9, 0.6, 0.9), (0.12, 0.32, 0.44, 0.54)),
    "room.jpg": ((0.85, 1.0, 0.55, 0.95), (0.03, 0.25, 0.12, 0.34)),
}
"""Pictures with a near and a far region."""


def turned_round(model: Model) -> list[str]:
    """Pictures where near and far are confused."""
    return [file for file in SCENES if _is_turned(model, file)]


def _is_turned(model: Model, file: str) -> bool:
    photo = read_photo(_FOLDER / file, own_depth=False)
    camera = Camera(K=K_from_fov(_FOV, photo.shape), source=CameraSource.ASSUMED)
    [prediction] = model.predict_raw([replace(photo, camera=camera)])
    depth = prediction.depth
    near, far = (_median(depth, region) for region in SCENES[file])
    if math.isnan(near) or math.isnan(far):  # as for sky, which is far
        return False
    return near < far if depth.kind is DepthKind.AFFINE_INVERSE else near > far


def _median(depth: DepthMap, region: _Region) -> float:
    (top, bottom, left, right), (height, width) = region, depth.shape
    part = np.s_[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
    inside = depth.values[part][depth.valid[part] & np.isfinite(depth.values[part])]
    return float(np.median(inside)) if inside.size else math.nan


def doubt(model: Model) -> Note | None:
    """Note on a doubtful kind of depth."""
    kind = model.card.kind
    if kind is None:
        return None
    try:
        wrong = turned_round(model)
    except RilievoError:
        return None  # failures are reported when the model is used
    if 2 * len(wrong) < len(SCENES):
        return None
    inverse = DepthKind.AFFINE_INVERSE
    other = "depth (metric, up_to_scale or affine)" if kind is inverse else f"{inverse}"
    return Note(
        f"near and far are swapped on {len(wrong)} of {len(SCENES)} test pictures: its kind is "
        f"stated as {kind} and looks like {other}; if so, export it again with that {{kind}}",
        path=f"model '{model.card.name}'",
    )


def doubt_once(model: Model) -> None:
    """Print the doubt once per file and machine."""
    place = None
    with suppress(ModelError):
        place = cache_directory() / "polarity" / model.weights_sha256
    if place is not None and place.exists():
        return
    message = doubt(model)
    if message is not None:
        sys.stderr.write(fitted(f"rilievo: warning: {for_terminal(message)}", sys.stderr) + "\n")
    if place is not None:
        with suppress(OSError, OutputError):
            make_folder(place.parent)
            place.touch()
