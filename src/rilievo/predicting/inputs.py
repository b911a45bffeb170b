"""Inputs as jobs: files, trees, patterns, videos; found once."""

import glob
import io
import json
import os
import re
import weakref
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

from rilievo.errors import InputError
from rilievo.errors.messages import note_of
from rilievo.io.files.limits import check_regular, read_text, reason
from rilievo.io.files.names import number_duplicates, printable, unique_names
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.outputs.sidecar import FORMAT, SUFFIX, read_sidecar
from rilievo.io.photographs.signatures import PHOTO_SUFFIXES, VIDEO_SUFFIXES, is_video
from rilievo.prediction.output import OUTPUTS

OTHER_FORMATS = (
    "other formats come from an npz: rilievo.read_prediction('photo.npz').save('photo', 'glb')"
)
_IN_MEMORY = 4_000_000
"""Bytes of a list before a temporary file, some 20,000 jobs."""


class Medium(StrEnum):
    """Kind of a job's input."""

    PHOTO = "photo"
    VIDEO = "video"
    SEQUENCE = "sequence"
    """Folder of frames, one clip in the order of names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Input and the path of its results."""

    source: Path
    medium: Medium
    target: Path


@dataclass(slots=True)
class LeftOut:
    """Files and folders that a search left out."""

    other_files: int = 0
    linked_folders: int = 0
    results: int = 0
    unreadable: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    """Named folders without photograph or video."""

    def inputs_among(self, names: Iterable[str], results: Collection[str]) -> list[str]:
        """Sorted photographs and videos; count the others."""
        inputs: list[str] = []
        for name in names:
            if not name or name.startswith("."):
                continue
            if name in results:
                self.results += 1
            elif is_photo_or_video(name):
                inputs.append(name)
            else:
                self.other_files += 1
        return sorted(inputs)

    def notes(self) -> list[str]:
        """Lines on what was left out, and on empty folders."""
        counts = (
            ("neither photographs nor videos by their names", self.other_files),
            ("links to folders, which are not followed", self.linked_folders),
            ("rilievo's own results", self.results),
        )
        notes = [f"left out as {words}: {count}" for words, count in counts if count]
        return [*notes, *(f"no photograph or video in {folder}" for folder in self.empty)]

    def nothing_found_words(self, inputs: Sequence[str | Path]) -> str:
        """Message for inputs without a photograph or video."""
        words = f"no photograph or video in {', '.join(map(printable, inputs))}"
        if not self.results:
            return words
        return f"{words}, only results; {OTHER_FORMATS}"


def find_jobs(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    sequence: bool,
    left_out: LeftOut | None = None,
) -> Iterator[Job]:
    """Yield a job for every input, in a fixed order and bounded memory.

    Folders keep their tree. Hidden files, unknown suffixes, results and ``output`` are left out; a
    named file is tried whatever its suffix, unless a result. A missing file is a job that will
    fail. Equal targets get their suffix, or a number between arguments.
    """
    left_out = LeftOut() if left_out is None else left_out
    expansions = {name: _existing_paths(name) for name in map(str, inputs)}
    if not any(expansions.values()):
        raise InputError("; ".join(_missing_input_words(name) for name in expansions))
    named = [path for name in expansions for path in expansions[name] or [Path(name)]]
    paths = named if len(named) == 1 else _paths_without_results(named, left_out)
    targets = number_duplicates(
        [path.resolve().name if path.is_dir() else path.stem or path.name for path in paths]
    )
    several = len(named) > 1
    for path, target in zip(paths, targets, strict=True):
        if not path.is_dir():
            medium = Medium.VIDEO if is_video(path) else Medium.PHOTO
            yield Job(source=path, medium=medium, target=output / target)
        elif sequence:
            yield Job(source=path, medium=Medium.SEQUENCE, target=output / target)
        else:
            found_any = False
            for job in _folder_jobs(path, output / target if several else output, output, left_out):
                found_any = True
                yield job
            if not found_any:
                left_out.empty.append(printable(path))


def _existing_paths(name: str) -> list[Path]:
    path = Path(name)
    if path.exists() or path.is_symlink():
        return [path]
    return sorted(Path(match) for match in glob.glob(name, recursive=True))


def _paths_without_results(paths: Sequence[Path], left_out: LeftOut) -> list[Path]:
    results: dict[Path, set[str]] = {}
    rest = []
    for path in paths:
        folder = path.parent
        if folder not in results:
            try:
                results[folder] = _result_names(folder, os.listdir(folder), left_out)
            except OSError:
                results[folder] = set()
        if path.name in results[folder]:
            left_out.results += 1
        else:
            rest.append(path)
    return rest


