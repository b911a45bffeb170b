"""Targets of views, and their names."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError, OptionError
from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.views.evaluated_run import open_run
from rilievo.evaluation.views.targets import open_targets
from rilievo.evaluation.views.view_options import SourceOptions
from rilievo.records.depth_map import DepthKind
from support.looked_at import LOADER, NAMES, true_depth, write_results, write_run
from support.toy_dataset import write_toy


def copied(run: Path, to: Path) -> Path:
    return Path(shutil.copytree(run, to))


def changed(run: Path, **parts: object) -> None:
    """Another ``evaluation.json``; a dotted name, with __ for the dot, is a part of a part."""
    facts = json.loads((run / "evaluation.json").read_text())
    for name, value in parts.items():
        part, _, inner = name.partition("__")
        facts[part] = {**facts[part], inner: value} if inner else value
    (run / "evaluation.json").write_text(json.dumps(facts))


@pytest.mark.slow
def test_an_evaluation_is_shown_in_metres_as_it_was_scored(tmp_path: Path) -> None:
    run = write_run(tmp_path, "far", error=0.1, kind="affine_inverse")

    shown = open_targets([run], SourceOptions())
    item = shown.read("a")

    assert shown.ids == NAMES
    [one] = item.results
    assert one.prediction is not None
    assert one.prediction.depth is not None
    assert one.prediction.depth.kind is DepthKind.METRIC
    # The fit takes the error out again; only the scored pixels bind it.
    np.testing.assert_allclose(one.prediction.depth.values[:, 1:], true_depth(0)[:, 1:], rtol=1e-4)


def test_models_stand_side_by_side_with_their_scores(runs: list[Path]) -> None:
    shown = open_targets(runs, SourceOptions())

    assert [column.label for column in shown.columns] == ["far", "near"]
    # Metric predictions are not aligned, so AbsRel is the error itself.
    assert shown.columns[0].scores["a"].values["abs_rel"] == pytest.approx(0.1, abs=1e-5)
    assert shown.columns[1].scores["room/b"].values["abs_rel"] == pytest.approx(0.1, abs=1e-5)


def test_runs_of_one_model_are_told_apart_by_their_folders(
    runs: list[Path], tmp_path: Path
) -> None:
    again = copied(runs[0], tmp_path / "again")

    shown = open_targets([runs[0], again], SourceOptions())

    labels = [column.label for column in shown.columns]
    assert labels == ["far (far)", "far (again)"]
    fields = [column.field for column in shown.columns]
    assert fields == ["far", "again"]


@pytest.mark.parametrize(
    ("folder", "field"),
    [("True Depth", "model_true_depth"), ("tags", "model_tags"), ("7-b.1", "model_7_b_1")],
)
def test_a_folder_may_not_take_the_name_of_another_field(
    runs: list[Path], tmp_path: Path, folder: str, field: str
) -> None:
    run = copied(runs[0], tmp_path / folder)

    shown = open_targets([run], SourceOptions())

    assert shown.columns[0].field == field


def test_results_of_predict_find_their_photographs(tmp_path: Path) -> None:
    photos, results = write_results(tmp_path)

    shown = open_targets([results], SourceOptions(photos=photos))
    item = shown.read("room/two")

    assert shown.ids == ("one", "room/two")
    assert shown.images.photo_file("room/two") == photos.absolute() / "room" / "two.png"
    assert item.camera is not None
    assert item.truth is None


def test_a_photograph_whose_name_is_shown_escaped_is_its_own(tmp_path: Path) -> None:
    """Results have a name that reverses the line as ``\\u202e``; the file does not."""
    photos, results = write_results(tmp_path)
    (photos / "one.png").rename(photos / "one\u202e.png")
    for path in results.rglob("*.json"):
        path.write_text(path.read_text().replace('"one.png"', '"one\\\\u202e.png"'))

    shown = open_targets([results], SourceOptions(photos=photos))

    assert shown.images.photo_file("one") == photos.absolute() / "one\u202e.png"


def test_a_photograph_that_changed_since_is_refused(tmp_path: Path) -> None:
    photos, results = write_results(tmp_path)
    with (photos / "one.png").open("ab") as file:
        file.write(b"!")

    with pytest.raises(InputError, match=r"one\.png: has \d+ bytes, but .*predict it again"):
        open_targets([results], SourceOptions(photos=photos))


def test_a_result_without_its_photograph_is_said(tmp_path: Path) -> None:
    photos, results = write_results(tmp_path)
    (photos / "one.png").unlink()

    shown = open_targets([results], SourceOptions(photos=photos))

    assert shown.ids == ("room/two",)
    assert "its photograph is not in" in shown.absent["one"]


def test_predictions_can_be_shown_on_a_dataset(tmp_path: Path) -> None:
    root = write_toy(tmp_path / "toy", ("one", "room/two", "three"))
    _, results = write_results(tmp_path)

    shown = open_targets([results, LOADER], SourceOptions(root=root))

    assert shown.ids == ("one", "room/two", "three")
    assert shown.read("three").results[0].prediction is None
    assert shown.read("one").true_depth is not None


def test_a_dataset_alone_can_be_shown(tmp_path: Path) -> None:
    root = write_toy(tmp_path / "toy", NAMES)

    shown = open_targets([LOADER], SourceOptions(root=root, limit=2))

    assert (shown.ids, shown.columns) == (NAMES[:2], ())


@pytest.mark.slow
def test_a_dataset_that_moved_is_found_by_its_root(tmp_path: Path) -> None:
    run = write_run(tmp_path, "far")
    (tmp_path / "toy").rename(tmp_path / "moved")

    with pytest.raises(InputError, match="give its new folder with root"):
        open_targets([run], SourceOptions())
    assert open_targets([run], SourceOptions(root=tmp_path / "moved")).ids == NAMES


@pytest.mark.slow
def test_a_broken_prediction_is_a_fault_of_its_own(tmp_path: Path) -> None:
    run = write_run(tmp_path, "far")
    (tmp_path / "from-far" / "c.npy").write_bytes(b"no array")

    item = open_targets([run], SourceOptions()).read("c")

    assert item.results[0].prediction is None
    assert "c.npy" in str(item.results[0].fault)


@pytest.mark.slow
def test_runs_of_different_images_are_refused(runs: list[Path], tmp_path: Path) -> None:
    other = copied(runs[1], tmp_path / "other")
    changed(other, data__split="train")

    with pytest.raises(InputError, match="splits are 'test' and 'train'; view them separately"):
        open_targets([runs[0], other], SourceOptions())


def test_a_benchmark_that_changed_since_is_refused(runs: list[Path], tmp_path: Path) -> None:
    run = copied(runs[0], tmp_path / "run")
    changed(run, benchmark_sha256="00" * 32)

    with pytest.raises(InputError, match="has changed since this evaluation"):
        open_targets([run], SourceOptions())


def test_a_command_of_another_version_is_refused(runs: list[Path], tmp_path: Path) -> None:
    run = copied(runs[0], tmp_path / "run")
    changed(run, asked={}, command="rilievo evaluate --benchmark depth --root x --unheard-of 3")

    with pytest.raises(InputError, match="its options do not fit this version of rilievo"):
        open_targets([run], SourceOptions())


def test_with_a_root_a_datasets_name_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stands beside the folder of a dataset names both alike."""
    (tmp_path / "tum").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="contains no results"):
        open_targets(["tum"], SourceOptions(photos=tmp_path))
    with pytest.raises(InputError, match="tum") as caught:
        open_targets(["tum"], SourceOptions(root=Path("tum")))
    assert "contains no results" not in str(caught.value)


