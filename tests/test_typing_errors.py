"""Names that a word with a typing error stands for."""

import pytest

from rilievo.errors.typing_errors import count_typing_errors, names_meant_by


@pytest.mark.parametrize(
    ("typed", "name", "count"),
    [
        ("output", "output", 0),
        ("", "save", 4),
        ("ouput", "output", 1),
        ("outputt", "output", 1),
        ("outptu", "output", 1),
        ("oitput", "output", 1),
        ("sharp", "shard", 2),
        ("prseision", "precision", 2),
        ("kitten", "sitting", 3),
    ],
)
def test_missing_additional_replaced_and_swapped_letters_are_counted(
    typed: str, name: str, count: int
) -> None:
    assert count_typing_errors(typed, name) == count
    assert count_typing_errors(name, typed) == count


def test_a_long_word_may_have_two_errors_and_the_nearest_name_comes_first() -> None:
    assert names_meant_by("colourmqq", ["colourma", "colourmap"]) == ["colourmap"]
    assert names_meant_by("workerss", ["workers", "worker"]) == ["workers"]
    assert names_meant_by("precisionn", ["precisio", "precision"]) == ["precision"]
    assert names_meant_by("threadsxy", ["threads"]) == []
