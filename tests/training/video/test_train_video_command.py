"""``rilievo train video``: what it writes is a model, and slips are said in a line."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import torch

from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import option
from rilievo.training.commands import train_video
from rilievo.training.commands.train_video import parse_and_complete
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import PoseKind
from rilievo.training.video.video_config import VideoConfig
from rilievo.training.video.video_defaults import UncheckedVideoConfig
from support.clips import write_clip
from support.sliding_walls import write_walls


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with walls/ and a run of two steps on them."""
    folder = tmp_path_factory.mktemp("own")
    walls, run = write_walls(folder / "walls"), folder / "run"
    command = ["train", "video", str(walls), "-o", str(run), "--camera", "80,80,47.5,31.5"]
    command += ["--encoder", "timm/test_resnet", "--pose", "cnn", "--start", "scratch"]
    command += ["--size", "64,96", "--batch-size", "2", "--steps", "2", "--stride", "1"]
    command += ["--held-out", "0.2", "--device", "cpu", "--workers", "1", "--tensorboard"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # Two steps may well teach nothing, which is 1.
    assert main(command) in (0, 1)
    torch.set_num_threads(threads)
    return folder


@pytest.mark.slow
def test_a_run_predicts_for_a_video(trained: Path) -> None:
    clip = write_clip(trained / "clip.mp4")
    command = ["predict", str(clip), "--model", str(trained / "run"), "--device", "cpu"]
    assert main([*command, "-o", str(trained / "video"), "--save", "colour"]) == 0
    assert list((trained / "video").rglob("*.mp4"))


@pytest.mark.slow
def test_a_run_is_exported_and_the_file_agrees(trained: Path) -> None:
    file = trained / "run.onnx"
    assert main(["export", str(trained / "run"), "-o", str(file)]) == 0
    assert str(trained).encode() not in file.read_bytes()
    for model, out in ((trained / "run", "torch"), (file, "onnx")):
        command = ["predict", str(trained / "walls/images/000000.png"), "--model", str(model)]
        assert main([*command, "-o", str(trained / out), "--save", "npy", "--device", "cpu"]) == 0
    one, other = (np.load(next((trained / out).rglob("*.npy"))) for out in ("torch", "onnx"))
    np.testing.assert_allclose(one, other, rtol=1e-4)


@pytest.mark.slow
def test_a_run_is_evaluated_and_its_pages_are_written(trained: Path) -> None:
    out = trained / "scores"
    command = ["evaluate", "-b", "depth", "--dataset", "folder", "--root", str(trained / "walls")]
    assert main([*command, "--model", str(trained / "run"), "-o", str(out), "--device", "cpu"]) == 0
    assert (out / "evaluation.json").exists()
    assert main(["report", str(out), "-o", str(trained / "pages")]) == 0


@pytest.mark.slow
def test_events_for_tensorboard_have_numbers_and_pictures(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "run/tensorboard"))
    events.Reload()
    assert {"train/loss", "train/warp_error", "validation/abs_rel"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["pictures"]


@pytest.fixture
def walls(tmp_path: Path) -> Path:
    return write_walls(tmp_path / "walls", frames=4)


def test_every_field_that_is_set_counts(
    walls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "video", str(walls), "-o", str(tmp_path / "run"), "--dry-run"]
    assert main([*command, "--batch-size", "7", "--epochs=9"]) == 0
    printed = capsys.readouterr().out
    assert '"batch_size": 7' in printed
    assert '"epochs": 9' in printed


def test_a_dry_run_says_what_differs_and_lists_the_footage_and_trains_nothing(
    walls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["train", "video", str(walls), "-o", str(out), "--preset", "faithful", "--dry-run"]
    assert main(command) == 0
    said = capsys.readouterr().out
    config = json.loads(said[: said.index("\n}") + 2])
    assert config["format"] == "rilievo-video/1"
    assert "augmentation.move_centre is False (default: True): a mirrored frame" in said
    assert "4 frames of 96x64, focal length 80 px (given)" in said
    assert said.endswith("nothing was trained\n")
    assert not out.exists()


def test_the_help_says_what_ground_truth_beside_the_frames_is_used_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "video", "--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    assert "If ground truth lies beside the frames" in help_text
    assert "uses it to score the held-out frames" in help_text


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ("resnet19", "no encoder 'resnet19'; did you mean 'resnet18'"),
        ("nonsense", "no encoder 'nonsense'; known: small, resnet18"),
        ("timm/resnet19", "no model 'resnet19' in timm; did you mean"),
    ],
)
def test_a_dry_run_refuses_an_encoder_that_there_is_not(
    walls: Path, encoder: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "video", str(walls), "-o", "run", "--start", "none", "--dry-run"]
    assert main([*command, "--encoder", encoder]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("NOWHERE", "no such file or folder"),
        ("CLIP --kind kitti-raw --split eigen_zhou", "no list for the split 'eigen_zhou'"),
    ],
)
def test_a_dry_run_opens_the_footage(
    walls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    paths = {"CLIP": str(walls), "NOWHERE": str(tmp_path / "nowhere")}
    given = [paths.get(word, word) for word in words.split()]
    assert main(["train", "video", *given, "-o", str(tmp_path / "run"), "--dry-run"]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "video NOWHERE",
        "video NOWHERE --dry-run",
        "video NOWHERE --no-such-option",
        "supervised --root NOWHERE --network depth-cnn",
        "probe --root NOWHERE --backbone mobilenetv2",
        "model small --shards NOWHERE",
        "model smal --shards NOWHERE",
    ],
)
def test_a_slip_is_said_before_torch_is_loaded(tmp_path: Path, words: str) -> None:
    """Importing torch takes seconds."""
    given = [str(tmp_path / "x") if each == "NOWHERE" else each for each in words.split()]
    program = (
        "import sys; from rilievo.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(99 if 'torch' in sys.modules else code)"
    )
    command = [sys.executable, "-c", program, "train", *given, "-o", str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr


def config(words: str) -> VideoConfig:
    return parse_and_complete(["a.mp4", "-o", "x", "--device", "cpu", *words.split()])[1]


def test_options_come_to_where_they_belong() -> None:
    found = config(
        "--camera 700,701,320,240 --size 96,320 --encoder lite --milestones 3,4 "
        "--losses.consistency 0.1 --losses.no-minimum"
    )
    assert found.data.camera == (700, 701, 320, 240)
    assert (found.blueprint.size, found.blueprint.encoder) == ((96, 320), "lite")
    assert (found.milestones, found.losses.consistency) == ((3, 4), 0.1)
    assert (found.clip_norm, found.losses.minimum) == (10, False)
    assert config("--encoder resnet50").blueprint.pose_encoder == "resnet50"
    assert config("--encoder lite").blueprint.pose_encoder == "resnet18"
    assert config("--losses.no-automask --losses.predictive-mask").blueprint.mask


def test_a_number_of_a_preset_can_be_turned_back() -> None:
    assert config("--preset clip").losses.anchor == 0.1
    assert config("--preset clip --losses.anchor 0").losses.anchor == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreLosses(VideoLosses):
    curvature: float = 0.0
    """Weight of bent surfaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreConfig(UncheckedVideoConfig):
    losses: MoreLosses = field(default_factory=MoreLosses)


@dataclass(frozen=True, kw_only=True)
class MoreArguments(train_video.Arguments):
    config: Annotated[MoreConfig, option(inline=True)]


def test_a_new_field_of_the_losses_is_an_option_with_its_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_video, "Arguments", MoreArguments)
    with pytest.raises(SystemExit):
        main(["train", "video", "--help", "--all"])
    line = capsys.readouterr().out.partition("--losses.curvature NUMBER")[2].partition("--")[0]
    assert " ".join(line.split()[:6]) == "Weight of bent surfaces. [default: 0]"
    request, _ = parse_and_complete(["a.mp4", "-o", "x", "--losses.curvature", "0.5"])
    assert request.config.losses == MoreLosses(curvature=0.5)


def test_imagenet_is_the_start_of_encoders_that_have_it() -> None:
    assert config("--preset default").start == "imagenet"
    assert config("--encoder small").start == "rilievo/small"
    assert config("--preset default --encoder small").start == "rilievo/small"
    assert config("--start rilievo/small").blueprint.encoder == "small"
    assert config("--encoder lite").start is None
    assert config("--start scratch").start is None
    assert config("--start runs/before").start == "runs/before"


def test_known_motion_makes_depth_metric_and_a_pose_network_needless() -> None:
    followed = config("--poses auto --pose none").blueprint
    assert (followed.kind, followed.pose) == (DepthKind.METRIC, PoseKind.NONE)
    stereo = config("--stereo").blueprint
    assert (stereo.kind, stereo.pose) == (DepthKind.METRIC, PoseKind.SEPARATE)
    assert config("--poses auto").blueprint.kind == DepthKind.UP_TO_SCALE
    both, alone = config("--stereo --poses auto --pose none"), config("--stereo --pose none")
    assert (both.data.follow_poses, both.data.temporal) == (True, True)
    assert (alone.data.follow_poses, alone.data.temporal) == (False, False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--camera 700,700,320", "--camera must be 4 numbers separated by commas"),
        ("--camera a,b,c,d", "--camera must be 4 numbers separated by commas"),
        ("--camera nan,1,1,1", "--camera must be 4 numbers separated by commas"),
        ("--size 100,320", "multiples of 32"),
        ("--size 192", "--size must be 2 integers"),
        ("--kind kitty-raw", "--kind must be frames, kitti-raw, .*, got 'kitty-raw'"),
        ("--pose sharde", "--pose must be separate, shared, .*, got 'sharde'"),
        ("--pose none", "no source frame whose motion is known"),
        ("--preset faithfull", "did you mean 'faithful'"),
        ("--losses.consistancy 1", "did you mean '--losses.consistency'"),
        ("--warm-up 3", "no option --warm-up"),
        ("--losses.predictive-mask", "turn one off"),
        ("--min-depth 10 --max-depth 1", "less than max_depth"),
        ("--batch-size 0", "batch_size must be 1 or more"),
        ("--precision half", "precision must be fp32"),
    ],
)
def test_a_slip_in_an_option_is_said_in_one_line(options: str, words: str) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        config(options)
    assert "\n" not in str(caught.value)


def test_footage_that_is_not_there_ends_the_command_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "video", str(tmp_path / "none"), "-o", str(tmp_path / "run")]
    assert main([*command, "--start", "scratch", "--device", "cpu"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    # The folder can be used again once the name is right.
    assert not (tmp_path / "run/config.json").exists()
