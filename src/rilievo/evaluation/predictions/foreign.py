"""Predictions that another program wrote."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Shaped
from rilievo.data.datasets.dataset import evenly_spread
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.metrics.metric import Numbers
from rilievo.evaluation.peer_confidence import PeerConfidence, confidence_from_numbers
from rilievo.evaluation.stored_numbers import (
    WHICH_INVERSE,
    NumberKind,
    ValueEncoding,
    combine_encodings,
    depth_from_numbers,
    normals_from_numbers,
    points_from_numbers,
)
from rilievo.evaluation.stored_predictions import DEPTH_ARRAY, StoredPrediction, unknown_maker
from rilievo.io.depth.crops import StatedPlacement
from rilievo.io.depth.encoding import NumberEncoding
from rilievo.io.depth.inverse_depth import bent_surface_warnings, straight_surface_warnings
from rilievo.io.depth.plausibility import TOO_FAR, TOO_NEAR
from rilievo.io.depth.statements import read_depth_statement
from rilievo.io.depth.stored_depth import (
    StoredDepth,
    apply_encoding,
    read_stored_depth,
    stored_depth_from_array,
    stored_depth_warnings,
)
from rilievo.io.files.archives import BROKEN_FILE
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.numbers import NUMBER_SUFFIXES, read_numbers
from rilievo.io.outputs.sidecar import SUFFIX, FileFacts, read_sidecar
from rilievo.prediction.readback import NoArraysError, existing_pictures, read_prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy, PredictionRecord

LISTED = 10
# Files whose numbers are looked at before anything is scored.
_DOUBTED = 12
# Files of Marigold's evaluation, Marigold's run.py and MoGe's infer.
KNOWN_PATTERNS = ("pred_{id}.npy", "{id}_pred.npy", "{id}/depth.exr")
POINT_PATTERNS = ("{id}/points.exr",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPredictions:
    """Files of predictions; ``open_foreign`` and ``open_stack`` make it.

    Attributes:
        ours: Whether they are results of ``rilievo predict``, which say what they are.
        kind: Kind of the depth or the points; None for normals.
        extra: Line about files of no image.
        places: Place of each image in a file of a whole split.
    """

    place: str
    ours: bool
    stored: ValueEncoding
    kind: DepthKind | None
    made_by: MadeBy
    points: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)
    extra: str | None = None
    sure: PeerConfidence | None = None
    sure_files: Mapping[str, Path] = field(default_factory=dict)
    places: Mapping[str, int] = field(default_factory=dict)
    crop: StatedPlacement | None = None
    declared: NumberEncoding = field(default_factory=NumberEncoding)

    def read(self, id: str) -> PredictionRecord:
        """The prediction of one image."""
        if id not in self.files:
            names = dict.fromkeys((id, id.replace("/", "_"), id.rpartition("/")[2]))
            raise InputError(
                f"no file of it in {self.place} (looked for {' or '.join(names)}, with a suffix "
                f"of {', '.join(NUMBER_SUFFIXES)})"
            )
        path = self.files[id]
        if self.ours:
            prediction = read_prediction(path)
            self._check_kind(path, prediction.depth_or_none)
            return prediction
        where, stored, known = path, self.stored, None
        if self.places:
            plane = np.array(_open_npy_maps(path)[self.places[id]])
            stack = stored_depth_from_array(plane, self.declared, printable(path))
            numbers, stored = stack.values, combine_encodings(self.stored, stack.statement, path)
            known = stack.known
            where = f"{printable(path)}[{self.places[id]}]"
        else:
            inside = self.sure is not None and self.sure.pattern is None
            array = DEPTH_ARRAY if inside else None
            if self._has_depth:
                depth_file = self._read_numbers(path, array)
                numbers, stored = (
                    depth_file.values,
                    combine_encodings(self.stored, depth_file.statement, path),
                )
                known = depth_file.known
            else:
                numbers = read_numbers(path, name=array)
        if self._has_depth:
            numbers = _limit_depth(numbers, stored, self.declared)
        confidence = self._confidence(id, path)
        try:
            return StoredPrediction(
                made_by=self.made_by,
                normals=normals_from_numbers(numbers) if self.kind is None else None,
                points=points_from_numbers(numbers, self.kind)
                if self.points and self.kind
                else None,
                depth_or_none=depth_from_numbers(numbers, stored, known)
                if self._has_depth
                else None,
                confidence=confidence,
                crop=self.crop,
            )
        except InputError as error:
            raise InputError(problem=Text(error), path=where) from error

    def _read_numbers(self, path: Path, array: str | None) -> StoredDepth:
        return read_stored_depth(
            path,
            array=array,
            encoding=self.declared,
            is_scaled=self.stored.scale is not None,
            names_confidence=self.sure is None,
        )

    def number_doubts(self) -> list[str]:
        """What the numbers of a few files look like besides depth, a sentence each."""
        if self.ours or not self._has_depth:
            return []
        doubts: dict[str, str] = {}
        for id in evenly_spread(tuple(self.files), _DOUBTED):
            try:
                found = self._doubts_about(id)
            except (RilievoError, OSError):
                continue  # A broken file is named when it is scored.
            for doubt in found:
                doubts.setdefault(re.sub(r"[\d.,%]+", "#", doubt), f"prediction of {id}: {doubt}")
        return [*doubts.values()]

    def _doubts_about(self, id: str) -> tuple[str, ...]:
        path = self.files[id]
        if self.places:
            plane = np.array(_open_npy_maps(path)[self.places[id]])
            numbers = stored_depth_from_array(plane, self.declared, printable(path))
        else:
            inside = self.sure is not None and self.sure.pattern is None
            numbers = self._read_numbers(path, DEPTH_ARRAY if inside else None)
        stored = combine_encodings(self.stored, numbers.statement, path)
        if stored.kind is None:
            return numbers.statement.warnings
        values = _limit_depth(numbers.values, stored, self.declared)
        depth = depth_from_numbers(values, stored, numbers.known)
        about_surfaces = _doubts_about_surfaces(depth, stored)
        if not stored.kind.is_depth or stored.number_kind is NumberKind.DISPARITY:
            return (*numbers.statement.warnings, *about_surfaces)
        metres = None
        if stored.kind is DepthKind.METRIC:
            metres = depth.values[depth.valid].astype(np.float64)
        about_numbers = stored_depth_warnings(
            numbers,
            metres,
            unit=1.0 if stored.scale is None else stored.scale,
            invalid=(0.0,),
            max_depth=self.declared.max_depth,
            is_unit_declared=stored.scale is not None,
        )
        return tuple(
            doubt
            for doubt in (*about_numbers, *about_surfaces)
            if doubt not in (TOO_FAR, TOO_NEAR)  # A score is doubted by its own unit.
        )

    @property
    def _has_depth(self) -> bool:
        return self.kind is not None and not self.points

    def pictures(self, id: str) -> Mapping[Path, FileFacts]:
        """Facts about pictures of one image, by path."""
        return existing_pictures(self.files[id]) if self.ours else {}

    def _confidence(self, id: str, path: Path) -> Field | None:
        if self.sure is None:
            return None
        if self.sure.pattern is None:
            return confidence_from_numbers(
                read_numbers(path, name=self.sure.array), self.sure.meaning, path
            )
        if id not in self.sure_files:
            raise InputError(f"no confidence of it in {self.place}, named as {self.sure.pattern}")
        file = self.sure_files[id]
        return confidence_from_numbers(read_numbers(file), self.sure.meaning, file)

    def _check_kind(self, path: Path, depth: DepthMap | None) -> None:
        if depth is not None and depth.kind is not self.kind:
            raise InputError(
                f"{path}: its depth is '{depth.kind}', others' here '{self.kind}'; score them apart"
            )


def open_foreign(
    folder: Path,
    ids: Sequence[str],
    *,
    stored: ValueEncoding,
    task: Task,
    pattern: str | None = None,
    sure: PeerConfidence | None = None,
    pictures: bool = False,
    crop: StatedPlacement | None = None,
    declared: NumberEncoding | None = None,
) -> ForeignPredictions:
    """Find the file of each image in a folder of predictions.

    A file belongs to an image if its path without suffix is the id, or the id with ``_`` for
    ``/``, or the last part of the id where no other image and no other file has the same. Where
    none does, the names that other programs give their files are tried. ``pattern`` names files
    with
    ``{id}``; ``pictures`` allows results of ``rilievo predict`` without arrays.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder of predictions")
    sidecars = sorted(folder.rglob(f"*{SUFFIX}"))
    ours = any(_is_rilievo_sidecar(path) for path in sidecars)
    if ours and crop is not None:
        raise OptionError(
            option="crop", problem="is for files of other programs", hint="these are rilievo's own"
        )
    if ours and pattern is not None:
        raise OptionError(
            option="pattern",
            problem="is for files of other programs",
            hint="these are rilievo's own",
        )
    if sure is not None and (ours or task is not Task.DEPTH):
        raise OptionError(
            option="sure",
            problem="is for depth of other programs",
            hint="these are rilievo's own" if ours else f"this benchmark scores {task}",
        )
    paths = sidecars
    if not ours:
        paths = sorted(file for file in folder.rglob("*") if file.suffix.lower() in NUMBER_SUFFIXES)
    points = task is Task.POINTS
    patterns = POINT_PATTERNS if points else KNOWN_PATTERNS
    sure_files: dict[str, Path] = {}
    if sure is not None and sure.pattern is not None:
        sure_files, paths = match_files(folder, paths, ids, sure.pattern, ())
    files, extra = match_files(folder, paths, ids, pattern, patterns)
    if ours:
        path, first = _first_prediction([*files.values()], pictures=pictures)
        kind = _kind_of_rilievo_results(path, first, stored)
        made_by = first.made_by
    else:
        if task is Task.CAMERA:
            raise OptionError(
                f"{folder}: fields of view are read from results of 'rilievo predict' alone"
            )
        if task is not Task.NORMALS and not points and files:
            path = next(iter(files.values()))
            array = None if declared is None else declared.array
            with suppress(InputError):  # A broken file is named when it is read.
                statement = apply_encoding(read_depth_statement(path, array), declared, path)
                stored = combine_encodings(stored, statement, path)
        kind = None if task is Task.NORMALS else _require_kind(stored, folder)
        made_by = unknown_maker(folder.resolve().name, kind, stored)
    return ForeignPredictions(
        place=f"{folder}",
        ours=ours,
        stored=stored,
        kind=kind,
        made_by=made_by,
        points=points,
        files=files,
        extra=_note_on_unmatched_files(extra, folder),
        sure=sure,
        sure_files=sure_files,
        crop=crop,
        declared=NumberEncoding() if declared is None else declared,
    )


