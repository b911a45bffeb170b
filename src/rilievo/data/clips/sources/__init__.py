"""Sources of sequences, one module per layout."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from rilievo.data.clips.footage import SourceKind, VideoData
from rilievo.data.clips.pose_files import read_poses_of_files
from rilievo.data.clips.sequences import Clip
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text

# A new layout is one file with ``sequences(data)`` and one line here.
_SOURCES: Mapping[SourceKind, str] = {
    SourceKind.FRAMES: "own_footage",
    SourceKind.KITTI_RAW: "kitti_drives",
    SourceKind.KITTI_ODOMETRY: "kitti_odometry",
    SourceKind.CITYSCAPES: "cityscapes",
}


def list_sequences(data: VideoData) -> list[Clip]:
    """List the sequences of a run, in a fixed order."""
    _check_options(data)
    module = import_module(f"{__name__}.{_SOURCES[data.kind]}")
    source: Callable[[VideoData], list[Clip]] = module.sequences
    return source(data)


def _check_options(data: VideoData) -> None:
    """Check options that contradict the kind of footage or are out of range."""
    if not data.roots:
        raise OptionError(
            "there are no frames to read; give videos, folders of frames, or a dataset"
        )
    if data.kind is SourceKind.FRAMES:
        _check_options_for_frames(data)
    elif len(data.roots) > 1:
        raise OptionError(f"{data.kind} takes one folder, but you gave {len(data.roots)}")
    if data.follow_poses and data.poses is None:
        raise OptionError(
            problem=Text(
                "follow_poses needs ",
                OptionName("poses"),
                ": give 'auto' or the path of the pose file",
            )
        )
    _check_counts(data)
    _check_lengths(data)


def _check_options_for_frames(data: VideoData) -> None:
    """Check that no option is given that only named datasets know."""
    if data.split is not None:
        raise OptionError(
            problem=Text(
                OptionName("split"),
                " only applies to kitti-raw, kitti-odometry and cityscapes, not to your own videos "
                "and frames",
            )
        )
    if data.stereo:
        raise OptionError(
            problem=Text(
                OptionName("stereo"),
                " is only supported for kitti-raw, kitti-odometry and cityscapes",
            )
        )


def _check_counts(data: VideoData) -> None:
    if data.stride is not None and data.stride < 1:
        raise OptionError(option="stride", expected="at least 1", value=data.stride)
    if data.held_out_stretches < 1:
        raise OptionError(f"held_out_stretches must be at least 1, got {data.held_out_stretches}")
    if data.limit is not None and data.limit < 1:
        raise OptionError(f"limit must be at least 1, got {data.limit}")


def _check_lengths(data: VideoData) -> None:
    if not 0 <= data.held_out < 1:
        raise OptionError(
            option="held_out", expected="at least 0 and less than 1", value=data.held_out
        )
    if not 0 <= data.least_motion < math.inf:
        raise OptionError(
            f"least_motion must be a finite number of pixels, at least 0, got {data.least_motion:g}"
        )
    if data.baseline is not None and not 0 < data.baseline < math.inf:
        raise OptionError(f"baseline must be a positive length, got {data.baseline:g}")


def with_counted_frames(clip: Clip, count: int) -> Clip:
    """Add the frame numbers and poses of a video, whose frames are only counted by decoding."""
    poses = None
    if clip.poses_file is not None:
        names = tuple(Path(clip.frame_name(index)) for index in range(count))
        poses = read_poses_of_files(clip.poses_file, names)
    return replace(clip, frame_numbers=tuple(range(count)), poses=poses)
