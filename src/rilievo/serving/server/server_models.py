"""Models that clients may name; the loaded ones run batches of several requests."""

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from rilievo.errors import ModelError, RilievoError, suggest
from rilievo.extensions.trust import is_import_path
from rilievo.io.files.machine import cores
from rilievo.models import DEFAULT_MODEL, FAST_MODEL, MODELS, find_card, replicate_cards
from rilievo.models.base import Inference, Model, PaidModel, WrappedModel
from rilievo.models.card import ModelCard
from rilievo.models.catalogue import table
from rilievo.models.catalogue.download import is_downloaded
from rilievo.models.default.embedded import shared_cores
from rilievo.models.load_options import ONNX_ENGINES
from rilievo.models.onnx_files.engines import shrink_arena
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo
from rilievo.serving.listener.request_refusals import GivenUp, Refusal, stopping_refusal
from rilievo.serving.server.params import Variant
from rilievo.serving.server.server_options import ServerOptions


@dataclass(frozen=True, slots=True)
class OfferedModels:
    """Models of a server.

    Attributes:
        names: Server's names, which may be paths, by clients' names; the default is first.
        options: Device, engine and precision.
    """

    names: Mapping[str, str]
    options: ServerOptions

    def server_name(self, name: str) -> str:
        """Server's name of a model; "" is the default."""
        if not name:
            return next(iter(self.names.values()))
        if name not in self.names:
            near = suggest(name[:80], self.names)
            hint = near if near.startswith("did") else "/v1/models lists them"
            raise Refusal(404, f"this server has no model '{name[:80]}'; {hint}")
        return self.names[name]

    def video_name(self, name: str) -> str:
        """Clients' name of frames' model; its default may be another."""
        if not name and self.server_name("") == DEFAULT_MODEL and FAST_MODEL in self.names:
            return FAST_MODEL
        return name

    def display_name(self, name: str) -> str:
        """Clients' name of a model; "" is the default."""
        return name or next(iter(self.names))

    @property
    def display_names_by_path(self) -> Mapping[str, str]:
        """Clients' names by the server's paths."""
        pairs = [(shown, name) for shown, name in self.names.items() if shown != name]
        return {path: shown for shown, name in pairs for path in (name, os.path.abspath(name))}

    def load(self, name: str) -> Model:
        """Load a model by the server's name."""
        with shared_cores(cores()):
            model = self.options.load(name)
        if isinstance(model, PaidModel):
            raise _paid_model_error(name)
        return model

    def facts(self) -> list[dict[str, object]]:
        """Name and card of each model, for clients."""
        return [
            {"name": shown, "default": place == 0, **_card_facts(MODELS.own.get(name))}
            for place, (shown, name) in enumerate(self.names.items())
        ]


def offered_models(options: ServerOptions) -> OfferedModels:
    """Models that a server offers."""
    paid = {card.name for card in replicate_cards.listed_cards()}
    names: dict[str, str] = {}
    default, *others = options.offered
    faster = (FAST_MODEL,) if default == DEFAULT_MODEL else ()
    for name in dict.fromkeys((default, *faster, *others)):
        if name in paid or name.startswith("replicate:"):
            raise _paid_model_error(name)
        shown = name if name in MODELS.own or is_import_path(name) else PurePath(name).stem
        if shown in names:
            raise ModelError(f"two models would be called '{shown}': rename one of the files")
        if not os.path.exists(name):
            find_card(name)
        names[shown] = name
    return OfferedModels(names, options)


def _paid_model_error(name: str) -> ModelError:
    return ModelError(f"model '{name}' is paid by the call, so the server does not offer it")


def _card_facts(card: ModelCard | None) -> dict[str, object]:
    if card is None:
        return {}
    return {
        "summary": card.summary,
        "depth": card.kind,
        "normals": card.normals,
        "confidence": card.confidence,
        "sky": card.sky,
        "camera": card.camera,
        "licence": card.licence,
        "commercial": card.commercial,
        "note": card.note,
        "megabytes": card.megabytes,
        "here": _is_downloaded_if_known(card),
    }


def _is_downloaded_if_known(card: ModelCard) -> bool | None:
    entry = table.ENTRIES.get(card.name)
    if entry is not None:
        return is_downloaded(entry)
    return True if card.extra is None else None


_MOST_LOADED = 3
"""Models in memory; the least recently used leaves first."""


@dataclass(slots=True)
class _InferenceRequest:
    variant: Variant
    model: Model
    photo: Photo
    future: "asyncio.Future[Inference]"
    is_wanted: Callable[[], bool]

    @property
    def batch_key(self) -> tuple[Variant, tuple[int, int]]:
        return self.variant, self.photo.shape


