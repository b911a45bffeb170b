"""Depth that others wrote: what each form of file states, and what is read of it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import rilievo
from rilievo.cli import main
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.check_download import check_dataset
from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.io.depth.interpretation import PropertyOrigin
from rilievo.io.depth.plausibility import TOO_NEAR
from rilievo.io.depth.stored_depth import read_stored_depth
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy
from support.slanted_rooms import room_depth
from support.tiny_dataset import write_tiny
from support.tiny_evaluation import TINY, write_predictions

SIZE = (36, 48)
METRES = (1 + np.arange(36 * 48).reshape(SIZE) / 900).astype(np.float32)
OUTPUT_FOLDER = MadeBy(model="m", weights_sha256="0", licence="l", settings={}, version="0")


def png(path: Path, counts: np.ndarray, **texts: str) -> Path:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.fromarray(np.rint(counts).astype(np.uint16)).save(path, pnginfo=info)
    return path


def ours(kind: DepthKind, name: str) -> Callable[[Path], Path]:
    """A file of ``rilievo predict``."""

    def write(folder: Path) -> Path:
        depth = DepthMap(values=METRES, kind=kind)
        prediction = rilievo.Prediction(depth_or_none=depth, made_by=OUTPUT_FOLDER)
        [path, beside] = prediction.save(folder / "a", name)
        beside.unlink()
        return path.rename(folder / f"a{path.suffix}")

    return write


def moge(folder: Path) -> Path:
    near, far = 0.5, 4.0
    logs = np.log(METRES / near) / np.log(far / near)
    return png(folder / "a.png", 1 + np.rint(logs * 65533), near=str(near), far=str(far))


def spanned(folder: Path) -> Path:
    counts = np.rint((METRES - 0.5) / 3 * 65535)
    return png(folder / "a.png", counts, minimum="0.5", maximum="3.5", unit="m")


def with_json(facts: dict[str, object], counts: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "a.json").write_text(json.dumps(facts))
        return png(folder / "a.png", counts)

    return write


def in_npz(**arrays: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "a.npz", **arrays)  # pyright: ignore[reportArgumentType]
        return folder / "a.npz"

    return write


TABLE = {
    "our png16, metres": (ours(DepthKind.METRIC, "png16"), "metric", "stated"),
    "our png16, up to scale": (ours(DepthKind.UP_TO_SCALE, "png16"), "up_to_scale", "stated"),
    "our npz, metres": (ours(DepthKind.METRIC, "npz"), "metric", "stated"),
    "our tiff, metres": (ours(DepthKind.METRIC, "tiff"), "metric", "stated"),
    "MoGe's logarithm": (moge, None, "stated"),
    "text with minimum and maximum": (spanned, "metric", "stated"),
    "JSON with minimum and maximum": (
        with_json({"depth": {"min": 0.5, "max": 3.5}}, (METRES - 0.5) / 3 * 65535),
        None,
        "stated",
    ),
    "JSON with its unit": (with_json({"unit": "cm"}, METRES * 100), "metric", "stated"),
    "JSON with counts of a metre": (
        with_json({"depth_scale": 5000}, METRES * 5000),
        "metric",
        "stated",
    ),
    "JSON with metres of a count": (
        with_json({"depth_scale": 0.0005}, METRES * 2000),
        "metric",
        "stated",
    ),
    "npz with its unit": (in_npz(depth=METRES * 1000, unit="mm", K=np.eye(3)), "metric", "stated"),
    "npz with its kind": (in_npz(depth=METRES, kind="up_to_scale"), "up_to_scale", "stated"),
    "whole numbers that state nothing": (
        lambda folder: png(folder / "a.png", METRES * 1000),
        None,
        "guessed",
    ),
    "floating-point numbers that state nothing": (in_npz(arr_0=METRES), None, "guessed"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "depth").mkdir()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "images/a.png")
    return tmp_path


@pytest.mark.parametrize("form", TABLE)
def test_what_a_file_states_is_read_as_truth_and_as_a_prediction(form: str, root: Path) -> None:
    write, kind, origin = TABLE[form]
    path = write(root / "depth")
    numbers = read_stored_depth(path)
    assert numbers.metadata.kind == kind
    (root / "rilievo.yaml").write_text(f"depth: 'depth/{{id}}{path.suffix}'")
    dataset = open_dataset("folder", root)
    truth, reading = dataset.truth("a"), dataset.reading("a")
    assert truth.depth is not None
    assert reading is not None
    # Steps of centimetres are the coarsest in the table.
    np.testing.assert_allclose(truth.depth, METRES, atol=0.0051)
    assert truth.is_metric == (kind != "up_to_scale")
    [scale] = [fact for fact in reading.properties if fact.name == "scale"]
    assert scale.origin == origin
    assert {fact.name for fact in reading.properties} == {
        "scale",
        "kind",
        "invalid",
        "size",
        "camera",
    }
    stated = None if kind else "metric"
    units = 0.001 if origin == "guessed" and numbers.raw_values.dtype.kind == "u" else None
    theirs = open_predictions(
        root / "depth",
        ["a"],
        value_encoding=ValueEncoding(number_kind=stated and NumberKind(stated), scale=units),
        task=Task.DEPTH,
    ).read("a")
    np.testing.assert_allclose(theirs.depth.values, METRES, atol=0.0051)
    assert theirs.depth.kind == (kind or "metric")


def test_what_a_layout_does_not_state_is_not_attributed_to_it(root: Path) -> None:
    png(root / "depth/a.png", METRES * 1000)
    places = {}
    for name, layout in (("none", "{}"), ("stated", "depth: {invalid: [0, 65535]}")):
        (root / "rilievo.yaml").write_text(layout)
        reading = open_dataset("folder", root).reading("a")
        assert reading is not None
        [invalid] = [fact for fact in reading.properties if fact.name == "invalid"]
        places[name] = invalid.place
    assert places["stated"] == "rilievo.yaml"
    assert places["none"] != "rilievo.yaml"


def test_only_depth_in_metres_has_a_range_in_metres(root: Path) -> None:
    kinds = {"m": DepthKind.METRIC, "arbitrary": DepthKind.UP_TO_SCALE}
    ranges = {}
    for unit, kind in kinds.items():
        np.savez(root / "depth/a.npz", depth=METRES, kind=kind.value)
        (root / "rilievo.yaml").write_text("depth: 'depth/{id}.npz'")
        interpretation = check_dataset(open_dataset("folder", root)).interpretation
        ranges[unit] = interpretation.unit_and_range.partition(": ")[2]
    assert ranges == {"m": "1 to 2.92 m", "arbitrary": "1 to 2.92"}


def test_a_guess_is_said_once(root: Path) -> None:
    png(root / "depth/a.png", METRES * 1000)
    reading = check_dataset(open_dataset("folder", root)).interpretation
    assert reading.summary_line == (
        "read as millimetres: 1 to 2.92 m (a guess: integers without a stated unit)"
    )
    assert {fact.origin for fact in reading.properties if fact.name == "scale"} == {
        PropertyOrigin.GUESSED
    }


@pytest.mark.usefixtures("no_pages")
def test_evaluate_prints_how_it_read_true_depth_if_that_is_known(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    png(root / "depth/a.png", METRES * 1000)
    write_tiny(tmp_path / "tiny")
    for number, (dataset, folder) in enumerate((("folder", root), (TINY, tmp_path / "tiny"))):
        theirs = tmp_path / f"theirs{number}"
        if dataset == TINY:
            write_predictions(folder, theirs)
        else:
            theirs.mkdir()
            np.save(theirs / "a.npy", METRES.astype(np.float32))
        words = ["evaluate", "-b", "depth", "--dataset", dataset, "--root", str(folder)]
        words += ["--predictions", str(theirs), "--kind", "metric"]
        assert main([*words, "-o", str(tmp_path / f"out{number}")]) == 0
    of_folder, of_tiny = capsys.readouterr().out.split("on depth: ")[1:]
    assert "ground-truth depth is read as millimetres: 1 to 2.92 m (a guess" in of_folder
    assert "ground-truth depth is" not in of_tiny


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (
            np.where(METRES > 2, 65535, METRES * 1000),
            "the value 65535, the largest of its type",
        ),
        (np.where(METRES < 1.2, 777, METRES * 1000), "have the value 777, which may mark missing"),
        (METRES * 100, TOO_NEAR),
    ],
)
def test_numbers_that_can_hardly_be_depth_are_doubted(
    counts: np.ndarray, words: str, root: Path
) -> None:
    png(root / "depth/a.png", counts)
    assert any(words in warning for warning in check_dataset(open_dataset("folder", root)).warnings)


def test_numbers_that_a_layout_declares_raise_no_doubt(root: Path) -> None:
    png(root / "depth/a.png", np.where(METRES > 2, 65535, METRES * 1000))
    (root / "rilievo.yaml").write_text("depth: {invalid: [0, 65535]}")
    assert not [w for w in check_dataset(open_dataset("folder", root)).warnings if "65535" in w]


@pytest.mark.parametrize(
    ("yaml", "is_doubted"),
    [
        ("depth: {scale: 0.001}", True),
        ("depth: {invalid: [0]}", False),
        ("depth: {invalid: [0, 9]}", False),
    ],
)
def test_a_frequent_number_is_depth_if_the_layout_says_what_is_not(
    root: Path, yaml: str, is_doubted: bool
) -> None:
    """Patches of 3000 in a room, where most of it is not close to 3 m."""
    counts = room_depth(240, 320) * 1000
    random = np.random.default_rng(0)
    for row, column in random.integers(0, (220, 300), (80, 2)):
        patch = counts[row : row + 14, column : column + 14]
        patch[np.abs(patch - 3000) > 500] = 3000
    png(root / "depth/a.png", counts)
    Image.new("RGB", (320, 240)).save(root / "images/a.png")
    (root / "rilievo.yaml").write_text(yaml)
    warnings = check_dataset(open_dataset("folder", root)).warnings
    doubts = [warning for warning in warnings if "the value 3000, which may mark" in warning]
    assert bool(doubts) == is_doubted
    if is_doubted:
        assert "set 'invalid: [0, 3000]', and if it is depth, set 'invalid: [0]'" in doubts[0]


@pytest.mark.parametrize("yaml", ["depth: {scale: 0.001}", "depth: {invalid: [0]}"])
def test_the_largest_number_is_doubted_whatever_the_layout_says(root: Path, yaml: str) -> None:
    png(root / "depth/a.png", np.where(METRES > 2, 65535, METRES * 1000))
    (root / "rilievo.yaml").write_text(yaml)
    assert any("65535" in text for text in check_dataset(open_dataset("folder", root)).warnings)


def test_affine_depth_is_no_truth(root: Path) -> None:
    ours(DepthKind.AFFINE_INVERSE, "png16")(root / "depth")
    with pytest.raises(InputError, match="which has an unknown shift and cannot be ground truth"):
        open_dataset("folder", root).truth("a")


def test_what_a_user_says_against_the_file_is_refused(root: Path) -> None:
    path = ours(DepthKind.METRIC, "png16")(root / "depth")
    (root / "rilievo.yaml").write_text("depth: {scale: 0.5}")
    with pytest.raises(InputError, match="a different 'scale' or 'offset'; remove them"):
        open_dataset("folder", root).truth("a")
    with pytest.raises(OptionError, match="kind says 'affine', but"):
        open_predictions(
            path.parent,
            ["a"],
            value_encoding=ValueEncoding(number_kind=NumberKind.AFFINE),
            task=Task.DEPTH,
        )
    with pytest.raises(
        OptionError, match="scale only applies to files that do not state their unit"
    ):
        open_predictions(
            path.parent,
            ["a"],
            value_encoding=ValueEncoding(number_kind=None, scale=0.5),
            task=Task.DEPTH,
        )
    black = np.zeros((*SIZE, 3), np.uint8)
    with pytest.raises(OptionError, match="leave sparse_unit"):
        rilievo.predict(black, sparse=path, sparse_unit=0.5, depth_error="5%")


def test_a_crop_of_the_photograph_is_put_in_its_place(root: Path) -> None:
    np.save(root / "depth/a.npy", METRES[4:30, 6:46])
    with pytest.raises(InputError, match=r"26 x 40 .*the photograph is 36 x 48.*crop: stretched"):
        open_dataset("folder", root).sample("a")
    (root / "rilievo.yaml").write_text(
        "depth: {crop: [4, 6, 26, 40]}\ncamera: {fx: 50, cx: 24, cy: 18}"
    )
    sample = open_dataset("folder", root).sample("a")
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.depth_valid.sum() == 26 * 40
    np.testing.assert_array_equal(sample.depth[4:30, 6:46], METRES[4:30, 6:46])
    (root / "rilievo.yaml").write_text("depth: {crop: [20, 6, 26, 40]}")
    with pytest.raises(InputError, match="beyond the image of 36 x 48 pixels"):
        open_dataset("folder", root).sample("a")
