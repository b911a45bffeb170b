"""``rilievo.predict`` loads a model once; loaded models travel to other processes by name."""

import pickle
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import rilievo
from rilievo.models import kept_model
from rilievo.models.base import Model
from rilievo.models.load_options import LoadOptions
from rilievo.models.requests import DepthFunction

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the models that were loaded, in their order."""
    real, seen = kept_model.load, []

    def counted(name: str | Path | DepthFunction, options: LoadOptions) -> Model:
        seen.append(str(name))
        return real(name, options)

    monkeypatch.setattr(kept_model, "load", counted)
    rilievo.unload_model()
    yield seen
    rilievo.unload_model()


def test_a_loop_loads_the_model_once(loads: list[str]) -> None:
    answers = [rilievo.predict(PIXELS) for _ in range(3)]
    assert len(loads) == 1
    assert answers[0] == answers[1] == answers[2]
    rilievo.predict(PIXELS, flip=True)
    assert len(loads) == 1
    rilievo.unload_model()
    rilievo.predict(PIXELS)
    assert len(loads) == 2


def test_another_name_is_another_model(loads: list[str]) -> None:
    names = ("rilievo/base", "rilievo/small", "rilievo/small")
    made_by = [rilievo.predict(PIXELS, model=name).made_by.model for name in names]
    assert made_by == list(names)
    assert loads == list(names[:2])


def test_threads_that_begin_at_once_load_once(loads: list[str]) -> None:
    together = threading.Barrier(4)

    def work(_: int) -> rilievo.Prediction:
        together.wait()
        return rilievo.predict(PIXELS)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(work, range(4)))
    assert len(loads) == 1
    assert all(answer == answers[0] for answer in answers)


def test_a_file_that_changed_is_loaded_again(loads: list[str], tmp_path: Path) -> None:
    own = Path(rilievo.__file__).parent / "models/default"
    file = tmp_path / "mine.onnx"
    shutil.copy(own / "base.onnx", file)
    before = rilievo.predict(PIXELS, model=file)
    shutil.copy(own / "small.onnx", file)
    after = rilievo.predict(PIXELS, model=file)
    assert len(loads) == 2
    assert before.made_by.weights_sha256 != after.made_by.weights_sha256


def compute_file_sum(model: Model) -> float:
    [prediction] = model.predict_raw([PIXELS])
    return float(prediction.depth.values.sum())


@pytest.mark.slow
def test_a_loaded_model_goes_to_another_process() -> None:
    model = rilievo.load_model("rilievo/small", threads=1)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(compute_file_sum, model).result() == pytest.approx(
            compute_file_sum(model), rel=1e-6
        )


def test_weights_that_changed_meanwhile_are_refused(tmp_path: Path) -> None:
    own = Path(rilievo.__file__).parent / "models/default"
    file = tmp_path / "mine.onnx"
    shutil.copy(own / "base.onnx", file)
    packed = pickle.dumps(rilievo.load_model(file))
    shutil.copy(own / "small.onnx", file)
    with pytest.raises(rilievo.ModelError, match=r"the weights of model .* have changed"):
        pickle.loads(packed)


def test_a_listed_model_is_pickled_by_its_name_whatever_folder_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rilievo/small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    model = rilievo.load_model("rilievo/small")
    assert pickle.loads(pickle.dumps(model)).weights_sha256 == model.weights_sha256
