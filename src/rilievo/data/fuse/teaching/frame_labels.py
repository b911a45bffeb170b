"""Labels of frames: depth of the fused surface as each frame sees it, weighed by agreement.

A folder of labels has an npz file for each frame, and ``labels.json``, by which it is known.
"""

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.data.clips.pose_files import stem_of
from rilievo.data.fuse.agreeing.depth_agreement import TOLERANCE, AgreedViews, agreement
from rilievo.data.fuse.clip_views import AGREEING, COMPARED, ClipView, neighbours_of
from rilievo.data.fuse.teaching.seen_surface import seen_depth
from rilievo.errors import InputError, OutputError
from rilievo.frozen import frozen
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.io.files.atomic import make_folder, replacing_folder
from rilievo.io.files.limits import printable, read_text
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.numbers import read_map
from rilievo.io.outputs.formats.gltf import TriangleMesh
from rilievo.shapes import Field, Matrix

FORMAT = "rilievo-labels/1"
RECORD = "labels.json"
_MADE_BY = "rilievo fuse CLIP --teach FOLDER"


@frozen
class LabelsRecord:
    """Contents of ``labels.json`` in a folder of labels.

    Attributes:
        unit: Unit of depth, that of the surface.
        size: (height, width) of the labels.
        camera: fx, fy, cx, cy at that size [px].
        names: Names of the frames, without ending, which are those of the files too.
        weight: Mean weight of all pixels.
        digest: SHA-256 of all depth and weights.
    """

    format: str = FORMAT
    clip: str
    unit: str
    size: tuple[int, int]
    camera: tuple[float, float, float, float]
    names: tuple[str, ...]
    weight: float
    digest: str


@frozen
class FrameLabel:
    """Label of one frame.

    Attributes:
        depth: Depth in the unit of the surface; 0 where the surface is not seen.
        weight: Share of the frames that agree on it, in [0, 1]; 0 where none does.
    """

    depth: Field
    weight: Field


def label_of(
    mesh: TriangleMesh, views: Sequence[ClipView], index: int, *, tolerance: float = TOLERANCE
) -> FrameLabel:
    """Render the surface into a view, and count the views whose depth agrees with it.

    The view itself and the neighbours that see a point are counted; fewer than three weigh as if
    the missing ones did not agree.
    """
    view = views[index]
    height, width = view.depth.shape
    depth = seen_depth(mesh, view.K, view.world_T_cam, (height, width))
    visible = depth > 0
    filled = np.where(visible, depth, np.float32(1))
    others = [views[other] for other in neighbours_of(views, index)[:COMPARED]]
    comparison = agreement(replace(view, depth=filled, valid=visible), others, tolerance)
    own = np.where(view.valid & (view.depth > 0), view.depth, np.float32(1))
    is_own = view.valid & visible & (np.abs(np.log(own / filled)) < tolerance)
    share = (comparison.agreeing + is_own) / np.maximum(comparison.seeing + 1, AGREEING)
    return FrameLabel(depth=depth, weight=np.where(visible, share, 0).astype(np.float32))


def labels_of(mesh: TriangleMesh, found: AgreedViews) -> Iterator[FrameLabel]:
    """Yield the label of each view that a surface was fused from."""
    apart = found.after if math.isfinite(found.after) else 0.0
    for index in range(len(found.views)):
        yield label_of(mesh, found.views, index, tolerance=max(TOLERANCE, apart))


def check_labels_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds anything but labels, and older labels without ``overwrite``.

    Raises:
        OutputError: If something is in the way.
    """
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        record = read_labels_record(folder)
    except InputError as error:
        raise OutputError(
            f"{printable(folder)}: holds no labels of rilievo fuse, so it is not replaced: move it "
            "or choose another name"
        ) from error
    ours = {RECORD, *(f"{name}.npz" for name in record.names)}
    others = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    if others:
        raise OutputError(
            f"{printable(folder)}: has files beside its labels, such as {printable(others[0])}, so "
            "it is not replaced: move them or choose another name"
        )
    if not overwrite:
        raise OutputError(
            "has labels of an earlier run",
            path=printable(folder),
            hint="pass {overwrite} to replace them",
        )


def write_labels(
    folder: Path, views: Sequence[ClipView], labels: Iterator[FrameLabel], *, clip: str, unit: str
) -> LabelsRecord:
    """Write the labels of views into a folder, which appears when all are there."""
    digest, weights = hashlib.sha256(), []
    K = views[0].K
    make_folder(folder.parent)
    with replacing_folder(folder) as part:
        for view, label in zip(views, labels, strict=True):
            np.savez_compressed(
                part / f"{stem_of(view.name)}.npz",
                depth=label.depth,
                weight=label.weight,
                world_T_cam=view.world_T_cam,
            )
            digest.update(label.depth.tobytes() + label.weight.tobytes())
            weights.append(float(label.weight.mean()))
        record = LabelsRecord(
            clip=clip,
            unit=unit,
            size=(int(views[0].depth.shape[0]), int(views[0].depth.shape[1])),
            camera=(float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])),
            names=tuple(stem_of(view.name) for view in views),
            weight=float(np.mean(weights)),
            digest=digest.hexdigest(),
        )
        (part / RECORD).write_text(to_json(record, indent=2) + "\n", encoding="utf-8")
    return record


def read_labels_record(folder: Path) -> LabelsRecord:
    """Read what a folder of labels holds.

    Raises:
        InputError: If it is no such folder, or its record is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        raise InputError(
            f"{printable(folder)}: has no {RECORD}, so it is no folder of labels; make one with "
            f"'{_MADE_BY}'"
        )
    try:
        record = from_json(LabelsRecord, read_text(path))
    except NotThisRecord as error:
        raise InputError(f"{printable(path)}: is damaged ({error}): make it anew") from error
    numbers = (*record.size, *record.camera)
    if record.format != FORMAT:
        raise InputError(
            f"{printable(path)}: its format is '{printable(record.format)}', expected "
            f"'{FORMAT}'; make it with '{_MADE_BY}'"
        )
    if not all(math.isfinite(number) and number > 0 for number in numbers) or not record.names:
        raise InputError(
            f"{printable(path)}: is damaged: size and camera are positive numbers, and names are "
            "those of the frames; make it anew"
        )
    return record


def read_label(folder: Path, name: str, record: LabelsRecord) -> FrameLabel:
    """Read the label of a frame.

    Raises:
        InputError: If its file is missing or damaged, or has numbers that no label has.
    """
    path = folder / f"{Path(name).name}.npz"
    depth, weight = (read_map(path, name=key) for key in ("depth", "weight"))
    if depth.shape != record.size or weight.shape != record.size:
        raise InputError(
            f"{printable(path)}: has depth of {depth.shape} and weights of {weight.shape}, and "
            f"{RECORD} says {record.size}: make the labels anew"
        )
    is_depth = np.isfinite(depth).all() and (depth >= 0).all()
    if not (is_depth and ((weight >= 0) & (weight <= 1)).all()):
        raise InputError(
            f"{printable(path)}: depth is finite and not negative, and weights are 0 to 1: make "
            "the labels anew"
        )
    return FrameLabel(depth=depth.astype(np.float32), weight=weight.astype(np.float32))


def camera_of(record: LabelsRecord) -> Matrix:
    """Intrinsics of labels [px]."""
    return pinhole_K(*record.camera)
