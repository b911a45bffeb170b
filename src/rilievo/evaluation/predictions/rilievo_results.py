"""Results of ``rilievo predict`` as predictions to score; their sidecars say what they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.predictions.file_matching import (
    find_file,
    match_files,
    note_on_unmatched_files,
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
        kind: Kind of the depth; None for normals, or where only pictures were written.
        files: Sidecar of each image, by id.
        unmatched_note: Sentence about results that belong to no image; None without any.
    """

    folder: Path
    kind: DepthKind | None
    made_by: MadeBy
    files: Mapping[str, Path]
    unmatched_note: str | None = None

    def read(self, id: str) -> PredictionRecord:
        """Read the prediction of one image.

        Raises:
            InputError: If it is missing or broken, or its depth is of another kind.
        """
        path = find_file(self.files, id, self.folder)
        prediction = read_prediction(path)
        depth = prediction.depth_or_none
        if depth is not None and depth.kind is not self.kind:
            raise InputError(
                f"{path}: its depth is '{depth.kind}', others' here '{self.kind}'; score them apart"
            )
        return prediction

    def pictures(self, id: str) -> Mapping[Path, FileFacts]:
        """Pictures that were written for one image, with what they show."""
        return existing_pictures(self.files[id])


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
    """Open results of ``rilievo predict``.

    Args:
        folder: Folder of the results.
        sidecars: Their sidecars.
        ids: Images to score.
        value_encoding: What the user says about the numbers, which the results say themselves.
        allow_pictures: Whether results with pictures and no arrays will do.

    Raises:
        OptionError: If the user says what the results say otherwise.
        InputError: If no result fits an image, or there are no arrays.
    """
    matched = match_files(folder, sidecars, ids, None, ())
    path, first = _first_prediction([*matched.files.values()], allow_pictures=allow_pictures)
    return RilievoResults(
        folder=folder,
        kind=_kind_of_results(path, first, value_encoding),
        made_by=first.made_by,
        files=matched.files,
        unmatched_note=note_on_unmatched_files(matched.unmatched, folder),
    )


def _first_prediction(
    paths: Sequence[Path], *, allow_pictures: bool
) -> tuple[Path, PredictionRecord | NoArraysError]:
    """The first prediction with arrays, else the error of the first one with pictures."""
    without_arrays: dict[Path, NoArraysError] = {}
    for path in paths:
        try:
            return path, read_prediction(path)
        except NoArraysError as error:
            if not allow_pictures:
                raise
            without_arrays[path] = error
    for path, error in without_arrays.items():
        if existing_pictures(path):
            return path, error
    raise without_arrays[paths[0]]


def _kind_of_results(
    path: Path, first: PredictionRecord | NoArraysError, value_encoding: ValueEncoding
) -> DepthKind | None:
    """Kind of depth of the results, which the user must not contradict."""
    if value_encoding.scale is not None:
        raise OptionError(
            option="scale", problem="is for files that do not say their unit", hint="these do"
        )
    if isinstance(first, NoArraysError):
        return None
    kind = None if first.depth_or_none is None else first.depth.kind
    if value_encoding.number_kind is not None and value_encoding.number_kind != kind:
        raise OptionError(
            option="kind",
            problem=f"says '{value_encoding.number_kind}', but {path} says '{kind}'",
            hint=Text("leave ", OptionName("kind"), " out"),
        )
    return kind
