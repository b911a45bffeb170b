"""Pictures of other places, which a run on one place must not forget."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rilievo.data.clips.footage import VideoData
from rilievo.errors import OptionError
from rilievo.models.resampling.preparation import network_size
from rilievo.training.engine.run_folder import STEP_LOG, VALIDATION_LOG, WARNING_LOG, read_log_rows
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.networks.video.depth_network import sigmoid_to_depth
from rilievo.training.networks.video.video_networks import (
    VideoNetworks,
    fill_depth_from_embedded,
    make_networks,
)
from rilievo.training.video import other_places, video_task
from rilievo.training.video.other_places import ARCHIVE, ReplayPictures, read_pictures
from rilievo.training.video.video_config import VideoConfig
from rilievo.training.video.video_presets import preset_config
from rilievo.training.video.video_records import video_run_folder
from rilievo.training.video.video_run import train_video
from support.sliding_walls import SIZE
from support.video_runs import CPU, clip_config, same, weights_of

BLUEPRINT = VideoBlueprint(encoder="small", pose=PoseKind.GEOMETRY, size=SIZE, scales=(0,))


@pytest.fixture
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six pictures that judge, and six that are learned."""
    monkeypatch.setattr(
        other_places, "read_pictures", lambda *, held_out: read_pictures(held_out=held_out)[:6]
    )


def embedded() -> VideoNetworks:
    networks = make_networks(BLUEPRINT, offsets=(-1, 1), seed=0)
    fill_depth_from_embedded(networks)
    return networks


def places_of(networks: VideoNetworks) -> ReplayPictures:
    return ReplayPictures.predict(networks.depth, SIZE[0] * SIZE[1], torch.device("cpu"), seed=0)


def test_two_dozen_pictures_judge_and_others_are_learned_within_a_megabyte() -> None:
    assert ARCHIVE.stat().st_size <= 1_000_000
    judges, learned = (read_pictures(held_out=is_judging) for is_judging in (True, False))
    assert len(judges) == 24
    assert len(learned) >= 24
    assert not {is_judging.tobytes() for is_judging in judges} & {
        is_judging.tobytes() for is_judging in learned
    }
    assert all(is_judging.std() > 5 for is_judging in (*judges, *learned)), "none is blank"
    wide = [is_judging.shape[1] > 2 * is_judging.shape[0] for is_judging in judges]
    assert 0 < sum(wide) < len(wide) / 2


@pytest.mark.usefixtures("few_places")
def test_the_start_has_not_changed_and_a_factor_of_depth_is_no_change() -> None:
    networks = embedded()
    places = places_of(networks)
    assert places.depth_change(networks.depth) == 0
    # With gradients, norms are multiplied into weights: the last bits differ.
    assert places.loss(networks.depth, 3, 4).item() == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        # The head's first channel is the logarithm of depth.
        networks.depth.decoder.head.bias[0] += 0.1
    assert places.depth_change(networks.depth) == pytest.approx(0, abs=2e-3)


@pytest.mark.usefixtures("few_places")
def test_the_change_is_that_of_the_logarithms_after_the_median() -> None:
    networks = embedded()
    places = places_of(networks)

    def depths() -> list[np.ndarray]:
        result = []
        for picture in other_places.read_pictures(held_out=True):
            rows, columns = network_size(
                picture.shape[:2], pixel_count=SIZE[0] * SIZE[1], multiple=32
            )
            shown = np.asarray(Image.fromarray(picture).resize((columns, rows)))
            view = torch.from_numpy(shown.astype(np.float32) / 255).permute(2, 0, 1)[None]
            with torch.no_grad():
                result.append(
                    sigmoid_to_depth(networks.depth.eval()(view)[0][0, 0], BLUEPRINT).numpy()
                )
        return result

    before = depths()
    with torch.no_grad():
        networks.depth.decoder.head.weight[0] *= 1.2
    expected = []
    for old, new in zip(before, depths(), strict=True):
        apart = np.log(new) - np.log(old)
        expected.append(np.abs(apart - np.median(apart)).mean())
    assert np.mean(expected) > 0.01
    assert places.depth_change(networks.depth) == pytest.approx(np.mean(expected), rel=0.01)


@pytest.mark.slow
@pytest.mark.usefixtures("few_places")
def test_training_on_the_pictures_brings_a_changed_network_back() -> None:
    networks = embedded()
    places = places_of(networks)
    with torch.no_grad():
        networks.depth.decoder.head.weight[0] *= 1.2
    changed = places.depth_change(networks.depth)
    optimizer = torch.optim.Adam(networks.depth.decoder.head.parameters(), lr=3e-4)
    networks.train()
    for step in range(12):
        optimizer.zero_grad()
        places.loss(networks.depth, step, 8).backward()
        optimizer.step()
    assert places.depth_change(networks.depth) < 0.7 * changed


