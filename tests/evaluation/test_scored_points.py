"""Points and fields of view: scored as MoGe does, from models, kept predictions and files."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.alignment.subsample import subsample_by_grid
from rilievo.data.datasets.sets import moge_bundle
from rilievo.data.datasets.sets.moge_bundle import SETS, BundleSet
from rilievo.errors import InputError, NoGroundTruthError, OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.metrics.point_maps import PointsPair
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.point_fit import PointFit
from rilievo.evaluation.predictions.prediction_cache import read_cache
from rilievo.evaluation.scoring.score import score
from rilievo.evaluation.stored_numbers import PointMap
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from support.moge_bundle_lookalike import write_bundle
from support.point_fits_by_hand import best_scale, every_anchor
from support.stored_answers import stored

SIZE = (12, 16)
K = np.array([[15.0, 0, 7.5], [0, 15.0, 5.5], [0, 0, 1]])
K_SEEN = np.array([[19.0, 0, 7.5], [0, 19.0, 5.5], [0, 0, 1]])


def truth(*, is_metric: bool = True, with_objects: bool = False) -> Truth:
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    depth = (3 + np.sin(u / 4) + 0.4 * np.cos(v / 2)).astype(np.float32)
    valid = np.random.default_rng(0).random(SIZE) < 0.7
    return Truth(
        id="a",
        depth=depth,
        depth_valid=valid,
        camera=Camera(K=K),
        objects=(1 + (u > 8)).astype(np.int64) if with_objects else None,
        is_metric=is_metric,
    )


def seen(K: np.ndarray) -> Camera:
    """A camera that a model saw in the photograph."""
    return Camera(K=K, source=CameraSource.PREDICTED)


def guess(kind: DepthKind = DepthKind.METRIC) -> DepthMap:
    chance = np.random.default_rng(1)
    known = truth()
    assert known.depth is not None
    depth = known.depth * np.exp(chance.normal(0, 0.1, SIZE)) * 1.2
    return DepthMap(values=depth.astype(np.float32), kind=kind)


def lifted(depth: np.ndarray, camera: np.ndarray) -> np.ndarray:
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    x, y = (u - camera[0, 2]) / camera[0, 0], (v - camera[1, 2]) / camera[1, 1]
    return np.stack([x * depth, y * depth, depth]).astype(np.float64)


def expected(p: np.ndarray, t: np.ndarray) -> tuple[float, float]:
    gap, far = np.linalg.norm(p - t, axis=0), np.linalg.norm(t, axis=0)
    near = gap < 0.25 * np.minimum(far, np.linalg.norm(p, axis=0))
    return float(np.mean(gap / (far + 1e-6))), float(np.mean(near))


def sampled() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Predicted and true points, valid pixels, and the subsample with its repetitions."""
    known = truth()
    assert known.depth is not None
    assert known.depth_valid is not None
    p = lifted(guess().values.astype(np.float64), K_SEEN).reshape(3, -1)
    t = lifted(known.depth.astype(np.float64), K).reshape(3, -1)
    chosen = subsample_by_grid(known.depth_valid)
    return p, t, known.depth_valid.ravel(), chosen.indices, chosen.counts


@pytest.mark.parametrize("fit", list(PointFit))
def test_points_are_scored_as_published(fit: PointFit) -> None:
    p, t, valid, places, times = sampled()
    w = times / np.linalg.norm(t[:, places], axis=0)
    x, y = p[:, places], t[:, places]
    scale, shift = 1.0, np.zeros(3)
    if fit is PointFit.POINT_SHIFT:
        shift = np.array(
            [best_scale([1.0] * w.size, each.tolist(), w.tolist())[0] for each in y - x]
        )
    elif fit is PointFit.POINT_SCALE:
        scale, _ = best_scale(x.T.ravel().tolist(), y.T.ravel().tolist(), np.repeat(w, 3).tolist())
    else:
        scale, shift = every_anchor(x, y, w)
    name = {
        PointFit.POINT_SHIFT: "moge-points-metric",
        PointFit.POINT_SCALE: "moge-points-scale",
        PointFit.POINT_SCALE_SHIFT: "moge-points-affine",
    }[fit]
    found = score(
        BENCHMARKS[name],
        stored(depth=guess(), camera=seen(K_SEEN)),
        truth(),
    )
    rel, delta1 = expected((scale * p + shift[:, None])[:, valid], t[:, valid])
    assert found.score.values["point_rel"] == pytest.approx(rel, rel=1e-6)
    assert found.score.values["point_delta1"] == pytest.approx(delta1, abs=1e-9)
    assert found.score.pixels == valid.sum()


