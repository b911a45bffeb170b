"""The defaults: one embedded model for photographs, a faster one for videos and streams."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.models import DEFAULT_MODEL, FAST_MODEL
from rilievo.predicting.options import BatchOptions, PredictOptions
from rilievo.predicting.predict_across import predict_across


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with a photograph and a clip of two frames."""
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    clips = pytest.importorskip("support.clips")
    folder = tmp_path / "mixed"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    clips.write_clip(folder / "clip.mp4", clips.Clip(pictures=[pixels, pixels]))
    return folder


def model_of(sidecar: Path) -> str:
    return json.loads(sidecar.read_text("utf-8"))["made_by"]["model"]


@pytest.mark.parametrize("workers", [None, 2])
def test_a_photograph_and_a_clip_of_one_folder_have_their_own_default(
    mixed: Path, tmp_path: Path, workers: int | None
) -> None:
    options, output = PredictOptions(output=tmp_path / "out"), tmp_path / "out"
    if workers is None:
        summary = rilievo.predict_files([mixed], options, show=False)
    else:
        summary = predict_across([mixed], options, BatchOptions(workers=workers), show=False)
    assert (summary.done, summary.failed) == (2, 0)
    assert model_of(output / "photo.json") == DEFAULT_MODEL
    assert model_of(output / "clip.json") == FAST_MODEL
    assert DEFAULT_MODEL in summary.spent.model
    assert FAST_MODEL in summary.spent.model


def test_a_model_that_is_named_predicts_both(mixed: Path, tmp_path: Path) -> None:
    options = PredictOptions(output=tmp_path / "out", model="rilievo/small")
    rilievo.predict_files([mixed], options, show=False)
    models = {model_of(path) for path in (tmp_path / "out").glob("*.json")}
    assert models == {"rilievo/small"}


def test_a_stream_takes_the_faster_one(mixed: Path) -> None:
    for prediction in rilievo.stream(mixed / "clip.mp4"):
        assert prediction.made_by.model == FAST_MODEL
