"""Check on three photographs whether a network's depth grows with distance, as its kind says."""

import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.errors import ModelError, OutputError, RilievoError
from rilievo.errors.messages import Note, OptionName, Text, for_terminal
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.io.files.atomic import make_folder
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import Model
from rilievo.models.network_files import cache_directory
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.system.terminal import wrap_for_terminal

_FOLDER = Path(__file__).parents[1] / "near_and_far"
_FOV = 55.0  # [degrees], only used by networks that need a focal length

_Region = tuple[float, float, float, float]
"""Top, bottom, left and right of a region, in parts of the height and the width."""
SCENES: Mapping[str, tuple[_Region, _Region]] = {
    "street.jpg": ((0.8, 1.0, 0.3, 0.9), (0.1, 0.28, 0.58, 0.72)),
    "rock.jpg": ((0.55, 0.9, 0.6, 0.9), (0.12, 0.32, 0.44, 0.54)),
    "room.jpg": ((0.85, 1.0, 0.55, 0.95), (0.03, 0.25, 0.12, 0.34)),
}
"""A near and a far region of each photograph in the folder ``near_and_far``."""


def swapped_pictures(model: Model) -> list[str]:
    """Photographs of ``SCENES`` on which a model swaps near and far."""
    return [file for file in SCENES if _swaps_near_and_far(model, file)]


def _swaps_near_and_far(model: Model, file: str) -> bool:
    photo = read_photo(_FOLDER / file, own_depth=False)
    camera = Camera(K=K_from_fov(_FOV, photo.shape), source=CameraSource.ASSUMED)
    [prediction] = model.predict_raw([replace(photo, camera=camera)])
    depth = prediction.depth
    near, far = (_region_median(depth, region) for region in SCENES[file])
    if math.isnan(near) or math.isnan(far):  # as for sky, which is far
        return False
    return near < far if depth.kind is DepthKind.AFFINE_INVERSE else near > far


def _region_median(depth: DepthMap, region: _Region) -> float:
    top, bottom, left, right = region
    height, width = depth.shape
    rows = slice(int(top * height), int(bottom * height))
    columns = slice(int(left * width), int(right * width))
    values, valid = depth.values[rows, columns], depth.valid[rows, columns]
    valid_values = values[valid & np.isfinite(values)]
    return float(np.median(valid_values)) if valid_values.size else math.nan


def polarity_note(model: Model) -> Note | None:
    """Note that a model's kind is probably wrong; None if it seems to be right.

    It is given if near and far are swapped on most of ``SCENES``.
    """
    kind = model.card.kind
    if kind is None:
        return None
    try:
        wrong = swapped_pictures(model)
    except RilievoError:
        return None  # failures are reported when the model is used
    if 2 * len(wrong) < len(SCENES):
        return None
    likely_kind = f"{DepthKind.AFFINE_INVERSE}"
    if kind is DepthKind.AFFINE_INVERSE:
        likely_kind = "depth (metric, up_to_scale or affine)"
    return Note(
        Text(
            f"near and far are swapped on {len(wrong)} of {len(SCENES)} "
            f"test pictures: its kind is stated as {kind} and looks like "
            f"{likely_kind}; if so, export it again with that ",
            OptionName("kind"),
        ),
        path=f"model '{model.card.name}'",
    )


def warn_of_polarity_once(model: Model) -> None:
    """Print ``polarity_note`` the first time that a file is used on this machine."""
    marker = None
    with suppress(ModelError):
        marker = cache_directory() / "polarity" / model.weights_sha256
    if marker is not None and marker.exists():
        return
    message = polarity_note(model)
    if message is not None:
        sys.stderr.write(
            wrap_for_terminal(f"rilievo: warning: {for_terminal(message)}", sys.stderr) + "\n"
        )
    if marker is not None:
        with suppress(OSError, OutputError):
            make_folder(marker.parent)
            marker.touch()
