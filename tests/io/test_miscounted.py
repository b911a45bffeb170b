"""Two threads that parse at once under Python 3.11 lose no file."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.datasets import open_dataset
from rilievo.datasets.check import check_dataset
from rilievo.io.limits import retry_miscounted
from rilievo.io.numbers import read_numbers
from rilievo.io.readback import read_prediction
from toy_dataset import write_toy

MISCOUNTED = "AST constructor recursion depth mismatch (before=39, after=37)"


@pytest.fixture
def miscounting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let one of seven parses fail, from when it is called, as it does beside another thread."""
    evaluate, calls = ast.literal_eval, iter(range(10_000))

    def sometimes(*args: Any, **options: Any) -> object:
        if next(calls) % 7 == 0:
            raise SystemError(MISCOUNTED)
        return evaluate(*args, **options)

    return lambda: monkeypatch.setattr(ast, "literal_eval", sometimes)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays_are_read(tmp_path: Path, miscounting: Callable[[], None], suffix: str) -> None:
    array = np.arange(12.0).reshape(3, 4)
    path = tmp_path / f"depth.{suffix}"
    np.save(path, array) if suffix == "npy" else np.savez(path, depth=array)
    miscounting()
    np.testing.assert_array_equal(read_numbers(path), array)


@pytest.mark.parametrize("output", ["npy", "npz"])
def test_results_are_read_back(
    tmp_path: Path, miscounting: Callable[[], None], output: str
) -> None:
    from skimage.data import coffee

    from rilievo import predict, save

    prediction = predict(coffee()[::4, ::4], sharp=False)
    save(prediction, tmp_path / "a", [output])
    miscounting()
    found = read_prediction(tmp_path / "a.json")
    np.testing.assert_array_equal(found.depth.values, prediction.depth.values)


def test_a_dataset_of_somebody_else_is_checked_whole(
    tmp_path: Path, miscounting: Callable[[], None]
) -> None:
    dataset = open_dataset("toy_dataset:Toy", write_toy(tmp_path))
    miscounting()
    assert check_dataset(dataset).is_whole


def test_another_error_of_the_interpreter_is_raised_at_once() -> None:
    calls = []

    @retry_miscounted
    def broken() -> None:
        calls.append(1)
        raise SystemError("bad argument to internal function")

    with pytest.raises(SystemError):
        broken()
    assert len(calls) == 1


def test_what_never_succeeds_is_raised_in_the_end() -> None:
    @retry_miscounted
    def broken() -> None:
        raise SystemError(MISCOUNTED)

    with pytest.raises(SystemError):
        broken()
