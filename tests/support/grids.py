"""Grids of test cases of which only a few are quick."""

from collections.abc import Sequence
from itertools import product

import pytest
from _pytest.mark import ParameterSet


def mostly_slow(*values: Sequence[object], rounds: int = 1) -> list[ParameterSet]:
    """All combinations of values, of which those on diagonals are quick and the others slow.

    Every value occurs in each of the ``rounds``, with other partners.
    """
    longest = max(map(len, values))
    quick = {
        tuple(
            each[(index + index // len(each) + position * turn) % len(each)]
            for position, each in enumerate(values)
        )
        for turn in range(rounds)
        for index in range(longest)
    }
    return [
        pytest.param(*case, marks=[] if case in quick else [pytest.mark.slow])
        for case in product(*values)
    ]
