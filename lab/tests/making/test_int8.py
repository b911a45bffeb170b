"""The embedded network in 8 bits: what stays as it was, and what it is calibrated on."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

from lab.making.distil.small_export import export_small
from lab.making.int8 import calibration_frames, kept_of, quantise_small
from lab.making.provenances import PROVENANCES
from lab.making.write_default_models import rounded, store_in_8_bits
from rilievo.errors import InputError, ModelError, OptionError
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.training.networks.small import SmallNet
from support.light_networks import LIGHT


def test_steps_of_weights_are_exact_where_they_can_be() -> None:
    steps = np.random.default_rng(2).integers(-127, 128, (5, 3, 2, 2))
    steps[:, 0, 0, 0] = 127
    size = np.array([1e-3, 0.5, 1, 4, 1e4]).reshape(-1, 1, 1, 1)
    found, sizes = rounded((steps * size).astype(np.float32))
    np.testing.assert_array_equal(found, steps)
    np.testing.assert_allclose(sizes, size, rtol=1e-6)


def test_a_weight_far_from_the_others_is_cut_off_where_that_costs_less() -> None:
    weights = np.random.default_rng(3).normal(size=(4, 5000)).astype(np.float32)
    weights[:, 0] = 12
    steps, size = rounded(weights)
    plain = np.abs(weights).max(axis=1, keepdims=True) / 127
    uncut = ((np.round(weights / plain) * plain - weights) ** 2).sum(axis=1)
    assert (((steps * size - weights) ** 2).sum(axis=1) <= uncut).all()
    assert (size < plain).any()


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network of random weights in fp32, and made of it in int8."""
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(1)
    export_small(SmallNet(LIGHT).eval(), folder / "fp32.onnx", PROVENANCES["small"])
    quantise_small(folder / "fp32.onnx", folder / "int8.onnx", pictures(2))
    return folder / "fp32.onnx", folder / "int8.onnx"


def test_the_last_merge_of_any_width_stays_in_floats(networks: tuple[Path, Path]) -> None:
    fp32, int8 = networks
    last = f"/merges.{len(LIGHT.decoder) - 2}/"
    assert kept_of(fp32)[-1] == last
    of = {"last": last, "others": "/merges.0/"}
    rounded_to = {
        part: any("Quantize" in node.op_type and of[part] in node.name for node in nodes_of(int8))
        for part in of
    }
    assert rounded_to == {"last": False, "others": True}


def nodes_of(path: Path) -> list[onnx.NodeProto]:
    return list(onnx.load(str(path)).graph.node)


