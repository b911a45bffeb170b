"""Files from predictions; parts that are not written are not computed."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.io.files.commit import commit_files
from rilievo.io.outputs.sidecar import read_sidecar, sidecar_path
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.prediction.saving import OUTPUTS, Need, output_parts
from rilievo.records.sample import Photo
from support.relief import Relief


@pytest.mark.parametrize(
    ("save", "with_normals"),
    [
        ("colour", False),
        ("png16,npy", False),
        ("colour,normals", True),
        ("npz", True),
        ("ply", True),
        ("glb", True),
    ],
)
def test_normals_are_described_only_for_what_takes_them(
    tmp_path: Path, save: str, with_normals: bool
) -> None:
    model = Relief()
    source, target = tmp_path / "photo.jpg", tmp_path / "photo"
    source.write_bytes(b"of its size and time alone is taken note")
    photo = Photo(pixels=np.full((48, 64, 3), 90, np.uint8), name=str(source))
    results = ResultWriter(model=model, options=PredictOptions(output=tmp_path, save=save))
    [answer] = model.infer([photo])
    placement = results.write(Job(source=source, medium=Medium.PHOTO, target=target), photo, answer)
    assert placement is not None
    commit_files(placement)
    assert (read_sidecar(sidecar_path(target)).normals is not None) == with_normals


def test_an_output_takes_what_it_needs_and_nothing_unheard_of() -> None:
    for name, output in OUTPUTS.items():
        parts = output_parts([name])
        assert parts >= set(output.needs)
        assert parts >= set(output.readable)
    assert Need.NORMALS not in output_parts(["colour", "png16", "npy", "tiff", "exr", "confidence"])


@pytest.mark.parametrize("save", ["all", "npy"])
def test_all_says_what_a_missing_package_leaves_out(
    save: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rilievo.prediction.saving.find_spec", lambda name: None)
    results = ResultWriter(model=Relief(), options=PredictOptions(output=tmp_path, save=save))
    said = list(results.skipped_output_notes())
    assert any("exr" in line and "rilievo[formats]" in line for line in said) is (save == "all")
    assert "exr" not in results.formats
