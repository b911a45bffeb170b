"""One prediction scored by many benchmarks: equal to separate runs, with nothing done twice."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.evaluating import evaluate
from rilievo.evaluation.protocols.choosing import choose, same_pictures
from rilievo.evaluation.protocols.protocols_run import ProtocolsResult, evaluate_protocols
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.scoring import metres, points
from rilievo.evaluation.views.evaluated_runs import open_run
from rilievo.models.base import Model
from tiny_dataset import Tiny
from tiny_evaluation import TINY, write_predictions


def run_all(model: str | None, root: Path, output: Path, **given: Any) -> ProtocolsResult:
    options = EvaluateOptions(dataset=TINY, output=output, **given)
    return evaluate_protocols(model, "all", root, options, show=False)


def numbers(run: Evaluation) -> Evaluation:
    """All of an evaluation but the time it took and its command."""
    return replace(run, seconds=0.0, command="")


def by_name(result: ProtocolsResult) -> dict[str, Evaluation]:
    return {row.label: row.evaluation for row in result.rows if row.evaluation is not None}


@pytest.mark.parametrize("kind", ["metric", "up_to_scale", "affine", "affine_inverse"])
def test_numbers_are_those_of_separate_evaluations(kind: str, root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs", power=-1 if kind == "affine_inverse" else 1)
    given = {"predictions": tmp_path / "theirs", "kind": kind}
    result = run_all(None, root, tmp_path / "all", **given)
    found = by_name(result)
    assert {"depth", "surfaces", "moge-boundary"} <= {*found}
    for name, run in found.items():
        own = EvaluateOptions(dataset=TINY, output=tmp_path / name, **given)
        assert numbers(evaluate(None, name, root, own, show=False)) == numbers(run), name
    refused = {row.label: row.reason for row in result.rows if row.evaluation is None}
    assert ("not 'affine'" if kind == "affine" else "names no scene") in refused["video-depth"]
    assert ("moge-metric" in refused) == (kind != "metric")
    assert not {*found} & {*refused}
    assert {*found, *refused} == {n for n, each in BENCHMARKS.items() if each.dataset is None}


def test_the_model_is_asked_once_for_depth_normals_and_confidence(
    root: Path, tmp_path: Path
) -> None:
    result = run_all("rilievo/small", root, tmp_path / "all", limit=2)
    found = by_name(result)
    assert {"depth", "normals", "surfaces", "certainty"} <= {*found}
    for name in ("depth", "normals", "certainty"):
        own = EvaluateOptions(dataset=TINY, output=tmp_path / name, limit=2)
        assert numbers(evaluate("rilievo/small", name, root, own, show=False)) == numbers(
            found[name]
        )
    refused = {row.label: row.reason for row in result.rows if row.evaluation is None}
    assert "sees no camera" in refused["moge-fov"]


class Counted:
    """Calls of functions, by their name and what tells them apart."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[tuple[object, ...]] = Counter()
        self._monkeypatch = monkeypatch

    def count(self, owner: object, name: str, key: Callable[..., object]) -> None:
        real = getattr(owner, name)

        def counted(*args: Any, **given: Any) -> Any:
            self.calls[name, key(*args, **given)] += 1
            return real(*args, **given)

        self._monkeypatch.setattr(owner, name, counted)

    def of(self, name: str) -> list[int]:
        return [count for (called, _), count in self.calls.items() if called == name]


def fit_key(predicted: Any, true: np.ndarray, valid: np.ndarray, **given: Any) -> object:
    parts = (predicted.values.tobytes(), true.tobytes(), valid.tobytes())
    return (*map(hash, parts), *sorted((name, str(value)) for name, value in given.items()))


def test_everything_is_read_predicted_and_fitted_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    counted.count(Tiny, "image", lambda self, id: id)
    counted.count(Tiny, "truth", lambda self, id: id)
    counted.count(Model, "predict_raw", lambda self, photos: photos[0].name)
    counted.count(metres, "align", fit_key)
    counted.count(points, "fit_points", lambda x, y, w, fit: (hash(x.tobytes()), fit))
    names = "depth,surfaces,certainty,moge-scale,moge-boundary"
    options = EvaluateOptions(dataset=TINY, output=tmp_path / "all")
    result = evaluate_protocols("rilievo/small", names, root, options, show=False)
    assert len(by_name(result)) == 5
    for name, images in (("image", 6), ("truth", 6), ("predict_raw", 6)):
        assert counted.of(name) == [1] * images, name
    # Three of the five fit by the median, and that is one fit.
    assert counted.of("align") == [1] * 6 * 3


