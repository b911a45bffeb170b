"""Near and far come out the right way round, or the user is told once."""

from pathlib import Path

import numpy as np
import pytest

from published_graphs import write_inverse_depth
from rilievo.cli import main
from rilievo.export.options import ExportOptions
from rilievo.export.run import export_model
from rilievo.models import load_model
from rilievo.models.base import Inference
from rilievo.models.card import ModelCard
from rilievo.models.outside import OutsideModel
from rilievo.models.recognition import SCENES, doubt, turned_round
from rilievo.types import DepthKind, Photo


class Learned:
    """A network that knows the three pictures: a ramp from near at ``near`` to far at ``far``."""

    def __init__(self, kind: DepthKind | None, *, inverse: bool) -> None:
        self.inverse = inverse
        self.card = ModelCard(name="test/learned", summary="", kind=kind, licence="MIT")

    def __call__(self, photo: Photo) -> Inference:
        height, width = photo.shape
        near, far = SCENES[Path(photo.name).name]
        depth = np.full((height, width), 3.0, np.float32)
        for (top, bottom, left, right), value in ((near, 1.0), (far, 9.0)):
            rows = slice(int(top * height), int(bottom * height))
            depth[rows, int(left * width) : int(right * width)] = value
        return Inference(depth=1 / depth if self.inverse else depth)

    def model(self) -> OutsideModel:
        return OutsideModel(self.card, self, weights_sha256="0" * 64)


@pytest.mark.parametrize("name", ["rilievo/small", "rilievo/tiny"])
def test_the_embedded_models_tell_near_from_far_on_every_picture(name: str) -> None:
    assert turned_round(load_model(name, device="cpu")) == []


@pytest.mark.parametrize("inverse", [True, False])
@pytest.mark.parametrize("kind", DepthKind)
def test_a_kind_is_doubted_where_near_and_far_are_turned_round(
    kind: DepthKind, inverse: bool
) -> None:
    said = doubt(Learned(kind, inverse=inverse).model())
    if inverse == (kind is DepthKind.AFFINE_INVERSE):
        assert said is None
    else:
        assert said is not None
        assert "--kind" in said
        assert f"is stated as {kind}" in said


def adopted(folder: Path, kind: str) -> Path:
    """A file of another program, wrapped: brightness, which is nearness on no picture."""
    source = write_inverse_depth(folder / "theirs.onnx", side=64)
    options = ExportOptions(kind=kind, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    written = export_model(source, folder / f"{kind}.onnx", options)
    assert written.doubt is None or "--kind" in written.doubt
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
    assert sorted("--kind" in text for text in said.values()) == [False, True]


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
    load_model(export_model("rilievo/tiny", tmp_path / "tiny.onnx").path, device="cpu")
    assert not (cache / "polarity").exists()
    load_model(adopted(tmp_path, "affine"), device="cpu")
    assert len(list((cache / "polarity").iterdir())) == 1
