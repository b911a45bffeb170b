"""Confidence judged in whole evaluations: kept, resized, summed up, drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Invalid
from rilievo.evaluation.evaluation_folder import read_evaluation
from rilievo.evaluation.predictions.prediction_cache import read_cache
from rilievo.evaluation.scoring.comparable_depth import comparable_depth
from rilievo.evaluation.scoring.score import score
from rilievo.records.depth_map import DepthKind, DepthMap
from support.fixed_depth import FixedDepth
from support.scenes_to_score import depth_of, guess, scene
from support.stored_answers import stored
from support.tiny_evaluation import run_tiny, write_predictions


@pytest.mark.slow
@pytest.mark.usefixtures("with_report")
def test_a_model_is_judged_by_its_confidence(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = run_tiny("rilievo/small", root, "certainty", output=out)
    assert [each.metric for each in found.summaries[:2]] == ["ause_abs_rel", "aurg_abs_rel"]
    kept = read_cache(out / "predictions")
    assert kept.fingerprint.confidence
    answer = kept.read(found.scores[0].id)
    assert answer.confidence is not None
    assert answer.confidence.shape == (48, 64)
    # The curves of the images, averaged, have the averaged area between them.
    curve = found.sparsification
    gaps = [each.by_confidence - each.by_error for each in curve]
    assert (curve[0].removed, curve[-1].removed) == (0, 1)
    assert np.trapezoid(gaps, dx=0.02) == pytest.approx(found.summaries[0].value, abs=1e-12)
    assert curve[0].by_confidence == pytest.approx(
        np.mean([each.values["abs_rel"] for each in found.scores]), abs=1e-12
    )
    assert sum(each.pixels for each in found.reliability) == found.summaries[0].pixels
    assert read_evaluation(out) == found
    page = (out / "report.html").read_text(encoding="utf-8")
    assert 'id="certainty"' in page
    assert "least confident pixels removed" in page


def test_predictions_that_were_kept_with_a_confidence_serve_both_benchmarks(
    root: Path, tmp_path: Path
) -> None:
    found = run_tiny("rilievo/small", root, "certainty", output=tmp_path / "out")
    value = next(each.value for each in found.summaries if each.metric == "abs_rel")
    plain = run_tiny("rilievo/small", root, "depth", output=tmp_path / "plain")
    assert plain.summaries[0].metric == "abs_rel"
    assert plain.summaries[0].value == value
    assert (plain.sparsification, plain.reliability) == ((), ())
    # Kept without confidence, so there is none to judge.
    with pytest.raises(OptionError, match="contains no confidence"):
        run_tiny(None, root, "certainty", predictions=tmp_path / "plain", output=tmp_path / "x")
    # And the other way round it serves.
    again = run_tiny(None, root, "depth", predictions=tmp_path / "out", output=tmp_path / "y")
    assert again.summaries[0].value == plain.summaries[0].value


def test_models_without_a_confidence_are_refused_before_any_work(
    root: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="does not predict confidence"):
        run_tiny(FixedDepth(np.ones((48, 64))), root, "certainty", output=tmp_path / "out")
    with pytest.raises(OptionError, match="predicts confidence for depth"):
        run_tiny("rilievo/small", root, "normals-certainty", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_predictions_of_others_have_none(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    with pytest.raises(InputError, match="has no confidence"):
        run_tiny(
            None,
            root,
            "certainty",
            predictions=tmp_path / "theirs",
            kind="metric",
            output=tmp_path / "out",
        )


def test_a_smaller_confidence_is_resized_between_pixel_centres() -> None:
    truth = scene((40, 60))
    small = np.random.default_rng(0).uniform(0, 1, (20, 30)).astype(np.float32)
    answer = stored(depth=guess(truth, DepthKind.METRIC), confidence=small)
    benchmark = replace(BENCHMARKS["certainty"], metrics=("ece",))
    found = score(benchmark, answer, truth).score.values["ece"]

    def between(values: np.ndarray, count: int) -> np.ndarray:
        at = (np.arange(count) + 0.5) * values.size / count - 0.5
        return np.interp(at, np.arange(values.size), values)

    wide = np.stack([between(row, 60) for row in small.astype(np.float64)])
    large = np.stack([between(column, 40) for column in wide.T], axis=1)
    metres = comparable_depth(benchmark, guess(truth, DepthKind.METRIC), truth)
    ratio = metres.depth[metres.mask].astype(np.float64) / depth_of(truth)[metres.mask]
    right = np.maximum(ratio, 1 / ratio) < 1.25
    said = large[metres.mask]
    gaps = np.bincount(np.ceil(said * 15).astype(int), said - right)
    assert found == pytest.approx(np.abs(gaps).sum() / said.size, rel=1e-5)


def test_nobody_is_sure_of_pixels_without_an_answer() -> None:
    truth = scene((40, 60))
    depth = guess(truth, DepthKind.METRIC)
    valid = np.ones(depth.shape, bool)
    valid[:20] = False
    answer = stored(
        depth=DepthMap(values=depth.values, kind=depth.kind, valid=valid),
        confidence=np.ones((40, 60), np.float32),
    )
    benchmark = replace(
        BENCHMARKS["certainty"], metrics=("ece",), invalid=Invalid.FAR, max_depth=100.0
    )
    scored = score(benchmark, answer, truth)
    first = scored.reliability
    assert first is not None
    unanswered = scored.score.unanswered
    assert unanswered > 0
    assert first.reshape(3, 15)[0, 0] == unanswered