def _missing_input_words(name: str) -> str:
    if glob.has_magic(name):
        return f"{printable(name)}: no file matches this pattern"
    if re.search(r"%\d*d", name):
        folder = printable(os.path.dirname(name) or ".")
        return (
            f"{printable(name)}: patterns of ffmpeg are not read; give the folder of the frames: "
            f"{folder} --sequence"
        )
    parts = [part for part in name.split(",") if part]
    if len(parts) > 1 and all(map(os.path.exists, parts)):
        return f"{printable(name)}: no such file; several have blanks between: {' '.join(parts)}"
    if name == "help":
        return "help: no such file or folder; 'rilievo help predict' lists the options"
    return f"{printable(name)}: no such file or folder"


def _folder_jobs(folder: Path, target: Path, output: Path, left_out: LeftOut) -> Iterator[Job]:
    ours = output.resolve()

    def unreadable(error: OSError) -> None:
        left_out.unreadable.append(f"{printable(error.filename)}: {reason(error)}")

    for directory, subfolders, names in os.walk(folder, onerror=unreadable):
        here = Path(directory)
        results = _result_names(here, names, left_out)
        left_out.linked_folders += sum((here / name).is_symlink() for name in subfolders)
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and name not in results and (here / name).resolve() != ours
        )
        files = left_out.inputs_among(names, results)
        relative = here.relative_to(folder)
        for name, own in zip(files, unique_names(files), strict=True):
            is_clip = Path(name).suffix.lower() in VIDEO_SUFFIXES
            yield Job(
                source=here / name,
                medium=Medium.VIDEO if is_clip else Medium.PHOTO,
                target=target / relative / own,
            )


def _result_names(folder: Path, names: Sequence[str], left_out: LeftOut) -> set[str]:
    """Names of rilievo's JSONs and what they list; of a broken one, of outputs."""
    results: set[str] = set()
    for name in names:
        if name.endswith(SUFFIX):
            stem = name.removesuffix(SUFFIX)
            beside = {stem + output.suffix for output in OUTPUTS.values()} & {*names}
            try:
                listed = _names_in_sidecar(folder / name, has_results=bool(beside))
            except InputError as error:
                left_out.unreadable.append(note_of(error))
                listed = beside
            results |= {name, *listed} if listed else set()
    return results


def _names_in_sidecar(path: Path, *, has_results: bool) -> set[str]:
    try:
        if has_results:
            check_regular(path)
        elif not path.is_file():
            return set()
        with path.open("rb") as file:
            # Folders exported from phones have a JSON beside every photograph.
            is_ours = FORMAT.encode() in file.read(64)
        if not is_ours and not (has_results and _is_broken_json(path)):
            return set()
        sidecar = read_sidecar(path)
    except OSError:
        return set()
    return {*sidecar.names, *sidecar.earlier}


def _is_broken_json(path: Path) -> bool:
    try:
        parse_json(read_text(path))
    except (InputError, NotThisRecord):
        return True
    return False


def is_photo_or_video(name: str) -> bool:
    """Whether a name is of a photograph or video."""
    return Path(name).suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES


class JobList:
    """Jobs that may be read several times."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.counts: Counter[Medium] = Counter()
        self._file: IO[bytes] = io.BytesIO()
        for job in jobs:
            self.counts[job.medium] += 1
            # Names that are no text are written with escapes, and read as they were.
            line = json.dumps([str(job.source), job.medium.value, str(job.target)])
            self._file.write(line.encode() + b"\n")
            if isinstance(self._file, io.BytesIO) and self._file.tell() > _IN_MEMORY:
                self._file = _copy_to_disk(self._file)
                weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[Job]:
        place = 0
        while True:
            self._file.seek(place)
            line = self._file.readline()
            place = self._file.tell()
            if not line:
                return
            source, medium, target = json.loads(line)
            yield Job(source=Path(source), medium=Medium(medium), target=Path(target))

    @property
    def media(self) -> list[bool]:
        """False if there are photographs, True if videos."""
        return sorted({medium is not Medium.PHOTO for medium in self.counts})


def _copy_to_disk(memory: io.BytesIO) -> IO[bytes]:
    from tempfile import TemporaryFile

    file = TemporaryFile()  # noqa: SIM115  (closed by whoever holds it)
    file.write(memory.getvalue())
    return file
