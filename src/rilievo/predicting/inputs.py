"""The inputs that the user names, as jobs: files, folders, patterns and videos."""

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

_MORE_FORMATS_HINT = (
    "other formats come from an npz: rilievo.read_prediction('photo.npz').save('photo', 'glb')"
)
_MAX_BYTES_IN_MEMORY = 4_000_000
"""Size of a list of jobs from which on it is a temporary file; some 20,000 jobs."""


class Medium(StrEnum):
    """What a job's input is."""

    PHOTO = "photo"
    VIDEO = "video"
    SEQUENCE = "sequence"
    """A folder whose pictures are the frames of one video, in the order of their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One input, and where its results go.

    Attributes:
        source: File, or folder of frames.
        medium: What the source is.
        target: Path of the results without suffix.
    """

    source: Path
    medium: Medium
    target: Path


@dataclass(slots=True)
class LeftOut:
    """What a search for inputs left out.

    Attributes:
        other_files: Number of files that are neither photographs nor videos by their names.
        linked_folders: Number of links to folders, which are not followed.
        results: Number of rilievo's own results.
        unreadable: Messages on folders and JSON files that cannot be read.
        empty: Names of folders that the user names and that hold no photograph or video.
    """

    other_files: int = 0
    linked_folders: int = 0
    results: int = 0
    unreadable: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def select_inputs(self, names: Iterable[str], results: Collection[str]) -> list[str]:
        """Select the photographs and videos of a folder, sorted, and count the other files.

        ``results`` are the names of rilievo's own results.
        """
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
        """Sentences on what was left out, and on empty folders."""
        counts = (
            ("neither photographs nor videos by their names", self.other_files),
            ("links to folders, which are not followed", self.linked_folders),
            ("rilievo's own results", self.results),
        )
        notes = [f"left out as {words}: {count}" for words, count in counts if count]
        return [*notes, *(f"no photograph or video in {folder}" for folder in self.empty)]

    def nothing_found_message(self, inputs: Sequence[str | Path]) -> str:
        """Message on inputs that hold no photograph or video."""
        message = f"no photograph or video in {', '.join(map(printable, inputs))}"
        return f"{message}, only results; {_MORE_FORMATS_HINT}" if self.results else message


def find_jobs(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    sequence: bool,
    left_out: LeftOut | None = None,
) -> Iterator[Job]:
    """Yield a job for every photograph and video in the inputs, in a fixed order.

    The results of a folder have its tree. A file that is named is tried whatever its suffix, unless
    it is a result. In folders, hidden files, unknown suffixes, results and ``output`` are left out.
    A file that is missing is a job that will fail. Inputs of the same name get different targets.

    Args:
        inputs: Files, folders or patterns.
        output: Folder of the results.
        sequence: Whether a folder holds the frames of one video.
        left_out: Record of what is left out, which is filled.

    Raises:
        InputError: If none of the inputs exists.
    """
    left_out = LeftOut() if left_out is None else left_out
    paths_by_name = {name: _existing_paths(name) for name in map(str, inputs)}
    if not any(paths_by_name.values()):
        raise InputError("; ".join(_missing_input_message(name) for name in paths_by_name))
    named = [path for name, paths in paths_by_name.items() for path in paths or [Path(name)]]
    has_one_input = len(named) == 1
    paths = named if has_one_input else _paths_without_results(named, left_out)
    targets = number_duplicates([_target_name(path) for path in paths])
    for path, target in zip(paths, targets, strict=True):
        if not path.is_dir():
            medium = Medium.VIDEO if is_video(path) else Medium.PHOTO
            yield Job(source=path, medium=medium, target=output / target)
        elif sequence:
            yield Job(source=path, medium=Medium.SEQUENCE, target=output / target)
        else:
            folder_target = output if has_one_input else output / target
            is_empty = True
            for job in _folder_jobs(path, folder_target, output, left_out):
                is_empty = False
                yield job
            if is_empty:
                left_out.empty.append(printable(path))


def _target_name(path: Path) -> str:
    """Name of the results of a file or a folder."""
    if path.is_dir():
        return path.resolve().name
    return path.stem or path.name


def _existing_paths(name: str) -> list[Path]:
    """The path of a name if it exists, or the paths that match a pattern, sorted."""
    path = Path(name)
    if path.exists() or path.is_symlink():
        return [path]
    return sorted(Path(match) for match in glob.glob(name, recursive=True))


