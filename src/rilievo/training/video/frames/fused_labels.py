"""Depth labels of the targets, from a folder of ``rilievo fuse --teach``."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float16, Size
from rilievo.data.fuse.frame_labels import LabelsRecord, label_name, read_label, read_labels_record
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.intrinsics import resize_K
from rilievo.io.files.names import printable
from rilievo.io.json_record import to_json
from rilievo.training.arrays import Indices
from rilievo.training.video.frames.target_frames import VideoFrames, VideoTargetFrames, store_maps
from rilievo.training.video.frames.targets import FramePlace

_MAX_FOCAL_DIFFERENCE = 0.05
"""Largest relative difference between the focal lengths of the labels and of the clip."""
_MAX_DEPTH = 6e4
"""Largest depth that is stored; half precision ends at 65504."""


def with_label_maps(frames: VideoFrames, labels_folder: Path, cache: Path) -> VideoFrames:
    """Let the training targets that have a depth label learn from it, too.

    Labels are resized to the training size, and a note says how many targets have one.

    Args:
        frames: Frames of a single clip.
        labels_folder: Folder that ``rilievo fuse --teach`` wrote for this clip.
        cache: Folder in which the resized labels are stored.

    Raises:
        InputError: If no target has a label, or if the labels belong to another clip or camera.
    """
    training = frames.training
    record = read_labels_record(labels_folder)
    name_by_target = _frame_names_of_targets(frames, labels_folder)
    label_by_target = _find_labels(name_by_target, record, labels_folder)
    _check_focal_lengths(training, record, labels_folder)
    label_names = label_by_target.values()
    maps = store_maps(
        cache,
        ("labels", "labels_weights"),
        key="\n".join([to_json(record), str(training.size), *label_names]),
        places=label_by_target,
        maps=(
            _read_resized_label(labels_folder, name, record, training.size) for name in label_names
        ),
    )
    note = (
        f"{printable(labels_folder)}: has labels for {len(label_by_target):,} of "
        f"{len(name_by_target):,} training targets"
    )
    return replace(frames, training=training.with_maps(maps), notes=(*frames.notes, note))


def _find_labels(
    name_by_target: dict[FramePlace, str], record: LabelsRecord, labels_folder: Path
) -> dict[FramePlace, str]:
    """Map each training target that has a label to the name of the label.

    Args:
        name_by_target: Name of the frame of each target.
        record: Record of the labels, which lists the names of the frames that have one.
        labels_folder: Folder of the labels, for the error.

    Raises:
        InputError: If no target has a label.
    """
    labelled_names = set(record.names)
    label_by_target = {
        target: name for target, name in name_by_target.items() if name in labelled_names
    }
    if not label_by_target:
        target_name = next(iter(name_by_target.values()))
        raise InputError(
            f"{printable(labels_folder)}: has no label for any frame of this clip; the first label "
            f"is for {printable(record.names[0])}, and the first frame is "
            f"{printable(target_name)}: give the folder that 'rilievo fuse' wrote for this clip"
        )
    return label_by_target


def _frame_names_of_targets(frames: VideoFrames, labels_folder: Path) -> dict[FramePlace, str]:
    """Names of the labels of the training targets; ``InputError`` if they are of several clips."""
    targets = frames.training.targets
    if len({target.place.sequence for target in targets}) > 1:
        raise InputError(
            f"{printable(labels_folder)}: the labels belong to one clip, but training uses "
            f"{len(frames.sequences)} clips: give only the clip of the labels"
        )
    clip = frames.sequences[targets[0].place.sequence].clip
    return {target.place: label_name(clip.frame_name(target.place.frame)) for target in targets}


def _check_focal_lengths(
    training: VideoTargetFrames, record: LabelsRecord, labels_folder: Path
) -> None:
    """Raise ``InputError`` if the labels were made with other focal lengths than the clip has."""
    clip_K = training.get_K(training.targets[0])
    label_K = resize_K(record.K, size=record.size, new_size=training.size)
    difference = max(abs(label_K[axis, axis] / clip_K[axis, axis] - 1) for axis in (0, 1))
    if difference <= _MAX_FOCAL_DIFFERENCE:
        return
    raise InputError(
        path=printable(labels_folder),
        problem=Text(
            f"the camera of the labels has focal lengths of {label_K[0, 0]:.4g} and "
            f"{label_K[1, 1]:.4g} px at the training size, but the clip has {clip_K[0, 0]:.4g} and "
            f"{clip_K[1, 1]:.4g} px: give 'rilievo fuse' and the training the same ",
            OptionName("camera"),
            " or ",
            OptionName("fov"),
        ),
    )


def _read_resized_label(
    labels_folder: Path, name: str, record: LabelsRecord, size: Size
) -> Float16[np.ndarray, "2 h w"]:
    """Read depth and weights, resized to ``size`` by the nearest pixel.

    The mean of two pixels on both sides of an edge would lie on no surface.
    """
    label = read_label(labels_folder, name, record)
    rows = _nearest_source_pixels(record.size[0], size[0])
    columns = _nearest_source_pixels(record.size[1], size[1])
    depth_and_weight = np.stack([label.depth.clip(0, _MAX_DEPTH), label.weight])
    return depth_and_weight[:, rows[:, None], columns].astype(np.float16)


def _nearest_source_pixels(length: int, new_length: int) -> Indices:
    """Index of the row or column that holds the centre of each new one, after resizing."""
    centres = (np.arange(new_length) + 0.5) * length / new_length
    return centres.astype(int)