def test_what_is_no_target_is_refused_in_one_line(runs: list[Path], tmp_path: Path) -> None:
    photos, results = write_results(tmp_path)
    (tmp_path / "empty").mkdir()
    none = SourceOptions()
    for targets, options, words in (
        ([], none, "nothing to show"),
        (["nyuv3"], none, "is neither a folder"),
        ([results], none, "the photographs of these results are unknown"),
        ([tmp_path / "empty"], none, "contains no results"),
        ([tmp_path / "empty"], SourceOptions(photos=photos), "contains no results"),
        ([*runs, "tum"], none, "evaluations already state their dataset; leave 'tum' out"),
        (["nyuv2", "tum"], none, "one dataset can be shown at a time"),
        (["tum"], SourceOptions(photos=photos), "photos only applies to folders of predictions"),
        ([results], SourceOptions(photos=tmp_path / "gone"), "no such folder of photographs"),
        ([results], SourceOptions(photos=tmp_path / "empty"), "no photograph for 2 results"),
    ):
        with pytest.raises((InputError, OptionError), match=words) as caught:
            open_targets(targets, options)
        assert "\n" not in str(caught.value)


def test_options_out_of_range_are_refused() -> None:
    for given, words in (
        ({"limit": 0}, "limit must be 1 or more"),
        ({"kind": "metrik"}, "did you mean 'metric'"),
    ):
        with pytest.raises(OptionError, match=words):
            SourceOptions(**given)


def test_an_evaluation_of_a_generated_dataset_names_no_root(
    runs: list[Path], tmp_path: Path
) -> None:
    run = copied(runs[0], tmp_path / "run")
    facts = json.loads((run / "evaluation.json").read_text())
    command = re.sub(r" --root \S+", "", facts["command"])
    assert command != facts["command"]
    changed(run, asked={}, command=command)
    assert open_run(run, Path(facts["data"]["root"])).evaluation.command == command


def test_an_evaluation_opens_from_any_folder_by_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths were given from another folder, and the command line is a text for people."""
    write_toy(tmp_path / "toy", NAMES)
    for seed, name in enumerate(NAMES):
        path = tmp_path / "theirs" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, true_depth(seed))
    (tmp_path / "list.txt").write_text("\n".join(NAMES[:2]) + "\n")
    monkeypatch.chdir(tmp_path)
    options = EvaluateOptions(
        output=Path("run"),
        dataset=LOADER,
        predictions=Path("theirs"),
        list_file=Path("list.txt"),
        kind="metric",
        workers=1,
    )
    evaluate("theirs", "depth", "toy", options, show=False)
    changed(tmp_path / "run", command="rilievo evaluate --of-another-time")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = open_run(Path("../run"), None)
    assert run.selection.ids == NAMES[:2]
    assert run.selection.scored_data.list_file == str(tmp_path / "list.txt")
    changed(tmp_path / "run", asked={"benchmark": ["depth"], "root": [str(tmp_path)], "no": ["1"]})
    with pytest.raises(
        InputError, match=r"options do not fit this version of rilievo \(no option 'no'"
    ):
        open_run(Path("../run"), None)


def test_a_checkpoint_on_disk_is_named_by_its_run_and_not_by_an_absolute_path(
    runs: list[Path], tmp_path: Path
) -> None:
    evaluated = copied(runs[0], tmp_path / "dpt")
    changed(evaluated, made_by__model=str(tmp_path / "checkpoints" / "step-9000"))

    shown = open_targets([evaluated, runs[1]], SourceOptions())

    names = [(column.label, column.field) for column in shown.columns]
    assert names == [("dpt", "dpt"), ("near", "near")]
