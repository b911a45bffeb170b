"""Sources of sequences, one module per layout."""

from collections.abc import Callable, Mapping
from importlib import import_module

from rilievo.data.clips.footage import SourceKind, VideoData
from rilievo.data.clips.sequences import Clip
from rilievo.errors import OptionError
from rilievo.messages import literal

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
    if not data.roots:
        raise OptionError("no frames are named; give videos, folders of frames, or a dataset")
    if data.kind is not SourceKind.FRAMES and len(data.roots) > 1:
        raise OptionError(f"{data.kind} is one folder, but {len(data.roots)} are named")
    if data.kind is SourceKind.FRAMES and data.split is not None:
        raise OptionError(
            problem=f"{{split}} is for named datasets, but the kind is {literal(data.kind)}"
        )
    if data.kind is SourceKind.FRAMES and data.stereo:
        raise OptionError(
            problem="{stereo} is known for kitti-raw, kitti-odometry and cityscapes alone"
        )
    if data.follow_poses and data.poses is None:
        raise OptionError(problem="follow_poses needs {poses}: 'auto', or the name of their file")
    if data.stride is not None and data.stride < 1:
        raise OptionError(option="stride", expected="at least 1", value=data.stride)
    if not 0 <= data.held_out < 1:
        raise OptionError(option="held_out", expected="a share of 0 to 1", value=data.held_out)
    if data.held_out_stretches < 1:
        raise OptionError(f"held_out_stretches are 1 or more, got {data.held_out_stretches}")
    if not 0 <= data.least_motion < float("inf"):
        raise OptionError(f"least_motion is a number of pixels, got {data.least_motion:g}")
    if data.limit is not None and data.limit < 1:
        raise OptionError(f"limit is at least 1, got {data.limit}")
    if data.baseline is not None and not 0 < data.baseline < float("inf"):
        raise OptionError(f"baseline is a positive length, got {data.baseline:g}")
