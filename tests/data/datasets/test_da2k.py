"""DA-2K: its annotations as its authors write them, and the order that predictions have."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.scoring.score import score
from rilievo.records.depth_map import DepthKind, DepthMap
from support.stored_answers import stored

PAIRS = {
    "images/indoor/a.jpg": [
        {"point1": [40, 10], "point2": [6, 60], "closer_point": "point1"},
        {"point1": [4, 4], "point2": [44, 63], "closer_point": "point2"},
        {"point1": [2, 8], "point2": [47, 8], "closer_point": "point1"},
    ],
    "images/underwater/b.png": [
        {"point1": [5, 0], "point2": [9, 0], "closer_point": "point2"},
    ],
}


@pytest.fixture
def da2k(tmp_path: Path) -> Path:
    root = tmp_path / "DA-2K"
    for name in PAIRS:
        (root / name).parent.mkdir(parents=True)
        Image.new("RGB", (64, 48), "gray").save(root / name)
    (root / "annotations.json").write_text(json.dumps(PAIRS))
    return root


def rows(height: int = 48, width: int = 64) -> np.ndarray:
    """The lower, the nearer."""
    return np.repeat(np.linspace(9, 1, height)[:, None], width, axis=1).astype(np.float32)


def test_pairs_are_read_the_nearer_point_first(da2k: Path) -> None:
    data = open_dataset("da2k", da2k)
    assert data.ids == ("images/indoor/a", "images/underwater/b")
    order = data.truth("images/indoor/a").order
    assert order is not None
    assert order.size == (48, 64)
    np.testing.assert_array_equal(order.nearer, [[40, 10], [44, 63], [2, 8]])
    np.testing.assert_array_equal(order.farther, [[6, 60], [4, 4], [47, 8]])
    assert open_dataset("da2k", da2k, split="underwater").ids == ("images/underwater/b",)


@pytest.mark.parametrize("kind", list(DepthKind))
def test_order_is_that_of_depth_whatever_its_kind(da2k: Path, kind: DepthKind) -> None:
    data = open_dataset("da2k", da2k)
    values = rows() if kind.is_depth else -3 * rows()
    answer = stored(depth=DepthMap(values=values, kind=kind))
    found = score(BENCHMARKS["da2k"], answer, data.truth("images/indoor/a"))
    assert found.score.values["in_order"] == pytest.approx(2 / 3)
    assert found.score.pixels == 3


def test_ties_and_missing_answers(da2k: Path) -> None:
    truth = open_dataset("da2k", da2k).truth("images/indoor/a")
    flat = DepthMap(values=np.ones((48, 64), np.float32), kind=DepthKind.METRIC)
    assert score(BENCHMARKS["da2k"], stored(depth=flat), truth).score.values["in_order"] == 0
    small = DepthMap(values=rows(24, 32), kind=DepthKind.METRIC)
    assert score(BENCHMARKS["da2k"], stored(depth=small), truth).score.values["in_order"] > 0.6
    valid = np.ones((48, 64), bool)
    valid[40, 10] = False
    holed = DepthMap(values=rows(), kind=DepthKind.METRIC, valid=valid)
    with pytest.raises(InputError, match="no finite value at one of the points"):
        score(BENCHMARKS["da2k"], stored(depth=holed), truth)


def test_every_pair_counts_the_same(
    da2k: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("images/indoor/a", "images/underwater/b"):
        (tmp_path / "theirs" / name).parent.mkdir(parents=True)
        np.save(tmp_path / "theirs" / f"{name}.npy", rows())
    given = EvaluateOptions(
        predictions=tmp_path / "theirs", kind="up_to_scale", output=tmp_path / "out"
    )
    found = evaluate(None, "da2k", da2k, given, show=False)
    [summary] = found.summaries
    assert (summary.value, summary.per_image) == (3 / 4, pytest.approx(5 / 6))
    assert not found.warnings
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000
    words = ["evaluate", "-b", "da2k", "--root", str(da2k), "-m", "rilievo/small"]
    assert main([*words, "-o", str(tmp_path / "small")]) == 0
    assert "in order" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "expected a JSON object"),
        ('{"images/indoor/a.jpg": [{"point1": [1, 2]}]}', "needs point1, point2"),
        (
            '{"images/indoor/a.jpg": [{"point1": [1], "point2": 2, "closer_point": "point1"}]}',
            "needs point1, point2",
        ),
    ],
)
def test_broken_annotations_are_one_line(da2k: Path, text: str, words: str) -> None:
    (da2k / "annotations.json").write_text(text)
    with pytest.raises(InputError, match=words):
        open_dataset("da2k", da2k)


def test_points_outside_the_photograph_are_refused(da2k: Path) -> None:
    pair = {"point1": [48, 0], "point2": [0, 0], "closer_point": "point1"}
    (da2k / "annotations.json").write_text(json.dumps({"images/indoor/a.jpg": [pair]}))
    with pytest.raises(InputError, match="lies outside the image, which has 64x48 pixels"):
        open_dataset("da2k", da2k).truth("images/indoor/a")
    (da2k / "annotations.json").write_text(json.dumps({"images/indoor/c.jpg": [pair]}))
    assert [each.id for each in open_dataset("da2k", da2k).absent] == ["images/indoor/c"]
