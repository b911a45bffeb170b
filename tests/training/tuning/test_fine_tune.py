"""A model that is trained further: the error on images kept out falls, and the run is a model."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from rilievo.cli import main
from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError, OptionError, OutputError
from rilievo.models import load_model
from rilievo.models.default.embedded import embedded_file
from rilievo.models.onnx_files.file_writing import set_metadata
from rilievo.training.adapters.run_models import read_tuned_run
from rilievo.training.adapters.trained import make_tuned_network
from rilievo.training.engine.run_folder import VALIDATION_LOG, read_log_rows
from rilievo.training.losses.supervised_options import Losses
from rilievo.training.networks.blueprint import (
    BackboneChoice,
    Blueprint,
    DepthChoice,
    Family,
    Form,
    ProbeChoice,
    ProbeTarget,
)
from rilievo.training.probe.probe_config import DataChoice, ProbeConfig, RunOptions
from rilievo.training.probe.probe_run import train_probe
from rilievo.training.tuning import start_predictions
from rilievo.training.tuning.held_out import divide_images
from rilievo.training.tuning.network_layers import network_layers
from rilievo.training.tuning.start_models import open_start_model
from rilievo.training.tuning.tuning_config import SecondSet, TuningConfig, TuningOptions
from rilievo.training.tuning.tuning_run import fine_tune, plan_tuning
from rilievo.training.video.other_places import read_pictures
from support.rooms_with_boxes import HEIGHT, WIDTH, rooms_with_boxes

CPU = RunOptions(device="cpu", shown=False)


@pytest.fixture(scope="module", autouse=True)
def few_places(one_thread: None) -> Iterator[None]:
    """Four pictures of other places that judge, and four that are learned."""
    with pytest.MonkeyPatch.context() as patch:
        few = lambda *, held_out: read_pictures(held_out=held_out)[:4]  # noqa: E731
        patch.setattr(start_predictions, "read_pictures", few)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rooms_with_boxes(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded network, which sees photographs at few pixels here."""
    from rilievo.models.onnx_files.file_metadata import file_metadata

    path = tmp_path_factory.mktemp("start") / "small.onnx"
    path.write_bytes(embedded_file("rilievo/small").read_bytes())
    set_metadata(path, {**file_metadata(path), "rilievo.area": "6144"})
    return path


def config_of(root: Path, start: Path | str, **tuning: object) -> TuningConfig:
    return TuningConfig(
        data=DataChoice(root=str(root)),
        tuning=TuningOptions(start=str(start), **tuning),  # pyright: ignore[reportArgumentType]
        epochs=6,
        batch_size=4,
        learning_rate=1e-3,
    )


@pytest.fixture(scope="module")
def run(root: Path, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    fine_tune(config_of(root, small), folder, CPU)
    return folder


def same(one: Path, other: Path) -> bool:
    first, second = (load_file(each / "weights.safetensors") for each in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_the_start_answers_in_torch_as_its_file_does(small: Path) -> None:
    start = open_start_model(str(small))
    photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    (expected,) = load_model(small).predict_raw([photo])
    with torch.no_grad():
        depth, normals = start.network.eval()(torch.from_numpy(photo)[None])
    ratio = depth[0].numpy() / expected.depth.values
    assert np.std(np.log(ratio)) < 1e-4
    assert expected.normals is not None
    assert float((normals[0].numpy() * expected.normals).sum(axis=0).min()) > 0.9999


@pytest.mark.slow
def test_the_error_on_images_kept_out_falls_and_the_run_is_a_model(
    run: Path, root: Path, tmp_path: Path
) -> None:
    record = json.loads((run / "record.json").read_text())
    kept_out = record["kept_out"]
    assert kept_out["images"] == 3
    assert (record["images"], record["gap"]) == (11, 1)
    assert kept_out["after"] < 0.8 * kept_out["before"]
    assert record["best_step"] > 0
    # What the record states is what the model of the folder answers, in torch and as a graph.
    dataset = open_dataset("folder", root)
    for engine in ("torch", "auto"):
        model, errors = load_model(run, device="cpu", engine=engine), []
        for id in dataset.ids[-3:]:
            sample = dataset.sample(id)
            (prediction,) = model.predict_raw([sample.image])
            assert sample.depth is not None
            values = prediction.depth.values * np.median(sample.depth)
            errors.append(np.abs(values / np.median(prediction.depth.values) / sample.depth - 1))
        assert np.mean(errors) == pytest.approx(kept_out["after"], rel=1e-3)
    exported = tmp_path / "tuned.onnx"
    assert main(["export", str(run), "-o", str(exported)]) == 0
    assert load_model(exported).card.normals


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 7])
def test_a_run_that_was_stopped_ends_with_the_same_weights_bit_for_bit(
    root: Path, small: Path, run: Path, tmp_path: Path, stop: int
) -> None:
    config = config_of(root, small)
    assert fine_tune(config, tmp_path, replace(CPU, stop_at=stop)) is None
    # It is a model already.
    assert load_model(tmp_path, device="cpu", engine="torch").kind == "up_to_scale"
    fine_tune(config, tmp_path, replace(CPU, resume=True))
    assert same(run, tmp_path)
    assert read_log_rows(run, VALIDATION_LOG) == read_log_rows(tmp_path, VALIDATION_LOG)


