"""The graph of two networks against its formula in NumPy, on networks of a few nodes."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from lab.making.fused_graph import CELL, FLATTEST, PULL, STEEPEST, detail_of, fuse, main
from rilievo.errors import InputError
from rilievo.io.training_files import has_onnx_checksum
from support.network_numbers import assert_networks_agree

HEIGHT, WIDTH = 128, 192


def network(scale: float, turn: float, *, chances: bool, side: int = 1) -> onnx.ModelProto:
    """A network whose maps are simple functions of mean colours of ``side`` x ``side`` pixels."""
    floats = {"scale": [scale], "one": [1.0], "byte": [255.0], "turn": [turn], "half": [0.5]}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["fine"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["fine"], ["means"], kernel_shape=[side] * 2, strides=[side] * 2
        ),
        helper.make_node("Transpose", ["means"], ["colours"], perm=[0, 2, 3, 1]),
        helper.make_node("Div", ["colours", "byte"], ["share"]),
        helper.make_node("Split", ["share", "parts"], ["red4", "green4", "blue4"], axis=3),
        *(helper.make_node("Squeeze", [f"{c}4", "last"], [c]) for c in ("red", "green", "blue")),
        helper.make_node("Mul", ["red", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "one"], ["depth"]),
        helper.make_node("Transpose", ["share"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "turn"], ["moved"]),
        helper.make_node("ReduceL2", ["moved"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["moved", "length"], ["normals"]),
        helper.make_node("Identity", ["green"], ["confidence"]),
        helper.make_node("Identity", ["blue"], ["sky"]),
        helper.make_node("Mul", ["blue", "half"], ["steps"]),
    ]
    names = ["depth", "normals", "confidence", *(["sky", "steps"] if chances else [])]
    rows = ["batch", "height", "width"]
    shapes = {name: ["batch", 3, *rows[1:]] if name == "normals" else rows for name in names}
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [*rows, 3])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in shapes.items()],
        [
            *(helper.make_tensor(n, TensorProto.FLOAT, [1], v) for n, v in floats.items()),
            helper.make_tensor("parts", TensorProto.INT64, [3], [1, 1, 1]),
            helper.make_tensor("last", TensorProto.INT64, [1], [3]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"rilievo.kind": "up_to_scale", "rilievo.sha256": "0"})
    return model


def run(model: onnx.ModelProto, image: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    return {n: v[0] for n, v in zip(names, session.run(None, {"image": image[None]}), strict=True)}


def linear(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear resizing of (h, w) with half-pixel centres, along one axis after the other."""
    for axis, length in enumerate(size):
        old = values.shape[axis]
        place = np.clip((np.arange(length) + 0.5) * old / length - 0.5, 0, old - 1)
        first = np.minimum(place.astype(int), max(old - 2, 0))
        share = (place - first).reshape((-1, 1) if axis == 0 else (1, -1))
        low = np.take(values, first, axis)
        values = low + (np.take(values, np.minimum(first + 1, old - 1), axis) - low) * share
    return values


def cells(values: np.ndarray, side: int) -> np.ndarray:
    rows, columns = values.shape[0] // side, values.shape[1] // side
    return values.reshape(rows, side, columns, side).mean(axis=(1, 3))


def windows(values: np.ndarray) -> np.ndarray:
    """Means over three by three cells, of those inside the picture."""
    means = np.pad(cells(values, CELL), 1, constant_values=np.nan)
    return np.nanmean(np.lib.stride_tricks.sliding_window_view(means, (3, 3)), axis=(2, 3))


def expected_depth(coarse: np.ndarray, fine: np.ndarray, sky: np.ndarray) -> np.ndarray:
    """Log depth by the formula: a line in each window, weighted by what is no sky."""
    land = 1.001 - sky
    mean = lambda values: windows(values * land) / windows(land)  # noqa: E731
    covariance = mean(coarse * fine) - mean(coarse) * mean(fine)
    variance = mean(fine * fine) - mean(fine) ** 2
    slope = np.clip((covariance + PULL) / (variance + PULL), FLATTEST, STEEPEST)
    offset = mean(coarse) - slope * mean(fine)
    answer = linear(slope, fine.shape) * fine + linear(offset, fine.shape)
    return answer + sky * (coarse - answer)


