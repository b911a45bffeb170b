"""Parts of the work: each input in exactly one, whatever else there is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.errors import OptionError
from rilievo.io.files.machine import cores
from rilievo.predicting.options import BatchOptions, ClusterOptions, parse_shard
from rilievo.predicting.work_processes import split_into_tasks, task_size, threads_per_process


@given(name=st.text(), count=st.integers(1, 50))
@settings(deadline=None)
def test_every_input_is_in_exactly_one_part(name: str, count: int) -> None:
    parts = [parse_shard(f"{number}/{count}") for number in range(1, count + 1)]
    assert sum(each.contains(name) for each in parts) == 1


def test_parts_are_of_nearly_one_size() -> None:
    shard = parse_shard("3/4")
    taken = sum(shard.contains(f"folder/{number:05d}.jpg") for number in range(4000))
    assert 850 < taken < 1150


def test_a_part_stays_the_same_from_one_version_to_the_next() -> None:
    """Machines of one run, and runs of one folder, have to agree."""
    shard = parse_shard("1/3")
    # CRC-32 of the check string of its definition, "123456789", is 0xCBF43926 = 3421780262.
    assert shard.contains("123456789") is (3421780262 % 3 == 0)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "a/b", "1/2/3", "1.0/2"])
def test_what_is_no_part_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(OptionError, match="shard must be I/N") as caught:
        ClusterOptions(shard=text)
    assert "\n" not in str(caught.value)


def test_less_than_one_process_is_refused() -> None:
    with pytest.raises(OptionError, match="workers must be 1 or more, got 0"):
        BatchOptions(workers=0)


@given(items=st.lists(st.integers()), size=st.integers(1, 9))
@settings(deadline=None)
def test_tasks_are_the_inputs_in_their_order(items: list[int], size: int) -> None:
    tasks = list(split_into_tasks(items, size))
    assert [item for task in tasks for item in task] == items
    assert all(len(task) == size for task in tasks[:-1])


@given(count=st.integers(0, 10**7), workers=st.integers(1, 500))
@settings(deadline=None)
def test_tasks_are_small_enough_that_all_processes_end_together(count: int, workers: int) -> None:
    size = task_size(count, workers)
    assert 1 <= size <= 16
    assert size == 1 or count / size >= 4 * workers


def test_processes_share_the_cores_unless_threads_are_given() -> None:
    assert threads_per_process(BatchOptions(workers=cores()), None) == 1
    assert threads_per_process(BatchOptions(shard="1/2"), None) == cores()
    assert threads_per_process(BatchOptions(workers=1000), None) == 1
    assert threads_per_process(BatchOptions(workers=2), 7) == 7
    assert threads_per_process(BatchOptions(ray="10.0.0.1:6379", workers=1), None) == 1
