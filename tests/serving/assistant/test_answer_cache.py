"""Answers that are kept, by the bytes of their arrays."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rilievo.serving.assistant.answer_cache import AnswerCache

_MOST = 1000


@dataclass(frozen=True)
class Answer:
    """An array, and another one that is computed when it is read."""

    pixels: np.ndarray

    @cached_property
    def surface(self) -> np.ndarray:
        """An array of the same size."""
        return self.pixels.copy()


def cache() -> AnswerCache[str, Answer]:
    return AnswerCache(_MOST, replace)


def answer(size: int) -> Answer:
    return Answer(np.zeros(size, np.uint8))


def test_what_was_used_longest_ago_leaves_first() -> None:
    answers = cache()
    for name in "abc":
        answers.put(name, answer(400))
        if name == "b":
            assert answers.get("a") is not None
        answers.trim()
    assert [name for name in "abc" if answers.get(name) is not None] == ["a", "c"]
    assert answers.array_bytes == 800


def test_memory_that_answers_share_counts_once_and_views_count_whole() -> None:
    answers, pixels = cache(), np.zeros(900, np.uint8)
    answers.put("a", Answer(pixels))
    answers.put("b", Answer(pixels[:10]))
    answers.trim()
    assert answers.array_bytes == 900
    assert answers.get("a") is not None


def test_parts_that_were_computed_late_leave_before_the_answer() -> None:
    answers, large = cache(), answer(600)
    answers.put("a", large)
    assert large.surface.size == 600
    assert answers.array_bytes == 1200
    answers.trim()
    left = answers.get("a")
    assert left is not None
    assert left.pixels is large.pixels
    assert answers.array_bytes == 600


def test_an_answer_that_is_larger_than_all_may_be_is_not_kept() -> None:
    answers = cache()
    answers.put("a", answer(1001))
    answers.trim()
    assert (answers.get("a"), answers.array_bytes) == (None, 0)