def pictures(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        np.kron(random.integers(0, 256, (6, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
        for _ in range(count)
    ]


def is_kept(name: str) -> bool:
    """Whether a node belongs to the first three layers, the last merge or what follows it."""
    first = ("/encoder/conv0/", "/encoder/linearbottleneck.0/", "/encoder/linearbottleneck.1/")
    last = ("/merges.2/", "/head/", "/spread/", "/upsample/", "/sky/")
    return any(part in name for part in first + last)


def opened(path: Path) -> OnnxModel:
    return OnnxModel(path, LoadOptions(device="cpu"))


@pytest.mark.slow
def test_it_says_the_same_of_itself_but_for_name_and_precision(
    networks: tuple[Path, Path],
) -> None:
    exact, small = (opened(path) for path in networks)
    assert small.facts.name == f"{exact.facts.name}-int8"
    assert (exact.facts.precision, small.facts.precision) == ("fp32", "int8")
    assert small.preparation == exact.preparation
    for said in ("rilievo.licence", "rilievo.trained_on", "rilievo.area", "rilievo.multiple"):
        assert small.metadata[said] == exact.metadata[said]
    assert small.metadata["rilievo.weights_sha256"] == exact.weights_sha256


def test_it_is_much_smaller_and_answers_nearly_the_same(networks: tuple[Path, Path]) -> None:
    exact, small = networks
    assert small.stat().st_size < 0.5 * exact.stat().st_size
    batch = opened(exact).preparation.pixels(pictures(3)[-1])[None]
    one, other = opened(exact).run(batch), opened(small).run(batch)
    for name, most in (("depth", 0.1), ("normals", 0.1), ("confidence", 0.05)):
        assert np.median(np.abs(one[name] - other[name])) < most
        assert not np.array_equal(one[name], other[name])


def test_weights_stored_in_8_bits_are_computed_with_in_floats(
    networks: tuple[Path, Path], tmp_path: Path
) -> None:
    exact, small = networks[0], tmp_path / "stored.onnx"
    small.write_bytes(exact.read_bytes())
    store_in_8_bits(small)
    assert small.stat().st_size < 0.5 * exact.stat().st_size
    assert opened(small).facts == replace(opened(exact).facts, precision="int8 weights")
    batch = opened(exact).preparation.pixels(pictures(3)[-1])[None]
    one, other = opened(exact).run(batch), opened(small).run(batch)
    for name, most in (("depth", 0.02), ("normals", 0.05), ("confidence", 0.02)):
        assert 0 < np.abs(one[name] - other[name]).mean() < most


def test_first_and_last_layers_keep_their_weights_and_no_other_does(
    networks: tuple[Path, Path],
) -> None:
    graph = onnx.load(str(networks[1])).graph
    floats = {each.name for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT}
    constants = {
        output for node in graph.node if node.op_type == "Constant" for output in node.output
    }
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 50
    for node in convolutions:
        is_exact = node.input[1] in floats | constants
        assert is_exact == is_kept(node.name), node.name


def test_a_relu_between_8_bits_is_the_lower_end_of_the_range(networks: tuple[Path, Path]) -> None:
    exact, small = (onnx.load(str(path)).graph for path in networks)
    names = [node.name for node in exact.node if node.op_type == "Relu"]
    left = [node.name for node in small.node if node.op_type == "Relu"]
    # The encoder's first ReLU follows a layer that is kept, but its name does not say so.
    kept = [name for name in names if is_kept(name)]
    assert set(kept) <= set(left)
    assert len(left) <= len(kept) + 1 < len(names)


def test_what_is_in_8_bits_already_is_refused(networks: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="its weights are int8 already; give the network in fp32"):
        quantise_small(networks[1], tmp_path / "again.onnx", pictures(2))
    with pytest.raises(OptionError, match="calibrated on frames, and none was given"):
        quantise_small(networks[0], tmp_path / "none.onnx", [])
    assert list(tmp_path.iterdir()) == []


def test_rendered_frames_come_from_all_shards_but_the_one_for_validation(shards: Path) -> None:
    frames = calibration_frames(shards, None, count=3)
    with np.load(shards / "shard-00001.npz") as stored:
        assert all(np.array_equal(one, stored["image"][k]) for k, one in enumerate(frames))


def test_measured_frames_are_training_frames_without_their_white_frame(
    shards: Path, tmp_path: Path
) -> None:
    nyu = write_nyu(tmp_path / "nyu")
    frames = calibration_frames(shards, nyu, count=4)
    assert [frame.shape for frame in frames] == [(32, 64, 3)] * 2 + [(426, 560, 3)] * 2
    # The test frame is bright; training frames are dark within a white frame.
    assert max(int(frame.max()) for frame in frames[2:]) < 100


def write_nyu(folder: Path) -> Path:
    """Two training frames and a test frame, as the 8-bit copy of the labelled set has them."""
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for name, level in (("0002", 40), ("0003", 60), ("0000", 200)):
        pixels = np.full((480, 640, 3), 255, np.uint8)
        pixels[40:476, 36:606] = level
        Image.fromarray(pixels).save(folder / "rgb" / f"{name}.jpg", quality=95)
        depth = np.full((480, 640), 90, np.uint8)
        Image.fromarray(depth).save(folder / "depth" / f"{name}.png")
    (folder / "train.txt").write_text("0002\n0003\n")
    (folder / "test.txt").write_text("0000\n")
    return folder


def test_too_few_frames_and_a_folder_without_shards_are_said(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="calibrated on 2 frames or more, got 1"):
        calibration_frames(tmp_path, None, count=1)
    with pytest.raises(InputError, match="no shard-"):
        calibration_frames(tmp_path, None, count=2)
