"""Training on video: what comes out is a function of the configuration alone."""

from contextlib import redirect_stderr
from copy import deepcopy
from csv import DictReader
from dataclasses import replace
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rilievo.errors import InputError, OptionError, OutputError, RilievoError
from rilievo.io.json_record import from_json, to_json
from rilievo.models import load_model
from rilievo.training.engine import loop
from rilievo.training.engine.loop import batch_seed, launch_fabric
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import PoseKind
from rilievo.training.networks.video.video_networks import VideoNetworks
from rilievo.training.video.video_config import VideoAugmentation, VideoRunOptions
from rilievo.training.video.video_records import VideoRecord
from rilievo.training.video.video_run import fastest_layout, prepare_task, train_video
from support.sliding_walls import write_walls
from support.video_runs import CPU, same, small_config, weights_of

GO_ON = VideoRunOptions(device="cpu", resume=True)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walls(tmp_path_factory.mktemp("footage") / "walls")


@pytest.fixture(scope="module")
def said() -> list[str]:
    """Lines on standard error of ``whole``."""
    return []


@pytest.fixture(scope="module")
def whole(walls: Path, tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> Path:
    """A run that nothing disturbed."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    with redirect_stderr(StringIO()) as told:
        train_video(small_config(walls), run, CPU)
    said += told.getvalue().splitlines()
    return run


def test_a_run_tells_its_steps_loss_and_time_left(whole: Path, said: list[str]) -> None:
    assert whole.is_dir()
    first, last = said[0], said[-1]
    assert "step 0 of 6" in first
    assert "step 6 of 6" in last
    assert "loss 0." in last
    assert "images a second" in last
    assert "0 s left" in last
    assert not any("\r" in line for line in said)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": "/no/such/run"}, "no weights to start from"),
        ({"data": {"least_motion": 1000.0}}, "move less than"),
        ({"data": {"camera_file": "/no/such/camera.yaml"}}, "camera.yaml"),
    ],
)
def test_a_start_that_is_refused_leaves_nothing_behind(
    walls: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    config = small_config(walls)
    data = replace(config.data, **changes.get("data", {}))
    refused = replace(config, start=changes.get("start"), data=data)
    with pytest.raises(RilievoError, match=words):
        train_video(refused, tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()
    # What was there before stays.
    (tmp_path / "run" / "frames").mkdir(parents=True)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(RilievoError, match=words):
        train_video(refused, tmp_path / "run", CPU)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"frames", "notes.txt"}


def test_a_run_says_what_it_did_and_is_not_done_again(walls: Path, whole: Path) -> None:
    record = from_json(VideoRecord, (whole / "record.json").read_text())
    assert (record.targets, record.held_out, record.steps) == (6, 2, 6)
    assert record.epochs == 2
    assert record.abs_rel is not None
    assert record.constant_abs_rel == pytest.approx(0.375)
    assert record.warp_error is not None
    assert record.best_error is not None
    assert record.best_error <= record.warp_error
    (sequence,) = record.sequences
    assert sequence.camera == pytest.approx((80, 80, 47.5, 31.5))
    assert not (whole / "checkpoint.pt").exists()
    written = (whole / "weights.safetensors").stat().st_mtime_ns
    assert train_video(small_config(walls), whole, GO_ON) == record
    assert (whole / "weights.safetensors").stat().st_mtime_ns == written


def test_tables_and_pictures_are_there_to_look_at(whole: Path) -> None:
    header, *rows = (whole / "log.csv").read_text().splitlines()
    assert {"warp_error", "identity_error", "masked", "mean_depth", "translation"} <= set(
        header.split(",")
    )
    assert [row.split(",")[0] for row in rows] == ["6"]
    validation = (whole / "validation.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in validation[1:]] == ["3", "6"]
    # Corners are triangulated where motion is by geometry alone.
    assert "nan" not in validation[-1].rpartition(",")[0]
    with Image.open(whole / "pictures/step-0000006.png") as picture:
        assert picture.size == (96, 5 * 64)


@pytest.mark.parametrize(
    "losses",
    [
        VideoLosses(smoothness=0.1, consistency=2.0, motion_mask=True),
        VideoLosses(smoothness=0.1, predictive_mask=True, automask=False),
    ],
)
@pytest.mark.slow
def test_the_parts_of_the_loss_add_up_in_the_log(
    walls: Path, tmp_path: Path, losses: VideoLosses
) -> None:
    config = small_config(walls)
    blueprint = replace(config.blueprint, mask=losses.predictive_mask)
    train_video(replace(config, losses=losses, blueprint=blueprint, steps=2), tmp_path, CPU)
    with (tmp_path / "log.csv").open(newline="") as file:
        (row,) = ({name: float(cell) for name, cell in each.items()} for each in DictReader(file))
    assert row["extra"] > 0.01
    parts = row["photometric"] + row["smoothness"] + row["extra"]
    assert parts == pytest.approx(row["loss"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".", "best"])
def test_a_run_and_the_best_of_it_are_models(whole: Path, folder: str) -> None:
    (prediction,) = load_model(whole / folder, device="cpu").predict_raw(
        [np.zeros((75, 53, 3), np.uint8)]
    )
    assert prediction.shape == (75, 53)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 4])
def test_a_run_that_was_stopped_ends_with_the_same_weights_bit_for_bit(
    walls: Path, whole: Path, tmp_path: Path, stop: int
) -> None:
    config = small_config(walls)
    assert train_video(config, tmp_path, replace(CPU, stop_at=stop)) is None
    assert (tmp_path / "checkpoint.pt").exists()
    # As a kill leaves it that comes while a row is written.
    with (tmp_path / "validation.csv").open("a") as file:
        file.write("9,3,0.1")
    train_video(config, tmp_path, replace(GO_ON, workers=2))
    assert same(weights_of(tmp_path), weights_of(whole))
    assert same(weights_of(tmp_path / "best"), weights_of(whole / "best"))
    tables = [(run / "validation.csv").read_text() for run in (tmp_path, whole)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("capability", "layout"),
    [
        ("DEFAULT", torch.contiguous_format),
        ("AVX2", torch.contiguous_format),
        ("AVX512", torch.channels_last),
    ],
)
def test_the_layout_of_maps_follows_the_processor(
    walls: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capability: str,
    layout: torch.memory_format,
) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    config = small_config(walls)
    fabric = launch_fabric("cpu")
    task = prepare_task(config, tmp_path, tmp_path / "frames", fabric)
    weights = [each for each in task.learner.parameters() if each.dim() == 4]
    assert weights
    assert all(each.is_contiguous(memory_format=layout) for each in weights)
    assert fastest_layout(torch.device("cuda")) is torch.channels_last


def test_chance_within_a_batch_is_its_numbers_and_leaves_that_outside_alone() -> None:
    before, drawn = torch.get_rng_state(), []
    for number in (3, 3, 4):
        with batch_seed(0, number, torch.device("cpu")):
            drawn.append(torch.rand(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.slow
def test_accumulated_batches_draw_other_numbers(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    check = loop.check_finite

    def draw(name: str, *values: torch.Tensor) -> None:
        check(name, *values)
        if name == "loss":
            drawn.append(float(torch.rand(())))

    monkeypatch.setattr(loop, "check_finite", draw)
    config = replace(small_config(walls), accumulate=3)
    train_video(config, tmp_path, replace(CPU, stop_at=1))
    assert len(drawn) == len(set(drawn)) == 3


@pytest.mark.slow
def test_accumulated_batches_are_one_step(walls: Path, tmp_path: Path) -> None:
    config = replace(small_config(walls), accumulate=3)
    record = train_video(config, tmp_path, CPU)
    assert record is not None
    assert (record.steps, record.epochs) == (2, 2)


def test_a_resume_with_other_options_names_them(walls: Path, whole: Path) -> None:
    config = replace(small_config(walls), batch_size=3, learning_rate=1e-4)
    with pytest.raises(
        OutputError,
        match=r"batch_size was 2, is now 3; learning_rate was 0\.001, is now 0\.0001",
    ):
        train_video(config, whole, GO_ON)
    with pytest.raises(OutputError, match="already contains a run"):
        train_video(small_config(walls), whole, CPU)


@pytest.mark.slow
def test_a_resume_with_numbers_written_otherwise_goes_on(walls: Path, tmp_path: Path) -> None:
    config = replace(small_config(walls), augmentation=VideoAugmentation(flip=0.0))
    whole = deepcopy(config)
    # As a user may write it; the checks of types in tests would refuse it.
    object.__setattr__(whole.augmentation, "flip", 0)
    train_video(whole, tmp_path, replace(CPU, stop_at=1))
    record = train_video(config, tmp_path, GO_ON)
    assert record is not None


def test_too_few_targets_are_refused_with_the_reasons_why_others_are_none(
    walls: Path, tmp_path: Path
) -> None:
    config = replace(small_config(walls), batch_size=30)
    with pytest.raises(InputError) as caught:
        train_video(config, tmp_path / "run", CPU)
    assert str(caught.value) == (
        "the footage has 6 target frames to train on, fewer than the batch size of 30 (other "
        "frames: 2 without a neighbour on each side, 2 next to held-out frames, 2 held out); use a "
        "smaller batch_size or more footage"
    )
    assert not (tmp_path / "run").exists()


def test_a_folder_of_something_else_is_left_alone(walls: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(OutputError, match="was not written by this kind of training"):
        train_video(small_config(walls), tmp_path, GO_ON)
    assert (tmp_path / "config.json").read_text() == "{}"


@pytest.mark.slow
def test_a_checkpoint_of_another_number_of_processes_is_refused(
    walls: Path, tmp_path: Path
) -> None:
    train_video(small_config(walls), tmp_path, replace(CPU, stop_at=1))
    path = tmp_path / "checkpoint.pt"
    entries = torch.load(path, weights_only=True)
    text = f"2 {to_json(small_config(walls))}"
    assert entries["fingerprint"] == sha256(f"1{text[1:]}".encode()).hexdigest()
    torch.save(entries | {"fingerprint": sha256(text.encode()).hexdigest()}, path)
    with pytest.raises(InputError, match="number of processes"):
        train_video(small_config(walls), tmp_path, GO_ON)


def test_a_loss_that_is_no_number_ends_the_run_in_a_line(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = VideoNetworks.forward

    def spoiled(self: VideoNetworks, target: torch.Tensor, sources: tuple[torch.Tensor, ...]):
        outputs = answer(self, target, sources)
        return outputs._replace(
            sigmoids=tuple(sigmoid * float("nan") for sigmoid in outputs.sigmoids)
        )

    monkeypatch.setattr(VideoNetworks, "forward", spoiled)
    with pytest.raises(InputError, match=r"step 0: the depth is not finite: .*learning rate"):
        train_video(small_config(walls), tmp_path, CPU)


@pytest.mark.slow
def test_weights_that_are_no_numbers_are_not_saved(walls: Path, tmp_path: Path) -> None:
    config = replace(small_config(walls), learning_rate=1e30, clip_norm=None, checkpoint_steps=1)
    with pytest.raises(InputError, match=r"step \d: the \w+ is not finite"):
        train_video(config, tmp_path, CPU)
    path = tmp_path / "checkpoint.pt"
    if path.exists():
        saved = torch.load(path, weights_only=True)["learner"]
        assert all(torch.isfinite(each).all() for each in saved.values())


def test_too_little_memory_is_said_with_what_to_lower(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object) -> None:
        torch.empty(10**15)

    # The memory of a step is measured on networks that can be run.
    monkeypatch.setattr("rilievo.training.video.video_run.required_memory", lambda _: 0)
    monkeypatch.setattr(VideoNetworks, "forward", greedy)
    with pytest.raises(OptionError, match=r"step with 2 targets of 96x64 .*batch_size.*bf16"):
        train_video(small_config(walls), tmp_path, CPU)


@pytest.mark.slow
def test_a_broken_frame_is_passed_over_and_counted(tmp_path: Path) -> None:
    walls = write_walls(tmp_path / "walls", frames=14)
    (walls / "images/000004.png").write_bytes(b"no picture")
    record = train_video(small_config(walls), tmp_path / "run", CPU)
    assert record is not None
    assert any("images/000004.png: this is a text file" in note for note in record.notes)
    assert record.steps == 6


@pytest.mark.slow
def test_focal_lengths_are_refined_where_that_is_asked(walls: Path, tmp_path: Path) -> None:
    config = small_config(walls)
    config = replace(config, data=replace(config.data, learn_camera=True), camera_rate=0.01)
    record = train_video(config, tmp_path, CPU)
    assert record is not None
    assert record.focal_factors is not None
    factors = np.array(record.focal_factors)
    assert (np.abs(factors - 1) > 1e-4).all()
    assert (np.abs(factors - 1) < 0.1).all()
    np.testing.assert_allclose(record.sequences[0].camera[:2], 80 * factors)


@pytest.mark.slow
def test_known_poses_take_the_place_of_a_pose_network(walls: Path, tmp_path: Path) -> None:
    config = small_config(walls)
    config = replace(
        config,
        blueprint=replace(config.blueprint, pose=PoseKind.NONE),
        data=replace(config.data, follow_poses=True),
    )
    record = train_video(config, tmp_path, CPU)
    assert record is not None
    assert record.pose_parameters == 0
    last = (tmp_path / "validation.csv").read_text().splitlines()[-1].split(",")
    assert float(last[-1]) == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_half_precision_trains_too_and_the_loss_stays_whole(walls: Path, tmp_path: Path) -> None:
    config = replace(small_config(walls), precision="bf16", clip_norm=1.0, epochs=1)
    record = train_video(config, tmp_path, CPU)
    assert record is not None
    assert record.loss is not None
    assert all(each.dtype == torch.float32 for each in weights_of(tmp_path).values() if each.dim())
    with pytest.raises(OptionError, match="fp16 needs a GPU"):
        train_video(replace(config, precision="fp16"), tmp_path / "fp16", CPU)
