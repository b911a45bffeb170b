"""Results of ``rilievo predict`` as predictions to score; their sidecars say what they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.predictions.file_matching import (
    find_file,
    match_files,
    unmatched_files_note,
)
from rilievo.evaluation.stored_numbers import ValueEncoding
from rilievo.io.outputs.sidecar import SUFFIX, FileFacts, read_sidecar
from rilievo.prediction.readback import NoArraysError, existing_pictures, read_prediction
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import MadeBy, PredictionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RilievoResults:
    """Results of ``rilievo predict`` in a folder; ``open_rilievo_results`` makes it.

    Attributes:
        kind: Kind of the depth; None for normals, or if only pictures were written.
        files: Sidecar of each image, by id.
        unmatched_note: Sentence about results that belong to no image; None if there are none.
    """

    folder: Path
    kind: DepthKind | None
    made_by: MadeBy
    files: Mapping[str, Path]
    unmatched_note: str | None = None

    def read(self, image_id: str) -> PredictionRecord:
        """Read the prediction of one image."""
        path = find_file(self.files, image_id, self.folder)
        prediction = read_prediction(path)
        depth = prediction.depth_or_none
        if depth is not None and depth.kind is not self.kind:
            raise InputError(
                f"{path}: its depth is of kind '{depth.kind}', but the depth of the first result "
                f"is of kind '{self.kind}'; score results of different kinds separately"
            )
        return prediction

    def pictures(self, image_id: str) -> Mapping[Path, FileFacts]:
        """Pictures that were written for one image, with what they show."""
        return existing_pictures(self.files[image_id])


def find_sidecars(folder: Path) -> list[Path]:
    """Files in a folder and below that are named as sidecars of ``rilievo predict``."""
    return sorted(folder.rglob(f"*{SUFFIX}"))


def is_rilievo_sidecar(path: Path) -> bool:
    """Whether a JSON file is a sidecar of ``rilievo predict``, and not of another program."""
    try:
        read_sidecar(path)
    except InputError:
        return False
    return True


def open_rilievo_results(
    folder: Path,
    sidecars: Sequence[Path],
    ids: Sequence[str],
    value_encoding: ValueEncoding,
    *,
    allow_pictures: bool,
) -> RilievoResults:
    """Open results of ``rilievo predict``, given by their sidecars.

    ``value_encoding`` is what the user says about the numbers, which the results state themselves.
    ``allow_pictures`` accepts results that have pictures but no arrays.
    """
    matched = match_files(folder, sidecars, ids, None, ())
    first = _read_first_result([*matched.files.values()], allow_pictures=allow_pictures)
    if value_encoding.scale is not None:
        raise OptionError(
            option="scale",
            problem="only applies to files that do not state their unit, but results of 'rilievo "
            "predict' state it",
            hint="leave it out",
        )
    stated_kind = value_encoding.number_kind
    if first.has_arrays and stated_kind is not None and stated_kind != first.kind:
        raise OptionError(
            option="kind",
            problem=f"says '{stated_kind}', but {first.path} says '{first.kind}'",
            hint=Text("leave ", OptionName("kind"), " out"),
        )
    return RilievoResults(
        folder=folder,
        kind=first.kind,
        made_by=first.made_by,
        files=matched.files,
        unmatched_note=unmatched_files_note(matched.unmatched, folder),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FirstResult:
    """Sidecar of one result, and what it says of all of them.

    Attributes:
        kind: Kind of its depth; None for normals, or if only pictures were written.
    """

    path: Path
    made_by: MadeBy
    kind: DepthKind | None
    has_arrays: bool


def _read_first_result(paths: Sequence[Path], *, allow_pictures: bool) -> _FirstResult:
    """Read the first result with arrays, or if none has any, the first one with pictures.

    Raises:
        NoArraysError: If a result without arrays comes first, unless ``allow_pictures``.
    """
    errors: dict[Path, NoArraysError] = {}
    for path in paths:
        try:
            prediction = read_prediction(path)
        except NoArraysError as error:
            if not allow_pictures:
                raise
            errors[path] = error
            continue
        depth = prediction.depth_or_none
        kind = None if depth is None else depth.kind
        return _FirstResult(path=path, made_by=prediction.made_by, kind=kind, has_arrays=True)
    for path, error in errors.items():
        if existing_pictures(path):
            return _FirstResult(path=path, made_by=error.made_by, kind=None, has_arrays=False)
    raise errors[paths[0]]
