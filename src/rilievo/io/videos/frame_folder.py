"""Photographs of a folder as frames."""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal

from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Note, Text, note_of
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable, unique_names
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.signatures import PHOTO_SUFFIXES
from rilievo.io.videos.frame_source import DEFAULT_RATE, Frame, FrameSource
from rilievo.records.depth_map import OwnDepth
from rilievo.records.sample import Photo


class FrameFolder(FrameSource):
    """Photographs of a folder in natural order (``frame2`` before ``frame10``).

    Frames that are broken or of another size are named in ``fault``; their time stays empty.
    """

    own_depth: OwnDepth | None

    def __init__(
        self,
        path: Path,
        *,
        rate: Fraction = DEFAULT_RATE,
        own_depth: bool = False,
        alpha: Literal["mask", "keep"] = "mask",
        stretch: bool = False,
    ) -> None:
        """List the folder and read its first frame.

        The rate is in 1/s; ``own_depth`` is that of the first frame.
        """
        if rate <= 0:
            raise OptionError(f"a frame rate is positive, got {rate}")
        self.path, self.rate, self.time_base = path, rate, 1 / rate
        self.origin = Fraction(0)
        self.has_audio, self.fault = False, None
        self._read = partial(read_photo, alpha=alpha, stretch=stretch)
        self._files = _list_photos(path)
        self.frame_estimate = len(self._files)
        first = self._first_photo(own_depth=own_depth)
        self.size, self.own_depth, self.notes = first.shape, first.own_depth, first.notes

    def __iter__(self) -> Iterator[Frame]:
        self.fault = None
        passed: list[str] = []
        index = 0
        stems = unique_names([file.name for file in self._files])
        for ticks, (file, stem) in enumerate(zip(self._files, stems, strict=True)):
            try:
                photo = self._read(file, own_depth=False)
            except InputError as error:
                passed.append(note_of(error))
                continue
            if photo.shape != self.size:
                passed.append(
                    f"{printable(file)}: {_size_words(photo.shape)}, not {_size_words(self.size)}"
                )
                continue
            yield Frame(photo=photo, index=index, ticks=ticks, file=file.name, stem=stem)
            index += 1
        if passed:
            self.fault = Note(
                Text(f"{len(passed)} of {len(self._files)} frames skipped, the first: ", passed[0]),
                path=printable(self.path),
            )

    def _first_photo(self, *, own_depth: bool) -> Photo:
        problem = "the folder has no photographs"
        for file in self._files:
            try:
                return self._read(file, own_depth=own_depth)
            except InputError as error:
                problem = Text("none of its photographs can be read, the last: ", error)
        raise InputError(problem=problem, path=self.path)


def natural_sort_key(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key with numbers by value."""
    return tuple(
        (int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    )


def _list_photos(path: Path) -> list[Path]:
    try:
        files = [
            file
            for file in path.iterdir()
            if file.suffix.lower() in PHOTO_SUFFIXES and not file.name.startswith(".")
        ]
    except OSError as error:
        raise InputError(f"the folder cannot be listed: {reason(error)}", path=path) from error
    return sorted(files, key=lambda file: natural_sort_key(file.name))


def _size_words(size: tuple[int, int]) -> str:
    height, width = size
    return f"{width}x{height}"
