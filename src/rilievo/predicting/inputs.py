"""Turn the inputs that the user names (files, folders, patterns, videos) into jobs."""

import glob
import io
import json
import os
import weakref
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

from rilievo.errors import InputError
from rilievo.errors.messages import count_text, note_of
from rilievo.io.files.limits import check_regular, read_text, reason
from rilievo.io.files.names import number_duplicates, printable, unique_names
from rilievo.io.files.numbered import (
    find_numbered_files,
    is_numbered_pattern,
    name_of_numbered,
)
from rilievo.io.json_record import InvalidRecordError, parse_json
from rilievo.io.outputs.sidecar import FORMAT, SUFFIX, read_sidecar
from rilievo.io.photographs.signatures import PHOTO_SUFFIXES, VIDEO_SUFFIXES, is_video
from rilievo.prediction.output import OUTPUTS

_MORE_FORMATS_HINT = (
    "to convert an npz file, use rilievo.read_prediction('photo.npz').save('photo', 'glb')"
)
_MAX_BYTES_IN_MEMORY = 4_000_000
"""A list of jobs that is larger, with some 20,000 jobs, moves to a temporary file."""
_MAX_LISTED_NAMES = 3
"""Most unused parts that a note lists by name."""


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
        target: Path of the results without suffix.
    """

    source: Path
    medium: Medium
    target: Path


def job_for_file(source: Path, target: Path, *, name: str) -> Job:
    """Make the job for a file, which is a photograph or a video by the suffix of its name."""
    is_video_name = Path(name).suffix.lower() in VIDEO_SUFFIXES
    medium = Medium.VIDEO if is_video_name else Medium.PHOTO
    return Job(source=source, medium=medium, target=target)


@dataclass(slots=True)
class SkippedInputs:
    """What a search for inputs has skipped.

    Attributes:
        other_files: Number of files that are neither photographs nor videos by their names.
        unreadable: Messages on folders and JSON files that cannot be read.
        missing: Sentences on the numbers that numbered patterns lack.
        empty: Names of given folders without any photograph or video.
        outdated: JSON files of earlier results of a photograph beside which another file of the
            same stem lies now, so that its results get a longer name.
    """

    other_files: int = 0
    linked_folders: int = 0
    results: int = 0
    unreadable: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    outdated: list[Path] = field(default_factory=list)

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
        """Return notes on what was skipped, and on empty folders."""
        notes = [*self._count_notes(), *self.missing]
        notes += [f"no photograph or video in {folder}" for folder in self.empty]
        for path in self.outdated:
            notes.append(
                f"{printable(path)} is from an earlier run; now several inputs are called "
                f"'{path.stem}', so the names of their results contain the inputs' suffixes; "
                "delete the earlier results if you do not need them"
            )
        return notes

    def _count_notes(self) -> Iterator[str]:
        """Yield notes on how many files and links were skipped."""
        if self.other_files:
            files = count_text(self.other_files, "file")
            yield f"skipped {files} without the suffix of a photograph or video"
        if self.linked_folders:
            folders = count_text(self.linked_folders, "linked folder")
            yield f"skipped {folders}, because rilievo does not follow links to folders"
        if self.results:
            yield f"skipped {count_text(self.results, 'file')} that rilievo wrote as results"

    def nothing_found_message(self, inputs: Sequence[str | Path]) -> str:
        """Write the error message for inputs without any photograph or video."""
        message = f"no photograph or video in {', '.join(map(printable, inputs))}"
        return (
            f"{message}, but only results of rilievo; {_MORE_FORMATS_HINT}"
            if self.results
            else message
        )


def find_jobs(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    sequence: bool,
    skipped: SkippedInputs | None = None,
) -> Iterator[Job]:
    """Yield a job for every photograph and video in the inputs, in a fixed order.

    The results of a folder keep its folder tree. A given file becomes a job whatever its suffix,
    unless it is a result. In folders, hidden files, unknown suffixes, results and ``output`` are
    skipped. A missing file becomes a job, which will fail. Inputs of the same name get different
    targets.

    With ``sequence``, a folder or a numbered pattern holds the frames of one video. ``skipped`` is
    filled.

    Raises:
        InputError: If none of the inputs exists.
    """
    skipped = SkippedInputs() if skipped is None else skipped
    paths_by_name = {
        name: _existing_paths(name, skipped, sequence=sequence) for name in map(str, inputs)
    }
    if not any(paths_by_name.values()):
        raise InputError("; ".join(_missing_input_message(name) for name in paths_by_name))
    found_paths = [path for paths in paths_by_name.values() for path in paths]
    numbered_sequences = {path for path in found_paths if sequence and is_numbered_pattern(path)}
    # A name that matches nothing stays, so that it becomes a job that fails.
    given_paths = [path for name, paths in paths_by_name.items() for path in paths or [Path(name)]]
    has_one_input = len(given_paths) == 1
    paths = given_paths if has_one_input else _paths_without_results(given_paths, skipped)
    target_names = number_duplicates([_target_name(path) for path in paths])
    for path, target_name in zip(paths, target_names, strict=True):
        target = output / target_name
        is_folder = path.is_dir()
        if path in numbered_sequences or (is_folder and sequence):
            yield Job(source=path, medium=Medium.SEQUENCE, target=target)
        elif is_folder:
            folder_target = output if has_one_input else target
            yield from _folder_jobs(path, folder_target, output, skipped)
        else:
            medium = Medium.VIDEO if is_video(path) else Medium.PHOTO
            yield Job(source=path, medium=medium, target=target)


def find_photographs(folder: Path) -> list[Path]:
    """Find all photographs in a folder and its subfolders, but not rilievo's results."""
    jobs = find_jobs([folder], folder, sequence=False)
    return [job.source for job in jobs if job.medium is Medium.PHOTO]


