"""Predictions of the photographs that an assistant asks about, with the facts stated about each."""

import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from rilievo.errors import CalibrationError, RilievoError
from rilievo.errors.messages import Text
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.predicting.photographs.fitting import convert_to_metres
from rilievo.predicting.photographs.images import predict
from rilievo.predicting.photographs.metric_references import MetricReferences
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from rilievo.serving.assistant.answer_cache import AnswerCache
from rilievo.serving.assistant.decoded_photographs import decode_pasted, read_photo
from rilievo.serving.assistant.named_folders import NamedFolders, quoting_name_in_errors
from rilievo.serving.assistant.stated_facts import StatedFacts
from rilievo.serving.server.server_options import ServerOptions
from rilievo.serving.server.uploads import decode_base64_image

METRES = "m"
CAMERA_HEIGHTS = "camera heights"
"""Unit of lengths without a known size: the height of the camera above the visible floor."""
UNKNOWN_UNIT = "unknown"

MAX_PHOTO_LETTERS = ServerOptions().max_bytes
"""Length of a pasted picture as a data URL."""
_MAX_PATH_LETTERS = 4000
_MAX_PREDICTION_BYTES = 400_000_000  # the prediction of 12 megapixels takes some 200 MB
_MAX_PASTED_BYTES = 200_000_000
_MAX_PHOTOGRAPHS_WITH_FACTS = 1000


class PhotographStamp(NamedTuple):
    """Identity of a photograph's content; it changes with the file, so that facts are forgotten.

    Attributes:
        path: Resolved path; of a pasted picture, its name.
        changed: Time of the last change [ns]; 0 for a pasted picture.
        size: Bytes.
    """

    path: Path
    changed: int
    size: int


