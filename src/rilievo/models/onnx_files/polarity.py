"""Check on three rendered pictures whether depth grows with distance, as its kind says."""

import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class _Region:
    """Region of a picture, as fractions of its height and its width."""

    top: float
    bottom: float
    left: float
    right: float

    def slices(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of the region in a picture of (height, width)."""
        height, width = shape
        rows = slice(int(self.top * height), int(self.bottom * height))
        return rows, slice(int(self.left * width), int(self.right * width))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """Regions of a picture, of which all of one is nearer than all of the other."""

    near: _Region
    far: _Region


SCENES: Mapping[str, _Scene] = {
    "street.jpg": _Scene(near=_Region(0.8, 1.0, 0.3, 0.9), far=_Region(0.1, 0.28, 0.58, 0.72)),
    "rock.jpg": _Scene(near=_Region(0.55, 0.9, 0.6, 0.9), far=_Region(0.12, 0.32, 0.44, 0.54)),
    "room.jpg": _Scene(near=_Region(0.85, 1.0, 0.55, 0.95), far=_Region(0.03, 0.25, 0.12, 0.34)),
}
"""Scenes by the names of the pictures in the folder ``near_and_far``."""


def swapped_pictures(model: Model) -> list[str]:
    """Photographs of ``SCENES`` on which a model swaps near and far."""
    return [file_name for file_name in SCENES if _swaps_near_and_far(model, file_name)]


def _swaps_near_and_far(model: Model, file_name: str) -> bool:
    """Whether a model predicts the near region of a picture to be farther than the far one."""
    photo = read_photo(_FOLDER / file_name, own_depth=False)
    camera = Camera(K=K_from_fov(_FOV, photo.shape), source=CameraSource.ASSUMED)
    [prediction] = model.predict_raw([replace(photo, camera=camera)])
    depth = prediction.depth
    scene = SCENES[file_name]
    near_value = _region_median(depth, scene.near)
    far_value = _region_median(depth, scene.far)
    if math.isnan(near_value) or math.isnan(far_value):
        return False  # the far region has no depth if the model takes it for sky, which is right
    if depth.kind is DepthKind.AFFINE_INVERSE:
        return near_value < far_value
    return near_value > far_value


def _region_median(depth: DepthMap, region: _Region) -> float:
    """Median of the valid values in a region; NaN if there are none."""
    pixels = region.slices(depth.shape)
    values, valid = depth.values[pixels], depth.valid[pixels]
    valid_values = values[valid & np.isfinite(values)]
    return float(np.median(valid_values)) if valid_values.size else math.nan


def polarity_note(model: Model) -> Note | None:
    """Note that a model's kind is probably wrong, as near and far are swapped on most ``SCENES``.

    None if the kind seems to be right.
    """
    kind = model.card.kind
    if kind is None:
        return None
    try:
        swapped_count = len(swapped_pictures(model))
    except RilievoError:
        return None  # failures are reported when the model is used
    if 2 * swapped_count < len(SCENES):
        return None
    likely_kind = f"{DepthKind.AFFINE_INVERSE}"
    if kind is DepthKind.AFFINE_INVERSE:
        likely_kind = "depth (metric, up_to_scale or affine)"
    return Note(
        Text(
            f"near and far seem to be swapped on {swapped_count} of {len(SCENES)} test pictures: "
            f"the stated kind is {kind}, but the output looks like {likely_kind}; if it is, export "
            "the model again with the right ",
            OptionName("kind"),
        ),
        path=f"model '{model.card.name}'",
    )


def warn_if_near_and_far_swapped(model: Model) -> None:
    """Print ``polarity_note`` the first time that a file is used on this machine.

    An empty file in the cache marks the files that were checked.
    """
    checked_marker = None
    with suppress(ModelError):  # a user without a home folder has no cache
        checked_marker = cache_directory() / "polarity" / model.weights_sha256
    if checked_marker is not None and checked_marker.exists():
        return
    note = polarity_note(model)
    if note is not None:
        warning = f"rilievo: warning: {for_terminal(note)}"
        sys.stderr.write(wrap_for_terminal(warning, sys.stderr) + "\n")
    if checked_marker is not None:
        with suppress(OSError, OutputError):
            make_folder(checked_marker.parent)
            checked_marker.touch()
