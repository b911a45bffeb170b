"""What the user named, as jobs: files, folders with their trees, patterns, videos."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.frames import VIDEO_SUFFIXES
from rilievo.io.signatures import PHOTO_SUFFIXES


class Medium(StrEnum):
    """How a job is read."""

    PHOTO = "photo"
    VIDEO = "video"
    SEQUENCE = "sequence"
    """A folder of frames, taken as one clip in the order of their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One input and where its results go.

    Attributes:
        source: The file, or the folder of a sequence.
        target: Path of the results without suffix, in the output folder.
    """

    source: Path
    medium: Medium
    target: Path


def find_jobs(inputs: Sequence[str | Path], output: Path, *, sequence: bool) -> Iterator[Job]:
    """Walk over everything that was named, in a fixed order, without holding a large tree.

    Folders are searched recursively and keep their tree under ``output``; hidden files, files
    that are neither photograph nor video by their suffix, and ``output`` itself are left out. A
    file named by itself is tried whatever its suffix. Inputs that would come to the same target
    are told apart: by their suffix within a folder, by a number between arguments.

    Args:
        inputs: Files, folders, or patterns such as ``photos/**/*.jpg``.
        output: The folder for results.
        sequence: Whether a folder is one clip, rather than single photographs.

    Raises:
        InputError: If a name is neither a file nor a folder nor a pattern that finds one.
    """
    paths = [path for name in inputs for path in _expand(name)]
    targets = _distinct([_own_target(path) for path in paths])
    several = len(paths) > 1
    for path, target in zip(paths, targets, strict=True):
        if not path.is_dir():
            yield Job(source=path, medium=_medium(path), target=output / target)
        elif sequence:
            yield Job(source=path, medium=Medium.SEQUENCE, target=output / target)
        else:
            yield from _walk(path, output / target if several else output, output)


def _expand(name: str | Path) -> list[Path]:
    path = Path(name)
    if path.exists() or path.is_symlink():
        return [path]
    if glob.has_magic(str(name)):
        found = sorted(Path(match) for match in glob.glob(str(name), recursive=True))
        if found:
            return found
        raise InputError(f"{name}: no file matches this pattern")
    raise InputError(f"{name}: no such file or folder")


def _own_target(path: Path) -> str:
    resolved = path.resolve()
    return resolved.name if path.is_dir() else (path.stem or path.name)


def _distinct(names: Iterable[str]) -> list[str]:
    """Number what comes twice; case is ignored, as some file systems do."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.lower())
        result.append(candidate)
    return result


def _walk(folder: Path, target: Path, output: Path) -> Iterator[Job]:
    ours = output.resolve()
    for directory, subfolders, names in os.walk(folder):
        here = Path(directory)
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and (here / name).resolve() != ours
        )
        files = sorted(name for name in names if not name.startswith(".") and _is_known(name))
        stems = Counter(Path(name).stem.lower() for name in files)
        for name in files:
            path = here / name
            own = Path(name).stem if stems[Path(name).stem.lower()] == 1 else name
            relative = here.relative_to(folder) / own
            yield Job(source=path, medium=_medium(path), target=target / relative)


def _is_known(name: str) -> bool:
    return Path(name).suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES


def _medium(path: Path) -> Medium:
    return Medium.VIDEO if path.suffix.lower() in VIDEO_SUFFIXES else Medium.PHOTO
