"""``rilievo predict`` by several processes: the same files as by one, byte for byte."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo.predicting.predict_across
from rilievo.cli import main
from rilievo.errors import RilievoError
from rilievo.io.files.atomic import random_part_path, sweep_parts
from rilievo.predicting.options import BatchOptions, PredictOptions
from rilievo.predicting.predict_across import TaskTally, predict_across
from rilievo.predicting.run import predict_files
from rilievo.predicting.summary import RunSummary
from rilievo.predicting.work_processes import Report
from support.killed_predictions import KilledPredictWork

MakeNetwork = Callable[..., Path]
NAMES = ("a.png", "a.jpg", "deep/b.png", "deep/c.png", "deep/er/b.png", "z.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def options(network: Path, output: Path, **more: object) -> PredictOptions:
    return PredictOptions(
        model=str(network),
        output=output,
        save="colour,npz,normals",
        **more,  # pyright: ignore[reportArgumentType]
    )


def across(photos: Path, given: PredictOptions, **batch: object) -> RunSummary:
    how = BatchOptions(**batch)  # pyright: ignore[reportArgumentType]
    return predict_across([photos], given, how, show=False)


def test_two_processes_write_the_files_of_one(
    tmp_path: Path, photos: Path, make_network: MakeNetwork
) -> None:
    network = make_network()
    plain = predict_files([photos], options(network, tmp_path / "plain"), show=False)
    spread = across(photos, options(network, tmp_path / "spread"), workers=2)
    assert contents(tmp_path / "spread") == contents(tmp_path / "plain")
    assert (
        (spread.done, spread.failed, spread.exit_code) == (plain.done, plain.failed, 1) == (6, 1, 1)
    )
    assert spread.failures == plain.failures
    assert sum(spread.spent.answers.values()) == 6
    assert spread.spent.answers == plain.spent.answers


@pytest.mark.slow
def test_parts_in_any_order_write_the_files_of_one_run_and_can_be_resumed(
    tmp_path: Path, photos: Path, make_network: MakeNetwork
) -> None:
    network, output = make_network(), tmp_path / "parts"
    predict_files([photos], options(network, tmp_path / "plain"), show=False)
    parts = [across(photos, options(network, output), shard=f"{n}/3") for n in (3, 1, 2)]
    assert contents(output) == contents(tmp_path / "plain")
    assert (sum(each.done for each in parts), sum(each.failed for each in parts)) == (6, 1)
    is_retry = across(photos, options(network, output, resume=True), shard="2/3")
    assert (is_retry.done, is_retry.finished_before) == (0, parts[2].done)


@pytest.mark.slow
def test_a_process_killed_on_the_way_changes_nothing(
    tmp_path: Path, photos: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network()
    predict_files([photos], options(network, tmp_path / "plain"), show=False)
    monkeypatch.setattr(rilievo.predicting.predict_across, "PredictWork", KilledPredictWork)
    spread = across(photos, options(network, tmp_path / "spread"), workers=1)
    assert (tmp_path / "killed").exists(), "a process was killed"
    assert (spread.done, spread.finished_before, spread.failed) == (6, 0, 1)
    assert contents(tmp_path / "spread") == contents(tmp_path / "plain")


def test_a_run_that_is_stopped_says_that_tasks_under_way_are_not_counted(
    tmp_path: Path, photos: Path, make_network: MakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*given: object, **more: object) -> Iterator[Report]:
        yield Report(done=2)
        raise KeyboardInterrupt

    monkeypatch.setattr(rilievo.predicting.predict_across, "distribute_work", stopped)
    spread = across(photos, options(make_network(), tmp_path / "out"), workers=2)
    assert (spread.done, spread.exit_code) == (2, 130)
    assert any("unfinished tasks are not counted" in note for note in spread.notes)


@pytest.mark.slow
def test_processes_state_once_that_photographs_were_finished_with_other_options(
    tmp_path: Path, photos: Path, make_network: MakeNetwork
) -> None:
    network, out = make_network(), tmp_path / "out"
    predict_files([photos / "deep"], options(network, out), show=False)
    summary = across(photos / "deep", options(network, out, fov=60), workers=2)
    assert str(summary).count("fov was not given and is now 60") == 1
    assert "3 failed for the same reason, such as " in str(summary)


@pytest.mark.slow
def test_a_model_that_is_not_there_is_refused_as_by_one_process(
    tmp_path: Path, photos: Path
) -> None:
    given = options(tmp_path / "none.onnx", tmp_path / "out")
    with pytest.raises(RilievoError) as plain:
        predict_files([photos], given, show=False)
    with pytest.raises(RilievoError) as spread:
        across(photos, given, workers=1)
    assert str(spread.value) == str(plain.value)


@pytest.mark.slow
def test_the_command_spreads_and_says_what_it_did(
    tmp_path: Path, photos: Path, make_network: MakeNetwork, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(photos / "deep"), "-o", str(tmp_path / "out")]
    assert main([*command, "-m", str(make_network()), "--workers", "1"]) == 0
    assert capfd.readouterr().err.startswith("3 done")


def test_parts_of_another_machine_are_left_alone_until_they_are_a_day_old(tmp_path: Path) -> None:
    part = random_part_path(tmp_path / "depth.png")
    elsewhere = part.with_name(part.name.replace(part.name[-21:-13], "0123abcd"))
    assert elsewhere != part
    elsewhere.write_bytes(b"half")
    assert sweep_parts(tmp_path) == []
    old = time.time() - 90_000
    os.utime(elsewhere, (old, old))
    assert sweep_parts(tmp_path) == [elsewhere]


def test_a_failure_of_a_task_has_the_name_of_its_input() -> None:
    tally = TaskTally(translate_message=lambda message: message.replace("copies", "s3://photos"))
    tally.failed("copies/a.png: is text: no image")
    [failure] = tally.failures
    assert failure.name == "s3://photos/a.png"
    assert failure.reason == "s3://photos/a.png: is text: no image"
