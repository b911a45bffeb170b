"""Tables, folders, files and options that are read and not used: each has one line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.errors import OptionError
from rilievo.io.files.names import printable
from rilievo.predicting.inputs import note_unused_parts
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import read_inputs
from rilievo.training.conversion.onnx_export import ExportOptions, export_model
from support.tiny_dataset import write_tiny
from support.tiny_evaluation import run_tiny, write_predictions


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs a to e, and room for what is known of them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abcde":
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def notes_of(photos: Path, inputs: Sequence[str], **options: Any) -> list[str]:
    run_options = PredictOptions(output=photos.parent / "out", save="npy", **options)
    return list(read_inputs([photos / name for name in inputs], run_options).notes)


@pytest.mark.parametrize(
    ("inputs", "rows", "line"),
    [
        ("ab", "ab", None),
        ("abc", "ab", None),
        (
            "ab",
            "abc",
            "photographs that are not among the inputs of this run are not used: c.png (1 of 3)",
        ),
        (
            "a",
            "bcde",
            "photographs that are not among the inputs of this run are not used: b.png, "
            "c.png, d.png and 1 more (all 4)",
        ),
    ],
)
def test_rows_of_a_table_of_other_photographs_are_told(
    photos: Path, inputs: str, rows: str, line: str | None
) -> None:
    table = photos / "known.csv"
    lines = [f"{name}.png,{u},20,2.0" for name in rows for u in (10, 20)]
    table.write_text("\n".join(["file,u,v,metres", *lines]))
    notes = notes_of(photos, [f"{name}.png" for name in inputs], known=(str(table),))
    assert notes == ([] if line is None else [f"{printable(table)}: {line}"])


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (["a.png", "b.txt"], None),
        (["a.png", "b.txt", "notes.md"], None),
        (
            ["a.png", "b.txt", "deeper/c.npy", "a2.png"],
            "files that belong to no photograph of this run are not used: "
            "a2.png, deeper/c.npy (2 of 4)",
        ),
    ],
)
def test_sparse_depth_of_other_photographs_is_told(
    photos: Path, files: list[str], line: str | None
) -> None:
    folder = photos.parent / "sparse"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    notes = notes_of(photos, ["a.png", "b.png"], sparse=folder)
    assert notes == ([] if line is None else [f"{printable(folder)}: {line}"])


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, []),
        ({"workers": 1}, []),
        ({"flip": True}, ["flip"]),
        ({"device": "cpu", "precision": "bf16"}, ["device", "precision"]),
        ({"engine": "onnxruntime", "confidence": "mirror"}, ["engine", "confidence"]),
    ],
)
def test_options_of_models_beside_predictions_are_told(
    options: dict[str, Any], names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rilievo.evaluation.evaluation_report.write_report", lambda *_: None)
    root = tmp_path / "data"
    write_tiny(root)
    write_predictions(root, tmp_path / "theirs")
    evaluation = run_tiny(
        None,
        root,
        predictions=tmp_path / "theirs",
        kind="metric",
        output=tmp_path / "out",
        **options,
    )
    notes = [note for note in evaluation.warnings if " only applies to a model" in note]
    about = "only applies to a model, but you gave predictions"
    assert sorted(notes) == sorted(f"{name} {about}" for name in names)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"scale": 1.0}, "scale"),
        ({"multiple": 14}, "multiple"),
        ({"resampling": "bicubic", "licence": "MIT"}, "resampling and licence"),
        ({"mean": (0.5, 0.5, 0.5)}, "mean"),
    ],
)
def test_options_of_foreign_files_are_refused_of_our_own(
    options: dict[str, Any], names: str, tmp_path: Path
) -> None:
    with pytest.raises(
        OptionError, match=f"defines its own .*: leave out {names}, which only apply"
    ):
        export_model("rilievo/small", tmp_path / "x.onnx", ExportOptions(**options))


@pytest.mark.filterwarnings("ignore:the camera")
@pytest.mark.parametrize("named", [None, {"fov": 60.0}, {"camera": np.diag([70.0, 70, 1])}])
def test_a_camera_that_a_depth_file_states_is_used_or_told(
    named: dict[str, Any] | None, tmp_path: Path
) -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    K = np.array([[70.0, 0, 39.5], [0, 70, 29.5], [0, 0, 1]])
    first = rilievo.Prediction.from_depth(pixels, np.full((60, 80), 2.0, np.float32), camera=K)
    file = first.save(tmp_path / "first", ["npz"])[0]
    made = rilievo.Prediction.from_depth(pixels, file, **(named or {}))
    line = "the camera in the depth file is not used, because you give another one"
    assert (line in made.notes) == (named is not None)
    if named is None:
        np.testing.assert_allclose(made.camera.K, K, rtol=1e-6)


def test_a_note_names_three_parts_and_counts_the_others(tmp_path: Path) -> None:
    parts = [f"odd\nname{number}" for number in range(5)]
    [note] = note_unused_parts(tmp_path, parts, 5, "files of nothing")
    assert "\n" not in note
    assert "files of nothing of this run are not used" in note
    assert note.endswith("and 2 more (all 5)")
    assert note_unused_parts(tmp_path, [], 5, "files") == []
