"""What is looked at: images with their truth, and what each model says of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from rilievo.errors import InputError, RilievoError
from rilievo.evaluate.records import Score, Summary
from rilievo.types import Camera, DepthKind, DepthMap, MadeBy, Truth
from rilievo.views.images import Images

FIELDS = ("true_depth", "true_normals", "image_id", "split", "disagreement")
"""Names of what every image has, which no model's may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a model says of one image, as it is shown.

    Attributes:
        depth: In metres as it was scored, where it was scored in metres; else the model's own
            numbers.
        normals: Unit, camera frame, towards the camera.
        camera: That the model assumed or was given.
    """

    depth: DepthMap | None = None
    normals: Float32[np.ndarray, "3 h w"] | None = None
    camera: Camera | None = None


@runtime_checkable
class Reader(Protocol):
    """Predictions of one model, read when asked for."""

    def read(self, id: str) -> Seen | None:
        """What is said of one image; None where there is no prediction of it.

        Raises:
            RilievoError: If it is broken, or cannot be brought to metres.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One model.

    Attributes:
        label: As people read it, unique.
        field: As a field is named, unique: ``dpt_hybrid``.
        made_by: Model, weights and settings.
        kind: Of the depth that is shown; None where there is none.
        shows: What that depth is, in words: the model's own kind, and what was fitted.
        normals: Whether it has normals.
        reader: Of its predictions.
        summaries: Of its metrics, the leading one first; empty without an evaluation.
        scores: By image.
        unscored: Reasons, by image.
    """

    label: str
    field: str
    made_by: MadeBy
    kind: DepthKind | None
    shows: str
    normals: bool
    reader: Reader
    summaries: tuple[Summary, ...]
    scores: Mapping[str, Score]
    unscored: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One model on one image.

    Attributes:
        column: The model.
        seen: What it says; None where there is no prediction, or it cannot be shown.
        fault: Why it cannot be shown.
    """

    column: Column
    seen: Seen | None
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One image.

    Attributes:
        id: Unique.
        photo: RGB.
        truth: None where there is none.
        camera: The dataset's, or else the first model's; None where nobody knows it.
        shown: One a model, in their order.
    """

    id: str
    photo: UInt8[np.ndarray, "h w 3"]
    truth: Truth | None
    camera: Camera | None
    shown: tuple[Shown, ...]

    @property
    def true_depth(self) -> DepthMap | None:
        """True depth [m]; None where there is none."""
        truth = self.truth
        if truth is None or truth.depth is None or truth.depth_valid is None:
            return None
        return DepthMap(values=truth.depth, kind=DepthKind.METRIC, valid=truth.depth_valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibition:
    """Images and models.

    Attributes:
        name: For a heading, and as a dataset's name.
        images: Photographs and truth.
        ids: In the dataset's order.
        columns: The models.
        absent: Images of the selection that are not on disk, and why.
    """

    name: str
    images: Images
    ids: tuple[str, ...]
    columns: tuple[Column, ...]
    absent: Mapping[str, str]

    def read(self, id: str) -> Exhibit:
        """One image with all that belongs to it.

        A prediction that cannot be shown is a fault of its own; the others are shown.

        Raises:
            RilievoError: If the photograph or its truth cannot be read.
        """
        photo, truth = self.images.photo(id), self.images.truth(id)
        shown = tuple(_shown(column, id) for column in self.columns)
        cameras = [None if truth is None else truth.camera]
        cameras += [each.seen.camera for each in shown if each.seen is not None]
        camera = next((each for each in cameras if each is not None), None)
        return Exhibit(id=id, photo=photo, truth=truth, camera=camera, shown=shown)

    def check_shown(self, failed: Sequence[str]) -> None:
        """Refuse to have shown nothing.

        Args:
            failed: Images that are not shown, and why.

        Raises:
            InputError: If these are all.
        """
        if len(failed) == len(self.ids) + len(self.absent):
            raise InputError(
                f"none of the {len(failed)} images can be shown; the first, {failed[0]}"
            )


def _shown(column: Column, id: str) -> Shown:
    try:
        return Shown(column=column, seen=column.reader.read(id))
    except RilievoError as error:
        return Shown(column=column, seen=None, fault=str(error))


def notes_of(exhibit: Exhibit) -> Iterator[str]:
    """What deserves a look: notes of scores, and what is missing and why."""
    for each in exhibit.shown:
        label, score = each.column.label, each.column.scores.get(exhibit.id)
        if each.fault is not None:
            yield f"{label}: cannot be shown: {each.fault}"
        elif each.seen is None:
            yield f"{label}: no prediction"
        if exhibit.id in each.column.unscored:
            yield f"{label}: no score: {each.column.unscored[exhibit.id]}"
        yield from (f"{label}: {note}" for note in (() if score is None else score.notes))


def named(columns: Sequence[Column], hints: Sequence[Sequence[str]]) -> tuple[Column, ...]:
    """The columns with labels and fields of which no two are the same.

    Args:
        columns: Labelled by their models.
        hints: For each, what tells it from others of the same label, the best first.
    """
    labels = [column.label for column in columns]
    for level in range(max((len(each) for each in hints), default=0)):
        for label in {each for each in labels if labels.count(each) > 1}:
            for place in [at for at, each in enumerate(labels) if each == label]:
                hint = hints[place][level] if level < len(hints[place]) else None
                labels[place] = label if hint is None else f"{label} {hint}"
    labels = list(_numbered(labels))
    fields = _numbered([_field(label) for label in labels])
    return tuple(
        replace(column, label=label, field=field)
        for column, label, field in zip(columns, labels, fields, strict=True)
    )


def _field(label: str) -> str:
    """A label as a name that programs take."""
    name = re.sub(r"[^0-9a-z]+", "_", label.lower()).strip("_")
    return f"model_{name}" if not name or name[0].isdigit() or name in FIELDS else name


def _numbered(names: Sequence[str]) -> Iterator[str]:
    taken: set[str] = set()
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        yield candidate
