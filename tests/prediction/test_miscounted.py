"""Two threads that parse at once under Python 3.11 lose no file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rilievo.io.files.limits import retry_miscounted
from rilievo.io.numbers import read_numbers
from rilievo.prediction.readback import read_prediction
from support.miscounted_parses import MISCOUNTED, miscounting

__all__ = ["miscounting"]


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

    prediction = predict(coffee()[::4, ::4])
    save(prediction, tmp_path / "a", [output])
    miscounting()
    found = read_prediction(tmp_path / "a.json")
    np.testing.assert_array_equal(found.depth.values, prediction.depth.values)


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
