"""Labels of the targets, from a folder of ``rilievo fuse --teach``."""

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

_MOST_APART = 0.05
_LARGEST = 6e4


def with_label_maps(frames: VideoFrames, labels: Path, cache: Path) -> VideoFrames:
    """Add maps of depth and weights from ``rilievo fuse --teach`` to training targets.

    Raises:
        InputError: If the folder is of other frames or of another camera.
    """
    training, record = frames.training, read_labels_record(labels)
    size = training.size
    names = _frame_names_of_targets(frames, labels)
    record_names = set(record.names)
    chosen = {place: name for place, name in names.items() if name in record_names}
    if not chosen:
        raise InputError(
            f"{printable(labels)}: has labels of {printable(record.names[0])} and "
            f"{len(record.names) - 1:,} more frames, of which none is a training target, such as "
            f"{printable(next(iter(names.values())))}: take the folder that 'rilievo fuse' made of "
            "this clip"
        )
    _check_focal_lengths(training, record, labels)
    key = "\n".join([to_json(record), str(size), *chosen.values()])
    depths = store_maps(
        cache,
        ("labels", "labels_weights"),
        key,
        chosen,
        (_read_resized_label(labels, name, record, size) for name in chosen.values()),
    )
    note = f"{printable(labels)}: labels {len(chosen):,} of {len(names):,} training targets"
    return replace(frames, training=training.with_maps(depths), notes=(*frames.notes, note))


def _frame_names_of_targets(frames: VideoFrames, labels: Path) -> dict[FramePlace, str]:
    targets = frames.training.targets
    if len({target.place.sequence for target in targets}) > 1:
        raise InputError(
            f"{printable(labels)}: labels are of one clip, and {len(frames.sequences)} are trained "
            "on: give that clip alone"
        )
    files = frames.sequences[targets[0].place.sequence].sequence.files
    return {
        target.place: frame_stem(files[target.place.frame].name)
        if files
        else f"{target.place.frame:06d}"
        for target in targets
    }


def _check_focal_lengths(training: VideoTargetFrames, record: LabelsRecord, labels: Path) -> None:
    own = training.K_of(training.targets[0])
    theirs = resize_K(labels_K(record), size=record.size, new_size=training.size)
    apart = max(abs(theirs[k, k] / own[k, k] - 1) for k in (0, 1))
    if apart > _MOST_APART:
        raise InputError(
            path=printable(labels),
            problem=Text(
                f"its camera has focal lengths of {theirs[0, 0]:.4g} and "
                f"{theirs[1, 1]:.4g} px at the training size, the clip's "
                f"{own[0, 0]:.4g} and {own[1, 1]:.4g}: give 'rilievo fuse' and training "
                "the same ",
                OptionName("camera"),
                " or ",
                OptionName("fov"),
            ),
        )


def _read_resized_label(
    labels: Path, name: str, record: LabelsRecord, size: Size
) -> Float16[np.ndarray, "2 h w"]:
    """Read depth and weights of the nearest pixels: a mean over an edge lies on no surface."""
    label = read_label(labels, name, record)
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(record.size, size, strict=True)
    )
    both = np.stack([label.depth.clip(0, _LARGEST), label.weight])
    return both[:, rows[:, None], columns].astype(np.float16)
