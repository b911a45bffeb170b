"""Predictions that another program wrote: a folder of files, one an image."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from rilievo.errors import InputError, OptionError
from rilievo.evaluate.answers import Answer
from rilievo.io.limits import printable
from rilievo.io.numbers import NUMBER_SUFFIXES, read_numbers
from rilievo.io.readback import read_prediction
from rilievo.io.sidecar import SUFFIX, read_sidecar
from rilievo.types import DepthKind, DepthMap, MadeBy
from rilievo.version import VERSION

LISTED = 10
"""Names that a message lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A folder of predictions; ``open_foreign`` makes it.

    Attributes:
        folder: As the user gave it.
        ours: Whether they are results of ``rilievo predict``, which say what they are.
        kind: Of the depth; None for normals.
        scale: That stored numbers are multiplied with; None for as they are.
        made_by: What is known.
        files: Of each id that has one.
        extra: Files of no image that is to be scored.
    """

    folder: Path
    ours: bool
    kind: DepthKind | None
    scale: float | None
    made_by: MadeBy
    files: Mapping[str, Path] = field(default_factory=dict)
    extra: tuple[Path, ...] = ()

    def read(self, id: str) -> Answer:
        """The prediction of one image.

        Raises:
            InputError: If there is none, or it is broken, or not what the user said.
        """
        if id not in self.files:
            names = dict.fromkeys((id, id.replace("/", "_"), id.rpartition("/")[2]))
            raise InputError(
                f"no file of it in {printable(self.folder)} (looked for "
                f"{printable(' or '.join(names))}, with a suffix of {', '.join(NUMBER_SUFFIXES)})"
            )
        path = self.files[id]
        if self.ours:
            prediction = read_prediction(path)
            self._check_kind(path, prediction.depth)
            return Answer(depth=prediction.depth, normals=prediction.normals)
        numbers = read_numbers(path)
        try:
            if self.kind is None:
                return Answer(normals=_normals(numbers))
            return Answer(depth=_depth(numbers, self.kind, self.scale))
        except InputError as error:
            raise InputError(f"{printable(path)}: {error}") from error

    def _check_kind(self, path: Path, depth: DepthMap | None) -> None:
        if depth is not None and depth.kind is not self.kind:
            raise InputError(
                f"{printable(path)}: its depth is '{depth.kind}', others' here '{self.kind}'; "
                "score them apart"
            )


def open_foreign(
    folder: Path,
    ids: Sequence[str],
    *,
    kind: DepthKind | None,
    normals: bool,
    scale: float | None,
) -> Foreign:
    """Find the file of each image in a folder of predictions.

    A file belongs to an image if its path without suffix is the id, or the id with ``_`` for
    ``/``, or the last part of the id where no other image and no other file has the same.

    Args:
        folder: Any tree of files that ``read_numbers`` reads, or the output of ``rilievo predict``.
        ids: To be scored.
        kind: Of the depth. Results of ``rilievo predict`` say it themselves.
        normals: Whether normals are to be scored.
        scale: Metres of one stored unit, such as 0.001.

    Raises:
        InputError: If there is no such folder, no file fits, or two fit one image.
        OptionError: If the kind is missing, or is not what the files say.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{printable(folder)}: there is no such folder of predictions")
    sidecars = sorted(folder.rglob(f"*{SUFFIX}"))
    ours = any(_is_ours(path) for path in sidecars)
    paths = sidecars if ours else _number_files(folder)
    files, extra = _matched(folder, paths, ids)
    if ours:
        kind, made_by = _own_facts(next(iter(files.values())), kind, scale)
    else:
        kind = None if normals else _said(kind, folder)
        made_by = _stranger(folder, kind, scale)
    facts = Foreign(folder=folder, ours=ours, kind=kind, scale=scale, made_by=made_by)
    return replace(facts, files=files, extra=extra)


def _said(kind: DepthKind | None, folder: Path) -> DepthKind:
    if kind is None:
        raise OptionError(
            f"what is the depth in {printable(folder)}? say --kind {', '.join(DepthKind)} "
            "(inverse depth or disparity is affine_inverse)"
        )
    return kind


def _is_ours(path: Path) -> bool:
    """Whether a JSON file is one that ``rilievo predict`` puts beside its results."""
    try:
        read_sidecar(path)
    except InputError:
        return False
    return True


def _number_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in NUMBER_SUFFIXES)