_PredictionKey = tuple[PhotographStamp, StatedFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedPhotograph:
    """A photograph, the facts that were stated about it, and its prediction by these facts."""

    stamp: PhotographStamp
    facts: StatedFacts
    prediction: Prediction

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the prediction, a sentence each."""
        return self.prediction.notes

    @property
    def notes_besides_metres(self) -> tuple[str, ...]:
        """Notes other than the one that says where the metres come from."""
        return tuple(note for note in self.notes if not note.startswith("metres from"))

    @property
    def is_metric(self) -> bool:
        """Whether depth is in metres."""
        return self.prediction.depth.kind is DepthKind.METRIC


class _PastedPicture(NamedTuple):
    name: str
    content: bytes


class Photographs:
    """Predicts photographs, and remembers their predictions and the facts stated about them."""

    def __init__(self, folders: NamedFolders, load: Callable[[], Model] = load_model) -> None:
        """Begin without a photograph; ``load`` loads the model when the first one needs it."""
        self.folders = folders
        self._load = load
        self._model: Model | None = None
        self._raise_if_given_up: Callable[[], None] = _never_given_up
        self._facts: OrderedDict[PhotographStamp, StatedFacts] = OrderedDict()
        self._pasted: OrderedDict[str, bytes] = OrderedDict()
        self._new_picture: _PastedPicture | None = None
        self._predictions = AnswerCache[_PredictionKey, PredictedPhotograph](
            _MAX_PREDICTION_BYTES, _copy_without_cached_properties
        )

    @contextmanager
    def call_context(self, raise_if_given_up: Callable[[], None]) -> Iterator[None]:
        """Context of one call; between its steps, ``raise_if_given_up`` ends it if nobody waits."""
        self._raise_if_given_up = raise_if_given_up
        try:
            yield
        finally:
            self._raise_if_given_up = _never_given_up
            self._new_picture = None
            self._predictions.trim()

    def name_of_photo(self, photo: str) -> str:
        """Name by which calls find a photograph: its path, or for a data URL a name by its hash.

        Raises:
            OptionError: If it is a data URL that cannot be decoded.
        """
        if len(photo) <= _MAX_PATH_LETTERS and photo[:5].lower() != "data:":
            return photo
        content = decode_base64_image(photo, "photo")
        name = f"pasted-{hashlib.sha256(content).hexdigest()[:12]}"
        self._new_picture = _PastedPicture(name, content)
        return name

    def keeps_picture(self, name: str) -> bool:
        """Whether later calls may name a pasted picture."""
        return name in self._pasted

    def _picture_content(self, name: str) -> bytes | None:
        """Bytes of a pasted picture; None if the name is a path."""
        if self._new_picture is not None and self._new_picture.name == name:
            return self._new_picture.content
        return self._pasted.get(name)

    def _keep_new_picture(self, name: str) -> None:
        """Keep the picture of this call for later calls, if it has this name."""
        if self._new_picture is None or self._new_picture.name != name:
            return
        self._pasted[name] = self._new_picture.content
        self._pasted.move_to_end(name)
        while len(self._pasted) > 1 and sum(map(len, self._pasted.values())) > _MAX_PASTED_BYTES:
            self._pasted.popitem(last=False)

    def predict_photo(self, photo: str) -> PredictedPhotograph:
        """Predict a photograph with the facts stated about it.

        Raises:
            RilievoError: If it cannot be read, or its facts contradict each other.
        """
        stamp = self._photograph_stamp(photo)
        return self._predict_or_recall(stamp, self._facts.get(stamp, StatedFacts()))

    def change_facts(
        self, photo: str, change: Callable[[StatedFacts, tuple[int, int]], StatedFacts]
    ) -> PredictedPhotograph:
        """Change the facts about a photograph, and predict it with the new ones.

        ``change`` gets the facts so far and the size (height, width). If the prediction fails, the
        facts stay as they were.
        """
        stamp = self._photograph_stamp(photo)
        old_facts = self._facts.get(stamp, StatedFacts())
        facts = change(old_facts, self._height_and_width(stamp, old_facts))
        try:
            predicted = self._predict_or_recall(stamp, facts)
        except CalibrationError as error:
            if self._needs_one_more_fact(facts):
                self._remember_facts(stamp, facts)
                raise CalibrationError(
                    problem=Text("kept, and one more fact is needed: ", error)
                ) from error
            raise
        self._remember_facts(stamp, facts)
        return predicted

    def _remember_facts(self, stamp: PhotographStamp, facts: StatedFacts) -> None:
        self._facts[stamp] = facts
        self._facts.move_to_end(stamp)
        while len(self._facts) > _MAX_PHOTOGRAPHS_WITH_FACTS:
            self._facts.popitem(last=False)

    def _needs_one_more_fact(self, facts: StatedFacts) -> bool:
        """Whether one length is too few, because affine depth has a shift besides its scale."""
        if self._model is None or self._model.kind is None:
            return False
        return not self._model.kind.is_depth and len(facts.known) == 1

    def _photograph_stamp(self, photo: str) -> PhotographStamp:
        content = self._picture_content(photo)
        if content is not None:
            return PhotographStamp(Path(photo), 0, len(content))
        path = self.folders.resolve_photograph(photo)
        status = path.stat()
        return PhotographStamp(path, status.st_mtime_ns, status.st_size)

    def _height_and_width(self, stamp: PhotographStamp, facts: StatedFacts) -> tuple[int, int]:
        predicted = self._predictions.get((stamp, facts))
        if predicted is None:
            return self._decode_photo(stamp).shape
        return predicted.prediction.shape

    def _decode_photo(self, stamp: PhotographStamp) -> Photo:
        name = str(stamp.path)
        content = self._picture_content(name)
        with quoting_name_in_errors(stamp.path):
            if content is None:
                return read_photo(stamp.path)
            photo = decode_pasted(name, content)
        self._keep_new_picture(name)
        return photo

    def _predict_or_recall(self, stamp: PhotographStamp, facts: StatedFacts) -> PredictedPhotograph:
        remembered = self._predictions.get((stamp, facts))
        if remembered is not None:
            self._keep_new_picture(str(stamp.path))
            return remembered

        self._raise_if_given_up()
        if self._model is None:
            self._model = self._load()
            self._raise_if_given_up()
        photo = self._decode_photo(stamp)
        self._raise_if_given_up()
        predicted = _predict_with_facts(stamp, facts, photo, self._model)
        self._raise_if_given_up()
        self._predictions.put((stamp, facts), predicted)
        return predicted


def _never_given_up() -> None:
    """Raise nothing, outside of a call."""


def _copy_without_cached_properties(photograph: PredictedPhotograph) -> PredictedPhotograph:
    return replace(photograph, prediction=photograph.prediction.but())


def _predict_with_facts(
    stamp: PhotographStamp, facts: StatedFacts, photo: Photo, model: Model
) -> PredictedPhotograph:
    with quoting_name_in_errors(stamp.path), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the prediction has them as notes
        prediction = predict(
            photo,
            model=model,
            known=facts.known,
            camera_height=facts.camera_height,
            fov=facts.fov,
            projection=facts.projection,
        )
    return PredictedPhotograph(stamp=stamp, facts=facts, prediction=prediction)


def in_camera_heights(prediction: Prediction) -> Prediction:
    """Convert a prediction to heights of the camera above the floor.

    Raises:
        CalibrationError: If the depth is affine, or no floor is visible.
    """
    converted, _ = convert_to_metres(
        prediction, MetricReferences(camera_height=1.0), markers=None, own_depth=None
    )
    assert converted.calibration is not None, "it has just been calibrated"
    # The user did not state this height, so it does not count as asked for.
    return converted.but(calibration=replace(converted.calibration, asked=()))


def in_metres_or_camera_heights(photograph: PredictedPhotograph) -> tuple[Prediction, str]:
    """Return the prediction and its unit: metres, else camera heights, else an unknown unit."""
    if photograph.is_metric:
        return photograph.prediction, METRES
    with suppress(CalibrationError):
        return in_camera_heights(photograph.prediction), CAMERA_HEIGHTS
    return photograph.prediction, UNKNOWN_UNIT


def in_camera_heights_or_refuse(photograph: PredictedPhotograph) -> Prediction:
    """Convert a prediction to heights of the camera.

    Raises:
        CalibrationError: If no floor is visible; it asks for a known length or distance.
    """
    try:
        return in_camera_heights(photograph.prediction)
    except RilievoError as error:
        raise CalibrationError(
            problem=Text(
                "nothing in this photograph has a known size, and its floor gives no unit (",
                error.message or error.problem,
                "): state one length or distance with the tool 'known'",
            )
        ) from error
