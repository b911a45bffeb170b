"""One prediction scored by many benchmarks: equal to separate runs, and predicted once."""

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
from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.suite_run import SuiteResult, evaluate_protocols
from rilievo.evaluation.views.evaluated_run import open_run
from rilievo.models.base import Model
from support.tiny_dataset import Tiny
from support.tiny_evaluation import TINY, write_predictions


def run_all(
    model: str | None, root: Path, output: Path, names: str = "all", **given: Any
) -> SuiteResult:
    options = EvaluateOptions(dataset=TINY, output=output, **given)
    return evaluate_protocols(model, names, root, options, show=False)


def numbers(run: Evaluation) -> Evaluation:
    """All of an evaluation but the time it took and its options."""
    return replace(run, seconds=0.0, command="", asked={})


def by_name(result: SuiteResult) -> dict[str, Evaluation]:
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
    assert ("not 'affine'" if kind == "affine" else "gives no scene") in refused["video-depth"]
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
    assert "does not predict a camera" in refused["moge-fov"]


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


def test_every_photograph_is_predicted_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    counted.count(Model, "predict_raw", lambda self, photos: photos[0].name)
    names = "depth,surfaces,certainty,moge-scale,moge-boundary"
    options = EvaluateOptions(dataset=TINY, output=tmp_path / "all")
    result = evaluate_protocols("rilievo/small", names, root, options, show=False)
    assert len(by_name(result)) == 5
    assert counted.of("predict_raw") == [1] * 6


def test_a_second_call_repeats_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "depth,moge-scale"
    options = EvaluateOptions(dataset=TINY, output=tmp_path / "all", limit=2)
    first = evaluate_protocols("rilievo/small", names, root, options, show=False)
    counted = Counted(monkeypatch)
    counted.count(Model, "predict_raw", lambda self, photos: photos[0].name)
    counted.count(Tiny, "truth", lambda self, id: id)
    second = evaluate_protocols("rilievo/small", names, root, options, show=False)
    assert not counted.calls
    assert by_name(second) == by_name(first)
    assert all(row.was_finished for row in second.rows if row.evaluation is not None)


SECOND = replace(BENCHMARKS["depth"], name="second", dataset=TINY, variant="second")
SQUARE = replace(SECOND, name="square", variant=None, input_crop="test_many_protocols:left_half")


def left_half(shape: tuple[int, int]) -> tuple[int, int, int, int]:
    return 0, shape[0], 0, shape[1] // 2


def test_another_crop_is_predicted_anew_and_another_variant_is_not(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This dataset shows the same photographs in both variants."""
    counted = Counted(monkeypatch)
    counted.count(Model, "predict_raw", lambda self, photos: photos[0].pixels.shape)
    names = "depth,test_many_protocols:SECOND,test_many_protocols:SQUARE"
    result = run_all("rilievo/small", root, tmp_path, names=names, limit=2)
    assert [row.reason for row in result.rows] == [""] * 3
    assert counted.of("predict_raw") == [2, 2]


def test_an_image_that_cannot_be_predicted_is_tried_once_and_named_everywhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = sorted((root / "image").rglob("*.npy"))[1]
    broken.write_bytes(broken.read_bytes()[:200])
    counted = Counted(monkeypatch)
    counted.count(Model, "predict_raw", lambda self, photos: photos[0].name)
    result = run_all("rilievo/small", root, tmp_path, names="depth,moge-scale")
    assert counted.of("predict_raw") == [1] * 5
    for run in by_name(result).values():
        assert len(run.scores) == 5
        [lost] = run.unscored
        assert lost.id == broken.relative_to(root / "image").with_suffix("").as_posix()


def test_benchmarks_of_other_images_are_refused_by_name(root: Path, tmp_path: Path) -> None:
    write_predictions(root, tmp_path / "theirs")
    options = EvaluateOptions(
        dataset=TINY, predictions=tmp_path / "theirs", kind="metric", output=tmp_path / "all"
    )

    def evaluated(names: str, given: EvaluateOptions = options) -> SuiteResult:
        return evaluate_protocols(None, names, root, given, show=False)

    depth, nyu = evaluated("depth,nyuv2-eigen").rows
    assert (depth.label, depth.reason) == ("depth", "")
    assert "uses the dataset 'nyuv2'" in nyu.reason
    with pytest.raises(OptionError, match="no benchmark fits"):
        evaluated("nyuv2-eigen")
    with pytest.raises(OptionError, match="did you mean 'surfaces'"):
        evaluated("surfces")
    with pytest.raises(OptionError, match="choose the dataset with dataset"):
        evaluated("all", replace(options, dataset=None))
    with pytest.raises(OptionError, match="align only applies to a single benchmark"):
        evaluated("all", replace(options, align="median"))


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
    for name in ("scaled", "noisy"):
        predictions = ["--predictions", str(tmp_path / name), "--model", name]
        output = ["-o", str(tmp_path / f"runs-{name}")]
        assert main([*asked, *predictions, *output]) == 0
    capsys.readouterr()
    assert main(["compare", *(str(tmp_path / f"runs-{name}") for name in ("scaled", "noisy"))]) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    start = next(place for place, line in enumerate(printed) if line[:1] == ["rank"])
    heads, rank = printed[start], {line[0]: line[1:] for line in printed[start + 2 : start + 4]}
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
        assert run.pictures.depth(row.evaluation.scores[0].id) is not None
    own = EvaluateOptions(
        dataset=TINY, output=tmp_path / "again", predictions=tmp_path / "all" / "depth"
    )
    again = evaluate(None, "depth", root, replace(own, limit=2), show=False)
    assert again.scores == by_name(result)["depth"].scores
