"""Models in torch that are converted once, kept, and found again without torch."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import ModelError, OptionError, OutputError
from rilievo.models import load_model
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files import conversion
from rilievo.models.onnx_files.agreement import draw_scene
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.training.adapters.torch_model import TorchModel
from rilievo.training.conversion import engine_choice
from support.network_numbers import assert_networks_agree
from support.tiny_checkpoints import Checkpoints, checkpoint

__all__ = ["checkpoint"]

PHOTO = draw_scene((120, 90))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(engine_choice, "may_have_cuda", lambda: False)
    return tmp_path / "cache" / "converted"


def test_the_usual_engine_answers_as_torch_and_says_what_it_is(
    checkpoint: Checkpoints, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint("depth_anything")
    converted = load_model(folder, kind="affine_inverse")
    assert isinstance(converted, OnnxModel)
    assert "converting" in capsys.readouterr().err
    torch_model = load_model(folder, kind="affine_inverse", engine="torch")
    [ours], [theirs] = converted.predict_raw([PHOTO]), torch_model.predict_raw([PHOTO])
    assert ours.depth is not None
    assert theirs.depth is not None
    scale = np.ptp(theirs.depth.values)
    assert_networks_agree(
        ours.depth.values / scale,
        theirs.depth.values / scale,
        median=2e-5,
        tolerance=1e-4,
        limit=0.01,
    )
    assert ours.made_by.weights_sha256 == theirs.made_by.weights_sha256
    assert ours.made_by.model == theirs.made_by.model
    same = {"source", "sizing", "resampling", "precision"}
    assert {ours.made_by.settings[name] == theirs.made_by.settings[name] for name in same} == {True}
    assert ours.made_by.settings["engine"] == "onnxruntime"
    load_model(folder, kind="affine_inverse")
    assert capsys.readouterr().err == ""
    [_] = cache.iterdir()


def test_a_kept_file_is_found_and_run_without_torch_and_transformers(
    checkpoint: Checkpoints, cache: Path, tmp_path: Path
) -> None:
    folder = checkpoint("depth_anything")
    load_model(folder, kind="affine_inverse")
    photo = tmp_path / "photo.png"
    Image.fromarray(PHOTO).save(photo)
    script = (
        "import sys, json\n"
        "from rilievo.cli import main\n"
        f"code = main(['predict', {str(photo)!r}, '-m', {str(folder)!r}, '--kind',"
        f" 'affine_inverse', '-o', {str(tmp_path / 'out')!r}])\n"
        "heavy = {'torch', 'transformers', 'onnx', 'huggingface_hub'}\n"
        "print(json.dumps([code, sorted(heavy & set(sys.modules))]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []], done.stderr


@pytest.mark.slow
def test_a_damaged_file_is_said_and_made_anew(
    checkpoint: Checkpoints, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint("depth_anything")
    load_model(folder, kind="affine_inverse")
    [path] = cache.iterdir()
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    path.write_bytes(damaged)
    capsys.readouterr()
    load_model(folder, kind="affine_inverse")
    assert "is damaged, so rilievo converts the model again" in capsys.readouterr().err
    [again] = cache.iterdir()
    assert again.stat().st_size == len(whole)


@pytest.mark.slow
def test_another_kind_is_another_file(checkpoint: Checkpoints, cache: Path) -> None:
    for kind in ("affine_inverse", "affine"):
        assert load_model(checkpoint("depth_anything"), kind=kind).card.kind == kind
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("changed", ["weights", "configuration", "versions"])
def test_a_file_is_of_its_checkpoint_and_its_makers(
    changed: str,
    checkpoint: Checkpoints,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything that determines a trace gives another file; a stand-in makes it, to be quick."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint("depth_anything"), folder)
    keys: list[str] = []

    def convert(origin: conversion.ConversionSource, precision: str, key: str) -> Path:
        keys.append(key)
        raise ModelError("not converted")

    monkeypatch.setattr(conversion, "_write_converted", convert)
    for turn in range(2):
        with pytest.raises(ModelError, match="not converted"):
            load_model(folder, kind="affine")
        if turn == 0 and changed == "weights":
            path = folder / "model.safetensors"
            path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0?")
        elif turn == 0 and changed == "configuration":
            path = folder / "config.json"
            path.write_text(path.read_text().replace('"patch_size": 14', '"patch_size":  14'))
        elif turn == 0:
            monkeypatch.setattr(conversion, "package_version", lambda package: "0.0")
    first, second = keys
    assert first != second


@pytest.mark.slow
def test_what_cannot_be_converted_is_run_by_torch_and_tried_once(
    checkpoint: Checkpoints,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = checkpoint("zoedepth_experts")
    assert isinstance(load_model(folder, kind="metric"), TorchModel)
    assert "affect each other in its network; using torch instead" in capsys.readouterr().err
    monkeypatch.setattr(conversion, "_write_converted", None)
    assert isinstance(load_model(folder, kind="metric"), TorchModel)
    assert capsys.readouterr().err == ""


def test_what_cannot_be_converted_is_refused_to_an_engine_that_was_asked_for(
    checkpoint: Checkpoints, cache: Path
) -> None:
    with pytest.raises(ModelError, match="engine='torch' can run it"):
        load_model(checkpoint("zoedepth_experts"), kind="metric", engine="onnxruntime")


@pytest.mark.slow
def test_openvino_runs_a_kept_file_too(checkpoint: Checkpoints, cache: Path) -> None:
    folder = checkpoint("depth_anything")
    exact = load_model(folder, kind="affine_inverse", engine="openvino")
    rough, said = exact, None
    try:
        rough = load_model(folder, kind="affine_inverse", engine="openvino", precision="bf16")
    except ModelError as error:  # OpenVINO says that a processor held to AVX2 has bf16
        said = str(error)
    if said is not None:
        assert "in bf16 on this processor" in said
        assert said.endswith("take precision='fp32'")
        return
    [one], [other] = exact.predict_raw([PHOTO]), rough.predict_raw([PHOTO])
    assert one.depth is not None
    assert other.depth is not None
    assert other.made_by.settings["precision"] == "bf16"
    scale = np.ptp(one.depth.values)
    assert_networks_agree(
        other.depth.values / scale, one.depth.values / scale, median=0.02, tolerance=0.1, limit=0.5
    )
    assert len(list(cache.iterdir())) == 1


@pytest.mark.slow
def test_int8_needs_no_photographs_with_onnxruntime_and_says_that_openvino_does(
    checkpoint: Checkpoints, cache: Path
) -> None:
    folder = checkpoint("depth_anything")
    with pytest.raises(OptionError, match="rilievo export MODEL --precision int8 --calibration"):
        load_model(folder, kind="affine_inverse", engine="openvino", precision="int8")
    model = load_model(folder, kind="affine_inverse", precision="int8")
    assert model.settings["engine"] == "onnxruntime"
    assert model.settings["precision"] == "int8"


def test_a_cache_that_cannot_be_is_said(
    checkpoint: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "file"))
    with pytest.raises(Exception, match="file"):
        load_model(checkpoint("depth_anything"), kind="affine_inverse", engine="onnxruntime")


@pytest.mark.slow
def test_a_killed_conversion_leaves_nothing_that_counts(
    checkpoint: Checkpoints, cache: Path
) -> None:
    folder = checkpoint("depth_anything")
    script = f"from rilievo import load_model; load_model({str(folder)!r}, kind='affine')"
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE) as process:
        end = time.monotonic() + 600
        while not list(cache.glob(".*rilievo-part")) and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert not list(cache.glob("*.onnx"))
    assert list(cache.glob(".*rilievo-part"))
    load_model(folder, kind="affine")
    [_] = cache.iterdir()


@pytest.mark.parametrize(
    ("device", "precision", "cuda", "engine"),
    [
        ("auto", "fp32", False, "onnxruntime"),
        ("auto", "fp32", True, "torch"),
        ("cpu", "fp32", True, "onnxruntime"),
        ("cuda", "fp16", True, "torch"),
        ("cpu", "bf16", False, "openvino"),
        ("cpu", "int8", False, "onnxruntime"),
    ],
)
def test_the_usual_engine_follows_from_device_and_precision(
    device: str, precision: str, cuda: bool, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "openvino" and find_spec("openvino") is None:
        pytest.skip("the extra 'fast' is not installed")
    monkeypatch.setattr(engine_choice, "may_have_cuda", lambda: cuda)
    options = LoadOptions(device=device, precision=precision)
    choice = engine_choice.choose_engine(options, "model 'x'")
    assert choice.options.engine == engine
    assert choice.is_default


@pytest.mark.slow
def test_a_file_that_was_cut_short_is_made_anew(
    checkpoint: Checkpoints, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint("depth_anything")
    load_model(folder, kind="affine_inverse")
    [path] = cache.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    capsys.readouterr()
    load_model(folder, kind="affine_inverse")
    assert "is damaged, so rilievo converts the model again" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_of_no_hash_is_none_that_was_written(
    checkpoint: Checkpoints, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint("depth_anything")
    load_model(folder, kind="affine_inverse")
    [path] = cache.iterdir()
    path.rename(cache / f"{path.name.partition('-')[0]}-.onnx")
    capsys.readouterr()
    load_model(folder, kind="affine_inverse")
    assert "is damaged, so rilievo converts the model again" in capsys.readouterr().err
    assert list(cache.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize(
    "function", ["torch.onnx.export", "rilievo.models.onnx_files.onnx_model.sha256"]
)
def test_a_full_disk_says_nothing_of_the_network(
    checkpoint: Checkpoints, cache: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(function, full)
        with pytest.raises(OutputError, match="the disk is full"):
            load_model(checkpoint("dpt"), kind="affine_inverse")
    assert list(cache.iterdir()) == []
    assert isinstance(load_model(checkpoint("dpt"), kind="affine_inverse"), OnnxModel)