@pytest.mark.slow
def test_a_run_goes_on_from_a_run_and_remembers_where_it_came_from(
    run: Path, root: Path, tmp_path: Path
) -> None:
    config = replace(config_of(root, run, freeze="backbone"), epochs=1)
    fine_tune(config, tmp_path, CPU)
    facts = read_tuned_run(tmp_path)
    assert (facts.network.start, facts.network.licence) == (str(run), "Apache-2.0")
    before, after = (load_file(each / "weights.safetensors") for each in (run, tmp_path))
    assert {
        key for key in before if "encoder" in key and not torch.equal(before[key], after[key])
    } == set()


def test_a_network_of_train_supervised_is_trained_further(root: Path, tmp_path: Path) -> None:
    blueprint = Blueprint(
        backbone=BackboneChoice(name="timm/test_vit", weights="random"),
        probe=ProbeChoice(kind="linear"),
        task=ProbeTarget.DEPTH,
        size=(64, 96),
        depth=DepthChoice(form=Form.SIGMOID),
        uncertainty=False,
    )
    data = DataChoice(root=str(root))
    first = ProbeConfig(blueprint=blueprint, data=data, losses=Losses(normals="angular"), epochs=1)
    train_probe(first, tmp_path / "first", CPU)
    further = config_of(root, tmp_path / "first", layer_rate=1.0)
    record = fine_tune(further, tmp_path / "further", CPU)
    assert record is not None
    assert record.kept_out.after < 0.8 * record.kept_out.before
    model = load_model(tmp_path / "further", device="cpu")
    assert model.kind == "metric"
    assert model.predict_raw([np.zeros((50, 70, 3), np.uint8)])[0].shape == (50, 70)


@pytest.mark.slow
def test_pictures_of_other_places_hold_a_run_to_its_answers(
    root: Path, small: Path, run: Path, tmp_path: Path
) -> None:
    fine_tune(config_of(root, small, replay=0.0), tmp_path, CPU)
    kept, lost = (
        json.loads((each / "record.json").read_text()).get("elsewhere") for each in (run, tmp_path)
    )
    assert lost is None
    assert 0 < kept < 0.5


@pytest.mark.slow
def test_a_second_set_shows_what_was_forgotten(root: Path, small: Path, tmp_path: Path) -> None:
    other = rooms_with_boxes(tmp_path / "other", count=4, seed=1)
    second = SecondSet(root=str(other))
    config = replace(config_of(root, small, second=second), epochs=1)
    record = fine_tune(config, tmp_path / "run", CPU)
    assert record is not None
    assert record.second is not None
    assert record.second.images == 4
    assert record.second.before > 0


@pytest.mark.slow
def test_without_a_better_step_the_start_is_kept_and_said(
    root: Path, small: Path, tmp_path: Path
) -> None:
    config = replace(config_of(root, small, patience=2, average=0.0), learning_rate=0.05)
    record = fine_tune(config, tmp_path, CPU)
    assert record is not None
    assert (record.best_step, record.stopped_early) == (0, True)
    assert "no step has a smaller error" in record.quality_warnings[0]
    start = open_start_model(str(small)).network.state_dict()
    kept = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(start[key], kept[key]) for key in kept)


