"""Store of answers: runs the network for a question, and keeps the result for a while.

Two files are kept of an answer: the photograph, and the network's output at its own resolution.
Full predictions are computed from them on demand, and the most recent ones are cached, so that
memory does not grow with the number of visitors.
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
from rilievo.views.app.inference_file import read_inference, write_inference
from rilievo.views.app.network import Networks
from rilievo.views.app.question import Question

_AT_HAND_BYTES = 64 * 2**20
_MOST_ANSWERS = 1000
_SAID = "said.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A network's answer to a question about a photograph.

    Attributes:
        token: Unguessable identifier, used in addresses.
        question: The question.
        shape: Size (height, width) of the photograph.
        seconds: Time from the file to the answer [s].
        folder: Folder of the files made from it.
        remark: Reason why depth stored in the photograph's file is not used; None if it is, or
            there is none.
    """

    token: str
    question: Question
    shape: tuple[int, int]
    seconds: float
    folder: Path
    remark: str | None = None


class AnswerStore:
    """Answers questions, and stores the answers."""

    def __init__(self, folder: Path, networks: Networks, *, max_pixels: int) -> None:
        """Create an empty store.

        Args:
            folder: Folder for the files of answers, used by nobody else.
            networks: Networks that answer.
            max_pixels: Most pixels of a photograph.
        """
        self.folder, self.networks, self._max_pixels = folder, networks, max_pixels
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._at_hand: OrderedDict[str, Prediction] = OrderedDict()
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def ask(self, question: Question) -> Answer:
        """Answer a question.

        Raises:
            RilievoError: If the photograph cannot be read, the model fails or is too slow, or the
                known facts do not determine metres.
        """
        start = time.perf_counter()
        photo = self._read(question)
        inference = self.networks.infer(question.model, photo, flip=question.flip)
        return self._keep(question, inference, photo, time.perf_counter() - start)

    def calibrated(self, answer: Answer, known: tuple[Known, ...]) -> Answer:
        """Recompute an answer with other known facts, from the stored output; the old answer stays.

        Raises:
            CalibrationError: If the facts do not determine metres.
        """
        question = replace(answer.question, known=known)
        # A photograph with known facts was read without the depth stored in its file.
        photo = self.prediction(answer).photo if known else self._read(question)
        assert photo is not None, "made by a model"
        return self._keep(question, read_inference(answer.folder / _SAID), photo, answer.seconds)

    def answer(self, token: str) -> Answer:
        """Answer for a token, marked as used now.

        Raises:
            InputError: If it was deleted.
        """
        with self._lock:
            if token not in self._answers:
                raise InputError("this result was deleted: give the photograph again")
            self._used[token] = time.monotonic()
            self._answers.move_to_end(token)
            return self._answers[token]

    def prediction(self, answer: Answer) -> Prediction:
        """Prediction at the photograph's size, in metres if known.

        Raises:
            InputError: If the answer was deleted.
        """
        with self._lock:
            if answer.token in self._at_hand:
                self._at_hand.move_to_end(answer.token)
                return self._at_hand[answer.token]
        self.answer(answer.token)
        prediction, _ = self._finish(
            answer, read_inference(answer.folder / _SAID), self._read(answer.question)
        )
        return prediction

    def begin_clip(self) -> str:
        """Create a token for the results of a video, which names their folder."""
        token = secrets.token_urlsafe(16)
        (self.folder / token).mkdir(mode=0o700, parents=True)
        self.touch(token)
        return token

    def clip_file(self, token: str, name: str) -> Path:
        """Path of a file of a video's results.

        Raises:
            InputError: If it was deleted, or never existed.
        """
        with self._lock:
            is_kept = token in self._used and token not in self._answers
        path = self.folder / token / name
        if not is_kept or path.name != name or not path.is_file():
            raise InputError("this video was deleted: give it again")
        self.touch(token)
        return path

    def touch(self, token: str) -> None:
        """Mark an answer as used now."""
        with self._lock:
            self._used[token] = time.monotonic()

    def sweep(self, seconds: float) -> None:
        """Delete answers that were not used for this many seconds."""
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
        """Delete the least recently used answer; False if there is none."""
        with self._lock:
            oldest = min(self._used, key=self._used.__getitem__, default=None)
        if oldest is not None:
            self.forget(oldest)
        return oldest is not None

    def _keep(
        self, question: Question, inference: Inference, photo: Photo, seconds: float
    ) -> Answer:
        """Create an answer with its photograph in a folder of its own, and finish it once."""
        token = secrets.token_urlsafe(16)
        folder = self.folder / token
        folder.mkdir(mode=0o700, parents=True)
        try:
            # A hard link costs nothing, and outlives the upload.
            os.link(question.photo, folder / "photo")
            answer = Answer(
                token=token,
                question=replace(question, photo=folder / "photo"),
                shape=photo.shape,
                seconds=seconds,
                folder=folder,
            )
            write_inference(inference, folder / _SAID)
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
        """Finish and cache a prediction; return also why stored depth is not used, if so."""
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
        # Doubts about stored depth that is used are part of its calibration.
        return prediction, remark if prediction.calibration is None else None

    def _bytes_at_hand(self) -> int:
        return sum(_bytes_of(prediction) for prediction in self._at_hand.values())

    def _read(self, question: Question) -> Photo:
        try:
            photo = read_photo(
                question.photo, max_pixels=self._max_pixels, own_depth=not question.known
            )
        except InputError as error:
            # Messages name the visitor's file, without folders of the server.
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
