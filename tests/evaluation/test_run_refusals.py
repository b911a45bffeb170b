"""Evaluations of faulty predictions, broken datasets and folders of others."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError, MissingExtraError, OptionError, OutputError
from rilievo.evaluation.evaluation_folder import read_evaluation
from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.records import Unscored
from rilievo.io.verification import verify
from rilievo.models import load_model
from rilievo.version import PROCESSING
from support.tiny_evaluation import TINY, run_tiny, write_predictions
from support.tiny_networks import MakeNetwork


def test_every_image_without_a_score_has_its_reason(root: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    write_predictions(root, theirs)
    faults = {
        "room0/000": np.full((48, 64), np.nan, np.float32),
        "room0/002": np.full((48, 64), -1.0, np.float32),
        "room1/001": np.ones((48, 48), np.float32),
    }
    for id, array in faults.items():
        np.save(theirs / f"{id}.npy", array)
    (theirs / "room1" / "003.npy").unlink()
    np.save(theirs / "stray.npy", np.ones((4, 4)))
    (root / "depth" / "room0" / "004.npy").write_bytes(b"broken")
    found = run_tiny(None, root, predictions=theirs, kind="metric", output=tmp_path / "out")
    assert [score.id for score in found.scores] == ["room1/005"]
    reasons = {each.id: each.reason for each in found.unscored}
    assert len(reasons) == 5
    for id, words in {
        "room0/000": "3072 of 3072 are NaN or infinite",
        "room0/002": "zero or negative at 3072 of 3072",
        "room0/004": "broken",
        "room1/001": "neither size is a whole multiple",
        "room1/003": "there is no prediction for this image",
    }.items():
        assert words in reasons[id]
        assert "\n" not in reasons[id]
    assert any(line.endswith("stray.npy") for line in found.warnings)
    [lacking] = [line for line in found.warnings if " of 6 images" in line]
    assert lacking.startswith("5 of 6 images have no score: ")
    assert lacking.endswith("; 2 for other reasons, which the results list")
    assert read_evaluation(tmp_path / "out") == found


def test_holes_and_another_unit_are_said_of_the_whole_run(root: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    write_predictions(root, theirs)
    for number, path in enumerate(sorted(theirs.rglob("*.npy"))):
        millimetres = (np.load(path) * (1000 if number else 1e6)).astype(np.uint32)
        millimetres[:, : 10 * (number % 3)] = 0
        path.unlink()
        np.save(path, millimetres)
    given = {"predictions": theirs, "kind": "metric", "scale": 0.001}
    found = run_tiny(None, root, output=tmp_path / "out", **given)
    lost = sum(score.unanswered for score in found.scores)
    whole = sum(score.pixels for score in found.scores) + lost
    said = (
        f"in 4 images, rilievo does not score {lost:,} of {whole:,} pixels with ground truth, "
        f"because the prediction has no value there ({lost / whole:.2%})"
    )
    assert found.warnings == (
        "in 1 image, the predicted metric depth is off by a factor of more than 50 on average: "
        "check that its unit is metres",
        said,
    )
    assert len(found.scores) == 6


def test_predictions_that_are_upside_down_are_said_to_be(root: Path, tmp_path: Path) -> None:
    for path in (root / "depth").rglob("*.npy"):
        height, width = np.load(path).shape
        np.save(path, np.tile(np.linspace(3, 1, height, dtype=np.float32)[:, None], width))
    theirs = tmp_path / "theirs"
    write_predictions(root, theirs)
    for path in theirs.rglob("*.npy"):
        np.save(path, np.ascontiguousarray(np.load(path)[::-1]))
    found = run_tiny(None, root, output=tmp_path / "out", predictions=theirs, kind="metric")
    assert any("seems to be upside down" in warning for warning in found.warnings)


@pytest.mark.slow
def test_an_image_whose_truth_is_missing_is_listed(root: Path, tmp_path: Path) -> None:
    (root / "depth" / "room0" / "002.npy").unlink()
    found = run_tiny("rilievo/small", root, output=tmp_path / "out")
    assert found.unscored == (Unscored(id="room0/002", reason="depth/room0/002.npy is missing"),)
    assert (found.data.found, found.data.asked) == (5, 6)
    [lacking] = found.warnings
    assert lacking.startswith("1 of 6 images has no score: depth/room0/002.npy is missing (")
    first = run_tiny("rilievo/small", root, output=tmp_path / "first", limit=2)
    assert first.warnings[:2] == (
        "the whole split has 6 images, of which limit leaves 2",
        "limit does not count 1 image of the split without files on disk",
    )


@pytest.mark.slow
def test_a_broken_photograph_is_listed_and_the_others_are_scored(
    root: Path, tmp_path: Path
) -> None:
    (root / "image" / "room0" / "000.npy").write_bytes(b"no picture")
    found = run_tiny("rilievo/small", root, output=tmp_path / "out")
    assert [each.id for each in found.unscored] == ["room0/000"]
    assert len(found.scores) == 5


def test_what_the_system_refuses_of_one_image_does_not_end_the_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = np.load

    def guarded(path: object, **given: object) -> np.ndarray:
        if str(path).endswith(("image/room0/000.npy", "depth/room1/001.npy")):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **given)

    monkeypatch.setattr(
        "support.tiny_dataset.Tiny._read",
        lambda self, what, id: guarded(self.request.root / what / f"{id}.npy"),
    )
    found = run_tiny("rilievo/small", root, output=tmp_path / "out")
    assert len(found.scores) == 4
    assert {each.id for each in found.unscored} == {"room0/000", "room1/001"}
    for each in found.unscored:
        assert each.reason.endswith(f"{each.id}.npy: the file cannot be read (Permission denied)")


def test_when_nothing_can_be_scored_the_first_reason_is_said(root: Path, tmp_path: Path) -> None:
    for path in (root / "depth").rglob("*.npy"):
        np.save(path, np.zeros((48, 64), np.float32))
    with pytest.raises(
        InputError,
        match="none of the 6 images could be scored; the reason for the first one, room0",
    ):
        run_tiny("rilievo/small", root, output=tmp_path / "out")


def test_predictions_of_another_way_of_processing_are_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_tiny("rilievo/small", root, output=tmp_path / "out")
    monkeypatch.setattr("rilievo.models.base.PROCESSING", PROCESSING + 1)
    with pytest.raises(OptionError, match=f"processing: {PROCESSING}, not {PROCESSING + 1}"):
        run_tiny("rilievo/small", root, output=tmp_path / "out")


def test_a_folder_of_another_model_is_refused(
    root: Path, tmp_path: Path, make_network: MakeNetwork
) -> None:
    folder = tmp_path / "out"
    run_tiny("rilievo/small", root, output=folder)
    before = (folder / "evaluation.json").read_bytes()
    with pytest.raises(OutputError, match="contains results of a different model, 'rilievo/small'"):
        run_tiny(str(make_network()), root, output=folder)
    (folder / "evaluation.json").unlink()
    (folder / "per_image.csv").unlink()
    with pytest.raises(
        OptionError, match=r"made with other settings \(model: rilievo/small, not test/bri"
    ):
        run_tiny(str(make_network()), root, output=folder)
    (folder / "evaluation.json").write_bytes(before)
    with pytest.raises(
        OutputError, match="contains results of the benchmark 'depth' with settings"
    ):
        run_tiny("rilievo/small", root, output=folder, align="log")


def test_results_of_a_model_whose_weights_have_changed_are_refused(
    root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    weights = run_tiny("rilievo/small", root, output=folder).made_by.weights_sha256
    record = folder / "evaluation.json"
    record.write_text(record.read_text("utf-8").replace(weights, "ab" * 32), "utf-8")
    with pytest.raises(OutputError, match="results of the same model with different weights"):
        run_tiny("rilievo/small", root, output=folder)


def test_files_of_others_are_never_replaced(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.html").write_text("mine")
    with pytest.raises(OutputError, match=r"contains a report\.html that rilievo did not write"):
        run_tiny("rilievo/small", root, output=folder)
    assert (folder / "report.html").read_text() == "mine"
    (folder / "report.html").unlink()
    (folder / "evaluation.json").write_text("{}")
    with pytest.raises(OutputError, match="choose another output folder"):
        run_tiny("rilievo/small", root, output=folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 0.001}, "scale only applies to predictions"),
        ({"settings": ("steps",)}, "set must be NAME=VALUE, got 'steps'"),
        ({"settings": ("a=1",), "predictions": Path("p")}, "but you gave predictions"),
        ({"limit": 0}, "limit must be 1 or more, got 0"),
        ({"workers": -1}, "workers must be 1 or more"),
        ({"align": "medain"}, "align does not accept 'medain'; did you mean 'median'"),
        ({"kind": "disparty", "predictions": Path("p")}, "did you mean 'disparity'"),
        ({"kind": "disparity"}, "inverse depth, choose affine_inverse"),
        ({"pattern": "{id}.npy"}, "pattern only applies to predictions"),
        ({"invalid": "fra"}, "invalid does not accept 'fra'; did you mean 'far'"),
        (
            {"scale": float("nan"), "predictions": Path("p")},
            "scale must be the metres per stored number",
        ),
    ],
)
def test_options_that_make_no_sense_are_one_line(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        EvaluateOptions(**options)


def test_what_does_not_go_together_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match="'depth' works with any dataset: choose one with dataset"
    ):
        run_tiny("rilievo/small", root, dataset=None)
    with pytest.raises(
        OptionError, match=r"uses the dataset 'nyuv2', not 'support\.tiny_dataset:Tiny'"
    ):
        run_tiny("rilievo/small", root, benchmark="nyuv2-eigen")
    with pytest.raises(OptionError, match=r"align only applies to depth, but .* 'normals' scores"):
        run_tiny("rilievo/small", root, benchmark="normals", align="log")
    with pytest.raises(OptionError, match="give a model to predict with, or a folder"):
        run_tiny(None, root)
    with pytest.raises(OptionError, match="its kind of depth is up_to_scale, but you gave metric"):
        run_tiny("rilievo/small", root, kind="metric")
    with pytest.raises(OptionError, match="'rilievo/small' has no settings, but you gave steps"):
        run_tiny("rilievo/small", root, settings=("steps=4",))
    with pytest.raises(OptionError, match="kind and settings only apply to a model given by name"):
        run_tiny(load_model("rilievo/small"), root, kind="metric")
    with pytest.raises(OptionError, match="has no split 'tset'; did you mean 'test'"):
        run_tiny("rilievo/small", root, split="tset")
    run_tiny("rilievo/small", root, output=tmp_path / "out")
    with pytest.raises(
        OptionError, match="contains no normals, which the benchmark 'normals' scores"
    ):
        run_tiny(None, root, benchmark="normals", predictions=tmp_path / "out")
    with pytest.raises(OptionError, match="already states what it contains"):
        run_tiny(None, root, predictions=tmp_path / "out", kind="metric")


@pytest.mark.slow
def test_predictions_of_other_photographs_of_the_same_names_are_refused(
    root: Path, tmp_path: Path
) -> None:
    run_tiny("rilievo/small", root, output=tmp_path / "out")
    for path in (root / "image").rglob("*.npy"):
        np.save(path, np.load(path)[::-1].copy())
    words = r"for different photographs than those in .*\('room0/000' is a different image there\)"
    with pytest.raises(OptionError, match=words):
        run_tiny("rilievo/small", root, output=tmp_path / "out")
    with pytest.raises(OptionError, match=words):
        run_tiny(None, root, predictions=tmp_path / "out", output=tmp_path / "kept")


def test_a_run_that_was_stopped_at_its_report_goes_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rilievo.evaluation.evaluation_report.write_report", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_tiny("rilievo/small", root, output=tmp_path / "out")
    found = run_tiny("rilievo/small", root, output=tmp_path / "out")
    assert read_evaluation(tmp_path / "out") == found


def test_a_finished_evaluation_keeps_its_checksums_while_it_is_scored_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    found = run_tiny("rilievo/small", root, output=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    def stopped(*_: object) -> None:
        assert verify(folder).is_whole
        (folder / "per_image.csv").write_text("altered by hand")
        [fault] = verify(folder).faults
        assert Path(fault.file).name == "per_image.csv"
        (folder / "per_image.csv").write_bytes(before["per_image.csv"])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rilievo.evaluation.evaluation_report.write_report", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_tiny("rilievo/small", root, output=folder)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before
    assert run_tiny("rilievo/small", root, output=folder).scores == found.scores
    assert verify(folder).is_whole


def test_results_that_were_whole_when_their_evaluation_was_killed_are_finished(
    root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    found = run_tiny("rilievo/small", root, output=folder)
    # As a kill leaves it that comes when the table has its name and the others have not.
    for name in ("evaluation.json", "report.html", "checksums.json"):
        if (folder / name).exists():
            (folder / name).rename(folder / f".{name}.pending")
    [fault] = verify(folder).faults
    assert "run its command again" in fault.what
    assert run_tiny("rilievo/small", root, output=folder).scores == found.scores
    assert verify(folder).is_whole
    assert not [*folder.glob(".*.pending")]


@pytest.mark.parametrize("left", [b"", bytes(500), b'{\n "format": "rilievo-eval'])
def test_an_evaluation_that_a_power_cut_took_is_written_anew(
    root: Path, tmp_path: Path, left: bytes
) -> None:
    folder = tmp_path / "out"
    found = run_tiny("rilievo/small", root, output=folder)
    assert verify(folder).is_whole
    (folder / "evaluation.json").write_bytes(left)
    with pytest.raises(InputError, match="evaluate again"):
        read_evaluation(folder)
    assert [Path(fault.file).name for fault in verify(folder).faults] == ["evaluation.json"]
    assert run_tiny("rilievo/small", root, output=folder).summaries == found.summaries
    assert verify(folder).is_whole


def test_a_report_that_cannot_be_written_leaves_no_older_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise MissingExtraError("a report", "evaluate")

    run_tiny("rilievo/small", root, output=tmp_path / "out")
    (tmp_path / "out" / "report.html").write_text("of other numbers")
    monkeypatch.setattr("rilievo.evaluation.evaluation_report.write_report", missing)
    found = run_tiny("rilievo/small", root, output=tmp_path / "out")
    beginning = "report.html is not written: a report needs the extra"
    assert any(line.startswith(beginning) for line in found.warnings)
    assert read_evaluation(tmp_path / "out") == found
    assert not (tmp_path / "out" / "report.html").exists()


def test_results_for_another_root_stay_but_a_dataset_may_move(root: Path, tmp_path: Path) -> None:
    theirs, other = tmp_path / "theirs", tmp_path / "other"
    write_predictions(root, theirs)
    given = {"predictions": theirs, "kind": "metric", "output": tmp_path / "out"}
    found = run_tiny(None, root, **given)
    shutil.copytree(root, other)
    with pytest.raises(OutputError, match=r"contains results for the images in .*data: choose"):
        run_tiny(None, other, **given)
    assert read_evaluation(tmp_path / "out") == found
    shutil.rmtree(root)
    assert run_tiny(None, other, **given).summaries == found.summaries


def test_images_without_a_score_for_one_reason_are_named_a_few_times_only(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs"
    write_predictions(root, theirs)
    *missing, _ = sorted(theirs.rglob("*.npy"))
    for path in missing:
        path.unlink()
    options = EvaluateOptions(
        dataset=TINY, output=tmp_path / "out", predictions=theirs, kind="metric"
    )
    found = evaluate(None, "depth", root, options)
    assert len(found.unscored) == 5
    shown = capsys.readouterr().err
    assert shown.count("there is no prediction for this image") == 3
    assert shown.count("more images have no score for this reason") == 1
    assert any("and 4 more)" in warning for warning in found.warnings)