@pytest.mark.slow
def test_accumulated_batches_are_one_step_and_early_layers_learn_less(
    root: Path, small: Path, tmp_path: Path
) -> None:
    config = config_of(root, small, accumulate=3, layer_rate=0.5)
    record = fine_tune(config, tmp_path, CPU)
    assert record is not None
    assert record.steps <= 6, "three batches of four a pass"
    before = open_start_model(str(small)).network
    after = make_tuned_network(read_tuned_run(tmp_path).network, tmp_path)
    after.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    moved = [
        np.mean([(a - b).abs().mean().item() for a, b in zip(*pair, strict=True)])
        for pair in zip(network_layers(before).all, network_layers(after).all, strict=True)
    ]
    assert moved[0] < 0.01 * moved[-1]


def test_every_weight_of_a_network_stands_in_one_layer(small: Path) -> None:
    start = open_start_model(str(small))
    layers = network_layers(start.network)
    assert len(layers.backbone) == 18
    listed = [id(each) for layer in layers.all for each in layer]
    assert len(listed) == len(set(listed))
    learning = {id(each) for each in start.network.parameters() if each.requires_grad}
    assert learning == set(listed)


@pytest.mark.parametrize(
    ("scenes", "training", "held_out", "gap"),
    [
        (["a"] * 20, 15, 4, 1),
        (["a"] * 8 + ["b"] * 8 + ["c"] * 4, 16, 4, 0),
        (["a"] * 10 + ["b"] * 10, 10, 10, 0),
        (["a"] + ["b"] * 99, 75, 20, 5),
        (["a"] * 9 + ["b"] * 9 + ["c"] * 2, 15, 4, 1),
        (["a"] * 3, 1, 1, 1),
    ],
)
def test_whole_scenes_are_kept_out_and_of_one_scene_its_end_after_a_gap(
    scenes: list[str], training: int, held_out: int, gap: int
) -> None:
    class Frames:
        ids = tuple(f"{number:03}" for number in range(len(scenes)))

        def scene(self, id: str) -> str:
            return scenes[int(id)]

    parts = divide_images(Frames(), DataChoice())  # pyright: ignore[reportArgumentType]
    assert (len(parts.training), len(parts.held_out), parts.gap) == (training, held_out, gap)
    assert max(parts.training) < min(parts.held_out)