class _PoolModel(WrappedModel):
    def __init__(self, model: Model, pool: ThreadPoolExecutor) -> None:
        super().__init__(model)
        self._pool = pool

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
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
    """Models by name, with as many runs at a time as callers, to share cores.

    Processors run photographs one by one, as batches save no time there.
    """

    def __init__(
        self,
        load: Callable[[str], Model],
        *,
        most: int = 8,
        window: float | int = 0.0,
        observe: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._load, self._most, self._window, self._observe = load, most, window, observe
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._loading = asyncio.Lock()
        self._waiting: deque[_InferenceRequest] = deque()
        self._running: dict[asyncio.Task[None], Sequence[_InferenceRequest]] = {}
        self._arrival = asyncio.Event()
        self._pool = ThreadPoolExecutor(1, "network")
        self._pools = {1: self._pool}
        self._loader = ThreadPoolExecutor(1, "load")
        self._work: asyncio.Task[None] | None = None
        self._is_closed = False
        self._grown: set[str] = set()
        self.coming = 0
        """Photographs in decoders."""

    @property
    def waiting(self) -> int:
        """Photographs that wait for a network."""
        return len(self._waiting)

    def load_now(self, name: str) -> None:
        """Load a model before there are requests."""
        self._loaded[name] = self._load(name)

    async def model(self, variant: Variant) -> Model:
        """Load a model with its refinements, once."""
        return variant.refine_model(await self._load_cached(variant.name))

    async def video_model(self, variant: Variant) -> Model:
        """Model for other threads, whose batches let photographs go in between."""
        model = await self._load_cached(variant.name)
        return variant.refine_model(_PoolModel(model, self._pool_for_callers_of(model)))

    async def infer(
        self, variant: Variant, photo: Photo, is_wanted: Callable[[], bool] = lambda: True
    ) -> Inference:
        """Inference at the network's resolution."""
        if self._is_closed:
            raise stopping_refusal()
        model = await self.model(variant)
        if self._is_closed:  # while it was loaded
            raise stopping_refusal()
        loop = asyncio.get_running_loop()
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._run_batches_forever(), name="networks")
        future: asyncio.Future[Inference] = loop.create_future()
        self._waiting.append(_InferenceRequest(variant, model, photo, future, is_wanted))
        self._arrival.set()
        return await future

    async def release_batch_memory(self) -> None:
        """Run one tiny picture, which releases memory."""
        loaded = [self._loaded[name] for name in self._grown if name in self._loaded]
        grown = [network for network in loaded if network.settings.get("engine") == ONNX_ENGINES[0]]
        self._grown.clear()

        def infer_tiny_picture(model: Model) -> None:
            with shrink_arena(), suppress(RilievoError):
                model.infer([Photo(pixels=np.zeros((64, 64, 3), np.uint8))])

        for model in grown:
            await asyncio.get_running_loop().run_in_executor(
                self._pool_for_callers_of(model), infer_tiny_picture, model
            )

    async def close(self) -> None:
        """Refuse what waits, and finish what runs."""
        self._is_closed = True
        running = [request for batch in self._running.values() for request in batch]
        tasks = {*self._running, *filter(None, [self._work])}
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
        model = self._loaded.get(name)
        if model is None:
            async with self._loading:
                model = self._loaded.get(name)
                if model is None:
                    loop = asyncio.get_running_loop()
                    model = await loop.run_in_executor(self._loader, self._load, name)
                    self._loaded[name] = model
                    if len(self._loaded) > _MOST_LOADED:
                        self._loaded.popitem(last=False)
        if name in self._loaded:
            self._loaded.move_to_end(name)
        return model

    def _pool_for_callers_of(self, model: Model) -> ThreadPoolExecutor:
        callers = model.callers
        if callers not in self._pools:
            self._pools[callers] = ThreadPoolExecutor(callers, "network")
        return self._pools[callers]

    async def _run_batches_forever(self) -> None:
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
        self._drop_given_up()
        if not self._waiting:
            self._arrival.clear()
            return []
        key = self._waiting[0].batch_key
        most = 1 if self._waiting[0].model.settings.get("device") == "cpu" else self._most
        with suppress(TimeoutError):
            async with asyncio.timeout(self._window):
                while self.coming and self._number_waiting(key) < most:
                    self._arrival.clear()
                    await self._arrival.wait()
        self._arrival.set()
        self._drop_given_up()
        alike = [request for request in self._waiting if request.batch_key == key][:most]
        for request in alike:
            self._waiting.remove(request)
        return alike

    def _number_waiting(self, key: object) -> int:
        return sum(request.batch_key == key for request in self._waiting)

    def _drop_given_up(self) -> None:
        for request in self._waiting:
            if not request.future.done() and not request.is_wanted():
                request.future.set_exception(GivenUp())
        self._waiting = deque(request for request in self._waiting if not request.future.done())

    async def _infer_batch(self, batch: Sequence[_InferenceRequest]) -> None:
        self._observe(len(batch))
        loop, model = asyncio.get_running_loop(), batch[0].model
        photos = [request.photo for request in batch]
        if len(batch) > 1:
            self._grown.add(batch[0].variant.name)
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
