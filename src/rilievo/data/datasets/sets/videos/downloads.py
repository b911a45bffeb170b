"""Sets of videos as their authors offer them.

The videos of each set are those that DepthCrafter lists (Hu et al., CVPR 2025), their frames those
that the extraction scripts of Video Depth Anything (Chen et al., CVPR 2025) take.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from rilievo.data.datasets.base import Absent
from rilievo.data.datasets.files import found_in, names_in
from rilievo.data.datasets.photo_files import DepthFiles
from rilievo.errors import InputError, OptionError
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable

USUAL = "default"
"""Variant with the frames that papers score."""
_LEVELS = 2
"""Folders between the root and the part of a set that is sought."""

Frames: TypeAlias = Iterator[tuple[str, DepthFiles]]
"""Frames with their ids, in order."""
Videos: TypeAlias = Callable[[str, slice], Frames]
"""Function that gives the frames of a video, those of a range."""


@frozen
class Download:
    """One set.

    Attributes:
        videos: Names of the videos.
        open: Finds the parts of the set below a folder, for one variant.
        variants: Variants besides the usual one.
    """

    videos: tuple[str, ...]
    open: Callable[[Path, str], Videos]
    variants: tuple[str, ...] = ()


def downloaded_frames(
    download: Download, root: Path, variant: str, taken: slice
) -> tuple[dict[str, DepthFiles], tuple[Absent, ...]]:
    """Frames by id, and the videos that are not there.

    Args:
        download: The set.
        root: Folder of the download, or one above it.
        variant: One of the set's variants.
        taken: Frames of each video.

    Raises:
        OptionError: If the set has no such variant.
        InputError: If it is not there.
    """
    variants = (USUAL, *download.variants)
    if variant not in variants:
        raise OptionError(f"these videos have no variant '{variant}', but {', '.join(variants)}")
    frames_of = download.open(root, variant)
    all_frames: dict[str, DepthFiles] = {}
    absent: list[Absent] = []
    for video in download.videos:
        frames = dict(frames_of(video, taken))
        all_frames |= frames
        if not frames:
            reason = f"the download in {printable(root)} has no frames of this video"
            absent.append(Absent(id=video, reason=reason))
    return all_frames, tuple(absent)


def folder_below(root: Path, expected: str, is_it: Callable[[Path], bool]) -> Path:
    """The root, or the first folder up to two levels below it, that holds a part of a set.

    Raises:
        InputError: If there is none; the message says what was ``expected``.
    """
    for folder in _down(root):
        if is_it(folder):
            return folder
    raise InputError(f"{printable(root)}: expected {expected}, found {found_in(root)}")


def folder_of_videos(root: Path, videos: Sequence[str], expected: str) -> Path:
    """The first such folder that holds any of the videos."""
    return folder_below(root, expected, lambda folder: not names_in(folder).isdisjoint(videos))


def stems(folder: Path, suffix: str) -> list[str]:
    """Names of the files of one kind in a folder, without their suffix, sorted."""
    return sorted(name[: -len(suffix)] for name in names_in(folder) if name.endswith(suffix))


def _down(root: Path) -> Iterator[Path]:
    """The root, the folders in it, and those in them."""
    level = [root]
    yield root
    for _ in range(_LEVELS):
        level = [
            folder / name
            for folder in level
            for name in sorted(names_in(folder))
            if (folder / name).is_dir()
        ]
        yield from level