def test_points_of_a_file_are_those_of_depth_and_camera() -> None:
    benchmark = BENCHMARKS["moge-points-affine"]
    values = lifted(guess().values, K_SEEN).astype(np.float32)
    points = PointMap(values=values, kind=DepthKind.AFFINE, valid=np.ones(SIZE, bool))
    one = score(benchmark, stored(points=points), truth()).score
    two = score(
        benchmark,
        stored(depth=guess(), camera=seen(K_SEEN)),
        truth(),
    ).score
    assert one.values["point_rel"] == pytest.approx(two.values["point_rel"], rel=1e-5)


def test_the_camera_counts() -> None:
    known = truth()
    assert known.depth is not None
    perfect = DepthMap(values=known.depth, kind=DepthKind.METRIC)
    benchmark = BENCHMARKS["moge-points-scale"]
    right = score(benchmark, stored(depth=perfect, camera=seen(K), size=SIZE), known).score
    wrong = score(
        benchmark,
        stored(depth=perfect, camera=seen(K_SEEN), size=SIZE),
        known,
    ).score
    assert right.values["point_rel"] == pytest.approx(0, abs=1e-9)
    assert wrong.values["point_rel"] > 0.01
    small = DepthMap(values=perfect.values[::2, ::2], kind=DepthKind.METRIC)
    halved = np.array([[7.5, 0, 3.5], [0, 7.5, 2.5], [0, 0, 1]])
    resized = score(benchmark, stored(depth=small, camera=seen(halved), size=(6, 8)), known).score
    assert resized.values["point_rel"] < 0.1


def test_objects_are_fitted_by_themselves() -> None:
    known = truth(with_objects=True)
    assert known.objects is not None
    assert known.depth is not None
    assert known.depth_valid is not None
    moved = np.where(known.objects == 1, known.depth, 2 * known.depth)
    points = lifted(moved.astype(np.float64), K) + 0.3 * (known.objects == 2)
    answer = stored(
        points=PointMap(
            values=points.astype(np.float32), kind=DepthKind.AFFINE, valid=np.ones(SIZE, bool)
        )
    )
    local = score(BENCHMARKS["moge-points-local"], answer, known).score.values
    assert local["local_rel"] == pytest.approx(0, abs=1e-6)
    assert local["local_delta1"] == 1
    assert score(BENCHMARKS["moge-points-affine"], answer, known).score.values["point_rel"] > 0.02
    noisy = stored(depth=guess(), camera=seen(K_SEEN))
    found = score(BENCHMARKS["moge-points-local"], noisy, known).score.values["local_rel"]
    p, t, valid, places, times = sampled()
    means = []
    for number in (1, 2):
        inside = valid & (known.objects.ravel() == number)
        own = known.objects.ravel()[places] == number
        size = float((t[:, inside].max(axis=1) - t[:, inside].min(axis=1)).max())
        scale, shift = every_anchor(p[:, places[own]], t[:, places[own]], times[own] / size)
        gap = np.linalg.norm(scale * p[:, inside] + shift[:, None] - t[:, inside], axis=0)
        means.append(np.mean(gap / size))
    assert found == pytest.approx(np.mean(means), rel=1e-6)
    with pytest.raises(NoGroundTruthError, match="no segmented objects"):
        score(BENCHMARKS["moge-points-local"], noisy, truth())


def test_a_flat_guess_stands_at_the_middle_and_a_quarter_of_the_size_is_no_longer_near() -> None:
    """Points at x = 0, 1, 2, 3, 4 are 2, 1, 0, 1, 2 from their median, of a size of 4."""
    columns = np.arange(5.0)
    true = np.stack([columns, np.zeros(5), np.ones(5)])[:, None].repeat(2, axis=1)
    inside = np.ones((2, 5), bool)
    pair = PointsPair(
        predicted=np.ones_like(true),
        true=true,
        valid=inside,
        objects=inside.astype(np.int64),
        raw=np.ones_like(true),
    )
    [errors] = pair.errors_by_object
    assert errors.mean == pytest.approx((2 + 1 + 0 + 1 + 2) / 5 / 4)
    assert errors.right == pytest.approx(1 / 5)


def test_the_field_of_view_is_in_degrees() -> None:
    found = score(
        BENCHMARKS["moge-fov"],
        stored(camera=seen(K_SEEN), size=SIZE),
        truth(),
    ).score.values
    gap = 2 * np.degrees(np.arctan(8 / 19) - np.arctan(8 / 15))
    assert found["fov_deviation"] == pytest.approx(gap, rel=1e-9)
    assert found["fov_error"] == pytest.approx(-gap, rel=1e-9)