def _matched(
    folder: Path, paths: Sequence[Path], ids: Sequence[str]
) -> tuple[dict[str, Path], tuple[Path, ...]]:
    stems: defaultdict[str, list[Path]] = defaultdict(list)
    for path in paths:
        stems[path.relative_to(folder).with_suffix("").as_posix()].append(path)
    last_parts = Counter(id.rpartition("/")[2] for id in ids)
    by_last: defaultdict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_last[path.stem].append(path)
    files: dict[str, Path] = {}
    for id in ids:
        last = id.rpartition("/")[2]
        found = stems.get(id) or stems.get(id.replace("/", "_"))
        if not found and last_parts[last] == 1:
            found = by_last.get(last)
        if found and len(found) > 1:
            raise InputError(
                f"{printable(folder)}: {len(found)} files fit the image '{printable(id)}' "
                f"({_listed(found, folder)}); keep one"
            )
        if found:
            files[id] = found[0]
    if not files:
        raise InputError(
            f"{printable(folder)}: none of its {len(paths)} files fits an image; expected "
            f"{printable(ids[0])}{NUMBER_SUFFIXES[0]} and the like"
            + (f", found {_listed(paths, folder)}" if paths else "")
        )
    taken = set(files.values())
    return files, tuple(path for path in paths if path not in taken)


def _own_facts(
    path: Path, kind: DepthKind | None, scale: float | None
) -> tuple[DepthKind | None, MadeBy]:
    """Kind and maker of results of ``rilievo predict``, of one that stands for all."""
    if scale is not None:
        raise OptionError("--scale is for files that do not say their unit; these do")
    first = read_prediction(path)
    found = None if first.depth is None else first.depth.kind
    if kind is not None and kind is not found:
        raise OptionError(
            f"--kind says '{kind}', but {printable(path)} says '{found}'; leave --kind out"
        )
    return found, first.made_by


def _stranger(folder: Path, kind: DepthKind | None, scale: float | None) -> MadeBy:
    return MadeBy(
        model=printable(folder.resolve().name),
        weights_sha256="unknown",
        licence="unknown",
        settings={"kind": None if kind is None else kind.value, "scale": scale},
        version=VERSION,
    )


def _depth(numbers: Shaped[np.ndarray, "..."], kind: DepthKind, scale: float | None) -> DepthMap:
    if numbers.ndim != 2:
        raise InputError(f"has shape {numbers.shape}, expected one number a pixel")
    whole = numbers.dtype.kind in "ui"
    if whole and kind is DepthKind.METRIC and scale is None:
        raise InputError(
            f"holds whole numbers ({numbers.dtype}), which are hardly metres; say --scale, such "
            "as 0.001 for millimetres or 0.00390625 for KITTI's"
        )
    # In files of whole numbers, zero depth is how everybody says that there is none.
    valid = numbers != 0 if whole and kind.is_depth else np.ones(numbers.shape, bool)
    if not valid.any():
        raise InputError("is zero at all pixels")
    # What becomes infinite is counted below.
    with np.errstate(over="ignore", invalid="ignore"):
        values = numbers.astype(np.float32) * np.float32(1 if scale is None else scale)
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise InputError(f"is NaN or infinite at {bad} of {values.size} pixels")
    below = int((values[valid] <= 0).sum()) if kind.is_depth else 0
    if below:
        raise InputError(
            f"is zero or negative at {below} of {values.size} pixels, but depth of kind '{kind}' "
            "is positive; is its kind the right one?"
        )
    return DepthMap(values=values, kind=kind, valid=valid)


def _normals(numbers: Shaped[np.ndarray, "..."]) -> Float32[np.ndarray, "3 h w"]:
    if numbers.ndim != 3 or 3 not in (numbers.shape[0], numbers.shape[2]):
        raise InputError(f"has shape {numbers.shape}, expected normals (3, height, width)")
    if numbers.dtype.kind != "f":
        raise InputError(
            f"holds {numbers.dtype}; normals are floating-point numbers: x right, y down, z "
            "forward, towards the camera"
        )
    normals = numbers if numbers.shape[0] == 3 else np.moveaxis(numbers, 2, 0)
    bad = int((~np.isfinite(normals).all(axis=0)).sum())
    if bad:
        raise InputError(f"is NaN or infinite at {bad} of {normals[0].size} pixels")
    return np.ascontiguousarray(normals, dtype=np.float32)


def _listed(paths: Sequence[Path], folder: Path) -> str:
    names = [printable(path.relative_to(folder)) for path in paths[:LISTED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def describe_extra(foreign: Foreign) -> str | None:
    """One line about files of no image; None where there are none."""
    if not foreign.extra:
        return None
    count = len(foreign.extra)
    return (
        f"{count} files in {printable(foreign.folder)} belong to no image of the selection: "
        f"{_listed(foreign.extra, foreign.folder)}"
    )
