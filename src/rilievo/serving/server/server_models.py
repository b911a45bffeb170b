"""Loaded models, which run photographs of several requests together."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from rilievo.models.base import Inference, Model, WrappedModel
from rilievo.models.load_options import ONNX_ENGINES
from rilievo.models.onnx_files.onnx_model import release_memory
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo
from rilievo.serving.listener.request_refusals import JobCancelled, server_stopping_refusal
from rilievo.serving.server.params import Variant

_MAX_LOADED = 3
"""Models in memory. The least recently used one is dropped first."""


@dataclass(slots=True)
class _InferenceRequest:
    """Photograph that waits for a network, and the future for the network's output."""

    variant: Variant
    model: Model
    photo: Photo
    future: "asyncio.Future[Inference]"
    is_wanted: Callable[[], bool]

    @property
    def batch_key(self) -> tuple[Variant, tuple[int, int]]:
        """Photographs run in one batch if they have the same model and the same size."""
        return self.variant, self.photo.shape


class _PoolModel(WrappedModel):
    """Wraps a model so that its network runs in a given pool, whatever thread calls it."""

    def __init__(self, model: Model, pool: ThreadPoolExecutor) -> None:
        super().__init__(model)
        self._pool = pool

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        try:
            future = self._pool.submit(self.model.infer, photos)
        except RuntimeError as error:  # the pool is shut down
            raise server_stopping_refusal() from error
        try:
            return future.result()
        except CancelledError as error:
            raise server_stopping_refusal() from error

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
        batch_wait_seconds: float | int = 0.0,
        on_batch: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Begin without any loaded model.

        Args:
            load: Function that loads a model by its name.
            max_batch: Number of photographs that one run of a network may process.
            batch_wait_seconds: Time that a batch waits for photographs that are being decoded [s].
            on_batch: Function that gets the number of photographs of each batch.
        """
        self._load = load
        self._max_batch = max_batch
        self._batch_wait_seconds = batch_wait_seconds
        self._on_batch = on_batch
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._loading = asyncio.Lock()
        self._waiting: deque[_InferenceRequest] = deque()
        self._running: dict[asyncio.Task[None], Sequence[_InferenceRequest]] = {}
        self._new_request = asyncio.Event()
        self._pools_by_size: dict[int, ThreadPoolExecutor] = {}
        self._loader = ThreadPoolExecutor(1, "load")
        self._scheduler: asyncio.Task[None] | None = None
        self._is_closed = False
        self._models_that_ran_batches: set[str] = set()
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
        return variant.refine_model(_PoolModel(model, self._pool_for(model)))

    async def infer(
        self, variant: Variant, photo: Photo, is_wanted: Callable[[], bool] = lambda: True
    ) -> Inference:
        """Run a photograph through a network, perhaps in a batch with others.

        Raises:
            JobCancelled: If ``is_wanted()`` is False when its turn comes.
            Refusal: If the server stops.
        """
        if self._is_closed:
            raise server_stopping_refusal()
        model = await self.model(variant)
        if self._is_closed:  # it may have been closed while the model was loaded
            raise server_stopping_refusal()
        loop = asyncio.get_running_loop()
        if self._scheduler is None or self._scheduler.done():  # not started yet, or failed
            self._scheduler = loop.create_task(self._run_batches_forever(), name="networks")
        future: asyncio.Future[Inference] = loop.create_future()
        self._waiting.append(_InferenceRequest(variant, model, photo, future, is_wanted))
        self._new_request.set()
        return await future

    async def release_batch_memory(self) -> None:
        """Return the memory that models of ONNX Runtime keep after a batch.

        ONNX Runtime shrinks its memory arena only at the end of a run that asks for it, so each
        model that ran a batch predicts a tiny picture.
        """
        loop = asyncio.get_running_loop()
        names = list(self._models_that_ran_batches)
        self._models_that_ran_batches.clear()
        for name in names:
            model = self._loaded.get(name)
            if model is not None and model.settings.get("engine") == ONNX_ENGINES[0]:
                await loop.run_in_executor(self._pool_for(model), release_memory, model)

    async def close(self) -> None:
        """Refuse photographs that wait, and finish those that run."""
        self._is_closed = True
        running = [request for batch in self._running.values() for request in batch]
        tasks = set(self._running)
        if self._scheduler is not None:
            tasks.add(self._scheduler)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for request in (*self._waiting, *running):
            if not request.future.done():
                request.future.set_exception(server_stopping_refusal())
        self._waiting.clear()
        for pool in self._pools_by_size.values():
            pool.shutdown(cancel_futures=True)
        self._loader.shutdown(cancel_futures=True)

    async def _load_cached(self, name: str) -> Model:
        """Model of this name, loaded if it is not in memory."""
        model = self._loaded.get(name)
        if model is None:
            async with self._loading:
                # Another request may have loaded it while this one waited for the lock.
                model = self._loaded.get(name) or await self._load_in_thread(name)
        if name in self._loaded:
            self._loaded.move_to_end(name)  # as the most recently used one
        return model

    async def _load_in_thread(self, name: str) -> Model:
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._loader, self._load, name)
        self._loaded[name] = model
        if len(self._loaded) > _MAX_LOADED:
            self._loaded.popitem(last=False)  # the least recently used one
        return model

    def _pool_for(self, model: Model) -> ThreadPoolExecutor:
        size = model.callers
        if size not in self._pools_by_size:
            self._pools_by_size[size] = ThreadPoolExecutor(size, "network")
        return self._pools_by_size[size]

    async def _run_batches_forever(self) -> None:
        """Run waiting photographs in batches, as many at a time as their model allows."""
        while True:
            await self._new_request.wait()
            batch = await self._next_batch()
            if not batch:
                continue
            task = asyncio.get_running_loop().create_task(self._infer_batch(batch))
            self._running[task] = batch
            task.add_done_callback(self._running.pop)
            max_running = batch[0].model.callers
            while len(self._running) >= max_running:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def _next_batch(self) -> list[_InferenceRequest]:
        """Take the first waiting photograph, and others that can run in a batch with it.

        If more photographs are being decoded, it waits a moment for them.
        """
        self._drop_unwanted_requests()
        if not self._waiting:
            self._new_request.clear()
            return []
        first = self._waiting[0]
        max_batch = 1 if first.model.settings.get("device") == "cpu" else self._max_batch
        await self._wait_for_more_photos(first.batch_key, max_batch)

        self._drop_unwanted_requests()
        batch = self._waiting_with_key(first.batch_key)[:max_batch]
        for request in batch:
            self._waiting.remove(request)
        return batch

    async def _wait_for_more_photos(self, batch_key: object, max_batch: int) -> None:
        """Wait until a batch is full, no photograph is being decoded, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._batch_wait_seconds):
                while self.expected_photos and len(self._waiting_with_key(batch_key)) < max_batch:
                    self._new_request.clear()
                    await self._new_request.wait()
        # More requests may wait behind this batch, so the scheduler must not sleep after it.
        self._new_request.set()

    def _waiting_with_key(self, batch_key: object) -> list[_InferenceRequest]:
        return [request for request in self._waiting if request.batch_key == batch_key]

    def _drop_unwanted_requests(self) -> None:
        """Cancel waiting requests whose clients have left, and forget all that are done."""
        for request in self._waiting:
            if not request.future.done() and not request.is_wanted():
                request.future.set_exception(JobCancelled())
        self._waiting = deque(request for request in self._waiting if not request.future.done())

    async def _infer_batch(self, batch: Sequence[_InferenceRequest]) -> None:
        """Run a batch, and give each request its inference, or the error of its own photograph.

        If a batch of several photographs fails, they run again one by one, so that only the
        requests fail whose photographs the network cannot process.
        """
        self._on_batch(len(batch))
        model = batch[0].model
        photos = [request.photo for request in batch]
        if len(batch) > 1:
            self._models_that_ran_batches.add(batch[0].variant.name)
        try:
            inferences = await asyncio.get_running_loop().run_in_executor(
                self._pool_for(model), model.infer, photos
            )
            pairs = list(zip(batch, inferences, strict=True))
        except Exception as error:
            if len(batch) > 1:
                for request in batch:
                    await self._infer_batch([request])
            elif not batch[0].future.done():
                batch[0].future.set_exception(error)
            return
        for request, inference in pairs:
            if not request.future.done():
                request.future.set_result(inference)
