"""Loaded models, which run photographs of several requests together."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from rilievo.errors import RilievoError
from rilievo.models.base import Inference, Model, WrappedModel
from rilievo.models.load_options import ONNX_ENGINES
from rilievo.models.onnx_files.engines import shrink_arena
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo
from rilievo.serving.listener.request_refusals import GivenUp, stopping_refusal
from rilievo.serving.server.params import Variant

_MAX_LOADED = 3
"""Models in memory. The one that was not used for longest is dropped first."""


@dataclass(slots=True)
class _InferenceRequest:
    """Photograph that waits for a network, and the future for its answer."""

    variant: Variant
    model: Model
    photo: Photo
    future: "asyncio.Future[Inference]"
    is_wanted: Callable[[], bool]

    @property
    def batch_key(self) -> tuple[Variant, tuple[int, int]]:
        """What photographs have in common that run together: the model and their size."""
        return self.variant, self.photo.shape


class _PoolModel(WrappedModel):
    """Model that runs in the threads of networks, for callers in other threads."""

    def __init__(self, model: Model, pool: ThreadPoolExecutor) -> None:
        super().__init__(model)
        self._pool = pool

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        try:
            future = self._pool.submit(self.model.infer, photos)
        except RuntimeError as error:  # the pool is shut down
            raise stopping_refusal() from error
        try:
            return future.result()
        except CancelledError as error:
            raise stopping_refusal() from error

    def finish(self, inference: Inference, photo: Photo) -> Prediction:
        return self.model.finish(inference, photo)


class Networks:
    """Models that are loaded on demand, and run photographs of several requests together.

    A model runs as often at a time as it can share the cores (``Model.callers``). On a CPU
    photographs run one by one, because batches save no time there.

    Attributes:
        expected_photos: Number of photographs that are being decoded, for which batches wait.
    """

    def __init__(
        self,
        load: Callable[[str], Model],
        *,
        max_batch: int = 8,
        window: float | int = 0.0,
        observe: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Make a collection without models.

        Args:
            load: Function that loads a model by its name.
            max_batch: Number of photographs in one run.
            window: Time that a run waits for more photographs [s].
            observe: Function that gets the number of photographs of each run.
        """
        self._load, self._max_batch, self._window, self._observe = load, max_batch, window, observe
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._loading = asyncio.Lock()
        self._waiting: deque[_InferenceRequest] = deque()
        self._running: dict[asyncio.Task[None], Sequence[_InferenceRequest]] = {}
        self._arrival = asyncio.Event()
        self._pool = ThreadPoolExecutor(1, "network")
        self._pools = {1: self._pool}
        self._loader = ThreadPoolExecutor(1, "load")
        self._scheduler: asyncio.Task[None] | None = None
        self._is_closed = False
        self._ran_batches: set[str] = set()
        self.expected_photos = 0

    @property
    def waiting(self) -> int:
        """Number of photographs that wait for a network."""
        return len(self._waiting)

    def load_now(self, name: str) -> None:
        """Load a model at once, before there are requests."""
        self._loaded[name] = self._load(name)

    async def model(self, variant: Variant) -> Model:
        """Model with the refinements of a request, loaded if necessary."""
        return variant.refine_model(await self._load_cached(variant.name))

    async def video_model(self, variant: Variant) -> Model:
        """Model that a video can use in a thread of its own, in turn with photographs."""
        model = await self._load_cached(variant.name)
        return variant.refine_model(_PoolModel(model, self._pool_for_callers_of(model)))

    async def infer(
        self, variant: Variant, photo: Photo, is_wanted: Callable[[], bool] = lambda: True
    ) -> Inference:
        """Run a photograph, perhaps together with others.

        Args:
            variant: Model with its refinements.
            photo: Photograph.
            is_wanted: Function that tells whether somebody still waits for the answer.

        Raises:
            GivenUp: If nobody waits any more.
            Refusal: If the server stops.
        """
        if self._is_closed:
            raise stopping_refusal()
        model = await self.model(variant)
        if self._is_closed:  # it may have been closed while the model was loaded
            raise stopping_refusal()
        loop = asyncio.get_running_loop()
        if self._scheduler is None or self._scheduler.done():
            self._scheduler = loop.create_task(self._run_batches_forever(), name="networks")
        future: asyncio.Future[Inference] = loop.create_future()
        self._waiting.append(_InferenceRequest(variant, model, photo, future, is_wanted))
        self._arrival.set()
        return await future

    async def release_batch_memory(self) -> None:
        """Return the memory that models of ONNX Runtime keep after a batch.

        ONNX Runtime shrinks its memory arena only at the end of a run that asks for it, so each
        model that ran a batch predicts a tiny picture.
        """
        loop = asyncio.get_running_loop()
        names = list(self._ran_batches)
        self._ran_batches.clear()
        for name in names:
            model = self._loaded.get(name)
            if model is None or model.settings.get("engine") != ONNX_ENGINES[0]:
                continue
            pool = self._pool_for_callers_of(model)
            await loop.run_in_executor(pool, _shrink_memory_of, model)

    async def close(self) -> None:
        """Refuse photographs that wait, and finish those that run."""
        self._is_closed = True
        running = [request for batch in self._running.values() for request in batch]
        tasks = {*self._running, *filter(None, [self._scheduler])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for request in (*self._waiting, *running):
            if not request.future.done():
                request.future.set_exception(stopping_refusal())
        self._waiting.clear()
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
        self._loader.shutdown(cancel_futures=True)

    async def _load_cached(self, name: str) -> Model:
        """Model of this name, loaded if it is not in memory."""
        model = self._loaded.get(name)
        if model is None:
            async with self._loading:
                # Another request may have loaded it meanwhile.
                model = self._loaded.get(name) or await self._load_in_thread(name)
        if name in self._loaded:
            self._loaded.move_to_end(name)
        return model

    async def _load_in_thread(self, name: str) -> Model:
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._loader, self._load, name)
        self._loaded[name] = model
        if len(self._loaded) > _MAX_LOADED:
            self._loaded.popitem(last=False)
        return model

    def _pool_for_callers_of(self, model: Model) -> ThreadPoolExecutor:
        """Threads for a model, as many as may call it at a time."""
        callers = model.callers
        if callers not in self._pools:
            self._pools[callers] = ThreadPoolExecutor(callers, "network")
        return self._pools[callers]

    async def _run_batches_forever(self) -> None:
        """Run waiting photographs in batches, as many at a time as their model allows."""
        while True:
            await self._arrival.wait()
            batch = await self._next_batch()
            if batch:
                task = asyncio.get_running_loop().create_task(self._infer_batch(batch))
                self._running[task] = batch
                task.add_done_callback(self._running.pop)
                while len(self._running) >= batch[0].model.callers:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def _next_batch(self) -> list[_InferenceRequest]:
        """Take the first waiting photograph, and others that can run together with it.

        If photographs are being decoded, they are waited for, for a moment.
        """
        self._drop_given_up()
        if not self._waiting:
            self._arrival.clear()
            return []
        key = self._waiting[0].batch_key
        is_on_cpu = self._waiting[0].model.settings.get("device") == "cpu"
        max_batch = 1 if is_on_cpu else self._max_batch
        with suppress(TimeoutError):
            async with asyncio.timeout(self._window):
                while self.expected_photos and self._number_waiting(key) < max_batch:
                    self._arrival.clear()
                    await self._arrival.wait()
        self._arrival.set()
        self._drop_given_up()
        batch = [request for request in self._waiting if request.batch_key == key][:max_batch]
        for request in batch:
            self._waiting.remove(request)
        return batch

    def _number_waiting(self, key: object) -> int:
        return sum(request.batch_key == key for request in self._waiting)

    def _drop_given_up(self) -> None:
        for request in self._waiting:
            if not request.future.done() and not request.is_wanted():
                request.future.set_exception(GivenUp())
        self._waiting = deque(request for request in self._waiting if not request.future.done())

    async def _infer_batch(self, batch: Sequence[_InferenceRequest]) -> None:
        """Run a batch; if it fails, run its photographs one by one."""
        self._observe(len(batch))
        loop, model = asyncio.get_running_loop(), batch[0].model
        photos = [request.photo for request in batch]
        if len(batch) > 1:
            self._ran_batches.add(batch[0].variant.name)
        try:
            answers = await loop.run_in_executor(
                self._pool_for_callers_of(model), model.infer, photos
            )
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:
            if len(batch) > 1:
                for request in batch:
                    await self._infer_batch([request])
            elif not batch[0].future.done():
                batch[0].future.set_exception(error)
            return
        for request, answer in answered:
            if not request.future.done():
                request.future.set_result(answer)


def _shrink_memory_of(model: Model) -> None:
    """Predict a tiny picture, after which ONNX Runtime returns the memory that it does not need."""
    tiny_picture = Photo(pixels=np.zeros((64, 64, 3), np.uint8))
    with shrink_arena(), suppress(RilievoError):
        model.infer([tiny_picture])
