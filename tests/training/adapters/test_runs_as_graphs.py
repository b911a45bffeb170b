"""Runs as models: their graphs, exported once into the cache; torch waits without spinning."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.models.base import PreparedModel
from rilievo.models.onnx_files.agreement import draw_scene
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.training.adapters import run_loaders
from rilievo.training.adapters.run_models import VIDEO_FORMAT, VideoRunRecord
from rilievo.training.adapters.torch_model import TorchModel
from rilievo.training.conversion import engine_choice
from rilievo.training.networks.blueprint import BackboneChoice, PoseKind, VideoBlueprint
from rilievo.training.networks.video.video_networks import make_networks
from rilievo.training.probe.probe_config import RunOptions
from rilievo.training.probe.probe_run import train_probe
from support.network_numbers import assert_networks_agree
from support.probed_scenes import scenes, small_config

PHOTO = draw_scene((96, 120))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(engine_choice, "may_have_cuda", lambda: False)
    return tmp_path / "cache" / "converted"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    blueprint = VideoBlueprint(encoder="lite", size=(64, 96), pose=PoseKind.CNN)
    networks = make_networks(blueprint, offsets=(-1, 1), seed=2)
    save_file(networks.state_dict(), folder / "weights.safetensors")
    facts = VideoRunRecord(format=VIDEO_FORMAT, blueprint=blueprint)
    (folder / "config.json").write_text(to_json(facts, indent=2))
    return folder


def depth_of(model: PreparedModel) -> np.ndarray:
    [inference] = model.predict_raw([PHOTO])
    return inference.depth.values


def test_a_run_is_its_graph_exported_once(
    run: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(run)
    assert isinstance(model, OnnxModel)
    assert (
        f"converting {run} to ONNX in fp32 (only once; the file is kept in"
        in capsys.readouterr().err
    )
    in_torch = load_model(run, engine="torch")
    assert isinstance(in_torch, TorchModel)
    assert_networks_agree(
        np.log(depth_of(model)),
        np.log(depth_of(in_torch)),
        median=2e-5,
        tolerance=1e-4,
        limit=0.01,
    )
    assert model.weights_sha256 == in_torch.weights_sha256
    for name in ("encoder", "unit", "post_process", "sizing", "resampling"):
        assert model.settings[name] == in_torch.settings[name]
    # Neither a second use nor another place makes another file; other weights and settings do.
    load_model(run)
    load_model(shutil.copytree(run, run.with_name("moved")))
    assert capsys.readouterr().err == ""
    load_model(run, settings={"post_process": True})
    weights = load_file(run / "weights.safetensors")
    save_file({name: value + 0.01 for name, value in weights.items()}, run / "weights.safetensors")
    load_model(run)
    assert capsys.readouterr().err.count("converting") == 2
    assert len([*cache.iterdir()]) == 3


def test_a_run_that_is_in_the_cache_needs_no_torch(run: Path, cache: Path, tmp_path: Path) -> None:
    load_model(run)
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    script = (
        "import sys, json\n"
        "from rilievo.cli import main\n"
        f"code = main(['predict', 'photo.png', '-m', {str(run)!r}])\n"
        "print(json.dumps([code, sorted({'torch', 'timm', 'onnx'} & set(sys.modules))]))\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []], done.stderr


def test_a_probe_is_its_graph_too(tmp_path: Path, cache: Path) -> None:
    run, config = tmp_path / "probe", small_config(scenes(tmp_path / "tiny"))
    backbone = BackboneChoice(name="timm/test_vit", weights="random")
    blueprint = replace(config.blueprint, backbone=backbone, size=(64, 64))
    config = replace(config, blueprint=blueprint, backbone_rate=1e-3, epochs=1)
    train_probe(config, run, RunOptions(device="cpu"))
    model, in_torch = load_model(run), load_model(run, engine="torch")
    assert isinstance(model, OnnxModel)
    assert isinstance(in_torch, TorchModel)
    pixels = np.array(model.preparation.pixels(PHOTO))[None]
    ours, theirs = model.run(pixels), in_torch.run(pixels)
    assert {*ours} == {*theirs}
    for name, values in theirs.items():
        scale = np.ptp(values)
        assert_networks_agree(
            ours[name] / scale, values / scale, median=2e-5, tolerance=1e-4, limit=0.01
        )


def test_torch_runs_it_where_nothing_can_be_exported(
    run: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_loaders, "find_spec", lambda name: None)
    assert isinstance(load_model(run), TorchModel)
    assert not cache.exists()


@pytest.mark.parametrize(
    "module",
    [
        "adapters.trained",
        pytest.param("engine.loop", marks=pytest.mark.slow),
        pytest.param("commands.train_video", marks=pytest.mark.slow),
    ],
)
def test_threads_of_torch_wait_without_spinning(module: str) -> None:
    script = f"import rilievo.training.{module}, torch"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment = {**plain, "OMP_DISPLAY_ENV": "verbose"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("this build of torch has another OpenMP")
    assert "GOMP_SPINCOUNT = '0'" in done.stderr
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