@pytest.mark.slow
@pytest.mark.usefixtures("few_places")
def test_a_validation_states_the_change_and_the_record_that_of_its_weights(
    walls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = train_video(clip_config(walls), tmp_path / "run", CPU)
    assert record is not None
    rows = read_log_rows(tmp_path / "run", VALIDATION_LOG)
    changes = {int(row["step"]): float(row["elsewhere"]) for row in rows}
    assert changes[0] == 0
    # The last one: a run that changes other places by more than the bound ends early.
    assert changes[max(changes)] > 0
    assert record.elsewhere == changes[record.best_step or 0]
    assert "depth of other scenes has changed by" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("few_places")
def test_a_run_that_forgets_goes_back_to_the_bound_and_on_with_half_the_rate(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first validation is the start's, and the second one is beyond the bound."""
    free = train_video(
        clip_config(walls, keep_best=False, steps=2, validations=1), tmp_path / "free", CPU
    )
    assert free is not None
    assert free.elsewhere is not None
    bound = free.elsewhere / 2
    monkeypatch.setattr(video_task, "LARGEST_CHANGE", bound)
    run = tmp_path / "run"
    record = train_video(
        clip_config(walls, keep_best=False, steps=2, validations=1, milestones=(15,)), run, CPU
    )
    assert record is not None
    assert record.elsewhere is not None
    assert 0.5 * bound < record.elsewhere <= bound
    ended, places = embedded(), places_of(embedded())
    ended.load_state_dict(weights_of(run))
    assert places.depth_change(ended.depth) == pytest.approx(record.elsewhere, rel=1e-4)
    longer = tmp_path / "longer"
    config = clip_config(walls, keep_best=False, milestones=(15,))
    record = train_video(config, longer, CPU)
    assert record is not None
    assert record.steps == 6, "it goes on"
    assert record.elsewhere is not None
    assert record.elsewhere <= bound
    went = [row for row in read_log_rows(longer, WARNING_LOG) if row["kind"] == "strayed"]
    assert went
    [row] = [row for row in read_log_rows(longer, STEP_LOG) if row["step"] == "6"]
    later = 0.5 ** sum(int(row["step"]) < 6 for row in went)
    assert float(row["learning_rate"]) == pytest.approx(config.learning_rate * later)
    assert "the run moves its weights back" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_went_back_and_was_stopped_goes_on_to_the_same_weights(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_task, "LARGEST_CHANGE", 1e-4)
    config = clip_config(walls, keep_best=False)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train_video(config, whole, CPU)
    assert train_video(config, stopped, replace(CPU, stop_at=3)) is None
    train_video(config, stopped, replace(CPU, resume=True))
    assert read_log_rows(stopped, WARNING_LOG)[0]["step"] == "2"
    assert same(weights_of(whole), weights_of(stopped))


@pytest.mark.slow
@pytest.mark.usefixtures("few_places")
def test_nothing_but_the_start_is_left_of_a_run_that_forgets_everything(
    walls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_task, "LARGEST_CHANGE", 1e-9)
    record = train_video(clip_config(walls), tmp_path / "run", CPU)
    assert record is not None
    assert record.kept_start
    assert record.elsewhere == 0
    assert same(weights_of(tmp_path / "run"), dict(embedded().state_dict()))


def test_replay_is_of_preset_clip_and_needs_a_start() -> None:
    data = VideoData(roots=("clip",))
    clip = VideoConfig(blueprint=BLUEPRINT, data=data, start="rilievo/small", preset="clip")
    assert preset_config(clip).losses.replay == 1
    with pytest.raises(OptionError, match="replay preserves the start model's predictions"):
        VideoConfig(
            blueprint=BLUEPRINT,
            data=data,
            prior="rilievo/small",
            losses=VideoLosses(replay=1.0),
        )


def test_a_run_without_other_places_says_nothing_of_them(walls: Path, tmp_path: Path) -> None:
    config = clip_config(walls, steps=2, validations=1, losses=VideoLosses(corners=0.5))
    train_video(config, tmp_path / "run", CPU)
    assert video_run_folder(tmp_path / "run").read_record().elsewhere is None
    assert all("elsewhere" not in row for row in read_log_rows(tmp_path / "run", VALIDATION_LOG))