def _target_name(path: Path) -> str:
    """Return the name that the results of a file or a folder get."""
    if path.is_dir():
        return path.resolve().name
    if is_numbered_pattern(path):
        return name_of_numbered(path)
    return path.stem or path.name


def _existing_paths(name: str, skipped: SkippedInputs, *, sequence: bool) -> list[Path]:
    """Return the path of a name if it exists, or else the sorted paths that match it as a pattern.

    With ``sequence``, a numbered pattern (``shot.%04d.png``) that matches files stays one path.
    Numbers that are missing are added to ``skipped``. The list is empty if nothing matches.
    """
    path = Path(name)
    if path.exists() or path.is_symlink():
        return [path]
    if is_numbered_pattern(path) and is_photo_or_video(name):
        numbered = find_numbered_files(path)
        if numbered.missing_note is not None and not sequence:
            skipped.missing.append(numbered.missing_note)
        return [path] if sequence and numbered.paths else [*numbered.paths]
    return sorted(Path(match) for match in glob.glob(name, recursive=True))


def _paths_without_results(paths: Sequence[Path], skipped: SkippedInputs) -> list[Path]:
    """Leave out rilievo's own results, which a pattern such as ``out/*`` also matches."""
    results_by_folder: dict[Path, set[str]] = {}
    inputs = []
    for path in paths:
        folder = path.parent
        if folder not in results_by_folder:
            results_by_folder[folder] = _result_names_in_folder(folder, skipped)
        if path.name in results_by_folder[folder]:
            skipped.results += 1
        else:
            inputs.append(path)
    return inputs


def _result_names_in_folder(folder: Path, skipped: SkippedInputs) -> set[str]:
    """Find rilievo's own results in a folder; none if the folder cannot be listed."""
    try:
        names = os.listdir(folder)
    except OSError:
        return set()
    return _result_names(folder, names, skipped)


def _missing_input_message(name: str) -> str:
    """Write the message on an input that does not exist, with what the user may have meant."""
    if glob.has_magic(name):
        return f"{printable(name)}: no file matches this pattern"
    if is_numbered_pattern(Path(name)):
        if is_photo_or_video(name):
            return f"{printable(name)}: no file matches this numbered pattern"
        return (
            f"{printable(name)}: this numbered pattern has no suffix of a photograph, such as "
            ".png, .jpg or .tiff"
        )
    listed_paths = [path for path in name.split(",") if path]
    if len(listed_paths) > 1 and all(map(os.path.exists, listed_paths)):
        separated = " ".join(listed_paths)
        return f"{printable(name)}: no such file; separate several inputs with spaces: {separated}"
    if name == "help":
        return "help: no such file or folder; 'rilievo help predict' lists the options"
    return f"{printable(name)}: no such file or folder"


def _folder_jobs(folder: Path, target: Path, output: Path, skipped: SkippedInputs) -> Iterator[Job]:
    """Yield a job for every photograph and video in a folder, and note a folder without any.

    The arguments are those of ``_walk_folder``.
    """
    is_empty = True
    for job in _walk_folder(folder, target, output, skipped):
        is_empty = False
        yield job
    if is_empty:
        skipped.empty.append(printable(folder))


