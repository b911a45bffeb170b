"""Depth labels of the targets, from a folder of ``rilievo fuse --teach``."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float16, Size
from rilievo.data.clips.pose_files import frame_stem
from rilievo.data.fuse.frame_labels import LabelsRecord, labels_K, read_label, read_labels_record
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.intrinsics import resize_K
from rilievo.io.files.names import printable
from rilievo.io.json_record import to_json
from rilievo.training.video.frames.target_frames import VideoFrames, VideoTargetFrames, store_maps
from rilievo.training.video.frames.targets import FramePlace

_MAX_FOCAL_DIFFERENCE = 0.05
"""Largest relative difference between the focal lengths of the labels and of the clip."""
_MAX_DEPTH = 6e4
"""Largest depth that is stored; half precision ends at 65504."""


def with_label_maps(frames: VideoFrames, labels: Path, cache: Path) -> VideoFrames:
    """Add the depth and weights of labels to the training targets that have some.

    ``labels`` is the folder that ``rilievo fuse --teach`` wrote. Labels at the training size are
    stored in ``cache``.

    Raises:
        InputError: If the folder is of other frames or of another camera.
    """
    training, record = frames.training, read_labels_record(labels)
    size = training.size
    names = _frame_names_of_targets(frames, labels)
    labelled_names = set(record.names)
    labelled = {place: name for place, name in names.items() if name in labelled_names}
    if not labelled:
        raise InputError(
            f"{printable(labels)}: has labels of {printable(record.names[0])} and "
            f"{len(record.names) - 1:,} more frames, of which none is a training target, such as "
            f"{printable(next(iter(names.values())))}: take the folder that 'rilievo fuse' made of "
            "this clip"
        )
    _check_focal_lengths(training, record, labels)
    maps = store_maps(
        cache,
        ("labels", "labels_weights"),
        key="\n".join([to_json(record), str(size), *labelled.values()]),
        places=labelled,
        maps=(_read_resized_label(labels, name, record, size) for name in labelled.values()),
    )
    note = f"{printable(labels)}: labels {len(labelled):,} of {len(names):,} training targets"
    return replace(frames, training=training.with_maps(maps), notes=(*frames.notes, note))


def _frame_names_of_targets(frames: VideoFrames, labels: Path) -> dict[FramePlace, str]:
    targets = frames.training.targets
    if len({target.place.sequence for target in targets}) > 1:
        raise InputError(
            f"{printable(labels)}: labels are of one clip, and {len(frames.sequences)} are trained "
            "on: give that clip alone"
        )
    files = frames.sequences[targets[0].place.sequence].sequence.files
    names: dict[FramePlace, str] = {}
    for target in targets:
        index = target.place.frame
        names[target.place] = frame_stem(files[index].name) if files else f"{index:06d}"
    return names


def _check_focal_lengths(training: VideoTargetFrames, record: LabelsRecord, labels: Path) -> None:
    """Raise ``InputError`` if the labels were made with other focal lengths than the clip has."""
    clip_K = training.K_of(training.targets[0])
    label_K = resize_K(labels_K(record), size=record.size, new_size=training.size)
    difference = max(abs(label_K[axis, axis] / clip_K[axis, axis] - 1) for axis in (0, 1))
    if difference > _MAX_FOCAL_DIFFERENCE:
        raise InputError(
            path=printable(labels),
            problem=Text(
                f"its camera has focal lengths of {label_K[0, 0]:.4g} and "
                f"{label_K[1, 1]:.4g} px at the training size, the clip's "
                f"{clip_K[0, 0]:.4g} and {clip_K[1, 1]:.4g}: give 'rilievo fuse' and training "
                "the same ",
                OptionName("camera"),
                " or ",
                OptionName("fov"),
            ),
        )


def _read_resized_label(
    labels: Path, name: str, record: LabelsRecord, size: Size
) -> Float16[np.ndarray, "2 h w"]:
    """Read depth and weights, resized to ``size`` by the nearest pixel.

    A mean of two pixels at an edge would lie on no surface.
    """
    label = read_label(labels, name, record)
    rows, columns = (
        ((np.arange(new_length) + 0.5) * old_length / new_length).astype(int)
        for old_length, new_length in zip(record.size, size, strict=True)
    )
    depth_and_weight = np.stack([label.depth.clip(0, _MAX_DEPTH), label.weight])
    return depth_and_weight[:, rows[:, None], columns].astype(np.float16)