@pytest.mark.slow
def test_images_of_several_shapes_are_learned_together(
    root: Path, small: Path, tmp_path: Path
) -> None:
    folder = rooms_with_boxes(tmp_path / "mixed", count=8)
    for number in (0, 3):
        for name in ("images", "depth"):
            path = folder / f"{name}/{number:02}.png"
            Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path)
    record = fine_tune(replace(config_of(folder, small), epochs=1), tmp_path / "run", CPU)
    assert record is not None
    assert record.steps == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--start rilievo/base", "two networks"),
        ("--start rilievo/smal", "did you mean"),
        ("--start rilievo/small --network timm/resnet18", "--network has no effect with --start"),
        ("--start rilievo/small --freeze head", "--freeze must be none, backbone or a number"),
        ("--start rilievo/small --freeze 99", "a number of layers less than 24"),
        ("--start rilievo/small --average 1", "--average must be below 1"),
        ("--start rilievo/small --window 0,9,0,9", "--window has no effect with --start"),
        ("--start rilievo/small --held-out 15", "none is left to train on"),
        ("--freeze backbone", "--freeze needs --start"),
        ("--second.split test", "--second.split needs --start"),
        ("--start rilievo/small --second.split test", "--second.split needs --second.root"),
        (
            "--start rilievo/small --second.dataset nyuv2",
            "--second.dataset needs --second.root",
        ),
        (
            "--start rilievo/small --kind metric",
            "--kind is metric, but rilievo/small predicts up_to_scale depth",
        ),
        ("--start rilievo/small --lora 4", "--lora has no effect: this backbone"),
        ("--start rilievo/small --lora -1", "--lora must be 0 or more"),
        ("--start rilievo/small --checkpointing", "--checkpointing has no effect"),
        ("--start rilievo/small --depth-loss mse", "--depth-loss has no effect with --start"),
        ("--dry-run --network nonsense", "nonsense"),
    ],
)
def test_a_slip_is_said_in_one_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    run = tmp_path / "run"
    command = ["train", "supervised", "--root", str(root), "-o", str(run), "--device", "cpu"]
    assert main([*command, *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not run.exists()


def test_the_command_says_before_and_after(
    root: Path, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["train", "supervised", "--root", str(root), "--start", str(small), "-o", str(run)]
    command += ["--epochs", "3", "--batch-size", "4", "--learning-rate", "1e-3", "--device", "cpu"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "AbsRel on 3 images (held out): 0." in said
    assert "depth of the bundled pictures has changed by" in said
    assert "AbsRel on 3 images (held out)" in (run / "page.html").read_text("utf-8")
    config = json.loads((run / "config.json").read_text())
    assert (config["epochs"], config["batch_size"], config["learning_rate"]) == (3, 4, 1e-3)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            "--start rilievo/small --freeze backbone --accumulate 2 --epochs 3",
            [
                "start: rilievo/small, up_to_scale depth",
                "11 for training, 3 held out, 1 left out",
                "ground truth of the first image, 00: depth at 100% of its pixels, 1 to 4 m\n",
            ],
        ),
        (
            "--network depth-cnn --preset plain",
            [
                "network: depth-cnn for depth",
                "steps: 80, each with up to 2 images",
                "ground truth of the first image, 00: depth at 100% of its pixels, 1 to 4 m\n",
            ],
        ),
    ],
)
def test_a_dry_run_says_what_would_be_trained_and_leaves_nothing(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, lines: list[str]
) -> None:
    run = tmp_path / "run"
    command = ["train", "supervised", "--root", str(root), "-o", str(run), "--dry-run"]
    assert main([*command, *words.split()]) == 0
    text = capsys.readouterr().out
    assert [line for line in (*lines, "nothing was trained") if line not in text] == []
    assert not run.exists()


def test_a_dry_run_counts_the_weights_and_steps_of_the_run(
    root: Path, small: Path, run: Path
) -> None:
    record = json.loads((run / "record.json").read_text())
    start, _, _, steps = plan_tuning(config_of(root, small))
    assert f"{record['parameters']:,} weights, of which {record['learning']:,} are trained" in start
    assert f"steps: at most {record['steps']}, each with up to 4 images" in steps


def test_the_help_has_both_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "supervised", "--help", "--all"])
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "Number of passes through the images. [default: 10, or 20 with --start]",
        "[default: 0, or about a fifth of the images with --start]",
        "0.0002 with",
    ):
        assert words in text


def test_an_image_without_truth_judges_nothing(small: Path, tmp_path: Path) -> None:
    folder = rooms_with_boxes(tmp_path / "holes")
    for number in (3, 13):
        empty = np.zeros((HEIGHT, WIDTH), np.uint16)
        Image.fromarray(empty).save(folder / f"depth/{number:02}.png")
    record = fine_tune(replace(config_of(folder, small), epochs=1), tmp_path / "run", CPU)
    assert record is not None
    assert (record.kept_out.images, record.skipped) == (2, 1)


def test_images_without_depth_are_refused_in_a_line(small: Path, tmp_path: Path) -> None:
    folder = rooms_with_boxes(tmp_path / "empty", count=4)
    for path in (folder / "depth").glob("*.png"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)).save(path)
    with pytest.raises(InputError, match="none of the held-out images can be scored"):
        fine_tune(config_of(folder, small), tmp_path / "run", CPU)


def test_a_run_is_resumed_with_its_own_options_alone(run: Path, root: Path, small: Path) -> None:
    with pytest.raises(OutputError, match="different options"):
        fine_tune(config_of(root, small, replay=0.5), run, replace(CPU, resume=True))
    with pytest.raises(OptionError, match="start"):
        TuningConfig(data=DataChoice(), tuning=TuningOptions())
    assert read_tuned_run(run).network.family is Family.SMALL


def test_a_dry_run_says_that_the_first_target_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = rooms_with_boxes(tmp_path / "empty", count=6)
    holes = np.zeros((HEIGHT, WIDTH), np.uint16)
    Image.fromarray(holes).save(folder / "depth/00.png")
    command = ["train", "supervised", "--root", str(folder), "-o", "run", "--dry-run"]
    assert main(command) == 0
    assert (
        "ground truth of the first image, 00: depth at 0% of its pixels\n"
        in capsys.readouterr().out
    )
    (folder / "depth/00.png").write_bytes(b"no picture")
    assert main(command) == 2
    assert "00.png" in capsys.readouterr().err
