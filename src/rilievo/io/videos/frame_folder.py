"""Read the photographs of a folder, or of a numbered pattern, as the frames of a video."""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal

from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Note, Text, note_of
from rilievo.io.files.limits import reason
from rilievo.io.files.names import natural_sort_key, printable, unique_names
from rilievo.io.files.numbered import NumberedFiles, find_numbered_files, is_numbered_pattern
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.signatures import PHOTO_SUFFIXES
from rilievo.io.videos.frame_source import DEFAULT_RATE, Frame, FrameSource
from rilievo.records.sample import Photo


class FrameFolder(FrameSource):
    """Frames from the photographs of a folder, in natural order (``frame2`` before ``frame10``).

    The path may also be a numbered pattern, such as ``shot.%04d.png``. Photographs that are broken
    or of another size are skipped and named in ``fault``, and missing numbers in ``notes``. Later
    frames keep their times.
    """

    is_folder = True

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

        ``rate`` is in frames per second. ``own_depth`` says to read the depth map in the first
        frame's file. Transparent pixels have no depth (``alpha="mask"``), or are blended with
        white. ``stretch`` says to stretch 16-bit pictures to their range of values.

        Raises:
            OptionError: If the rate is not positive.
            InputError: If no photograph can be read.
        """
        if rate <= 0:
            raise OptionError(f"the frame rate must be positive, got {rate}")
        self.path = path
        self.rate = rate
        self.time_base = 1 / rate
        self.origin = Fraction(0)
        self.has_audio = False
        self.fault = None
        self._read = partial(read_photo, alpha=alpha, stretch=stretch)
        numbered = list_frame_files(path)
        self._files = numbered.paths
        self._places = numbered.places
        self.frame_estimate = len(self._files)
        first_photo = self._first_photo(own_depth=own_depth)
        self.size = first_photo.shape
        self.own_depth = first_photo.own_depth
        missing = numbered.missing_note
        self.notes = first_photo.notes if missing is None else (missing, *first_photo.notes)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames of the first one's size; the others are skipped and reported."""
        self.fault = None
        skipped: list[str] = []
        index = 0
        stems = unique_names([file.name for file in self._files])
        for ticks, file, stem in zip(self._places, self._files, stems, strict=True):
            try:
                photo = self._read(file, own_depth=False)
            except InputError as error:
                skipped.append(note_of(error))
                continue
            if photo.shape != self.size:
                sizes = (
                    f"the frame is {_size_text(photo.shape)}, but the first frame is "
                    f"{_size_text(self.size)}"
                )
                skipped.append(f"{printable(file)}: {sizes}")
                continue
            yield Frame(photo=photo, index=index, ticks=ticks, file=file.name, stem=stem)
            index += 1
        if skipped:
            verb = "was" if len(skipped) == 1 else "were"
            count = f"{len(skipped)} of {len(self._files)} frames {verb} skipped"
            self.fault = Note(Text(f"{count}; the first: ", skipped[0]), path=printable(self.path))

    def _first_photo(self, *, own_depth: bool) -> Photo:
        """Read the first photograph that can be read."""
        problem = "the folder has no photographs, such as JPEG or PNG files"
        for file in self._files:
            try:
                return self._read(file, own_depth=own_depth)
            except InputError as error:
                problem = Text("none of its photographs can be read; the last error: ", error)
        raise InputError(problem=problem, path=self.path)


def list_frame_files(path: Path) -> NumberedFiles:
    """List the photographs of a folder in natural order, or those of a numbered pattern.

    Hidden files of a folder are left out, and every photograph has the place after the last one.

    Raises:
        InputError: If the folder cannot be listed.
    """
    if is_numbered_pattern(path):
        return find_numbered_files(path)
    try:
        files = [
            file
            for file in path.iterdir()
            if file.suffix.lower() in PHOTO_SUFFIXES and not file.name.startswith(".")
        ]
    except OSError as error:
        raise InputError(f"the folder cannot be listed ({reason(error)})", path=path) from error
    files.sort(key=lambda file: natural_sort_key(file.name))
    return NumberedFiles(paths=tuple(files), places=tuple(range(len(files))))


def _size_text(size: tuple[int, int]) -> str:
    height, width = size
    return f"{width}x{height}"
