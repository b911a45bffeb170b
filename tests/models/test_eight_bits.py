"""Models of the catalogue in 8 bits: quantised from the published file once, and kept."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import ModelError, OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.models import load_model
from rilievo.records.sample import Photo
from support.catalogue_mirror import CatalogueMirror, catalogue
from support.moge_lookalike import FOCAL, true_depth, write_moge
from support.published_graphs import write_inverse_depth

__all__ = ["catalogue"]

NAME = "moge-2/small"


def photo() -> Photo:
    pixels = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    pixels[..., 1] = 255
    focal = FOCAL * np.hypot(48, 64) / 2
    K = np.array([[focal, 0, 31.5], [0, focal, 23.5], [0, 0, 1]])
    return Photo(pixels=pixels, camera=Camera(K=K))


def test_moge_in_8_bits_is_near_fp32_made_once_and_mended(
    catalogue: CatalogueMirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.offer(NAME, write_moge)
    model = load_model(NAME, device="cpu", precision="int8")
    assert (model.settings["engine"], model.settings["precision"]) == ("onnxruntime", "int8")
    [path] = (tmp_path / "cache" / "converted").iterdir()
    assert path.suffix == ".onnx"
    depth = model(photo()).depth.values
    true = true_depth(photo().pixels[..., 0].astype(float))
    assert 0 < np.abs(depth / true - 1).max() < 0.05
    capsys.readouterr()
    load_model(NAME, device="cpu", precision="int8")
    assert "converting" not in capsys.readouterr().err
    path.write_bytes(b"half a file")
    again = load_model(NAME, device="cpu", precision="int8")
    assert "damaged" in capsys.readouterr().err
    np.testing.assert_array_equal(again(photo()).depth.values, depth)
    with pytest.raises(OptionError, match="only with onnxruntime, not with openvino"):
        load_model(NAME, precision="int8", engine="openvino")


def test_a_graph_that_cannot_be_quantised_is_one_line_and_leaves_nothing(
    catalogue: CatalogueMirror, tmp_path: Path
) -> None:
    name = "depth-anything-v2/small"
    catalogue.offer(name, write_inverse_depth)  # it has no product of matrices
    with pytest.raises(ModelError, match="only quantises matrix products"):
        load_model(name, device="cpu", precision="int8")
    assert not list((tmp_path / "cache" / "converted").iterdir())
