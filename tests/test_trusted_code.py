"""A file that names code is refused, unless the user names that code too."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file

import rilievo
from rilievo.errors import ModelError, OptionError
from rilievo.evaluation.benchmarks.metric_choice import trusted_metrics
from rilievo.evaluation.benchmarks.suite import find_suite
from rilievo.evaluation.views.evaluated_run import open_run
from rilievo.extensions.foreign_code import load_user_object
from rilievo.extensions.trust import TRUST, check_trusted, trust, trusted_places
from rilievo.io.json_record import to_json
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.run_models import TUNED_FORMAT, TunedRunRecord
from rilievo.training.adapters.trained import BACKBONE_SHA256_KEY
from rilievo.training.networks.backbones import weights_sha256
from rilievo.training.networks.blueprint import (
    BackboneChoice,
    Blueprint,
    DepthChoice,
    Family,
    ProbeChoice,
    TunedBlueprint,
)
from rilievo.training.networks.probe_network import backbone_from_blueprint, probe_from_blueprint
from rilievo.training.probe.probe_config import DataChoice, ProbeConfig
from rilievo.training.sweep.sweep_config import read_sweep
from rilievo.training.tuning.start_models import open_start_model

NETS = '''
from pathlib import Path
import torch
from rilievo.training.networks.backbones import Layer, OwnBackbone

Path("was-run").touch()


class Net(OwnBackbone):
    """One layer of averages."""

    patch = 8
    available = (Layer(channels=3, stride=8),)

    def maps(self, pixels):
        return (torch.nn.functional.avg_pool2d(pixels, 8),)
'''
PLACE = "cool/nets.py:Net"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with somebody's run, whose backbone is code beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(TRUST, "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    cool = tmp_path / "cool"
    cool.mkdir()
    (cool / "nets.py").write_text(NETS)
    blueprint = Blueprint(
        backbone=BackboneChoice(name=PLACE, weights="random"),
        probe=ProbeChoice(kind="linear"),
        size=(32, 32),
        depth=DepthChoice(bins=4),
    )
    backbone = backbone_from_blueprint(blueprint)
    probe = probe_from_blueprint(blueprint, backbone, seed=0)
    state = {name: value.contiguous() for name, value in probe.state_dict().items()}
    save_file(state, cool / "weights.safetensors", {BACKBONE_SHA256_KEY: weights_sha256(backbone)})
    config = ProbeConfig(blueprint=blueprint, data=DataChoice(dataset="synthetic"))
    (cool / "config.json").write_text(to_json(config, indent=2))
    (tmp_path / "photos").mkdir()
    for name in ("one.png", "two.png"):
        Image.new("RGB", (64, 48), (90, 120, 30)).save(tmp_path / "photos" / name)
    sys.modules.pop("nets")
    sys.path.remove(str(cool))
    (tmp_path / "was-run").unlink()
    monkeypatch.setenv(TRUST, "")
    yield tmp_path
    sys.modules.pop("nets", None)


def predicted(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["predict", "photos", "--model", "cool", "-o", "out", "--save", "npy", *options]
    return subprocess.run(
        [sys.executable, "-m", "rilievo", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )


def test_a_run_whose_configuration_names_code_is_refused_in_one_line(folder: Path) -> None:
    done = predicted(folder)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line == (
        f"rilievo: {folder}/cool/config.json: refers to code for its backbone, '{PLACE}', and "
        f"would run {folder}/cool/nets.py; if you trust that code, allow it with "
        f"--trust-code {PLACE}"
    )
    assert not (folder / "was-run").exists()


@pytest.mark.slow
def test_the_user_names_the_code_and_its_workers_run_it(folder: Path) -> None:
    done = predicted(folder, "--workers", "2", "--trust-code", PLACE)
    assert done.returncode == 0, done.stderr
    assert (folder / "was-run").exists()
    assert {path.name for path in (folder / "out").glob("*.npy")} == {
        "one.depth.npy",
        "two.depth.npy",
    }


def test_only_the_exact_name_is_trusted(folder: Path) -> None:
    for other in ("./cool/nets.py:Net", "nets:Net", "cool/nets.py:Other"):
        with pytest.raises(OptionError, match="refers to code for its backbone"):
            rilievo.load_model("cool", device="cpu", trust_code=[other])
    assert not (folder / "was-run").exists()


def test_python_names_the_code_where_it_names_the_model(folder: Path) -> None:
    with pytest.raises(OptionError, match="refers to code for its backbone"):
        rilievo.predict("photos/one.png", model="cool")
    prediction = rilievo.predict("photos/one.png", model="cool", trust_code=[PLACE])
    assert prediction.depth.shape == (48, 64)
    rilievo.unload_model()


def test_a_probe_in_a_configuration_is_code_too(folder: Path) -> None:
    text = (folder / "cool/config.json").read_text()
    (folder / "cool/config.json").write_text(
        text.replace('"kind": "linear"', '"kind": "lab_probe:Gated"')
    )
    with pytest.raises(OptionError, match="refers to code for its probe, 'lab_probe:Gated'"):
        rilievo.load_model("cool", device="cpu", trust_code=[PLACE])
    assert not (folder / "was-run").exists()


@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("field", ["backbone", "probe"])
def test_a_run_that_trained_further_names_no_code_unseen(
    folder: Path, field: str, engine: str
) -> None:
    tuned(folder, field=field)
    (folder / "evilmod.py").write_text("from pathlib import Path\nPath('was-run').touch()\n")
    with pytest.raises(OptionError, match=f"json: refers to code for its {field}, 'evilmod:Probe'"):
        rilievo.load_model("further", device="cpu", engine=engine)
    with pytest.raises(OptionError, match=f"json: refers to code for its {field}, 'evilmod:Probe'"):
        open_start_model("further")
    assert not (folder / "was-run").exists()


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_a_run_that_trained_a_probe_further_states_it(folder: Path, engine: str) -> None:
    tuned(folder, field=None)
    with pytest.raises(
        ModelError, match=r"config\.json: has no entry .probed., which describes the network"
    ):
        rilievo.load_model("further", device="cpu", engine=engine)


def tuned(folder: Path, *, field: str | None) -> None:
    """Write a run that trained a probe further, of which one part is code."""
    (folder / "further").mkdir()
    probed = Blueprint(
        backbone=BackboneChoice(
            name="evilmod:Probe" if field == "backbone" else "timm/test_vit", weights="random"
        ),
        probe=ProbeChoice(kind="evilmod:Probe" if field == "probe" else "linear"),
        size=(32, 32),
        depth=DepthChoice(bins=4),
    )
    network = TunedBlueprint(
        family=Family.PROBE,
        start="first",
        kind=DepthKind.METRIC,
        licence="MIT",
        probed=None if field is None else probed,
    )
    facts = TunedRunRecord(format=TUNED_FORMAT, network=network)
    (folder / "further/config.json").write_text(to_json(facts, indent=2))
    shutil.copy(folder / "cool/weights.safetensors", folder / "further")


def test_what_the_user_has_run_is_trusted_after_that(folder: Path) -> None:
    """A backbone of one's own is trained and its run loaded in one process."""
    load_user_object(PLACE, "backbone")
    assert trusted_places() == (PLACE,)
    assert rilievo.load_model("cool", device="cpu").card.kind is not None


