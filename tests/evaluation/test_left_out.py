"""What limits, masks, crops and borders leave out of an evaluation is counted, and named."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.errors import NoGroundTruthError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.scoring.score import score
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth
from support.stored_answers import stored

pytestmark = pytest.mark.usefixtures("no_pages")
SIZE = (48, 64)


def write_folder(root: Path, yaml: str = "") -> Path:
    """Write two photographs with depth of 1 to 5 m, and the same depth as predictions."""
    depth = np.linspace(1, 5, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    for name in ("images", "depth", "theirs", "masks"):
        (root / name).mkdir(parents=True)
    for image_id in ("a", "b"):
        Image.new("RGB", SIZE[::-1], "grey").save(root / f"images/{image_id}.png")
        Image.new("L", SIZE[::-1]).save(root / f"masks/{image_id}.png")
        for name in ("depth", "theirs"):
            np.save(root / f"{name}/{image_id}.npy", depth)
    if yaml:
        (root / "rilievo.yaml").write_text(yaml)
    return root


def evaluate(root: Path, *options: str) -> int:
    benchmark = () if "-b" in options else ("-b", "depth")
    words = ["evaluate", *benchmark, "--dataset", "folder", "--root", str(root)]
    words += ["--predictions", str(root / "theirs"), "-o", str(root / "out")]
    return main([*words, *options])


def whole_truth(size: tuple[int, int] = (480, 640)) -> Truth:
    depth = np.full(size, 2.0, np.float32)
    depth[:, -10:] = 20.0
    return Truth(id="a", depth=depth, depth_valid=np.ones(size, bool))


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("depth: {max_depth: 0.5}", "max_depth (0.5 m) in rilievo.yaml leaves out all 3,072"),
        ("depth: {min_depth: 9}", "min_depth (9 m) in rilievo.yaml leaves out all 3,072"),
        ("valid: 'masks/{id}.png'", "its mask leaves out all 3,072"),
    ],
)
def test_what_removes_all_ground_truth_is_named(
    yaml: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folder(tmp_path / "mine", yaml)
    assert evaluate(root, "--kind", "metric") == 2
    refusal = capsys.readouterr().err.splitlines()[-1]
    assert refusal.startswith("rilievo: none of the 2 images could be scored")
    assert words in refusal


def test_a_warning_before_the_scores_is_not_repeated_after_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folder(tmp_path / "mine", "depth: {max_depth: 2}")
    assert evaluate(root, "--kind", "metric") == 0
    shown = capsys.readouterr()
    words = "max_depth (2 m) in rilievo.yaml leaves out 2,304 of the 3,072 pixels"
    assert shown.err.count(words) == 1
    assert words not in shown.out
    found = json.loads((root / "out/evaluation.json").read_text())
    assert sum(words in warning for warning in found["warnings"]) == 1


@pytest.mark.parametrize(("max_depth", "is_warned"), [(2, True), (4, False)])
def test_depth_that_a_limit_removes_in_part_is_said_in_the_results(
    max_depth: float, is_warned: bool, tmp_path: Path
) -> None:
    root = write_folder(tmp_path / "mine", f"depth: {{max_depth: {max_depth}}}")
    assert evaluate(root, "--kind", "metric") == 0
    found = json.loads((root / "out/evaluation.json").read_text())
    removed = int(np.count_nonzero(np.load(root / "depth/a.npy") > max_depth))
    words = f"leaves out {removed:,} of the 3,072 pixels with depth"
    assert any(words in warning for warning in found["warnings"]) == is_warned
    [limits] = [prop for prop in found["data"]["numbers"] if prop["name"] == "limits"]
    assert limits["value"] == f"depth up to {max_depth} m, the rest is left out"


def test_every_setting_of_a_benchmark_counts_what_it_leaves_out() -> None:
    truth = whole_truth()
    assert truth.depth is not None
    predicted = stored(depth=DepthMap(values=truth.depth, kind=DepthKind.METRIC))
    found = score(BENCHMARKS["nyuv2-eigen"], predicted, truth).score
    # The Eigen crop is rows 45 to 470 and columns 41 to 600; depth beyond 10 m is capped first.
    assert found.left_out == {"max_depth": 480 * 10, "crop": 480 * 630 - 426 * 560}
    assert found.pixels + sum(found.left_out.values()) == 480 * 640
    assert score(BENCHMARKS["depth"], predicted, truth).score.left_out == {}


def test_what_a_benchmark_does_not_show_to_models_is_counted() -> None:
    truth = whole_truth()
    assert truth.depth is not None
    predicted = stored(depth=DepthMap(values=truth.depth, kind=DepthKind.METRIC))
    found = score(BENCHMARKS["probe3d-nyuv2"], predicted, truth).score
    assert found.left_out["input_crop"] == 480 * 640 - 480 * 480
    assert found.pixels + sum(found.left_out.values()) == 480 * 640

    only_left = np.zeros((480, 640), bool)
    only_left[:, :80] = True
    with pytest.raises(NoGroundTruthError, match=r"38,400 by input_crop \("):
        score(BENCHMARKS["probe3d-nyuv2"], predicted, replace(truth, depth_valid=only_left))


def test_an_empty_score_of_normals_names_the_setting() -> None:
    rim = np.zeros((480, 640), bool)
    rim[:20] = True
    normals = np.zeros((3, 480, 640), np.float32)
    normals[2] = -1
    truth = Truth(id="a", normals=normals, normals_valid=rim)
    cropped = replace(BENCHMARKS["nyuv2-normals"], crop=BENCHMARKS["nyuv2-eigen"].crop)
    with pytest.raises(NoGroundTruthError, match=r"12,800 by crop \(nyu_eigen\)"):
        score(cropped, stored(normals=normals), truth)


def test_the_command_says_what_the_benchmark_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder(tmp_path / "mine")
    capped = replace(BENCHMARKS["depth"], name="mine", max_depth=4.0)
    monkeypatch.setitem(BENCHMARKS.own, "mine", capped)
    assert evaluate(root, "--kind", "metric", "-b", "mine") == 0
    removed = 2 * int(np.count_nonzero(np.load(root / "depth/a.npy") >= 4))
    line = "pixels with ground truth that the benchmark leaves out:"
    assert f"{line} {removed:,} by max_depth (4.0)" in capsys.readouterr().out


def test_a_border_that_a_prediction_leaves_out_is_in_the_results(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    pixels[:8] = pixels[-8:] = 0
    for image_id in ("a", "b"):
        Image.fromarray(pixels).save(root / f"images/{image_id}.png")
    words = ["predict", str(root / "images"), "-o", str(tmp_path / "ours")]
    assert main([*words, "--save", "npy", "--model", "rilievo/small"]) == 0
    words = ["evaluate", "-b", "depth", "--dataset", "folder", "--root", str(root)]
    words += ["--predictions", str(tmp_path / "ours"), "-o", str(tmp_path / "out")]
    assert main(words) == 0
    found = json.loads((tmp_path / "out/evaluation.json").read_text())
    border = "its uniform border (top 8, bottom 8 px) was left out"
    assert all(any(border in note for note in each["notes"]) for each in found["scores"])
    [said] = [warning for warning in found["warnings"] if border in warning]
    assert said.endswith("(applies to 2 of 2 images)")


def test_a_prediction_that_a_benchmark_cuts_is_said_once_for_all_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder(tmp_path / "mine")
    for image_id in ("a", "b"):
        Image.new("RGB", (640, 480), "grey").save(root / f"images/{image_id}.png")
        for name in ("depth", "theirs"):
            np.save(root / f"{name}/{image_id}.npy", np.full((480, 640), 2, np.float32))
    input_crop = BENCHMARKS["probe3d-nyuv2"].input_crop
    square = replace(BENCHMARKS["depth"], name="mine", input_crop=input_crop)
    monkeypatch.setitem(BENCHMARKS.own, "mine", square)
    assert evaluate(root, "--kind", "metric", "-b", "mine") == 0
    warnings = json.loads((root / "out/evaluation.json").read_text())["warnings"]
    [cut] = [warning for warning in warnings if "rilievo cut it" in warning]
    assert cut.endswith("(applies to 2 of 2 images)")


@pytest.mark.parametrize(("kind", "words"), [("metric", ()), ("disparity", ("--scale", "1"))])
def test_limits_of_predictions_are_depth_for_every_kind(
    kind: str, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folder(tmp_path / "mine")
    depth = np.load(root / "depth/a.npy")
    for image_id in ("a", "b"):
        np.save(root / f"theirs/{image_id}.npy", 1 / depth if kind == "disparity" else depth)
    options = ["--kind", kind, *words]
    assert evaluate(root, *options, "--encoding", "max_depth=4") == 0
    found = json.loads((root / "out/evaluation.json").read_text())
    outside = int(np.count_nonzero(depth > 4))
    assert [each["unanswered"] for each in found["scores"]] == [outside, outside]
    note = f"its limits (max_depth=4) leave out {outside} of the 3,072 pixels with depth"
    assert all(any(note in text for text in each["notes"]) for each in found["scores"])

    capsys.readouterr()
    assert evaluate(root, *options, "--encoding", "max_depth=0.5") == 2
    assert "max_depth=0.5 leaves out all 3,072 pixels" in capsys.readouterr().err


def test_several_benchmarks_warn_once_of_the_same_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folder(tmp_path / "mine", "depth: {max_depth: 2}")
    words = ["evaluate", "--protocols", "depth,moge-scale,moge-metric", "--dataset", "folder"]
    words += ["--root", str(root), "--predictions", str(root / "theirs"), "--kind", "metric"]
    assert main([*words, "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.count("max_depth (2 m) in rilievo.yaml") == 1
    for benchmark in ("depth", "moge-scale", "moge-metric"):
        found = json.loads((tmp_path / "out" / benchmark / "evaluation.json").read_text())
        assert any("max_depth (2 m) in rilievo.yaml" in each for each in found["warnings"])
