"""Labels of frames: depth of the fused surface, weighed by agreement, and the folder of them."""

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Matrix
from rilievo.data.clips.pose_files import frame_stem
from rilievo.data.fuse.clip_views import ClipView, neighbour_indices
from rilievo.data.fuse.depth_agreement import (
    MAX_COMPARED_NEIGHBOURS,
    MIN_AGREEING_NEIGHBOURS,
    TOLERANCE,
    AgreedViews,
    compare_depth,
)
from rilievo.data.fuse.surface_rendering import surface_depth
from rilievo.errors import InputError, OutputError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.files.atomic import make_folder, replacing_folder
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.io.numbers import read_map
from rilievo.io.outputs.formats.gltf import TriangleMesh

FORMAT = "rilievo-labels/1"
RECORD_NAME = "labels.json"
_COMMAND = "rilievo fuse CLIP --teach FOLDER"
"""Command that writes a folder of labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsRecord:
    """Contents of ``labels.json``.

    Attributes:
        unit: "metre", "that of the poses" or "arbitrary".
        size: (height, width) of the labels [px].
        camera: fx, fy, cx, cy [px].
        names: Names of the labels, by ``label_name``.
        weight: Mean weight of all labels.
        digest: SHA-256 of all depths and weights.
    """

    format: str = FORMAT
    clip: str
    unit: str
    size: tuple[int, int]
    camera: tuple[float, float, float, float]
    names: tuple[str, ...]
    weight: float
    digest: str

    @property
    def K(self) -> Matrix:
        """Intrinsics K of the labels [px]."""
        return pinhole_K(*self.camera)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLabel:
    """Depth of the fused surface in one frame.

    Attributes:
        depth: Depth z in the unit of the surface; 0 where there is no surface.
        weight: Fraction of the frames that see the pixel's point whose depth agrees, in [0, 1].
    """

    depth: Field
    weight: Field


def render_label(
    mesh: TriangleMesh, views: Sequence[ClipView], index: int, *, tolerance: float = TOLERANCE
) -> FrameLabel:
    """Render the surface into the view at an index, and count the views whose depth agrees with it.

    Views are in the order of time, and ``tolerance`` is the relative difference up to which they
    agree.
    """
    view = views[index]
    height, width = view.depth.shape
    depth = surface_depth(mesh, view.K, view.world_T_cam, (height, width))
    has_surface = depth > 0
    # Any positive depth elsewhere, so that logarithms are finite; masks exclude these pixels.
    filled = np.where(has_surface, depth, np.float32(1))

    neighbours = [views[k] for k in neighbour_indices(views, index)[:MAX_COMPARED_NEIGHBOURS]]
    rendered = replace(view, depth=filled, valid=has_surface)
    comparison = compare_depth(rendered, neighbours, tolerance)
    own_depth = np.where(view.valid & (view.depth > 0), view.depth, np.float32(1))
    own_difference = np.abs(np.log(own_depth / filled))
    agrees_itself = view.valid & has_surface & (own_difference < tolerance)

    num_agreeing = comparison.num_agreeing + agrees_itself
    num_seeing = np.maximum(comparison.num_seeing + 1, MIN_AGREEING_NEIGHBOURS)
    fraction = num_agreeing / num_seeing
    return FrameLabel(depth=depth, weight=np.where(has_surface, fraction, 0).astype(np.float32))


def render_labels(mesh: TriangleMesh, agreed: AgreedViews) -> Iterator[FrameLabel]:
    """Yield the label of each view."""
    difference = agreed.difference_after if math.isfinite(agreed.difference_after) else 0.0
    tolerance = max(TOLERANCE, difference)
    for index in range(len(agreed.views)):
        yield render_label(mesh, agreed.views, index, tolerance=tolerance)


def check_labels_folder(folder: Path, *, overwrite: bool) -> None:
    """Check that a folder of labels may be written: it is missing, empty, or may be replaced.

    Raises:
        OutputError: If it has other files, or labels without ``overwrite``.
    """
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        record = read_labels_record(folder)
    except InputError as error:
        raise OutputError(
            f"{printable(folder)}: does not contain labels from rilievo fuse, so rilievo does not "
            "replace it: move it or choose another name"
        ) from error
    label_files = {RECORD_NAME, *(f"{name}.npz" for name in record.names)}
    foreign_files = sorted(path.name for path in folder.iterdir() if path.name not in label_files)
    if foreign_files:
        raise OutputError(
            f"{printable(folder)}: contains files besides its labels, such as "
            f"{printable(foreign_files[0])}, so rilievo does not replace it: move these files or "
            "choose another name"
        )
    if not overwrite:
        raise OutputError(
            "contains labels from an earlier run",
            path=printable(folder),
            hint=Text("pass ", OptionName("overwrite"), " to replace them"),
        )


def label_name(frame_name: str) -> str:
    """Name of a frame's label: the name of the frame without endings such as ``.color.png``."""
    return frame_stem(frame_name)