def test_a_second_call_repeats_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "depth,moge-scale"
    options = EvaluateOptions(dataset=TINY, output=tmp_path / "all", limit=2)
    first = evaluate_protocols("rilievo/small", names, root, options, show=False)
    counted = Counted(monkeypatch)
    counted.count(Model, "predict_raw", lambda self, photos: photos[0].name)
    counted.count(metres, "align", fit_key)
    second = evaluate_protocols("rilievo/small", names, root, options, show=False)
    assert not counted.calls
    assert by_name(second) == by_name(first)
    assert all(row.was_finished for row in second.rows if row.evaluation is not None)


def test_another_crop_is_another_picture(root: Path, tmp_path: Path) -> None:
    options = EvaluateOptions(dataset=TINY)
    plans = choose("depth,surfaces,normals", root, options).plans
    [group] = same_pictures(plans)
    assert len(group) == 3
    cropped = replace(plans[1], benchmark=replace(plans[1].benchmark, input_crop="nyu_square"))
    assert [len(each) for each in same_pictures([plans[0], cropped, plans[2]])] == [2, 1]
    other = choose("depth", root, replace(options, variant="second")).plans
    # This dataset shows the same photographs in both variants.
    assert len(same_pictures([plans[0], *other])) == 1


def test_benchmarks_of_other_images_are_refused_by_name(root: Path, tmp_path: Path) -> None:
    found = choose("depth,nyuv2-eigen", root, EvaluateOptions(dataset=TINY))
    assert [plan.benchmark.name for plan in found.plans] == ["depth"]
    assert "is of the dataset 'nyuv2'" in found.refused["nyuv2-eigen"]
    with pytest.raises(OptionError, match="no benchmark fits"):
        choose("nyuv2-eigen", root, EvaluateOptions(dataset=TINY))
    with pytest.raises(OptionError, match="did you mean 'surfaces'"):
        choose("surfces", root, EvaluateOptions(dataset=TINY))
    with pytest.raises(OptionError, match="name it, --dataset"):
        choose("all", root, EvaluateOptions())
    with pytest.raises(OptionError, match="--align is for one benchmark"):
        run_all(None, root, tmp_path, predictions=root, kind="metric", align="median")


def test_the_command_shows_how_ranks_change(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, factor, noise in (("scaled", 1.5, 0.0), ("noisy", 1.0, 0.2)):
        for path in sorted((root / "depth").rglob("*.npy")):
            depth = np.where(np.load(path) > 0, np.load(path), 2)
            wave = 1 + noise * np.sin(np.arange(depth.shape[1]))
            file = tmp_path / name / path.relative_to(root / "depth")
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, (factor * depth * wave).astype(np.float32))
    usual = ["--dataset", TINY, "--root", str(root), "--kind", "metric"]
    asked = ["evaluate", "--protocols", "depth,moge-scale", *usual]
    for name, more in (("scaled", []), ("noisy", ["--against", str(tmp_path / "runs-scaled")])):
        predictions = ["--predictions", str(tmp_path / name), "--model", name]
        output = ["-o", str(tmp_path / f"runs-{name}")]
        assert main([*asked, *predictions, *output, *more]) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    rank = {line[0]: line[1:] for line in printed[-3:]}
    heads = printed[-5]
    assert heads[-2:] in (["noisy", "scaled"], ["scaled", "noisy"])
    noisy = heads[-2:].index("noisy")
    assert [rank["depth"][noisy], rank["moge-scale"][noisy]] == ["1", "2"]
    assert main([*asked, "--benchmark", "depth"]) == 2
    assert main(["evaluate", "--protocols", "all", "--root", str(root)]) == 2


def test_a_result_opens_with_the_predictions_that_all_share(root: Path, tmp_path: Path) -> None:
    options = EvaluateOptions(dataset=TINY, output=tmp_path / "all", limit=2)
    result = evaluate_protocols("rilievo/small", "depth,moge-scale", root, options, show=False)
    for row in result.rows:
        assert row.evaluation is not None
        run = open_run(row.folder, None)
        assert run.shown.depth(row.evaluation.scores[0].id) is not None
    own = EvaluateOptions(dataset=TINY, output=tmp_path / "again", predictions=tmp_path / "all")
    again = evaluate(None, "depth", root, replace(own, limit=2), show=False)
    assert again.scores == by_name(result)["depth"].scores
