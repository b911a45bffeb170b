"""Scores of probes on test images, which stay in memory from one probe to the next."""

from pathlib import Path

import pytest

from rilievo.evaluation.probe_scores import ProbeScoring
from rilievo.models import load_model
from support.tiny_evaluation import TINY, run_tiny


@pytest.mark.parametrize("megabytes", [2000, 0])
def test_normals_score_as_in_an_evaluation_also_with_images_in_memory(
    root: Path, tmp_path: Path, megabytes: float
) -> None:
    scoring = ProbeScoring(
        dataset=TINY,
        root=root,
        split=None,
        variant=None,
        list_file=None,
        limit=None,
        input_crop="none",
        benchmarks=("normals",),
        megabytes=megabytes,
    )
    model = load_model("rilievo/small", device="cpu")
    first, second = (scoring.score(model, depth=False, normals=True) for _ in range(2))
    evaluated = run_tiny(model, root, benchmark="normals", output=tmp_path / "out")
    expected = {each.metric: each.value for each in evaluated.summaries}
    for scores in (first, second):
        [benchmark] = scores.benchmarks
        found = {each.metric: each.value for each in benchmark.summaries}
        # A probe's median is read from a histogram.
        assert found == pytest.approx(expected, abs=0.01)
