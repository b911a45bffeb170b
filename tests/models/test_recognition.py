"""ONNX files of others that need nothing said: published ones, and Ultralytics' for depth."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from rilievo.errors import ModelError, OptionError
from rilievo.models import load_model
from support.catalogue_mirror import CatalogueMirror, catalogue
from support.published_graphs import (
    MEAN,
    STD,
    at_centres,
    blocks,
    check_metres_of_ultralytics,
    weighted,
    write_depth_anything_3,
    write_inverse_depth,
    write_ultralytics,
)

__all__ = ["catalogue"]


def test_a_published_file_is_recognised_wherever_it_lies(
    catalogue: CatalogueMirror, tmp_path: Path
) -> None:
    graph = catalogue.offer("depth-anything-v2/small", write_inverse_depth)
    path = tmp_path / "download.onnx"
    shutil.copy(graph, path)
    model = load_model(path, device="cpu")
    assert model.card.name == "depth-anything-v2/small"
    pixels, colours = blocks((240, 320))
    [answer] = model.predict_raw([pixels])
    expected = weighted((colours / 255 - MEAN) / STD)
    np.testing.assert_allclose(at_centres(answer.depth.values), expected, atol=1e-5)
    network = onnx.load(path)
    network.producer_name = "x" * len(network.producer_name)
    network.doc_string = "another"
    onnx.save(network, path)
    with pytest.raises(ModelError, match="has no metadata from rilievo"):
        load_model(path, device="cpu")


def test_a_file_of_ultralytics_gives_metres(tmp_path: Path) -> None:
    path = write_ultralytics(tmp_path / "yolo26n-depth.onnx")
    check_metres_of_ultralytics(path)
    with pytest.raises(OptionError, match="Ultralytics runs with onnxruntime"):
        load_model(path, engine="openvino")
    with pytest.raises(OptionError, match="no device 'gpu'"):
        load_model(path, device="gpu")


def test_other_tasks_and_broken_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no metadata from rilievo"):
        load_model(write_ultralytics(tmp_path / "a.onnx", task="detect"))
    with pytest.raises(ModelError, match="'imgsz' of its metadata is not a size"):
        load_model(write_ultralytics(tmp_path / "b.onnx", imgsz="large"))


def test_weights_beside_a_published_graph_are_compared_too(
    catalogue: CatalogueMirror, tmp_path: Path
) -> None:
    graph = catalogue.offer(
        "depth-anything-3/small", lambda path: write_depth_anything_3(path, K=np.eye(3))
    )
    for file in graph.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    path, weights = tmp_path / graph.name, tmp_path / f"{graph.name}_data"
    downloaded = load_model("depth-anything-3/small", device="cpu")
    assert load_model(path, device="cpu").weights_sha256 == downloaded.weights_sha256
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"model\.onnx_data: is not the weights file of model\.onnx"
    ):
        load_model(path, device="cpu")
    weights.unlink()
    with pytest.raises(
        ModelError, match=r"the file with its weights is missing; put model\.onnx_data next to"
    ):
        load_model(path, device="cpu")
