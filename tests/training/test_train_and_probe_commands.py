"""``rilievo train``: what it writes is a model, and slips are said in a line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.models import load_model
from rilievo.training.commands.train_probe import parse_and_complete
from rilievo.training.networks.blueprint import Form
from rilievo.training.probe.probe_config import ProbeConfig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sloping walls with depth [mm] and normals, as people keep them."""
    random = np.random.default_rng(0)
    for name in ("images", "depth", "normals"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for number in range(4):
        depth = np.repeat(np.linspace(3000 - 400 * number, 1000, 48)[:, None], 64, axis=1)
        image = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f"data/images/{number}.png")
        Image.fromarray(depth.astype(np.uint16)).save(tmp_path / f"data/depth/{number}.png")
        normals = np.zeros((48, 64, 3), np.float32)
        normals[..., 2] = -1
        np.save(tmp_path / f"data/normals/{number}.npy", normals)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "network", "options"),
    [
        ("depth", "depth-cnn", ["--depth-loss", "berhu"]),
        ("normals", "normal-cnn", []),
        ("both", "timm/test_resnet", ["--depth-loss", "l1", "--normals-loss", "uncertain"]),
    ],
)
def test_a_whole_network_learns_from_a_folder_and_answers_for_a_photograph_of_any_size(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    task: str,
    network: str,
    options: list[str],
) -> None:
    run = folder / "run"
    command = ["train", "supervised", "--root", str(folder / "data"), "-o", str(run)]
    command += ["--task", task, "-n", network, "--size", "48,64", "--epochs", "2"]
    ended = main([*command, "--batch-size", "2", "--device", "cpu", *options])
    said = capsys.readouterr().out
    assert "4 steps on 4 images" in said
    assert ended == ("no better than a constant" in said)
    photo = np.zeros((75, 53, 3), np.uint8)
    (prediction,) = load_model(run, device="cpu").predict_raw([photo])
    assert prediction.shape == (75, 53)
    assert (prediction.depth_or_none is not None) == (task != "normals")
    assert (prediction.normals is not None) == (task != "depth")


def probe_command(folder: Path, *options: str) -> list[str]:
    command = ["train", "probe", "--root", str(folder / "data"), "-o", str(folder / "run")]
    command += ["-b", "timm/test_vit", "--weights", "random", "--probe", "linear", "--layers"]
    return [*command, "0,2", "--size", "48,64", "--device", "cpu", *options]


def test_a_probe_that_learned_nothing_is_said_and_ends_with_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(probe_command(folder, "--epochs", "1", "--learning-rate", "0")) == 1
    assert "no better than a constant on 4 training images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("network", "decoder"), [("depth-cnn", "linear"), ("timm/test_vit", "light")]
)
def test_the_help_states_the_decoder_that_a_network_gets(
    folder: Path, capsys: pytest.CaptureFixture[str], network: str, decoder: str
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "supervised", "--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    assert "[default: light, or linear for depth-cnn and normal-cnn]" in help_text
    command = ["train", "supervised", "--root", str(folder / "data"), "-o", str(folder / "run")]
    assert main([*command, "--size", "48,64", "-n", network, "--dry-run"]) == 0
    assert f"in the decoder '{decoder}'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("missing", "task", "advice"),
    [("normals", "normals", "depth"), ("normals", "both", "depth"), ("depth", "depth", "normals")],
)
def test_a_task_that_the_folder_cannot_teach_is_refused_with_the_one_that_it_can(
    folder: Path, capsys: pytest.CaptureFixture[str], missing: str, task: str, advice: str
) -> None:
    shutil.rmtree(folder / "data" / missing)
    assert main(probe_command(folder, "--task", task)) == 2
    said = capsys.readouterr().err
    assert f"has no ground-truth {missing}" in said
    assert f"train for {advice} alone" in said


@pytest.mark.parametrize("num_held_out", [0, 2])
def test_the_errors_on_held_out_images_are_said(
    folder: Path, capsys: pytest.CaptureFixture[str], num_held_out: int
) -> None:
    main(probe_command(folder, "--task", "both", "--held-out", str(num_held_out)))
    said = capsys.readouterr().out.splitlines()
    depth_lines = [line for line in said if line.startswith("AbsRel of depth on 2 held-out images")]
    normals_lines = [line for line in said if line.startswith("error of normals on 2 held-out")]
    assert len(depth_lines) == len(normals_lines) == bool(num_held_out)
    if num_held_out:
        errors = json.loads((folder / "run" / "record.json").read_text())["constant_comparison"]
        assert f": {errors['abs_rel']:.3f} " in depth_lines[0]
        assert f", {errors['constant_abs_rel']:.3f} for a constant" in depth_lines[0]
        assert f": {errors['angle']:.1f}°, " in normals_lines[0]