def open_stack(
    path: Path,
    order: Sequence[str] | None,
    *,
    stored: ValueEncoding,
    task: Task,
    crop: StatedPlacement | None = None,
    declared: NumberEncoding | None = None,
) -> ForeignPredictions:
    """Open one npy file (images, height, width) of a split, such as ``disps_eigen_split.npy``.

    ``order`` has the ids of the whole split, those without files too.
    """
    if task not in (Task.DEPTH, Task.PICTURE):
        raise OptionError(f"{path}: one array of a whole split holds depth, not {task}")
    kind = _require_kind(stored, path)
    count = len(_open_npy_maps(path))
    if order is None:
        raise InputError(
            (
                "its maps are in the split's order, but files of the "
                "split are missing, and so is its order"
            ),
            path=path,
            hint=Text("name the images that are there with ", OptionName("list")),
        )
    if count != len(order):
        raise InputError(
            f"{path}: holds {count} maps, but the split lists {len(order)} images; it is read in "
            "the split's order, one map an image"
        )
    return ForeignPredictions(
        place=f"{path}",
        ours=False,
        stored=stored,
        kind=kind,
        made_by=unknown_maker(path.resolve().name, kind, stored),
        files=dict.fromkeys(order, path),
        places={id: place for place, id in enumerate(order)},
        crop=crop,
        declared=NumberEncoding() if declared is None else declared,
    )


