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
from rilievo.predicting.metres.fitting import convert_to_camera_heights
from rilievo.predicting.photographs.images import predict
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


class PhotoVersion(NamedTuple):
    """Identity of a photograph's content. It changes with the file, so that facts are forgotten.

    Attributes:
        path: Resolved path, or the name of a pasted picture.
        modified_ns: Time of the last modification [ns]; 0 for a pasted picture.
        size: Size of the file [bytes].
    """

    path: Path
    modified_ns: int
    size: int


_PredictionKey = tuple[PhotoVersion, StatedFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedPhotograph:
    """A version of a photograph, the facts stated about it, and the prediction that uses them."""

    photo_version: PhotoVersion
    facts: StatedFacts
    prediction: Prediction

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the prediction, a sentence each."""
        return self.prediction.notes

    @property
    def notes_without_scale_source(self) -> tuple[str, ...]:
        """Notes except the one that says where the metres come from.

        ``Calibration.describe`` writes that note, with these words at its beginning.
        """
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
        """Start without a photograph; ``load`` loads the model at the first prediction."""
        self.folders = folders
        self._load_model = load
        self._model: Model | None = None
        self._raise_if_cancelled: Callable[[], None] = _never_cancelled
        self._facts: OrderedDict[PhotoVersion, StatedFacts] = OrderedDict()
        self._pasted: OrderedDict[str, bytes] = OrderedDict()
        self._new_picture: _PastedPicture | None = None
        self._predictions = AnswerCache[_PredictionKey, PredictedPhotograph](
            _MAX_PREDICTION_BYTES, _copy_without_cached_properties
        )

    @contextmanager
    def call_context(self, raise_if_cancelled: Callable[[], None]) -> Iterator[None]:
        """Run one call in the block.

        ``raise_if_cancelled`` is called between the steps of a prediction, and raises an error if
        nobody waits for the result any more.
        """
        self._raise_if_cancelled = raise_if_cancelled
        try:
            yield
        finally:
            self._raise_if_cancelled = _never_cancelled
            self._new_picture = None
            self._predictions.trim()

    def name_photo(self, photo: str) -> str:
        """Return the name by which calls find a photograph.

        A path is its own name. A pasted picture (a data URL) is named by its hash, and kept while
        the call runs.
        """
        is_path = len(photo) <= _MAX_PATH_LETTERS and photo[:5].lower() != "data:"
        if is_path:
            return photo
        content = decode_base64_image(photo, "photo")
        name = f"pasted-{hashlib.sha256(content).hexdigest()[:12]}"
        self._new_picture = _PastedPicture(name, content)
        return name

    def has_pasted_picture(self, name: str) -> bool:
        """Whether later calls may name a pasted picture by this name."""
        return name in self._pasted

    def _picture_content(self, name: str) -> bytes | None:
        if self._new_picture is not None and self._new_picture.name == name:
            return self._new_picture.content
        return self._pasted.get(name)

    def _keep_new_picture(self, name: str) -> None:
        """Keep the picture that was pasted in this call for later calls, if it has this name."""
        if self._new_picture is None or self._new_picture.name != name:
            return
        self._pasted[name] = self._new_picture.content
        self._pasted.move_to_end(name)
        # The least recently used pictures are dropped, but never the new one.
        total_bytes = sum(len(content) for content in self._pasted.values())
        while len(self._pasted) > 1 and total_bytes > _MAX_PASTED_BYTES:
            _, dropped = self._pasted.popitem(last=False)
            total_bytes -= len(dropped)

    def predict_photo(self, photo: str) -> PredictedPhotograph:
        """Predict a photograph with the facts stated about it."""
        photo_version = self._photo_version(photo)
        facts = self._facts.get(photo_version, StatedFacts())
        return self._predict_or_recall(photo_version, facts)

    def change_facts(
        self, photo: str, change: Callable[[StatedFacts, tuple[int, int]], StatedFacts]
    ) -> PredictedPhotograph:
        """Change the facts about a photograph, and predict it with the new facts.

        ``change`` gets the current facts and the size (height, width). If the prediction fails, the
        facts stay as they were, unless a second fact can still make it work.
        """
        photo_version = self._photo_version(photo)
        old_facts = self._facts.get(photo_version, StatedFacts())
        facts = change(old_facts, self._height_and_width(photo_version, old_facts))
        try:
            predicted = self._predict_or_recall(photo_version, facts)
        except CalibrationError as error:
            if self._needs_one_more_fact(facts):
                self._remember_facts(photo_version, facts)
                raise CalibrationError(
                    problem=Text("the fact is stored, but one more is needed: ", error)
                ) from error
            raise
        self._remember_facts(photo_version, facts)
        return predicted

    def _remember_facts(self, photo_version: PhotoVersion, facts: StatedFacts) -> None:
        self._facts[photo_version] = facts
        self._facts.move_to_end(photo_version)
        while len(self._facts) > _MAX_PHOTOGRAPHS_WITH_FACTS:
            self._facts.popitem(last=False)

    def _needs_one_more_fact(self, facts: StatedFacts) -> bool:
        """Whether a single known size is too few: affine depth has an unknown scale and shift."""
        if self._model is None or self._model.kind is None:
            return False
        return not self._model.kind.is_depth and len(facts.known) == 1

    def _photo_version(self, photo: str) -> PhotoVersion:
        content = self._picture_content(photo)
        if content is not None:
            return PhotoVersion(Path(photo), 0, len(content))
        path = self.folders.resolve_photograph(photo)
        status = path.stat()
        return PhotoVersion(path, status.st_mtime_ns, status.st_size)

    def _height_and_width(self, photo_version: PhotoVersion, facts: StatedFacts) -> tuple[int, int]:
        predicted = self._predictions.get((photo_version, facts))
        if predicted is None:
            return self._decode_photo(photo_version).shape
        return predicted.prediction.shape

    def _decode_photo(self, photo_version: PhotoVersion) -> Photo:
        name = str(photo_version.path)
        content = self._picture_content(name)
        with quoting_name_in_errors(photo_version.path):
            if content is None:
                return read_photo(photo_version.path)
            photo = decode_pasted(name, content)
        self._keep_new_picture(name)
        return photo

    def _predict_or_recall(
        self, photo_version: PhotoVersion, facts: StatedFacts
    ) -> PredictedPhotograph:
        """Return the cached prediction of a photograph with these facts, or predict it."""
        cached = self._predictions.get((photo_version, facts))
        if cached is not None:
            # Decoding would do this.
            self._keep_new_picture(str(photo_version.path))
            return cached

        # The caller may have left during any of these slow steps.
        self._raise_if_cancelled()
        if self._model is None:
            self._model = self._load_model()
            self._raise_if_cancelled()
        photo = self._decode_photo(photo_version)
        self._raise_if_cancelled()
        predicted = _predict_with_facts(photo_version, facts, photo, self._model)
        self._raise_if_cancelled()
        self._predictions.put((photo_version, facts), predicted)
        return predicted


def _never_cancelled() -> None:
    """Do nothing: outside of a call, work is never given up."""


def _copy_without_cached_properties(photograph: PredictedPhotograph) -> PredictedPhotograph:
    return replace(photograph, prediction=photograph.prediction.but())


def _predict_with_facts(
    photo_version: PhotoVersion, facts: StatedFacts, photo: Photo, model: Model
) -> PredictedPhotograph:
    with quoting_name_in_errors(photo_version.path), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the prediction has them as notes
        prediction = predict(
            photo,
            model=model,
            known=facts.known,
            camera_height=facts.camera_height,
            fov=facts.fov,
            projection=facts.projection,
        )
    return PredictedPhotograph(photo_version=photo_version, facts=facts, prediction=prediction)


def in_metres_or_camera_heights(photograph: PredictedPhotograph) -> tuple[Prediction, str]:
    """Return the prediction and its unit: metres, camera heights if those fail, or unknown."""
    if photograph.is_metric:
        return photograph.prediction, METRES
    with suppress(CalibrationError):
        return convert_to_camera_heights(photograph.prediction), CAMERA_HEIGHTS
    return photograph.prediction, UNKNOWN_UNIT


def camera_heights_or_ask_for_size(photograph: PredictedPhotograph) -> Prediction:
    """Convert a prediction to heights of the camera above the floor.

    Raises:
        CalibrationError: If that fails. The message asks the user for a known length or distance.
    """
    try:
        return convert_to_camera_heights(photograph.prediction)
    except RilievoError as error:
        # An error has either a whole message, or a problem that follows the option's name.
        raise CalibrationError(
            problem=Text(
                "no size in this photograph is known, and the camera's height above the floor "
                "cannot serve as the unit (",
                error.message or error.problem,
                "): state one length or distance with the tool 'known'",
            )
        ) from error