def _walk_folder(folder: Path, target: Path, output: Path, skipped: SkippedInputs) -> Iterator[Job]:
    """Yield a job for every photograph and video in a folder and its subfolders.

    The results in ``target`` get the same folder tree. ``output``, the folder of all results, is
    not searched, and ``skipped`` is filled.
    """
    resolved_output = output.resolve()

    def note_unreadable(error: OSError) -> None:
        """Note a folder that cannot be listed; the walk goes on with the next one."""
        skipped.unreadable.append(f"{printable(error.filename)}: {reason(error)}")

    for directory, subfolders, names in os.walk(folder, onerror=note_unreadable):
        current = Path(directory)
        results = _result_names(current, names, skipped)
        skipped.linked_folders += sum((current / name).is_symlink() for name in subfolders)
        # Changed in place, because os.walk descends into the subfolders that remain in its list.
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".")
            and name not in results
            and (current / name).resolve() != resolved_output
        )
        files = skipped.select_inputs(names, results)
        result_folder = target / current.relative_to(folder)
        target_names = unique_names(files)
        skipped.outdated += _outdated_sidecars(result_folder, files, target_names)
        for name, target_name in zip(files, target_names, strict=True):
            yield job_for_file(current / name, result_folder / target_name, name=name)


def _outdated_sidecars(
    result_folder: Path, files: Sequence[str], target_names: Sequence[str]
) -> list[Path]:
    """JSON files of earlier results whose names stand for several files now.

    For example, ``a.json`` is of the only file ``a.jpg``. Once there is ``a.png`` beside it, the
    results of both get longer names, which are their ``target_names``.
    """
    shared_stems = {Path(name).stem for name in files}.difference(target_names)
    sidecars = [result_folder / f"{stem}{SUFFIX}" for stem in sorted(shared_stems)]
    return [path for path in sidecars if _names_in_sidecar(path, has_results=False)]


def _result_names(folder: Path, names: Sequence[str], skipped: SkippedInputs) -> set[str]:
    """Find rilievo's own results in a folder: JSON files (sidecars) and the files that they list.

    If a JSON file is broken, the files beside it that are named like its results count as results.
    """
    results: set[str] = set()
    for name in names:
        if not name.endswith(SUFFIX):
            continue
        stem = name.removesuffix(SUFFIX)
        possible_results = {stem + output.suffix for output in OUTPUTS.values()} & {*names}
        try:
            listed_names = _names_in_sidecar(folder / name, has_results=bool(possible_results))
        except InputError as error:
            skipped.unreadable.append(note_of(error))
            listed_names = possible_results
        if listed_names:
            results |= {name, *listed_names}
    return results


def _names_in_sidecar(path: Path, *, has_results: bool) -> set[str]:
    """Read the names of the files that a JSON file lists; empty if rilievo did not write it.

    ``has_results`` says that there are files beside it that are named like its results. Then a
    broken JSON is probably rilievo's, too.

    Raises:
        InputError: If the JSON is rilievo's, but cannot be read.
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
    return {*sidecar.all_names}


def _is_broken_json(path: Path) -> bool:
    """Whether a file cannot be parsed as JSON, such as after a power cut."""
    try:
        parse_json(read_text(path))
    except (InputError, InvalidRecordError):
        return True
    return False


def is_photo_or_video(name: str) -> bool:
    """Whether a file is a photograph or a video by its suffix."""
    return Path(name).suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES


class JobList:
    """List of jobs that can be iterated several times, in little memory.

    A long list is stored in a temporary file, with one line of JSON for each job. ``counts`` has
    the number of jobs of each medium.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.counts: Counter[Medium] = Counter()
        self._file: IO[bytes] = io.BytesIO()
        for job in jobs:
            self.counts[job.medium] += 1
            # JSON escapes file names that are not valid UTF-8, and restores them exactly.
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


def note_unused_parts(
    path: Path, unused_names: Sequence[str], total_count: int, description: str
) -> list[str]:
    """Make a list of one note on the unused parts of a file or folder; empty if all are used.

    ``total_count`` is the number of all parts. ``description`` names their kind and why some are
    unused, such as "files that belong to no photograph"; " of this run" is appended to it.
    """
    if not unused_names:
        return []
    unused_count = len(unused_names)
    uses_none = unused_count == total_count > 1
    number_text = f"all {unused_count:,}" if uses_none else f"{unused_count:,} of {total_count:,}"
    name_list = ", ".join(map(printable, unused_names[:_MAX_LISTED_NAMES]))
    if unused_count > _MAX_LISTED_NAMES:
        name_list += f" and {unused_count - _MAX_LISTED_NAMES:,} more"
    return [
        f"{printable(path)}: {description} of this run are not used: {name_list} ({number_text})"
    ]