def _doubts_about_surfaces(depth: DepthMap, stored: ValueEncoding) -> tuple[str, ...]:
    """Doubt that predictions are depth, or inverse depth, as the user says."""
    values = depth.values.astype(np.float64)
    if stored.number_kind is NumberKind.DISPARITY:
        return bent_surface_warnings(values, depth.valid)
    if depth.kind is DepthKind.AFFINE_INVERSE:
        valid = depth.valid & (values > 0)
        return bent_surface_warnings(1 / np.where(valid, values, 1), valid)
    if depth.kind is DepthKind.AFFINE:
        return ()  # Its shift is not known, and surfaces bend otherwise.
    return straight_surface_warnings(values, depth.valid)


def _limit_depth(numbers: Numbers, stored: ValueEncoding, declared: NumberEncoding) -> Numbers:
    """Numbers within the limits that are declared [m], NaN elsewhere."""
    if declared.max_depth is None and not declared.min_depth:
        return numbers
    unit = 1.0 if stored.scale is None else stored.scale
    metres = numbers.astype(np.float64) * unit
    most = np.inf if declared.max_depth is None else declared.max_depth
    with np.errstate(invalid="ignore"):
        inside = (metres >= declared.min_depth) & (metres <= most)
    if numbers.dtype.kind == "f":
        return np.where(inside, numbers, np.nan)
    return np.where(inside, numbers, 0)


