"""Runs with motion by geometry: what they keep, refuse and resume."""

import csv
import itertools
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from rilievo.cli import main
from rilievo.data.clips.footage import VideoData
from rilievo.data.motion.pair_motion import (
    UNKNOWN_MOTION,
    PairMotion,
    Triangulated,
    unify_scales,
)
from rilievo.errors import InputError, ModelError, OptionError
from rilievo.models import load_model
from rilievo.models.default.embedded import embedded_file
from rilievo.training.adapters.trained import VideoNetwork
from rilievo.training.commands.train_video import parse_and_complete
from rilievo.training.engine.run_folder import STEP_LOG, read_log_rows
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.networks.video.depth_network import DepthNet, sigmoid_to_depth
from rilievo.training.networks.video.video_networks import fill_depth_from_embedded, make_networks
from rilievo.training.video import video_defaults
from rilievo.training.video.frames.targets import OTHER_EYE, FramePlace, Target
from rilievo.training.video.frames.video_frames import open_frames
from rilievo.training.video.pair_motions import (
    MotionEstimate,
    corner_trust,
    read_estimate,
    read_training_motions,
    select_trusted_motions,
    write_estimate,
)
from rilievo.training.video.video_config import VideoConfig
from rilievo.training.video.video_presets import preset_config
from rilievo.training.video.video_records import video_run_folder
from rilievo.training.video.video_run import train_video
from support.footage import write_frames
from support.sliding_walls import SIZE, write_walls
from support.video_runs import CPU, clip_config, same, weights_of


@pytest.fixture(scope="module")
def whole(walls: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    train_video(clip_config(walls), run, CPU)
    return run


def test_a_run_starts_with_the_depth_of_the_embedded_model() -> None:
    blueprint = VideoBlueprint(encoder="small", pose=PoseKind.GEOMETRY, size=SIZE, scales=(0,))
    networks = make_networks(blueprint, offsets=(-1, 1), seed=0)
    fill_depth_from_embedded(networks)
    networks.train()
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(pixels).resize((6, 4)).resize(SIZE[::-1]))
    picture = torch.from_numpy(smooth.copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        motions = sigmoid_to_depth(networks.depth(picture)[0][0, 0], blueprint).numpy()
    session = onnxruntime.InferenceSession(embedded_file("rilievo/small"))
    expected = session.run(None, {"image": smooth[None]})[0][0]
    ratio = motions / expected
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=2e-3)


@pytest.mark.slow
def test_a_run_by_geometry_is_a_model_that_fits_no_worse_than_its_start(whole: Path) -> None:
    record = video_run_folder(whole).read_record()
    assert record.pose_parameters == 0
    assert record.start_error is not None
    assert record.best_error is not None
    # The start's error is read from a table of six digits.
    assert record.best_error <= record.start_error * (1 + 1e-5)
    assert record.kept_start == (record.best_step == 0)
    assert same(weights_of(whole), weights_of(whole / "best"))
    found = load_model(whole)(np.zeros((96, 200, 3), np.uint8))
    assert found.depth.values.shape == (96, 200)


@pytest.mark.slow
def test_motions_of_a_run_are_those_of_the_camera(whole: Path) -> None:
    """The prior is scaled to the network's unit, so that lengths are told by their ratio alone."""
    motions = read_estimate(whole / "motions" / "training.npz").motions
    assert len(motions) >= 12
    ways = np.array([T[:3, 3] * np.sign(s.frame - t.frame) for (t, s), T in motions.items()])
    lengths = np.linalg.norm(ways, axis=1)
    directions = ways / lengths[:, None]
    assert np.degrees(np.arccos(np.clip(-directions[:, 0], -1, 1))).max() < 8
    assert lengths.max() / lengths.min() < 1.15


@pytest.mark.slow
def test_depth_comes_nearer_the_truth_without_seeing_it(tmp_path: Path) -> None:
    """The start thinks that both walls are one; the truth beside the frames only scores."""
    clip = write_walls(tmp_path / "clip", frames=30)
    config = clip_config(
        clip, prior=None, batch_size=4, steps=40, validations=4, learning_rate=2e-4
    )
    train_video(config, tmp_path / "run", CPU)
    with (tmp_path / "run" / "validation.csv").open(newline="") as table:
        errors = [float(row["abs_rel"]) for row in csv.DictReader(table)]
    assert errors[0] > 0.25
    assert errors[-1] < 0.85 * errors[0]


