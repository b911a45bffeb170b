"""Sharper outlines of a network without a layout: its graph against torch, and its file."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from torch import Tensor, nn

from lab.making.distil.small_export import export_small
from lab.making.outline_frozen import SMALL_NETWORK, read_frozen
from lab.making.outline_head import Head
from lab.making.outline_network import OutlineNet, median, sharpened, sources, taken, whole_field
from lab.making.outlined_graph import features_of, with_outlines, without_outlines
from lab.making.provenances import PROVENANCES
from lab.making.write_default_models import PACKAGE, read_outlines, rewrite_small
from rilievo import load_model, predict
from rilievo.errors import InputError
from rilievo.io.checksums import has_onnx_checksum
from rilievo.training.conversion.onnx_file import replace_dequantize_nodes
from rilievo.training.networks.small import SmallNet

SHIPPED = PACKAGE / "small.onnx"
LOGS = "fused.log_depth"
NAMES = ("depth", "normals", "confidence")
SIZE = (128, 192)


def random_outline() -> OutlineNet:
    """A network that moves things, with scales of features."""
    torch.manual_seed(1)
    outline = OutlineNet(maps=1).eval()
    with torch.no_grad():
        nn.init.normal_(outline.last.weight, std=0.3)
        for name, scale in outline.named_buffers():
            if name.endswith("scale"):
                scale.uniform_(0.3, 2.0)
    return outline


def weights_of(outline: OutlineNet) -> dict[str, np.ndarray]:
    return {f"outline.{name}": value.numpy() for name, value in outline.state_dict().items()}


def photographs() -> np.ndarray:
    """Blurred noise with a step, two of them."""
    torch.manual_seed(0)
    image = F.interpolate(torch.rand(2, 3, 8, 12) * 255, size=SIZE, mode="bicubic").clamp(0, 255)
    image[:, :, 40:90, 60:130] = 40
    return image.permute(0, 2, 3, 1).numpy().astype(np.uint8)


def run(model: onnx.ModelProto, *inner: str) -> dict[str, Tensor]:
    """Outputs and inner maps of a model."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inner
    )
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [*NAMES, *inner]
    answers = session.run(names, {"image": photographs()})
    return {name: torch.from_numpy(values) for name, values in zip(names, answers, strict=True)}


@pytest.fixture(scope="module")
def small() -> onnx.ModelProto:
    """The embedded model with outlines as its network leaves them."""
    model = onnx.load(str(SHIPPED))
    replace_dequantize_nodes(model)
    return without_outlines(model)


def test_the_graph_answers_what_torch_computes(small: onnx.ModelProto) -> None:
    outline = random_outline()
    model = with_outlines(small, weights_of(outline))
    onnx.checker.check_model(model, full_check=True)
    features = features_of(small)
    maps = run(model, *features.half, features.quarter, LOGS)
    logs = maps[LOGS]
    with torch.no_grad():
        half = torch.cat([maps[name] for name in features.half], dim=1)
        # Training gives its head no sky, and nothing is guarded.
        field = outline(half, maps[features.quarter], logs, torch.zeros_like(logs))
        expected = sharpened(logs, field, None)
    assert (expected - logs).abs().mean() > 1e-4
    # A displacement that ends between two pixels may be rounded to the other one.
    off = (maps["depth"].log()[:, None] - expected).abs() > 1e-5
    assert off.float().mean() < 3e-4
    moved = taken(run(small)["normals"], sources(whole_field(field, SIZE)))
    assert ((maps["normals"] - moved).abs() > 1e-5).float().mean() < 3e-4
    assert torch.equal(maps["confidence"], run(small)["confidence"])


def test_the_graph_answers_what_training_looks_at(tmp_path: Path) -> None:
    """Networks of the file, in torch, with the head as a run has it."""
    head = Head(SMALL_NETWORK, pick=False).eval()
    head.outline.load_state_dict(random_outline().state_dict())
    path = tmp_path / "sharp.onnx"
    image = torch.from_numpy(photographs()).permute(0, 3, 1, 2).float()
    views = read_frozen(SHIPPED, SMALL_NETWORK)(image)
    with torch.no_grad():
        answer = head(views)
        expected = sharpened(answer.fused, answer.displacement, head.sky_of(views))
    weights = tmp_path / "head.npz"
    np.savez(weights, **{name: value.numpy() for name, value in head.state_dict().items()})
    rewrite_small(SHIPPED, path, outlines=weights)
    logs = run(onnx.load(str(path)))["depth"].log()[:, None]
    # Kernels in 16 bits turn some displacements to the next pixel.
    assert ((logs - expected).abs() > 1e-3).float().mean() < 0.02
    again = read_frozen(path, SMALL_NETWORK)(image)
    assert torch.equal(again.fine, views.fine), "a further run begins with the same network"


def test_a_network_that_moves_nothing_leaves_all_but_medians(small: onnx.ModelProto) -> None:
    maps = run(with_outlines(small, weights_of(OutlineNet(maps=1).eval())))
    before = run(small)
    for name in ("normals", "confidence"):
        assert torch.equal(maps[name], before[name])
    expected = median(before["depth"].log()[:, None])[:, 0]
    torch.testing.assert_close(maps["depth"].log(), expected, atol=1e-5, rtol=0)


def test_the_file_keeps_its_facts_and_can_be_written_again(tmp_path: Path) -> None:
    weights = tmp_path / "outlines.npz"
    np.savez(weights, **weights_of(random_outline()))
    first, second = tmp_path / "1.onnx", tmp_path / "2.onnx"
    rewrite_small(SHIPPED, first, outlines=weights)
    rewrite_small(first, second)
    one, other, shipped = (onnx.load(str(path)) for path in (first, second, SHIPPED))
    assert has_onnx_checksum(first)
    assert {e.key for e in one.metadata_props} == {e.key for e in shipped.metadata_props}
    before, after = run(one), run(other)
    assert all(torch.equal(before[name], after[name]) for name in NAMES)
    back = run(without_outlines(one))
    for name, values in run(without_outlines(shipped)).items():
        assert torch.equal(back[name], values)
    pixels = photographs()[0]
    depth = predict(pixels, model=load_model(first, device="cpu")).depth.values
    assert not np.array_equal(depth, predict(pixels, model="rilievo/small").depth.values)


def test_other_networks_and_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, **weights_of(OutlineNet()))
    with pytest.raises(InputError, match="no weights of OutlineNet"):
        read_outlines(path, maps=1)
    weights = weights_of(random_outline())
    export_small(SmallNet().eval(), tmp_path / "sky.onnx", PROVENANCES["small"])
    with pytest.raises(InputError, match="without sky"):
        with_outlines(onnx.load(str(tmp_path / "sky.onnx")), weights)
    with pytest.raises(InputError, match="no network of ours"):
        with_outlines(onnx.load(str(PACKAGE / "base.onnx")), weights)
