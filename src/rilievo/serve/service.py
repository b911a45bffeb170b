"""Work of the server: requests in turn through decoding, a network, and the writing of results."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from rilievo.models.base import Inference, Model
from rilievo.serve.asked import Asked, PredictAsked
from rilievo.serve.fetching import fetch_public
from rilievo.serve.files import SURFACES, Written, available, write
from rilievo.serve.folders import Folders
from rilievo.serve.metrics import Metrics
from rilievo.serve.networks import Networks
from rilievo.serve.offered import Offered
from rilievo.serve.options import ServeOptions
from rilievo.serve.refusals import GivenUp, busy
from rilievo.serve.results import Result, finish, read_image
from rilievo.serve.turns import Place, Turns
from rilievo.serve.uploads import Upload, Uploads
from rilievo.types import Photo

_HEAVY_BYTES = 4_000_000
"""Size of an image file above which its request takes a heavy place."""
_HEAVY_PIXELS = 4_000_000
"""Pixels above which results are written by the thread for heavy ones."""
_HEAVY_PLACES = 3
_FETCHES = 8
_SPARE = 2
"""Places that one client alone never gets."""

T = TypeVar("T")


@dataclass(slots=True)
class Job:
    """One request at work.

    Attributes:
        upload: Image and form; closed when the work ends, if not before.
        client: Who asks.
        has_place: Whether its work has begun.
        is_given_up: Whether nobody waits for it any more; the next step does not begin then.
    """

    upload: Upload
    client: str
    has_place: bool = False
    is_given_up: bool = False

    def check(self) -> None:
        """End work that nobody waits for.

        Raises:
            GivenUp: If so.
        """
        if self.is_given_up:
            raise GivenUp


class Service:
    """All that requests share."""

    def __init__(
        self, options: ServeOptions, offered: Offered, folders: Folders, metrics: Metrics
    ) -> None:
        """Begin without work.

        Args:
            options: Limits.
            offered: Models.
            folders: For the files of requests.
            metrics: Counters.
        """
        self.options, self.offered, self.folders, self.metrics = options, offered, folders, metrics
        self.networks = Networks(
            offered.load,
            most=options.batch,
            window=options.window / 1000,
            observe=metrics.batch,
        )
        workers = options.threads_at_work
        places = workers + options.batch
        # Heavy requests have places and a thread of their own, so that light ones pass them.
        self.light = Turns(places, waiting=options.queue, spare=_SPARE)
        self.heavy = Turns(_HEAVY_PLACES, waiting=options.queue, spare=1)
        self._workers = ThreadPoolExecutor(workers, "work")
        self._heavy_worker = ThreadPoolExecutor(1, "heavy")
        self._fetches = Turns(_FETCHES, waiting=options.queue, spare=_SPARE)
        self._fetchers = ThreadPoolExecutor(_FETCHES, "fetch")
        self.uploads = Uploads(
            folders.disk,
            most=options.uploads,
            max_bytes=options.max_bytes,
            seconds=options.upload_seconds,
        )
        self._tasks: set[asyncio.Task[object]] = set()
        self.streams = 0
        self._watch()

    async def close(self) -> None:
        """Refuse what waits, and finish what runs."""
        self.light.close()
        self.heavy.close()
        self._fetches.close()
        await self.networks.close()
        for task in list(self._tasks):
            with suppress(Exception):
                await task
        self._workers.shutdown(cancel_futures=True)
        self._heavy_worker.shutdown(cancel_futures=True)
        self._fetchers.shutdown(cancel_futures=True)

    def turns(self, upload: Upload, outputs: Sequence[str] = ()) -> Turns:
        """The places for a request: heavy ones for surfaces and large files."""
        is_heavy = upload.bytes > _HEAVY_BYTES or not SURFACES.isdisjoint((*outputs,))
        return self.heavy if is_heavy or "all" in outputs else self.light

    async def in_turn(
        self,
        turns: Turns,
        job: Job,
        work: Callable[[Job], Awaitable[T]],
        left: Awaitable[object],
        *,
        unused: Callable[[T], None] = lambda result: None,
    ) -> T:
        """Do the work of a request once there is a place for it.

        The place is taken until the work has really ended: a thread cannot be stopped.

        Args:
            turns: Places.
            job: The request.
            work: Its work.
            left: Ends when the client leaves.
            unused: Function that tidies up a result that nobody waits for any more.

        Raises:
            Refusal: If there are too many requests, or the time is over.
            GivenUp: If the client left.
        """
        task = asyncio.create_task(self._placed(turns, job, work))
        leaving = asyncio.ensure_future(left)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: job.upload.close())
        try:
            await asyncio.wait(
                {task, leaving},
                timeout=self.options.time_limit,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
            if leaving.done():
                raise GivenUp
            raise busy(f"no result after {self.options.time_limit:g} s", turns.seconds_to_wait)
        finally:
            leaving.cancel()
            if not task.done():
                job.is_given_up = True
                task.add_done_callback(lambda ended: _tidy(ended, unused))
                if not job.has_place:
                    task.cancel()

    async def predict(self, job: Job, asked: Asked) -> Result:
        """Predict the image of a request.

        Raises:
            RilievoError: If that cannot be done.
            GivenUp: If nobody waits for it any more.
        """
        variant = asked.variant(self.offered.named(asked.model))
        photo = await self._decoded(job, asked)
        job.check()
        inference = await self.networks.infer(variant, photo)
        job.check()
        model = await self.networks.model(variant)
        return await self._finished(model, inference, photo, asked)

    async def files(
        self, job: Job, asked: PredictAsked, outputs: Sequence[str]
    ) -> tuple[Result, Written]:
        """Predict the image of a request, and write outputs; they must be removed.

        Raises:
            RilievoError: If that cannot be done.
            GivenUp: If nobody waits for it any more.
        """
        result = await self.predict(job, asked)
        job.check()
        prediction = result.prediction
        names = available(prediction, outputs)
        saving, stem = asked.saving(), job.upload.name

        def work() -> Written:
            return write(prediction, names, saving, self.folders.make(job.client), stem)

        height, width = prediction.shape
        is_heavy = height * width > _HEAVY_PIXELS or not SURFACES.isdisjoint(names)
        pool = self._heavy_worker if is_heavy else self._workers
        return result, await self._in_thread(pool, work)

    async def decode(self, work: Callable[[], Photo]) -> Photo:
        """Read a photograph in a thread; networks wait a moment for it to fill a batch."""
        self.networks.coming += 1
        try:
            return await self._in_thread(self._workers, work)
        finally:
            self.networks.coming -= 1

    async def fetched(self, url: str, client: str) -> Upload:
        """The image at an address of the internet; the upload must be closed.

        Raises:
            Refusal: If it cannot be fetched, or too many wait for their turn.
        """
        options = self.options

        def work() -> Upload:
            content = fetch_public(url, max_bytes=options.max_bytes, seconds=options.upload_seconds)
            return self.uploads.keep(content, client)

        place = await self._fetches.take(client)
        try:
            return await self._in_thread(self._fetchers, work)
        finally:
            place.give_back()

    async def in_worker(self, work: Callable[[], T]) -> T:
        """Work of a thread, which takes a fraction of a second."""
        return await self._in_thread(self._workers, work)

    async def _decoded(self, job: Job, asked: Asked) -> Photo:
        max_pixels, upload = self.options.max_pixels, job.upload

        def work() -> Photo:
            job.check()
            photo = read_image(upload.read(), upload.name, asked, max_pixels=max_pixels)
            upload.close()
            return photo

        return await self.decode(work)

    async def _finished(
        self, model: Model, inference: Inference, photo: Photo, asked: Asked
    ) -> Result:
        height, width = photo.shape
        pool = self._heavy_worker if height * width > _HEAVY_PIXELS else self._workers
        shown = self.offered.shown(asked.model)
        return await self._in_thread(pool, lambda: finish(model, inference, photo, asked, shown))

    async def _placed(self, turns: Turns, job: Job, work: Callable[[Job], Awaitable[T]]) -> T:
        place: Place = await turns.take(job.client)
        try:
            job.has_place = True
            job.check()
            return await work(job)
        finally:
            place.give_back()

    async def _in_thread(self, pool: Executor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _watch(self) -> None:
        watch = self.metrics.watch
        watch("requests_waiting", "Requests that wait.", self._count_waiting)
        watch("requests_working", "Requests at work.", self._count_working)
        watch("uploads", "Bodies that arrive.", lambda: self.uploads.arriving)
        watch("streams", "Open streams.", lambda: self.streams)
        watch("disk_bytes", "Bytes that requests and results take.", self._disk_bytes)

    def _count_waiting(self) -> int:
        return self.light.waiting + self.heavy.waiting

    def _count_working(self) -> int:
        return self.light.working + self.heavy.working

    def _disk_bytes(self) -> int:
        return self.folders.disk.taken


def _tidy(task: "asyncio.Task[T]", unused: Callable[[T], None]) -> None:
    """Take note of how work ended that nobody waits for."""
    if not task.cancelled() and task.exception() is None:
        unused(task.result())