@pytest.mark.slow
def test_the_start_is_kept_where_the_end_is_worse(
    walls: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A huge learning rate spoils the network at once."""

    def spoiling(config: VideoConfig) -> VideoConfig:
        usual = preset_config(config)
        # True depth as the prior would teach even a spoilt network.
        losses = replace(usual.losses, anchor=0.0, corners=0.0)
        return replace(usual, losses=losses, validations=2, warm_up=0, start_share=0.0)

    monkeypatch.setattr(video_defaults, "preset_config", spoiling)
    pytest.importorskip("matplotlib", reason="pages of runs need the extra 'evaluate'")
    command = ["train", "video", str(walls), "-o", str(tmp_path / "run"), "--encoder", "small"]
    command += ["--device", "cpu", "--workers", "0", "--size", "64,96", "--batch-size", "2"]
    command += ["--steps", "4", "--stride", "1", "--held-out", "0.2", "--learning-rate", "0.05"]
    command += ["--prior", "support.wall_depths:load"]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "keeps its start weights" in said
    assert "page.html" in said
    record = video_run_folder(tmp_path / "run").read_record()
    assert record.kept_start
    expected = make_networks(
        VideoBlueprint(encoder="small", pose=PoseKind.GEOMETRY, size=SIZE, scales=(0,)),
        offsets=(-1, 1),
        seed=0,
    )
    fill_depth_from_embedded(expected)
    assert same(weights_of(tmp_path / "run"), dict(expected.state_dict()))


def turning(folder: Path, count: int = 14) -> Path:
    """Frames of a camera that turns on the spot."""
    columns, focal = np.arange(96), 80.0
    wide = np.random.default_rng(0).integers(0, 256, (16, 100, 3), dtype=np.uint8)
    scene = np.asarray(Image.fromarray(wide).resize((800, 64), Image.Resampling.BICUBIC))
    folder.mkdir()
    for k in range(count):
        at = 400 + focal * 4 * (np.arctan((columns - 47.5) / focal) + 0.03 * k - 0.2)
        Image.fromarray(scene[:, np.round(at).astype(int)]).save(folder / f"{k:06d}.png")
    return folder


def test_footage_without_a_travelling_camera_is_refused_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    still = tmp_path / "still"
    write_frames(still, [0] * 12)
    with pytest.raises(InputError, match="the camera hardly moves"):
        train_video(clip_config(still), tmp_path / "run", CPU)
    blank = tmp_path / "blank"
    blank.mkdir()
    for k in range(12):
        Image.new("RGB", (96, 64), (90, 90, 90)).save(blank / f"{k:06d}.png")
    data = VideoData(roots=(str(blank),), stride=1, least_motion=0.0)
    with pytest.raises(InputError, match="too few tracked corners"):
        train_video(clip_config(blank, data=data), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_a_camera_that_turns_on_the_spot_is_refused(tmp_path: Path) -> None:
    data = VideoData(roots=(str(turning(tmp_path / "turning")),), stride=1, fov=62)
    with pytest.raises(InputError, match=r"motion was found for \d+ of \d+ frames, but \d+ are"):
        train_video(clip_config(tmp_path, data=data), tmp_path / "run", CPU)


def test_a_crowd_that_fills_the_picture_is_refused(tmp_path: Path) -> None:
    """Twelve tiles, each of which moves its own way."""
    rng = np.random.default_rng(3)
    ways = rng.uniform(-2.5, 2.5, (12, 2))
    coarse = rng.integers(0, 256, (12, 24, 24, 3), dtype=np.uint8)
    tiles = [Image.fromarray(each).resize((96, 96), Image.Resampling.BICUBIC) for each in coarse]
    crowd = tmp_path / "crowd"
    crowd.mkdir()
    for k in range(14):
        frame = Image.new("RGB", (96, 64))
        for place, (tile, way) in enumerate(zip(tiles, ways, strict=True)):
            x, y = np.round(36 + k * way).astype(int).tolist()
            part = tile.crop((x, y, x + 24, y + 21))
            frame.paste(part, (24 * (place % 4), 21 * (place // 4)))
        frame.save(crowd / f"{k:06d}.png")
    data = VideoData(roots=(str(crowd),), stride=1, fov=62)
    with pytest.raises(InputError, match=r"motion was found for \d+ of \d+ frames, but \d+ are"):
        train_video(clip_config(crowd, data=data), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_pairs_across_a_cut_teach_nothing(tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    one = write_walls(tmp_path / "one", frames=10)
    other = write_walls(tmp_path / "other", frames=10, seed=9)
    clip.mkdir()
    files = [*sorted((one / "images").iterdir()), *sorted((other / "images").iterdir())]
    for k, file in enumerate(files):
        (clip / f"{k:06d}.png").write_bytes(file.read_bytes())
    data = VideoData(roots=(str(clip),), stride=1, fov=62, held_out=0.1)
    config = clip_config(clip, data=data, steps=1, validations=1)
    train_video(config, tmp_path / "run", CPU)
    pairs = read_training_motions(tmp_path / "run")
    assert pairs
    assert all((target.frame < 10) == (source.frame < 10) for target, source in pairs)


def test_a_model_whose_depth_has_a_shift_is_no_prior(walls: Path, tmp_path: Path) -> None:
    """It is refused before frames are decoded, which takes minutes."""
    options = replace(CPU, cache=str(tmp_path / "cache"))
    with pytest.raises(ModelError, match="from which motion cannot be estimated"):
        train_video(
            clip_config(walls, prior="support.wall_depths:load_shifted"), tmp_path / "run", options
        )
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


def test_geometry_needs_depth_to_begin_with(walls: Path) -> None:
    with pytest.raises(OptionError, match="needs initial depth"):
        clip_config(walls, start=None, prior=None)
    with pytest.raises(OptionError, match="follow_poses"):
        clip_config(walls, data=VideoData(roots=("a",), follow_poses=True))


@pytest.mark.parametrize("has_gpu", [False, True])
def test_with_and_without_a_gpu_a_clip_refines_the_embedded_model(
    walls: Path, monkeypatch: pytest.MonkeyPatch, has_gpu: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)

    def asked(words: str = "") -> VideoConfig:
        return parse_and_complete([str(walls), "-o", "run", *words.split()])[1]

    config = asked()
    assert config.preset == "clip"
    assert config.blueprint.encoder == "small"
    assert config.blueprint.pose is PoseKind.GEOMETRY
    assert config.blueprint.size == (192, 288)
    assert config.start == "rilievo/small"
    assert config.minutes == 10
    assert config.data.held_out == 0.1
    assert asked("--device cuda") == config
    again = asked("--encoder small --minutes 3")
    assert (again.start, again.minutes) == ("rilievo/small", 3)
    for more in ("--encoder lite", "--pose cnn", "--pose none --poses auto"):
        config = asked(more)
        assert config.preset == "default"
        assert config.blueprint.size == (192, 640)
        assert config.minutes is None


def test_a_run_sees_every_shape_at_the_size_of_its_start(walls: Path, tmp_path: Path) -> None:
    """Else a run that keeps the start would answer otherwise, and be compared with it unfairly."""
    for shape in ((64, 96), (128, 416), (480, 640), (640, 480)):
        clip = tmp_path / "x".join(map(str, shape))
        clip.mkdir()
        for index in range(2):
            Image.fromarray(np.zeros((*shape, 3), np.uint8)).save(clip / f"{index}.png")
        options = [str(clip), "-o", "run", "--start", "rilievo/small"]
        blueprint = parse_and_complete(options)[1].blueprint
        own = load_model("rilievo/small").preparation.sizing
        assert blueprint.size == own.size(shape)
        sizing = VideoNetwork(blueprint, DepthNet(blueprint)).preparation.sizing
        for other in ((64, 96), (128, 416), (375, 1242), (3000, 2000)):
            assert sizing.size(other) == own.size(other)


def test_blocks_of_targets_of_long_footage_are_used(walls: Path, tmp_path: Path) -> None:
    data = VideoData(roots=(str(walls),), stride=1, held_out=0.0)
    frames = open_frames(data, size=SIZE, offsets=(-1, 1), cache=tmp_path)
    places = [target.place.frame for target in frames.training.spread_subset(6, block=3).targets]
    assert len(places) == 6
    assert places[0] == 1
    assert places[-1] > 10
    assert [b - a for a, b in itertools.pairwise(places)].count(1) == 4
    assert len(frames.training.spread_subset(99)) == 14


def test_a_run_that_nothing_could_judge_is_refused(tmp_path: Path) -> None:
    """The last frames, which are held out, show a blank wall."""
    clip = write_walls(tmp_path / "clip", frames=16)
    for k in (13, 14, 15):
        Image.new("RGB", (96, 64), (90, 90, 90)).save(clip / "images" / f"{k:06d}.png")
    data = VideoData(roots=(str(clip),), stride=1, least_motion=0.0, held_out=0.1)
    with pytest.raises(InputError, match="the run could not be scored"):
        train_video(clip_config(clip, data=data), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def place(frame: int) -> FramePlace:
    return FramePlace(0, frame)


def pair(length: float, *, inliers: int = 100, direction: float = 2.0) -> PairMotion:
    T = np.eye(4)
    T[0, 3] = length
    return replace(
        UNKNOWN_MOTION,
        source_T_target=T,
        num_tracked=100,
        num_inliers=inliers,
        direction_error=direction,
    )


def test_targets_are_judged_by_the_worst_of_their_motions() -> None:
    targets = [Target(place=place(k), sources=(place(k - 1), place(k + 1))) for k in range(1, 11)]
    motions = {(t.place, s): pair(1.0) for t in targets for s in t.sources}
    motions[place(2), place(3)] = pair(1.0, inliers=10)
    motions[place(4), place(5)] = pair(1.0, direction=60)
    motions[place(6), place(7)] = pair(9.0)
    motions[place(8), place(9)] = pair(0.05)
    judged = select_trusted_motions(targets, motions)
    assert judged.left_out == {"lost": 1, "turning": 1, "odd": 2}
    assert {target.frame for target, _ in judged.motions} == {1, 3, 5, 7, 9, 10}


def test_a_corners_depth_is_a_geometric_mean_that_weighs_squared_parallax() -> None:
    """The first source sees two corners, the second one of them, with twice the parallax."""
    target = Target(place=place(1), sources=(place(0), place(2)))
    first = Triangulated(
        positions=np.array([[10.0, 20.0], [30.0, 40.0]]),
        depth=np.array([2.0, 1.0]),
        parallax=np.array([3.0, 3.0]),
    )
    second = Triangulated(
        positions=np.array([[10.0, 20.0]]), depth=np.array([64.0]), parallax=np.array([6.0])
    )
    motions = {
        (place(1), place(0)): replace(pair(1.0), corners=first),
        (place(1), place(2)): replace(pair(1.0), corners=second),
    }
    judged = select_trusted_motions([target], motions)
    # (log 2 + 4 log 64) / 5 = 5 log 2
    np.testing.assert_allclose(judged.corners[place(1)], [[10, 20, 32], [30, 40, 1]])


def test_corners_teach_by_the_share_by_which_they_err_less_than_the_given_depth() -> None:
    """Sources that differ by a tenth err by 0.1118; a difference of 0.25 leaves twice that."""
    places = np.stack([np.arange(40.0), np.zeros(40)], axis=1)
    ratio = np.where(np.arange(40) % 2, 1.1, 0.9)

    def trust(apart: float, *, shift: float = 0.0) -> float:
        found = {}
        for source, depth, at in ((0, ratio, places), (2, np.ones(40), places[::-1] + shift)):
            corners = Triangulated(positions=at, depth=depth, parallax=np.full(40, 5.0))
            motion = replace(pair(1.0), corners=corners, depth_error=apart, num_depth_checks=40)
            found[place(1), place(source)] = motion
        return corner_trust([Target(place=place(1), sources=(place(0), place(2)))], found)

    assert trust(0.25) == pytest.approx(0.5)
    assert trust(0.15) == 0
    assert trust(0.09) == 0
    assert trust(0.2, shift=0.5) == 1


@pytest.mark.slow
def test_corners_that_are_no_better_than_the_start_do_not_teach(
    walls: Path, tmp_path: Path
) -> None:
    """The prior is the truth, so that what corners add to the loss is nearly nothing."""
    losses = VideoLosses(corners=0.5)
    config = clip_config(walls, losses=losses, steps=1, validations=1)
    record = train_video(config, tmp_path / "run", CPU)
    assert record is not None
    assert read_estimate(tmp_path / "run" / "motions" / "training.npz").trust == 0
    assert any("the triangulated depth" in note for note in record.notes)
    [row] = read_log_rows(tmp_path / "run", STEP_LOG)
    assert float(row["extra"]) == 0


def test_motions_of_neighbours_get_one_length() -> None:
    """Depth of every second target is too large by a tenth."""
    motions = {}
    for k in range(1, 30):
        for other in (k - 1, k + 1):
            motions[place(k), place(other)] = pair(1.1 if k % 2 else 1.0).source_T_target
    lengths = [float(T[0, 3]) for T in unify_scales(motions).values()]
    assert max(lengths) / min(lengths) < 1.02
    assert np.median(lengths) == pytest.approx(1.05, rel=0.03)


OFFSETS = [
    *itertools.permutations((-1, 1, 2)),
    *itertools.permutations((-2, -1, 1, 2)),
    *itertools.permutations((-1, OTHER_EYE, 1)),
]


@pytest.mark.parametrize("offsets", OFFSETS)
def test_the_order_of_offsets_does_not_change_the_scales(offsets: tuple[int, ...]) -> None:
    """The depth of a target has a unit of its own, which its motions share."""
    units = dict(zip(range(40), np.exp(np.random.default_rng(0).normal(0, 0.1, 40)), strict=True))
    motions = {}
    for k in range(2, 30):
        for offset in offsets:
            source = FramePlace(1, k) if offset == OTHER_EYE else place(k + offset)
            motions[place(k), source] = pair(units[k] * abs(offset or 1)).source_T_target
    unified = unify_scales(motions)
    lengths = [
        float(T[0, 3]) / abs(source.frame - target.frame or 1)
        for (target, source), T in unified.items()
    ]
    # Half of the spread of the units is slow, and the weak pull leaves a part of that.
    assert np.std(np.log(lengths)) < 0.05
    first = unify_scales(dict(sorted(motions.items())))
    for each, T in unified.items():
        np.testing.assert_allclose(T, first[each], rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("corner_counts", lambda counts: np.add(counts, [0, 0, 1])),
        ("corner_counts", lambda counts: np.subtract(counts, [0, 0, 1])),
        ("corner_counts", lambda counts: counts * [1, 1, -1]),
        ("corner_counts", lambda counts: np.array([[0, 1, 5], [0, 5, -2]])),
        ("corner_counts", lambda counts: counts * [1, 0, 1]),
        ("places", lambda places: -places),
        ("places", lambda places: np.repeat(places[:1], 2, axis=0)),
        ("trust", lambda trust: np.float64(math.nan)),
        ("trust", lambda trust: np.float64(7)),
        ("trust", lambda trust: np.float64(-0.1)),
        ("source_T_target", lambda motions: motions * math.nan),
        ("source_T_target", lambda motions: motions * np.diag([2, 1, 1, 1])),
        ("source_T_target", lambda motions: motions @ np.diag([-1.0, 1, 1, 1])),
        ("source_T_target", lambda motions: 2 * motions),
        ("corners", lambda corners: corners * [1, 1, math.nan]),
        ("corners", lambda corners: corners * [1, 1, -1]),
        ("corners", lambda corners: corners * [1, 1, 0]),
        ("corners", lambda corners: corners * [math.inf, 1, 1]),
    ],
)
def test_numbers_that_no_run_wrote_are_refused(name: str, change: Any, tmp_path: Path) -> None:
    file = tmp_path / "training.npz"
    motions = {
        (place(1), place(2)): pair(3.0).source_T_target,
        (place(5), place(6)): pair(1.0).source_T_target,
    }
    corners = {place(1): np.array([[3.0, 4.0, 2.5]]), place(5): np.ones((2, 3))}
    write_estimate(file, MotionEstimate(motions=motions, corners=corners, trust=0.25))
    with np.load(file) as stored:
        arrays = dict(stored)
    np.savez(file, **{**arrays, name: change(arrays[name])})  # pyright: ignore
    with pytest.raises(InputError, match=re.escape("is not a valid file of motions")):
        read_estimate(file)


def test_stored_motions_come_back_and_broken_ones_are_refused(tmp_path: Path) -> None:
    motions = {(place(1), place(2)): pair(3.0).source_T_target}
    corners = {place(1): np.array([[3.0, 4.0, 2.5]]), place(5): np.ones((2, 3))}
    file = tmp_path / "motions" / "training.npz"
    write_estimate(file, MotionEstimate(motions=motions, corners=corners, trust=0.25))
    back = read_estimate(file)
    assert list(back.corners) == list(corners)
    assert all(np.array_equal(back.corners[each], corners[each]) for each in corners)
    assert list(back.motions) == list(motions)
    np.testing.assert_array_equal(back.motions[place(1), place(2)], motions[place(1), place(2)])
    assert back.trust == 0.25
    file.write_bytes(b"nothing")
    with pytest.raises(InputError, match=re.escape("is not a valid file of motions")):
        read_training_motions(tmp_path)
