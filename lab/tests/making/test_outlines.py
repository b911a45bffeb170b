"""Sharper outlines: the graph against torch, and what displacements do."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from torch import Tensor, nn

from lab.making.fused_graph import refuse
from lab.making.fusing import FARTHEST, LARGEST_LOGIT
from lab.making.gating import ungate
from lab.making.outline_graph import outlines_of
from lab.making.outline_network import (
    LayoutPick,
    OutlineNet,
    enlarged,
    fuse,
    median,
    sharpened,
    sharpened_softly,
    sources,
    taken,
    whole_field,
)
from lab.making.write_default_models import PACKAGE, read_layout, read_outlines, rewrite_base
from rilievo.errors import InputError
from rilievo.io.training_files import has_onnx_checksum

NAMES = ("depth", "normals", "confidence", "sky")
SIZE = (128, 192)


def random_network(network: nn.Module, seed: int) -> nn.Module:
    """A network that moves things, with scales of features."""
    torch.manual_seed(seed)
    with torch.no_grad():
        nn.init.normal_(network.last.weight, std=0.3)
        for name, scale in network.named_buffers():
            if name.endswith("scale"):
                scale.uniform_(0.3, 2.0)
    return network.eval()


def weights_of(outline: nn.Module, pick: nn.Module | None) -> dict[str, np.ndarray]:
    parts = {"outline": outline} | ({} if pick is None else {"pick": pick})
    return {
        f"{prefix}.{name}": value.numpy()
        for prefix, network in parts.items()
        for name, value in network.state_dict().items()
    }


def run(model: onnx.ModelProto, image: np.ndarray, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Outputs and inner maps of a model."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in names
        if name not in NAMES
    )
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return {
        name: torch.from_numpy(values)
        for name, values in zip(names, session.run(names, {"image": image}), strict=True)
    }


def photograph() -> np.ndarray:
    """Blurred noise with a step, two of them."""
    torch.manual_seed(0)
    small = torch.rand(2, 3, 8, 12) * 255
    image = F.interpolate(small, size=SIZE, mode="bicubic").clamp(0, 255)
    image[:, :, 40:90, 60:130] = 40
    return image.permute(0, 2, 3, 1).numpy().astype(np.uint8)


@pytest.fixture(scope="module")
def base() -> onnx.ModelProto:
    """The embedded model with outlines as the fusing leaves them."""
    return refuse(ungate(onnx.load(str(PACKAGE / "base.onnx"))))


@pytest.mark.parametrize("picks", [False, True])
def test_the_graph_answers_what_torch_computes(base: onnx.ModelProto, picks: bool) -> None:
    outline = random_network(OutlineNet(), 1)
    pick = random_network(LayoutPick(), 2) if picks else None
    model = refuse(base, outlines=weights_of(outline, pick))
    onnx.checker.check_model(model, full_check=True)
    joined = next(node for node in model.graph.node if node.name.endswith("/network/Concat"))
    merge = "detail.network.merges.3.reduce.weight"
    quarter = next(node.input[0] for node in model.graph.node if merge in node.input[1:])
    unmoved = ("fused.unmoved_depth", "fused.unmoved_normals")
    inner = ("layout.depth", "detail.depth", quarter, *joined.input, *unmoved)
    maps = run(model, photograph(), (*NAMES, *inner))
    half, sky = torch.cat([maps[name] for name in joined.input], dim=1), maps["sky"][:, None]
    coarse = enlarged(maps["layout.depth"].log()[:, None], SIZE)
    fine = maps["detail.depth"].log()[:, None]
    with torch.no_grad():
        if pick is not None:
            coarse = enlarged(pick(maps[quarter], coarse, fine, sky), SIZE)
        logs = fuse(coarse, fine, sky)
        field = outline(half, maps[quarter], torch.cat([logs, fine, coarse], dim=1), sky)
        expected = sharpened(logs, field, sky)
    torch.testing.assert_close(maps["fused.unmoved_depth"].log()[:, None], logs, atol=1e-5, rtol=0)
    assert (expected - logs).abs().mean() > 1e-4
    # A displacement that ends between two pixels may be rounded to the other one.
    off = (maps["depth"].log()[:, None] - expected).abs() > 1e-5
    assert off.float().mean() < 3e-4
    moved = taken(maps["fused.unmoved_normals"], sources(whole_field(field, SIZE)))
    assert ((maps["normals"] - moved).abs() > 1e-5).float().mean() < 3e-4


def test_a_network_that_moves_nothing_leaves_all_but_medians(base: onnx.ModelProto) -> None:
    outlines = weights_of(OutlineNet().eval(), None)
    maps = run(refuse(base, outlines=outlines), photograph(), NAMES)
    before = run(base, photograph(), NAMES)
    for name in ("normals", "confidence", "sky"):
        torch.testing.assert_close(maps[name], before[name], atol=0, rtol=0)
    expected = median(before["depth"].log()[:, None])[:, 0]
    torch.testing.assert_close(maps["depth"].log(), expected, atol=1e-5, rtol=0)


def test_a_model_fused_again_answers_the_same(base: onnx.ModelProto) -> None:
    stored = ungate(onnx.load(str(PACKAGE / "base.onnx")))
    again = refuse(stored, outlines=outlines_of(stored))
    before = run(stored, photograph(), NAMES)
    for name, values in run(again, photograph(), NAMES).items():
        assert torch.equal(values, before[name])


def test_the_file_keeps_its_facts_and_can_be_written_again(tmp_path: Path) -> None:
    outline, pick = random_network(OutlineNet(), 1), random_network(LayoutPick(), 2)
    weights = tmp_path / "outlines.npz"
    np.savez(weights, **weights_of(outline, pick))
    source, first, second = PACKAGE / "base.onnx", tmp_path / "1.onnx", tmp_path / "2.onnx"
    rewrite_base(source, outlines=weights, out=first)
    rewrite_base(first, out=second)
    one, other = (onnx.load(str(path)) for path in (first, second))
    assert has_onnx_checksum(first)
    assert len(one.opset_import) == 1
    assert {e.key for e in one.metadata_props} == {
        e.key for e in onnx.load(str(source)).metadata_props
    }
    before, after = run(one, photograph(), NAMES), run(other, photograph(), NAMES)
    assert all(torch.equal(before[name], after[name]) for name in NAMES)


def test_files_of_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, **{"outline.fine.bias": np.zeros(16, np.float32)})
    with pytest.raises(InputError, match="no weights of OutlineNet"):
        read_outlines(path)
    with pytest.raises(InputError, match="no weights of a layout network"):
        read_layout(path)


def step(where: int) -> Tensor:
    """Log depth with a ramp of 8 pixels about a column."""
    columns = torch.arange(64, dtype=torch.float32)
    return ((columns - where) / 8 + 0.5).clamp(0, 1).expand(1, 1, 48, 64).clone()


def away_from(where: int) -> Tensor:
    """Displacement field at half the size, 6 pixels away from a column."""
    field = torch.zeros(1, 2, 24, 32)
    field[:, 0] = torch.where(torch.arange(32) * 2 < where, -6.0, 6.0)
    return field


def test_displacements_make_a_step_of_a_ramp() -> None:
    answer = sharpened(step(32), away_from(32), None)
    assert ((answer > 0.01) & (answer < 0.99)).float().mean() == 0
    assert torch.equal(answer[..., :28], torch.zeros(1, 1, 48, 28))


@pytest.mark.parametrize(("answer", "counts"), [(1.1, 0.0), (-1.1, 0.0), (1.7, 0.85), (-5.0, -5.0)])
def test_small_displacements_count_for_nothing_and_can_grow(answer: float, counts: float) -> None:
    network = OutlineNet()
    assert network.last.bias is not None
    with torch.no_grad():
        network.last.bias[4:] = LARGEST_LOGIT * float(np.arctanh(answer / FARTHEST))
    maps = [torch.zeros(1, n, *(side // scale for side in SIZE)) for n, scale in ((64, 2), (80, 4))]
    field = network(*maps, torch.zeros(1, 3, *SIZE), torch.zeros(1, 1, *SIZE))
    assert torch.allclose(field, torch.full_like(field, counts), atol=1e-4)
    field.sum().backward()
    assert network.last.bias.grad is not None
    assert (network.last.bias.grad[4:] > 0).all()


def test_ground_takes_nothing_from_the_sky() -> None:
    sky = (step(32) > 0.5).float()
    field = torch.zeros(1, 2, 24, 32)
    field[:, 0] = 6.0
    assert torch.equal(sharpened(sky, field, sky), sky)
    assert not torch.equal(sharpened(sky, field, None), sky)


def test_soft_answers_have_gradients_and_are_near_the_exact_ones() -> None:
    field, sky = (away_from(32) / 4).requires_grad_(), torch.zeros(1, 1, 48, 64)
    soft = sharpened_softly(step(32), field, sky)
    assert (soft - sharpened(step(32), field.detach(), sky)).abs().mean() < 0.02
    (soft * torch.linspace(-1, 1, 64)).sum().backward()
    assert field.grad is not None
    assert field.grad.abs().max() > 0