def test_a_message_says_which_module_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST, "")
    with pytest.raises(OptionError, match=r"^f: refers to code for its x, .json:loads., and"):
        check_trusted("json:loads", "x", "f")
    with pytest.raises(OptionError, match=r"run the module .absent\.part."):
        check_trusted("absent.part:Name", "x", "f")
    check_trusted("timm/vit_small", "x", "f")
    check_trusted("diffusers/org/name", "x", "f")


def test_a_name_that_is_no_code_is_refused() -> None:
    with pytest.raises(OptionError, match=r"trust_code must be package.*'everything'"):
        trust(["everything"])


@pytest.mark.parametrize("field", ["benchmark", "dataset"])
def test_a_suite_that_names_code_is_refused(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, "")
    names = {"benchmark": "depth", "dataset": "folder", field: "evil/code.py:Name"}
    runs = "".join(f"{name} = {json.dumps(value)}\n" for name, value in names.items())
    (tmp_path / "s.toml").write_text(f'title = "t"\n[[runs]]\n{runs}')
    with pytest.raises(OptionError, match=f"s.toml: refers to code for its {field}, 'evil/code.py"):
        find_suite(tmp_path / "s.toml")
    trust(["evil/code.py:Name"])
    assert find_suite(tmp_path / "s.toml").runs


@pytest.mark.parametrize(
    "change",
    [
        ('"timm/test_vit"', '"evil:Name"'),
        ('"folder"', '"evil:Name"'),
        ('"l1"', '"evil:Name"'),
        ('"depth"', '"evil:Name"'),
        ('"none"', '"evil:Name"'),
    ],
)
def test_a_sweep_that_names_code_is_refused(
    change: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, "")
    text = (
        '[[backbones]]\nname = "timm/test_vit"\n[data]\ndataset = "folder"\n'
        '[training]\nlosses.depth = "l1"\n[test]\nbenchmarks = ["depth"]\ninput_crop = "none"\n'
    )
    (tmp_path / "s.toml").write_text(text)
    assert read_sweep(tmp_path / "s.toml")
    (tmp_path / "s.toml").write_text(text.replace(*change))
    with pytest.raises(OptionError, match=r"s\.toml: refers to code for its .*'evil:Name'"):
        read_sweep(tmp_path / "s.toml")
    trust(["evil:Name"])
    read_sweep(tmp_path / "s.toml")


@pytest.mark.parametrize(
    "option",
    ["--benchmark evil:Name", "--benchmark=evil:Name", "--dataset evil:Name", "--align evil:Name"],
)
def test_an_evaluation_whose_command_names_code_is_refused(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.torture.readers import all_readers

    monkeypatch.setenv(TRUST, "")
    all_readers()["our evaluation.json"].write(tmp_path)
    path = tmp_path / "one" / "evaluation.json"
    record = json.loads(path.read_text())
    record["command"] = f"rilievo evaluate --benchmark depth --trust-code evil:Name {option}"
    path.write_text(json.dumps(record))
    with pytest.raises(OptionError, match=r"evaluation\.json: refers to code .*'evil:Name'"):
        open_run(path, None)


@pytest.mark.parametrize("name", ["benchmark", "dataset", "align"])
def test_an_evaluation_whose_options_name_code_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.torture.readers import all_readers

    monkeypatch.setenv(TRUST, "")
    all_readers()["our evaluation.json"].write(tmp_path)
    path = tmp_path / "one" / "evaluation.json"
    record = json.loads(path.read_text())
    record["asked"] = {"benchmark": ["depth"], "trust_code": ["evil:Name"], name: ["evil:Name"]}
    path.write_text(json.dumps(record))
    with pytest.raises(OptionError, match=r"evaluation\.json: refers to code .*'evil:Name'"):
        open_run(path, None)


def test_metrics_that_an_evaluation_names_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUST, "")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "named_metric.py").write_text("raise SystemExit('was run')\n")
    assert not trusted_metrics("depth", ["named_metric:CLOSE"])
