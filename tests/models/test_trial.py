"""``auto`` takes the faster engine where both agree, and keeps the choice on this machine."""

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from published_graphs import write_inverse_depth
from rilievo.models import load_model, trial
from rilievo.models.base import Inference, Model
from rilievo.models.catalogue.pictures import open_model
from rilievo.models.engines import LoadOptions
from rilievo.models.finders import MODELS

Load = Callable[[LoadOptions], Model]


class Clock:
    """A clock that each engine turns on by its own seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small graph of Depth Anything V2's signature that counts as large, and an empty cache."""
    pytest.importorskip("openvino")
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trial, "LEAST_BYTES", 1)
    return write_inverse_depth(tmp_path / "network.onnx")


@pytest.fixture
def timed(
    network: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Mapping[str, float], float], Load]:
    """Make a function that loads the graph; engines take the given seconds, OpenVINO errs."""

    def make(seconds: Mapping[str, float], error: float = 0.0) -> Load:
        def load(options: LoadOptions) -> Model:
            card = MODELS["depth-anything-v2/small"]
            model = open_model(network, options, card, weights_sha256="0")
            engine = str(model.settings["engine"])
            infer = model.infer

            def slowly(photos: list[object]) -> list[Inference]:
                clock.now += seconds[engine]
                answers = infer(photos)  # pyright: ignore[reportArgumentType]
                wrong = error if engine == "openvino" else 0.0
                return [_moved(each, wrong) for each in answers]

            monkeypatch.setattr(model, "infer", slowly)
            return model

        return load

    return make


def _moved(answer: Inference, share: float) -> Inference:
    assert answer.depth is not None
    depth = answer.depth.copy()
    depth[0, 0] += np.float32(share) * np.ptp(depth)
    return replace(answer, depth=depth)


def engine_of(model: Model) -> object:
    return model.settings["engine"]


@pytest.mark.parametrize(
    ("openvino", "error", "engine"),
    [
        (0.5, 0.0, "openvino"),
        (0.5, 5e-4, "openvino"),
        (0.5, 2e-3, "onnxruntime"),
        (0.5, float("nan"), "onnxruntime"),
        (0.95, 0.0, "onnxruntime"),  # hardly faster
        (2.0, 0.0, "onnxruntime"),
    ],
)
def test_openvino_is_taken_where_it_is_faster_and_agrees(
    network: Path,
    clock: Clock,
    timed: Callable[..., Load],
    openvino: float,
    error: float,
    engine: str,
) -> None:
    load = timed({"onnxruntime": 1.0, "openvino": openvino}, error)
    model = trial.open_faster(load, network, LoadOptions(), "0", clock=clock)
    assert engine_of(model) == engine
    # The next process reads the choice and times nothing.
    spent = clock.now
    again = trial.open_faster(load, network, LoadOptions(), "0", clock=clock)
    assert (engine_of(again), clock.now) == (engine, spent)


def test_a_network_that_the_picture_does_not_fit_runs_with_the_reference(
    network: Path, clock: Clock, timed: Callable[..., Load], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("Got invalid dimensions for input: image")

    monkeypatch.setattr(trial, "_run", refuse)
    load = timed({"onnxruntime": 1.0, "openvino": 0.5}, 0.0)
    model = trial.open_faster(load, network, LoadOptions(), "0", clock=clock)
    assert engine_of(model) == "onnxruntime"


def test_a_choice_counts_for_its_file_threads_and_settings_alone(
    network: Path, clock: Clock, timed: Callable[..., Load], tmp_path: Path
) -> None:
    load = timed({"onnxruntime": 1.0, "openvino": 0.5})
    records = tmp_path / "cache" / "engines"
    for weights, options in (
        ("0", LoadOptions()),
        ("1", LoadOptions()),
        ("0", LoadOptions(threads=1)),
        ("0", LoadOptions(settings={"tokens": 600})),
    ):
        trial.open_faster(load, network, options, weights, clock=clock)
    places = list(records.glob("*.json"))
    assert len(places) == 4
    record = json.loads(places[0].read_text())
    assert (record["engine"], record["rival_seconds"]) == ("openvino", 0.5)
    for place in places:
        place.write_text("{")  # a broken record is made anew
    spent = clock.now
    trial.open_faster(load, network, LoadOptions(), "0", clock=clock)
    assert clock.now > spent


@pytest.mark.parametrize(
    ("options", "least", "engine"),
    [
        (LoadOptions(engine="onnxruntime"), 1, "onnxruntime"),
        (LoadOptions(precision="bf16"), 1, "openvino"),
        (LoadOptions(), 10**6, "onnxruntime"),
    ],
)
def test_what_the_user_names_and_small_networks_are_not_tried(
    network: Path,
    clock: Clock,
    timed: Callable[..., Load],
    monkeypatch: pytest.MonkeyPatch,
    options: LoadOptions,
    least: int,
    engine: str,
) -> None:
    monkeypatch.setattr(trial, "LEAST_BYTES", least)
    load = timed({"onnxruntime": 1.0, "openvino": 0.5})
    model = trial.open_faster(load, network, options, "0", clock=clock)
    assert (clock.now, engine_of(model)) == (0, engine)


def test_without_a_cache_folder_the_reference_runs(
    network: Path,
    clock: Clock,
    timed: Callable[..., Load],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "file"))
    load = timed({"onnxruntime": 1.0, "openvino": 0.5})
    assert engine_of(trial.open_faster(load, network, LoadOptions(), "0")) == "onnxruntime"
    assert clock.now == 0


def test_a_loaded_model_records_its_engine_and_takes_it_to_other_processes(
    make_network: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trial, "LEAST_BYTES", 1)
    chosen = trial.Trial(engine="openvino", reference_seconds=1.0, rival_seconds=0.5, difference=0)
    monkeypatch.setattr(trial, "_trial", lambda *_: chosen)
    path = make_network()
    model = load_model(path)
    assert engine_of(model) == "openvino"
    for record in (tmp_path / "cache" / "engines").glob("*.json"):
        record.unlink()
    monkeypatch.setattr(trial, "_trial", lambda *_: replace(chosen, engine="onnxruntime"))
    assert engine_of(pickle.loads(pickle.dumps(model))) == "openvino"
    assert engine_of(load_model(path)) == "onnxruntime"


def test_a_crash_of_openvino_happens_once(
    network: Path, clock: Clock, timed: Callable[..., Load]
) -> None:
    load = timed({"onnxruntime": 1.0, "openvino": 0.5})

    def crashes(options: LoadOptions) -> Model:
        if options.engine == "openvino":
            raise KeyboardInterrupt
        return load(options)

    with pytest.raises(KeyboardInterrupt):
        trial.open_faster(crashes, network, LoadOptions(), "0", clock=clock)
    model = trial.open_faster(crashes, network, LoadOptions(), "0", clock=clock)
    assert engine_of(model) == "onnxruntime"
