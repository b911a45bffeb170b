"""Photographs of several requests in one run of a network."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rilievo.errors import ModelError
from rilievo.models.base import Inference, Model
from rilievo.options.photo_options import UNREFINED
from rilievo.records.sample import Photo
from rilievo.serving.listener.request_refusals import JobCancelled, Refusal
from rilievo.serving.server.params import Variant
from rilievo.serving.server.server_models import Networks
from support.served import FAULTY, Brightness

NAME = Variant(name="a", refine=UNREFINED)


def photo(level: int, size: tuple[int, int] = (64, 96)) -> Photo:
    return Photo(pixels=np.full((*size, 3), level, np.uint8))


def run(model: Brightness, work: Callable[[Networks], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        networks = Networks(lambda name: model, max_batch=4, batch_wait_seconds=0.0)
        try:
            await work(networks)
        finally:
            model.gate.set()
            await networks.close()

    asyncio.run(whole())


async def held(networks: Networks, model: Brightness) -> "asyncio.Task[Inference]":
    """A run of the network that goes on until the gate opens, so that others gather behind it."""
    model.gate.clear()
    first = asyncio.create_task(networks.infer(NAME, photo(1)))
    await asyncio.to_thread(model.begun.wait, 60)
    return first


def level_of(answer: Inference) -> int:
    assert answer.depth is not None
    return round(float(answer.depth[0, 0]))


def test_those_that_wait_go_together_and_each_gets_its_own_answer() -> None:
    model = Brightness()

    async def work(networks: Networks) -> None:
        first = await held(networks, model)
        others = [asyncio.create_task(networks.infer(NAME, photo(n))) for n in range(10, 16)]
        await asyncio.sleep(0)
        model.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [level_of(answer) for answer in answers] == [1, *range(10, 16)]

    run(model, work)
    assert model.batches == [1, 4, 2]


@pytest.mark.parametrize(
    ("device", "batches"), [("cpu", [1, 1, 1, 1, 1, 1, 1]), ("cuda:0", [1, 4, 2])]
)
def test_on_a_processor_they_go_one_by_one(device: str, batches: list[int]) -> None:
    model = Brightness()
    model.settings = {"device": device}

    async def work(networks: Networks) -> None:
        first = await held(networks, model)
        others = [asyncio.create_task(networks.infer(NAME, photo(n))) for n in range(10, 16)]
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(first, *others)

    run(model, work)
    assert model.batches == batches


@pytest.mark.parametrize(("engine", "last"), [("onnxruntime", [1]), ("torch", [])])
def test_memory_of_batches_is_given_back_by_one_small_photograph(
    engine: str, last: list[int]
) -> None:
    model = Brightness()
    model.settings = {"engine": engine}

    async def work(networks: Networks) -> None:
        first = await held(networks, model)
        others = [asyncio.create_task(networks.infer(NAME, photo(n))) for n in (10, 11)]
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(first, *others)
        await networks.release_batch_memory()
        await networks.release_batch_memory()

    run(model, work)
    assert model.batches == [1, 2, *last]


def test_other_sizes_and_other_refinements_go_apart() -> None:
    model = Brightness()

    async def work(networks: Networks) -> None:
        first = await held(networks, model)
        flipped = Variant(name="a", refine=replace(UNREFINED, flip=True))
        others = [
            asyncio.create_task(networks.infer(NAME, photo(10))),
            asyncio.create_task(networks.infer(NAME, photo(11, (96, 64)))),
            asyncio.create_task(networks.infer(NAME, photo(12))),
            asyncio.create_task(networks.infer(flipped, photo(13))),
        ]
        await asyncio.sleep(0)
        model.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [level_of(each) for each in answers[:4]] == [1, 10, 11, 12]

    run(model, work)
    assert model.batches[:3] == [1, 2, 1]


def test_a_photograph_that_the_model_fails_at_fails_alone() -> None:
    model = Brightness()

    async def work(networks: Networks) -> None:
        first = await held(networks, model)
        levels = (10, FAULTY, 12)
        others = [asyncio.create_task(networks.infer(NAME, photo(n))) for n in levels]
        await asyncio.sleep(0)
        model.gate.set()
        await first
        answers = await asyncio.gather(*others, return_exceptions=True)
        assert isinstance(answers[1], ModelError)
        assert [level_of(answers[n]) for n in (0, 2)] == [10, 12]  # pyright: ignore

    run(model, work)
    assert model.batches == [1, 3, 1, 1, 1]


def test_too_few_answers_are_told_and_the_next_photograph_is_answered() -> None:
    class Forgetful(Brightness):
        def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
            answers = super().run_network(photos)
            return [] if len(self.batches) == 1 else answers

    model = Forgetful()

    async def work(networks: Networks) -> None:
        with pytest.raises(ValueError, match="zip"):
            await asyncio.wait_for(networks.infer(NAME, photo(10)), 60)
        assert level_of(await asyncio.wait_for(networks.infer(NAME, photo(11)), 60)) == 11

    run(model, work)


def test_a_model_of_two_callers_is_run_twice_at_once_and_no_more() -> None:
    model = Brightness()
    model.settings, model.callers = {"device": "cpu"}, 2

    async def work(networks: Networks) -> None:
        first = await held(networks, model)
        others = [asyncio.create_task(networks.infer(NAME, photo(n))) for n in range(10, 13)]
        while len(model.batches) < 2:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert (len(model.batches), networks.waiting) == (2, 2)
        model.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [level_of(answer) for answer in answers] == [1, 10, 11, 12]

    run(model, work)


def test_work_that_ended_with_a_defect_begins_anew() -> None:
    counts: list[int] = []

    def observe(count: int) -> None:
        counts.append(count)
        if len(counts) == 1:
            raise RuntimeError("a defect")

    async def whole() -> None:
        networks = Networks(lambda name: Brightness(), on_batch=observe)
        lost = asyncio.create_task(networks.infer(NAME, photo(10)))
        while not counts:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert level_of(await asyncio.wait_for(networks.infer(NAME, photo(11)), 60)) == 11
        lost.cancel()
        await networks.close()

    asyncio.run(whole())


def test_the_network_does_not_run_for_those_who_left() -> None:
    model = Brightness()

    async def work(networks: Networks) -> None:
        first = await held(networks, model)
        left = asyncio.create_task(networks.infer(NAME, photo(10), lambda: False))
        stays = asyncio.create_task(networks.infer(NAME, photo(11)))
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(first, stays)
        with pytest.raises(JobCancelled):
            await left

    run(model, work)
    assert model.batches == [1, 1]


def test_the_network_waits_for_what_is_being_decoded_but_not_for_ever() -> None:
    model = Brightness()

    async def whole() -> None:
        networks = Networks(lambda name: model, max_batch=2, batch_wait_seconds=30.0)
        networks.expected_photos = 2
        one = asyncio.create_task(networks.infer(NAME, photo(10)))
        await asyncio.sleep(0.05)
        assert model.batches == []
        two = asyncio.create_task(networks.infer(NAME, photo(11)))
        await asyncio.gather(one, two)
        assert model.batches == [2]
        networks.expected_photos = 0
        await networks.infer(NAME, photo(12))
        assert model.batches == [2, 1]
        await networks.close()
        hasty = Networks(lambda name: model, max_batch=2, batch_wait_seconds=0.01)
        hasty.expected_photos = 1
        await hasty.infer(NAME, photo(13))
        await hasty.close()

    asyncio.run(whole())


def test_work_that_goes_on_when_the_server_stops_is_refused() -> None:
    model = Brightness()

    async def whole() -> None:
        networks = Networks(lambda name: model)
        first = await held(networks, model)
        waits = asyncio.create_task(networks.infer(NAME, photo(10)))
        await asyncio.sleep(0)
        threading.Timer(0.05, model.gate.set).start()
        await networks.close()
        for each in (first, waits):
            with pytest.raises(Refusal, match="stopping"):
                await asyncio.wait_for(each, 60)
        with pytest.raises(Refusal, match="stopping"):
            await asyncio.wait_for(networks.infer(NAME, photo(11)), 60)

    asyncio.run(whole())


def test_a_model_is_loaded_once_and_the_oldest_leaves() -> None:
    loaded: list[str] = []

    def load(name: str) -> Model:
        loaded.append(name)
        if name == "broken":
            raise ModelError("no such file")
        return Brightness()

    async def whole() -> None:
        networks = Networks(load)
        await asyncio.gather(*(networks.model(Variant(name="a")) for _ in range(3)))
        for name in ("b", "c", "a", "d"):
            await networks.model(Variant(name=name))
        assert loaded == ["a", "b", "c", "d"]
        for name in ("a", "c", "d"):
            await networks.model(Variant(name=name))
        assert loaded == ["a", "b", "c", "d"]
        await networks.model(Variant(name="b"))
        assert loaded == ["a", "b", "c", "d", "b"]
        with pytest.raises(ModelError):
            await networks.model(Variant(name="broken"))
        await networks.model(Variant(name="a"))
        await networks.close()

    asyncio.run(whole())
