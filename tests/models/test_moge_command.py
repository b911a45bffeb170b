"""MoGe-2 on the command line, from a mirror of the hub on this machine."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from support.catalogue_mirror import CatalogueMirror, catalogue
from support.moge_lookalike import true_depth, write_moge

__all__ = ["catalogue"]

NAME = "moge-2/small"


@pytest.fixture
def mirror(catalogue: CatalogueMirror) -> Path:
    """The folder of a mirror whose small MoGe-2 is a look-alike."""
    return catalogue.offer(NAME, write_moge).parent


def test_a_photograph_becomes_metres_with_a_camera(mirror: Path, tmp_path: Path) -> None:
    pixels = np.full((48, 64, 3), 255, np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 64).astype(np.uint8)
    pixels[:12, :, 1] = 0
    photo = tmp_path / "photo.png"
    Image.fromarray(pixels).save(photo)
    out = tmp_path / "out"
    command = ["predict", str(photo), "-m", NAME, "--save", "npz,glb,ply", "-o", str(out)]
    assert main(command) == 0
    facts = json.loads((out / "photo.json").read_text())
    assert "metric" in json.dumps(facts)
    assert "predicted" in json.dumps(facts["camera"])
    depth = np.load(out / "photo.npz")["depth"]
    expected = true_depth(pixels[..., 0].astype(float))
    np.testing.assert_allclose(depth[13:], expected[13:], rtol=1e-3)
    assert not np.isfinite(depth[:11]).any() or not (depth[:11] > 0).any()


def test_fetch_downloads_and_path_prints_the_file(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "path", NAME]) == 2
    assert "rilievo models fetch" in capsys.readouterr().err
    assert main(["models", "fetch", NAME]) == 0
    fetched = Path(capsys.readouterr().out.strip())
    assert fetched.read_bytes() == (mirror / "model.onnx").read_bytes()
    (mirror / "model.onnx").unlink()
    assert main(["models", "path", NAME]) == 0
    assert capsys.readouterr().out.strip() == str(fetched)


def test_path_and_fetch_know_the_embedded_models(capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("path", "fetch"):
        assert main(["models", action, "rilievo/small"]) == 0
        assert Path(capsys.readouterr().out.strip()).name == "small.onnx"


def test_a_name_that_is_not_in_the_catalogue_is_one_line(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "fetch", "moge-2/smal"]) == 2
    assert NAME in capsys.readouterr().err


def test_offline_refuses_the_download_in_one_line(
    mirror: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # so that it is restored
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 48), (90, 255, 90)).save(photo)
    command = ["predict", str(photo), "-m", NAME, "-o", str(tmp_path / "out")]
    assert main([*command, "--offline"]) == 2
    said = capsys.readouterr().err
    assert "downloads" in said
    assert len(said.splitlines()) == 1
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert main(command) == 0