def write_labels(
    folder: Path, views: Sequence[ClipView], labels: Iterator[FrameLabel], *, clip: str, unit: str
) -> LabelsRecord:
    """Write labels and their record into a folder, which appears when it is complete."""
    digest = hashlib.sha256()
    weights = []
    height, width = views[0].depth.shape
    K = views[0].K
    make_folder(folder.parent)
    with replacing_folder(folder) as part:
        for view, label in zip(views, labels, strict=True):
            np.savez_compressed(
                part / f"{label_name(view.name)}.npz",
                depth=label.depth,
                weight=label.weight,
                world_T_cam=view.world_T_cam,
            )
            digest.update(label.depth.tobytes() + label.weight.tobytes())
            weights.append(float(label.weight.mean()))
        record = LabelsRecord(
            clip=clip,
            unit=unit,
            size=(height, width),
            camera=(float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])),
            names=tuple(label_name(view.name) for view in views),
            weight=float(np.mean(weights)),
            digest=digest.hexdigest(),
        )
        (part / RECORD_NAME).write_text(to_json(record, indent=2) + "\n", encoding="utf-8")
    return record


def read_labels_record(folder: Path) -> LabelsRecord:
    """Read the record of a folder of labels.

    Raises:
        InputError: If it is missing, damaged or of another format.
    """
    path = folder / RECORD_NAME
    if not path.is_file():
        raise InputError(
            f"{printable(folder)}: has no {RECORD_NAME}, so it is not a folder of labels; create "
            f"one with '{_COMMAND}'"
        )
    try:
        record = from_json(LabelsRecord, read_text(path))
    except InvalidRecordError as error:
        raise InputError(
            f"{printable(path)}: is damaged ({error}): create it again with '{_COMMAND}'"
        ) from error
    numbers = (*record.size, *record.camera)
    if record.format != FORMAT:
        raise InputError(
            f"{printable(path)}: its format is '{printable(record.format)}', expected '{FORMAT}'; "
            f"create it again with '{_COMMAND}'"
        )
    if not all(math.isfinite(number) and number > 0 for number in numbers) or not record.names:
        raise InputError(
            f"{printable(path)}: is damaged: expected positive numbers for size and camera, and "
            f"the names of the frames; create it again with '{_COMMAND}'"
        )
    return record


def read_label(folder: Path, name: str, record: LabelsRecord) -> FrameLabel:
    """Read the label of a frame.

    Raises:
        InputError: If it is missing or damaged, or its size is not that of the record.
    """
    path = folder / f"{Path(name).name}.npz"
    depth, weight = (read_map(path, name=key) for key in ("depth", "weight"))
    if depth.shape != record.size or weight.shape != record.size:
        raise InputError(
            f"{printable(path)}: has depth of shape {depth.shape} and weights of shape "
            f"{weight.shape}, but {RECORD_NAME} says {record.size} (height, width): create the "
            "labels again"
        )
    is_depth = np.isfinite(depth).all() and (depth >= 0).all()
    if not (is_depth and ((weight >= 0) & (weight <= 1)).all()):
        raise InputError(
            f"{printable(path)}: depth must be finite and not negative, and weights must be "
            "between 0 and 1: create the labels again"
        )
    return FrameLabel(depth=depth.astype(np.float32), weight=weight.astype(np.float32))