def _open_npy_maps(path: Path) -> Shaped[np.ndarray, "n h w"]:
    check_regular(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except BROKEN_FILE as error:
        raise InputError(f"{path}: is no npy file ({reason(error)})") from error
    if isinstance(array, np.ndarray) and array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "uif":
        shape = f"{array.shape} {array.dtype}" if isinstance(array, np.ndarray) else "an archive"
        raise InputError(
            f"{path}: is {shape}, expected an npy file of numbers (images, height, width); a "
            "folder of predictions has a file an image"
        )
    return array


def _is_rilievo_sidecar(path: Path) -> bool:
    try:
        read_sidecar(path)
    except InputError:
        return False
    return True


def _first_prediction(
    paths: Sequence[Path], *, pictures: bool
) -> tuple[Path, PredictionRecord | NoArraysError]:
    """First prediction with arrays, else one with pictures."""
    lacking: dict[Path, NoArraysError] = {}
    for path in paths:
        try:
            return path, read_prediction(path)
        except NoArraysError as error:
            if not pictures:
                raise
            lacking[path] = error
    for path, error in lacking.items():
        if existing_pictures(path):
            return path, error
    raise lacking[paths[0]]


def _kind_of_rilievo_results(
    path: Path, first: PredictionRecord | NoArraysError, stored: ValueEncoding
) -> DepthKind | None:
    if stored.scale is not None:
        raise OptionError(
            option="scale", problem="is for files that do not say their unit", hint="these do"
        )
    if isinstance(first, NoArraysError):
        return None
    kind = None if first.depth_or_none is None else first.depth.kind
    if stored.number_kind is not None and stored.number_kind != kind:
        raise OptionError(
            option="kind",
            problem=f"says '{stored.number_kind}', but {path} says '{kind}'",
            hint=Text("leave ", OptionName("kind"), " out"),
        )
    return kind


def _require_kind(stored: ValueEncoding, place: Path) -> DepthKind:
    if stored.kind is None:
        raise OptionError(
            problem=Text(
                f"what is the depth in {place}? say ",
                OptionName("kind"),
                f" {', '.join(DepthKind)} ({WHICH_INVERSE})",
            )
        )
    return stored.kind


def _note_on_unmatched_files(paths: Sequence[Path], folder: Path) -> str | None:
    if not paths:
        return None
    return (
        f"{len(paths)} files in {printable(folder)} belong to no image of the selection: "
        f"{first_file_names(paths, folder)}"
    )


def match_files(
    folder: Path,
    paths: Sequence[Path],
    ids: Sequence[str],
    pattern: str | None,
    names: Sequence[str] = KNOWN_PATTERNS,
) -> tuple[dict[str, Path], tuple[Path, ...]]:
    """The file of each image that has one, and the files of no image.

    A ``pattern`` without a ``/`` is of the name alone, and folders around it belong to the id.
    Without one, the id has any suffix, or ``names`` of other programs are tried.
    """
    if pattern is not None and pattern.count("{id}") != 1:
        problem = f"has '{{id}}' once, such as 'pred_{{id}}.npy', got '{pattern}'"
        raise OptionError(option="pattern", problem=problem)
    for candidate in (pattern,) if pattern is not None else (None, *names):
        files = _file_by_id(folder, _id_by_file(folder, paths, candidate), ids)
        if files:
            taken = set(files.values())
            return files, tuple(path for path in paths if path not in taken)
    expected = (pattern or f"{{id}}{NUMBER_SUFFIXES[0]}").replace("{id}", printable(ids[0]))
    raise InputError(
        f"none of its {len(paths)} files fits an image; expected {expected} and the like"
        + (f", found {first_file_names(paths, folder)}" if paths else ""),
        path=folder,
        hint=Text(
            "'rilievo evaluate' takes ", OptionName("pattern"), ", which says how files are named"
        ),
    )


def first_file_names(paths: Sequence[Path], folder: Path) -> str:
    """First ten names, and how many more."""
    names = [printable(path.relative_to(folder)) for path in paths[:LISTED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _id_by_file(folder: Path, paths: Sequence[Path], pattern: str | None) -> dict[Path, str]:
    if pattern is None:
        return {path: path.relative_to(folder).with_suffix("").as_posix() for path in paths}
    before, _, after = pattern.removeprefix("./").partition("{id}")
    around = "" if "/" in pattern else "(?P<around>(.*/)?)"
    fits = re.compile(f"{around}{re.escape(before)}(?P<id>.+){re.escape(after)}", re.DOTALL)
    keys = {}
    for path in paths:
        match = fits.fullmatch(path.relative_to(folder).as_posix())
        if match is not None:
            keys[path] = (match["around"] if around else "") + match["id"]
    return keys


def _file_by_id(folder: Path, keys: dict[Path, str], ids: Sequence[str]) -> dict[str, Path]:
    """File of each id that has one; several are refused."""
    whole: defaultdict[str, list[Path]] = defaultdict(list)
    by_last: defaultdict[str, list[Path]] = defaultdict(list)
    for path, key in keys.items():
        whole[key].append(path)
        by_last[key.rpartition("/")[2]].append(path)
    last_parts = Counter(id.rpartition("/")[2] for id in ids)
    files: dict[str, Path] = {}
    for id in ids:
        last = id.rpartition("/")[2]
        matches = whole.get(id) or whole.get(id.replace("/", "_"))
        if not matches and last_parts[last] == 1:
            matches = by_last.get(last)
        if matches and len(matches) > 1:
            raise InputError(
                f"{len(matches)} files fit the image '{id}' ({first_file_names(matches, folder)})",
                path=folder,
                hint=Text("keep one, or say which with ", OptionName("pattern")),
            )
        if matches:
            files[id] = matches[0]
    return files
