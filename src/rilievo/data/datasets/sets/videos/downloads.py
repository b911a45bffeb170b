"""Sets of videos: those of DepthCrafter, with the frames of Video Depth Anything (CVPR 2025)."""

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
"""Variant of papers."""
_LEVELS = 2

Frames: TypeAlias = Iterator[tuple[str, DepthFiles]]
"""Frames with ids."""
Videos: TypeAlias = Callable[[str, slice], Frames]
"""Function for a range of a video's frames."""


@frozen
class Download:
    """One set; ``open`` finds its parts for a variant."""

    videos: tuple[str, ...]
    open: Callable[[Path, str], Videos]
    variants: tuple[str, ...] = ()


def downloaded_frames(
    download: Download, root: Path, variant: str, taken: slice
) -> tuple[dict[str, DepthFiles], tuple[Absent, ...]]:
    """Frames by id, and missing videos, of a download at or below the root.

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
    """First folder, up to two levels deep, that holds a part.

    Raises:
        InputError: If there is none.
    """
    for folder in _down(root):
        if is_it(folder):
            return folder
    raise InputError(f"{printable(root)}: expected {expected}, found {found_in(root)}")


def folder_of_videos(root: Path, videos: Sequence[str], expected: str) -> Path:
    """First folder that holds any of the videos."""
    return folder_below(root, expected, lambda folder: not names_in(folder).isdisjoint(videos))


def stems(folder: Path, suffix: str) -> list[str]:
    """Sorted names of a suffix."""
    return sorted(name[: -len(suffix)] for name in names_in(folder) if name.endswith(suffix))


def _down(root: Path) -> Iterator[Path]:
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
