"""Photographs that an assistant asks about, with stated facts, and their predictions."""

import hashlib
import math
import os
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from rilievo.calibration.sizes import Known, KnownLength, KnownPoint, KnownRectangle
from rilievo.errors import CalibrationError, InputError, OptionError, RilievoError
from rilievo.errors.messages import Text
from rilievo.io.files.limits import MAX_PIXELS, check_regular, unreadable
from rilievo.io.files.names import printable
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.options.photo_options import Refine
from rilievo.predicting.photographs.fitting import in_metres
from rilievo.predicting.photographs.images import predict
from rilievo.predicting.photographs.user_facts import Metres
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from rilievo.serving.assistant.named_folders import NamedFolders, quoting_name_in_errors
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.decoding.decoder_pool import Decoders, ImageFile
from rilievo.serving.server.decoding.messages import nameless_file
from rilievo.serving.server.server_options import ServerOptions
from rilievo.serving.server.uploads import decoded_image

_CPU_SECONDS = 60
_SECONDS = 300.0


@dataclass(frozen=True)
class _DiskFile:
    path: Path

    @property
    def name(self) -> str:
        return printable(self.path)

    def read(self) -> bytes:
        return self.path.read_bytes()

    def open_descriptor(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(error, self.path) from error


@dataclass(frozen=True)
class _PastedFile:
    name: str
    content: bytes

    def read(self) -> bytes:
        return self.content

    def open_descriptor(self) -> int:
        return nameless_file(self.content)


def read_photo(path: Path) -> Photo:
    """Read a photograph in a restricted process."""
    check_regular(path)
    return _decode_in_process(_DiskFile(path), MAX_PIXELS)


def decode_pasted(name: str, content: bytes) -> Photo:
    """Photograph of bytes in a message, from a restricted process."""
    return _decode_in_process(_PastedFile(name, content), ServerOptions().max_pixels)


def _decode_in_process(file: ImageFile, max_pixels: int) -> Photo:
    try:
        return _shared_decoders(max_pixels).photo(
            file,
            own_depth=True,
            reading=Refine().reading,
            cpu_seconds=_CPU_SECONDS,
            until=time.monotonic() + _SECONDS,
        )
    except Refusal as error:
        raise InputError(
            f"was not decoded in {_SECONDS:g} s; make it smaller first", path=file.name
        ) from error


@cache
def _shared_decoders(max_pixels: int) -> Decoders:
    return Decoders(max_pixels=max_pixels, idle=1)


Key = TypeVar("Key")
SomeAnswer = TypeVar("SomeAnswer")


@dataclass(slots=True)
class _Entry(Generic[SomeAnswer]):
    answer: SomeAnswer
    fresh: SomeAnswer
    """Copy without its late parts."""


class AnswerCache(Generic[Key, SomeAnswer]):
    """Answers by questions; the least recently used leave first."""

    def __init__(self, most_bytes: int, copied: Callable[[SomeAnswer], SomeAnswer]) -> None:
        """Begin empty; ``copied`` copies an answer without computing its late parts."""
        self._most_bytes, self._copied = most_bytes, copied
        self._entries: OrderedDict[Key, _Entry[SomeAnswer]] = OrderedDict()

    def get(self, key: Key) -> SomeAnswer | None:
        """Answer of a key, which becomes the newest."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.answer

    def put(self, key: Key, answer: SomeAnswer) -> None:
        """Keep an answer, and a copy without late parts."""
        self._entries[key] = _Entry(answer, self._copied(answer))
        self._entries.move_to_end(key)

    def trim(self) -> None:
        """Drop the oldest, then late parts, down to the bound."""
        while len(self._entries) > 1 and self.array_bytes > self._most_bytes:
            self._entries.popitem(last=False)
        if self.array_bytes > self._most_bytes:
            for entry in self._entries.values():
                entry.answer = self._copied(entry.fresh)
        if self.array_bytes > self._most_bytes:
            self._entries.clear()

    @property
    def array_bytes(self) -> int:
        """Bytes of all arrays, shared ones once."""
        arrays = _base_arrays_in([*self._entries.values()])
        sizes = {array.__array_interface__["data"][0]: array.nbytes for array in arrays}
        return sum(sizes.values())


def _base_arrays_in(record: object) -> Iterator[np.ndarray]:
    if isinstance(record, np.ndarray):
        while isinstance(record.base, np.ndarray):
            record = record.base
        yield record
    elif isinstance(record, list | tuple):
        for part in record:
            yield from _base_arrays_in(part)
    elif is_dataclass(record) and not isinstance(record, type):
        held = getattr(record, "__dict__", None)
        names = [field.name for field in fields(record)]
        for part in held.values() if held else (getattr(record, name) for name in names):
            yield from _base_arrays_in(part)


_SAME = 1.0  # pixels between facts about one place
_FLAGS: Mapping[type[Known], str] = {
    KnownPoint: "--known",
    KnownLength: "--known-length",
    KnownRectangle: "--known-rectangle",
}


@dataclass(frozen=True, kw_only=True)
class StatedFacts:
    """Facts about one photograph, in order.

    Attributes:
        words: Words for ``known``, such as "door: 2 m".
        camera_height: Height of the camera above the floor [m].
        fov: Horizontal field of view [degrees].
    """

    known: tuple[Known, ...] = ()
    words: tuple[str, ...] = ()
    camera_height: float | None = None
    fov: float | None = None
    projection: str | None = None

    def with_fact(self, fact: Known, words: str) -> "StatedFacts":
        """Copy with a fact, instead of one about the same points."""
        pairs = [
            pair
            for pair in zip(self.known, self.words, strict=True)
            if not _are_about_same_points(pair[0], fact)
        ]
        facts, texts = ([*column] for column in zip(*pairs, strict=True)) if pairs else ([], [])
        return replace(self, known=(*facts, fact), words=(*texts, words))

    @property
    def sentences(self) -> tuple[str, ...]:
        """All facts in words."""
        height, fov = self.camera_height, self.fov
        return (
            *self.words,
            *(() if height is None else (f"the camera is {height:g} m above the floor",)),
            *(() if fov is None else (f"the field of view is {fov:g} degrees",)),
            *(() if self.projection is None else (f"the lens is {self.projection}",)),
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """Facts as options of the command line."""
        flags = []
        for fact in self.known:
            flags += [_FLAGS[type(fact)], str(fact)]
        if self.camera_height is not None:
            flags += ["--camera-height", repr(self.camera_height)]
        flags += [] if self.fov is None else ["--fov", repr(self.fov)]
        return (*flags, *(() if self.projection is None else ("--projection", self.projection)))


def _are_about_same_points(one: Known, other: Known) -> bool:
    def distance_to_nearest(at: tuple[float, float]) -> float:
        return min(max(abs(at[0] - u), abs(at[1] - v)) for u, v in other.places)

    return type(one) is type(other) and max(map(distance_to_nearest, one.places)) <= _SAME


def pixel_points(
    points: Sequence[Sequence[float]], unit: str, shape: tuple[int, int]
) -> list[tuple[float, float]]:
    """Column and row [px] of points; the centre of the top-left pixel is (0, 0).

    Args:
        points: Points [x, y].
        unit: "fraction" of width and height from the borders, or "pixel".
        shape: Size (height, width).

    Raises:
        OptionError: If a point is outside, or not of this unit.
    """
    height, width = shape
    pixels = []
    for point in points:
        if len(point) != 2 or not all(map(math.isfinite, point)):
            raise OptionError(f"point {list(point)}: a point is two numbers, [x, y]")
        x, y = map(float, point)
        if unit == "fraction":
            if not (0 <= x <= 1 and 0 <= y <= 1):
                raise OptionError(
                    f"point [{x:g}, {y:g}]: fractions of the picture are between 0 and 1; for "
                    f"pixels of the {width}x{height} original, say unit 'pixel'"
                )
            x = min(max(x * width - 0.5, 0.0), width - 1.0)
            y = min(max(y * height - 0.5, 0.0), height - 1.0)
        elif not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise OptionError(
                f"point [{x:g}, {y:g}] is outside of the picture, which has {width} columns and "
                f"{height} rows"
            )
        pixels.append((x, y))
    return pixels


def pixel_fractions(pixel: tuple[float, float], shape: tuple[int, int]) -> tuple[float, float]:
    """Fractions of width and height, to three decimals."""
    height, width = shape
    return round((pixel[0] + 0.5) / width, 3), round((pixel[1] + 0.5) / height, 3)


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
        content = decoded_image(photo, "photo")
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
    answer, _ = in_metres(prediction, Metres(camera_height=1.0), markers=None, own=None)
    return answer


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
