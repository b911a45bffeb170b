"""Places at work in turn by client, and the account of the disk."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from rilievo.serving.listener.connections import client_name
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.listener.work_slots import Slot, WorkSlots


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


async def settle() -> None:
    """Let every task go on as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_clients_get_places_in_turn_however_many_requests_one_has() -> None:
    async def work() -> None:
        slots, order = WorkSlots(1, waiting=20), []
        held = await slots.acquire("first")

        async def ask(client: str) -> None:
            slot = await slots.acquire(client)
            order.append(client)
            await asyncio.sleep(0)
            slot.release()

        tasks = [asyncio.create_task(ask("greedy")) for _ in range(4)]
        await settle()
        tasks += [asyncio.create_task(ask("b")), asyncio.create_task(ask("c"))]
        await settle()
        assert (slots.working, slots.waiting) == (1, 6)
        held.release()
        await asyncio.gather(*tasks)
        assert order == ["greedy", "b", "c", "greedy", "greedy", "greedy"]
        assert (slots.working, slots.waiting) == (0, 0)

    run(work)


def test_one_client_leaves_places_to_others() -> None:
    async def work() -> None:
        slots = WorkSlots(4, waiting=10, spare=2)
        for _ in range(2):
            await slots.acquire("greedy")
        third = asyncio.create_task(slots.acquire("greedy"))
        await settle()
        assert not third.done()
        assert isinstance(await slots.acquire("other"), Slot)
        third.cancel()

    run(work)


def test_too_many_who_wait_are_refused_and_one_client_is_before_the_others() -> None:
    async def work() -> None:
        slots = WorkSlots(1, waiting=4)
        await slots.acquire("a")
        waiting = [asyncio.create_task(slots.acquire("a")) for _ in range(3)]
        await settle()
        refused = [each for each in waiting if each.done()]
        assert len(refused) == 1
        with pytest.raises(Refusal) as error:
            refused[0].result()
        assert error.value.status == 429
        assert int(error.value.headers["Retry-After"]) >= 1
        others = [asyncio.create_task(slots.acquire(name)) for name in "bcd"]
        await settle()
        assert [each.done() for each in others] == [False, False, True]
        assert others[2].exception() is not None
        with pytest.raises(Refusal):
            slots.refuse_if_full()
        for each in (*waiting, *others):
            each.cancel()

    run(work)


def test_a_request_that_leaves_the_queue_blocks_nobody() -> None:
    async def work() -> None:
        slots = WorkSlots(1, waiting=4)
        held = await slots.acquire("a")
        leaves, stays = (asyncio.create_task(slots.acquire(name)) for name in "bc")
        await settle()
        leaves.cancel()
        await settle()
        held.release()
        held.release()
        assert isinstance(await stays, Slot)
        assert (slots.working, slots.waiting) == (1, 0)

    run(work)


def test_a_place_that_comes_as_its_request_leaves_goes_to_the_next() -> None:
    async def work() -> None:
        slots = WorkSlots(1, waiting=4)
        held = await slots.acquire("a")
        leaves, stays = (asyncio.create_task(slots.acquire(name)) for name in "bc")
        await settle()
        held.release()
        leaves.cancel()
        assert isinstance(await stays, Slot)
        assert slots.working == 1

    run(work)


def test_all_who_wait_are_refused_when_the_server_stops() -> None:
    async def work() -> None:
        slots = WorkSlots(1, waiting=4)
        await slots.acquire("a")
        waiting = asyncio.create_task(slots.acquire("b"))
        await settle()
        slots.close()
        with pytest.raises(Refusal, match="stopping"):
            await waiting

    run(work)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("testclient", "testclient", True),
    ],
)
def test_a_network_of_one_subscriber_is_one_client(one: str, other: str, same: bool) -> None:
    assert (client_name(one) == client_name(other)) is same
