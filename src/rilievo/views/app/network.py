"""Loaded models, each once, with one run of a network at a time."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from typing import TypeVar

from rilievo.errors import ModelError
from rilievo.models.base import Inference, Model
from rilievo.predicting.run import refined
from rilievo.types import Photo

_MOST_LOADED = 3
"""Most models in memory; the least recently used one is dropped first."""

Result = TypeVar("Result")


class Networks:
    """Models by name. Parallel runs would compete for the cores, so runs are queued."""

    def __init__(self, load: Callable[[str], Model], *, limit: float) -> None:
        """Start without models.

        Args:
            load: Function that loads a model by name.
            limit: Time-out of an answer [s].
        """
        self._load, self._limit = load, limit
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._pool = ThreadPoolExecutor(1, "network")
        self._lock = threading.Lock()

    def infer(self, name: str, photo: Photo, *, flip: bool) -> Inference:
        """Run a model on one photograph.

        Raises:
            ModelError: If it took longer than the limit, waiting included.
            RilievoError: If the model cannot be loaded or fails.
        """

        def work() -> Inference:
            [answer] = refined(self._model(name), flip=flip, tile=None, trim=True).infer([photo])
            return answer

        return self._wait(work)

    def model(self, name: str, *, flip: bool = False) -> Model:
        """Get a model whose runs are queued.

        Raises:
            RilievoError: If it cannot be loaded.
        """
        loaded = self._known(name) or self._wait(lambda: self._model(name))
        waiting = _InTurn(loaded, self._wait)
        return refined(waiting, flip=flip, tile=None, sharp=True, trim=True)

    def close(self) -> None:
        """Finish running work, and accept no more."""
        self._pool.shutdown(cancel_futures=True)

    def _known(self, name: str) -> Model | None:
        with self._lock:
            if name in self._loaded:
                self._loaded.move_to_end(name)
            return self._loaded.get(name)

    def _model(self, name: str) -> Model:
        """Load a model; runs in the pool's single thread, so that nothing is loaded twice."""
        if (known := self._known(name)) is not None:
            return known
        loaded = self._load(name)
        with self._lock:
            self._loaded[name] = loaded
            if len(self._loaded) > _MOST_LOADED:
                self._loaded.popitem(last=False)
        return loaded

    def _wait(self, work: Callable[[], Result]) -> Result:
        future: Future[Result] = self._pool.submit(work)
        try:
            return future.result(self._limit)
        except WaitedTooLong as error:
            if future.done():
                raise
            future.cancel()
            raise ModelError(
                f"no answer after {self._limit:g} s: the server is busy or the model is slow; "
                "try again later, or choose a faster model"
            ) from error


class _InTurn(Model):
    """A model whose batches are queued one by one, so that a video leaves room for others."""

    def __init__(
        self, model: Model, wait: Callable[[Callable[[], list[Inference]]], list[Inference]]
    ) -> None:
        self._model, self._wait = model, wait
        self.card, self.weights_sha256 = model.card, model.weights_sha256
        self.settings = model.settings

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        return self._wait(lambda: self._model.infer(photos))
