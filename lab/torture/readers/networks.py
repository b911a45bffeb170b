"""Networks: ONNX files that are run, checkpoints of several kinds, and what services answer."""

import json
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from lab.torture.reader import row, sample, write_text
from lab.torture.readers.pictures import colours, counts, save
from rilievo.models import load_model
from rilievo.models.hub.hub_files import download_record_path, read_download_record
from rilievo.models.replicate_model import grey_picture, picture_urls
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from rilievo.training.adapters.checkpoint_config import check_config, read_config, read_processor
from rilievo.training.adapters.pipeline_index import needed_files, read_index

_METADATA = {
    "rilievo.format": "1",
    "rilievo.name": "test/brightness",
    "rilievo.kind": "up_to_scale",
    "rilievo.licence": "MIT",
    "rilievo.area": "4096",
    "rilievo.multiple": "32",
}


def write_onnx(folder: Path) -> None:
    """A network whose depth is brightness plus one, by a few nodes and two tensors."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[3], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["depth"]),
        helper.make_node("Transpose", ["float"], ["normals"], perm=[0, 3, 1, 2]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["b", "h", "w", 3])
    outputs = [
        helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["b", "h", "w"]),
        helper.make_tensor_value_info("normals", TensorProto.FLOAT, ["b", 3, "h", "w"]),
    ]
    constants = [
        onnx.numpy_helper.from_array(np.array([1.0], np.float32), "offset"),
        onnx.numpy_helper.from_array(np.full((1, 1, 1), 0.5, np.float32), "scale"),
    ]
    graph = helper.make_graph(nodes, "brightness", [image], outputs, constants)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    network.ir_version = 8
    for key, value in _METADATA.items():
        network.metadata_props.add(key=key, value=value)
    onnx.save(network, folder / "net.onnx")


def _run_onnx(folder: Path, engine: str = "auto") -> object:
    model = load_model(folder / "net.onnx", device="cpu", threads=1, engine=engine)
    return model.predict_raw([Photo(pixels=colours(0, (64, 64)))])


@cache
def _transformer() -> Mapping[str, bytes]:
    """A tiny Depth Anything as transformers saves it."""
    import transformers
    from transformers import models

    backbone = transformers.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],  # type: ignore[call-arg]  # a mixin's
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        patch_size=14,
        head_hidden_size=8,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
    )
    processor = models.dpt.DPTImageProcessor(
        size={"height": 56, "width": 56}, ensure_multiple_of=14, keep_aspect_ratio=True
    )
    with tempfile.TemporaryDirectory() as folder:
        transformers.utils.logging.disable_progress_bar()
        transformers.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
        processor.save_pretrained(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _write_transformer(folder: Path) -> None:
    for name, content in _transformer().items():
        (folder / name).write_bytes(content)


def _run_transformer(folder: Path) -> object:
    model = load_model(folder, device="cpu", engine="torch", kind=DepthKind.AFFINE_INVERSE)
    return model.predict_raw([Photo(pixels=colours(0, (56, 56)))])


def _weights(folder: Path, name: str) -> None:
    import torch
    from safetensors.torch import save_file

    state = {"body.weight": torch.ones(5, 3, 4, 4), "body.bias": torch.zeros(5)}
    if name.endswith(".safetensors"):
        save_file(state, folder / name, metadata={"format": "pt"})
    else:
        torch.save({"state_dict": state, "epoch": 3}, folder / name)


def _load_weights(path: Path) -> object:
    from torch import nn

    from rilievo.training.networks.backbones.weights import load_weights

    network = nn.ModuleDict({"body": nn.Conv2d(3, 5, 4, 4)})
    load_weights(network, path)
    return network


def _read_lock(folder: Path) -> object:
    os.environ["RILIEVO_CACHE"] = str(folder)
    assert download_record_path("org/name@main").is_relative_to(folder), (
        "the record is looked for in the case's folder"
    )
    return read_download_record("org/name@main")


def _read_pipeline(folder: Path) -> object:
    index = read_index(folder)
    return index.kind, index.normals, needed_files(["model_index.json", "unet/config.json"])


def _read_checkpoint(folder: Path) -> object:
    config = read_config(folder / "config.json")
    check_config(config, folder / "config.json")
    return read_processor(folder, "dpt")


def _answer(folder: Path) -> None:
    save(folder / "depth.png", counts())
    Image.fromarray(counts() >> 8).convert("L").save(folder / "depth.png")
    answer = {"id": "abc", "status": "succeeded", "output": {"depth": "https://x.org/a.png"}}
    write_text(folder / "answer.json", json.dumps(answer))


def _read_answer(folder: Path) -> object:
    """A picture and an answer of a service, by what is done with them once they are bytes."""
    body = (folder / "depth.png").read_bytes()
    picture = grey_picture([body], (36, 48))
    return picture, _ask(BytesIO((folder / "answer.json").read_bytes()))


def _ask(body: BytesIO) -> object:
    import httpx

    from rilievo.models.replicate_model import ReplicateService, RetryPolicy

    def reply(request: httpx.Request) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return httpx.Response(200, headers=headers, content=body.getvalue())

    retry_policy = RetryPolicy(attempts=1, first_wait=0.001, max_wait=0.001, request_timeout=0.1)
    service = ReplicateService("token", "https://api.replicate.com", retry_policy)
    service._http = httpx.Client(transport=httpx.MockTransport(reply))
    answer = service.request_json("GET", "/v1/predictions/abc")
    return picture_urls(answer.get("output"), "depth")


READERS = (
    row("ONNX, loaded and run", write_onnx, "net.onnx", _run_onnx, 2.0),
    row(
        "ONNX, run by OpenVINO",
        write_onnx,
        "net.onnx",
        lambda folder: _run_onnx(folder, "openvino"),
        0.4,
    ),
    row(
        "checkpoint of transformers",
        _write_transformer,
        "config.json model.safetensors",
        _run_transformer,
        0.3,
    ),
    row(
        "weights: safetensors",
        lambda folder: _weights(folder, "w.safetensors"),
        "w.safetensors",
        lambda folder: _load_weights(folder / "w.safetensors"),
    ),
    row(
        "weights: pth",
        lambda folder: _weights(folder, "w.pth"),
        "w.pth",
        lambda folder: _load_weights(folder / "w.pth"),
        1.5,
    ),
    sample("record of the hub's files", _read_lock, 0.6),
    sample("index of a pipeline", _read_pipeline, 0.6),
    sample("configuration of a checkpoint", _read_checkpoint),
    row("answers of replicate.com", _answer, "depth.png answer.json", _read_answer, places=False),
)
