"""Files that an earlier version wrote are read, and runs that it began go on.

``written_before`` holds them, with a README that says how they were made. Modules of rilievo may
move; these files stay, whatever they name. Runs are resumed, and their weights, records and logs
compared with those of a run of then that nothing stopped, within what another processor rounds
otherwise.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import rilievo
from making import command as making
from making import recipes
from narrow_networks import narrow_recipe, write_depth_cnn
from rilievo import cli
from rilievo.training.distil.frames.shards import read_shard

BEFORE = Path(__file__).parent / "written_before"
CODE = ("probed_scenes:Small", "wall_depths:load")
"""Code that the stored runs name, as they spell it."""

PROBE = (
    *("train", "probe", "--backbone", "probed_scenes:Small", "--weights", "random"),
    *("--root", "rooms", "--task", "both", "--size", "32,48", "--probe", "linear"),
    *("--depth.bins", "16", "--encoder-rate", "1e-3", "--epochs", "3", "--batch-size", "2"),
    *("--learning-rate", "1e-2", "--held-out", "1", "--augmentation.flip", "0.5"),
)
SUPERVISED = (
    *("train", "supervised", "--network", "depth-cnn", "--weights", "own.safetensors"),
    *("--encoder-rate", "0", "--root", "rooms", "--size", "32,48", "--epochs", "3"),
    *("--batch-size", "2", "--learning-rate", "5e-2"),
)
VIDEO = (
    *("train", "video", "clip", "--preset", "clip", "--encoder", "timm/narrow_for_tests"),
    *("--pose", "geometry", "--size", "64,96", "--scales", "0", "--start", "scratch"),
    *("--prior", "wall_depths:load", "--stride", "1", "--held-out", "0.2", "--steps", "6"),
    *("--validations", "3", "--warm-up", "0", "--batch-size", "2", "--learning-rate", "1e-2"),
    *("--workers", "0"),
)
EMBEDDED = (*("narrow", "--shards", "shards/rendered", "--lessons", "shards/lessons"),)


@pytest.fixture(autouse=True)
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A copy of the files, which is the working folder: paths in them are relative."""
    copy = tmp_path / "written"
    shutil.copytree(BEFORE, copy)
    write_depth_cnn(copy / "own.safetensors")
    monkeypatch.chdir(copy)
    monkeypatch.setenv("RILIEVO_TRUST_CODE", "\n".join(CODE))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def resume(
    command: tuple[str, ...],
    run: str,
    capsys: pytest.CaptureFixture[str],
    main: Callable[[list[str]], int] = cli.main,
) -> Path:
    """Go on with a run by the command that began it, to its end."""
    # 1 says that the network is no better than a constant, after nine steps.
    assert main([*command, "--device", "cpu", "-o", run, "--resume"]) in (0, 1)
    assert "resuming from the checkpoint of step 4" in capsys.readouterr().err
    return Path(run)


ROUNDING = 1e-4
"""Bound on what processors differ by in a weight; two instruction sets did by 2e-5."""


def same_weights(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], start: Mapping[str, Tensor]
) -> None:
    """Check weights at the end of a run: equal but for rounding, far less than what was learned.

    ``start`` are those at the step where it was stopped.
    """
    assert found.keys() == expected.keys()
    learned = max(float((each - start[key]).abs().max()) for key, each in expected.items())
    assert learned > 10 * ROUNDING
    for key, each in expected.items():
        torch.testing.assert_close(found[key], each, rtol=ROUNDING, atol=ROUNDING, msg=key)


def same_prediction(model: Path, name: str, *, within: float = 1e-4) -> None:
    """Check what a model predicts against what the model of this name did then."""
    photo = "clip/images/000003.png" if name.startswith("video") else "rooms/images/0.png"
    [raw] = rilievo.load_model(model).predict_raw([photo])
    with np.load("predicted.npz") as before:
        np.testing.assert_allclose(raw.depth.values, before[f"{name} depth"], rtol=within)
        assert (raw.normals is None) == (f"{name} normals" not in before)
        if raw.normals is not None:
            np.testing.assert_allclose(raw.normals, before[f"{name} normals"], atol=within)


