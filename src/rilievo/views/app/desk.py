"""Where questions are answered, and answers kept for a while.

Of an answer two files are kept: the photograph, and what the network said, at the network's size.
The full prediction is made of them when something is asked of it, and the last ones stay at hand,
so that memory does not grow with the number of visitors.
"""

import os
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.calibration import Known
from rilievo.errors import InputError
from rilievo.io.photo import read_photo
from rilievo.models.base import Inference
from rilievo.predicting.metres import Metres, with_metres, with_own_depth
from rilievo.types import Photo, Prediction
from rilievo.views.app.kept import keep, kept
from rilievo.views.app.network import Networks
from rilievo.views.app.question import Question

_AT_HAND_BYTES = 64 * 2**20
_MOST_ANSWERS = 1000
_SAID = "said.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a network said of a photograph.

    Attributes:
        token: Names it in addresses; nobody can guess it.
        question: What was asked.
        shape: (height, width) of the photograph.
        seconds: From the file to the answer.
        folder: Of the files made of it.
        remark: Why the depth in the photograph's file is not used; None where it is, or there is
            none.
    """

    token: str
    question: Question
    shape: tuple[int, int]
    seconds: float
    folder: Path
    remark: str | None = None


class Desk:
    """Answers questions, and keeps the answers."""

    def __init__(self, folder: Path, networks: Networks, *, max_pixels: int) -> None:
        """Begin without an answer.

        Args:
            folder: For the files of answers; ours alone.
            networks: That answer.
            max_pixels: Of a photograph.
        """
        self.folder, self.networks, self._max_pixels = folder, networks, max_pixels
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._at_hand: OrderedDict[str, Prediction] = OrderedDict()
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def ask(self, question: Question) -> Answer:
        """Answer a question.

        Raises:
            RilievoError: If the photograph cannot be read, the model fails or is too slow, or
                what is known does not determine metres.
        """
        start = time.perf_counter()
        photo = self._read(question)
        inference = self.networks.infer(question.model, photo, flip=question.flip)
        return self._keep(question, inference, photo, time.perf_counter() - start)

    def calibrated(self, answer: Answer, known: tuple[Known, ...]) -> Answer:
        """What the network said before, with other facts known; the old answer stays.

        Raises:
            CalibrationError: If they do not determine metres.
        """
        question = replace(answer.question, known=known)
        # The photograph of an answer with facts was read without the depth in its file.
        photo = self.prediction(answer).photo if known else self._read(question)
        assert photo is not None, "made by a model"
        return self._keep(question, kept(answer.folder / _SAID), photo, answer.seconds)

    def answer(self, token: str) -> Answer:
        """The answer of a token, which counts as used now.

        Raises:
            InputError: If there is none any more.
        """
        with self._lock:
            if token not in self._answers:
                raise InputError("this answer is not kept any more: give the photograph again")
            self._used[token] = time.monotonic()
            self._answers.move_to_end(token)
            return self._answers[token]

    def prediction(self, answer: Answer) -> Prediction:
        """What the network said, at the photograph's size, in metres where known.

        Raises:
            InputError: If the answer is not kept any more.
        """
        with self._lock:
            if answer.token in self._at_hand:
                self._at_hand.move_to_end(answer.token)
                return self._at_hand[answer.token]
        self.answer(answer.token)
        prediction, _ = self._finish(
            answer, kept(answer.folder / _SAID), self._read(answer.question)
        )
        return prediction

    def begin_clip(self) -> str:
        """A token for the results of a video, whose folder it names."""
        token = secrets.token_urlsafe(16)
        (self.folder / token).mkdir(mode=0o700, parents=True)
        self.touch(token)
        return token

    def clip_file(self, token: str, name: str) -> Path:
        """A file of a video's results.

        Raises:
            InputError: If it is not kept any more, or never was there.
        """
        with self._lock:
            is_kept = token in self._used and token not in self._answers
        path = self.folder / token / name
        if not is_kept or path.name != name or not path.is_file():
            raise InputError("this video is not kept any more: give it again")
        self.touch(token)
        return path

    def touch(self, token: str) -> None:
        """Count something as used now."""
        with self._lock:
            self._used[token] = time.monotonic()

    def sweep(self, seconds: float) -> None:
        """Forget what was not used for so long."""
        now = time.monotonic()
        with self._lock:
            old = [token for token, used in self._used.items() if now - used > seconds]
        for token in old:
            self.forget(token)

    def forget(self, token: str) -> None:
        """Delete an answer and its files."""
        with self._lock:
            self._answers.pop(token, None)
            self._at_hand.pop(token, None)
            self._used.pop(token, None)
        shutil.rmtree(self.folder / token, ignore_errors=True)

    def forget_oldest(self) -> bool:
        """Delete what was not used for longest; False where nothing is kept."""
        with self._lock:
            oldest = min(self._used, key=self._used.__getitem__, default=None)
        if oldest is not None:
            self.forget(oldest)
        return oldest is not None

    def _keep(
        self, question: Question, inference: Inference, photo: Photo, seconds: float
    ) -> Answer:
        """Make an answer, with its photograph in its own folder, and finish it once."""
        token = secrets.token_urlsafe(16)
        folder = self.folder / token
        folder.mkdir(mode=0o700, parents=True)
        try:
            # A second name of the same file costs nothing, and outlives the upload.
            os.link(question.photo, folder / "photo")
            answer = Answer(
                token=token,
                question=replace(question, photo=folder / "photo"),
                shape=photo.shape,
                seconds=seconds,
                folder=folder,
            )
            keep(inference, folder / _SAID)
            _, remark = self._finish(answer, inference, photo)
            answer = replace(answer, remark=remark)
        except BaseException:
            self.forget(token)
            raise
        with self._lock:
            self._answers[token] = answer
            self._used[token] = time.monotonic()
            too_many = len(self._answers) > _MOST_ANSWERS
        if too_many:
            self.forget_oldest()
        return answer

    def _finish(
        self, answer: Answer, inference: Inference, photo: Photo
    ) -> tuple[Prediction, str | None]:
        """Finish a prediction and keep it at hand; return why own depth is not used, if so."""
        question, remark = answer.question, None
        model = self.networks.model(question.model, flip=question.flip)
        prediction = model.finish(inference, photo)
        prediction, _ = with_metres(prediction, Metres(known=question.known))
        if not question.known:
            prediction, remark = with_own_depth(prediction, photo.own_depth)
        with self._lock:
            self._at_hand[answer.token] = prediction
            while len(self._at_hand) > 1 and self._bytes_at_hand() > _AT_HAND_BYTES:
                self._at_hand.popitem(last=False)
        # A doubt about depth that is used stands with its calibration.
        return prediction, remark if prediction.calibration is None else None

    def _bytes_at_hand(self) -> int:
        return sum(_bytes_of(prediction) for prediction in self._at_hand.values())

    def _read(self, question: Question) -> Photo:
        try:
            photo = read_photo(
                question.photo, max_pixels=self._max_pixels, own_depth=not question.known
            )
        except InputError as error:
            # Visitors know their file by its own name, and none of the server's folders.
            said = str(error).replace(str(question.photo), question.name)
            raise InputError(said) from error
        camera = question.camera(photo.shape)
        named = replace(photo, name=question.name)
        return named if camera is None else replace(named, camera=camera)


def _bytes_of(prediction: Prediction) -> int:
    arrays = [prediction.normals, prediction.confidence]
    if prediction.depth_or_none is not None:
        arrays += [prediction.depth.values, prediction.depth.valid]
    if prediction.photo is not None:
        arrays.append(prediction.photo.pixels)
    return sum(array.nbytes for array in arrays if array is not None)
