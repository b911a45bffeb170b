"""Normals and confidence are left out by networks that can, where nothing needs them.

A network whose normals cannot be computed shows where they are asked for.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from rilievo import load_model
from rilievo.models.base import Model
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from rilievo.predicting.summary import RunSummary
from rilievo.records.sample import Photo
from support.served import picture, served
from support.tiny_networks import METADATA

PIXELS = np.random.default_rng(3).integers(20, 250, (48, 64, 3), np.uint8)


def gated(folder: Path, *, is_broken: bool = False) -> Path:
    """Write a network with the optional input ``surfaces``; a broken one fails if it is true."""
    shapes = {
        "depth": ["b", "h", "w"],
        "normals": ["b", 3, "h", "w"],
        "confidence": ["b", "h", "w"],
    }
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    surfaces = [values["normals"], values["confidence"]]
    planes = helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2])
    shape = "one" if is_broken else "same"
    then = [
        planes,
        helper.make_node("Reshape", ["planes", shape], ["normals"]),
        helper.make_node("Div", ["mean", "most"], ["confidence"]),
    ]
    otherwise = [
        helper.make_node(
            "Constant",
            [],
            [name],
            value=helper.make_tensor(name, TensorProto.FLOAT, [1, *([3] * (rank - 3)), 0, 0], []),
        )
        for name, rank in (("normals", 4), ("confidence", 3))
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[3], keepdims=0),
        helper.make_node("Add", ["mean", "first"], ["depth"]),
        helper.make_node(
            "If",
            ["surfaces"],
            ["normals", "confidence"],
            then_branch=helper.make_graph(then, "all", [], surfaces),
            else_branch=helper.make_graph(otherwise, "nothing", [], surfaces),
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "gated",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, ["b", "h", "w", 3]),
            helper.make_tensor_value_info("surfaces", TensorProto.BOOL, []),
        ],
        list(values.values()),
        [
            helper.make_tensor("surfaces", TensorProto.BOOL, [], [True]),
            helper.make_tensor("first", TensorProto.FLOAT, [], [1.0]),
            helper.make_tensor("most", TensorProto.FLOAT, [], [255.0]),
            helper.make_tensor("same", TensorProto.INT64, [4], [0, 0, 0, 0]),
            helper.make_tensor("one", TensorProto.INT64, [4], [1, 1, 1, 1]),
        ],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(network, METADATA)
    onnx.save(network, folder / "net.onnx")
    return folder / "net.onnx"


def run(network: Path, output: Path, *inputs: Path, **options: object) -> RunSummary:
    given = PredictOptions(model=str(network), output=output, **options)  # pyright: ignore
    return predict_files(inputs, given, show=False)


def photograph(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(PIXELS).save(folder / "photo.png")
    return folder / "photo.png"


@pytest.mark.parametrize(
    ("save", "options", "is_alone"),
    [
        ("colour,png16,npy,tiff,stl,cutout,near16,stereo", {}, True),
        ("npy", {"flip": True, "batch_size": 2}, True),
        ("npy", {"confidence": "mirror"}, True),
        ("npy", {"tile": 64}, True),
        ("npy", {"vanishing_points": True, "trim": True}, True),
        ("npy,normals", {}, False),
        ("confidence", {}, False),
        ("ply", {}, False),
        ("npz", {}, False),
        # Ranges of metres depend on confidence, and the floor is found by normals.
        ("npy", {"known": ["20,30,2.5"]}, False),
        ("npy", {"camera_height": 1.5}, False),
    ],
)
def test_what_is_saved_decides_whether_normals_are_computed(
    tmp_path: Path, save: str, options: dict[str, object], is_alone: bool
) -> None:
    photo, network = photograph(tmp_path / "in"), gated(tmp_path, is_broken=True)
    summary = run(network, tmp_path / "out", photo, save=save, **options)
    assert (summary.done, summary.failed) == ((1, 0) if is_alone else (0, 1))


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"tile": 64}])
def test_depth_alone_is_equal_to_the_bit(tmp_path: Path, options: dict[str, object]) -> None:
    photo, network = photograph(tmp_path / "in"), gated(tmp_path)
    for save, place in (("npy", "alone"), ("npy,normals,confidence", "whole")):
        assert run(network, tmp_path / place, photo, save=save, **options).done == 1
    alone, whole = (tmp_path / place / "photo.depth.npy" for place in ("alone", "whole"))
    assert alone.read_bytes() == whole.read_bytes()


def test_frames_of_clips_are_of_depth_alone_where_nothing_else_is_saved(tmp_path: Path) -> None:
    folder, broken = tmp_path / "in", tmp_path / "broken"
    broken.mkdir()
    photograph(folder)
    Image.fromarray(PIXELS[::-1]).save(folder / "second.png")
    for save, network, place in (
        ("npy", gated(broken, is_broken=True), "alone"),
        ("npy,normals-npy", gated(tmp_path), "whole"),
    ):
        assert run(network, tmp_path / place, folder, save=save, sequence=True).done == 1
    assert not run(broken / "net.onnx", tmp_path / "o", folder, save="glb", sequence=True).done
    alone, whole = (sorted((tmp_path / k).rglob("*.depth.npy")) for k in ("alone", "whole"))
    assert len(alone) == 2
    assert [each.read_bytes() for each in alone] == [each.read_bytes() for each in whole]


def test_damaged_normals_of_an_earlier_run_are_made_again(tmp_path: Path) -> None:
    photo, network, out = photograph(tmp_path / "in"), gated(tmp_path), tmp_path / "out"
    assert run(network, out, photo, save="npy,normals-npy").done == 1
    normals = out / "photo.normals.npy"
    before = normals.read_bytes()
    normals.write_bytes(before[:50])
    assert run(network, out, photo, save="npy").done == 1
    assert normals.read_bytes() == before


def test_requests_decide_for_themselves(tmp_path: Path) -> None:
    model = load_model(gated(tmp_path, is_broken=True), device="cpu")
    with served(tmp_path, models={"broken": model}) as server:

        def status(query: str) -> int:
            place = f"/v1/predict?model=broken&{query}"
            return server.client.post(place, content=picture()).status_code

        assert [status(f"save={save}") for save in ("json", "npy", "colour,stl")] == [200] * 3
        refused = ("save=normals", "save=npz", "save=json&known=20,30,2.5", "save=all")
        assert all(status(query) >= 400 for query in refused)


@pytest.mark.parametrize("name", ["gated", "rilievo/base", "rilievo/small"])
def test_a_model_of_depth_alone_gives_the_same_depth(tmp_path: Path, name: str) -> None:
    model: Model = load_model(gated(tmp_path) if name == "gated" else name, device="cpu")
    photos = [Photo(pixels=PIXELS), Photo(pixels=PIXELS[::-1])]
    for one, other in zip(model.depth_alone().infer(photos), model.infer(photos), strict=True):
        assert one.depth is not None
        assert other.depth is not None
        np.testing.assert_array_equal(one.depth, other.depth)
        assert other.normals is not None
        if name == "gated":
            assert (one.normals, one.confidence) == (None, None)