def picture(seed: int, *, blue: int = 255) -> np.ndarray:
    """Smooth colours with a step."""
    chance = np.random.default_rng(seed)
    small = chance.uniform(0, 255, (6, 9, 3))
    image = np.stack([linear(small[..., c], (HEIGHT, WIDTH)) for c in range(3)], axis=-1)
    image[40:90, 50:120, 0] = 30
    image[..., 2] *= blue / 255
    return np.rint(image).astype(np.uint8)


def layout_of(image: np.ndarray) -> np.ndarray:
    """The layout network's picture: 49,152 pixels, means of two by two of twice its size."""
    factor = (192 * 256 / (HEIGHT * WIDTH)) ** 0.5
    height, width = (round(side * factor / 32) * 32 for side in (HEIGHT, WIDTH))
    large = [linear(image[..., c].astype(float), (2 * height, 2 * width)) for c in range(3)]
    return np.rint(np.stack([cells(plane, 2) for plane in large], axis=-1)).astype(np.uint8)


@pytest.mark.parametrize(("seed", "blue"), [(0, 0), (1, 255), (2, 230)])
def test_depth_is_the_fitted_line_and_sky_is_layouts(seed, blue):
    layout, detail = network(3.0, 0.4, chances=True), network(1.5, 0.6, chances=False)
    image = picture(seed, blue=blue)
    answer = run(fuse(layout, detail, area=HEIGHT * WIDTH, name="rilievo/two"), image)
    one, two = run(layout, layout_of(image)), run(detail, image)
    size = (HEIGHT, WIDTH)
    sky = linear(one["sky"].astype(float), size)
    logs = expected_depth(
        linear(np.log(one["depth"].astype(float)), size),
        np.log(two["depth"].astype(float)),
        np.clip(4 * sky - 3, 0, 1),
    )
    # The picture of the layout network is rounded, so a few of its pixels differ by one level.
    found = np.log(answer["depth"])
    assert_networks_agree(found, logs, median=2e-5, tolerance=1e-3, share=0.02, limit=0.02)
    confidence = linear(one["confidence"].astype(float), size)
    for name, expected in (("sky", sky), ("confidence", confidence)):
        assert_networks_agree(
            answer[name], expected, median=2e-6, tolerance=1e-4, share=0.02, limit=0.02
        )


def test_normals_are_of_unit_length_and_have_the_means_of_layouts():
    layout, detail = network(3.0, 0.4, chances=True), network(1.5, 0.6, chances=False)
    image = picture(3)
    answer = run(fuse(layout, detail, area=HEIGHT * WIDTH, name="rilievo/two"), image)["normals"]
    one, two = run(layout, layout_of(image))["normals"], run(detail, image)["normals"]
    size = (HEIGHT, WIDTH)
    whole = np.stack(
        [
            fine + linear(cells(linear(coarse, size), CELL) - cells(fine, CELL), size)
            for coarse, fine in zip(one.astype(float), two.astype(float), strict=True)
        ]
    )
    np.testing.assert_allclose(np.linalg.norm(answer, axis=0), 1, atol=1e-6)
    expected = whole / np.linalg.norm(whole, axis=0)
    assert_networks_agree(answer, expected, median=2e-5, tolerance=2e-3, share=0.02, limit=0.1)


def test_a_network_with_itself_changes_nothing_where_both_see_the_same():
    """Even colours: both pictures are alike, so the correction is zero."""
    both = network(2.0, 0.4, chances=True)
    image = np.full((HEIGHT, WIDTH, 3), (90, 120, 20), np.uint8)
    answer = run(fuse(both, both, area=HEIGHT * WIDTH, name="rilievo/two"), image)
    np.testing.assert_allclose(answer["depth"], run(both, image)["depth"], rtol=1e-5)


def test_the_model_has_layouts_facts_and_its_own_name_and_size():
    model = fuse(
        network(3.0, 0.4, chances=True),
        network(1.5, 0.6, chances=False),
        area=196_608,
        name="rilievo/two",
    )
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts == {
        "rilievo.kind": "up_to_scale",
        "rilievo.name": "rilievo/two",
        "rilievo.area": "196608",
        "rilievo.multiple": "32",
    }
    assert [each.name for each in model.graph.output] == ["depth", "normals", "confidence", "sky"]


