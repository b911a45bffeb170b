"""Depth in forms of others: read right, refused with the key that cures it, or doubted by it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.check_download import check_dataset
from rilievo.errors import RilievoError
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.predicting.metres.sparse import read_sparse
from support.foreign_forms import FOREIGN, RIGHT, SIZE, Form, Scene, scene

SEEDS = (0, 1)


def written(tmp_path: Path, form: Form, seed: int) -> tuple[Path, Scene]:
    """A folder of one photograph and its depth in a form."""
    for name in ("images", "depth"):
        (tmp_path / name).mkdir()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "images/a.png")
    shown = scene(seed, form.far, sky=form.sky, holes=form.holes)
    form.write(tmp_path / "depth", shown)
    layout = f"depth:\n  {form.layout}\n" if form.layout else ""
    camera = "camera: {fx: 100, cx: 64, cy: 48}\n"
    (tmp_path / "rilievo.yaml").write_text(layout + camera)
    return tmp_path, shown


def is_right(values: np.ndarray, valid: np.ndarray, shown: Scene, rounding: float) -> bool:
    """Whether depth is that of the scene, and unknown where the scene has none."""
    values = np.where(valid, values, 0)
    both = valid & shown.known
    error = np.abs(values[both] - shown.metres[both])
    misses = np.mean(error > rounding + 0.005 * shown.metres[both])
    return bool(
        misses < 0.001
        and both.sum() > 0.97 * shown.known.sum()
        and (valid & ~shown.known).sum() == 0
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", RIGHT)
def test_right_files_bring_no_warning(tmp_path: Path, name: str, seed: int) -> None:
    form = RIGHT[name]
    root, shown = written(tmp_path, form, seed)
    dataset = open_dataset("folder", root)
    assert list(check_dataset(dataset).warnings) == []
    truth = dataset.truth("a")
    assert truth.depth is not None
    assert truth.depth_valid is not None
    both = truth.depth_valid & shown.known
    allowed = form.rounding + 0.005 * shown.metres[both]
    assert np.mean(np.abs(truth.depth[both] - shown.metres[both]) > allowed) < 0.001
    assert both.sum() > 0.97 * shown.known.sum()


def is_cured(words: str, cure: str) -> bool:
    """Whether a sentence names the key that makes the form right."""
    return cure in words or (cure == "invalid" and "max_depth" in words)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_forms_are_right_refused_with_the_cure_or_doubted(
    tmp_path: Path, name: str, seed: int
) -> None:
    form = FOREIGN[name]
    root, shown = written(tmp_path, form, seed)
    dataset = open_dataset("folder", root)
    with refused_with(form.cure) as refused:
        truth = dataset.truth("a")
    if refused:
        return
    assert truth.depth is not None
    assert truth.depth_valid is not None
    warnings = check_dataset(dataset).warnings
    check_right_or_doubted(truth.depth, truth.depth_valid, shown, form, warnings)


@contextmanager
def refused_with(*cures: str) -> Iterator[list[str]]:
    """Accept a refusal that names one of these; the list has it."""
    refused: list[str] = []
    try:
        yield refused
    except RilievoError as error:
        refused.append(str(error))
    assert not refused or any(is_cured(refused[0], cure) for cure in cures), refused


def check_right_or_doubted(
    values: np.ndarray, valid: np.ndarray, shown: Scene, form: Form, doubts: Sequence[str]
) -> None:
    """Depth is right, or a doubt names the cure."""
    if not is_right(values, valid, shown, form.rounding):
        assert any(is_cured(doubt, form.cure) for doubt in doubts), doubts


ELSEWHERE = [
    name for name in FOREIGN if not FOREIGN[name].layout and name != "8 bits that state nothing"
]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_same_forms_are_told_by_every_other_command(tmp_path: Path, name: str) -> None:
    form = FOREIGN[name]
    root, shown = written(tmp_path, form, 0)
    [path] = [file for file in (root / "depth").iterdir() if file.suffix != ".json"]
    whole = path.suffix == ".png"
    # Depth at hand; a whole number is taken for a millimetre.
    with refused_with(form.cure, "unit"):
        made = rilievo.Prediction.from_depth(np.zeros((*SIZE, 3), np.uint8), path, fov=60)
        depth = made.depth
        check_right_or_doubted(depth.values, depth.valid, shown, form, made.notes)
    # Sparse depth; the unit is asked for where the file states none.
    for unit in (None, 0.001):
        with refused_with(form.cure, "sparse_unit"):
            sparse = read_sparse(path, SIZE, unit)
            assert sparse.measured is not None
            doubts = sparse.reading.warnings
            if unit is None or whole:
                check_right_or_doubted(sparse.measured, sparse.measured > 0, shown, form, doubts)
    # Predictions of another program.
    for unit in (None, 0.001):
        with refused_with(form.cure, "scale", "store NaN"):
            stored = ValueEncoding(number_kind=NumberKind.METRIC, scale=unit)
            files = open_predictions(root / "depth", ["a"], value_encoding=stored, task=Task.DEPTH)
            depth = files.read("a").depth
            if unit is None or whole:
                doubts = files.number_warnings()
                check_right_or_doubted(depth.values, depth.valid, shown, form, doubts)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("a background of 655.35 m", "invalid=655.35"),
        ("a background of 3.4e+38 m", "max_depth=50"),
        ("a background of 1e+10 m", "max_depth=9"),
        ("millimetres, holes of 65535", "scale=0.001 invalid=0,65535"),
        ("3 bits of labels below", "bits=3,13 scale=0.001"),
        ("3 bits of confidence above", "bits=0,13;scale=0.001"),
        ("SUN RGB-D, not declared", "bits=3,16 scale=0.001"),
        ("channels of weights (1, 256, 65536)", "channels=1,256,65536 scale=5.9604648e-05"),
        ("channels of weights (256, 1)", "channels=256,1 scale=0.001"),
        ("a range in the text Near, Far", "scale=0.000131228 offset=0.4"),
        ("8 bits that state nothing", "scale=0.04"),
    ],
)
def test_one_line_declares_a_form_in_every_command(
    tmp_path: Path, name: str, encoding: str
) -> None:
    form = FOREIGN[name]
    root, shown = written(tmp_path, form, 0)
    [path] = [file for file in (root / "depth").iterdir() if file.suffix != ".json"]
    made = rilievo.Prediction.from_depth(
        np.zeros((*SIZE, 3), np.uint8), path, fov=60, encoding=encoding
    )
    assert is_right(made.depth.values, made.depth.valid, shown, 0.03)
    assert not [note for note in made.notes if "invalid" in note or "bits" in note]
    sparse = read_sparse(path, SIZE, None, None, encoding)
    assert sparse.measured is not None
    assert is_right(sparse.measured, sparse.measured > 0, shown, 0.03)
    assert not sparse.reading.warnings
    options = rilievo.EvaluateOptions(predictions=root / "depth", kind="metric", encoding=encoding)
    if path.suffix == ".png":  # Zero in floating-point predictions is refused.
        files = open_predictions(
            root / "depth",
            ["a"],
            value_encoding=options.value_encoding,
            task=Task.DEPTH,
            number_encoding=options.number_encoding,
        )
        depth = files.read("a").depth
        assert is_right(depth.values, depth.valid, shown, 0.03)
        assert not files.number_warnings()
    keys = "\n  ".join(
        f"{key}: [{value}]" if key in ("invalid", "bits", "channels") else f"{key}: {value}"
        for key, value in (pair.split("=") for pair in encoding.replace(";", " ").split())
    )
    (root / "rilievo.yaml").write_text(f"depth:\n  {keys}\n")
    dataset = open_dataset("folder", root)
    truth = dataset.truth("a")
    assert truth.depth is not None
    assert truth.depth_valid is not None
    assert is_right(truth.depth, truth.depth_valid, shown, 0.03)
    assert not [w for w in check_dataset(dataset).warnings if "intrinsics" not in w]
