"""Videos: one fit a sequence and agreement of neighbours, against plain loops over pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.alignment.fit import Fit, FitSpace
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.metrics.stability import StabilityPair, warping_error
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.scoring.comparable_depth import CONSTANT_PREDICTION, apply_scene_fit
from rilievo.records.depth_map import DepthKind, DepthMap
from support.clip_dataset import SIZE, K, pose, write_clips

FRAMES = {"street": 4, "yard": 3}


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("rilievo.evaluation.evaluation_report.write_report", lambda *_: None)
    write_clips(tmp_path / "clips", FRAMES)
    for number, path in enumerate(sorted((tmp_path / "clips").rglob("*.npy"))):
        depth = np.load(path)
        chance = np.random.default_rng(100 + number)
        x = 5 / np.where(depth > 0, depth, 3) + 0.4 + chance.normal(0, 0.05, SIZE)
        x[0, :3] = -1.0
        file = tmp_path / "theirs" / path.relative_to(tmp_path / "clips")
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, x.astype(np.float32))
    return tmp_path / "clips"


def run(clips: Path, benchmark: str, **given: object) -> Evaluation:
    options: dict[str, Any] = {
        "dataset": "support.clip_dataset:Clips",
        "predictions": clips.parent / "theirs",
        "kind": "affine_inverse",
        "output": clips.parent / f"out-{benchmark}",
        **given,
    }
    return evaluate(None, benchmark, clips, EvaluateOptions(**options), show=False)


def aligned(clips: Path, scene: str) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """True and fitted depth of all frames, and the line: one least-squares fit of the sequence."""
    true = [np.load(path).astype(np.float64) for path in sorted((clips / scene).glob("*.npy"))]
    folder = clips.parent / "theirs" / scene
    x = [np.maximum(np.load(path).astype(np.float64), 1e-3) for path in sorted(folder.iterdir())]
    known = np.concatenate([each[t > 1e-3] for each, t in zip(x, true, strict=True)])
    target = np.concatenate([1 / t[t > 1e-3] for t in true])
    line = np.linalg.lstsq(np.stack([known, np.ones_like(known)], axis=1), target)[0]
    return true, [1 / np.maximum(line[0] * each + line[1], 1e-3) for each in x], line


def test_one_line_serves_a_whole_sequence(clips: Path) -> None:
    found = run(clips, "video-depth")
    scores = {score.id: score for score in found.scores}
    assert len(scores) == sum(FRAMES.values())
    for scene, count in FRAMES.items():
        true, depth, line = aligned(clips, scene)
        for frame in range(count):
            score = scores[f"{scene}/{frame:03}"]
            t, p = (each[true[frame] > 0] for each in (true[frame], depth[frame]))
            assert score.values["abs_rel"] == pytest.approx(np.mean(np.abs(p - t) / t), rel=1e-6)
            assert (score.scale, score.shift) == pytest.approx(tuple(line), rel=1e-6)
    alone = run(clips, "moge-disparity")
    assert alone.scores[0].scale != pytest.approx(found.scores[0].scale, rel=1e-4)


def test_a_line_of_a_sequence_reaches_as_far_as_the_benchmark_allows() -> None:
    """It is -1, 0.0005, 0.0008, 0.5 and 1 per metre, of which 0.001 is the least."""
    benchmark = BENCHMARKS["video-depth"]
    assert benchmark.min_inverse == 1e-3
    line = np.array([-1.0, 0.0005, 0.0008, 0.5, 1.0])
    predicted = DepthMap(values=(line + 2).astype(np.float32)[None], kind=DepthKind.AFFINE_INVERSE)
    fit = Fit(space=FitSpace.INVERSE, scale=1.0, shift=-2.0, residual=0.0, pixels=5)
    depth = apply_scene_fit(benchmark, predicted, (1, 5), fit)
    np.testing.assert_allclose(depth.values[0], 1 / np.maximum(line, 1e-3), rtol=1e-3)


def one_way(first: np.ndarray, second: np.ndarray, motion: np.ndarray) -> float:
    """Point by point; the last one that falls into a pixel counts."""
    seen = np.zeros(SIZE)
    for v in range(SIZE[0]):
        for u in range(SIZE[1]):
            z = first[v, u]
            point = motion @ [(u - K[0, 2]) * z / K[0, 0], (v - K[1, 2]) * z / K[1, 1], z, 1]
            column = round(point[0] * K[0, 0] / point[2] + K[0, 2])
            row = round(point[1] * K[1, 1] / point[2] + K[1, 2])
            if 0 <= column < SIZE[1] and 0 <= row < SIZE[0]:
                seen[row, column] = point[2]
    both = seen > 0
    return float(np.mean(np.abs(second[both] - seen[both]) / second[both]))


def test_neighbours_agree_as_published(clips: Path) -> None:
    found = run(clips, "video-tae")
    # The last frame of each sequence has no next one.
    assert len(found.scores) == sum(FRAMES.values()) - len(FRAMES)
    assert not found.unscored
    for score in found.scores:
        scene, _, name = score.id.rpartition("/")
        frame = int(name)
        _, depth, _ = aligned(clips, scene)
        # Maps are single precision between the fit and the metric.
        first, second = (each.astype(np.float32).astype(np.float64) for each in depth[frame:][:2])
        motion = np.linalg.inv(pose(frame + 1)) @ pose(frame)
        there, back = (
            one_way(first, second, motion),
            one_way(second, first, np.linalg.inv(motion)),
        )
        assert score.values["tae"] == pytest.approx(50 * (there + back), rel=1e-5)


def test_opw_is_scored_for_neighbours_of_a_sequence(clips: Path) -> None:
    found = run(clips, "opw-true")
    assert len(found.scores) == sum(FRAMES.values()) - len(FRAMES)
    assert not found.unscored
    everywhere = np.ones(SIZE, bool)
    for score in found.scores:
        scene, _, name = score.id.rpartition("/")
        frame = int(name)
        true, depth, _ = aligned(clips, scene)
        pair = StabilityPair(
            first_depth=depth[frame], second_depth=depth[frame + 1],
            first_valid=everywhere, second_valid=everywhere,
            first_true=true[frame], second_true=true[frame + 1],
            K=K, second_T_first=np.linalg.inv(pose(frame + 1)) @ pose(frame),
        )  # fmt: skip
        assert score.values["opw"] == pytest.approx(warping_error(pair)[0], rel=1e-5)


def means_of_scenes(found: Evaluation, metric: str) -> float:
    """Each sequence averaged by itself, then all of them."""
    values: dict[str, list[float]] = {}
    for score in found.scores:
        values.setdefault(score.id.partition("/")[0], []).append(score.values[metric])
    return float(np.mean([np.mean(each) for each in values.values()]))


@pytest.mark.parametrize("benchmark", ["video-depth", "video-tae", "opw-true"])
def test_sequences_count_alike_however_long(clips: Path, benchmark: str) -> None:
    found = run(clips, benchmark)
    for summary in found.summaries:
        by_scene = means_of_scenes(found, summary.metric)
        by_frame = np.mean([score.values[summary.metric] for score in found.scores])
        assert summary.value == pytest.approx(by_scene, rel=1e-12)
        assert summary.per_image == pytest.approx(by_frame, rel=1e-12)
    leading = found.summaries[0]
    assert abs(leading.value / leading.per_image - 1) > 1e-3


def test_a_frame_without_truth_still_has_neighbours(clips: Path) -> None:
    empty = clips / "street" / "001.npy"
    np.save(empty, np.zeros(SIZE, np.float32))
    found = run(clips, "video-tae")
    assert not found.unscored
    _, depth, _ = aligned(clips, "street")
    first, second = (each.astype(np.float32).astype(np.float64) for each in depth[:2])
    motion = np.linalg.inv(pose(1)) @ pose(0)
    there, back = one_way(first, second, motion), one_way(second, first, np.linalg.inv(motion))
    assert found.scores[0].id == "street/000"
    assert found.scores[0].values["tae"] == pytest.approx(50 * (there + back), rel=1e-5)
    # Frames of depth alone need truth.
    [lone] = run(clips, "video-depth").unscored
    assert lone.id == "street/001"


def test_a_constant_prediction_is_put_at_the_mean_inverse_depth(clips: Path) -> None:
    for path in sorted(clips.rglob("*.npy")):
        np.save(clips.parent / "theirs" / path.relative_to(clips), np.full(SIZE, 4.0, np.float32))
    found = run(clips, "video-depth", kind="metric")
    for scene, count in FRAMES.items():
        true, _, _ = aligned(clips, scene)
        expected = 1 / np.mean(np.concatenate([1 / each[each > 1e-3] for each in true]))
        for frame in range(count):
            t = true[frame][true[frame] > 0]
            [score] = [each for each in found.scores if each.id == f"{scene}/{frame:03}"]
            assert score.values["abs_rel"] == pytest.approx(np.mean(np.abs(expected - t) / t))
            assert CONSTANT_PREDICTION in score.notes


def test_scenes_and_neighbours_are_needed(clips: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone"
    write_clips(lone, {"a": 1, "b": 1})
    with pytest.raises(InputError, match="no scene has two frames"):
        run(lone, "video-tae", predictions=lone, kind="metric", output=tmp_path / "x")
    (lone / "000.npy").write_bytes((lone / "a" / "000.npy").read_bytes())
    with pytest.raises(InputError, match="gives no scene or sequence for '000'"):
        run(lone, "video-depth", predictions=lone, kind="metric", output=tmp_path / "y")


def test_a_broken_frame_is_left_out_and_said(clips: Path) -> None:
    (clips.parent / "theirs" / "street" / "001.npy").write_bytes(b"broken")
    found = run(clips, "video-tae")
    assert sorted(each.id for each in found.unscored) == ["street/000", "street/001"]
    assert len(found.scores) == 3
