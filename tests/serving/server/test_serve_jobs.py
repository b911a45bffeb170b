"""Requests at work: what becomes of one that nobody waits for any more."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from io import BytesIO
from typing import Any

import pytest

from rilievo.serving.listener.jobs import Jobs, RequestJob
from rilievo.serving.listener.request_refusals import JobCancelled, Refusal
from rilievo.serving.listener.work_slots import WorkSlots
from rilievo.serving.server.service import ImageJob
from rilievo.serving.server.uploads import Upload


class Scene:
    """One place at work, and work that goes on until it is told to end."""

    def __init__(self) -> None:
        self.slots, self.jobs = WorkSlots(1, waiting=4), Jobs(60.0)
        self.begun, self.go_on, self.leave = (asyncio.Event() for _ in range(3))
        self.removed: list[str] = []
        self.closed: list[str] = []

    def job(self, client: str) -> RequestJob:
        upload = Upload(BytesIO(b"x"), on_close=lambda: self.closed.append(client))
        return ImageJob(upload=upload, client=client)

    async def work(self, job: RequestJob) -> str:
        self.begun.set()
        await self.go_on.wait()
        return job.client

    def ask(self, client: str, left: Callable[[], Awaitable[object]] | None = None) -> Any:
        return asyncio.create_task(
            self.jobs.run_in_slot(
                self.slots,
                self.job(client),
                self.work,
                (left or asyncio.Event().wait)(),
                dispose=self.removed.append,
            )
        )


def run(test: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        await test(Scene())

    asyncio.run(whole())


def test_work_is_done_and_its_upload_closed() -> None:
    async def test(scene: Scene) -> None:
        asked = scene.ask("a")
        await scene.begun.wait()
        scene.go_on.set()
        assert await asked == "a"
        await scene.jobs.wait_for_all()
        assert (scene.removed, scene.closed, scene.slots.working) == ([], ["a"], 0)

    run(test)


def test_a_client_that_leaves_keeps_its_place_until_the_work_has_ended() -> None:
    async def test(scene: Scene) -> None:
        asked = scene.ask("a", scene.leave.wait)
        await scene.begun.wait()
        scene.leave.set()
        with pytest.raises(JobCancelled):
            await asked
        assert (scene.slots.working, scene.removed) == (1, [])
        scene.go_on.set()
        await scene.jobs.wait_for_all()
        assert (scene.slots.working, scene.removed, scene.closed) == (0, ["a"], ["a"])

    run(test)


def test_a_client_that_leaves_while_it_waits_gives_its_turn_back_at_once() -> None:
    async def test(scene: Scene) -> None:
        first = scene.ask("a")
        await scene.begun.wait()
        second = scene.ask("b", scene.leave.wait)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert scene.slots.waiting == 1
        scene.leave.set()
        with pytest.raises(JobCancelled):
            await second
        while scene.slots.waiting:
            await asyncio.sleep(0)
        scene.go_on.set()
        assert await first == "a"
        await scene.jobs.wait_for_all()
        assert (scene.removed, sorted(scene.closed)) == ([], ["a", "b"])

    run(test)


def test_what_is_given_up_does_not_go_on_to_its_next_step() -> None:
    job = ImageJob(upload=Upload(BytesIO(b"x")), client="a")
    job.raise_if_cancelled()
    job.is_cancelled = True
    with pytest.raises(JobCancelled):
        job.raise_if_cancelled()


def test_work_that_fails_is_told_and_gives_its_place_back() -> None:
    async def test(scene: Scene) -> None:
        async def fails(job: RequestJob) -> str:
            raise Refusal(413, "too large")

        with pytest.raises(Refusal):
            await scene.jobs.run_in_slot(
                scene.slots, scene.job("a"), fails, asyncio.Event().wait(), dispose=print
            )
        await scene.jobs.wait_for_all()
        assert (scene.slots.working, scene.closed) == (0, ["a"])

    run(test)
