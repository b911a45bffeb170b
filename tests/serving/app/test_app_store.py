"""Disk of results: bounded for all and for each, never taken from under a user."""

import time
from pathlib import Path

import pytest

from rilievo.serving.app.result_store import ResultStore
from rilievo.serving.listener.request_refusals import Refusal


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results", max_bytes=1000, minutes=60)


def kept(store: ResultStore, client: str, size: int) -> str:
    entry = store.create("a", client, size)
    store.release(entry)
    return entry.id


def test_whoever_has_most_makes_room_for_others(store: ResultStore) -> None:
    greedy = [kept(store, "greedy", 100) for _ in range(5)]
    honest = [kept(store, name, 150) for name in ("a", "b", "c")]
    newcomer = kept(store, "d", 100)
    assert greedy[0] not in store
    assert all(id in store for id in (*greedy[1:], *honest, newcomer))
    more = [kept(store, "greedy", 150) for _ in range(3)]
    assert not any(id in store for id in greedy)
    assert all(id in store for id in (*honest, newcomer, *more))
    assert store.reserved_bytes == 1000


def test_results_in_use_stay_and_too_much_is_refused(store: ResultStore) -> None:
    used = store.create("a", "one", 400)
    with pytest.raises(Refusal) as refused:
        store.create("b", "one", 200)
    assert refused.value.status == 429
    with pytest.raises(Refusal) as refused:
        store.create("b", "two", 501)
    assert refused.value.status == 413
    store.release(used)
    assert kept(store, "one", 200) in store
    assert used.id not in store
    assert not used.path.exists()


def test_a_result_grows_at_the_cost_of_older_ones(store: ResultStore) -> None:
    old, new = kept(store, "one", 300), store.create("new", "one", 100)
    store.resize(new, 400)
    assert old not in store
    with pytest.raises(Refusal):
        store.resize(new, 600)
    assert store.reserved_bytes == new.size == 400
    store.resize(new, 50)
    assert store.reserved_bytes == 50


def test_what_nobody_uses_is_deleted_and_what_is_used_stays(store: ResultStore) -> None:
    old, used, pinned = (kept(store, "one", 100) for _ in range(3))
    entries = [store.find(id) for id in (old, used, pinned)]
    with store.pinned(pinned):
        for entry in entries:
            entry.last_used = time.monotonic() - 3700
        store.find(used)
        store.remove_unused()
        assert [id in store for id in (old, used, pinned)] == [False, True, True]
    store.remove_unused()
    assert pinned in store, "its use has just ended"


def test_addresses_cannot_be_guessed(store: ResultStore) -> None:
    ids = {kept(store, "one", 1) for _ in range(100)}
    assert len(ids) == 100
    assert all(len(id) == 22 for id in ids)
    with pytest.raises(Refusal) as refused:
        store.find("../results")
    assert refused.value.status == 404