@pytest.mark.parametrize("options", [(), ("--held-out", "1")])
def test_a_probe_that_learned_ends_with_0(
    folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert main(probe_command(folder, "--epochs", "20", "--learning-rate", "0.01", *options)) == 0
    assert "no better than a constant" not in capsys.readouterr().out
    if options:
        pytest.importorskip("matplotlib", reason="charts of runs need the extra 'evaluate'")
    page = (folder / "run" / "page.html").read_text("utf-8")
    assert "learning_rate" in page
    # Scores of an image that is held out make curves; the log of so few steps has one row.
    assert ("<svg" in page) == bool(options)


@pytest.mark.parametrize(
    ("network", "weights"),
    [
        ("depth-cnn", "weights: all 208,593 are trained, 208,528 in the encoder and 65 in the"),
        ("timm/test_resnet --encoder-rate 0", "in the encoder stay frozen"),
    ],
)
def test_a_dry_run_of_a_whole_network_speaks_of_its_encoder_and_decoder(
    folder: Path, capsys: pytest.CaptureFixture[str], network: str, weights: str
) -> None:
    command = ["train", "supervised", "--root", str(folder / "data"), "-o", "run", "--dry-run"]
    assert main([*command, "--size", "48,64", "--network", *network.split()]) == 0
    plan = capsys.readouterr().out
    assert weights in plan
    assert "probe" not in plan
    assert "backbone" not in plan


def test_only_the_first_of_several_processes_says_how_a_run_ended(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    main(probe_command(folder, "--epochs", "1"))
    assert capsys.readouterr().out == ""


def test_a_probe_is_trained_and_predicts_on_the_command_line(folder: Path) -> None:
    run = folder / "run"
    assert main(probe_command(folder, "--epochs", "1")) in (0, 1)
    photo, out = str(folder / "data/images/0.png"), str(folder / "out")
    predict = ["predict", photo, "--model", str(run), "--kind", "metric", "--save", "npy"]
    assert main([*predict, "-o", out, "--device", "cpu"]) == 0
    assert np.load(next(Path(out).glob("*.npy"))).shape == (48, 64)


def test_error_and_help_say_where_the_weights_of_mobilenetv2_come_from(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "probe", "--root", str(folder / "data"), "-o", str(folder / "run")]
    assert main([*command, "--backbone", "mobilenetv2"]) == 2
    assert "mobilenetv2-7.onnx from the ONNX Model Zoo" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "probe", "--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    assert "mobilenetv2-7.onnx from the ONNX Model Zoo" in help_text
    # The examples train with published weights, which this backbone does not have.
    assert "--backbone mobilenetv2" not in help_text


def test_the_kinds_of_training_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    assert "supervised" in capsys.readouterr().out
    assert main(["train", "supervise"]) == 2
    assert "did you mean 'supervised'" in capsys.readouterr().err


def config(kind: str, words: str) -> ProbeConfig:
    return parse_and_complete(kind, ["-o", "x", *words.split()])[1]


def test_a_pretrained_encoder_learns_ten_times_slower_than_its_decoder() -> None:
    fresh = config("supervised", "--learning-rate 1e-3")
    tuned = config("supervised", "--learning-rate 1e-3 --weights pretrained")
    assert fresh.backbone_rate == 1e-3
    assert tuned.backbone_rate == pytest.approx(1e-4)
    assert config("supervised", "--weights pretrained --encoder-rate 0").backbone_rate == 0


def test_a_whole_network_is_a_backbone_with_a_decoder() -> None:
    small = config("supervised", "--root data").blueprint
    assert (small.backbone.name, small.probe.kind) == ("depth-cnn", "linear")
    assert (small.depth.form, small.uncertainty) == (Form.SIGMOID, False)
    both = "-n timm/resnet18 --normals-loss uncertain --decoder dpt --largest 80"
    found = config("supervised", both).blueprint
    assert (found.backbone.name, found.probe.kind) == ("timm/resnet18", "dpt")
    assert (found.uncertainty, found.depth.largest) == (True, 80)


def test_fields_that_are_given_stand_before_those_of_the_preset() -> None:
    found = config("probe", "-b a --preset probe3d --layers 0,-1 --losses.depth l1")
    assert (found.preset, found.shuffle, found.augmentation.jitter) == ("probe3d", False, 0.8)
    assert (found.blueprint.backbone.layers, found.losses.depth) == ((0, -1), "l1")
    assert found.blueprint.uncertainty
    assert not config("probe", "-b a --losses.normals angular").blueprint.uncertainty
    calm = config("probe", "-b a --preset probe3d --augmentation.flip 0.5 --warm-up 2")
    assert (calm.augmentation.flip, calm.augmentation.crop, calm.warm_up) == (0.5, 0.5, 2)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("probe", "this command needs --backbone NAME"),
        ("probe -b a --size 480", "--size must be 2 integers"),
        ("probe -b a --task dept", "--task must be depth, normals or both, got 'dept'"),
        ("probe -b a --preset probe", "did you mean 'probe3d'"),
        ("probe -b a --layers 1;2", "--layers must be integers"),
        ("supervised --depth-loss l2", "did you mean 'l1'"),
        ("probe -b a --format x", "no option --format"),
        ("supervised --decoder ligth", "did you mean 'light'"),
        ("supervised --epochs 0", "epochs must be 1 or more"),
        ("supervised --preset plane", "preset must be default or plain, got 'plane'"),
    ],
)
def test_a_slip_in_an_option_is_said_in_one_line(line: str, words: str) -> None:
    kind, _, options = line.partition(" ")
    with pytest.raises(OptionError, match=words) as caught:
        config(kind, options)
    assert "\n" not in str(caught.value)