def test_points_in_metres_need_metres() -> None:
    answer = stored(depth=guess(), camera=seen(K_SEEN), size=SIZE)
    with pytest.raises(InputError, match="no unit"):
        score(BENCHMARKS["moge-points-metric"], answer, truth(is_metric=False))
    with pytest.raises(InputError, match="no unit"):
        score(BENCHMARKS["depth"], answer, truth(is_metric=False))
    scaled = stored(
        depth=guess(DepthKind.UP_TO_SCALE),
        camera=seen(K_SEEN),
        size=SIZE,
    )
    with pytest.raises(OptionError, match="not 'up_to_scale'"):
        score(BENCHMARKS["moge-points-metric"], scaled, truth())
    with pytest.raises(InputError, match="without both depth and a predicted camera"):
        score(BENCHMARKS["moge-points-scale"], stored(depth=guess()), truth())


class Seeing(Model):
    """Depth and a camera from nothing but the photograph's size."""

    def __init__(self) -> None:
        self.card = ModelCard(
            name="test/seeing", summary="", kind=DepthKind.METRIC, camera=True, licence="none"
        )
        self.weights_sha256, self.settings = "", {}

    def run_network(self, photos: object) -> list[Inference]:
        return [
            Inference(
                depth=np.linspace(1, 3, 30 * 40, dtype=np.float32).reshape(30, 40),
                camera=Camera(
                    K=np.array([[50.0, 0, 19.5], [0, 50.0, 14.5], [0, 0, 1]]),
                    source=CameraSource.PREDICTED,
                ),
            )
            for _ in photos  # pyright: ignore
        ]


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    own = BundleSet(shape=(30, 40), has_objects=True)
    monkeypatch.setattr(moge_bundle, "SETS", {**SETS, "ETH3D": own})
    monkeypatch.setattr("rilievo.evaluation.evaluation_report.write_report", lambda *_: None)
    write_bundle(tmp_path / "data", "ETH3D")
    return tmp_path / "data"


def options(out: Path, **given: object) -> EvaluateOptions:
    return EvaluateOptions(dataset="moge-bundle", split="ETH3D", output=out, **given)


def test_a_models_points_and_camera_are_kept(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = evaluate(Seeing(), "moge-points-affine", bundle, options(out), show=False)
    assert len(found.scores) == 2
    assert (found.kind, found.alignment) == ("metric", "point_scale_shift")
    answer = read_cache(out / "predictions").read(found.scores[0].id)
    assert answer.camera is not None
    assert answer.shape == (30, 40)
    again = options(tmp_path / "again", predictions=out)
    other = evaluate(None, "moge-points-metric", bundle, again, show=False)
    assert other.summaries[0].value > 0
    view = evaluate(Seeing(), "moge-fov", bundle, options(tmp_path / "fov"), show=False)
    assert (view.kind, view.alignment) == (None, None)
    assert view.summaries[0].unit == "°"
    plain = evaluate(Seeing(), "moge-scale", bundle, options(tmp_path / "plain"), show=False)
    assert plain.scores
    without = options(tmp_path / "x", predictions=tmp_path / "plain")
    with pytest.raises(OptionError, match="contains no cameras"):
        evaluate(None, "moge-points-affine", bundle, without, show=False)
    with pytest.raises(OptionError, match="does not predict a camera"):
        evaluate("rilievo/small", "moge-fov", bundle, options(tmp_path / "y"), show=False)


def test_files_of_points_are_read_by_pattern(bundle: Path, tmp_path: Path) -> None:
    for id in ("room0/0000", "room1/0001"):
        v, u = np.mgrid[:30, :40]
        rays = np.stack([(u - 20) / 40, (v - 15) / 40, np.ones((30, 40))], axis=2)
        points = rays * (2 + np.sin(u / 5 + v / 9))[..., None]
        points[:3] = np.inf
        file = tmp_path / "theirs" / id / "points.npy"
        file.parent.mkdir(parents=True)
        np.save(file, points.astype(np.float32))
    given = options(
        tmp_path / "out",
        predictions=tmp_path / "theirs",
        kind="affine",
        pattern="{id}/points.npy",
    )
    found = evaluate(None, "moge-points-affine", bundle, given, show=False)
    assert len(found.scores) == 2
    assert found.kind == "affine"