def _paths_without_results(paths: Sequence[Path], left_out: LeftOut) -> list[Path]:
    """Leave out rilievo's own results, which a pattern such as ``out/*`` also matches."""
    results_by_folder: dict[Path, set[str]] = {}
    inputs = []
    for path in paths:
        folder = path.parent
        if folder not in results_by_folder:
            try:
                names = os.listdir(folder)
                results_by_folder[folder] = _result_names(folder, names, left_out)
            except OSError:
                results_by_folder[folder] = set()
        if path.name in results_by_folder[folder]:
            left_out.results += 1
        else:
            inputs.append(path)
    return inputs


def _missing_input_message(name: str) -> str:
    """Message on an input that does not exist, with what the user may have meant."""
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
    """Yield a job for every photograph and video in a folder and its subfolders.

    ``target`` is the folder of the results, whose tree is that of ``folder``. ``output`` is the
    folder of all results, which is not searched.
    """
    resolved_output = output.resolve()

    def note_unreadable(error: OSError) -> None:
        left_out.unreadable.append(f"{printable(error.filename)}: {reason(error)}")

    for directory, subfolders, names in os.walk(folder, onerror=note_unreadable):
        current = Path(directory)
        results = _result_names(current, names, left_out)
        left_out.linked_folders += sum((current / name).is_symlink() for name in subfolders)
        # ``os.walk`` goes on with the subfolders that are left in its list.
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".")
            and name not in results
            and (current / name).resolve() != resolved_output
        )
        files = left_out.select_inputs(names, results)
        for name, target_name in zip(files, unique_names(files), strict=True):
            has_video_suffix = Path(name).suffix.lower() in VIDEO_SUFFIXES
            yield Job(
                source=current / name,
                medium=Medium.VIDEO if has_video_suffix else Medium.PHOTO,
                target=target / current.relative_to(folder) / target_name,
            )


def _result_names(folder: Path, names: Sequence[str], left_out: LeftOut) -> set[str]:
    """Find rilievo's own results in a folder: its JSON files and the files that they list.

    If a JSON file is broken, files beside it that are named like its results count as such.
    """
    results: set[str] = set()
    for name in names:
        if not name.endswith(SUFFIX):
            continue
        stem = name.removesuffix(SUFFIX)
        named_like_results = {stem + output.suffix for output in OUTPUTS.values()} & {*names}
        try:
            listed = _names_in_sidecar(folder / name, has_results=bool(named_like_results))
        except InputError as error:
            left_out.unreadable.append(note_of(error))
            listed = named_like_results
        if listed:
            results |= {name, *listed}
    return results


def _names_in_sidecar(path: Path, *, has_results: bool) -> set[str]:
    """Names of the files that a JSON lists; empty if it is not one of rilievo.

    ``has_results`` says that files named like its results lie beside it.

    Raises:
        InputError: If it is probably one of rilievo, and broken.
    """
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
    """Whether a file cannot be parsed as JSON, such as after a power cut."""
    try:
        parse_json(read_text(path))
    except (InputError, NotThisRecord):
        return True
    return False


def is_photo_or_video(name: str) -> bool:
    """Whether a file is a photograph or a video by its suffix."""
    return Path(name).suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES


class JobList:
    """List of jobs that can be iterated several times, and that takes little memory.

    A long list is stored in a temporary file, one line of JSON a job.

    Attributes:
        counts: Number of jobs by what their inputs are.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.counts: Counter[Medium] = Counter()
        self._file: IO[bytes] = io.BytesIO()
        for job in jobs:
            self.counts[job.medium] += 1
            # Names that are not valid text are written with escapes, and read as they were.
            line = json.dumps([str(job.source), job.medium.value, str(job.target)])
            self._file.write(line.encode() + b"\n")
            if isinstance(self._file, io.BytesIO) and self._file.tell() > _MAX_BYTES_IN_MEMORY:
                self._file = _copy_to_disk(self._file)
                weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[Job]:
        position = 0
        while True:
            # Another iteration may have moved the position of the file.
            self._file.seek(position)
            line = self._file.readline()
            position = self._file.tell()
            if not line:
                return
            source, medium, target = json.loads(line)
            yield Job(source=Path(source), medium=Medium(medium), target=Path(target))

    @property
    def has_photos(self) -> bool:
        """Whether there are photographs."""
        return self.counts[Medium.PHOTO] > 0

    @property
    def has_videos(self) -> bool:
        """Whether there are videos or folders of frames."""
        return len(self) > self.counts[Medium.PHOTO]


def _copy_to_disk(memory: io.BytesIO) -> IO[bytes]:
    """Copy a file in memory to a temporary one, which the caller closes."""
    from tempfile import TemporaryFile

    file = TemporaryFile()  # noqa: SIM115  (the caller closes it)
    file.write(memory.getvalue())
    return file
