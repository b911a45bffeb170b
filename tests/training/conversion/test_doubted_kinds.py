"""A kind that near and far speak against is doubted once: at the export, or at the first use."""

from pathlib import Path

import pytest

from rilievo.cli import main
from rilievo.models import load_model
from rilievo.training.conversion.onnx_export import ExportOptions, export_model
from support.published_graphs import write_inverse_depth


def adopted(folder: Path, kind: str) -> Path:
    """A file of another program, wrapped: brightness, which is nearness on no picture."""
    source = write_inverse_depth(folder / "theirs.onnx", side=64)
    options = ExportOptions(kind=kind, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    written = export_model(source, folder / f"{kind}.onnx", options)
    assert written.kind_warning is None or "with the right kind" in written.kind_warning
    return written.path


def test_a_file_of_another_program_is_tested_at_its_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    said = {}
    for kind in ("affine", "affine_inverse"):
        path = adopted(tmp_path, kind)
        capsys.readouterr()
        load_model(path, device="cpu")
        said[kind] = capsys.readouterr().err
        load_model(path, device="cpu")
        assert capsys.readouterr().err == ""
    # One of the two is wrong of any network that sees a difference.
    assert sorted("with the right kind" in text for text in said.values()) == [False, True]


def test_export_warns_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_inverse_depth(tmp_path / "theirs.onnx", side=64)
    warned = []
    for kind in ("affine", "affine_inverse"):
        command = ["export", str(source), "--kind", kind, "--mean", "0,0,0", "--std", "1,1,1"]
        assert main([*command, "-o", str(tmp_path / f"{kind}.onnx")]) == 0
        warned.append("--kind" in capsys.readouterr().err)
    assert sorted(warned) == [False, True]


@pytest.mark.slow
def test_a_file_that_rilievo_made_of_its_own_model_is_not_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("RILIEVO_CACHE", str(cache))
    load_model(export_model("rilievo/small", tmp_path / "small.onnx").path, device="cpu")
    assert not (cache / "polarity").exists()
    load_model(adopted(tmp_path, "affine"), device="cpu")
    assert len(list((cache / "polarity").iterdir())) == 1