@pytest.mark.parametrize(
    ("command", "name"), [(PROBE, "probe"), (SUPERVISED, "supervised"), (VIDEO, "video")]
)
def test_a_run_that_was_stopped_ends_as_the_one_that_was_not(
    command: tuple[str, ...], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, finished = "weights.safetensors", Path(name, "finished")
    start = load_file(Path(name, "stopped", weights))
    run = resume(command, f"{name}/stopped", capsys)
    same_weights(load_file(run / weights), load_file(finished / weights), start)
    one, other = (json.loads((each / "record.json").read_text()) for each in (run, finished))
    assert one.keys() == other.keys()
    assert one["steps"] == other["steps"]
    # What is usual may have changed since; what the run was told has not.
    told = [[(each["field"], each["value"]) for each in of["differences"]] for of in (one, other)]
    assert told[0] == told[1]
    for log in finished.glob("validation.csv"):
        np.testing.assert_allclose(rows(run / log.name), rows(log), rtol=1e-3, equal_nan=True)
    assert cli.main(["verify", str(run)]) == 0


def rows(path: Path) -> np.ndarray:
    """Numbers of a log."""
    return np.genfromtxt(path, delimiter=",", skip_header=1)


def test_a_recipe_that_was_stopped_ends_as_the_one_that_was_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipes, "RECIPES", {"narrow": narrow_recipe})
    start = average_of(Path("embedded/stopped"))
    run = resume(EMBEDDED, "embedded/stopped", capsys, making.main)
    same_weights(average_of(run), load_file("embedded/finished/average.safetensors"), start)
    same_prediction(run / "small.onnx", "embedded/finished/small.onnx", within=1e-3)


def average_of(run: Path) -> dict[str, Tensor]:
    """Averaged weights in a run's checkpoint, which stays at the end of a recipe."""
    return torch.load(run / "checkpoint.pt", weights_only=True)["average"]


@pytest.mark.parametrize("state", ["stopped", "finished"])
@pytest.mark.parametrize("name", ["probe", "supervised", "video"])
def test_the_folder_of_a_run_is_a_model_that_predicts_what_it_did(name: str, state: str) -> None:
    same_prediction(Path(name, state), f"{name}/{state}")


def test_an_exported_network_predicts_what_it_did() -> None:
    name = "embedded/finished/small.onnx"
    same_prediction(Path(name), name)


SHARDS = {
    "rendered/a": "8f16c896a8b1ad8e",
    "rendered/b": "07bed0e6c5fcdd8c",
    "lessons": "e473817950c4a61b",
}
"""Digests of the arrays of every shard, in the order of their names."""


@pytest.mark.parametrize("name", SHARDS)
def test_shards_hold_what_was_rendered_and_taught(name: str) -> None:
    shard = read_shard(Path("shards", name, "shard-00000.npz"))
    arrays = (shard.image, shard.log_depth, shard.normals, shard.focal, shard.kind)
    assert all(len(each) == 2 for each in arrays)
    digest = hashlib.sha256(b"".join(each.tobytes() for each in arrays)).hexdigest()[:16]
    assert digest == SHARDS[name]
    assert shard.is_rendered == (name != "lessons")


@pytest.mark.parametrize("number", [0, 1])
def test_predictions_are_read_back_and_whole(number: int) -> None:
    read = rilievo.read_prediction(f"predictions/{number}")
    assert read.made_by.model == "narrow"
    assert read.depth.kind is rilievo.DepthKind.UP_TO_SCALE
    from_picture = rilievo.read_prediction(f"predictions/{number}.depth16.png")
    np.testing.assert_allclose(from_picture.depth.values, read.depth.values, rtol=1e-3)
    with np.load(f"predictions/{number}.npz") as arrays:
        np.testing.assert_array_equal(read.depth.values, arrays["depth"])
        np.testing.assert_array_equal(read.normals, arrays["normals"])


def test_everything_is_as_it_was_written() -> None:
    found = rilievo.verify(["predictions", "evaluation", "probe/finished", "supervised/finished"])
    assert found.is_whole, found.faults
    assert found.whole > 20


def test_an_evaluation_is_scored_anew_from_what_it_kept() -> None:
    before = json.loads(Path("evaluation/evaluation.json").read_text())
    options = rilievo.EvaluateOptions(
        dataset="folder", predictions=Path("evaluation"), output=Path("anew"), limit=3, workers=1
    )
    anew = rilievo.evaluate("narrow", "depth", "rooms", options, show=False)
    assert anew.benchmark_sha256 == before["benchmark_sha256"]
    assert anew.made_by.weights_sha256 == before["made_by"]["weights_sha256"]
    for one, other in zip(anew.scores, before["scores"], strict=True):
        assert one.id == other["id"]
        assert one.values == pytest.approx(other["values"], rel=1e-6)
