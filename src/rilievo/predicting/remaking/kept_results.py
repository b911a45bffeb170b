"""Results of photographs beside which the answers of their networks are kept."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rilievo.errors import InputError, RilievoError
from rilievo.io.checks.sums import sum_of
from rilievo.io.files.limits import (
    check_regular,
    exists,
    printable,
    shortened,
    unreadable,
)
from rilievo.io.outputs.facts import AnswerFacts, Sidecar
from rilievo.io.outputs.sidecar import SUFFIX, find_sidecar
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.processing.refined import refined
from rilievo.models.resampling.answer_rule import read_resizing
from rilievo.options.camera_forms import parse_numbers
from rilievo.options.given_camera import GivenCamera
from rilievo.options.on_off import Switch
from rilievo.options.refine import Refine
from rilievo.predicting.answers.inference_file import MOST_NUMBERS, read_inference
from rilievo.types import DepthKind, MadeBy, Photo, Setting

_MOST_BYTES = 24 * MOST_NUMBERS
_OF_FINISHING = ("sharp", "trim", "resizing", "processing")
"""Settings of a model that finishing an answer adds; ``sharp`` is of versions before 0.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptResult:
    """Result of one photograph, of which others can be made.

    Attributes:
        root: Folder that was named.
        json: The JSON of the result.
        sidecar: Content of the JSON.
        facts: Facts about the kept answer.
    """

    root: Path
    json: Path
    sidecar: Sidecar
    facts: AnswerFacts

    @property
    def target(self) -> Path:
        """Path of the results without suffix."""
        return self.json.with_name(self.json.name.removesuffix(SUFFIX))

    @property
    def photo(self) -> Path:
        """Path of the photograph."""
        return Path(os.path.normpath(self.json.parent / self.facts.photo))

    def check_photo(self) -> None:
        """Refuse a photograph that was moved or changed since it was predicted."""
        shown = printable(self.json)
        if not exists(self.photo):
            raise InputError(
                f"{shown}: its photograph is not at {shortened(str(self.photo), 200)} any more: "
                "put it back, or predict it where it is"
            )
        check_regular(self.photo)
        if sum_of(self.photo).sha256 != self.facts.photo_sha256:
            raise InputError(
                f"{shown}: its photograph {printable(self.photo)} has changed since: predict it "
                "again"
            )

    def answer(self) -> Inference:
        """Answer of the network, as it was."""
        path = self.json.with_name(self.facts.file)
        if check_regular(path) > _MOST_BYTES:
            raise InputError(f"{printable(path)}: is larger than any answer: predict it again")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise unreadable(error, path) from error
        if hashlib.sha256(content).hexdigest() != self.facts.sha256:
            raise InputError(f"{printable(path)}: differs from what was written: predict it again")
        return read_inference(content, printable(path))

    def model(self, inference: Inference) -> Model:
        """The model that gave the answer, which finishes it as it did."""
        settings = self.sidecar.made_by.settings
        kept = KeptModel(self.sidecar.made_by, self.facts.kind, inference)
        refine = Refine(trim=Switch.ON if settings.get("trim") else Switch.OFF)
        return refined(kept, refine, vanishing_points=self.view.vanishing_points)

    @property
    def view(self) -> GivenCamera:
        """Camera that was named."""
        run = self.sidecar.run
        camera, fov, projection = (run.get(name) for name in ("camera", "fov", "projection"))
        try:
            if camera is not None:
                parse_numbers(str(camera))  # and no file of this machine
            return GivenCamera(
                camera=None if camera is None else str(camera),
                fov=None if fov is None else float(fov),
                projection=None if projection is None else str(projection),
                vanishing_points=bool(run.get("vanishing_points")),
            )
        except (RilievoError, ValueError) as error:
            stated = shortened(str(camera or fov or projection), 40)
            raise InputError(
                f"{printable(self.json)}: the camera in it is '{stated}', expected numbers or a "
                "lens in words: predict the photograph again"
            ) from error

    def number(self, name: str) -> float | None:
        """Option of the earlier run that is a number.

        Raises:
            InputError: If it is another thing.
        """
        value = self.sidecar.run.get(name)
        try:
            return None if value is None else float(value)
        except ValueError as error:
            raise InputError(
                f"{printable(self.json)}: its {name} is '{shortened(str(value))}', expected a "
                "number: predict the photograph again"
            ) from error


class KeptModel(Model):
    """A model of which one answer is left."""

    def __init__(self, made_by: MadeBy, kind: DepthKind | None, inference: Inference) -> None:
        self.card = ModelCard(
            name=made_by.model,
            summary="an answer that was kept",
            kind=kind,
            normals=inference.normals is not None,
            confidence=inference.confidence is not None,
            sky=inference.sky is not None,
            resizing=read_resizing(str(made_by.settings.get("resizing", "values"))),
            licence=made_by.licence,
        )
        self.weights_sha256 = made_by.weights_sha256
        self.settings: Mapping[str, Setting] = {
            name: value for name, value in made_by.settings.items() if name not in _OF_FINISHING
        }

    def infer(self, photos: Sequence[Photo]) -> NoReturn:
        """Refuse: the network is not here."""
        raise AssertionError("the answer is given")


def find_kept(inputs: Sequence[str | Path]) -> Iterator[KeptResult]:
    """Yield results with a kept answer below folders, in a fixed order; broken JSONs are passed."""
    for root in map(Path, inputs):
        for path in _jsons(root):
            sidecar = find_sidecar(path)
            if sidecar is not None and sidecar.answer is not None:
                yield KeptResult(root=root, json=path, sidecar=sidecar, facts=sidecar.answer)


def _jsons(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        yield from (Path(folder, each) for each in sorted(names) if each.endswith(SUFFIX))
