"""The core without any extra: what needs one says which, in one line, and nothing else fails."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import COMMANDS
from rilievo.training.commands.train import KINDS
from support.clips import write_clip
from support.core_alone import core_distributions, link_core, run_core

Run = Callable[..., subprocess.CompletedProcess[str]]

SWEEP = '[[backbones]]\nname = "mobilenetv2"\nweights = "random"\n[data]\nroot = "set"\n'

# A use of every command that gets as far as the work itself, and the extra that the work needs.
USES: dict[str, tuple[str, str | None]] = {
    "predict": ("predict set/images/0.png -o out --save npy", None),
    "predict --save exr": ("predict set/images/1.png -o out --save exr", "formats"),
    "predict --model": ("predict set/images/1.png -o out -m zoedepth/nyu", "models"),
    "predict --engine": ("predict set/images/1.png -o out --engine openvino", "fast"),
    "predict --ray": ("predict set/images/1.png -o out --ray local", "cluster"),
    "predict --sequence": ("predict set/images -o seq --sequence --save npz", None),
    "predict --live": ("predict --live clip.mp4", "video"),
    "measure": ("measure set/images/0.png 3,3 40,30 --known 8,8,2", None),
    "measure --markers": ("measure set/images/0.png 3,3 40,30 --markers 0.06", "markers"),
    "markers": ("markers page.pdf", "markers"),
    "verify": ("verify out", None),
    "models": ("models", None),
    "export": ("export rilievo/small -o small.onnx", "export"),
    "export MODEL": ("export depth-anything-v2/small -o other.onnx", "models"),
    "datasets": ("datasets", None),
    "check": ("check folder set", None),
    "train probe": (
        "train probe --dataset folder --root set -o run --backbone mobilenetv2",
        "train",
    ),
    "train video": ("train video set/images -o run", "train"),
    "train supervised": ("train supervised --dataset folder --root set -o run", "train"),
    "probe": ("probe sweep.toml", "train"),
    "evaluate": ("evaluate -b depth --dataset folder --root set -o base", None),
    "evaluate small": (
        "evaluate -b depth --dataset folder --root set -m rilievo/small -o small",
        None,
    ),
    "benchmarks": ("benchmarks", None),
    "compare": ("compare base small", "evaluate"),
    "trajectory": ("trajectory set/images --model run", "fuse"),
    "fuse": ("fuse set/images", "fuse"),
    "app": ("app", "app"),
    "page": ("page -o site", None),
    "surface": ("surface set/images/0.png --depth set/depth/0.png -o shape", None),
    "serve": ("serve", "serve"),
    "mcp": ("mcp --folder set", "mcp"),
    "view": ("view out --photos set/images", "view"),
    "report": ("report out --photos set/images", None),
    "report --paper": ("report out --photos set/images --paper figure.pdf", "evaluate"),
    "example": ("example blender", None),
    "completion": ("completion bash", None),
}
# The input fails, since other inputs of the same call may be photographs.
VIDEOS = {
    "read": "predict clip.mp4 set/images/0.png -o out --save npy",
    "written": "predict set/images -o pictures --sequence --save colour,npy",
}
NAMES = (*(name for name in COMMANDS if name != "train"), *(f"train {kind}" for kind in KINDS))


# Runs every use in one process, as starting one takes longer than most uses.
RUN_ALL = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from rilievo.cli import main
def told(work):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = work()
        except SystemExit as ended:
            code = ended.code
        except Exception as error:
            code = f"traceback: {type(error).__name__}: {error}"
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}
asked = json.load(sys.stdin)
found = [told(lambda: main(each)) for each in asked]
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Done:
    """Result of a command."""

    code: object
    out: str
    err: str


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs Python without extras, in a folder with a small dataset."""
    packages, folder = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("user")
    link_core(packages)
    random = np.random.default_rng(0)
    for name in ("images", "depth"):
        (folder / "set" / name).mkdir(parents=True)
    for index in range(2):
        pixels = random.integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"set/images/{index}.png")
        Image.fromarray(np.full((48, 64), 1500, np.uint16)).save(folder / f"set/depth/{index}.png")
    (folder / "sweep.toml").write_text(SWEEP)
    write_clip(folder / "clip.mp4")

    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return run_core(packages, list(arguments), folder, text)

    return run


@pytest.fixture(scope="module")
def ended(core: Run) -> Callable[[str], Done]:
    """Result of a use: those of videos are run together, and all others with every help."""
    others = {name: use for name, (use, _) in USES.items()}
    others |= {f"{name} --help": f"{name} --help" for name in NAMES}

    @cache
    def results(*, of_videos: bool) -> dict[str, Done]:
        asked = {name: use.split() for name, use in (VIDEOS if of_videos else others).items()}
        done = core("-c", RUN_ALL, text=json.dumps(list(asked.values())))
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        return {name: Done(**each) for name, each in zip(asked, found, strict=True)}

    return lambda name: results(of_videos=name in VIDEOS)[name]


