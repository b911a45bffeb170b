"""Photographs that an assistant asks about, with stated facts, and their predictions."""

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

METRES, HEIGHTS, UNKNOWN = "m", "camera heights", "unknown"
"""Units of lengths."""
_MOST_BYTES = 400_000_000
"""Memory of answers: 12 megapixels take some 200 MB."""
_MOST_PHOTOGRAPHS = 1000
_MOST_PASTED_BYTES = 200_000_000
MOST_LETTERS = ServerOptions().max_bytes
"""Letters of a pasted picture."""
_LONGEST_PATH = 4000
Loading = Callable[[], Model]


class PhotographStamp(NamedTuple):
    """Identity of a photograph: facts about a changed file are forgotten."""

    path: Path
    changed: int
    size: int


_Question = tuple[PhotographStamp, StatedFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoState:
    """Photograph with its facts and prediction."""

    stamp: PhotographStamp
    facts: StatedFacts
    prediction: Prediction

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the prediction, a sentence each."""
        return self.prediction.notes

    @property
    def notes_besides_metres(self) -> tuple[str, ...]:
        """Notes without the source of metres."""
        return tuple(note for note in self.notes if not note.startswith("metres from"))

    @property
    def is_metric(self) -> bool:
        """Whether depth is in metres."""
        return self.prediction.depth.kind is DepthKind.METRIC


class Photographs:
    """Predictions of photographs, one at a time."""

    def __init__(self, folders: NamedFolders, load: Loading = load_model) -> None:
        self.folders, self._load = folders, load
        self._model: Model | None = None
        self._check: Callable[[], None] = _check_nothing
        self._facts: OrderedDict[PhotographStamp, StatedFacts] = OrderedDict()
        self._pasted: OrderedDict[str, bytes] = OrderedDict()
        self._arrival: tuple[str, bytes] | None = None
        self._seen = AnswerCache[_Question, PhotoState](_MOST_BYTES, _copy_without_late_parts)

    @contextmanager
    def call_context(self, check: Callable[[], None]) -> Iterator[None]:
        """Context of a call; ``check`` raises once nobody waits."""
        self._check = check
        try:
            yield
        finally:
            self._check, self._arrival = _check_nothing, None
            self._seen.trim()

    def name_of_photo(self, photo: str) -> str:
        """Path as it is; of a picture a name by its hash.

        Raises:
            OptionError: If it is a picture that cannot be decoded.
        """
        if len(photo) <= _LONGEST_PATH and photo[:5].lower() != "data:":
            return photo
        content = decode_base64_image(photo, "photo")
        name = f"pasted-{hashlib.sha256(content).hexdigest()[:12]}"
        self._arrival = (name, content)
        return name

    def keeps_picture(self, name: str) -> bool:
        """Whether later calls may name a picture."""
        return name in self._pasted

    def _picture_content(self, name: str) -> bytes | None:
        """Bytes of a picture in a message; None for paths."""
        if self._arrival is not None and self._arrival[0] == name:
            return self._arrival[1]
        return self._pasted.get(name)

    def _keep_arrived_picture(self, name: str) -> None:
        if self._arrival is None or self._arrival[0] != name:
            return
        self._pasted[name] = self._arrival[1]
        self._pasted.move_to_end(name)
        while len(self._pasted) > 1 and sum(map(len, self._pasted.values())) > _MOST_PASTED_BYTES:
            self._pasted.popitem(last=False)

    def predict_photo(self, photo: str) -> PhotoState:
        """Predict a photograph with the facts about it.

        Raises:
            RilievoError: If it cannot be read, or its facts contradict each other.
        """
        stamp = self._photograph_stamp(photo)
        return self._predict_or_recall(stamp, self._facts.get(stamp, StatedFacts()))

    def change_facts(
        self, photo: str, change: Callable[[StatedFacts, tuple[int, int]], StatedFacts]
    ) -> PhotoState:
        """Change a photograph's facts, given its size (height, width), and predict."""
        stamp = self._photograph_stamp(photo)
        before = self._facts.get(stamp, StatedFacts())
        shape = self._height_and_width(stamp, before)
        facts = change(before, shape)
        try:
            answer = self._predict_or_recall(stamp, facts)
        except CalibrationError as error:
            if self._is_lone_fact_of_affine_depth(facts):
                self._remember_facts(stamp, facts)
                raise CalibrationError(
                    problem=Text("kept, and one more fact is needed: ", error)
                ) from error
            raise
        self._remember_facts(stamp, facts)
        return answer

    def _remember_facts(self, stamp: PhotographStamp, facts: StatedFacts) -> None:
        self._facts[stamp] = facts
        self._facts.move_to_end(stamp)
        while len(self._facts) > _MOST_PHOTOGRAPHS:
            self._facts.popitem(last=False)

    def _is_lone_fact_of_affine_depth(self, facts: StatedFacts) -> bool:
        # One fact is too few, as affine depth has a shift.
        kind = None if self._model is None else self._model.kind
        return kind is not None and not kind.is_depth and len(facts.known) == 1

    def _photograph_stamp(self, photo: str) -> PhotographStamp:
        content = self._picture_content(photo)
        if content is not None:
            return PhotographStamp(Path(photo), 0, len(content))
        path = self.folders.resolve_photograph(photo)
        status = path.stat()
        return PhotographStamp(path, status.st_mtime_ns, status.st_size)

    def _height_and_width(self, stamp: PhotographStamp, facts: StatedFacts) -> tuple[int, int]:
        photograph = self._seen.get((stamp, facts))
        return (
            self._decode_photo(stamp).shape if photograph is None else photograph.prediction.shape
        )

    def _decode_photo(self, stamp: PhotographStamp) -> Photo:
        name = str(stamp.path)
        content = self._picture_content(name)
        with quoting_name_in_errors(stamp.path):
            if content is None:
                return read_photo(stamp.path)
            photo = decode_pasted(name, content)
        self._keep_arrived_picture(name)
        return photo

    def _predict_or_recall(self, stamp: PhotographStamp, facts: StatedFacts) -> PhotoState:
        answer = self._seen.get((stamp, facts))
        if answer is not None:
            self._keep_arrived_picture(str(stamp.path))
            return answer
        self._check()
        if self._model is None:
            self._model = self._load()
            self._check()
        photo = self._decode_photo(stamp)
        self._check()
        answer = _predict_with_facts(stamp, facts, photo, self._model)
        self._check()
        self._seen.put((stamp, facts), answer)
        return answer


def _check_nothing() -> None:
    """Check of a call without a client."""


def _copy_without_late_parts(answer: PhotoState) -> PhotoState:
    return replace(answer, prediction=answer.prediction.but())


def _predict_with_facts(
    stamp: PhotographStamp, facts: StatedFacts, photo: Photo, model: Model
) -> PhotoState:
    with quoting_name_in_errors(stamp.path), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # They are notes too.
        prediction = predict(
            photo,
            model=model,
            known=facts.known,
            camera_height=facts.camera_height,
            fov=facts.fov,
            projection=facts.projection,
        )
    return PhotoState(stamp=stamp, facts=facts, prediction=prediction)


def in_camera_heights(prediction: Prediction) -> Prediction:
    """Prediction in heights of the camera above the floor.

    Raises:
        CalibrationError: If the depth is affine, or no floor is visible.
    """
    answer, _ = convert_to_metres(
        prediction, MetricReferences(camera_height=1.0), markers=None, own_depth=None
    )
    assert answer.calibration is not None, "it has just been calibrated"
    # The user stated no height.
    return answer.but(calibration=replace(answer.calibration, asked=()))


def in_metres_or_camera_heights(photograph: PhotoState) -> tuple[Prediction, str]:
    """Prediction in metres, camera heights, or as it is, and the unit."""
    if photograph.is_metric:
        return photograph.prediction, METRES
    with suppress(CalibrationError):
        return in_camera_heights(photograph.prediction), HEIGHTS
    return photograph.prediction, UNKNOWN


def in_camera_heights_or_refuse(photograph: PhotoState) -> Prediction:
    """Prediction in heights of the camera.

    Raises:
        CalibrationError: If no floor is visible, with what to state.
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
