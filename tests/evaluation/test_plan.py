"""Plans: what is refused before the first photograph is predicted, and what is looked at again."""

from collections.abc import Container
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError, OptionError, OutputError
from rilievo.evaluation.evaluation_plan import make_plan
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.suite_run import evaluate_protocols, run_suite
from support.tiny_evaluation import TINY, run_tiny, write_predictions

TWO = f"""
title = "two of the tiny dataset"

[[runs]]
benchmark = "depth"
dataset = "{TINY}"
name = "first"

[[runs]]
benchmark = "depth"
dataset = "{TINY}"
name = "second"
"""


def planned(root: Path, benchmark: str, **options: object) -> None:
    given = EvaluateOptions(**{"dataset": TINY, **options})
    model = None if "predictions" in options else "rilievo/small"
    make_plan(model, benchmark, root, given)


def test_a_plan_writes_nothing(root: Path, tmp_path: Path) -> None:
    planned(root, "depth", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", [True, False])
def test_a_folder_that_cannot_be_made_is_refused(root: Path, tmp_path: Path, given: bool) -> None:
    (tmp_path / "file").write_text("")
    options: dict[str, object] = {"output": tmp_path / "file" / "out"}
    if given:
        write_predictions(root, tmp_path / "theirs")
        options |= {"predictions": tmp_path / "theirs", "kind": "metric"}
    with pytest.raises(OutputError, match="one of its folders is a file: choose another folder"):
        planned(root, "depth", **options)


def test_a_dataset_without_scenes_is_refused_for_a_benchmark_of_scenes(
    root: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="gives no scene or sequence for 'room0/000'"):
        run_tiny("rilievo/small", root, "video-depth", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_dataset_without_normals_is_refused_for_a_benchmark_of_normals(root: Path) -> None:
    with pytest.raises(
        OptionError, match="has no ground-truth normals, which the benchmark 'normals'"
    ):
        planned(root, "normals", dataset="support.tiny_dataset:TinyDepth")
    # The card of this one says nothing of normals, but its files have them.
    planned(root, "normals")


def write_folder(folder: Path, *, empty: Container[int]) -> None:
    for part in ("images", "depth"):
        (folder / part).mkdir()
    for number in range(20):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / f"images/{number:02}.png")
        depth = np.full((20, 30), number not in empty, np.float32)
        np.save(folder / f"depth/{number:02}.npy", depth)


def warnings_of(root: Path) -> tuple[str, ...]:
    options = EvaluateOptions(dataset="folder")
    return make_plan("rilievo/small", "depth", root, options).missing_truth


@pytest.mark.parametrize("empty", [range(1, 20), range(10)], ids=["others", "first"])
def test_images_without_truth_are_told_whichever_is_first(tmp_path: Path, empty: range) -> None:
    write_folder(tmp_path, empty=empty)
    assert warnings_of(tmp_path) == (
        "rilievo found no pixel with ground-truth depth, which the benchmark 'depth' needs, in 1 "
        "of the 2 images that it checked; such images get no score",
    )


def test_a_broken_file_of_many_is_passed_over(tmp_path: Path) -> None:
    write_folder(tmp_path, empty=())
    (tmp_path / "depth/00.npy").write_bytes(b"broken")
    assert warnings_of(tmp_path) == ()


def test_predictions_of_another_model_are_refused(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "predictions"
    run_tiny("rilievo/small", root, output=tmp_path / "out", limit=1)
    text = (folder / "fingerprint.json").read_text()
    (folder / "fingerprint.json").write_text(text.replace("rilievo/small", "another"))
    with pytest.raises(OptionError, match="made with other settings"):
        planned(root, "depth", output=tmp_path / "out")
    (folder / "fingerprint.json").unlink()
    with pytest.raises(InputError, match=r"contains files but no fingerprint\.json"):
        planned(root, "depth", output=tmp_path / "out")


def test_predictions_that_come_while_a_suite_runs_are_scored(root: Path, tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(TWO)
    theirs = tmp_path / "theirs"
    for name in ("first", "second"):
        write_predictions(root, theirs / name)
    late = theirs / "second" / "room1" / "003.npy"
    late.rename(tmp_path / "late.npy")

    def say(line: str) -> None:
        if line.endswith("second"):
            (tmp_path / "late.npy").rename(late)

    options = EvaluateOptions(output=tmp_path / "out", predictions=theirs, kind="metric")
    rows = run_suite(None, tmp_path / "two.toml", root, options, show=False, say=say).rows
    assert [row.is_complete for row in rows] == [True, True]


def test_results_that_come_while_a_suite_runs_stay(root: Path, tmp_path: Path) -> None:
    other = run_tiny("rilievo/small", root, "surfaces", output=tmp_path / "other", limit=1)
    out = tmp_path / "out"

    def say(line: str) -> None:
        if line.endswith("moge-affine"):
            (tmp_path / "other").rename(out / "moge-affine")

    options = EvaluateOptions(output=out, dataset=TINY, limit=1)
    with pytest.raises(OutputError, match=f"results of the benchmark '{other.benchmark}'"):
        evaluate_protocols("rilievo/small", "depth,moge-affine", root, options, show=False, say=say)