def test_the_environment_of_these_tests_has_the_core_alone(core: Run) -> None:
    assert {"numpy", "onnxruntime", "pillow"} <= core_distributions()
    assert not {"torch", "scipy", "matplotlib", "scikit-image", "av"} & core_distributions()
    done = core("-c", "import numpy, PIL, onnxruntime\nimport scipy")
    assert "No module named 'scipy'" in done.stderr


def test_there_is_a_use_of_every_command() -> None:
    named = {use.split()[0] for use, _ in USES.values()}
    assert named == set(COMMANDS)
    assert {f"train {kind}" for kind in KINDS} <= set(USES)


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_a_command_works_or_names_the_extra_that_it_needs(
    ended: Callable[[str], Done], name: str
) -> None:
    extra = USES[name][1]
    if extra is None:
        assert ended(name).code == 0, ended(name).err
    else:
        check_one_line(ended(name), extra)


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_names_the_extra_that_it_needs(ended: Callable[[str], Done], name: str) -> None:
    done = ended(name)
    assert done.code == 1
    assert "failed" in done.err
    lines = [line for line in done.err.splitlines() if "pip install" in line]
    assert lines
    assert all(line.endswith("pip install 'rilievo[video]'") for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(ended: Callable[[str], Done], name: str) -> None:
    done = ended(f"{name} --help")
    assert (done.code, done.err) == (0, "")
    assert f"rilievo {name}" in done.out


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import pydoc, rilievo; pydoc.help(rilievo)",
        "from rilievo import *; predict, sweep_probes, train_probe",
        "import inspect, rilievo; inspect.getmembers(rilievo)",
    ],
)
def test_the_package_can_be_looked_at(core: Run, code: str) -> None:
    done = core("-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No module named" not in done.stdout


@pytest.mark.slow
def test_pydoc_shows_the_package(core: Run) -> None:
    done = core("-m", "pydoc", "rilievo")
    assert done.returncode == 0
    assert "sweep_probes" in done.stdout
    assert "No module named" not in done.stdout


# How each public function that an extra stands behind is called; the others are records, tables,
# or work on the core.
CALLS = {
    "sweep_probes": ('rilievo.sweep_probes(Path("sweep.toml"))', "train"),
    "probe_correspondence": (
        'rilievo.probe_correspondence(rilievo.CorrespondenceOptions(backbones=["timm/x"], '
        'root="navi"))',
        "train",
    ),
    "train_probe": ('rilievo.train_probe(config, Path("run"), frames=object())', "train"),
    "fine_tune": ('rilievo.fine_tune(tuned, Path("run"))', "train"),
    "fuse_clip": ('rilievo.fuse_clip("set/images", "place.glb")', "fuse"),
    "export_model": ('rilievo.export_model("depth-anything-v2/small", Path("x.onnx"))', "models"),
    "load_model": ('rilievo.load_model("zoedepth/nyu")', "models"),
    "stream": ('next(rilievo.stream("clip.mp4"))', "video"),
    "save": ('rilievo.save(rilievo.predict("set/images/0.png"), "s/0", ["exr"])', "formats"),
}


@pytest.mark.slow
def test_a_public_function_names_the_extra_that_it_needs(core: Run) -> None:
    assert set(CALLS) <= set(rilievo.__all__)
    lines = [
        "import rilievo",
        "from pathlib import Path",
        "from rilievo.training.networks.blueprint import BackboneChoice, Blueprint, ProbeChoice",
        "from rilievo.training.probe.probe_config import DataChoice, ProbeConfig",
        "blueprint = Blueprint(backbone=BackboneChoice(name='small'), probe=ProbeChoice())",
        "config = ProbeConfig(blueprint=blueprint, data=DataChoice(dataset='synthetic'))",
        "from rilievo.training.tuning.tuning_config import TuningConfig, TuningOptions",
        "start = TuningOptions(start='rilievo/small')",
        "tuned = TuningConfig(data=DataChoice(root='set'), tuning=start)",
    ]
    for call, _ in CALLS.values():
        lines += ["try:", f"    {call}", "except rilievo.RilievoError as error:"]
        lines += ["    print(type(error).__name__, isinstance(error, ImportError), error)"]
    done = core("-c", "\n".join(lines))
    assert done.returncode == 0, done.stderr
    for line, (call, extra) in zip(done.stdout.splitlines(), CALLS.values(), strict=True):
        assert line.startswith("MissingExtraError True"), call
        assert f"rilievo[{extra}]" in line, call


def check_one_line(done: Done, extra: str) -> None:
    """Check for exit code 2 and one line that names the extra."""
    assert done.code == 2, f"{done.code}: {done.err}"
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert f"pip install 'rilievo[{extra}]'" in lines[0]