def test_maps_of_layout_may_be_smaller_than_its_picture():
    layout, detail = network(3.0, 0.4, chances=True, side=8), network(1.5, 0.6, chances=False)
    image = picture(4, blue=0)
    answer = run(fuse(layout, detail, area=HEIGHT * WIDTH, name="rilievo/two"), image)
    one, two = run(layout, layout_of(image)), run(detail, image)
    assert one["depth"].size * 64 == layout_of(image)[..., 0].size
    size = (HEIGHT, WIDTH)
    logs = expected_depth(
        linear(np.log(one["depth"].astype(float)), size),
        np.log(two["depth"].astype(float)),
        np.zeros(size),
    )
    found = np.log(answer["depth"])
    assert_networks_agree(found, logs, median=2e-5, tolerance=1e-3, share=0.02, limit=0.02)
    assert answer["sky"].shape == answer["confidence"].shape == size


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Files of a layout and a detail network."""
    paths = str(tmp_path / "layout.onnx"), str(tmp_path / "detail.onnx")
    for path, scale, seen in zip(paths, (3.0, 1.5), ("this", "that"), strict=True):
        model = network(scale, 0.4, chances=True)
        facts = {"rilievo.kind": "up_to_scale", "rilievo.trained_on": seen}
        helper.set_model_props(model, facts)
        onnx.save(model, path)
    return paths


def test_the_command_writes_a_file_that_says_what_both_learned_from(files, tmp_path):
    out = tmp_path / "both.onnx"
    assert main([*files, str(out), "--area", "24576", "--name", "rilievo/two"]) == 0
    facts = {entry.key: entry.value for entry in onnx.load(str(out)).metadata_props}
    assert facts["rilievo.trained_on"] == "this (layout), and that (detail)"
    assert (facts["rilievo.area"], facts["rilievo.name"]) == ("24576", "rilievo/two")
    assert has_onnx_checksum(out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "missing.onnx"}, "missing.onnx: no ONNX file"),
        ({"layout": "text.onnx"}, "text.onnx: no ONNX file"),
        ({"detail": "plain.onnx"}, "plain.onnx: no output normals; give a network"),
        ({"detail": "old.onnx"}, "old.onnx: operators of version 16, expected 17"),
        ({"detail": "run"}, "average.pt: no weights of the network"),
        ({"area": "100"}, "--area is 1024 pixels or more, got 100"),
    ],
)
def test_the_command_refuses_in_one_line(change, message, files, tmp_path, capsys):
    (tmp_path / "text.onnx").write_text("no network")
    (tmp_path / "run").mkdir()
    plain, old = (network(1.0, 0.4, chances=True) for _ in range(2))
    plain.graph.output.pop(1)
    old.opset_import[0].version = 16
    onnx.save(plain, str(tmp_path / "plain.onnx"))
    onnx.save(old, str(tmp_path / "old.onnx"))
    layout, detail = (
        str(tmp_path / change[name]) if name in change else file
        for name, file in zip(("layout", "detail"), files, strict=True)
    )
    out = tmp_path / "both.onnx"
    assert main([layout, detail, str(out), "--area", change.get("area", "24576")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_the_detail_network_comes_out_as_it_went_in() -> None:
    layout, detail = network(1.5, 0.3, chances=True), network(0.7, 0.2, chances=False)
    helper.set_model_props(detail, {"rilievo.trained_on": "steps"})
    both = fuse(layout, detail, area=HEIGHT * WIDTH, name="both")
    taken = detail_of(both)
    again = fuse(layout, taken, area=HEIGHT * WIDTH, name="both")
    image = np.random.default_rng(3).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    alone, expected = run(taken, image), run(detail, image)
    for name in ("depth", "normals"):
        np.testing.assert_array_equal(alone[name], expected[name])
    for name, values in run(both, image).items():
        np.testing.assert_array_equal(run(again, image)[name], values)
    assert again.metadata_props == both.metadata_props
    with pytest.raises(InputError, match="no model of a layout"):
        detail_of(layout)
